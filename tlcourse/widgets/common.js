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

// What the kernel says, for the eye and for a screen reader; and that it has ended, when it has.
const statusLine = (model) => {
  const line = make("p", { class: "tlc-status", role: "status" });
  const speak = () => { line.textContent = model.get("status"); };
  const look = () => {
    const state = model.widget_manager?.kernel?.status ?? "dead";
    if (!["restarting", "autorestarting", "terminating", "dead"].includes(state)) return;
    line.closest(".tlc")?.classList.add("tlc-ended");
    line.textContent = "The kernel that this belongs to has ended. Run the cell again.";
  };
  speak();
  model.on("change:status", speak);
  model.on("comm_live_update", look);
  return { line, end: () => { model.off("change:status", speak); model.off("comm_live_update", look); } };
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
