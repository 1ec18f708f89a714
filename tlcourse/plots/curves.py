"""`history` and `label_efficiency`: how something grows with training, and with labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tlcourse.errors import CourseError
from tlcourse.plots.inputs import levels, numbers
from tlcourse.plots.plot import COLOURS, LINES, MARKERS, MUTED, Plot, drawing, end_labels, limits
from tlcourse.plots.words import counted, listed, number, plain, shorten


def history(history, *more, labels=None) -> Plot:
    """Loss and accuracy by epoch, for training and validation.

    Arguments:
        history, more: what `fit` returned, or tables with the columns `epoch`, `loss`, and where measured
            `accuracy`, `valid_loss`, `valid_accuracy`.
        labels: a name a history, when there are several.

    Returns a `Plot`. Raises `CourseError` when there is no epoch or no loss.

    >>> import pandas as pd
    >>> history(pd.DataFrame({"epoch": [1, 2], "loss": [2.0, 0.5]}))
    Loss over 2 epochs. Training loss: 2 to 0.500.
    """
    runs = [_table(h) for h in (history, *more)]
    if labels is None:
        labels = [""] if len(runs) == 1 else [f"run {i + 1}" for i in range(len(runs))]
    if isinstance(labels, str) or len(labels) != len(runs):
        raise CourseError(f"There are {len(runs)} histories, so {len(runs)} labels are needed.")
    labels = [plain(label) for label in labels]
    panels = [p for p in ("loss", "accuracy") if any(_has(run, p) or _has(run, f"valid_{p}") for run in runs)]
    height, top = max(3.3, 0.26 * len(runs) + 1.2), tame([max(_losses(run)) for run in runs])
    beyond = tuple(label for run, label in zip(runs, labels, strict=True) if max(_losses(run)) > top)
    with drawing(height=height + (0.3 if len(runs) > 1 else 0)) as figure:
        for panel, ax in zip(panels, np.ravel(figure.subplots(1, len(panels), squeeze=False)), strict=True):
            ends = []
            for i, (run, label) in enumerate(zip(runs, labels, strict=True)):
                ends += _lines(ax, run, panel, label, i, len(runs) > 1)
            if panel == "loss" and beyond:
                ax.set_ylim(*limits([min(min(_losses(run)) for run in runs), top]))
                ends = [(x, min(y, ax.get_ylim()[1]), *named) for x, y, *named in ends]
            _epochs(ax, runs)
            ax.set_title(panel.capitalize())
            ax.grid(axis="y")
            end_labels(ax, ends, height - 1.1)
        if len(runs) > 1:
            marks = "Solid, filled marks: validation. Dashed, open marks: training."
            left = f"\nThe loss of {shorten(listed(beyond), 70)} leaves the picture." if beyond else ""
            figure.supxlabel(marks + left, size=10, color=MUTED)
    longest = max(len(run["epoch"]) for run in runs)
    words = f"{' and '.join(panels).capitalize()} over {counted(longest, 'epoch')}."
    for run, label in zip(runs, labels, strict=True):
        told = " ".join(_tell(run, panel) for panel in panels if _has(run, panel) or _has(run, f"valid_{panel}"))
        words += f" {label}: {told}" if label else f" {told}"
    return Plot(figure, words)


def _table(given) -> dict[str, np.ndarray]:
    frame = given.to_frame() if hasattr(given, "to_frame") and not hasattr(given, "columns") else given
    if not hasattr(frame, "columns"):
        import pandas as pd

        frame = pd.DataFrame(frame)
    frame = frame.reset_index() if "epoch" not in frame.columns and frame.index.name == "epoch" else frame
    if not len(frame):
        raise CourseError(
            "This history has no epoch.", why="Nothing was trained yet, or it stopped in the first epoch."
        )
    run = {"epoch": numbers(frame["epoch"] if "epoch" in frame.columns else np.arange(1, len(frame) + 1), "epochs")}
    for name in ("loss", "accuracy", "valid_loss", "valid_accuracy"):
        if name in frame.columns:
            run[name] = numbers(frame[name].to_numpy(dtype=float, na_value=np.nan), name, missing=True)
    if not (_has(run, "loss") or _has(run, "valid_loss")):
        raise CourseError(
            "This history has no loss that is a number.",
            why="The column `loss` is missing, or the training diverged in the first epoch.",
            do="Pass what fit returned; if the loss is NaN, train with a smaller lr.",
        )
    return run


def tame(highest: Sequence[float]) -> float:
    """How high a picture of several runs should reach: one that diverged would press all others flat.

    Arguments:
        highest: the highest loss of each run.

    Returns the highest of those that are at most a hundred times the one at the lower quarter.

    >>> tame([0.7, 2.5, 2e10]), tame([2e10])
    (2.5, 20000000000.0)
    """
    ranked = sorted(highest)
    usual = ranked[(len(ranked) - 1) // 4]
    return max(value for value in ranked if value <= max(usual, 100 * usual))


def _losses(run) -> np.ndarray:
    both = np.concatenate([run[name] for name in ("loss", "valid_loss") if name in run])
    return both[np.isfinite(both)]


def _has(run, name) -> bool:
    return name in run and bool(np.isfinite(run[name]).any())


def _lines(ax, run, panel, label, i, several):
    ends = []
    for k, (column, word) in enumerate(((panel, "train"), (f"valid_{panel}", "valid"))):
        if not _has(run, column):
            continue
        ok = np.isfinite(run[column])
        x, y = run["epoch"][ok], run[column][ok]
        look = i if several else k
        colour, marker = COLOURS[look % len(COLOURS)], MARKERS[look % len(MARKERS)]
        ax.plot(
            x, y, color=colour, linestyle="--" if word == "train" else "-", marker=marker,
            markerfacecolor="white" if word == "train" else colour, markevery=max(1, len(x) // 12), zorder=3 + k,
        )  # fmt: skip
        ends.append((x[-1], y[-1], label if several else word, colour))
    return ends[-1:] if several else ends


def _epochs(ax, runs):
    last = max(run["epoch"].max() for run in runs)
    first = min(run["epoch"].min() for run in runs)
    step = max(1, int(np.ceil((last - first) / 6)))
    ax.set_xticks(np.arange(first, last + 1, step))
    ax.set_xlim(first - 0.03 * max(last - first, 1) - 0.1, last + 0.03 * max(last - first, 1) + 0.1)
    ax.set_xlabel("epoch")


def _tell(run, panel):
    words = []
    for column, name in ((panel, "training"), (f"valid_{panel}", "validation")):
        if not _has(run, column):
            continue
        ok = np.isfinite(run[column])
        x, y = run["epoch"][ok], run[column][ok]
        text = f"{name} {panel}: {number(y[0])}"
        text += f" to {number(y[-1])}" if len(y) > 1 else ""
        best = int(np.argmin(y) if panel == "loss" else np.argmax(y))
        if name == "validation" and best not in (0, len(y) - 1):
            text += f", best {number(y[best])} at epoch {number(x[best])}"
        if not ok.all() and name == "training":
            text += f"; not a number at epoch {number(run['epoch'][~ok][0])}"
        words.append(text)
    return "; ".join(words).capitalize() + "." if words else ""


def label_efficiency(curves: Mapping, *, baseline=None, ylabel: str = "accuracy", xlabel: str = "") -> Plot:
    """Accuracy against labelled examples a class, with intervals: what pretraining saves in labels.

    Arguments:
        curves: name -> table (or list of rows) with the columns `shots`, `mean`, `low`, `high`; or with `shots` and
            `accuracy`, a row a seed; or a mapping shots -> accuracies by seed. From two seeds on, a 95 % interval.
        baseline: a number, or name -> number, drawn as a level line, e.g. `{"chance": 0.1}`.
        ylabel, xlabel: names of the axes.

    Returns a `Plot`. Raises `CourseError` for no curve, shots below 1, or values that are not numbers.

    >>> label_efficiency({"probe": {2: [0.6], 8: [0.9]}})
    Accuracy against labelled examples a class. probe: 0.600 at 2, 0.900 at 8.
    """
    if not isinstance(curves, Mapping) or not curves:
        raise CourseError("There are no curves to draw.", do='Pass e.g. {"pretrained": table, "from scratch": table}.')
    rows = {plain(name): _summary(table) for name, table in curves.items()}
    lines = levels(baseline)
    shots = np.unique(np.concatenate([row[0] for row in rows.values()]))
    height = max(3.8, 0.26 * (len(rows) + len(lines)) + 1.2)
    with drawing(height=height) as figure:
        ax = figure.subplots()
        ax.set_xscale("log")
        ends = []
        for i, (name, (x, mean, low, high)) in enumerate(rows.items()):
            colour = COLOURS[i % len(COLOURS)]
            ax.fill_between(x, low, high, color=colour, alpha=0.16, linewidth=0)
            ax.errorbar(
                x, mean, yerr=[mean - low, high - mean], color=colour, marker=MARKERS[i % len(MARKERS)], capsize=3,
                linestyle=LINES[i % len(LINES)], elinewidth=1, zorder=3,
            )  # fmt: skip
            ends.append((x[-1], mean[-1], name, colour))
        for name, value in lines.items():
            ax.axhline(value, color=MUTED, linewidth=1.2, linestyle=(0, (2, 2)))
            ends.append((shots[-1], value, name, MUTED))
        ax.set_xticks(_thin(shots), labels=[number(s) for s in _thin(shots)])
        ax.set_xticks([], minor=True)
        if len(shots) == 1:
            ax.set_xlim(shots[0] / 2, shots[0] * 2)
        ax.set(xlabel=xlabel or "labelled examples a class (log scale)", ylabel=ylabel)
        ax.grid(axis="y")
        ax.set_ylim(*limits([v for row in rows.values() for v in (*row[2], *row[3])] + list(lines.values())))
        end_labels(ax, ends, height - 0.9)
    words = [f"{plain(ylabel).capitalize()} against {plain(xlabel) or 'labelled examples a class'}."]
    words += [f"{name}: {', '.join(_point(*p) for p in zip(*row, strict=True))}." for name, row in rows.items()]
    words += [f"The level of {name} is {number(value)}." for name, value in lines.items()]
    if len(rows) == 2:
        words.append(_gap(rows))
    return Plot(figure, " ".join(w for w in words if w))


def _summary(table):
    import pandas as pd

    if isinstance(table, Mapping) and "shots" not in table:
        table = [{"shots": k, "accuracy": a} for k, values in table.items() for a in np.atleast_1d(values)]
    frame = table if isinstance(table, pd.DataFrame) else pd.DataFrame(table)
    frame = frame.reset_index() if frame.index.name == "shots" else frame
    if not len(frame) or "shots" not in frame or not {"mean", "accuracy"} & set(frame.columns):
        raise CourseError(
            "A curve needs the columns `shots` and `mean` (with `low` and `high`), or `shots` and `accuracy`.",
            why=f"It has {len(frame)} rows and the columns: {', '.join(map(str, frame.columns)) or 'none'}.",
        )
    shots = numbers(frame["shots"], "shots")
    if (shots < 1).any():
        raise CourseError("Shots start at 1 on a log scale.", do="Leave out the row with no examples.")
    if "mean" in frame:
        order = np.argsort(shots, kind="stable")
        mean = numbers(frame["mean"], "means")
        low = numbers(frame["low"], "lower ends") if "low" in frame else mean
        high = numbers(frame["high"], "upper ends") if "high" in frame else mean
        if (low > mean + 1e-9).any() or (high < mean - 1e-9).any():
            raise CourseError("A mean lies outside its own interval.", do="Check whether low and high were swapped.")
        return shots[order], mean[order], np.minimum(low, mean)[order], np.maximum(high, mean)[order]
    accuracy = numbers(frame["accuracy"], "accuracies")
    unique = np.unique(shots)
    return (unique, *np.array([interval_of(accuracy[shots == s]) for s in unique]).T)


def interval_of(values):
    if len(values) == 1:
        return (values[0],) * 3
    from tlcourse.features import interval

    mean, low, high = interval(values)
    if min(values) >= 0 and max(values) <= 1:  # a share: no accuracy is below 0 or above 1, whatever Student's t says
        low, high = max(0.0, low), min(1.0, high)
    return mean, low, high


def _thin(shots):
    """The shots whose labels fit side by side."""
    if len(shots) < 2:
        return shots
    kept, room = [shots[0]], 0.06 * np.log(shots[-1] / shots[0])
    for s in shots[1:]:
        if np.log(s / kept[-1]) >= room:
            kept.append(s)
    return np.array(kept)


def _point(shots, mean, low, high):
    interval = f" ({number(low)} to {number(high)})" if high - low > 1e-9 else ""
    return f"{number(mean)}{interval} at {number(shots)}"


def _gap(rows):
    (a, (x, mean, *_)), (b, (x2, mean2, *_)) = rows.items()
    both = np.intersect1d(x, x2)
    if not len(both):
        return ""
    gaps = [mean[list(x).index(s)] - mean2[list(x2).index(s)] for s in both]
    at = int(np.argmax(np.abs(gaps)))
    ahead, behind = (a, b) if gaps[at] >= 0 else (b, a)
    return f"The gap is widest at {number(both[at])}: {ahead} is {number(abs(gaps[at]))} above {behind}."
