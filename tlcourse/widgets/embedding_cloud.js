// A picture of points: where they stand, how they are drawn, and how they travel from stage to stage.

// The same colours and shapes, in the same order, as in the course's figures.
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "ink", "#777777"];
const MARKS = [
  "M-4.2 0A4.2 4.2 0 1 0 4.2 0A4.2 4.2 0 1 0-4.2 0Z", "M-3.8-3.8H3.8V3.8H-3.8Z", "M0-4.9L4.7 3.9H-4.7Z",
  "M0-5.2L5.2 0L0 5.2L-5.2 0Z", "M0 4.9L4.7-3.9H-4.7Z", "M-1.6-5H1.6V-1.6H5V1.6H1.6V5H-1.6V1.6H-5V-1.6H-1.6Z",
  "M-4.8-2.5L-2.5-4.8L0-2.3L2.5-4.8L4.8-2.5L2.3 0L4.8 2.5L2.5 4.8L0 2.3L-2.5 4.8L-4.8 2.5L-2.3 0Z",
  "M0-6L1.5-1.9L5.7-1.9L2.3.7L3.5 4.9L0 2.4L-3.5 4.9L-2.3.7L-5.7-1.9L-1.5-1.9Z", "M-4.9 0L3.9-4.7V4.7Z", "M4.9 0L-3.9-4.7V4.7Z",
];
const MOVE = 260; // milliseconds from stage to stage
const NEAR = 16; // pixels: a point is meant that is not farther from the pointer
const THUMB = 24; // pixels of an image in the picture

const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

// `plot` is the element with the canvas in it; `state` says how many points there are and how places and the sheet of
// images are packed; `ask` tells what changes: which group a point is of (`of`), whether it is drawn open (`open`), whether
// it is seen at all (`seen`), and which one is marked (`marked`).
const cloud = (plot, canvas, places, state, ask) => {
  const count = state.y.length;
  const all = new Int16Array(places.buffer.slice(places.byteOffset, places.byteOffset + places.byteLength));
  const paths = MARKS.map((d) => new Path2D(d)), of = (stage) => all.subarray(2 * count * stage, 2 * count * (stage + 1));
  let at = new Float32Array(2 * count), frame = 0, drawn = "";
  const made = { sheet: null, asPictures: false };

  const css = (name, other) => getComputedStyle(plot).getPropertyValue(name).trim() || other;
  const tones = () => [css("--ink", "#222"), css("--ground", "#fff")];
  const place = (i) => [plot.clientWidth * (0.5 + 0.465 * at[2 * i]), plot.clientWidth * (0.5 - 0.465 * at[2 * i + 1])];
  const cell = (i) => [(i % state.columns) * state.side, Math.floor(i / state.columns) * state.side, state.side, state.side];

  const image = (pen, i, look) => {
    pen.drawImage(made.sheet, ...cell(i), -THUMB / 2, -THUMB / 2, THUMB, THUMB);
    pen.strokeStyle = look;
    pen.lineWidth = 2;
    pen.strokeRect(-THUMB / 2, -THUMB / 2, THUMB, THUMB);
    pen.translate(-THUMB / 2 + 2, THUMB / 2 - 2); // for the mark: colour is never the only sign
  };

  const draw = () => {
    const wide = plot.clientWidth, fine = window.devicePixelRatio || 1, group = ask.of();
    if (!wide) return;
    if (canvas.width !== Math.round(wide * fine)) canvas.width = canvas.height = Math.round(wide * fine);
    const pen = canvas.getContext("2d"), [ink, ground] = tones();
    drawn = `${tones()}`;
    const colours = COLOURS.map((one) => (one === "ink" ? ink : one)), pictured = made.asPictures && made.sheet;
    const go = (i) => { const [x, up] = place(i); pen.setTransform(fine, 0, 0, fine, fine * x, fine * up); };
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, canvas.width, canvas.height);
    for (let i = 0; i < count; i++) {
      if (!ask.seen(i)) continue;
      const look = colours[group[i] % colours.length], path = paths[group[i] % paths.length];
      go(i);
      if (pictured) image(pen, i, look);
      const open = ask.open(i) && !pictured;
      if (!open) { pen.fillStyle = look; pen.fill(path); }
      pen.strokeStyle = open ? look : ground;
      pen.lineWidth = open ? 1.3 : 0.6;
      pen.stroke(path);
    }
    const marked = ask.marked();
    if (marked < 0 || !ask.seen(marked)) return;
    go(marked);
    for (const [width, look] of [[5, ground], [2.2, ink]]) {
      pen.beginPath();
      pen.arc(0, 0, pictured ? 18 : 9, 0, 2 * Math.PI);
      pen.lineWidth = width;
      pen.strokeStyle = look;
      pen.stroke();
    }
  };

  const stand = (stage) => { at = Float32Array.from(of(stage), (v) => v / state.full); };
  const travel = (stage, arrived) => {
    cancelAnimationFrame(frame);
    const goal = of(stage), from = at.slice(), begun = performance.now();
    const step = (time) => {
      const done = still() ? 1 : Math.min(1, Math.max(0, time - begun) / MOVE);
      const eased = done * done * (3 - 2 * done);
      for (let k = 0; k < at.length; k++) at[k] = from[k] + (goal[k] / state.full - from[k]) * eased;
      draw();
      plot.dataset.stage = state.stages[stage].name;
      if (done < 1) frame = requestAnimationFrame(step);
      else arrived();
    };
    frame = requestAnimationFrame(step);
  };

  const near = (x, up, but = -1) => {
    const far = [];
    for (let i = 0; i < count; i++) {
      if (i === but || !ask.seen(i)) continue;
      const [a, b] = place(i);
      far.push([Math.hypot(a - x, b - up), i]);
    }
    return far.sort((a, b) => a[0] - b[0]);
  };
  const under = (event) => {
    const box = plot.getBoundingClientRect();
    const [[far, best] = [Infinity, -1]] = near(event.clientX - box.left - 1, event.clientY - box.top - 1);
    return far < (made.asPictures ? THUMB : NEAR) ? best : -1;
  };
  const beside = (i) => near(...place(i), i).slice(0, 3).map(([, k]) => k);
  // The next point in a direction: within 45 degrees of it; what lies straight ahead counts as nearer.
  const next = (i, [right, down]) => {
    const [x, up] = place(i);
    let best = -1, gap = Infinity;
    for (const [far, k] of near(x, up, i)) {
      const [a, b] = place(k), along = (a - x) * right + (b - up) * down, away = far * (2 - along / far);
      if (far > 1e-6 && along >= 0.7 * far && away < gap) [best, gap] = [k, away];
    }
    return best;
  };

  const stale = () => drawn !== `${tones()}`; // the theme has other colours than those that were drawn
  return Object.assign(made, { draw, stale, stand, travel, under, beside, next, cell, end: () => cancelAnimationFrame(frame) });
};
