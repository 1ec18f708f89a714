"""Whether a map of what counted points at the thing itself."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from numbers import Real

import torch

from tlcourse.errors import CourseError


def energy_inside(map_: torch.Tensor, box: Sequence[float], size: int | tuple[int, int]) -> float:
    """The share of a map's energy that lies inside a box: near 1 where the map points at what the box holds.

    A map is coarser than its image: each of its places stands for a rectangle of pixels, over which its energy is
    spread evenly. A map that is the same everywhere gets the box's own share of the area; compare with that.

    Arguments:
        map_: `[h, w]`, 0 and above, e.g. from `grad_cam`.
        box: left, top, right and bottom edge, in pixels of the image as the model sees it.
        size: the side of that image in pixels, or its height and width.

    Returns the share 0..1; NaN for a map that is 0 everywhere, which points nowhere. Raises `CourseError` for a map
    with values below 0 or NaN, and for a box that is none or lies outside the image.

    >>> energy_inside(torch.tensor([[0.0, 1.0], [0.0, 1.0]]), (4, 0, 8, 4), size=8)
    0.5

    Wang et al. 2020 (Score-CAM; the energy-based pointing game). Chapter 09.
    """
    heat = torch.as_tensor(map_).detach().double().cpu()
    if heat.ndim != 2 or not heat.numel():
        raise CourseError(f"A map has the shape [h, w], not {list(heat.shape)}.", do="Pass one map, e.g. maps[0].")
    if not (heat >= 0).all():  # NaN neither
        raise CourseError(
            "The map has values below 0 or NaN, which are no energy.", do="Pass map_.clamp(min=0), or check the model."
        )
    try:
        height, width = (size, size) if isinstance(size, Real) else map(float, size)
    except (TypeError, ValueError):
        raise CourseError(f"size={size!r} will not do.", do="Pass the side in pixels, or (height, width).") from None
    try:
        sides = [float(edge) for edge in box]
    except (TypeError, ValueError):
        sides = []
    if len(sides) != 4 or not all(map(isfinite, sides)):
        raise CourseError(f"{sides or box!r} is no box.", do="Pass left, top, right and bottom, e.g. data.boxes[0].")
    left, top, right, bottom = sides
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        raise CourseError(
            f"The box {sides} does not lie in an image of {width:g} by {height:g} pixels.",
            why="Its edges are left, top, right, bottom, in pixels of the image as the model sees it.",
            do="Scale the box as the model's transform scales the image, and give the size of the result.",
        )
    rows, columns = (
        _covered(heat.shape[0], top / height, bottom / height),
        _covered(heat.shape[1], left / width, right / width),
    )
    total = heat.sum()
    return float((heat * rows[:, None] * columns).sum() / total) if total > 0 else float("nan")


def _covered(places: int, start: float, end: float) -> torch.Tensor:
    """Which part of each of the places along a side lies between two shares of that side."""
    edges = torch.arange(places + 1, dtype=torch.float64)
    return (edges[1:].clamp(max=end * places) - edges[:-1].clamp(min=start * places)).clamp(min=0)
