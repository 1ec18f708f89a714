// What every widget of the course uses. Text goes in by textContent only: a class may be called anything.

const fill = (node, attributes, children) => {
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
};
const make = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
const shape = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
const number = (n) => n.toLocaleString("en");

const BUSY = "The kernel is busy; this follows when it is free.";
const ENDED = "The kernel that this belongs to has ended. Run the cell again.";

// What the kernel says, for the eye and for a screen reader; and that it has ended, when it has. `tell` sends it a
// message; `ask` also hears when that was dealt with, and says so while the kernel has no time for it. Both return
// whether it could be sent. `alone`: what the widget shows needs no kernel.
const statusLine = (model, { alone = false } = {}) => {
  const line = make("p", { class: "tlc-status", role: "status" });
  queueMicrotask(() => line.closest(".tlc")?.addEventListener("keydown", kept)); // when it stands in its widget
  const asked = new Map(); // by its turn: what to do when the kernel has dealt with it
  let wait = 0;
  const speak = () => { line.textContent = model.get("status"); };
  const over = () => {
    const box = line.closest(".tlc");
    if (!box) return;
    clearTimeout(wait);
    box.classList.add("tlc-ended");
    line.textContent = ENDED;
    if (alone) return;
    for (let at = line; at !== box; at = at.parentElement) { // all but this line: no key, no click
      for (const part of at.parentElement.children) part.inert ||= part !== at;
    }
    for (const part of box.querySelectorAll("svg [tabindex]")) part.removeAttribute("tabindex"); // inert is HTML's only
  };
  const look = () => {
    const state = model.widget_manager?.kernel?.status ?? "dead";
    if (["restarting", "autorestarting", "terminating", "dead"].includes(state)) over();
  };
  const tell = (message, buffers) => {
    try {
      model.send(message, undefined, buffers);
      return true;
    } catch { // there is nobody to hear it
      over();
      return false;
    }
  };
  const ask = (message, { then = () => {}, buffers, patience = 400 } = {}) => {
    const turn = `${Date.now()} ${Math.random()}`;
    if (!tell({ ...message, turn }, buffers)) return false;
    asked.set(turn, then);
    wait ||= setTimeout(() => { line.textContent = BUSY; }, patience);
    return true;
  };
  const answered = () => {
    const turn = model.get("answered"), then = asked.get(turn);
    if (!then) return; // another view asked that
    asked.delete(turn);
    if (!asked.size) {
      clearTimeout(wait);
      wait = 0;
      if (line.textContent === BUSY) speak();
    }
    then();
  };
  const heard = [["change:status", speak], ["change:answered", answered], ["comm_live_update", look]];
  speak();
  for (const [name, run] of heard) model.on(name, run);
  const end = () => {
    clearTimeout(wait);
    for (const [name, run] of heard) model.off(name, run);
  };
  return { line, tell, ask, end };
};

// A key that is pressed in a widget is meant for it: JupyterLab would add a cell on "b" and go to another on an arrow. What
// runs the cell, leaves it, or is a command of the whole page goes through.
const kept = (event) => {
  const run = event.key === "Enter" && event.shiftKey;
  if (!(run || event.key === "Escape" || event.ctrlKey || event.metaKey || event.altKey)) event.stopPropagation();
};

// A field for a sentence: Enter, or the button, submits what is typed; Shift+Enter begins a new line.
const sentence = (label, placeholder, submit) => {
  const typed = make("textarea", { rows: 2, dir: "auto", "aria-label": label, placeholder });
  const go = make("button", { type: "button" }, "Ask");
  go.addEventListener("click", submit);
  typed.addEventListener("keydown", (event) => {
    event.stopPropagation(); // JupyterLab has keys of its own
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    submit();
  });
  return { typed, go };
};

// Calls `run` once things have been quiet for so many milliseconds.
const debounced = (run, quiet) => {
  let timer = 0;
  const later = (...given) => { clearTimeout(timer); timer = setTimeout(run, quiet, ...given); };
  later.cancel = () => clearTimeout(timer);
  return later;
};

// Keys that move a value; JupyterLab must not see them, it would move to another cell.
const keySteps = (event, now, { step = 1, page = 5, low = 0, high = 100 }) => {
  const to = {
    ArrowDown: now + step, ArrowRight: now + step, ArrowUp: now - step, ArrowLeft: now - step,
    PageDown: now + page, PageUp: now - page, Home: low, End: high,
  }[event.key];
  if (to === undefined) return null;
  event.preventDefault();
  event.stopPropagation();
  return Math.min(high, Math.max(low, to));
};
