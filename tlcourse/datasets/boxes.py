"""Boxes: where something is in an image, and how well two of them agree."""

from __future__ import annotations

import torch

from tlcourse.errors import CourseError

_WHAT = (
    "Boxes are kept as a float32 tensor [n, 4], or [n, k, 4] for up to k an image: left, top, right, bottom, in pixels."
)


def check_boxes(split) -> None:
    """Say so when a split's boxes are none, or do not lie in its images."""
    boxes = split.boxes
    if split.kind != "image":
        raise CourseError("Only images have boxes; these data are texts.", do="Leave out boxes=.")
    fits = isinstance(boxes, torch.Tensor) and boxes.dtype == torch.float32 and boxes.ndim in (2, 3)
    if not (fits and boxes.shape[0] == len(split.y) and boxes.shape[-1] == 4):
        have = f"{list(boxes.shape)}, {boxes.dtype}" if isinstance(boxes, torch.Tensor) else type(boxes).__name__
        raise CourseError(
            _WHAT, why=f"There are {len(split.y)} images, and boxes= is {have}.", do="Pass torch.tensor(boxes)."
        )
    check_inside(boxes, split.x.shape[2], split.x.shape[3])


def check_inside(boxes: torch.Tensor, height: int, width: int) -> None:
    """Say so when a box, `[n, 4]` or `[n, k, 4]`, is empty, inverted, or not all of it in an image of this size.

    >>> check_inside(torch.tensor([[0.0, 0, 4, 4], [float("nan")] * 4]), 8, 8)
    """
    known = torch.nonzero(~boxes.isnan().all(-1))  # places of the boxes that somebody has said
    there = boxes[tuple(known.T)]
    right = (there[:, :2] >= 0).all(1) & (there[:, 2:] > there[:, :2]).all(1)
    right &= (there[:, 2] <= width) & (there[:, 3] <= height)  # NaN beside a number is right in no comparison
    if not right.all():
        bad = int(torch.nonzero(~right)[0])
        raise CourseError(
            f"The box of image {int(known[bad, 0])} is {there[bad].tolist()}, which is no box in an image of "
            f"{width}x{height} pixels.",
            why="Left must be smaller than right, top smaller than bottom, and all of it inside the image.",
            do="Check the order (left, top, right, bottom); a box that is not known is four times NaN.",
        )


def box_iou(one, other) -> torch.Tensor:
    """How well boxes agree, pair by pair: the area that two share, divided by the area that they cover together.

    Arguments:
        one, other: boxes `[n, 4]`: left, top, right, bottom, in any unit.

    Returns float32 `[n]`, from 0 (they do not touch) to 1 (the same box); NaN where a box is NaN. A box whose right
    edge is left of its left edge has no area. Raises `CourseError` for other shapes.

    >>> box_iou(torch.tensor([[0, 0, 2, 2]]), torch.tensor([[1, 0, 3, 2]]))
    tensor([0.3333])

    Introduced in chapter 05. Everingham et al. 2010 (PASCAL VOC).
    """
    one, other = (torch.as_tensor(b).float() for b in (one, other))
    if one.ndim != 2 or one.shape[-1] != 4 or one.shape != other.shape:
        raise CourseError(
            f"Boxes to compare need the same shape [n, 4]; these have {list(one.shape)} and {list(other.shape)}.",
            do="Pass one predicted box for each true one.",
        )
    corner, opposite = torch.maximum(one[:, :2], other[:, :2]), torch.minimum(one[:, 2:], other[:, 2:])
    shared = (opposite - corner).clamp(min=0).prod(1)
    together = sum((b[:, 2:] - b[:, :2]).clamp(min=0).prod(1) for b in (one, other)) - shared
    return torch.where(together > 0, shared / together.clamp(min=1e-12), shared / 1.0)
