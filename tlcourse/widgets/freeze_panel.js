// The freezing panel: a row a stage; a line to drag shows up to where the chain is frozen.

function render({ model, el }) {
  const ask = (what) => model.send(what);
  const { line: status, end } = statusLine(model);
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

  let boundary = 0, rows = [], pending = null;
  const stages = () => model.get("state").stages || [];

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
    lock.addEventListener("click", () => ask({ do: "toggle", what: stages()[index].name }));
    up.addEventListener("click", () => ask({ do: "until", what: index + 1 }));
    cells[1].addEventListener("click", () => ask({ do: "until", what: index + 1 }));
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
    const k = pending ?? boundary;
    const top = table.tHead.offsetHeight;
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
    boundary = state.boundary;
    panel.classList.toggle("tlc-tried", state.tried);
    totals.textContent = state.totals;
    cautions.replaceChildren(...state.cautions.map((text) => make("li", {}, text)));
    code.textContent = state.code;
    if (presets.childElementCount !== state.presets.length) {
      presets.replaceChildren(...state.presets.map(({ name, says }) => {
        const button = make("button", { type: "button", title: says }, name);
        button.addEventListener("click", () => ask({ do: "preset", what: name }));
        return button;
      }));
    }
    pending = null;
    place();
  };

  // the line: mouse, finger, keys -----------------------------------------------------------------
  const nearest = (clientY) => {
    const y = clientY - table.getBoundingClientRect().top;
    let best = 0, gap = Math.abs(y - table.tHead.offsetHeight);
    rows.forEach((made, index) => {
      const away = Math.abs(y - (made.line.offsetTop + made.line.offsetHeight));
      if (away < gap) [best, gap] = [index + 1, away];
    });
    return best;
  };
  handle.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    handle.setPointerCapture(event.pointerId);
    handle.focus();
    pending = boundary;
  });
  handle.addEventListener("pointermove", (event) => {
    if (!handle.hasPointerCapture(event.pointerId)) return;
    pending = nearest(event.clientY);
    place();
  });
  const drop = (event) => {
    if (pending === null) return;
    const k = pending;
    if (event.type === "pointerup" && k !== boundary) ask({ do: "until", what: k });
    else { pending = null; place(); }
  };
  handle.addEventListener("pointerup", drop);
  handle.addEventListener("pointercancel", drop);

  const settle = debounced(() => { // keys that are held down ask once
    if (pending !== null && pending !== boundary) ask({ do: "until", what: pending });
    else pending = null;
  }, 60);
  handle.addEventListener("keydown", (event) => {
    const to = keySteps(event, pending ?? boundary, { high: rows.length });
    if (to === null) return;
    pending = to;
    place();
    settle();
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
  step.addEventListener("click", () => ask({ do: "step" }));

  const speak = () => { pending = null; place(); }; // refused: the line goes back
  model.on("change:state", draw);
  model.on("change:status", speak);
  const watch = new ResizeObserver(place); // rows get taller on a narrow screen
  watch.observe(table);
  draw();
  return () => {
    settle.cancel();
    end();
    watch.disconnect();
    model.off("change:state", draw);
    model.off("change:status", speak);
  };
}

export default { render };
