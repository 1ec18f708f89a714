// The freezing panel: a row a stage; a line to drag shows up to where the chain is frozen.

const EDGE = 28; // pixels from the edge of a long chain's box where it scrolls

function render({ model, el }) {
  const { line: status, ask, end } = statusLine(model);
  const presets = make("div", { class: "tlc-presets", role: "group", "aria-label": "Presets" });
  const body = make("tbody");
  const head = make("tr");
  for (const title of ["Stage", "Parameters", "Requires grad", "In optimizer", "Buffers that move", "Moved in one step"]) {
    head.append(make("th", { scope: "col" }, title));
  }
  const table = make("table", { class: "tlc-stages" }, make("thead", {}, head), body);
  const handle = make("div", {
    class: "tlc-handle", role: "slider", tabindex: "0", "aria-orientation": "vertical",
    "aria-label": "Frozen up to", "aria-valuemin": "0",
  }, make("span", { class: "tlc-grip", "aria-hidden": "true" }));
  const chain = make("div", { class: "tlc-chain" }, table, handle);
  const totals = make("p", { class: "tlc-totals" });
  const cautions = make("ul", { class: "tlc-cautions" });
  const code = make("code");
  const copy = make("button", { type: "button" }, "Copy");
  const step = make("button", { type: "button" }, "Run one step, show what moved");
  const panel = make("div", { class: "tlc tlc-panel", role: "group", "aria-label": "Freezing panel" },
    presets, chain, totals, cautions,
    make("div", { class: "tlc-code" }, code, copy), make("div", { class: "tlc-step" }, step), status);
  el.append(panel);

  let rows = [], dragged = null; // where the line is held, while it is
  const stages = () => model.get("state").stages || [];

  // one question at a time: while the kernel works, newer wishes wait; of places for the line only the last is asked ----
  let asked = null;
  const wishes = [];
  const next = () => {
    asked = wishes.shift() ?? null;
    if (asked && !ask(asked, { then: next })) asked = null;
    place();
  };
  const wish = (what) => {
    if (what.do === "until" && wishes.at(-1)?.do === "until") wishes.pop();
    wishes.push(what);
    if (asked) place(); else next();
  };
  // where the line is, or will be when all is answered
  const aim = () => {
    const last = [asked, ...wishes].findLast((what) => what?.do === "until");
    return Math.min(rows.length, dragged ?? last?.what ?? model.get("state").boundary);
  };

  // one row a stage, made once and then filled, so that the keyboard's place is kept ---------------
  const row = (index) => {
    const lock = make("button", { type: "button", class: "tlc-lock" });
    const name = make("span", { class: "tlc-name" });
    const bar = make("span", { class: "tlc-bar", "aria-hidden": "true" }, make("span"));
    const count = make("span", { class: "tlc-count" });
    const up = make("button", { type: "button", class: "tlc-up" }, name);
    const cells = [make("th", { scope: "row" }, lock, up), make("td", {}, bar, count)];
    for (let i = 0; i < 4; i++) cells.push(make("td", { class: "tlc-fact" }));
    const line = make("tr", {}, ...cells);
    lock.addEventListener("click", () => wish({ do: "toggle", what: stages()[index].name }));
    up.addEventListener("click", () => wish({ do: "until", what: index + 1 }));
    cells[1].addEventListener("click", () => wish({ do: "until", what: index + 1 }));
    return { line, lock, up, name, bar: bar.firstChild, count, cells };
  };

  const show = (made, stage) => {
    made.line.dataset.state = stage.state;
    made.lock.setAttribute("aria-pressed", String(stage.frozen));
    made.lock.setAttribute("aria-label", `Freeze ${stage.name}`);
    made.lock.textContent = stage.frozen ? "❄" : "○";
    made.name.textContent = stage.name;
    made.up.title = `${stage.name}: ${stage.says}. Click to freeze up to here.`;
    made.up.setAttribute("aria-label", `${stage.name}, ${stage.says}. Freeze up to here`);
    made.bar.style.width = stage.parameters ? `max(2px, ${100 * stage.bar}%)` : "0";
    made.count.textContent = stage.parameters ? number(stage.parameters) : "none";
    const facts = [stage.grad, stage.optimizer, String(stage.buffers), stage.moved ?? "–"];
    facts.forEach((text, i) => { made.cells[i + 2].textContent = text; });
    made.cells[5].classList.toggle("tlc-loud", stage.moved === "buffers"); // what looks frozen, and is not
    made.cells[4].classList.toggle("tlc-loud", stage.buffers > 0 && stage.grad === "no");
  };

  const place = () => {
    const k = aim(), top = table.tHead.offsetHeight;
    const y = k === 0 ? top : rows[k - 1].line.offsetTop + rows[k - 1].line.offsetHeight;
    handle.style.top = `${y}px`;
    const name = k ? stages()[k - 1].name : "nothing";
    handle.setAttribute("aria-valuemax", String(rows.length));
    handle.setAttribute("aria-valuenow", String(k));
    handle.setAttribute("aria-valuetext", k ? `frozen up to ${name}` : "nothing is frozen");
  };

  const draw = () => {
    const state = model.get("state");
    if (rows.length !== stages().length) {
      rows = stages().map((_, index) => row(index));
      body.replaceChildren(...rows.map((made) => made.line));
    }
    stages().forEach((stage, index) => show(rows[index], stage));
    panel.classList.toggle("tlc-tried", state.tried);
    totals.textContent = state.totals;
    cautions.replaceChildren(...state.cautions.map((text) => make("li", {}, text)));
    code.textContent = state.code;
    if (presets.childElementCount !== state.presets.length) {
      presets.replaceChildren(...state.presets.map(({ name, says }) => {
        const button = make("button", { type: "button", title: says }, name);
        button.addEventListener("click", () => wish({ do: "preset", what: name }));
        return button;
      }));
    }
    place();
  };

  // the line: mouse, finger, keys -----------------------------------------------------------------
  const nearest = (clientY) => {
    const box = chain.getBoundingClientRect();
    const y = Math.min(box.bottom, Math.max(box.top, clientY)) - table.getBoundingClientRect().top;
    let best = 0, gap = Math.abs(y - table.tHead.offsetHeight);
    rows.forEach((made, index) => {
      const away = Math.abs(y - (made.line.offsetTop + made.line.offsetHeight));
      if (away < gap) [best, gap] = [index + 1, away];
    });
    return best;
  };
  const inSight = () => { // a long chain scrolls in its box
    const y = parseFloat(handle.style.top);
    chain.scrollTop = Math.min(y - EDGE, Math.max(y + EDGE - chain.clientHeight, chain.scrollTop));
  };
  let pointer = 0, frame = 0;
  const drag = () => { // held near an edge of the box, the line goes on and the chain scrolls under it
    frame = 0;
    if (dragged === null) return;
    const box = chain.getBoundingClientRect();
    const by = Math.max(0, pointer - box.bottom + EDGE) - Math.max(0, box.top + EDGE - pointer);
    chain.scrollTop += Math.max(-EDGE, Math.min(EDGE, by)) / 2;
    dragged = nearest(pointer);
    place();
    if (by) frame = requestAnimationFrame(drag);
  };
  handle.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    handle.setPointerCapture(event.pointerId);
    handle.focus({ preventScroll: true });
    dragged = aim();
  });
  handle.addEventListener("pointermove", (event) => {
    if (dragged === null) return;
    pointer = event.clientY;
    if (!frame) drag();
  });
  handle.addEventListener("pointerup", () => {
    const k = dragged;
    dragged = null;
    if (k !== null && k !== aim()) wish({ do: "until", what: k });
  });
  handle.addEventListener("lostpointercapture", () => { // let go, or taken away: what was not asked for does not stay
    dragged = null;
    place();
  });
  handle.addEventListener("keydown", (event) => {
    const to = keySteps(event, aim(), { high: rows.length });
    if (to === null || dragged !== null) return;
    if (to !== aim()) wish({ do: "until", what: to });
    inSight();
  });

  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(code.textContent);
      status.textContent = "Copied.";
    } catch {
      const range = document.createRange(); // no right to the clipboard: select it, for the keyboard
      range.selectNodeContents(code);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      status.textContent = "Selected: copy it with Ctrl+C.";
    }
  });
  step.addEventListener("click", () => wish({ do: "step" }));

  model.on("change:state", draw);
  const watch = new ResizeObserver(place); // rows get taller on a narrow screen
  watch.observe(table);
  draw();
  return () => {
    cancelAnimationFrame(frame);
    end();
    watch.disconnect();
    model.off("change:state", draw);
  };
}

export default { render };
