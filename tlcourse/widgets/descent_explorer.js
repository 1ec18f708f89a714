// A loss of two numbers as lines of equal loss, a start to drag, and the path from it. The kernel takes the steps.

const WIDE = 460, LOSS = { w: 300, h: 120, left: 44, right: 8, top: 8, bottom: 24 };
const RATE = { low: -3, high: 1, steps: 80 }; // powers of ten
const short = (value) => Number(value.toPrecision(3)).toString().replace("-", "−");

const curveOf = (points, x, y) => points.map(([a, b], i) => `${i ? "L" : "M"}${x(a).toFixed(1)} ${y(b).toFixed(1)}`).join("");

function render({ model, el }) {
  const { line: status, end } = statusLine(model);
  const mine = `tlc-descent-${Date.now().toString(36)}-${Math.floor(performance.now() * 1000)}`;
  const named = (label, input, ...more) => make("label", { class: "tlc-control" }, make("span", {}, label), input, ...more);
  const list = (names) => make("select", {}, ...names.map((name) => make("option", { value: name }, name)));
  const surface = list(model.get("pictures").map(({ name }) => name)), optimizer = list(model.get("optimizers"));
  const range = (low, high) => make("input", { type: "range", min: String(low), max: String(high), step: "1" });
  const rate = range(0, RATE.steps), momentum = range(0, 99), steps = range(1, 100);
  const shown = { rate: make("output"), momentum: make("output"), steps: make("output") };
  const says = make("p", { class: "tlc-says" });
  const clip = shape("rect"), lines = shape("g", { class: "tlc-level" }), kept = shape("path", { class: "tlc-kept" });
  const path = shape("path", { class: "tlc-path" }), dots = shape("g", { class: "tlc-dots" });
  const lowest = shape("path", { d: "M-6-6L6 6M-6 6L6-6", class: "tlc-lowest" });
  const handle = shape("g", {
    class: "tlc-start", role: "slider", tabindex: "0", "aria-label": "Start of the path; arrow keys move it, Home puts it back",
  }, shape("circle", { r: 16, class: "tlc-reach" }), shape("circle", { r: 8 }), shape("path", { d: "M-3 0H3M0-3V3" }));
  const axes = shape("g", { class: "tlc-axes" });
  const plot = shape("svg", { class: "tlc-plot", role: "group", "aria-label": "Lines of equal loss" },
    shape("clipPath", { id: mine }, clip), axes,
    shape("g", { "clip-path": `url(#${mine})` }, lines, kept, path, dots, lowest), handle);
  const lossAxes = shape("g", { class: "tlc-axes" }), lossLine = shape("path", { class: "tlc-path" });
  const lossPlot = shape("svg", { viewBox: `0 0 ${LOSS.w} ${LOSS.h}`, class: "tlc-fall", role: "img" }, lossAxes, lossLine);
  const keep = make("button", { type: "button" }, "Keep this path to compare");
  const keptWords = make("p", { class: "tlc-soft" });
  el.append(make("div", { class: "tlc tlc-descent", role: "group", "aria-label": "Descent" },
    make("div", { class: "tlc-row" }, named("surface", surface), named("optimizer", optimizer)),
    make("div", { class: "tlc-row" }, named("η, learning rate", rate, shown.rate), named("momentum", momentum, shown.momentum),
      named("steps", steps, shown.steps)),
    says, make("div", { class: "tlc-both" }, plot, make("div", { class: "tlc-beside" }, lossPlot, status, keep, keptWords))));

  // where a point lies ---------------------------------------------------------------------------------------
  let picture, x, y, tall, start, memory = null;
  const frame = () => {
    picture = model.get("pictures").find(({ name }) => name === model.get("surface")) ?? model.get("pictures")[0];
    const [left, right, bottom, top] = picture.box;
    tall = Math.min(WIDE, Math.max(WIDE * 0.45, ((WIDE - 40) * (top - bottom)) / (right - left)));
    const near = (value) => Math.max(-4000, Math.min(4000, value)); // a path may leave for far away
    x = (value) => near(34 + ((WIDE - 44) * (value - left)) / (right - left));
    y = (value) => near(8 + (tall * (top - value)) / (top - bottom));
  };
  const back = (event) => {
    const [left, right, bottom, top] = picture.box;
    const to = plot.getScreenCTM().inverse(), spot = new DOMPoint(event.clientX, event.clientY).matrixTransform(to);
    const inside = (value, low, high) => Math.min(high, Math.max(low, value));
    return [inside(left + ((spot.x - 34) * (right - left)) / (WIDE - 44), left, right),
      inside(top - ((spot.y - 8) * (top - bottom)) / tall, bottom, top)];
  };

  const drawSurface = () => {
    frame();
    const [left, right, bottom, top] = picture.box;
    plot.setAttribute("viewBox", `0 0 ${WIDE} ${tall + 40}`);
    plot.setAttribute("aria-label", `Lines of equal loss: ${picture.name}. ${picture.says}`);
    for (const [name, value] of Object.entries({ x: 34, y: 8, width: WIDE - 44, height: tall })) clip.setAttribute(name, value);
    lines.replaceChildren(...picture.lines.map(({ points }) => shape("path", { d: curveOf(points, x, y) })));
    lowest.setAttribute("transform", `translate(${x(picture.lowest[0])} ${y(picture.lowest[1])})`);
    const parts = [shape("rect", { x: 34, y: 8, width: WIDE - 44, height: tall, class: "tlc-edge" })];
    for (const value of [left, (left + right) / 2, right]) {
      parts.push(shape("text", { x: x(value), y: tall + 22, "text-anchor": "middle" }, short(value)));
    }
    for (const value of [bottom, (bottom + top) / 2, top]) {
      parts.push(shape("text", { x: 30, y: y(value) + 4, "text-anchor": "end" }, short(value)));
    }
    parts.push(shape("text", { x: WIDE - 10, y: tall + 37, "text-anchor": "end" }, `across: ${picture.axes[0]}; up: ${picture.axes[1]}`));
    axes.replaceChildren(...parts);
    says.replaceChildren(make("span", { class: "tlc-name" }, picture.says), picture.says ? " " : "", "× marks the lowest point.");
    memory = null; // a kept path belongs to the surface that it was on
    drawKept();
  };

  const drawStart = () => {
    handle.setAttribute("transform", `translate(${x(start[0])} ${y(start[1])})`);
    const [left, right] = picture.box;
    handle.setAttribute("aria-valuemin", left);
    handle.setAttribute("aria-valuemax", right);
    handle.setAttribute("aria-valuenow", short(start[0]).replace("−", "-"));
    handle.setAttribute("aria-valuetext", `${picture.axes[0]} ${short(start[0])}, ${picture.axes[1]} ${short(start[1])}`);
  };

  const drawPath = () => {
    const { points = [], losses = [] } = model.get("path");
    path.setAttribute("d", curveOf(points, x, y));
    dots.replaceChildren(...points.slice(1).map(([a, b]) => shape("circle", { cx: x(a), cy: y(b), r: 2.6 })));
    const cap = Math.max(losses[0] ?? 1, 1e-9) * 1.6, low = Math.min(picture.least, ...losses), n = Math.max(1, losses.length - 1);
    const across = (i) => LOSS.left + ((LOSS.w - LOSS.left - LOSS.right) * i) / n;
    const up = (value) => LOSS.h - LOSS.bottom - ((LOSS.h - LOSS.top - LOSS.bottom) * (Math.min(value, cap) - low)) / (cap - low || 1);
    lossLine.setAttribute("d", losses.map((value, i) => `${i ? "L" : "M"}${across(i).toFixed(1)} ${up(value).toFixed(1)}`).join(""));
    lossAxes.replaceChildren(
      shape("path", { d: `M${LOSS.left} ${LOSS.top}V${LOSS.h - LOSS.bottom}H${LOSS.w - LOSS.right}`, class: "tlc-edge" }),
      shape("text", { x: LOSS.left - 5, y: up(losses[0] ?? cap) + 4, "text-anchor": "end" }, short(losses[0] ?? cap)),
      shape("text", { x: LOSS.left - 5, y: up(low) + 4, "text-anchor": "end" }, short(low)),
      shape("text", { x: LOSS.left, y: LOSS.h - 8 }, "0"),
      shape("text", { x: LOSS.w - LOSS.right, y: LOSS.h - 8, "text-anchor": "end" }, `${n} steps`),
      shape("text", { x: LOSS.left + 6, y: 14 }, "loss"));
    lossPlot.setAttribute("aria-label", `Loss by step. ${model.get("path").says ?? ""}`);
  };

  const drawKept = () => {
    kept.setAttribute("d", memory ? curveOf(memory.points, x, y) : "");
    keep.textContent = memory ? "Forget the kept path" : "Keep this path to compare";
    keptWords.textContent = memory ? `Dashed: ${memory.says}` : "";
  };

  const drawControls = () => {
    surface.value = model.get("surface");
    optimizer.value = model.get("optimizer");
    const lr = model.get("lr"), power = lr > 0 ? Math.log10(lr) : RATE.low;
    rate.value = String(Math.round(((power - RATE.low) / (RATE.high - RATE.low)) * RATE.steps));
    shown.rate.textContent = short(lr);
    rate.setAttribute("aria-valuetext", short(lr));
    momentum.value = String(Math.round(100 * model.get("momentum")));
    momentum.disabled = model.get("optimizer") !== "momentum";
    shown.momentum.textContent = momentum.disabled ? "–" : short(model.get("momentum"));
    momentum.setAttribute("aria-valuetext", short(model.get("momentum")));
    steps.value = String(model.get("steps"));
    shown.steps.textContent = String(model.get("steps"));
  };

  // one question at a time: while the kernel walks, newer wishes wait, and only the last is asked ------------------
  let asked = false, wish = null, patience = 0;
  const send = () => {
    if (asked || !wish) return;
    for (const [name, value] of Object.entries(wish)) model.set(name, value);
    wish = null;
    asked = true;
    clearTimeout(patience);
    patience = setTimeout(answered, 1500); // no answer: nothing had changed, or the kernel is busy
    try { model.save_changes(); } catch { asked = false; }
  };
  const answered = () => { asked = false; send(); };
  const ask = (name, value) => {
    wish = { ...wish, [name]: value };
    send();
  };

  surface.addEventListener("change", () => ask("surface", surface.value));
  optimizer.addEventListener("change", () => ask("optimizer", optimizer.value));
  rate.addEventListener("input", () => {
    const lr = Number((10 ** (RATE.low + (RATE.high - RATE.low) * (Number(rate.value) / RATE.steps))).toPrecision(3));
    shown.rate.textContent = short(lr);
    ask("lr", lr);
  });
  momentum.addEventListener("input", () => {
    shown.momentum.textContent = short(Number(momentum.value) / 100);
    ask("momentum", Number(momentum.value) / 100);
  });
  steps.addEventListener("input", () => {
    shown.steps.textContent = steps.value;
    ask("steps", Number(steps.value));
  });
  keep.addEventListener("click", () => {
    memory = memory ? null : { ...model.get("path") };
    drawKept();
  });

  const put = (to) => {
    start = to.map((value) => Number(value.toPrecision(5)));
    drawStart();
    ask("start", start);
  };
  plot.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || (event.pointerType === "touch" && !handle.contains(event.target))) return;
    event.preventDefault(); // a finger beside the handle scrolls the page
    handle.setPointerCapture(event.pointerId);
    handle.focus({ preventScroll: true });
    if (!handle.contains(event.target)) put(back(event));
  });
  handle.addEventListener("pointermove", (event) => {
    if (handle.hasPointerCapture(event.pointerId)) put(back(event));
  });
  handle.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1], Home: [0, 0] }[event.key];
    if (!by) return;
    event.preventDefault();
    const [left, right, bottom, top] = picture.box, share = event.shiftKey ? 8 : 40;
    const to = [start[0] + (by[0] * (right - left)) / share, start[1] + (by[1] * (top - bottom)) / share];
    put(event.key === "Home" ? picture.start : [Math.min(right, Math.max(left, to[0])), Math.min(top, Math.max(bottom, to[1]))]);
  });
  // JupyterLab must not see the keys of sliders and lists: it would move to another cell
  el.addEventListener("keydown", (event) => {
    if (/^(Arrow|Page|Home|End| |Enter)/.test(event.key)) event.stopPropagation();
  });

  const walked = () => {
    drawPath();
    answered();
  };
  const moved = () => {
    if (wish?.start) return; // it is being dragged further
    start = model.get("start");
    drawStart();
  };
  const other = () => {
    drawSurface();
    drawControls();
    moved();
  };
  const heard = [["change:path", walked], ["change:start", moved], ["change:surface", other],
    ...["optimizer", "lr", "momentum", "steps"].map((name) => [`change:${name}`, drawControls])];
  for (const [name, run] of heard) model.on(name, run);
  start = model.get("start");
  drawSurface();
  drawControls();
  drawStart();
  drawPath();
  return () => {
    end();
    clearTimeout(patience);
    for (const [name, run] of heard) model.off(name, run);
  };
}

export default { render };
