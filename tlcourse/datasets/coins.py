"""The photographed coins: where each one is, and one side of the photograph as a picture of its own."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from PIL import Image

from tlcourse.datasets.photographs import pixels
from tlcourse.datasets.split import Split
from tlcourse.errors import UnknownName

DARK, BRIGHT = 30, 150  # grey values: certainly ground, certainly coin; the watershed finds the edges between
LEAST = 100  # pixels: what is smaller is a scratch, not a coin
MIDDLE = 190  # column: a coin belongs to the side on which its centroid lies
VALID = (4, 5, 6, 9)  # of the left coins, in reading order: their scenes are for choosing
SCALE, SIDE = 0.6, 192  # the real side is drawn at this scale, in the middle of a square of this many pixels
LEFT = 182  # column at which the picture of the right side begins


@dataclass(frozen=True)
class Coins:
    """The photograph, where its coins are, and what lies under them.

    Arguments:
        image: uint8 `[303, 384]`.
        numbers: 0 for ground, 1 to 24 for the coins in reading order, int `[303, 384]`.
        ground: the photograph without coins and without grain, float `[303, 384]`.
        grain: by how much the ground's pixels spread around it.
        sides: the numbers of the coins of each split: left ones in `"train"` and `"valid"`, right ones in `"test"`.
    """

    image: np.ndarray
    numbers: np.ndarray
    ground: np.ndarray
    grain: float
    sides: dict[str, tuple[int, ...]]


@cache
def coins() -> Coins:
    """The photograph of coins taken apart: seeds by brightness, edges by watershed (Beucher and Meyer 1993)."""
    from scipy import ndimage
    from skimage.filters import sobel
    from skimage.measure import label, regionprops
    from skimage.morphology import disk
    from skimage.segmentation import watershed

    image = pixels("coins")[..., 0]
    seeds = np.where(image < DARK, 1, np.where(image > BRIGHT, 2, 0))
    there = ndimage.binary_fill_holes(watershed(sobel(image), seeds) == 2)
    there = ndimage.binary_opening(there, disk(2))
    found = [one for one in regionprops(label(there)) if one.area >= LEAST]
    found.sort(key=lambda one: (round(one.centroid[0] / 70), one.centroid[1]))  # rows are 70 pixels apart
    numbers = np.zeros(image.shape, int)
    for i, one in enumerate(found, start=1):
        numbers[tuple(one.coords.T)] = i
    free = ~ndimage.binary_dilation(numbers > 0, iterations=3)
    share = ndimage.gaussian_filter(free.astype(float), 14)
    ground = ndimage.gaussian_filter(np.where(free, image, 0).astype(float), 14) / share
    left = [i for i, one in enumerate(found, start=1) if one.centroid[1] < MIDDLE]
    valid = [left[i] for i in VALID]
    sides = {
        "train": tuple(i for i in left if i not in valid),
        "valid": tuple(valid),
        "test": tuple(i for i in range(1, len(found) + 1) if i not in left),
    }
    return Coins(image, numbers, ground, float((image - ground)[free].std()), sides)


def real_coins(side: str = "right") -> Split:
    """One side of the photograph of coins itself, with the true number of each pixel: no scene that was composed.

    Arguments:
        side: `"right"`, whose 12 coins are those of the test scenes.

    Returns a `Split` of one grey image of 192x192 pixels, whose `masks` hold 0 for ground and 1 to 12 for the coins.
    What belongs to the other side is painted over with ground. Raises `UnknownName` for another side.

    >>> real = real_coins()
    >>> real.x.shape, int(real.masks.max())
    (torch.Size([1, 1, 192, 192]), 12)

    Introduced in chapter 06.
    """
    from scipy import ndimage

    if side != "right":
        raise UnknownName("side of the photograph to test on", side, ["right"])
    photo = coins()
    mine = np.isin(photo.numbers, photo.sides["test"])
    others = ndimage.binary_dilation((photo.numbers > 0) & ~mine, iterations=3) & ~mine
    image = np.where(others, photo.ground, photo.image)[:, LEFT:]
    numbers = np.where(mine, photo.numbers, 0)[:, LEFT:]
    width, height = (round(SCALE * side) for side in image.shape[::-1])
    small = Image.fromarray(np.rint(image).astype(np.uint8)).resize((width, height), Image.Resampling.BILINEAR)
    places = Image.fromarray(numbers.astype(np.uint8)).resize((width, height), Image.Resampling.NEAREST)
    room = ((SIDE - height) // 2, (SIDE - height + 1) // 2), ((SIDE - width) // 2, (SIDE - width + 1) // 2)
    ground = Image.fromarray(photo.ground[:, LEFT:].astype(np.float32)).resize((width, height))
    x = np.rint(np.pad(np.asarray(ground), room, mode="reflect")).astype(np.uint8)
    x[room[0][0] : SIDE - room[0][1], room[1][0] : SIDE - room[1][1]] = np.asarray(small)
    masks = np.unique(np.pad(np.asarray(places), room), return_inverse=True)[1].reshape(SIDE, SIDE)
    return Split(
        "real",
        "image",
        torch.from_numpy(x)[None, None],
        torch.zeros(1, dtype=torch.int64),
        ("12 coins",),
        ("coins, right side",),
        masks=torch.from_numpy(masks.astype(np.uint8))[None],
    )
