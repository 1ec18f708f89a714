"""`sweep` and `rates`: what a setting does over its whole range."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tlcourse.errors import CourseError, UnknownName
from tlcourse.plots.curves import interval_of
from tlcourse.plots.inputs import levels, numbers
from tlcourse.plots.plot import COLOURS, LINES, MARKERS, MUTED, VERMILLION, Plot, drawing, end_labels, limits, readable
from tlcourse.plots.words import counted, number, plain

_FEW = 6
_BEST = {"highest": np.argmax, "lowest": np.argmin}


def sweep(
    curves: Mapping,
    *,
    xlabel: str,
    ylabel: str = "accuracy",
    best: str | None = "highest",
    baseline=None,
    diagonal: str | None = None,
    log: bool = False,
    top: float | None = None,
) -> Plot:
    """A figure against a setting, a line each, with 95 % intervals where there are several seeds; the best is starred.

    Arguments:
        curves: name -> mapping of the setting to a number, or to the figures of several seeds.
        xlabel, ylabel: names of the axes.
        best: "highest" or "lowest": what is starred on each line; None for nothing.
        baseline: a number, or name -> number, drawn as a level line.
        diagonal: name of a line on which the figure equals the setting, e.g. "as sure as right"; None for no line.
        log: whether the setting is drawn on a log scale; a setting of 0 is then drawn at the left end.
        top: where the drawing ends; what is higher is told in words only.

    Returns a `Plot`. Raises `CourseError` for no curve, or values that are not numbers.

    >>> sweep({"tweets": {0: 0.7, 0.5: 0.8, 1: 0.75}}, xlabel="λ")
    Accuracy against λ. tweets: 0.700 at 0, 0.750 at 1; highest at 0.500 with 0.800.

    Chapter 02.
    """
    if not isinstance(curves, Mapping) or not curves:
        raise CourseError("There are no curves to draw.", do='Pass e.g. {"tweets": {0: 0.7, 1: 0.8}}.')
    if best is not None and best not in _BEST:
        raise UnknownName("best", best, _BEST)
    rows, lines = {plain(name): _rows(name, curve) for name, curve in curves.items()}, levels(baseline)
    places = np.unique(np.concatenate([row[0] for row in rows.values()]))
    if log and (places < 0).any():
        raise CourseError("A log scale has no place for numbers below 0.", do="Leave out log=True.")
    height = max(3.8, 0.26 * (len(rows) + len(lines)) + 1.2)
    with drawing(height=height) as figure:
        ax, ends = figure.subplots(), []
        if log:
            least = places[places > 0].min() if (places > 0).any() else 1.0
            ax.set_xscale("symlog", linthresh=least, linscale=0.5) if (places == 0).any() else ax.set_xscale("log")
        for i, (name, (x, mean, low, high)) in enumerate(rows.items()):
            colour = COLOURS[i % len(COLOURS)]
            ax.fill_between(x, low, high, color=colour, alpha=0.16, linewidth=0)
            ax.plot(
                x, mean, color=colour, linestyle=LINES[i % len(LINES)], marker=MARKERS[i % len(MARKERS)],
                markersize=5, markevery=max(1, len(x) // 12), zorder=3,
            )  # fmt: skip
            if best is not None and len(x) > 1:
                at = int(_BEST[best](mean))
                ax.plot(x[at], mean[at], marker="*", markersize=16, color=colour, markeredgecolor="white", zorder=4)
            ends.append((x[-1], mean[-1], name, colour))
        for name, value in lines.items():
            ax.axhline(value, color=MUTED, linewidth=1.2, linestyle=(0, (2, 2)))
            ends.append((places[-1], value, name, MUTED))
        if diagonal is not None:
            ax.plot(places, places, color=MUTED, linewidth=1.2, linestyle=(0, (4, 3)), zorder=1)
            ends.append((places[-1], places[-1], plain(diagonal), MUTED))
        ax.set(xlabel=plain(xlabel), ylabel=plain(ylabel))
        if log:
            ax.set_xticks(_few(places), labels=[number(x) for x in _few(places)])
            ax.set_xticks([], minor=True)
        elif _countable(places):
            ax.set_xticks(places, labels=[number(x) for x in places])
        ax.grid(axis="y")
        heights = [v for row in rows.values() for v in (*row[2], *row[3])] + list(lines.values())
        heights += [] if diagonal is None else [places[0], places[-1]]
        ax.set_ylim(*limits([v for v in heights if top is None or v <= top] or heights))
        end_labels(ax, [(x, min(y, ax.get_ylim()[1]), *more) for x, y, *more in ends], height - 0.9)
    words = [f"{plain(ylabel).capitalize()} against {plain(xlabel)}."]
    words += [_tell(name, row, best) for name, row in rows.items()]
    words += [f"The level of {name} is {number(value)}." for name, value in lines.items()]
    if diagonal is not None:
        words.append(f"On the dashed diagonal, {plain(diagonal)}, both are equal.")
    return Plot(figure, " ".join(words))


def _rows(name, curve):
    """Settings in order, with mean, low and high of each."""
    if hasattr(curve, "to_dict"):  # a column of a table, by its index
        curve = curve.to_dict()
    if not isinstance(curve, Mapping) or not curve:
        raise CourseError(f"The curve {plain(name)!r} has no points.", do="Pass a mapping: setting -> figures by seed.")
    x = numbers(list(curve), "settings")
    values = [numbers(np.atleast_1d(np.asarray(v)), f"values of {plain(name)!r}") for v in curve.values()]
    order = np.argsort(x, kind="stable")
    mean, low, high = np.array([interval_of(values[i]) for i in order]).T
    if min(v.min() for v in values) >= 0:  # nor is a loss ever below 0, whatever Student's t says
        low = low.clip(min=0)
    return x[order], mean, low, high


def _few(places):
    """At most eight of the settings, for the ticks."""
    return places[:: max(1, -(-len(places) // 8))]


def _countable(places) -> bool:
    """Whether the settings are a few whole numbers, such as of layers: there is nothing between them to be named."""
    return 1 < len(places) <= _FEW and not (places % 1).any() and 12 * np.diff(places).min() >= np.ptp(places)


def _tell(name, row, best) -> str:
    x, mean, low, high = row
    # a line without a best point is read for its shape
    ends = range(len(x)) if best is None and len(x) <= _FEW else [0] if len(x) == 1 else [0, -1]
    told = ", ".join(f"{_value(mean[i], low[i], high[i])} at {number(x[i])}" for i in ends)
    if best is None or len(x) == 1:
        return f"{name}: {told}."
    at = int(_BEST[best](mean))
    return f"{name}: {told}; {best} at {number(x[at])} with {_value(mean[at], low[at], high[at])}."


def _value(mean, low, high) -> str:
    return number(mean) + (f" ({number(low)} to {number(high)})" if high - low > 1e-9 else "")


def rates(test, *more, labels=None) -> Plot:
    """The loss of a learning-rate range test against the rate.

    Arguments:
        test, more: what `range_test` returned.
        labels: a name a test, when there are several.

    Returns a `Plot`. Raises `CourseError` when it is given something else.

    >>> from tlcourse.optimization import RangeTest
    >>> rates(RangeTest((1e-3, 1e-2, 1e-1, 1.0), (0.7, 0.6, 0.2, 2.9), (0.7, 0.6, 0.2, 2.9), "the loss had risen"))
    Loss against learning rate in 4 steps, from 0.001 to 1. Smoothed it begins at 0.700, falls fastest at 0.032, is
    least, 0.200, at 0.1, and ends at 2.90 as the loss had risen. A rate to begin with: 0.01.

    Chapter 02.
    """
    tests = [test, *more]
    if not all(hasattr(t, "smooth") and hasattr(t, "rates") for t in tests):
        raise CourseError("Only what range_test(...) returned can be drawn.", do="Pass it: plots.rates(test).")
    labels = [""] if labels is None and not more else labels or [f"test {i + 1}" for i in range(len(tests))]
    if isinstance(labels, str) or len(labels) != len(tests):
        raise CourseError(f"There are {counted(len(tests), 'test')}, so as many labels are needed.")
    with drawing(height=3.6) as figure:
        ax, ends, words = figure.subplots(), [], []
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
        for i, (one, label) in enumerate(zip(tests, map(plain, labels), strict=True)):
            x, colour = numbers(one.rates, "rates"), COLOURS[i % len(COLOURS)]
            if not more:
                ax.plot(x, one.losses, color=MUTED, lw=0, marker=".", markersize=5, alpha=0.7)
            smooth = np.asarray(one.smooth)
            ax.plot(x, smooth, color=colour, linestyle=LINES[i % len(LINES)])
            at = float(np.interp(np.log(one.rate), np.log(x), smooth))
            ax.plot(one.rate, at, marker="*", markersize=16, color=VERMILLION, markeredgecolor="white", zorder=4)
            ends.append((x[-1], smooth[-1], label or "smoothed", colour))
            if not more:
                ax.annotate(
                    f"begin with {one.rate:.2g}", (one.rate, at), (10, 4), textcoords="offset points",
                    ha="left", va="bottom", color=readable(VERMILLION),
                )  # fmt: skip
            words.append((f"{label}: " if label else "") + _told(one, smooth))
        tops = [max(one.smooth[0], *one.smooth[: len(one) * 9 // 10 + 1]) for one in tests]
        lows = [min(one.smooth if more else one.losses) for one in tests]
        ax.set_ylim(min(lows) - 0.07 * (max(tops) - min(lows)) - 0.01, 1.35 * max(tops))
        ax.set(xlabel="learning rate, a step each (log scale)", ylabel="loss of a batch")
        ax.grid(axis="y")
        if more:
            end_labels(ax, [(x, min(y, ax.get_ylim()[1]), text, c) for x, y, text, c in ends], 2.7)
    return Plot(figure, " ".join(words))


def _told(one, smooth) -> str:
    fastest = f"falls fastest at {one.steepest:.2g}, " if one.steepest else ""
    return (
        f"Loss against learning rate in {counted(len(one), 'step')}, from {one.rates[0]:.2g} to {one.rates[-1]:.2g}. "
        f"Smoothed it begins at {number(smooth[0])}, {fastest}is least, {number(smooth.min())}, at {one.lowest:.2g}, "
        f"and ends at {number(smooth[-1])} as {one.ended}. A rate to begin with: {one.rate:.2g}."
    )
