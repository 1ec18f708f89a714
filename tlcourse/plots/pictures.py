"""`images`: a grid of pictures."""

from __future__ import annotations

import textwrap

import numpy as np

from tlcourse.errors import CourseError, whole_number
from tlcourse.plots.inputs import array, class_names, class_numbers, same_length
from tlcourse.plots.plot import GREEN, VERMILLION, WIDTH, Plot, drawing, readable
from tlcourse.plots.words import counted, listed, plain, shorten

_SIZE = 10  # points, of a title


def images(x, titles=None, *, columns: int = 8, labels=None, predictions=None, classes=None, limit: int = 64) -> Plot:
    """A grid of images, with names, or with what a model took them for.

    Arguments:
        x: a `Split`; a uint8 tensor `[n, 1 or 3, h, w]` or one image `[c, h, w]`; or a list of images of any sizes.
        titles: a text an image; a `Split` brings its class names.
        columns: images in a row.
        labels, predictions: class numbers or names `[n]`: each image is marked ✓ or ✗ (a `Split` brings its labels).
        classes: class names, where labels are numbers.
        limit: at most so many images are drawn.

    Returns a `Plot`. Raises `CourseError` for images that are not uint8, or lists that do not fit.

    >>> import numpy as np
    >>> images(np.zeros((2, 1, 4, 4), "uint8"), ["dark", "night"])
    2 images, 4 by 4 pixels, grey. In reading order: dark, night.
    """
    if hasattr(x, "x") and hasattr(x, "classes"):
        if getattr(x, "kind", "image") != "image":
            raise CourseError(f"{x.name!r} holds texts, not images.", do="Print split.x[:5] to read some of them.")
        split = x
        x, classes = split.x[:limit], split.classes if classes is None else classes
        total, labels = len(split), split.y[:limit] if labels is None else labels
    else:
        total = None
    pictures = as_pictures(x)
    total = total or len(pictures)
    names = as_names(labels, classes, "labels")
    guesses = as_names(predictions, classes, "predictions")
    if guesses is not None and names is None:
        raise CourseError("Predictions can be marked only beside the true labels.", do="Pass labels= as well.")
    # lists may be as long as the whole split, of which only the first images are shown
    for what, values in (("titles", titles), ("labels", names), ("predictions", guesses)):
        if values is not None and len(values) != total:
            same_length(**{"images": pictures, what: values})
    pictures = pictures[:limit]
    marks = None
    if guesses is not None:
        marks, captions = judged(names, guesses)
        marks = marks[: len(pictures)]
    else:
        captions = [[plain(t)] for t in (titles if titles is not None else names or [""] * len(pictures))]
    figure = draw_grid(pictures, captions[: len(pictures)], marks, max(1, min(int(columns), len(pictures))))
    return Plot(figure, _tell(pictures, captions, names, guesses, marks, total))


def judged(names, guesses) -> tuple[list[bool], list[list[str]]]:
    """Which guesses are right, and what stands above each picture."""
    marks = [a == b for a, b in zip(names, guesses, strict=False)]
    captions = [
        [f"✓\N{NO-BREAK SPACE}{b}"] if a == b else [f"✗\N{NO-BREAK SPACE}{b}", f"is {a}"]
        for a, b in zip(names, guesses, strict=False)
    ]
    return marks, captions


def first_of(x, limit) -> tuple[int, list[np.ndarray]]:
    """How many images there are, and the first `limit` of them as `as_pictures` gives them.

    >>> total, pictures = first_of(np.zeros((3, 1, 4, 4), "uint8"), 2)
    >>> total, len(pictures)
    (3, 2)
    """
    if x is None or isinstance(x, str) or not hasattr(x, "__len__"):
        raise CourseError(
            f"Images are needed, not a {type(x).__name__}.", do="Pass a split, or a uint8 tensor [n, 1 or 3, h, w]."
        )
    return len(x), as_pictures(x if limit is None else x[: whole_number("limit", limit)])


def draw_grid(pictures, captions, marks, columns, over=None):
    """A figure of pictures in rows, with lines of text above each; `over(ax, i)` draws on the i-th picture."""
    cell = min(WIDTH / columns, 2.6 if len(pictures) > 1 else 4.0)
    letters = max(3, int(cell * 72 / (0.67 * _SIZE)))
    captions = [_wrap(lines, letters) for lines in captions]
    rows = [range(i, min(i + columns, len(pictures))) for i in range(0, len(pictures), columns)]
    gap, line, inner = 0.1, 1.25 * _SIZE / 72, cell - 0.08
    text = [max(len(captions[i]) for i in row) * line for row in rows]
    tall = [max(inner * p.shape[0] / p.shape[1] for p in (pictures[i] for i in row)) for row in rows]
    tall = [min(t, 2.2 * cell) for t in tall]
    height = sum(text) + sum(tall) + gap * (len(rows) + 1)
    width = cell * columns
    with drawing(width, height, layout="none") as figure:
        top = height - gap
        for row, lines, h in zip(rows, text, tall, strict=True):
            for column, i in enumerate(row):
                place = (column * cell + 0.04, top - lines - h, inner, h)
                ax = figure.add_axes([place[0] / width, place[1] / height, place[2] / width, place[3] / height])
                _show(ax, pictures[i])
                if over is not None:
                    over(ax, i)
                colour = None if marks is None else readable(GREEN if marks[i] else VERMILLION)
                ax.text(
                    0.5, 1.03, "\n".join(captions[i]), size=_SIZE, ha="center", va="bottom", linespacing=1.05,
                    transform=ax.transAxes, **({"color": colour} if colour else {}),
                )  # fmt: skip
                for spine in ax.spines.values():
                    spine.set(visible=marks is not None, linewidth=2.5, color=colour or "none")
                    spine.set_linestyle("-" if marks is None or marks[i] else (0, (3, 1.5)))
            top -= lines + h + gap
    return figure


def _show(ax, picture):
    ax.set(xticks=[], yticks=[])
    small = max(picture.shape[:2]) < 64
    how = {"cmap": "gray", "vmin": 0, "vmax": 255} if picture.ndim == 2 else {}
    ax.imshow(picture, interpolation="nearest" if small else "antialiased", **how)


def as_pictures(x) -> list[np.ndarray]:
    """Tensors, arrays and lists of them as arrays `[h, w]` or `[h, w, 3]` of uint8."""
    if isinstance(x, (list, tuple)):
        if not x:
            raise CourseError("There are no images to draw.", why="The list is empty.")
        return [picture for one in x for picture in as_pictures(one)]
    x = array(x, "images")
    x = x[None] if x.ndim == 3 else x[None, None] if x.ndim == 2 else x
    if x.ndim != 4 or x.shape[1] not in (1, 3):
        hint = "The colour axis stands last: use x.permute(0, 3, 1, 2)." if x.shape[-1] in (1, 3) else ""
        raise CourseError(
            f"Images need the shape [n, 1 or 3, height, width]; these have {list(x.shape)}.", do=hint or "Reshape them."
        )
    if x.dtype == bool:
        x = x.astype("uint8") * 255
    if x.dtype != np.uint8:
        if x.dtype.kind == "f" and np.isfinite(x).all() and x.min() >= 0 and x.max() <= 1:
            x = np.round(x * 255).astype("uint8")
        elif x.dtype.kind in "iu" and x.min() >= 0 and x.max() <= 255:
            x = x.astype("uint8")
        else:
            raise CourseError(
                f"These are not image values: {x.dtype} from {x.min():.3g} to {x.max():.3g}.",
                why="They look like a network's input, already normalised." if x.dtype.kind == "f" else "",
                do="Show the images as they were before the transform: uint8, 0 to 255.",
            )
    return [p[0] if p.shape[0] == 1 else p.transpose(1, 2, 0) for p in x]


def as_names(values, classes, what):
    """Names from class numbers or names; None stays None."""
    if values is None:
        return None
    values = array(values, what)
    if values.dtype.kind in "UO" and classes is None:
        return [plain(v) for v in values]
    classes = class_names(classes)
    return [plain(classes[i]) for i in class_numbers(values, classes, what)]


def _wrap(lines, letters):
    out = []
    for text in lines:
        parts = textwrap.wrap(text, letters, break_long_words=False) or ([] if not text else [text])
        parts = [*parts[0:1], " ".join(parts[1:])] if len(parts) > 2 else parts
        out += [shorten(part, letters) for part in parts]
    return out


def _tell(pictures, captions, names, guesses, marks, total):
    sizes = {p.shape[:2] for p in pictures}
    size = f"{pictures[0].shape[1]} by {pictures[0].shape[0]} pixels" if len(sizes) == 1 else "of different sizes"
    colour = {2: "grey", 3: "in colour"}
    kinds = {colour[p.ndim] for p in pictures}
    shown = counted(len(pictures), "image")
    shown += f" of {total:,}" if total > len(pictures) else ""
    words = f"{shown}, {size}, {listed(sorted(kinds))}."
    if marks is not None:
        wrong = [f"image {i + 1} is {names[i]}, predicted {guesses[i]}" for i, ok in enumerate(marks) if not ok]
        words += f" {sum(marks)} of {len(marks)} predictions are right."
        if wrong:
            words += f" Wrong: {'; '.join(wrong[:12])}" + (f"; and {len(wrong) - 12} more." if len(wrong) > 12 else ".")
        return words
    texts = [c[0] for c in captions[: len(pictures)]]
    if not any(texts):
        return words
    if len(texts) <= 24:
        return f"{words} In reading order: {', '.join(t or 'no title' for t in texts)}."
    counts = {t: texts.count(t) for t in dict.fromkeys(texts)}
    if len(counts) <= 24:
        return f"{words} They are: {', '.join(f'{n} {t}' for t, n in counts.items())}."
    return f"{words} The first 24 are: {', '.join(texts[:24])}."
