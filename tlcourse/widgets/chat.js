// The chat: a question goes to the kernel, the reply comes back with its source.

const cosine = (value) => value.toFixed(2).replace("-", "−");

// How near the best entry is, as a bar with the threshold as a mark.
const meter = (value, threshold) => {
  const at = (x) => `${100 * Math.min(1, Math.max(0, x))}%`;
  const filled = make("span", { class: "tlc-cosine" }), mark = make("span", { class: "tlc-threshold" });
  filled.style.width = at(value);
  mark.style.left = at(threshold);
  return make("span", { class: "tlc-meter", "aria-hidden": "true" }, filled, mark);
};

const bubble = (turn) => {
  const [best, ...others] = turn.nearest;
  const answer = make("p", { class: "tlc-answer-text", dir: "auto" }, make("span", { class: "tlc-quiet" }, "The bot: "), turn.answer);
  const asked = make("p", { class: "tlc-asked", dir: "auto" }, make("span", { class: "tlc-quiet" }, "You: "), turn.question);
  const note = turn.note ? [make("p", { class: "tlc-source" }, turn.note)] : [];
  const reply = (...parts) => make("div", { class: `tlc-reply ${turn.known ? "" : "tlc-unknown"}` }, answer, ...parts);
  if (!best) return [asked, reply(...note)]; // a bot of one's own may have no entries
  const told = `cosine ${cosine(best.similarity)}, ${best.similarity < turn.threshold ? "below the threshold of" : "threshold"} ${cosine(turn.threshold)}`;
  const source = turn.known
    ? [make("span", {}, "Source: "), make("cite", { class: "tlc-name", dir: "auto" }, best.question), ` (${best.source})`]
    : [make("span", {}, "Nearest: "), make("cite", { class: "tlc-name", dir: "auto" }, best.question)];
  const list = make("ol", {}, ...[best, ...others].map((one) =>
    make("li", {}, make("span", { class: "tlc-name", dir: "auto" }, one.question), ` (${one.source}), ${cosine(one.similarity)}`)));
  return [
    asked,
    reply(
      make("p", { class: "tlc-soft tlc-source" }, ...source),
      make("p", { class: "tlc-soft tlc-source" }, meter(best.similarity, turn.threshold), told),
      ...note,
      make("details", {}, make("summary", {}, "the nearest entries"), list)),
  ];
};

function render({ model, el }) {
  const { line: status, ask, end } = statusLine(model);
  const log = make("div", { class: "tlc-log", role: "log", tabindex: "0", "aria-label": "What was said" });
  const empty = make("p", { class: "tlc-soft" }, "Nothing was asked yet.");
  const put = (question, then = () => {}) => {
    box.setAttribute("aria-busy", "true");
    const answered = () => { box.removeAttribute("aria-busy"); then(); };
    ask({ do: "ask", what: question }, { then: answered, patience: 1500 });
  };
  const submit = () => {
    const question = typed.value; // what was refused stays, and so does what was typed meanwhile
    put(question, () => { if (!model.get("status") && typed.value === question) typed.value = ""; });
  };
  const { typed, go } = sentence("A question for the bot", "Ask a question, and press Enter", submit);
  const examples = model.get("examples").map((question) => {
    const button = make("button", { type: "button", class: "tlc-name", dir: "auto" }, question);
    button.addEventListener("click", () => put(question));
    return button;
  });
  const clear = make("button", { type: "button" }, "Clear");
  clear.addEventListener("click", () => ask({ do: "clear" }));
  const box = make("div", { class: "tlc tlc-chat", role: "group", "aria-label": "Ask the bot", "data-lm-suppress-shortcuts": "true" },
    log, make("div", { class: "tlc-row" }, typed, go, clear),
    ...(examples.length ? [make("div", { class: "tlc-row" }, make("span", { class: "tlc-soft" }, "or ask:"), ...examples)] : []), status);
  el.append(box);

  const drawn = new Map(); // by its turn: the nodes of a question and its reply
  const draw = () => {
    const turns = model.get("turns"), now = new Set(turns.map(({ turn }) => turn));
    for (const [turn, nodes] of drawn) {
      if (now.has(turn)) continue;
      nodes.forEach((node) => node.remove());
      drawn.delete(turn);
    }
    for (const turn of turns) { // only what is new, so that a screen reader reads no more than that
      if (drawn.has(turn.turn)) continue;
      drawn.set(turn.turn, bubble(turn));
      log.append(...drawn.get(turn.turn));
    }
    if (turns.length) empty.remove();
    else log.append(empty);
    clear.disabled = !turns.length;
    requestAnimationFrame(() => { log.scrollTop = log.scrollHeight; }); // at first it does not stand on the page yet
  };
  model.on("change:turns", draw);
  draw();
  return () => {
    end();
    model.off("change:turns", draw);
  };
}

export default { render };
