"""`boxes`: pictures with frames around what is in them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from matplotlib.patches import Rectangle

from tlcourse.errors import CourseError, whole_number
from tlcourse.plots.inputs import same_length
from tlcourse.plots.pictures import as_names, draw_grid, first_of, judged
from tlcourse.plots.plot import GREEN, VERMILLION, Plot
from tlcourse.plots.words import counted, listed, plain

_TRUE = {"edgecolor": GREEN, "linestyle": "-", "linewidth": 1.6}
_PREDICTED = {"edgecolor": VERMILLION, "linestyle": (0, (3, 1.6)), "linewidth": 1.6}


def boxes(x, true=None, predicted=None, *, labels=None, predictions=None, classes=None, columns=6, limit=24) -> Plot:
    """Pictures with their true boxes in solid lines and predicted ones in dashes.

    Arguments:
        x: a `Split` of images, which brings its boxes and labels; a uint8 tensor `[n, 1 or 3, h, w]`; a list of images.
        true, predicted: boxes in pixels (left, top, right, bottom): `[n, 4]`, one an image, or a list of `n` tensors
            `[k, 4]`, several an image. A box of NaN is not drawn. Also what `detect` found.
        labels, predictions: class numbers or names `[n]`: each image is marked ✓ or ✗, as in `plots.images`.
        classes: class names, where labels are numbers.
        columns: images in a row.
        limit: at most so many images are drawn.

    Returns a `Plot`; where each image has one box of each kind, it tells how well they agree (`box_iou`). Raises
    `CourseError` for boxes that do not fit the images.

    >>> import numpy as np
    >>> boxes(np.zeros((1, 1, 8, 8), "uint8"), [[0, 0, 4, 4]], [[0, 0, 4, 8]])
    1 image, 8 by 8 pixels. Solid: true boxes, dashed: predicted ones. They agree (IoU) by 0.50 on ...

    Chapter 05.
    """
    if hasattr(x, "x") and hasattr(x, "classes"):
        if getattr(x, "kind", "image") != "image":
            raise CourseError(f"{x.name!r} holds texts, not images.", do="Boxes are drawn on images only.")
        true = x.boxes if true is None else true
        labels, classes = x.y if labels is None else labels, x.classes if classes is None else classes
        x = x.x
    (total, pictures), columns = first_of(x, limit), whole_number("columns", columns)
    frames = {what: _frames(b, total, what)[: len(pictures)] for what, b in (("true", true), ("predicted", predicted))
              if b is not None}  # fmt: skip
    for i, (picture, rows) in enumerate(zip(pictures, frames.get("true", ()), strict=False)):
        height, width = picture.shape[:2]
        for left, top, right, bottom in rows.tolist():
            if not (left < right and top < bottom and right > 0 and bottom > 0 and left < width and top < height):
                raise CourseError(
                    f"The true box of image {i} is {[left, top, right, bottom]}, and nothing of it can be seen in "
                    f"{width}x{height} pixels.",
                    why="Left must be smaller than right, and top smaller than bottom.",
                    do="Check the order: left, top, right, bottom (not left, top, width, height).",
                )
    if not frames:
        raise CourseError("There are no boxes to draw.", do="Pass true= or predicted=, or draw plots.images(x).")
    if predictions is not None and labels is None:
        raise CourseError("Predictions can be marked only beside the true labels.", do="Pass labels= as well.")
    names, guesses = as_names(labels, classes, "labels"), as_names(predictions, classes, "predictions")
    for what, values in (("labels", names), ("predictions", guesses)):
        if values is not None and len(values) != total:
            same_length(**{"images": range(total), what: values})
    marks, captions = judged(names, guesses) if guesses else (None, [[plain(t)] for t in names or [""] * len(pictures)])
    marks, captions = marks and marks[: len(pictures)], captions[: len(pictures)]

    def over(ax, i):
        for what, all_of_them in frames.items():
            for box in all_of_them[i]:
                _frame(ax, box, _TRUE if what == "true" else _PREDICTED)

    figure = draw_grid(pictures, captions, marks, min(columns, len(pictures)), over)
    return Plot(figure, _tell(pictures, frames, captions, marks, total))


def _frames(values, n: int, what: str) -> list[np.ndarray]:
    """Of each image its boxes `[k, 4]`, without those that are not known."""
    if isinstance(values, str) or not isinstance(values, Iterable) or getattr(values, "ndim", 1) == 0:
        raise CourseError(f"The {what} boxes are a {type(values).__name__}.", do="Pass [n, 4], or a list an image.")
    if hasattr(values, "detach") or isinstance(values, np.ndarray):
        values = [row[None] if getattr(row, "ndim", 2) == 1 else row for row in values]
    found = []
    for i, row in enumerate(values):
        row = getattr(row, "boxes", row)  # what a detector found
        try:
            row = np.asarray(row.detach().cpu() if hasattr(row, "detach") else row, dtype=float)
        except (TypeError, ValueError):
            raise CourseError(
                f"The {what} boxes of image {i} are not numbers of the shape [k, 4].",
                do="Pass left, top, right and bottom in pixels for each; [] for an image with nothing in it.",
            ) from None
        if np.isinf(row).any():
            raise CourseError(
                f"A box of image {i} is infinite: {what} boxes.",
                why="A network that diverged gives such boxes.",
                do="Look at its history, and train it with a smaller learning rate.",
            )
        row = row.reshape(-1, 4) if row.size == 0 else row[None] if row.ndim == 1 else row
        if row.ndim != 2 or row.shape[1] != 4:
            raise CourseError(
                f"The {what} boxes need four numbers each; here are some of the shape {list(row.shape)}.",
                do="Pass [n, 4] (left, top, right, bottom), or a list with one tensor [k, 4] for each image.",
            )
        found.append(row[~np.isnan(row).any(1)])
    if len(found) != n:
        raise CourseError(f"There are {n} images, and {what} boxes of {len(found)}.", do="Pass one of each an image.")
    sizes = np.concatenate(found) if found else np.empty((0, 4))
    if len(sizes) and np.abs(sizes).max() <= 1:
        raise CourseError(
            f"The {what} boxes lie within a single pixel.",
            why="They look like shares of the image's width and height.",
            do="Multiply them by the image's size in pixels.",
        )
    return found


def _frame(ax, box, style) -> None:
    left, top, right, bottom = box
    where = {"xy": (left - 0.5, top - 0.5), "width": right - left, "height": bottom - top, "fill": False}
    ax.add_patch(Rectangle(**where, edgecolor="white", linewidth=2.8, clip_on=True))  # seen on dark ground too
    ax.add_patch(Rectangle(**where, **style, clip_on=True))


def _tell(pictures, frames, captions, marks, total) -> str:
    size = {p.shape[:2] for p in pictures}
    words = counted(len(pictures), "image") + (f" of {total:,}" if total > len(pictures) else "")
    words += f", {pictures[0].shape[1]} by {pictures[0].shape[0]} pixels. " if len(size) == 1 else ". "
    kinds = {"true": "Solid: true boxes", "predicted": "dashed: predicted ones" if len(frames) > 1 else "Dashed: boxes"}
    words += ", ".join(kinds[what] for what in frames) + "."
    if marks is not None:
        words += f" {sum(marks)} of {len(marks)} predictions of the class are right."
    one = all(len(f) == 1 for both in frames.values() for f in both)
    if len(frames) == 2 and one:
        from tlcourse.datasets import box_iou  # it loads torch, which no other figure needs

        agree = box_iou(*(np.concatenate(frames[what]) for what in ("true", "predicted"))).numpy()
        words += f" They agree (IoU) by {agree.mean():.2f} on average, from {agree.min():.2f} to {agree.max():.2f}."
    elif not one:
        counts = listed([f"{sum(map(len, both))} {what}" for what, both in frames.items()])
        words += f" There are {counts} boxes."
    titles = [" ".join(lines).replace("\N{NO-BREAK SPACE}", " ") for lines in captions]
    return words + (f" In reading order: {', '.join(titles)}." if any(titles) else "")
