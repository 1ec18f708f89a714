// The prediction widget: an image or a sentence goes to the kernel, the answer comes back and is drawn.

const HUGE = 200e6; // bytes of a file that is not even opened
const SMALLER = 1024; // pixels of the short side of an image that the page makes smaller

// A large image is made smaller here: a kernel takes no message of that size, and no model sees so many pixels.
const shrunk = async (file) => {
  const image = await createImageBitmap(file);
  const { width, height } = image, scale = Math.min(1, SMALLER / Math.min(width, height), 4 * SMALLER / Math.max(width, height));
  const canvas = make("canvas", { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) });
  const pen = canvas.getContext("2d");
  pen.fillStyle = "#fff";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.imageSmoothingQuality = "high";
  pen.drawImage(image, 0, 0, canvas.width, canvas.height);
  image.close();
  const made = await new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.92));
  return [made, `The image was made smaller before it was sent: ${width} × ${height} became ${canvas.width} × ${canvas.height} pixels.`];
};

function render({ model, el }) {
  const text = model.get("kind") === "text", mega = (n) => `${Number((n / 1e6).toFixed(n < 1e7 ? 1 : 0))} MB`;
  const { line: status, ask: put, end } = statusLine(model);
  const busy = make("p", { class: "tlc-busy", role: "status" });
  const spoken = make("p", { class: "tlc-quiet", role: "status" });
  const bars = make("div", { class: "tlc-bars", role: "group", "aria-label": "Classes; press one to see what speaks for it" });
  const canvas = make("canvas", { role: "img" });
  const words = make("p", { class: "tlc-text", dir: "auto", "aria-hidden": "true" });
  const list = make("p", { class: "tlc-quiet" });
  const source = make("p", { class: "tlc-soft tlc-name", dir: "auto" });
  const looked = make("p", {}), how = make("p", { class: "tlc-soft" }), notes = make("ul", { class: "tlc-notes" });
  const veil = make("button", { type: "button", "aria-pressed": "true" }, "show where it looked");
  let rank = 0, lit = true, remarks = [];

  const ask = (message, what, buffers) => {
    busy.textContent = what;
    status.textContent = "";
    box.setAttribute("aria-busy", "true");
    put(message, { buffers, patience: 4000 }); // it says itself that the model is at work
  };
  const rest = () => { busy.textContent = ""; box.removeAttribute("aria-busy"); };

  // images ------------------------------------------------------------------------------------------
  const refuse = (why) => { rest(); status.textContent = why; };
  const send = async ([file, ...others]) => {
    if (!file) return;
    remarks = others.length ? [`Of ${others.length + 1} files the first was taken.`] : [];
    status.textContent = "";
    if (file.size > HUGE) return refuse(`“${file.name}” has ${mega(file.size)}; the limit is ${mega(HUGE)}. Scale it down first.`);
    busy.textContent = `Reading “${file.name}” …`;
    let small = file;
    if (file.size > model.get("large")) {
      try {
        const [made, remark] = await shrunk(file);
        small = made;
        remarks.push(remark);
      } catch {
        return refuse(`“${file.name}” has ${mega(file.size)}, and this browser cannot read it to make it smaller. Up to `
          + `${mega(model.get("large"))} are sent as they are. Open it in an image viewer and save it smaller, as JPEG or PNG.`);
      }
    }
    let bytes;
    try {
      bytes = await small.arrayBuffer();
    } catch { // a folder, or a file that is gone
      return refuse(`“${file.name}” cannot be read: is it a folder, or was it moved?`);
    }
    ask({ do: "file", name: file.name }, "The model looks …", [bytes]);
  };
  const chooser = make("input", { type: "file", accept: model.get("files").join(","), hidden: "" });
  const choose = make("button", { type: "button" }, "Choose a file …");
  choose.addEventListener("click", () => chooser.click());
  chooser.addEventListener("change", () => { send([...chooser.files]); chooser.value = ""; });
  const pick = make("select", { "aria-label": "A photograph of the course" }, make("option", { value: "" }, "a photograph of the course"),
    ...model.get("photographs").map((name) => make("option", { value: name }, name)));
  const settled = debounced(() => {
    if (!pick.value) return;
    remarks = [];
    ask({ do: "photograph", what: pick.value }, "The model looks …");
  }, 250);
  pick.addEventListener("change", settled);

  // sentences ---------------------------------------------------------------------------------------
  const submit = () => ask({ do: "text", what: typed.value }, "The model reads …");
  const { typed, go } = sentence("A sentence to ask about", "Type a sentence, and press Enter", submit);

  const input = text
    ? make("div", { class: "tlc-row tlc-ask" }, typed, go)
    : make("div", { class: "tlc-row tlc-ask" }, make("span", {}, "Drop an image here, or"), choose, pick, chooser);
  const hint = make("p", { class: "tlc-soft" }, text
    ? "Enter asks, Shift+Enter begins a new line. The text goes to the kernel and nowhere else."
    : `JPEG, PNG, WebP, GIF, TIFF, up to 64 million pixels; a file of more than ${mega(model.get("large"))} is made smaller `
      + "first. The image goes to the kernel and nowhere else.");
  const answer = make("div", { class: "tlc-answer" },
    make("div", { class: "tlc-seen" }, text ? words : canvas, source), make("div", { class: "tlc-said" }, bars, looked, how, notes));
  const box = make("div", { class: `tlc tlc-predict tlc-${text ? "of-text" : "of-image"}`, role: "group", "aria-label": "Ask the model",
    "data-lm-suppress-shortcuts": "true" }, input, hint, busy, status, answer, ...(text ? [] : [make("div", { class: "tlc-row" }, veil)]), list, spoken);
  el.append(box);

  // the answer --------------------------------------------------------------------------------------
  const choice = () => {
    const state = model.get("state"), bar = state.bars[rank];
    [...bars.children].forEach((button, i) => button.setAttribute("aria-pressed", String(i === rank)));
    looked.textContent = bar.looked;
    if (state.kind === "image") {
      const mapped = state.grid[0] > 0;
      drawPicture(canvas, state, model.get("picture"), model.get("maps"), lit && mapped ? rank : null);
      canvas.setAttribute("aria-label", `What the model saw of ${state.source || "the image"}. ${lit ? bar.looked : ""}`);
      veil.hidden = !mapped;
    } else {
      drawText(words, state, rank);
      const told = state.words.filter((word) => word.says[rank]).map((word) => `${word.text}: ${word.says[rank]}`);
      list.textContent = told.length ? `Of a hundred points each word counts: ${told.join("; ")}.` : "";
    }
  };
  const draw = () => {
    const state = model.get("state");
    answer.hidden = veil.hidden = !state.bars;
    if (!state.bars) return;
    rest();
    rank = 0;
    bars.replaceChildren(...state.bars.map(({ name, share, says }, i) => {
      const fill = make("span", { class: "tlc-fill", "aria-hidden": "true" });
      fill.style.width = `${100 * share}%`;
      const button = make("button", { type: "button", "aria-pressed": "false" },
        make("span", { class: "tlc-name" }, name), " ", make("span", { class: "tlc-share" }, says), fill);
      button.addEventListener("click", () => { rank = i; choice(); spoken.textContent = state.bars[i].looked; });
      return button;
    }));
    source.textContent = state.source;
    how.textContent = [state.classes > state.bars.length ? `${state.bars.length} of ${number(state.classes)} classes` : "", state.how]
      .filter(Boolean).join("; ");
    notes.replaceChildren(...[...state.notes, ...remarks].map((line) => make("li", {}, line)));
    choice();
    spoken.textContent = `${state.bars.map((bar) => `${bar.name} ${bar.says}`).join(", ")}. ${state.bars[0].looked}`;
  };

  veil.addEventListener("click", () => {
    lit = !lit;
    veil.setAttribute("aria-pressed", String(lit));
    choice();
  });

  // dropping: the page must not open the file, nor JupyterLab put it among its own
  let over = 0;
  const dragging = (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    event.stopPropagation();
    over += { dragenter: 1, dragleave: -1 }[event.type] ?? 0;
    if (event.type === "drop") {
      over = 0;
      if (text) refuse("This model reads sentences: type one, or paste it.");
      else send([...event.dataTransfer.files]);
    }
    box.classList.toggle("tlc-over", over > 0);
  };
  ["dragenter", "dragover", "dragleave", "drop"].forEach((name) => box.addEventListener(name, dragging));

  const refused = () => { if (model.get("status")) rest(); };
  const heard = [["change:state", draw], ["change:status", refused]];
  heard.forEach(([event, run]) => model.on(event, run));
  draw();
  return () => {
    end();
    settled.cancel();
    heard.forEach(([event, run]) => model.off(event, run));
  };
}

export default { render };
