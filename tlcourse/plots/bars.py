"""`depth`, `stages` and `bars`: one value a name."""

from __future__ import annotations

import numpy as np

from tlcourse.errors import CourseError
from tlcourse.plots.inputs import estimates, levels, numbers, same_length
from tlcourse.plots.plot import BLUE, MUTED, ORANGE, SKY, VERMILLION, Plot, drawing, end_labels, limits
from tlcourse.plots.words import counted, number, percent, plain, shorten, units


def depth(names, accuracies=None, low=None, high=None, *, baseline=None, ylabel: str = "accuracy") -> Plot:
    """Accuracy by the stage that features are read from, from the input to the output.

    Arguments:
        names: stage names in the order of the chain; or a mapping stage -> number, (value, low, high) or probe result.
        accuracies: a value a stage.
        low, high: ends of the intervals, a value a stage.
        baseline: a number, or name -> number, drawn as a level line, e.g. `{"raw pixels": 0.85}`.

    Returns a `Plot`. Raises `CourseError` for lengths that differ or values that are not numbers.

    >>> depth({"stem": 0.6, "stage1": 0.8, "pool": 0.7})
    Accuracy by stage: stem 0.600, stage1 0.800, pool 0.700. It is highest at stage1.
    """
    names, values, low, high = estimates(names, accuracies, low, high, "accuracies")
    lines, n, best = levels(baseline), len(names), int(np.argmax(values))
    height = 3.7
    with drawing(height=height) as figure:
        ax = figure.subplots()
        x = np.arange(n)
        if low is not None:
            ax.errorbar(x, values, yerr=[values - low, high - values], fmt="none", ecolor=MUTED, capsize=3, lw=1.2)
        ax.plot(x, values, color=BLUE, marker="o", zorder=3)
        ax.plot(x[best], values[best], color=VERMILLION, marker="*", markersize=15, linestyle="none", zorder=4)
        ends = [(n - 1, value, name, MUTED) for name, value in lines.items()]
        for value in lines.values():
            ax.axhline(value, color=MUTED, lw=1.2, linestyle=(0, (2, 2)))
        tops = values if high is None else high
        bottom, top = limits([*(values if low is None else low), *tops, *lines.values()])
        ax.set_ylim(bottom, top + 0.14 * (top - bottom))  # room for the label of the best
        ax.set_xlim(-0.4, n - 0.6)
        side = "left" if best < 0.2 * n else "right" if best >= 0.8 * n else "center"
        ax.annotate(
            f"highest: {shorten(names[best])}, {number(values[best])}", (x[best], tops[best]), (0, 9),
            textcoords="offset points", ha=side, va="bottom",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1, "alpha": 0.85},
        )  # fmt: skip
        _names_below(ax, names)
        ax.set_ylabel(ylabel)
        ax.set_xlabel("stage, from the input to the output")
        ax.grid(axis="y")
        end_labels(ax, ends, height - 1.2)
    words = f"{plain(ylabel).capitalize()} by stage: {_values(names, values, low, high)}. "
    words += f"It is highest at {names[best]}."
    return Plot(figure, words + "".join(f" The level of {name} is {number(v)}." for name, v in lines.items()))


def stages(table) -> Plot:
    """A bar a stage: how many parameters it has, and whether it is frozen.

    Arguments:
        table: what `audit(model)` returned, or a model, which is audited.

    Returns a `Plot`. Raises `CourseError` when the table lacks a column.

    >>> import pandas as pd
    >>> stages(pd.DataFrame({"stage": ["body", "head"], "parameters": [90, 10], "frozen": [True, False]}))
    2 stages with 100 parameters; 10 of them (10 %) train. body: 90, frozen; head: 10, trains.
    """
    if not hasattr(table, "columns"):
        from tlcourse.freezing import audit

        table = audit(table)
    named = table["stage"] if "stage" in table.columns else table.index
    if not len(table) or "parameters" not in table or not {"frozen", "requires grad"} & set(table.columns):
        raise CourseError(
            "The table needs the columns `stage`, `parameters`, and `frozen` or `requires grad`.",
            do="Pass what audit(model) returned, or the model itself.",
        )
    names, counts = [plain(s) for s in named], numbers(table["parameters"], "parameters")
    same_length(stages=names, parameters=counts)
    if (counts < 0).any():
        raise CourseError("A stage cannot have fewer than no parameters.")
    states = [_state(row) for row in table.to_dict("records")]
    n, total = len(names), counts.sum()
    with drawing(height=0.36 * n + 1.0) as figure:
        ax = figure.subplots()
        y = np.arange(n)
        for i in range(n):
            look = _LOOKS[states[i][0]]
            ax.barh(y[i], counts[i], height=0.72, **look)
            share = f" ({percent(counts[i] / total)})" if counts[i] and total else ""
            text = f"{number(counts[i])}{share}, {states[i][1]}" if counts[i] else states[i][1]
            ax.annotate(text, (counts[i], y[i]), (6, 0), textcoords="offset points", va="center", size=10.5)
        ax.set_yticks(y, labels=[shorten(name, 18) for name in names])
        ax.set_ylim(n - 0.4, -0.6)
        ax.set_xlim(0, (counts.max() or 1) * 1.02)
        ax.tick_params(axis="y", length=0)
        ax.set_xticks([])
        ax.spines["bottom"].set_visible(False)
        ax.set_title("Parameters a stage, from the input (top) to the output")
    moving = sum(c for c, (kind, _) in zip(counts, states, strict=True) if kind == "trains")
    partly = any(kind == "partly" for kind, _ in states)
    words = f"{counted(n, 'stage')} with {number(total)} parameters; {number(moving)} of them "
    words += f"({percent(moving / total)}) train" if total else "train"
    words += ", and part of others. " if partly else ". "
    parts = [f"{a}: {number(c) + ', ' if c else ''}{s[1]}" for a, c, s in zip(names, counts, states, strict=True)]
    return Plot(figure, words + "; ".join(parts) + ".")


_LOOKS = {
    "frozen": {"facecolor": "#dcecf8", "edgecolor": BLUE, "hatch": "///"},
    "trains": {"facecolor": ORANGE, "edgecolor": "#7a5500"},
    "partly": {"facecolor": "#fbe6c2", "edgecolor": VERMILLION, "hatch": "..."},
    "none": {"facecolor": SKY},
}


def _state(row) -> tuple[str, str]:
    """How a stage is drawn, and what is said of it."""
    grad, buffers = row.get("requires grad", ""), row.get("buffers that move", 0) or 0
    if not row["parameters"]:
        moving = f"no parameters, but {counted(int(buffers), 'buffer')} that move" if buffers else "no parameters"
        return "none", moving
    if row.get("frozen") is True or (row.get("frozen") is not None and bool(row["frozen"])):
        return "frozen", "frozen"
    if grad == "no" or grad is False:
        still = f"but {counted(int(buffers), 'buffer')} still move{'s' if buffers == 1 else ''}"
        return "partly", f"no gradients, {still if buffers else 'but not held in evaluation mode'}"
    return ("partly", "trains in part") if grad == "part" else ("trains", "trains")


def bars(values, low=None, high=None, *, baseline=None, xlabel: str = "", unit: str = "") -> Plot:
    """Named values as bars from zero, with their intervals: seconds, megabytes, accuracies.

    Arguments:
        values: name -> number, (value, low, high), probe result, or what `repeat` returned.
        low, high: ends of the intervals, a value a name.
        baseline: a number, or name -> number, drawn as an upright line, e.g. `{"guessing": 0.5}`.
        xlabel: what is measured, e.g. `"seconds an epoch"`.
        unit: written after each number, e.g. `"s"`.

    Returns a `Plot`. Raises `CourseError` for no value or values that are not numbers.

    >>> bars({"kept features": 0.5, "naive loop": 60.0}, xlabel="Seconds an epoch", unit="s")
    Seconds an epoch: kept features 0.500 s, naive loop 60 s. naive loop is 120 times kept features.
    """
    if not hasattr(values, "keys"):
        raise CourseError("Bars need names.", do='Pass e.g. {"kept features": 0.5, "naive loop": 60.0}.')
    names, values, low, high = estimates(dict(values), None, low, high, "values")
    n, unit, title, lines = len(names), plain(unit), plain(xlabel), levels(baseline)
    ends = values if high is None else np.maximum(values, high)
    starts = values if low is None else np.minimum(values, low)
    with drawing(height=0.44 * n + (0.8 if title else 0.5) + (0.25 if lines else 0)) as figure:
        ax = figure.subplots()
        y = np.arange(n)
        ax.barh(y, values, height=0.66, color="#9cc9e6", edgecolor=BLUE)
        if low is not None:
            some = low < high  # a value without an interval gets no mark
            reach = [(values - low)[some], (high - values)[some]]
            ax.errorbar(values[some], y[some], xerr=reach, fmt="none", ecolor="#222222", capsize=4, lw=1.3)
        for i in range(n):
            text = number(values[i]) + (f" {unit}" if unit else "")
            if low is not None and low[i] < high[i]:
                text += f" ({number(low[i])} to {number(high[i])})"
            place = max(ends[i], 0)
            ax.annotate(text, (place, y[i]), (7, 0), textcoords="offset points", va="center", size=10.5)
        ax.set_yticks(y, labels=[shorten(name, 28) for name in names])
        ax.set_ylim(n - 0.4, -0.6)
        for name, value in lines.items():
            ax.axvline(value, color=MUTED, lw=1.2, linestyle=(0, (2, 2)))
            below = {"xytext": (0, -3), "textcoords": "offset points", "ha": "center", "va": "top"}
            ax.annotate(f"{shorten(name)}, {number(value)}", (value, n - 0.4), color=MUTED, size=10.5, **below)
        reach = [*lines.values(), 0.0]
        left, right = min(starts.min(), *reach), max(ends.max(), *reach)
        ax.set_xlim(left, right if right > left else left + 1)
        ax.axvline(0, color=MUTED, lw=1)
        ax.tick_params(axis="y", length=0)
        ax.set_xticks([])
        ax.spines[["bottom", "left"]].set_visible(False)
        if title:
            ax.set_title(title)
    words = f"{title or 'Values'}: {_values(names, values, low, high, unit)}."
    words += "".join(f" The level of {name} is {number(v)}." for name, v in lines.items())
    if n == 2 and values.min() > 0 and values.max() / values.min() >= 1.5:
        big, small = int(np.argmax(values)), int(np.argmin(values))
        words += f" {names[big]} is {number(round(values[big] / values[small], 1))} times {names[small]}."
    return Plot(figure, words)


def _values(names, values, low, high, unit=""):
    parts = []
    for i, name in enumerate(names):
        interval = "" if low is None or low[i] == high[i] else f" ({number(low[i])} to {number(high[i])})"
        parts.append(f"{name} {number(values[i])}{' ' + unit if unit else ''}{interval}")
    return ", ".join(parts)


def _names_below(ax, names):
    """Names under an axis, slanted when they would touch."""
    longest, room = max(units(n) for n in names), 6.3 / len(names) * 72 / 6.6
    short = [shorten(name, 18) for name in names]
    slant = {} if min(longest, 18) < room else {"rotation": 40, "ha": "right", "rotation_mode": "anchor"}
    ax.set_xticks(np.arange(len(names)), labels=short, **slant)
