// λ by hand: two clouds of items, the line that parts their classes, and both accuracies. Everything was computed when
// the widget was made, so a page without a kernel works as well.

const PANEL = { w: 330, h: 250, left: 30, right: 6, top: 8, bottom: 24 };
const CURVE = { w: 480, h: 150, left: 38, right: 92, top: 10, bottom: 26 };
const PLUS = "M-3.2 0H3.2M0-3.2V3.2", MINUS = "M-3.2 0H3.2";
const fixed = (value, digits = 2) => value.toFixed(digits).replace("-", "−");

// Where a * x + b * y > 0 inside a box: the corners of that part, and the two ends of the line.
const side = ([left, right, bottom, top], a, b) => {
  const corners = [[left, bottom], [right, bottom], [right, top], [left, top]], part = [], ends = [];
  corners.forEach(([x, y], i) => {
    const [u, v] = corners[(i + 1) % 4], here = a * x + b * y, next = a * u + b * v;
    if (here > 0) part.push([x, y]);
    if (here > 0 !== next > 0) {
      const t = here / (here - next);
      ends.push([x + t * (u - x), y + t * (v - y)]);
      part.push(ends.at(-1));
    }
  });
  return { part, ends };
};

const frame = (size, [left, right, bottom, top]) => ({
  x: (value) => size.left + ((size.w - size.left - size.right) * (value - left)) / (right - left),
  y: (value) => size.h - size.bottom - ((size.h - size.top - size.bottom) * (value - bottom)) / (top - bottom),
});

const axisNumbers = (low, high) => {
  const raw = (high - low) / 4, unit = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((k) => k * unit).find((s) => s >= raw), found = [];
  for (let at = Math.ceil(low / step) * step; at <= high; at += step) found.push(Number(at.toPrecision(6)));
  return found;
};

// One cloud; `items` draws the points of an amount, `turn` draws a head's line and rings what it misjudges.
const cloud = (which, clip) => {
  const area = shape("polygon", { class: "tlc-side" }), line = shape("line", { class: "tlc-border" });
  const axes = shape("g", { class: "tlc-axes" }), marks = shape("g", { "clip-path": `url(#${clip})` });
  const svg = shape("svg", { viewBox: `0 0 ${PANEL.w} ${PANEL.h}`, role: "img", class: "tlc-cloud" },
    shape("clipPath", { id: clip }, shape("rect", {
      x: PANEL.left, y: PANEL.top, width: PANEL.w - PANEL.left - PANEL.right, height: PANEL.h - PANEL.top - PANEL.bottom,
    })), area, axes, marks, line);
  let at, box, points, made, labels;

  const items = (state, amount) => {
    [box, points, labels] = [amount.box, amount.points[which], state.labels[which]];
    at = frame(PANEL, box);
    const parts = [];
    for (const value of axisNumbers(box[0], box[1])) {
      parts.push(shape("text", { x: at.x(value), y: PANEL.h - 9, "text-anchor": "middle" }, fixed(value, 0)));
    }
    for (const value of axisNumbers(box[2], box[3])) {
      parts.push(shape("text", { x: PANEL.left - 4, y: at.y(value) + 4, "text-anchor": "end" }, fixed(value, 0)));
    }
    axes.replaceChildren(shape("path", {
      d: `M${PANEL.left} ${PANEL.top}V${PANEL.h - PANEL.bottom}H${PANEL.w - PANEL.right}`, class: "tlc-edge",
    }), ...parts);
    made = points.map(([x, y], i) => shape("g", { transform: `translate(${at.x(x).toFixed(1)} ${at.y(y).toFixed(1)})` },
      shape("circle", { r: 5.2 }), shape("path", { d: labels[i] ? PLUS : MINUS })));
    marks.replaceChildren(...made);
  };

  const turn = ([a, b], words) => {
    const { part, ends } = side(box, a, b);
    area.setAttribute("points", part.map(([x, y]) => `${at.x(x).toFixed(1)},${at.y(y).toFixed(1)}`).join(" "));
    line.toggleAttribute("hidden", ends.length < 2);
    if (ends.length > 1) {
      ends.slice(0, 2).forEach(([x, y], i) => {
        line.setAttribute(`x${i + 1}`, at.x(x).toFixed(1));
        line.setAttribute(`y${i + 1}`, at.y(y).toFixed(1));
      });
    }
    points.forEach(([x, y], i) => {
      made[i].setAttribute("class", (a * x + b * y > 0 ? 1 : 0) === labels[i] ? "tlc-item" : "tlc-item tlc-wrong");
    });
    svg.setAttribute("aria-label", words);
  };
  return { svg, items, turn };
};

// Both accuracies over all λ, and where we are.
const curve = () => {
  const axes = shape("g", { class: "tlc-axes" }), lines = shape("g"), here = shape("line", { class: "tlc-here" });
  const svg = shape("svg", { viewBox: `0 0 ${CURVE.w} ${CURVE.h}`, role: "img", class: "tlc-curve" }, axes, lines, here);
  let at;
  const draw = (state, amount) => {
    const shares = [0, 1].map((which) => amount.right.map((row) => row[which] / state.sizes[which]));
    const low = Math.floor(Math.min(...shares.flat()) * 20 - 0.2) / 20;
    const high = Math.min(1, Math.ceil(Math.max(...shares.flat()) * 20 + 0.2) / 20);
    at = frame(CURVE, [0, 1, low, high]);
    const parts = [shape("text", { x: at.x(0.5), y: CURVE.h - 1, "text-anchor": "middle" }, "λ")];
    for (const value of axisNumbers(low, high)) {
      parts.push(shape("line", { x1: at.x(0), x2: at.x(1), y1: at.y(value), y2: at.y(value), class: "tlc-grid" }));
      parts.push(shape("text", { x: at.x(0) - 5, y: at.y(value) + 4, "text-anchor": "end" }, fixed(value)));
    }
    for (const value of [0, 0.25, 0.5, 0.75, 1]) {
      parts.push(shape("text", { x: at.x(value), y: CURVE.h - 12, "text-anchor": "middle" }, String(value)));
    }
    axes.replaceChildren(...parts);
    const ends = shares.map((share) => at.y(share.at(-1)) + 4); // names at the right end, moved apart where they touch
    const apart = Math.max(0, 14 - Math.abs(ends[0] - ends[1])) / 2, above = ends[0] <= ends[1] ? 0 : 1;
    lines.replaceChildren(...shares.flatMap((share, which) => [
      shape("path", {
        d: share.map((value, i) => `${i ? "L" : "M"}${at.x(state.lambdas[i]).toFixed(1)} ${at.y(value).toFixed(1)}`).join(""),
        class: `tlc-share tlc-share${which}`,
      }),
      shape("text", {
        x: at.x(1) + 7, y: ends[which] + (which === above ? -apart : apart), class: `tlc-name${which}`,
      }, clipped(state.names[which])),
    ]));
    const told = state.names.map((name, which) => {
      const share = shares[which], best = share.indexOf(Math.max(...share));
      return `${name}: ${fixed(share[0])} at 0, ${fixed(share.at(-1))} at 1, highest ${fixed(share[best])} at ${state.lambdas[best]}`;
    });
    svg.setAttribute("aria-label", `Share of right answers against λ. ${told.join("; ")}.`);
  };
  const move = (value) => {
    for (const [name, to] of [["x1", at.x(value)], ["x2", at.x(value)], ["y1", CURVE.top], ["y2", CURVE.h - CURVE.bottom]]) {
      here.setAttribute(name, to);
    }
  };
  return { svg, draw, move };
};
const named = (text) => make("span", { class: "tlc-name", title: text }, text); // a long one is cut by the style
const clipped = (text) => ([...text].length > 11 ? `${[...text].slice(0, 10).join("")}…` : text);

let mixers = 0;

function render({ model, el }) {
  const { line: status, end } = statusLine(model, { alone: true });
  const state = model.get("state"), mine = `tlc-mixer-${Date.now().toString(36)}-${mixers++}`;
  const [source, target] = state.names, last = state.lambdas.length - 1;
  const slider = make("input", { type: "range", min: "0", max: String(last), step: "1", "aria-label": "λ, the weight of the source's loss" });
  const value = make("output", { class: "tlc-lambda" });
  const choices = make("span", { role: "radiogroup", "aria-labelledby": `${mine}-amount`, class: "tlc-choices" });
  const clouds = [cloud(0, `${mine}-0`), cloud(1, `${mine}-1`)], shares = curve();
  const titles = [make("figcaption"), make("figcaption")];
  const losses = make("p", { class: "tlc-losses" });
  const spoken = make("p", { class: "tlc-quiet", role: "status" });
  const head = make("p", { class: "tlc-head" });
  const note = make("p", { class: "tlc-note" });
  note.append("+ is ", named(state.classes[1]), ", − is ", named(state.classes[0]), ", a ring marks a mistake. In the shaded part the ",
    "head says ", named(state.classes[1]), ". Across: the score of the head trained on ", named(source),
    " alone; up: that of the one trained on ", named(target), " alone.");
  el.append(make("div", { class: "tlc tlc-mixer", role: "group", "aria-label": "Mixing two losses" },
    make("div", { class: "tlc-row" }, make("span", { class: "tlc-end" }, named(target), " only"),
      slider, make("span", { class: "tlc-end" }, named(source), " only"), value),
    make("div", { class: "tlc-row" }, make("span", { id: `${mine}-amount` }, named(target), " items a class:"), choices),
    make("div", { class: "tlc-clouds" }, ...clouds.map(({ svg }, which) => make("figure", {}, titles[which], svg))),
    head, losses, shares.svg, note, status, spoken));

  const amount = () => state.amounts.find((each) => each.shots === model.get("amount")) ?? state.amounts[0];
  const place = () => {
    const weight = model.get("weight"); // code may have set any number from 0 to 1
    return state.lambdas.reduce((best, at, i) => (Math.abs(at - weight) < Math.abs(state.lambdas[best] - weight) ? i : best), 0);
  };
  const percent = (right, n) => `${((100 * right) / n).toFixed(0)} %`;

  const speak = debounced(() => { spoken.textContent = slider.getAttribute("aria-valuetext"); }, 500);
  const turn = () => {
    const now = amount(), i = place(), [a, b] = now.heads[i], lambda = state.lambdas[i];
    slider.value = String(i);
    value.textContent = `λ = ${fixed(lambda)}`;
    const told = state.names.map((name, which) => `${name}: ${now.right[i][which]} of ${state.sizes[which]} right`);
    slider.setAttribute("aria-valuetext", `λ ${fixed(lambda)}; ${told.join("; ")}`);
    clouds.forEach(({ turn: draw }, which) => {
      titles[which].replaceChildren(named(state.names[which]),
        `: ${now.right[i][which]} of ${state.sizes[which]} right (${percent(now.right[i][which], state.sizes[which])})`);
      draw(now.heads[i], `Items of ${told[which]}, with the line of this head.`);
    });
    head.replaceChildren("The head is ", make("b", {}, fixed(a)), " times the ", named(source),
      " head plus ", make("b", {}, fixed(b)), " times the ", named(target), " head.");
    losses.textContent = `Loss on the items learned from: λ · ${fixed(now.losses[i][0], 3)} + (1 − λ) · ${fixed(now.losses[i][1], 3)}`
      + ` = ${fixed(lambda * now.losses[i][0] + (1 - lambda) * now.losses[i][1], 3)}`;
    shares.move(lambda);
    speak();
  };
  const draw = () => {
    const now = amount();
    clouds.forEach(({ items }) => items(state, now));
    shares.draw(state, now);
    for (const input of choices.querySelectorAll("input")) input.checked = Number(input.value) === now.shots;
    turn();
  };

  const save = debounced(() => {
    try { model.save_changes(); } catch { /* no kernel: the page goes on by itself */ }
  }, 40);
  slider.addEventListener("input", () => {
    model.set("weight", state.lambdas[Number(slider.value)]);
    save();
  });
  for (const each of state.amounts) {
    const input = make("input", { type: "radio", name: mine, value: String(each.shots) });
    input.addEventListener("change", () => {
      model.set("amount", each.shots);
      save();
    });
    choices.append(make("label", {}, input, ` ${number(each.shots)}`));
  }
  // JupyterLab must not see these keys: it would move to another cell
  el.addEventListener("keydown", (event) => {
    if (/^(Arrow|Page|Home|End| )/.test(event.key)) event.stopPropagation();
  });

  model.on("change:weight", turn);
  model.on("change:amount", draw);
  draw();
  return () => {
    end();
    speak.cancel();
    model.off("change:weight", turn);
    model.off("change:amount", draw);
  };
}

export default { render };
