"""Surfaces: small grey patches of sixteen materials, each cut from one photograph."""

from __future__ import annotations

from itertools import product

import numpy as np
import torch
from PIL import Image

from tlcourse import assets
from tlcourse.datasets.photographs import PHOTOGRAPHS, pixels
from tlcourse.datasets.split import Dataset, Split

SIDE = 48
COUNTS = {"train": 60, "valid": 10, "test": 30}

# Where patches may lie, in pixels: (left, top, right, bottom) of the train, valid and test region. Training patches
# come from the left, test patches from the right, and between any two regions there are at least 4 pixels.
# The retina is read at half its size: a patch of the full size would show hardly a vessel.
REGIONS = {
    "brick": ("brick", 1, ((0, 0, 300, 512), (308, 0, 360, 512), (368, 0, 512, 512))),
    "coins": ("coins", 1, ((0, 0, 208, 303), (212, 0, 262, 303), (266, 0, 384, 303))),
    "foliage": ("temple", 1, ((330, 330, 440, 427), (446, 320, 496, 427), (502, 310, 590, 427))),
    "fur": ("cat", 1, ((20, 0, 180, 300), (186, 0, 236, 300), (242, 0, 345, 300))),
    "galaxies": ("galaxies", 1, ((0, 0, 580, 872), (590, 0, 690, 872), (700, 0, 1000, 872))),
    "grass": ("grass", 1, ((0, 0, 300, 512), (308, 0, 360, 512), (368, 0, 512, 512))),
    "gravel": ("gravel", 1, ((0, 0, 300, 512), (308, 0, 360, 512), (368, 0, 512, 512))),
    "handwriting": ("handwriting", 1, ((0, 0, 244, 172), (250, 0, 300, 172), (306, 0, 448, 172))),
    "lattice": ("rocket", 1, ((0, 40, 85, 262), (0, 270, 85, 330), (565, 0, 640, 330))),
    "moon": ("moon", 1, ((0, 0, 300, 512), (308, 0, 360, 512), (368, 0, 512, 512))),
    "petals": ("flower", 1, ((175, 110, 303, 340), (308, 110, 358, 340), (363, 125, 440, 320))),
    "print": ("page", 1, ((0, 0, 208, 130), (214, 10, 264, 130), (270, 20, 384, 130))),
    "retina": ("retina", 2, ((110, 130, 390, 580), (396, 130, 450, 580), (456, 130, 600, 580))),
    "roofs": ("temple", 1, ((85, 80, 212, 322), (218, 60, 268, 322), (274, 80, 345, 322))),
    "tissue": ("tissue", 1, ((0, 0, 300, 512), (308, 0, 360, 512), (368, 0, 512, 512))),
    "wood": ("coffee", 1, ((0, 60, 75, 400), (490, 0, 600, 120), (490, 130, 600, 400))),
}
CLASSES = tuple(REGIONS)


def surfaces() -> Dataset:
    """Patches of 48x48 pixels of 16 materials: 60 a class to train, 10 to choose, 30 to test."""
    grey = {name: grey_photograph(photo, reduce) for name, (photo, reduce, _) in REGIONS.items()}

    def split(number, name):
        boxes = [(c, *box) for c in CLASSES for box in places(REGIONS[c][2][number], COUNTS[name])]
        x = np.stack([grey[c][top : top + SIDE, left : left + SIDE] for c, left, top in boxes])[:, None]
        y = torch.tensor([CLASSES.index(c) for c, _, _ in boxes])
        ids = tuple(f"{c}/{name}/{left},{top}" for c, left, top in boxes)
        return Split(name, "image", torch.from_numpy(x), y, CLASSES, ids)

    train, valid, test = (split(i, name) for i, name in enumerate(COUNTS))
    entries = [assets.registry()[asset] for asset in ("photographs", "photographs-sklearn")]
    return Dataset(
        "surfaces",
        "patches of sixteen materials, grey, 48x48 pixels",
        "image",
        train,
        valid,
        test,
        CLASSES,
        "; ".join(entry.licence for entry in entries),
        "; ".join(entry.home for entry in entries),
        (
            "Each class is cut from one photograph: train patches from its left part, test patches from its right.",
            "The parts do not touch. Within a part patches may overlap: 30 of them say less than 30 photographs.",
            "An id names class, split, and the patch's left and upper edge in pixels (retina: at half size).",
        ),
    )


def places(region: tuple[int, int, int, int], n: int) -> list[tuple[int, int]]:
    """`n` corners (left, top) of patches inside a region, on the widest grid that has so many.

    >>> places((0, 0, 96, 96), 4)
    [(0, 0), (48, 0), (0, 48), (48, 48)]
    """
    left, top, right, bottom = region
    step = next(
        s for s in range(SIDE, 0, -1) if ((right - left - SIDE) // s + 1) * ((bottom - top - SIDE) // s + 1) >= n
    )
    grid = [(x, y) for y, x in product(range(top, bottom - SIDE + 1, step), range(left, right - SIDE + 1, step))]
    return [grid[i] for i in np.linspace(0, len(grid) - 1, n).round().astype(int)]  # spread over the whole region


def grey_photograph(photo: str, reduce: int = 1) -> np.ndarray:
    """A packaged photograph in grey, uint8 `[h, w]`; `reduce` pixels become one.

    >>> grey_photograph("coins", 2).shape
    (152, 192)
    """
    image = Image.fromarray(pixels(photo)).convert("L")
    return np.asarray(image.reduce(reduce) if reduce > 1 else image)


assert all(photo in PHOTOGRAPHS for photo, _, _ in REGIONS.values())
