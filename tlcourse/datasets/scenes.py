"""Digit scenes: one handwritten digit somewhere on a photographed surface, with its box."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from tlcourse.datasets.digits import digits
from tlcourse.datasets.split import Dataset, Split
from tlcourse.datasets.surfaces import surfaces
from tlcourse.errors import whole_number

SIDE = 96
COUNTS = {"train": 100, "valid": 20, "test": 50}  # scenes of each digit
LEAST, MOST = 28, 60  # pixels: the side that a digit's own square of 28 pixels is drawn at
INK = 0.5  # where a pixel has at least so much ink, it belongs to the digit: the box is drawn around these


def digit_scenes(seed: int = 0) -> Dataset:
    """Grey scenes of 96x96 pixels: 100 of each digit to train, 20 to choose, 50 to test."""
    seed = whole_number("seed", seed, 0)
    figures, grounds = digits(), surfaces()
    made = [
        _split(figure, ground, np.random.default_rng([seed, number]))
        for number, (figure, ground) in enumerate(zip(figures.splits, grounds.splits, strict=True))
    ]
    return Dataset(
        "digit-scenes",
        "a handwritten digit somewhere on a surface, with its box, grey, 96x96 pixels",
        "image",
        *made,
        figures.classes,
        f"{figures.licence}; {grounds.licence}",
        f"{figures.source}; {grounds.source}",
        (
            "Made of the sets digits and surfaces; the splits share no digit, and no part of a surface.",
            f"A digit's square is drawn {LEAST} to {MOST} pixels wide, anywhere inside the scene; "
            "its ink is white where the ground is dark, and black where it is light.",
            "The surface is drawn at twice its size. Chance decides which one it is, so it tells nothing of the digit.",
            "split.boxes holds the edges of the ink in pixels: left, top, right, bottom.",
        ),
    )


def _split(figures: Split, grounds: Split, rng: np.random.Generator) -> Split:
    chosen = figures.shots(COUNTS[figures.name], int(rng.integers(1 << 31)))
    chosen = chosen[rng.permutation(len(chosen))]
    ground = rng.integers(len(grounds), size=len(chosen))
    side = rng.integers(LEAST, MOST + 1, size=len(chosen))
    place = rng.random((len(chosen), 2))
    x, boxes = np.empty((len(chosen), 1, SIDE, SIDE), np.uint8), np.empty((len(chosen), 4), np.float32)
    for i, digit in enumerate(chosen.x[:, 0].numpy()):
        left, top = (place[i] * (SIDE - side[i] + 1)).astype(int)
        ink = np.zeros((SIDE, SIDE), np.float32)
        ink[top : top + side[i], left : left + side[i]] = _resized(digit, side[i]) / 255
        under = _resized(grounds.x[ground[i], 0].numpy(), SIDE).astype(np.float32)
        colour = 255 if (under * ink).sum() < 127.5 * ink.sum() else 0
        x[i, 0] = np.rint(under + ink * (colour - under))
        boxes[i] = around(ink >= INK)
    ids = tuple(f"{d} on {grounds.ids[g]}" for d, g in zip(chosen.ids, ground.tolist(), strict=True))
    return Split(
        figures.name, "image", torch.from_numpy(x), chosen.y, figures.classes, ids, boxes=torch.from_numpy(boxes)
    )


def around(mask: np.ndarray) -> tuple[int, int, int, int]:
    """The smallest box (left, top, right, bottom) that holds all that is True; right and bottom lie behind it.

    >>> around(np.array([[False, False, False], [False, True, True]]))
    (1, 1, 3, 2)
    """
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _resized(image: np.ndarray, side: int) -> np.ndarray:
    return np.asarray(Image.fromarray(image).resize((int(side), int(side)), Image.Resampling.BILINEAR))
