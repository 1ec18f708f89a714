"""Masks: which class, or which object, each pixel of an image belongs to."""

from __future__ import annotations

import torch

from tlcourse.errors import CourseError

_WHAT = "Masks are kept as a uint8 tensor [n, h, w]: the number of a class, or of an object, for each pixel."


def check_masks(split) -> None:
    """Say so when a split's masks are none, or are not as large as its images."""
    masks = split.masks
    if split.kind != "image":
        raise CourseError("Only images have masks; these data are texts.", do="Leave out masks=.")
    if not (isinstance(masks, torch.Tensor) and masks.dtype == torch.uint8 and masks.ndim == 3):
        have = f"{list(masks.shape)}, {masks.dtype}" if isinstance(masks, torch.Tensor) else type(masks).__name__
        raise CourseError(_WHAT, why=f"masks= is {have}.", do="Pass torch.tensor(masks, dtype=torch.uint8).")
    wanted = (len(split.y), *split.x.shape[2:])
    if masks.shape != wanted:
        raise CourseError(
            f"There are {len(split.y)} images of {wanted[2]}x{wanted[1]} pixels, and {len(masks)} masks of "
            f"{masks.shape[2]}x{masks.shape[1]}.",
            why="A mask says of each pixel of its image what it shows.",
            do="Give each image a mask of its size; resize a mask with the nearest pixel, never with a mean.",
        )
