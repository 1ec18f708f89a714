"""`masks`: pictures with what each of their pixels belongs to painted over them."""

from __future__ import annotations

from itertools import zip_longest

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.patheffects import withStroke
from scipy.ndimage import distance_transform_edt

from tlcourse.errors import CourseError, whole_number
from tlcourse.plots.inputs import array, class_names
from tlcourse.plots.pictures import draw_grid, first_of
from tlcourse.plots.plot import BLUE, GREEN, INK, ORANGE, PURPLE, SKY, VERMILLION, Plot
from tlcourse.plots.words import counted, listed, percent, plain

_COLOURS = np.array([to_rgb(c) for c in (ORANGE, SKY, GREEN, PURPLE, VERMILLION, BLUE)])
_STRENGTH = 0.5  # of the paint
_MANY = 40  # objects in a picture, beyond which no numbers are written


def masks(x, true=None, predicted=None, *, objects=False, classes=None, columns=4, limit=8) -> Plot:
    """Pictures, and below each its true and its predicted mask painted over it, with outlines and names.

    Arguments:
        x: a `Split` of images, which brings its masks and class names; a uint8 tensor `[n, 1 or 3, h, w]`; a list.
        true, predicted: whole numbers `[n, h, w]`: a class for each pixel, or an object, with 0 for none.
        objects: whether the masks number objects; each is painted, and numbered from left to right.
        classes: names of the pixels' classes; the first one, the ground, is not painted.
        columns: images side by side.
        limit: at most so many images are drawn.

    Returns a `Plot` that tells how much of each class or how many objects there are, and how well both masks agree.
    Raises `CourseError` for masks that do not fit the images.

    >>> import numpy as np
    >>> mask = np.zeros((1, 8, 8), int)
    >>> mask[0, 2:5, 2:5] = 1
    >>> masks(np.zeros((1, 1, 8, 8), "uint8"), mask, objects=True)
    1 image, 8 by 8 pixels, each above its true objects. Objects: 1.

    Chapter 06.
    """
    if hasattr(x, "x") and hasattr(x, "classes"):
        if getattr(x, "kind", "image") != "image":
            raise CourseError(f"{x.name!r} holds texts, not images.", do="Masks are drawn on images only.")
        true = x.masks if true is None else true
        classes = x.classes if classes is None else classes
        x = x.x
    total, pictures = first_of(x, limit)
    names = None if objects else tuple(map(plain, class_names(classes)))
    kinds = {what: _numbers(m, total, pictures, what, names) for what, m in (("true", true), ("predicted", predicted))
             if m is not None}  # fmt: skip
    if not kinds:
        raise CourseError("There are no masks to draw.", do="Pass true= or predicted=, or draw plots.images(x).")
    columns = min(whole_number("columns", columns), len(pictures))
    tiles = []  # (picture, caption, mask or None), in reading order
    for start in range(0, len(pictures), columns):
        block = range(start, min(start + columns, len(pictures)))
        tiles += [(pictures[i], "", None) for i in block]
        for what, all_of_them in kinds.items():
            tiles += [(pictures[i], f"{what}: {_caption(all_of_them[i], names)}", all_of_them[i]) for i in block]
    painted = [picture if mask is None else _painted(picture, mask) for picture, _, mask in tiles]

    def over(ax, i):
        if tiles[i][2] is not None:
            _write(ax, tiles[i][2], names)

    figure = draw_grid(painted, [[caption] if caption else [] for _, caption, _ in tiles], None, columns, over)
    return Plot(figure, _tell(pictures, kinds, names, total))


def _numbers(values, n: int, pictures, what: str, names) -> list[np.ndarray]:
    values = array(values, f"{what} masks")
    if values.ndim != 3 or values.dtype.kind not in "iub":
        raise CourseError(
            f"Masks are whole numbers [n, h, w]; the {what} ones are {values.dtype}, {list(values.shape)}.",
            do="Take outputs.argmax(1) of a network's outputs; pass one image as mask[None].",
        )
    if len(values) != n:
        raise CourseError(f"There are {n} images, and {what} masks of {len(values)}.", do="Pass one mask an image.")
    found = [mask.astype(int) for mask in values[: len(pictures)]]
    for picture, mask in zip(pictures, found, strict=True):
        if picture.shape[:2] != mask.shape:
            raise CourseError(
                f"A {what} mask has {mask.shape[1]}x{mask.shape[0]} pixels, its image "
                f"{picture.shape[1]}x{picture.shape[0]}.",
                do="Resize the mask with the nearest pixel.",
            )
        if mask.min() < 0 or (names is not None and mask.max() >= len(names)):
            raise CourseError(
                f"The {what} masks hold the numbers {mask.min()} to {mask.max()}"
                + ("." if names is None else f", and there are {len(names)} classes."),
                why="" if names is None else "Masks of objects may hold any number.",
                do="Pass objects=True for objects." if names is not None else "Use 0 for no object.",
            )
    return found if names is not None else [_from_the_left(mask) for mask in found]


def _painted(picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The picture in colour, with each number's pixels in its paint and a white line around."""
    rgb = np.repeat(picture[..., None], 3, 2) if picture.ndim == 2 else picture
    rgb = rgb.astype(float) / 255
    there = mask > 0
    paint = _COLOURS[(mask - 1) % len(_COLOURS)]
    rgb = np.where(there[..., None], (1 - _STRENGTH) * rgb + _STRENGTH * paint, rgb)
    around = np.pad(mask, 1, mode="edge")
    edge = np.zeros(mask.shape, bool)
    for moved in (around[2:, 1:-1], around[:-2, 1:-1], around[1:-1, 2:], around[1:-1, :-2]):
        edge |= (moved != mask) & there
    rgb[edge] = 1.0
    return np.rint(255 * rgb).astype(np.uint8)


def _write(ax, mask: np.ndarray, names) -> None:
    """The number of each object or class, where it is thickest."""
    numbers = [int(i) for i in np.unique(mask) if i]
    if len(numbers) > _MANY or (names is not None and len(names) == 2):  # the caption names a single class
        return
    for i in numbers:
        depth = distance_transform_edt(np.pad(mask == i, 1))[1:-1, 1:-1]
        y, x = np.unravel_index(depth.argmax(), depth.shape)
        ax.text(x, y, str(i), size=9, ha="center", va="center", color=INK, weight="bold", clip_on=True,
                path_effects=[withStroke(linewidth=2.2, foreground="white")])  # fmt: skip


def _from_the_left(mask: np.ndarray) -> np.ndarray:
    """The same objects, numbered 1, 2, ... from left to right: true and found ones then mostly agree."""
    numbers, places = np.unique(mask[mask > 0], return_inverse=True)
    middle = np.bincount(places, np.nonzero(mask)[1]) / np.bincount(places) if len(numbers) else np.zeros(0)
    out = np.zeros_like(mask)
    out[mask > 0] = middle.argsort().argsort()[places] + 1
    return out


def _caption(mask: np.ndarray, names) -> str:
    if names is None:
        return str(len(np.unique(mask[mask > 0])))
    there = [(i, name) for i, name in enumerate(names) if i and (mask == i).any()]
    number = len(names) > 2  # then each class has its number in the picture
    parts = [f"{f'{i} ' if number else ''}{name} {percent((mask == i).mean())}" for i, name in there]
    return ", ".join(parts) or "ground only"


def _tell(pictures, kinds, names, total) -> str:
    size = {p.shape[:2] for p in pictures}
    words = counted(len(pictures), "image") + (f" of {total:,}" if total > len(pictures) else "")
    words += f", {pictures[0].shape[1]} by {pictures[0].shape[0]} pixels" if len(size) == 1 else ""
    words += f", each above its {listed(list(kinds))} {'objects' if names is None else 'mask'}. "
    shares = [[_caption(mask, names) for mask in of_one] for of_one in kinds.values()]
    both = [" and ".join(filter(None, pair)) for pair in zip_longest(*shares)]
    what = "Objects" if names is None else "Pixels"
    words += f"{what}{', true and predicted' if len(kinds) == 2 else ''}: {'; '.join(both)}."
    if len(kinds) == 2:
        agree = _agreement(kinds, names)
        words += f" They agree (IoU) by {np.nanmean(agree):.2f} on average." if np.isfinite(agree).any() else ""
    return words


def _agreement(kinds, names) -> np.ndarray:
    from tlcourse.segmentation.scores import instance_scores  # it loads torch, which no other figure needs

    pairs = list(zip(kinds["predicted"], kinds["true"], strict=True))
    if names is None:
        return np.array([instance_scores(one[None], other[None])["iou"][0] for one, other in pairs])
    shared = [((one == other) & (other > 0)).sum() / max(1, ((one > 0) | (other > 0)).sum()) for one, other in pairs]
    return np.array([s if (one > 0).any() or (other > 0).any() else np.nan
                     for s, (one, other) in zip(shared, pairs, strict=True)])  # fmt: skip
