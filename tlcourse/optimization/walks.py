"""What a page needs to draw a surface and a path on it, as plain numbers and words."""

from __future__ import annotations

import numpy as np

from tlcourse.optimization.descent import Descent, minimum
from tlcourse.optimization.surfaces import Surface

LEVELS = 12
"""So many lines of equal loss."""


def levels_of(losses) -> np.ndarray:
    """The losses at which lines are drawn: close together where the surface is flat.

    >>> levels_of([[0.0, 1.0], [1.0, 1.0]])[[0, -1]].round(3).tolist()
    [0.007, 1.0]
    """
    z = np.asarray(losses, dtype=float)
    low, high = z.min(), np.quantile(z, 0.97)
    return np.unique(low + (high - low) * (np.arange(1, LEVELS + 1) / LEVELS) ** 2)


def drawn(surface: Surface, side: int = 61) -> dict:
    """A surface as lines of equal loss.

    Returns a dict with `name`, `says`, `axes`, `box`, `start`, `lowest` (a point, where the surface is lowest near its
    start), `least` (the loss there), and `lines`: dicts with a `loss` and `points` `[n][2]`.

    >>> from tlcourse.optimization import SURFACES
    >>> picture = drawn(SURFACES["bowl"])
    >>> picture["lowest"], len(picture["lines"]) >= 12
    ([0.0, 0.0], True)
    """
    from matplotlib.figure import Figure

    x, y, z = surface.grid(side)
    levels = levels_of(z)
    found = Figure().subplots().contour(x, y, z, levels)
    lowest = minimum(surface)
    return {
        "name": surface.name,
        "says": surface.says,
        "axes": list(surface.axes),
        "box": [float(value) for value in surface.box],
        "start": list(surface.start),
        "lowest": list(lowest),
        "least": surface.at(lowest),
        "lines": [
            {"loss": round(float(level), 5), "points": np.round(segment, 4).tolist()}
            for level, segments in zip(levels, found.allsegs, strict=True)
            for segment in segments
            if len(segment) > 1
        ],
    }


def walked(path: Descent) -> dict:
    """A path as a page draws it: `points` `[n][2]`, `losses` `[n]`, `ended`, and `says`, one sentence.

    >>> from tlcourse.optimization import descend
    >>> walked(descend("bowl", (1.0, 0.0), lr=1.0, steps=1))["points"]
    [[1.0, 0.0], [0.0, 0.0]]
    """
    return {
        "points": [[round(value, 5) for value in point] for point in path.points],
        "losses": [round(value, 6) for value in path.losses],
        "ended": path.ended,
        "says": f"{path!r}.",
    }
