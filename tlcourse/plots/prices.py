"""`strategies`: what each way of training gives, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.patheffects import withStroke

from tlcourse.errors import CourseError
from tlcourse.plots.inputs import levels, numbers
from tlcourse.plots.plot import COLOURS, MARKERS, MUTED, Plot, drawing, limits, readable
from tlcourse.plots.words import number, plain, shorten

_SIZE = 10.5
# where a name may stand beside its point: offset in points, and which side of the text lies there
_PLACES = (
    (10, 0, "left", "center"),
    (-10, 0, "right", "center"),
    *((s * 10, v * 12, "left" if s > 0 else "right", "bottom" if v > 0 else "top") for v in (1, -1) for s in (1, -1)),
    *((s * 10, v * 26, "left" if s > 0 else "right", "bottom" if v > 0 else "top") for v in (1, -1) for s in (1, -1)),
)


def strategies(table, *, baseline=None, xlabel: str = "seconds of training", ylabel: str = "accuracy") -> Plot:
    """Accuracy against cost, a point a strategy, with its interval.

    Arguments:
        table: a table, a row a strategy (its name in the index), with the columns `seconds` and `accuracy`, and where
            there are intervals `low` and `high`; or a mapping name -> such a row.
        baseline: a number, or name -> number, drawn as a level line, e.g. `{"guessing": 0.5}`.
        xlabel, ylabel: what the cost and the result are.

    Returns a `Plot`. Raises `CourseError` for a missing column, seconds that are not above 0, and an interval that
    does not hold its value.

    >>> strategies({"head": {"seconds": 1, "accuracy": 0.7}, "all": {"seconds": 9, "accuracy": 0.8}})
    Accuracy against seconds of training. head: 0.700 at 1. all: 0.800 at 9. Quickest is head, best is all.

    Chapter 04.
    """
    names, cost, value, low, high = _read(table)
    lines = levels(baseline)
    with drawing(height=4.4) as figure:
        ax = figure.subplots()
        ax.set_xscale("log")
        ends = [*value, *lines.values()] if low is None else [*low, *high, *lines.values()]
        ax.set_ylim(*limits(ends))
        span = max(cost.max() / cost.min(), 2.0)
        ax.set_xlim(cost.min() / span**0.16, cost.max() * span**0.16)
        for text, level in lines.items():
            ax.axhline(level, color=MUTED, lw=1.2, linestyle=(0, (2, 2)))
            ax.annotate(text, (0.01, level), (0, 3), xycoords=("axes fraction", "data"),
                        textcoords="offset points", ha="left", va="bottom", color=MUTED, size=_SIZE)  # fmt: skip
        for i in range(len(names)):
            colour = COLOURS[i % len(COLOURS)]
            if low is not None:
                ax.errorbar(cost[i], value[i], yerr=[[value[i] - low[i]], [high[i] - value[i]]], color=colour,
                            capsize=3, elinewidth=1.2, zorder=2)  # fmt: skip
            ax.plot(cost[i], value[i], color=colour, marker=MARKERS[i % len(MARKERS)], markersize=9, zorder=3,
                    markeredgecolor="white", linestyle="none")  # fmt: skip
        ticks = _ticks(*ax.get_xlim())
        ax.set_xticks(ticks, labels=[f"{t:g}" for t in ticks])
        ax.set_xticks([], minor=True)
        ax.set(xlabel=f"{xlabel} (log scale)", ylabel=ylabel)
        ax.grid(axis="y")
        _name(figure, ax, names, cost, value, low, high)
    words = f"{plain(ylabel).capitalize()} against {plain(xlabel)}. "
    words += " ".join(_told(*row) for row in zip(names, cost, value, *_pair(value, low, high), strict=True))
    if len(names) > 1:
        words += f" Quickest is {names[int(np.argmin(cost))]}, best is {names[int(np.argmax(value))]}."
    return Plot(figure, words + "".join(f" The level of {name} is {number(v)}." for name, v in lines.items()))


def _read(table):
    import pandas as pd

    if isinstance(table, Mapping) and not hasattr(table, "columns"):
        table = pd.DataFrame(list(table.values()), index=[plain(name) for name in table])
    if not hasattr(table, "columns") or not len(table) or not {"seconds", "accuracy"} <= set(table.columns):
        raise CourseError(
            "The table needs the columns `seconds` and `accuracy`, a row a strategy.",
            do='Pass e.g. pd.DataFrame({"seconds": [1, 9], "accuracy": [0.7, 0.8]}, index=["head", "all"]).',
        )
    names = [plain(name) for name in table.index]
    cost, value = numbers(table["seconds"], "seconds"), numbers(table["accuracy"], "accuracies")
    if (cost <= 0).any():
        raise CourseError("Seconds are above 0 on a log scale.", do="Check how they were measured.")
    if ("low" in table) != ("high" in table):
        raise CourseError("An interval has two ends.", do="Give both columns, low and high, or neither.")
    if "low" not in table:
        return names, cost, value, None, None
    low, high = numbers(table["low"], "lower ends"), numbers(table["high"], "upper ends")
    if (low > value + 1e-9).any() or (high < value - 1e-9).any():
        raise CourseError(
            "A value lies outside its own interval.", do="Check whether low and high were swapped, or are half-widths."
        )
    if value.min() >= 0 and value.max() <= 1:  # a share: whatever Student's t says, none is below 0 or above 1
        low, high = np.maximum(low, 0), np.minimum(high, 1)
    return names, cost, value, np.minimum(low, value), np.maximum(high, value)


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers for a log axis: 1, 2 and 5 times powers of ten, and all digits where these are too few.

    >>> _ticks(0.9, 12), _ticks(4, 8)
    ([1.0, 2.0, 5.0, 10.0], [4.0, 5.0, 6.0, 7.0, 8.0])
    """
    for digits in ((1, 2, 5), range(1, 10)):
        found = [m * 10.0**e for e in range(-4, 7) for m in digits if low <= m * 10.0**e <= high]
        if len(found) > 2:
            break
    return found


def _name(figure, ax, names, cost, value, low, high) -> None:
    """Write each name beside its point, at the first place where it covers nothing."""
    figure.draw_without_rendering()  # only now the axes have their place
    at = ax.transData.transform
    taken, frame = [], ax.get_window_extent()
    for i in range(len(names)):
        (x, y), r = at((cost[i], value[i])), figure.dpi * 5 / 72
        taken.append((x - r, y - r, x + r, y + r))
        if low is not None:
            taken.append((x - 2, at((cost[i], low[i]))[1], x + 2, at((cost[i], high[i]))[1]))
    for i, text in enumerate(names):
        tried = []
        for dx, dy, ha, va in _PLACES:
            label = ax.annotate(
                shorten(text), (cost[i], value[i]), (dx, dy), textcoords="offset points", ha=ha, va=va, size=_SIZE,
                color=readable(COLOURS[i % len(COLOURS)]), path_effects=[withStroke(linewidth=2.5, foreground="white")],
                zorder=4,
            )  # fmt: skip
            box = label.get_window_extent().extents
            cover = sum(_overlap(box, other) for other in taken) + _outside(box, frame.extents)
            tried.append((cover, label, box))
            if cover == 0:
                break
        best = min(range(len(tried)), key=lambda k: tried[k][0])
        for k, (_, label, _) in enumerate(tried):
            if k != best:
                label.remove()
        taken.append(tuple(tried[best][2]))


def _overlap(a, b) -> float:
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def _outside(box, frame) -> float:
    return 1e3 * (max(0.0, frame[0] - box[0]) + max(0.0, box[2] - frame[2]) + max(0.0, box[3] - frame[3]))


def _pair(value, low, high):
    return (value, value) if low is None else (low, high)


def _told(name, cost, value, low, high) -> str:
    interval = f" ({number(low)} to {number(high)})" if high - low > 1e-9 else ""
    return f"{name}: {number(value)}{interval} at {number(cost)}."
