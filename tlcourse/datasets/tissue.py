"""Stained colon tissue: patches to classify, and a picture with its mask to segment."""

from __future__ import annotations

from functools import cache
from itertools import product

import numpy as np
import torch

from tlcourse import assets
from tlcourse.datasets.photographs import pixels
from tlcourse.datasets.split import Dataset, Split

SIDE, STEP = 32, 16
CLASSES = ("unstained", "stained")
THRESHOLD = 0.062  # amount of brown stain (DAB) above which a pixel counts as stained: where Otsu divides the picture
LOW, HIGH = 0.15, 0.40  # share of stained pixels below which a patch is unstained, and from which it is stained
COLUMNS = {"train": (0, 288), "valid": (296, 360), "test": (368, 512)}  # left and right edge of each split's part


def tissue() -> Dataset:
    """Patches of 32x32 pixels of immunohistochemically stained colon tissue, stained or not."""
    image, mask = tissue_mask()

    def split(name):
        left, right = COLUMNS[name]
        items = []
        for top, x in product(range(0, 512 - SIDE + 1, STEP), range(left, right - SIDE + 1, STEP)):
            share = mask[top : top + SIDE, x : x + SIDE].float().mean().item()
            if share < LOW or share >= HIGH:  # what lies between is neither: left out
                items.append((image[:, top : top + SIDE, x : x + SIDE], int(share >= HIGH), f"{name}/{x},{top}"))
        images, labels, ids = zip(*items, strict=True)
        return Split(name, "image", torch.stack(images), torch.tensor(labels), CLASSES, ids)

    train, valid, test = map(split, COLUMNS)
    entry = assets.registry()["photographs"]
    return Dataset(
        "tissue",
        "colon tissue with and without brown stain, colour, 32x32 pixels",
        "image",
        train,
        valid,
        test,
        CLASSES,
        "no known copyright restrictions (immunohistochemistry, in scikit-image)",
        entry.home,
        (
            "One picture of 512x512 pixels: train patches from its left, test patches from its right, with gaps.",
            "The stain is separated by colour (Ruifrok and Johnston 2001). "
            f"A pixel with more than {THRESHOLD} of brown (DAB) counts as stained. "
            f"A patch is stained from {HIGH:.0%} such pixels, unstained below {LOW:.0%}, left out between.",
            "So the label follows from colour alone: a rule on the mean colour must do well here.",
            "Patches overlap by half within a split.",
        ),
    )


@cache
def _stain() -> tuple[np.ndarray, np.ndarray]:
    from skimage.color import rgb2hed

    image = pixels("tissue")
    return image, rgb2hed(image)[..., 2] > THRESHOLD


def tissue_mask() -> tuple[torch.Tensor, torch.Tensor]:
    """The whole picture of stained tissue and where it is stained.

    Returns uint8 `[3, 512, 512]` and bool `[512, 512]`. Cut columns `COLUMNS["train"]`, `["valid"]` and `["test"]`
    out of it for splits that share nothing.

    >>> image, mask = tissue_mask()
    >>> image.shape, mask.shape
    (torch.Size([3, 512, 512]), torch.Size([512, 512]))

    Introduced in chapter 06. Ruifrok and Johnston 2001 (separation of stains by colour).
    """
    image, mask = _stain()
    return torch.from_numpy(image.copy()).permute(2, 0, 1).contiguous(), torch.from_numpy(mask.copy())
