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
WINDOW, HALF = 64, 0.3  # pixels of a window with its mask, and the share of stain from which it counts as stained
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


def tissue_masks() -> Dataset:
    """Windows of 64x64 pixels of stained tissue, with the class of each pixel."""
    image, mask = tissue_mask()

    def split(name):
        left, right = COLUMNS[name]
        step = WINDOW // 2 if name == "train" else WINDOW  # windows to test on share no pixel with one another
        places = list(product(range(0, 512 - WINDOW + 1, step), range(left, right - WINDOW + 1, step)))
        cut = [(slice(top, top + WINDOW), slice(x, x + WINDOW)) for top, x in places]
        masks = torch.stack([mask[at] for at in cut]).to(torch.uint8)
        y = (masks.float().mean((1, 2)) >= HALF).long()
        ids = tuple(f"{name}/{x},{top}" for top, x in places)
        return Split(name, "image", torch.stack([image[:, *at] for at in cut]), y, CLASSES, ids, masks=masks)

    return Dataset(
        "tissue-masks",
        "colon tissue with the brown stain of each pixel, colour, 64x64 pixels",
        "image",
        *map(split, COLUMNS),
        CLASSES,
        "no known copyright restrictions (immunohistochemistry, in scikit-image)",
        assets.registry()["photographs"].home,
        (
            "One picture of 512x512 pixels: training windows from its left, test windows from its right, with gaps.",
            f"split.masks holds 1 where a pixel has more than {THRESHOLD} of brown (DAB), else 0; the stain is "
            "separated by colour (Ruifrok and Johnston 2001). So a rule on the colour of a pixel must do well here.",
            f"A window's own class is stained from {HALF:.0%} such pixels.",
            "Training windows overlap by half.",
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
