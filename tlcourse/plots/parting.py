"""`parting`: two clouds of items, the line that parts their classes, and the accuracies as λ goes from 0 to 1."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tlcourse.errors import CourseError
from tlcourse.plots.plot import BLUE, INK, LINES, MARKERS, MUTED, VERMILLION, Plot, drawing, end_labels
from tlcourse.plots.words import number, plain, shorten


def parting(lines: Mapping, weight: float = 0.5, shots: int | None = None) -> Plot:
    """Items of source and target with the line for one λ, and the accuracies for all λ.

    Arguments:
        lines: what `tlcourse.optimization.mixer.lines` returned.
        weight: λ; the nearest that there is is drawn.
        shots: how many target items a class; by default the fewest.

    Returns a `Plot`. Raises `CourseError` when there are no such shots.

    >>> parting({"names": ["movie", "tweet"], "classes": ["no", "yes"], "sizes": [2, 1], "lambdas": [0, 1],
    ...     "labels": [[0, 1], [1]], "amounts": [{"shots": 4, "box": [-2, 2, -2, 2], "heads": [[0, 1], [1, 0]],
    ...     "points": [[[-1, 1], [1, 1]], [[-1, 1]]], "right": [[1, 1], [2, 0]], "losses": [[1, 0], [0, 1]]}]}, 1)
    With λ = 1 and 4 tweet items a class to learn from, the head is 1 of the movie head and 0 of the tweet head. It is
    right on 2 of 2 movie items and 0 of 1 tweet items. Over λ from 0 to 1, movie goes from 0.500 to 1, and tweet from 1
    to 0, highest at λ = 0 with 1.

    Chapter 02.
    """
    amounts = {amount["shots"]: amount for amount in lines["amounts"]}
    shots = min(amounts) if shots is None else shots
    if shots not in amounts:
        raise CourseError(f"There is no head for {shots} shots.", do=f"Choose one of {', '.join(map(str, amounts))}.")
    amount, lambdas = amounts[shots], np.asarray(lines["lambdas"], dtype=float)
    at, names = int(np.abs(lambdas - weight).argmin()), [plain(name) for name in lines["names"]]
    shares = np.asarray(amount["right"], dtype=float) / np.asarray(lines["sizes"])
    a, b = amount["heads"][at]
    with drawing(height=5.6) as figure:
        grid = figure.add_gridspec(2, 2, height_ratios=(3, 2))
        for i, name in enumerate(names):
            ax = figure.add_subplot(grid[0, i])
            points, y = np.asarray(amount["points"][i], dtype=float), np.asarray(lines["labels"][i])
            says = (points @ (a, b) > 0).astype(int)
            _cloud(ax, points, y, says)
            _line(ax, amount["box"], a, b)
            ax.set_title(f"{shorten(name, 18)}: {amount['right'][at][i]} of {lines['sizes'][i]} right")
            ax.set_xlabel(f"score of the {shorten(names[0], 12)} head")
            if not i:
                ax.set_ylabel(f"score of the {shorten(names[1], 12)} head")
        ax, ends = figure.add_subplot(grid[1, :]), []
        for i, name in enumerate(names):
            colour = (BLUE, VERMILLION)[i]
            ax.plot(lambdas, shares[:, i], color=colour, linestyle=LINES[i], marker=MARKERS[i], markersize=4)
            ends.append((lambdas[-1], shares[-1, i], name, colour))
        ax.axvline(lambdas[at], color=INK, lw=1.2)
        ax.set(xlabel="λ, the weight of the source's loss", ylabel="share that is right")
        ax.grid(axis="y")
        end_labels(ax, ends, 1.5)
    return Plot(figure, _words(names, lambdas, at, shots, amount, lines, shares))


def _cloud(ax, points, y, says) -> None:
    for label, marker in ((0, "_"), (1, "+")):
        for wrong in (False, True):
            chosen = (y == label) & ((says != y) == wrong)
            colour = VERMILLION if wrong else MUTED
            ax.plot(*points[chosen].T, lw=0, marker=marker, markersize=7, markeredgewidth=1.4, color=colour)
            if wrong:
                ax.plot(
                    *points[chosen].T, lw=0, marker="o", markersize=9, markerfacecolor="none", markeredgecolor=colour
                )


def _line(ax, box, a, b) -> None:
    left, right, bottom, top = box
    x, y = np.meshgrid(np.linspace(left, right, 120), np.linspace(bottom, top, 120))
    ax.contourf(x, y, a * x + b * y, [0, np.inf], colors=[BLUE], alpha=0.09)
    if a or b:
        reach = 2 * max(map(abs, box)) / np.hypot(a, b)
        ax.plot([-b * reach, b * reach], [a * reach, -a * reach], color=INK, lw=1.8)
    ax.set(xlim=(left, right), ylim=(bottom, top))


def _words(names, lambdas, at, shots, amount, lines, shares) -> str:
    source, target = names
    a, b = amount["heads"][at]
    right, sizes, best = amount["right"][at], lines["sizes"], int(shares[:, 1].argmax())
    return (
        f"With λ = {number(lambdas[at])} and {shots} {target} items a class to learn from, the head is {number(a)} of "
        f"the {source} head and {number(b)} of the {target} head. It is right on {right[0]} of {sizes[0]} {source} "
        f"items and {right[1]} of {sizes[1]} {target} items. Over λ from {number(lambdas[0])} to "
        f"{number(lambdas[-1])}, {source} goes from {number(shares[0, 0])} to {number(shares[-1, 0])}, "
        f"and {target} from {number(shares[0, 1])} to "
        f"{number(shares[-1, 1])}, highest at λ = {number(lambdas[best])} with {number(shares[best, 1])}."
    )
