"""`contours`: lines of equal loss over two numbers, and the paths that lead down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tlcourse.errors import CourseError
from tlcourse.plots.plot import BLUE, COLOURS, INK, LINES, MARKERS, MUTED, VERMILLION, Plot, drawing
from tlcourse.plots.words import counted, listed, number, plain, shorten


def contours(surface, *more, paths: Mapping | None = None, marks: Mapping | None = None, apart: bool = False) -> Plot:
    """Lines of equal loss, with paths down and marked points.

    Arguments:
        surface, more: one `Surface`, or two of the same two numbers, drawn over each other.
        paths: name -> what `descend` returned, or a list of points.
        marks: name -> point, drawn as a star.
        apart: whether each path has a panel of its own.

    Returns a `Plot`. Raises `CourseError` for more than two surfaces, or what is no path.

    >>> from tlcourse.optimization import SURFACES, descend
    >>> contours(SURFACES["bowl"], paths={"a path": descend("bowl", lr=0.5, steps=20)})
    Lines of equal loss over θ₁ and θ₂: bowl, from 0 to 4. a path: from (−1.70, 0.750), where the loss is 1.73, in 20
    steps to (0, 0), where it is 0; arrived.

    Chapter 02.
    """
    surfaces = (surface, *more)
    if len(surfaces) > 2 or not all(hasattr(s, "grid") and hasattr(s, "box") for s in surfaces):
        raise CourseError(
            "One surface can be drawn, or two.", do='Pass e.g. SURFACES["bowl"] of tlcourse.optimization.'
        )
    found = {plain(name): _points(name, path) for name, path in (paths or {}).items()}
    stars = {plain(name): _point(name, mark) for name, mark in (marks or {}).items()}
    groups = [[name] for name in found] if apart and found else [list(found)]
    grids, columns = [s.grid(61) for s in surfaces], 2 if len(groups) == 4 else min(3, len(groups))
    rows = -(-len(groups) // columns)
    with drawing(height=4.3 if len(groups) == 1 else _height(surface, columns) * rows) as figure:
        axes = np.ravel(figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True))
        for ax in axes[len(groups) :]:
            ax.set_visible(False)
        for ax, names in zip(axes, groups, strict=False):
            _lines(ax, surfaces, grids)
            for name in names:
                _path(ax, found[name], list(found).index(name) if len(names) > 1 else 0, name, len(names) > 1)
            for i, (name, place) in enumerate(stars.items()):
                ax.plot(*place, "*", markersize=15, color=COLOURS[i], markeredgecolor="white", zorder=6, label=name)
            left, right, bottom, top = surfaces[0].box
            ax.set(xlim=(left, right), ylim=(bottom, top))
            if 0.5 < (right - left) / (top - bottom) < 2:
                ax.set_aspect("equal")
            if len(groups) > 1:
                ax.set_title(shorten(names[0], 26))
        figure.supxlabel(plain(surface.axes[0]), size=11)
        figure.supylabel(plain(surface.axes[1]), size=11)
        if len(groups) == 1 and (found or stars or len(surfaces) > 1):
            axes[0].legend(loc="upper left", bbox_to_anchor=(1.02, 1), frameon=False, fontsize=10.5)
    return Plot(figure, _words(surfaces, grids, found, stars, paths or {}))


def _height(surface, columns) -> float:
    """How tall a row of panels is, in inches, so that there is no gap above and below."""
    left, right, bottom, top = surface.box
    return min(4.0, 0.9 + (6.6 / columns) * min(1.2, max(0.5, (top - bottom) / (right - left))))


def _lines(ax, surfaces, grids) -> None:
    from tlcourse.optimization.walks import levels_of

    two = len(surfaces) > 1
    for i, (surface, (x, y, z)) in enumerate(zip(surfaces, grids, strict=True)):
        z = np.asarray(z)
        levels = levels_of(z)
        colour = (BLUE, VERMILLION)[i] if two else MUTED
        ax.contour(x, y, z, levels, colors=colour, linewidths=0.9, linestyles=("-", "--")[i], alpha=0.75)
        if two:
            ax.plot([], [], color=colour, linestyle=("-", "--")[i], label=f"loss: {shorten(surface.name, 30)}")
        else:
            ax.contourf(x, y, z, np.unique([z.min(), *levels]), cmap="Blues_r", alpha=0.35, extend="max")


def _path(ax, points, i, name, several) -> None:
    colour = COLOURS[(i + 2) % len(COLOURS)] if several else INK
    ax.plot(
        points[:, 0], points[:, 1], color=colour, linestyle=LINES[i % len(LINES)], linewidth=1.6, zorder=4,
        marker=MARKERS[i % len(MARKERS)], markersize=4, label=shorten(name, 34),
    )  # fmt: skip
    ax.plot(*points[0], "o", markersize=9, markerfacecolor="white", markeredgecolor=colour, zorder=5)


def _points(name, path) -> np.ndarray:
    try:
        points = np.asarray(getattr(path, "points", path), dtype=float)
    except (TypeError, ValueError):
        points = np.empty(0)
    if points.ndim != 2 or points.shape[1] != 2 or not len(points) or not np.isfinite(points).all():
        raise CourseError(
            f"The path {plain(name)!r} is no list of points.", do="Pass what descend(...) returned, or [(x, y), ...]."
        )
    return points


def _point(name, mark) -> tuple[float, float]:
    return tuple(_points(name, [mark] if isinstance(mark, Sequence | np.ndarray) else mark)[0])


def _words(surfaces, grids, found, stars, paths) -> str:
    ranges = []
    for surface, (_, _, z) in zip(surfaces, grids, strict=True):
        ranges.append(f"{plain(surface.name)}, from {_loss(np.min(z))} to {_loss(np.max(z))}")
    over = listed([plain(axis) for axis in surfaces[0].axes])
    words = [f"Lines of equal loss over {over}: {'; and '.join(ranges)}."]
    for (name, points), path in zip(found.items(), paths.values(), strict=True):
        losses = getattr(path, "losses", None)
        told = (
            [f", where the loss is {_loss(losses[0])},", f", where it is {_loss(losses[-1])}"] if losses else ["", ""]
        )
        ended = f"; {plain(path.ended)}" if hasattr(path, "ended") else ""
        steps = counted(len(points) - 1, "step")
        words.append(f"{name}: from {_at(points[0])}{told[0]} in {steps} to {_at(points[-1])}{told[1]}{ended}.")
    words += [f"{name} is at {_at(place)}." for name, place in stars.items()]
    return " ".join(words)


def _loss(value) -> str:
    return number(round(float(value), 3))


def _at(point) -> str:
    return f"({number(round(point[0], 3))}, {number(round(point[1], 3))})"
