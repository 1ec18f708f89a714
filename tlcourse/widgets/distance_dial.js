// The distance dial: two sliders, two clouds of points, and the curve of what transfer gains.

const TRI = "M0-4.6L4.2 3.2H-4.2Z", DOWN = "M0 4.6L4.2-3.2H-4.2Z", DOT = "M-3.3 0A3.3 3.3 0 1 0 3.3 0A3.3 3.3 0 1 0-3.3 0Z";
const MARK = { gain: TRI, "no clear gain": DOT, "negative transfer": DOWN };
const at = (x, y, size = 1) => `translate(${x.toFixed(1)} ${y.toFixed(1)}) scale(${size})`;

const slide = (words, hint) => {
  const input = make("input", { type: "range", min: "0", step: "1" });
  const shown = make("output");
  const name = make("span", {}, words);
  input.setAttribute("aria-label", hint);
  input.addEventListener("keydown", (event) => event.stopPropagation()); // JupyterLab would move to another cell
  return { input, shown, parts: [name, input, shown] };
};

// Clouds: the source's points are open, the target's filled; the classes differ by shape.
const SIDE = 250, REACH = 4;
const clouds = () => {
  const place = (value) => (SIDE * (value + REACH)) / (2 * REACH);
  const from = shape("g"), to = shape("g");
  const line = (kind) => shape("line", { class: kind });
  const old = line("tlc-rule-from"), own = line("tlc-rule-to");
  const svg = shape("svg", { viewBox: `0 0 ${SIDE} ${SIDE}`, role: "img" },
    shape("rect", { class: "tlc-frame", x: 0.5, y: 0.5, width: SIDE - 1, height: SIDE - 1 }), from, to, old, own);
  const turned = (node, angle) => {
    const x = -Math.sin(angle) * 3.6, y = Math.cos(angle) * 3.6;
    fill(node, { x1: place(-x), y1: place(y), x2: place(x), y2: place(-y) }, []);
  };
  const dots = (group, points, kind) => group.replaceChildren(...points.map(([x, y, k]) =>
    shape("path", { d: k ? TRI : DOT, class: kind, transform: at(place(x), place(-y)) })));
  const draw = (state) => {
    dots(from, state.source, "tlc-from");
    dots(to, state.target, "tlc-to");
    turned(old, 0);
    turned(own, (state.distance * Math.PI) / 2);
    svg.setAttribute("aria-label", `Clouds of points of two classes in source and target. The target's boundary is turned by ${Math.round(90 * state.distance)} degrees from the source's.`);
  };
  return { svg, draw };
};

// The curve: gain against distance, with its interval; a mark whose shape says the verdict.
const WIDE = 340, HIGH = 250, BOX = { x: 44, y: 10, w: 288, h: 200 };
const gains = () => {
  const svg = shape("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, role: "img" });
  const draw = (state) => {
    const low = Math.min(-0.02, ...state.curve.map((row) => row[2])), high = Math.max(0.02, ...state.curve.map((row) => row[3]));
    const pad = 0.1 * (high - low);
    const x = (value) => BOX.x + BOX.w * value, y = (value) => BOX.y + (BOX.h * (high + pad - value)) / (high - low + 2 * pad);
    const path = (points) => points.map(([a, b], i) => `${i ? "L" : "M"}${x(a).toFixed(1)} ${y(b).toFixed(1)}`).join("");
    const parts = [];
    const step = high - low > 0.25 ? 0.1 : high - low > 0.12 ? 0.05 : 0.02;
    for (let k = Math.ceil((low - pad) / step); k * step <= high + pad; k++) {
      parts.push(shape("line", { class: k ? "tlc-grid" : "tlc-zero", x1: BOX.x, x2: BOX.x + BOX.w, y1: y(k * step), y2: y(k * step) }));
      parts.push(shape("text", { x: BOX.x - 5, y: y(k * step) + 4, "text-anchor": "end" }, (k * step).toFixed(2).replace("-", "−")));
    }
    for (const value of [0, 0.25, 0.5, 0.75, 1]) {
      parts.push(shape("text", { x: x(value), y: BOX.y + BOX.h + 16, "text-anchor": "middle" }, String(value)));
    }
    parts.push(shape("text", { x: x(0.5), y: HIGH - 4, "text-anchor": "middle" }, "distance of source and target"));
    parts.push(shape("text", { x: x(1), y: BOX.y + 12, "text-anchor": "end" }, "helps"));
    parts.push(shape("text", { x: x(0) + 4, y: BOX.y + BOX.h - 5 }, "does harm"));
    parts.push(shape("path", { class: "tlc-band", d: `${path(state.curve.map((r) => [r[0], r[3]]))}L${path(state.curve.map((r) => [r[0], r[2]]).reverse()).slice(1)}Z` }));
    parts.push(shape("path", { class: "tlc-line", d: path(state.curve) }));
    const [where, mean, bottom, top] = state.curve[state.at];
    parts.push(shape("line", { class: "tlc-now", x1: x(where), x2: x(where), y1: y(bottom), y2: y(top) }));
    parts.push(shape("path", { class: "tlc-now tlc-mark", d: MARK[state.verdict], transform: at(x(where), y(mean), 1.5) }));
    svg.replaceChildren(...parts);
    svg.setAttribute("aria-label", `What transfer gains at each distance. ${state.words}`);
  };
  return { svg, draw };
};

const key = (kind, path, words) => make("li", {}, shape("svg", { viewBox: "0 0 22 10", "aria-hidden": "true" }, path(kind)), words);
const dotted = (d) => (kind) => shape("path", { d, class: kind, transform: "translate(11 5)" });
const ruled = (kind) => shape("line", { class: kind, x1: 0, x2: 22, y1: 5, y2: 5 });

function render({ model, el }) {
  const { line: status, ask, end } = statusLine(model);
  const far = slide("Distance", "Distance of source and target"), many = slide("Target labels", "Target labels a class");
  const cloud = clouds(), curve = gains();
  const curveTitle = make("figcaption");
  const verdict = make("p", { class: "tlc-verdict" });
  const facts = make("ul", { class: "tlc-facts" });
  const spoken = make("p", { class: "tlc-quiet", role: "status" });
  el.append(make("div", { class: "tlc tlc-dial", role: "group", "aria-label": "Distance dial" },
    make("div", { class: "tlc-slide" }, ...far.parts, ...many.parts), verdict, facts,
    make("div", { class: "tlc-panels" },
      make("figure", {}, make("figcaption", {}, "Source and target, two classes"), cloud.svg),
      make("figure", {}, curveTitle, curve.svg)),
    make("ul", { class: "tlc-key" },
      key("tlc-from", dotted(DOT), "source, class 0"), key("tlc-from", dotted(TRI), "source, class 1"),
      key("tlc-to", dotted(DOT), "target, class 0"), key("tlc-to", dotted(TRI), "target, class 1"),
      key("tlc-rule-from", ruled, "source's boundary"), key("tlc-rule-to", ruled, "target's own")),
    status, spoken));

  // Only one question is on its way at a time: a slider that is dragged asks for where it is when the answer comes.
  let asked = null;
  const here = () => ({ at: Number(far.input.value), chosen: Number(many.input.value) });
  const same = (a, b) => a.at === b.at && a.chosen === b.chosen;
  const move = () => {
    const to = here();
    if (asked || same(to, model.get("state"))) return;
    if (ask({ do: "dial", ...to }, { then: answered })) asked = to;
  };
  const answered = () => {
    const rests = same(asked, here());
    asked = null;
    if (rests) settle(); else move();
  };
  const settle = () => { // where the kernel is: set by code, by another view, or because it refused
    const state = model.get("state");
    [far.input.value, many.input.value] = [state.at, state.chosen];
    name(state);
  };
  const name = (state) => {
    const distance = state.distances[far.input.value].toFixed(2), labels = state.offers[many.input.value];
    far.shown.textContent = distance;
    many.shown.textContent = labels;
    far.input.setAttribute("aria-valuetext", distance);
    many.input.setAttribute("aria-valuetext", `${labels} a class`);
  };
  const say = debounced((words) => { spoken.textContent = words; }, 400); // a screen reader hears where it came to rest
  const draw = () => {
    const state = model.get("state");
    far.input.max = String(state.distances.length - 1);
    many.input.max = String(state.offers.length - 1);
    if (asked) name(state); else settle();
    verdict.textContent = `${state.sign} ${state.verdict}: ${state.gain}`;
    facts.replaceChildren(...state.accuracies.map(([words, value]) => make("li", {}, `${words} ${value.toFixed(3)}`)));
    curveTitle.textContent = `Gain in accuracy, ${state.labels} target label${state.labels > 1 ? "s" : ""} a class`;
    cloud.draw(state);
    curve.draw(state);
    say(`${state.verdict}, ${state.gain}`);
  };
  for (const { input } of [far, many]) input.addEventListener("input", () => { name(model.get("state")); move(); });
  model.on("change:state", draw);
  draw();
  return () => {
    say.cancel();
    end();
    model.off("change:state", draw);
  };
}

export default { render };
