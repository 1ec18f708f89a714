// Curves that grow while `fit` trains: what each batch gave as a line, an epoch's validation as marks.

const WIDE = 340, HIGH = 194, EDGE = { left: 44, right: 10, top: 20, bottom: 30 };
const DASHES = ["", "6 3", "2 3", "8 3 2 3", "1 2", "10 4", "4 2 1 2", "3 6"];
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a8a8a", "#7a5500"];

const ticks = (low, high) => {
  const raw = (high - low) / 4 || 1, unit = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((k) => k * unit).find((s) => s >= raw);
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step * 1e-6; at += step) found.push(Number(at.toPrecision(6)));
  return found;
};

const brief = (value) => (Math.abs(value) < 1e5 ? String(value) : value.toExponential().replace("e+", "e"));
const figure = (value) => (Math.abs(value) < 1e4 ? value.toFixed(3) : brief(Number(value.toPrecision(2))));

// How many epochs a run takes up: a long one does not begin as a line too thin to read.
const reach = (run) => {
  const now = run.points.at(-1)?.[0] ?? 0;
  return run.state === "running" ? Math.min(run.epochs, Math.max(3, Math.ceil(1.5 * now))) : Math.max(Math.ceil(now), 1);
};

// The marks of validation: another shape for each run, so that colour is not needed; hollow, so that none hides another.
const MARKS = [
  "M-3.5 0A3.5 3.5 0 1 0 3.5 0A3.5 3.5 0 1 0-3.5 0Z", "M-4.5-4.5H4.5V4.5H-4.5Z", "M0-6L5.5 4H-5.5Z", "M0-7L7 0L0 7L-7 0Z",
];
const mark = (place, x, y) => shape("path", {
  d: MARKS[place % MARKS.length], transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})`, fill: "none", stroke: COLOURS[place % COLOURS.length], class: "tlc-line",
});

// One panel; returns what draws the runs into it.
const chart = (title, column) => {
  const lines = shape("g"), axes = shape("g", { class: "tlc-axes" });
  const svg = shape("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, role: "img", class: "tlc-chart" }, axes, lines);
  const box = { x: EDGE.left, y: EDGE.top, w: WIDE - EDGE.left - EDGE.right, h: HIGH - EDGE.top - EDGE.bottom };

  const draw = (runs, top) => {
    const index = column === "loss" ? 1 : 2, values = [];
    for (const run of runs) {
      run.points.forEach((point) => values.push(point[index]));
      run.rows.forEach((row) => { if (`valid_${column}` in row) values.push(row[`valid_${column}`]); });
    }
    const last = Math.max(1, ...runs.map(reach));
    const sound = values.filter(Number.isFinite);
    let [low, high] = sound.length ? [Math.min(...sound), Math.max(...sound)] : [0, 1];
    if (column === "loss" && top > low) high = Math.min(high, top); // one that diverged runs along the edge
    const pad = 0.06 * (high - low) || 0.05;
    [low, high] = column === "loss" ? [Math.min(0, low), high + pad] : [Math.max(0, low - pad), Math.min(1, high + pad)];
    if (high <= low) high = low + 0.1;
    const x = (epoch) => box.x + (box.w * epoch) / last, y = (value) => Math.max(box.y, box.y + box.h * (1 - (value - low) / (high - low)));

    const parts = [shape("text", { x: box.x, y: 12, class: "tlc-title" }, title)];
    for (const value of ticks(low, high)) {
      parts.push(shape("line", { x1: box.x, x2: box.x + box.w, y1: y(value), y2: y(value), class: "tlc-grid" }));
      parts.push(shape("text", { x: box.x - 5, y: y(value) + 4, "text-anchor": "end" }, brief(value)));
    }
    for (const epoch of ticks(0, last).filter(Number.isInteger)) {
      parts.push(shape("text", { x: x(epoch), y: HIGH - 15, "text-anchor": "middle" }, String(epoch)));
    }
    parts.push(shape("text", { x: box.x + box.w, y: HIGH - 4, "text-anchor": "end" }, "epoch"));
    axes.replaceChildren(...parts);

    lines.replaceChildren(...runs.flatMap((run, place) => {
      const look = COLOURS[place % COLOURS.length], dash = DASHES[place % DASHES.length];
      const path = run.points.filter((p) => Number.isFinite(p[index]))
        .map((p, i) => `${i ? "L" : "M"}${x(p[0]).toFixed(1)} ${y(p[index]).toFixed(1)}`).join("");
      const made = [shape("path", { d: path, stroke: look, "stroke-dasharray": dash, class: "tlc-line" })];
      for (const row of run.rows) {
        const value = row[`valid_${column}`];
        if (Number.isFinite(value)) made.push(mark(place, x(row.epoch), y(value)));
      }
      return made;
    }));
    const told = runs.map((run) => {
      const row = run.rows.at(-1), name = row && `valid_${column}` in row ? `valid_${column}` : column;
      return row ? `${run.name}: ${figure(row[name])} after epoch ${row.epoch}` : `${run.name}: no epoch yet`;
    });
    svg.setAttribute("aria-label", `${title}. ${told.join("; ")}.`);
  };
  return { svg, draw };
};

function render({ model, el }) {
  const { line: status, tell, ask, end } = statusLine(model);
  const loss = chart("Loss", "loss"), accuracy = chart("Accuracy", "accuracy");
  const where = make("span", { class: "tlc-where" });
  const done = make("progress", { max: "1", value: "0", "aria-label": "How much of the run is done" });
  const stop = make("button", { type: "button" }, "Stop after this batch");
  const forget = make("button", { type: "button" }, "Forget earlier runs");
  const legend = make("ul", { class: "tlc-legend" });
  const note = make("p", { class: "tlc-note" });
  // only what an epoch brings is spoken; the clock would never let a screen reader rest
  const spoken = make("p", { class: "tlc-quiet", role: "status" });
  el.append(make("div", { class: "tlc tlc-monitor", role: "group", "aria-label": "Training" },
    make("div", { class: "tlc-row" }, done, where, stop),
    make("div", { class: "tlc-charts" }, loss.svg, accuracy.svg), note, legend,
    make("div", { class: "tlc-row" }, forget), status, spoken));

  let heard = -1;
  const draw = () => {
    const now = model.get("now");
    if (!now.name) return;
    const runs = [...model.get("earlier"), now], running = now.state === "running";
    loss.draw(runs, now.top);
    accuracy.draw(runs);
    done.value = now.share;
    where.textContent = now.words;
    stop.disabled = !running;
    forget.hidden = runs.length < 2;
    note.textContent = runs.some((run) => run.rows.some((row) => "valid_loss" in row))
      ? "Lines: training, batch by batch. Marks: validation, after each epoch." : "Lines: training, batch by batch.";
    const gone = runs.filter((run) => run.points.some((point) => point[1] > now.top) || run.rows.some((row) => row.valid_loss > now.top));
    if (gone.length) note.append(" The loss leaves the picture in: ", make("span", { class: "tlc-name" }, gone.map(({ name }) => name).join("; ")), ".");
    legend.replaceChildren(...(runs.length < 2 ? [] : runs.map((run, place) => make("li", {},
      shape("svg", { viewBox: "0 0 34 8", width: 34, height: 8, "aria-hidden": "true" }, shape("path", {
        d: "M1 4H33", stroke: COLOURS[place % COLOURS.length], "stroke-dasharray": DASHES[place % DASHES.length], class: "tlc-line",
      })), make("span", { class: "tlc-name" }, run.name), make("span", { class: "tlc-soft" }, run.words)))));
    if (now.rows.length !== heard || !running) spoken.textContent = now.words.replace(/, about .* left/, "");
    heard = now.rows.length;
  };

  stop.addEventListener("click", () => {
    tell({ do: "stop" });
    stop.disabled = true;
    // An older kernel hears nothing while a cell runs: then the button does what JupyterLab's own does. `fit` takes the
    // first interrupt as the same wish.
    const kernel = model.widget_manager?.kernel;
    setTimeout(() => {
      if (model.get("now").state === "running" && !model.get("status")) kernel?.interrupt?.();
    }, 700);
  });
  forget.addEventListener("click", () => ask({ do: "forget" }));
  model.on("change:now", draw);
  model.on("change:earlier", draw);
  draw();
  return () => {
    end();
    model.off("change:now", draw);
    model.off("change:earlier", draw);
  };
}

export default { render };
