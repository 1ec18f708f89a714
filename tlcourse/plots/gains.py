"""`gain` and `distance`: what transfer adds, and where it begins to do harm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tlcourse.errors import CourseError
from tlcourse.plots.inputs import numbers
from tlcourse.plots.plot import BLUE, COLOURS, GREEN, LINES, MUTED, VERMILLION, Plot, drawing, end_labels, readable
from tlcourse.plots.words import number, plain

if TYPE_CHECKING:  # the unit loads torch, and most figures need none
    from tlcourse.adaptation.shift import Gain, Pair

SIGNS = {"gain": "^", "no clear gain": "o", "negative transfer": "v"}
_MANY = 8  # points of a curve that are all told
_KEY = "▲ gain   ● no clear gain: the interval holds zero   ▼ negative transfer"


def gain(curves: Mapping, *, xlabel: str = "", ylabel: str = "gain in accuracy", log: bool = False) -> Plot:
    """What transfer adds, with its interval: above zero it helps, below it does harm.

    Arguments:
        curves: name -> {x: gain}, where a gain is a `Gain`, the difference of two `repeat`s, or (mean, low, high).
        xlabel, ylabel: names of the axes.
        log: whether the x axis is logarithmic, as for numbers of labels.

    Returns a `Plot`. Raises `CourseError` for no curve, or values that are not numbers.

    >>> gain({"source": {2: (0.1, 0.05, 0.15), 50: (-0.1, -0.15, -0.05)}}, xlabel="labels a class")
    Gain in accuracy against labels a class. source: 0.100 (0.050 to 0.150) at 2, gain;
    −0.100 (−0.150 to −0.050) at 50, negative transfer.

    Chapter 01.
    """
    if not isinstance(curves, Mapping) or not curves:
        raise CourseError("There are no curves to draw.", do='Pass e.g. {"movie to tweet": {2: (0.1, 0.05, 0.15)}}.')
    rows = {plain(name): _curve(points, log) for name, points in curves.items()}
    height = max(3.7, 0.26 * len(rows) + 1.4)
    with drawing(height=height) as figure:
        ax = figure.subplots()
        if log:
            ax.set_xscale("log")
        ends = []
        for i, (name, (x, mean, low, high)) in enumerate(rows.items()):
            colour = COLOURS[i % len(COLOURS)]
            ax.errorbar(x, mean, yerr=[mean - low, high - mean], color=colour, capsize=3, elinewidth=1,
                        linestyle=LINES[i % len(LINES)], zorder=3)  # fmt: skip
            _signs(ax, x, mean, low, high, colour)
            ends.append((x[-1], mean[-1], name, colour))
        _zero(ax, [v for row in rows.values() for v in (*row[2], *row[3])])
        every = np.unique(np.concatenate([row[0] for row in rows.values()]))
        if log:
            ax.set_xticks(every, labels=[number(v) for v in every])
            ax.set_xticks([], minor=True)
        ax.set(xlabel=(plain(xlabel) + (" (log scale)" if log else "")).strip(), ylabel=plain(ylabel))
        end_labels(ax, ends, height - 1.2)
        figure.supxlabel(_KEY, size=10, color=MUTED)
    words = f"{plain(ylabel).capitalize()} against {plain(xlabel) or 'x'}."
    return Plot(figure, words + "".join(f" {name}: {_told(*row)}." for name, row in rows.items()))


def distance(pair: Pair, gains: Sequence[Gain], at: int) -> Plot:
    """The clouds of a source and a target, and what transfer adds at this and at all other distances.

    Arguments:
        pair: the points.
        gains: the gain at each distance.
        at: which of them is the one shown.

    Returns a `Plot`. Raises `CourseError` when they do not belong together.

    >>> from tlcourse.adaptation import gains, pair
    >>> distance(pair(0.5, n=20), gains([0, 0.5, 1], labels=20), at=1)
    Distance 0.500, 20 target labels a class. Of the target, the source's rule names 0.75... rightly, the target's
    labels alone 0.81..., both together 0.7...: negative transfer, ... Over all distances: gain from 0; negative
    transfer from 0.500 to 1.

    Chapter 01.
    """
    gains = list(gains)
    if (
        not gains
        or not isinstance(at, int)
        or not 0 <= at < len(gains)
        or abs(gains[at].distance - pair.distance) > 1e-6
    ):
        raise CourseError("These points and gains do not belong together.", do="Pass pair(gains[at].distance).")
    now = gains[at]
    x, mean, low, high = (np.array([getattr(g, n) for g in gains]) for n in ("distance", "mean", "low", "high"))
    with drawing(height=3.7) as figure:
        clouds, curve = figure.subplots(1, 2)
        _clouds(clouds, pair)
        curve.fill_between(x, low, high, color=BLUE, alpha=0.16, linewidth=0)
        curve.plot(x, mean, color=BLUE)
        _zero(curve, [*low, *high])
        curve.errorbar([now.distance], [now.mean], yerr=[[now.mean - now.low], [now.high - now.mean]], color=VERMILLION,
                       marker=SIGNS[now.verdict], markersize=11, capsize=4, zorder=5)  # fmt: skip
        curve.set(xlabel="distance", ylabel="gain in accuracy")
        curve.set_title(f"{now.labels} target labels a class")
        figure.supxlabel(f"▲ class 1, ● class 0; filled: target. Now: {now.verdict}.", size=10, color=MUTED)
    return Plot(figure, told(gains, at))


def told(gains: Sequence[Gain], at: int) -> str:
    """The dial in words: this distance, and where gain ends and harm begins."""
    now = gains[at]
    words = (
        f"Distance {number(now.distance)}, {now.labels} target label{'s' if now.labels > 1 else ''} a class. Of the "
        f"target, the source's rule names {number(now.source)} rightly, the target's labels alone {number(now.alone)}, "
        f"both together {number(now.both)}: {now.verdict}, {_interval(now.mean, now.low, now.high)}."
    )
    parts = []
    for kind in ("gain", "negative transfer"):
        where = [g.distance for g in gains if g.verdict == kind]
        if where:
            ends = f" to {number(max(where))}" if max(where) > min(where) else ""
            parts.append(f"{kind} from {number(min(where))}{ends}")
    return words + (f" Over all distances: {'; '.join(parts)}." if parts else "")


def _clouds(ax, pair: Pair) -> None:
    for points, look in ((pair.source, {"facecolors": "none", "edgecolors": MUTED}), (pair.target, {"c": BLUE})):
        for k, mark in enumerate("o^"):
            ax.scatter(*points[pair.y == k, :2].T, marker=mark, s=22, linewidths=1, alpha=0.8, **look)
    turn = pair.distance * np.pi / 2
    for angle, colour, style, name in ((0.0, MUTED, "--", "source's rule"), (turn, BLUE, "-", "target's")):
        along = np.array([-np.sin(angle), np.cos(angle)]) * 3.6
        ax.plot(*np.stack([-along, along]).T, color=colour, linestyle=style, lw=1.8, label=name)
    ax.set(xlim=(-4, 4), ylim=(-4, 4), xticks=[], yticks=[], aspect="equal")
    ax.set_title("Source (open), target (filled)")
    ax.legend(loc="lower center", ncols=2, fontsize=9, frameon=False, bbox_to_anchor=(0.5, -0.14), handlelength=2.4)


def _signs(ax, x, mean, low, high, colour) -> None:
    from tlcourse.adaptation.shift import verdict

    kinds = np.array([verdict(a, b) for a, b in zip(low, high, strict=True)])
    for kind, sign in SIGNS.items():
        here = kinds == kind
        ax.plot(x[here], mean[here], linestyle="none", marker=sign, markersize=9, color=colour, markeredgecolor="white",
                zorder=4)  # fmt: skip


def _zero(ax, values) -> None:
    low, high = min(*values, 0.0), max(*values, 0.0)
    pad = 0.16 * (high - low) or 0.05
    ax.set_ylim(low - pad, high + pad)
    ax.axhline(0, color=MUTED, lw=1.2)
    ax.axhspan(0, high + pad, color=GREEN, alpha=0.05, lw=0)
    ax.axhspan(low - pad, 0, color=VERMILLION, alpha=0.05, lw=0)
    for y, va, word, colour in ((0.98, "top", "helps", GREEN), (0.02, "bottom", "does harm", VERMILLION)):
        ax.text(0.985, y, word, transform=ax.transAxes, ha="right", va=va, size=10, color=readable(colour))
    ax.grid(axis="y")


def _curve(points, log):
    if not isinstance(points, Mapping) or not points:
        raise CourseError("A curve needs x -> gain.", do="Pass e.g. {2: (0.1, 0.05, 0.15), 10: (0.0, -0.03, 0.03)}.")
    x = numbers(list(points), "x values")
    if log and (x <= 0).any():
        raise CourseError("On a log scale x is above 0.", do="Leave that point out, or log=False.")
    triples = []
    for value in points.values():
        if hasattr(value, "mean") and hasattr(value, "low"):
            value = (value.mean, value.low, value.high)
        if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 3:
            raise CourseError(
                f"{value!r} is no gain with its interval.", do="Pass (mean, low, high), or a difference of repeats."
            )
        triples.append(value)
    mean, low, high = (numbers(list(part), "gains") for part in zip(*triples, strict=True))
    if (low > mean + 1e-9).any() or (high < mean - 1e-9).any():
        raise CourseError("A gain lies outside its own interval.", do="Give (mean, low, high), in this order.")
    order = np.argsort(x, kind="stable")
    return x[order], mean[order], np.minimum(low, mean)[order], np.maximum(high, mean)[order]


def _interval(mean, low, high):
    return f"{number(mean)} ({number(low)} to {number(high)})"


def _told(x, mean, low, high):
    from tlcourse.adaptation.shift import verdict

    said = [verdict(a, b) for a, b in zip(low, high, strict=True)]
    points = [f"{_interval(m, a, b)} at {number(v)}" for v, m, a, b in zip(x, mean, low, high, strict=True)]
    if len(x) <= _MANY:
        return "; ".join(f"{point}, {word}" for point, word in zip(points, said, strict=True))
    # of a long curve its ends, and where the verdict changes
    starts = [i for i in range(len(x)) if i == 0 or said[i] != said[i - 1]]
    runs = [f"{said[i]} from {number(x[i])}" for i in starts]
    return f"{points[0]}, {points[-1]}; {', '.join(runs)}"
