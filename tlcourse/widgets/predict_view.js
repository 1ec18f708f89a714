// How an answer is drawn: the picture with what does not count veiled, and a text with its words underlined.

const VEIL = 0.72; // how dark a place becomes that does not count at all

const bytesOf = (view) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);

// A map of few places at the size of the picture, smoothly between their middles.
const smooth = (map, rows, columns, height, width) => {
  const spot = (k, side, n) => {
    const at = Math.min(n - 1, Math.max(0, ((k + 0.5) / side) * n - 0.5)), low = Math.floor(at);
    return [low, Math.min(n - 1, low + 1), at - low];
  };
  const across = Array.from({ length: width }, (_, k) => spot(k, width, columns)), out = new Float32Array(height * width);
  for (let i = 0; i < height; i++) {
    const [a, b, down] = spot(i, height, rows);
    for (let j = 0; j < width; j++) {
      const [l, r, right] = across[j], top = map[a * columns + l] * (1 - right) + map[a * columns + r] * right;
      const bottom = map[b * columns + l] * (1 - right) + map[b * columns + r] * right;
      out[i * width + j] = (top * (1 - down) + bottom * down) / 255;
    }
  }
  return out;
};

// The picture; with `rank` a class is chosen whose places are lit, and a white line runs where one counts half as much as
// the strongest. Brightness and a line tell it, no colour.
const drawPicture = (canvas, { size: [height, width], grid: [rows, columns] }, picture, maps, rank) => {
  canvas.width = width;
  canvas.height = height;
  const pen = canvas.getContext("2d"), image = pen.createImageData(width, height), pixels = bytesOf(picture);
  const lit = rank === null || !rows ? null
    : smooth(bytesOf(maps).subarray(rank * rows * columns, (rank + 1) * rows * columns), rows, columns, height, width);
  for (let i = 0; i < height * width; i++) {
    let light = lit ? 1 - VEIL * (1 - lit[i]) : 1, line = false;
    if (lit && i % width < width - 1 && i < width * (height - 1)) {
      line = lit[i] >= 0.5 !== lit[i + 1] >= 0.5 || lit[i] >= 0.5 !== lit[i + width] >= 0.5;
    }
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = line ? 255 : pixels[3 * i + c] * light;
    image.data[4 * i + 3] = 255;
  }
  pen.putImageData(image, 0, 0);
};

// The text, each word underlined as strongly as the share of the chosen class falls without it; below it the number.
const drawText = (node, { words, gaps }, rank) => {
  const parts = [gaps[0] ?? ""];
  words.forEach((word, i) => {
    const strength = word.strength[rank], says = word.says[rank], line = make("span", { class: "tlc-line", "aria-hidden": "true" });
    line.style.borderBottomWidth = `${Math.max(says ? 1 : 0, Math.round(5 * Math.abs(strength)))}px`;
    const piece = make("span", { class: strength < 0 ? "tlc-word tlc-against" : "tlc-word", title: `without it: ${word.without[rank]}` },
      make("span", { class: "tlc-letters" }, word.text), line,
      make("span", { class: "tlc-points" }, says || " "));
    parts.push(piece, gaps[i + 1] ?? "");
  });
  node.replaceChildren(...parts);
};
