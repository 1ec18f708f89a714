// The embedding explorer: points of one stage at a time. All places are here from the start, so no slider move asks
// the kernel; it is only told.

const percent = (share) => (share > 0 && share < 0.0095 ? "under 1 %" : `${Math.round(100 * share)} %`);

function render({ model, el }) {
  const state = model.get("state"), { stages, y, domain } = state, several = state.domains.length > 1;
  const { line: status, end } = statusLine(model);

  const slider = make("input", { type: "range", min: 0, max: stages.length - 1, step: 1, class: "tlc-slider", "aria-label": "Stage" });
  const named = make("strong", { class: "tlc-name" });
  const facts = make("span", { class: "tlc-soft" });
  const bars = shape("svg", { class: "tlc-scores", viewBox: `0 0 ${stages.length} 1`, preserveAspectRatio: "none", "aria-hidden": "true" });
  const scores = make("ul", { class: "tlc-told", "aria-label": "What the nearest neighbours name" });
  const ways = make("div", { class: "tlc-row", role: "group", "aria-label": "Colours and shapes by" });
  const canvas = make("canvas", { "aria-hidden": "true" });
  const plot = make("div", {
    class: "tlc-plot", tabindex: 0, role: "application", "aria-roledescription": "picture of points",
    "aria-label": `${y.length} items as points. Arrow keys go to the next point in that direction, Page Down to the next item, Escape to none.`,
  }, canvas);
  const thumb = make("canvas", { class: "tlc-thumb", width: state.side, height: state.side, "aria-hidden": "true" });
  const about = make("div", { class: "tlc-about" });
  const legend = make("div", { class: "tlc-legend", role: "group", "aria-label": "Show or hide" });
  const spoken = make("p", { class: "tlc-quiet", role: "status" });
  el.append(make("div", { class: "tlc tlc-explorer", role: "group", "aria-label": "Embedding explorer" },
    make("div", { class: "tlc-row" }, make("span", { "aria-hidden": "true" }, "Stage"), make("div", { class: "tlc-track" }, bars, slider)),
    make("p", { class: "tlc-where" }, named, " ", facts), scores, ways,
    make("div", { class: "tlc-both" }, plot, make("div", { class: "tlc-card" }, thumb, about)), legend,
    make("p", { class: "tlc-soft" }, state.drawn), status, spoken));

  const hidden = new Set(); // groups that the legend has switched off, as "class 3"
  let now = Math.max(0, stages.findIndex((s) => s.name === model.get("stage"))), hovered = -1, gone = false;
  const byDomain = () => model.get("by") === "domain", names = () => (byDomain() ? state.domains : state.classes);
  const seen = (i) => !hidden.has(`class ${y[i]}`) && !hidden.has(`domain ${domain[i]}`);
  const points = cloud(plot, canvas, model.get("places"), state, {
    of: () => (byDomain() ? domain : y),
    open: (i) => several && !byDomain() && domain[i] > 0,
    seen,
    marked: () => (hovered >= 0 ? hovered : model.get("chosen")),
  });

  // words -----------------------------------------------------------------------------------------
  const showStage = () => {
    const { name, held, width, agree } = stages[now], { usual } = state;
    slider.value = now;
    slider.setAttribute("aria-valuetext", `${name}, ${now + 1} of ${stages.length}`);
    named.textContent = name;
    facts.textContent = `${number(width)} numbers an item; the plane holds ${percent(held)} of their variance`;
    const told = (kind, what) => agree[kind] == null ? [] : [make("li", {}, `${what}: `, make("strong", {}, percent(agree[kind])),
      usual[kind] == null ? "" : ` (always naming the commonest: ${percent(usual[kind])})`)];
    scores.replaceChildren(...told("class", "Neighbours name the class"),
      ...told("class across domains", "The same, neighbours of other domains only"), ...told("domain", "Neighbours name the domain"));
    [...bars.children].forEach((bar, i) => bar.classList.toggle("tlc-now", i === now));
  };

  const sign = (g, open = false) => {
    const look = COLOURS[g % COLOURS.length] === "ink" ? "var(--ink)" : COLOURS[g % COLOURS.length];
    const mark = shape("path", { d: MARKS[g % MARKS.length] });
    mark.setAttribute("style", open ? `fill:none;stroke:${look};stroke-width:1.4` : `fill:${look}`);
    return shape("svg", { viewBox: "-7 -7 14 14", width: 14, height: 14, "aria-hidden": "true" }, mark);
  };
  const near = (i) => points.beside(i).map((k) => state.classes[y[k]]).join(", ");

  const tell = () => {
    const looked = hovered >= 0 ? hovered : model.get("chosen"), i = looked >= 0 && seen(looked) ? looked : -1;
    thumb.hidden = i < 0 || !points.sheet;
    if (i < 0) {
      about.replaceChildren(make("p", { class: "tlc-soft" },
        "Point at an item, or go into the picture with the Tab key and walk with the arrow keys. A click keeps the item."));
      return;
    }
    if (points.sheet) thumb.getContext("2d").drawImage(points.sheet, ...points.cell(i), 0, 0, state.side, state.side);
    about.replaceChildren(make("p", { class: "tlc-item", dir: "auto" }, state.names[i]),
      make("p", {}, sign(byDomain() ? domain[i] : y[i], several && !byDomain() && domain[i] > 0), " ",
        make("span", { class: "tlc-name" }, state.classes[y[i]])));
    if (several) about.append(make("p", { class: "tlc-soft" }, "from ", make("span", { class: "tlc-name" }, state.domains[domain[i]])));
    if (near(i)) about.append(make("p", { class: "tlc-soft tlc-near" }, `nearest in the picture: ${near(i)}`));
  };

  const showLegend = () => {
    const of = byDomain() ? domain : y;
    legend.replaceChildren(...names().map((name, g) => {
      const own = of.reduce((n, k) => n + (k === g), 0), key = `${model.get("by")} ${g}`;
      const button = make("button", { type: "button", "aria-pressed": "true", title: name },
        sign(g), " ", make("span", { class: "tlc-name" }, name), ` ${own}`);
      button.addEventListener("click", () => {
        if (!hidden.delete(key)) hidden.add(key);
        button.setAttribute("aria-pressed", String(!hidden.has(key)));
        redraw();
      });
      return button;
    }));
    if (several && !byDomain()) {
      const [filled, ...open] = state.domains.map((name) => make("span", { class: "tlc-name", title: name }, name));
      legend.append(make("p", { class: "tlc-soft" }, "filled: ", filled, "; open: ", ...open.flatMap((name, i) => (i ? [", ", name] : [name]))));
    }
    for (const button of ways.querySelectorAll("[data-by]")) {
      button.setAttribute("aria-pressed", String(button.dataset.by === model.get("by")));
    }
  };

  // what the page and the kernel change ------------------------------------------------------------
  const redraw = () => { points.draw(); tell(); };
  const save = debounced(() => model.save_changes(), 80);
  const change = (name, value) => { model.set(name, value); save(); };
  const onStage = () => {
    const to = stages.findIndex((s) => s.name === model.get("stage"));
    if (to < 0 || to === now) return;
    now = to;
    showStage();
    points.travel(to, tell); // who is near has changed
  };
  const onBy = () => { hidden.clear(); showLegend(); redraw(); };
  const choose = (i) => {
    hovered = -1;
    change("chosen", i);
    redraw();
    const what = [state.kind === "text" ? state.names[i] : "", state.classes[y[i]], several ? state.domains[domain[i]] : ""];
    spoken.textContent = i < 0 ? "No item." : `${what.filter(Boolean).join(", ")}.${near(i) ? ` Nearest: ${near(i)}.` : ""}`;
  };

  slider.addEventListener("input", () => change("stage", stages[Number(slider.value)].name));
  slider.addEventListener("keydown", (event) => {
    const to = keySteps(event, now, { high: stages.length - 1, page: Math.max(2, Math.round(stages.length / 10)) });
    if (to !== null) change("stage", stages[to].name);
  });
  plot.addEventListener("pointermove", (event) => {
    const found = points.under(event);
    if (found === hovered) return;
    hovered = found;
    redraw();
  });
  plot.addEventListener("pointerleave", () => { hovered = -1; redraw(); });
  plot.addEventListener("click", (event) => choose(points.under(event)));
  plot.addEventListener("keydown", (event) => {
    const chosen = model.get("chosen"), some = [...y.keys()].filter(seen), rank = some.indexOf(chosen), last = some.length - 1;
    const towards = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[event.key];
    const to = { Home: 0, End: last, PageDown: Math.min(last, rank + 1), PageUp: Math.max(0, rank - 1) }[event.key];
    if (!towards && to === undefined && event.key !== "Escape") return;
    event.preventDefault();
    event.stopPropagation(); // JupyterLab would move to another cell
    if (event.key === "Escape") return choose(-1);
    if (!some.length) return;
    const found = towards && rank >= 0 ? points.next(chosen, towards) : some[to ?? 0];
    if (found >= 0) choose(found);
  });

  if (several) {
    ways.append("Colours and shapes by");
    for (const kind of ["class", "domain"]) {
      const button = make("button", { type: "button", "data-by": kind }, kind);
      button.addEventListener("click", () => change("by", kind));
      ways.append(button);
    }
  }
  if (state.kind === "image") {
    const pictures = make("button", { type: "button", "aria-pressed": "false" }, "images in place of points");
    pictures.addEventListener("click", () => {
      points.asPictures = !points.asPictures;
      pictures.setAttribute("aria-pressed", String(points.asPictures));
      points.draw();
    });
    ways.append(pictures);
    createImageBitmap(new Blob([model.get("pictures")], { type: "image/jpeg" })).then((sheet) => {
      if (gone) return sheet.close();
      points.sheet = sheet;
      redraw();
    }, () => { status.textContent = "The small images cannot be shown here."; });
  }
  if (!ways.childElementCount) ways.remove();
  stages.forEach(({ agree }, i) => {
    const value = agree["class across domains"] ?? agree.class ?? agree.domain ?? 0;
    bars.append(shape("rect", { x: i + 0.12, width: 0.76, y: 1 - value, height: value }));
  });

  const watch = new ResizeObserver(() => points.draw());
  watch.observe(plot);
  // no event tells that a theme has arrived: its style sheet comes when it is loaded
  const themes = setInterval(() => { if (points.stale()) points.draw(); }, 300);
  const heard = [["change:stage", onStage], ["change:by", onBy], ["change:chosen", redraw]];
  heard.forEach(([event, run]) => model.on(event, run));
  points.stand(now);
  plot.dataset.stage = stages[now].name;
  showStage();
  showLegend();
  redraw();
  return () => {
    gone = true;
    end();
    save.cancel();
    clearInterval(themes);
    points.end();
    watch.disconnect();
    heard.forEach(([event, run]) => model.off(event, run));
    points.sheet?.close();
  };
}

export default { render };
