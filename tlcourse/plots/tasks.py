"""`tasks`: losses and scores of several tasks that were trained together, and what each loss counted."""

from __future__ import annotations

import numpy as np
from matplotlib.ticker import LogLocator, NullFormatter

from tlcourse.errors import CourseError
from tlcourse.plots.inputs import numbers
from tlcourse.plots.plot import COLOURS, MARKERS, MUTED, Plot, drawing, end_labels
from tlcourse.plots.words import counted, number, plain

MOST = 12  # tasks that can be told apart in one panel
APART = 30  # values that differ by a factor of more than this are drawn on a log scale


def tasks(history) -> Plot:
    """Loss and score of each task by epoch, for training and validation, and the weights of the losses.

    Arguments:
        history: what `fit_tasks` returned.

    Returns a `Plot`. Raises `CourseError` for a history that `fit` returned, without an epoch, or of over 12 tasks.

    >>> from tlcourse.multitask import TaskHistory
    >>> row = {"epoch": 1, "digit_loss": 2.0, "digit_accuracy": 0.1, "digit_weight": 1.0}
    >>> later = {"epoch": 2, "digit_loss": 0.5, "digit_accuracy": 0.8, "digit_weight": 1.0}
    >>> tasks(TaskHistory([row, later], tasks=("digit",), metrics={"digit": "accuracy"}))
    1 task over 2 epochs, weighting equal. digit: training loss 2 to 0.500; training accuracy 0.100 to 0.800; weight 1.

    Chapter 05.
    """
    names = tuple(getattr(history, "tasks", ()))
    if not names or not hasattr(history, "to_frame"):
        raise CourseError(
            "This is no history of several tasks.",
            do="Pass what fit_tasks returned; plots.history draws what fit returned.",
        )
    if not len(history):
        raise CourseError(
            "This history has no epoch.", why="Nothing was trained yet, or it stopped in the first epoch."
        )
    if len(names) > MOST:
        raise CourseError(f"{len(names)} tasks cannot be told apart in one figure.", do=f"Draw at most {MOST}.")
    table = history.to_frame()
    epochs = numbers(table["epoch"], "epochs")
    curves = {name: numbers(table[name].to_numpy(dtype=float), name, missing=True) for name in table if name != "phase"}
    upper, lower = max(2.6, 0.2 * len(names)), max(1.6, 0.2 * len(names))  # inches, a line for each name
    with drawing(height=upper + lower + 1.7) as figure:
        grid = figure.add_gridspec(2, 2, height_ratios=(upper, lower))
        panels = (("Loss", grid[0, 0]), ("Score", grid[0, 1]), ("Weight of the loss", grid[1, :]))
        for title, place in panels:
            ax, ends, seen = figure.add_subplot(place), [], []
            for i, task in enumerate(names):
                drawn = [(curves[c], word) for c, word in _columns(history, task, title) if _any(curves, c)]
                lines = [_line(ax, epochs, values, i, word) for values, word in drawn]
                label = f"{task} {history.metrics.get(task, '')}" if title == "Score" else task
                ends += [(x, y, plain(label), colour) for x, y, colour in lines[-1:]]
                seen += [values for values, _ in drawn]
            _axes(ax, epochs, seen, title)
            end_labels(ax, ends, lower if place is panels[2][1] else upper)
        if any(f"valid_{task}_loss" in curves for task in names):
            figure.supxlabel("Solid, filled marks: validation. Dashed, open marks: training.", size=10, color=MUTED)
    words = f"{counted(len(names), 'task')} over {counted(len(epochs), 'epoch')}, weighting {history.weighting}."
    return Plot(figure, " ".join([words, *(_tell(history, task, curves) for task in names)]))


def _columns(history, task: str, title: str) -> list[tuple[str, str]]:
    """The columns of a task that a panel draws, each with what it was measured on; the last one is named."""
    if title.startswith("Weight"):
        return [(f"{task}_weight", "weight")]
    what = "loss" if title == "Loss" else history.metrics.get(task, "score")
    return [(f"{task}_{what}", "training"), (f"valid_{task}_{what}", "validation")]


def _any(curves, column: str) -> bool:
    return column in curves and bool(np.isfinite(curves[column]).any())


def _line(ax, epochs, values, i: int, word: str) -> tuple[float, float, str]:
    ok, colour, dashed = np.isfinite(values), COLOURS[i % len(COLOURS)], word == "training"
    ax.plot(
        epochs[ok], values[ok], color=colour, linestyle="--" if dashed else "-", marker=MARKERS[i % len(MARKERS)],
        markerfacecolor="white" if dashed else colour, markevery=max(1, int(ok.sum()) // 12),
    )  # fmt: skip
    return epochs[ok][-1], values[ok][-1], colour


def _axes(ax, epochs, seen, title: str) -> None:
    values = np.concatenate(seen) if seen else np.ones(1)
    values = values[np.isfinite(values)]
    wide = values.min() > 0 and values.max() > APART * values.min()
    if wide:
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 3)))
        ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        ax.yaxis.set_minor_formatter(NullFormatter())
    last, first = epochs.max(), epochs.min()
    ax.set_xticks(np.arange(first, last + 1, max(1, int(np.ceil((last - first) / 6)))))
    ax.margins(y=0.15)  # a name at the end of a low line stays clear of the numbers below
    ax.set_xlabel("epoch")
    ax.set_title(f"{title} (log scale)" if wide else title)
    ax.grid(axis="y")
    ax.autoscale_view()  # now, since names are put where the lines end


def _tell(history, task: str, curves) -> str:
    parts = []
    for title in ("Loss", "Score", "Weight"):
        for column, word in _columns(history, task, title):
            if _any(curves, column):
                values = curves[column][np.isfinite(curves[column])]
                what = column.removeprefix("valid_").removeprefix(f"{task}_")
                name = "weight" if word == "weight" else f"{word} {what.replace('_', ' ')}"
                ends = [number(values[0]), number(values[-1])]
                parts.append(f"{name} {' to '.join(dict.fromkeys(ends))}")
    return f"{plain(task)}: {'; '.join(parts)}."
