"""What masks must be like, and what is said when they are not."""

from __future__ import annotations

import numpy as np
import torch

from tlcourse.errors import CourseError


def class_masks(outputs: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Class numbers `[n, h, w]` as int64, of the outputs' size and on their device, each a class there is.

    >>> class_masks(torch.zeros(1, 3, 2, 2), torch.full((1, 2, 2), 2, dtype=torch.uint8)).dtype
    torch.int64
    """
    masks = torch.as_tensor(masks)
    if outputs.ndim != 4:
        raise CourseError(
            f"Masks need outputs [n, classes, h, w]; these have {list(outputs.shape)}.", do="Pass the decoder's output."
        )
    if outputs.shape[1] < 2:
        raise CourseError(
            "The decoder gives one value a pixel, and that cannot tell two classes apart.",
            do="Make it with one output a class, the ground among them: MaskDecoder(maps, outputs=2).",
        )
    if masks.dtype.is_floating_point or masks.dtype.is_complex or (masks.dtype == torch.bool and outputs.shape[1] != 2):
        raise CourseError(
            f"Masks hold class numbers, and these are {masks.dtype}.",
            why="A mask that was resized with a mean holds halves of classes.",
            do="Pass whole numbers; resize masks with the nearest pixel.",
        )
    check_fit(outputs, masks, "outputs and masks")
    in_range(masks, outputs.shape[1])
    return masks.to(outputs.device, torch.int64)


def check_fit(one: torch.Tensor, other: torch.Tensor, what: str, channels: bool = False) -> None:
    """Say so when two do not lie pixel on pixel: as many images, of the same height and width."""
    a = one.shape if channels else (one.shape[0], *one.shape[-2:])
    b = other.shape
    if tuple(a) != tuple(b):
        raise CourseError(
            f"The {what} differ in size: {list(a)} and {list(b)}.",
            why="Each pixel of an image has its own label, so both need as many images, of the same height and width.",
            do="Choose upsample= of the decoder so that its output is as large as the masks, or resize the masks with "
            "the nearest pixel.",
        )


def in_range(masks: torch.Tensor, classes: int) -> None:
    """Say so when a mask holds a class that does not exist."""
    if masks.numel() == 0:
        raise CourseError("There are no masks.", why=f"Their shape is {list(masks.shape)}.", do="Pass at least one.")
    low, high = int(masks.min()), int(masks.max())
    if low < 0 or high >= classes:
        raise CourseError(
            f"The masks hold class numbers from {low} to {high}, and there are {classes} classes.",
            why="Often 255 stands for a border that nobody has judged, or a mask was read as grey values."
            if high > classes
            else "Classes are counted from 0.",
            do="Number the classes from 0, e.g. masks = (masks > 0).to(torch.uint8).",
        )


def object_masks(masks) -> np.ndarray:
    """Object numbers `[n, h, w]` as an int array.

    >>> object_masks(torch.zeros(1, 4, 4, dtype=torch.uint8)).shape
    (1, 4, 4)
    """
    masks = np.asarray(masks.detach().cpu() if isinstance(masks, torch.Tensor) else masks)
    if masks.ndim != 3 or masks.dtype.kind not in "iu" or 0 in masks.shape:
        raise CourseError(
            f"Objects are numbered in whole numbers of the shape [n, h, w]; these are {masks.dtype}, "
            f"{list(masks.shape)}.",
            why="A mask of True and False cannot tell two objects apart." if masks.dtype == bool else "",
            do="Number connected parts with skimage.measure.label(mask)."
            if masks.dtype == bool
            else "Pass one image as masks[None].",
        )
    if masks.min() < 0:
        raise CourseError(
            f"The objects' numbers go down to {masks.min()}.", do="Use 0 for no object, and 1, 2, ... for objects."
        )
    return masks.astype(np.int64)
