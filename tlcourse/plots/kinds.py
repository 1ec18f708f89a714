"""`transfer`: which of domain and task a source and a target share."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

from matplotlib.patches import FancyBboxPatch

from tlcourse.errors import CourseError
from tlcourse.plots.plot import BLUE, INK, MUTED, VERMILLION, WIDTH, Plot, drawing, readable
from tlcourse.plots.words import plain, shorten

_ROW, _LEFT, _WIDE, _GAP = 1.56, 1.42, 2.62, 0.62  # inches: a case, the names, a box, between the boxes
_PARTS = ("domain", "task", "labels")


def transfer(cases: Mapping) -> Plot:
    """Source and target side by side, a row a case: what is the same in both, and what differs.

    Arguments:
        cases: name -> ((source's domain, task, labels), (target's domain, task, labels)), all of them words. What is
            spelled the same counts as the same.

    Returns a `Plot`. Raises `CourseError` for no case, or a side that is not of three words.

    >>> transfer({"inductive": (("photographs", "1,000 things", "many"), ("photographs", "faces", "few"))})
    inductive: the source has the domain "photographs", the task "1,000 things" and labels: many; the target has the
    same domain, another task, "faces", and labels: few.

    Chapter 01. Pan and Yang 2010.
    """
    if not isinstance(cases, Mapping) or not cases:
        raise CourseError("There are no cases to draw.", do="Pass a name and (source, target) for each.")
    read = {plain(name): _sides(name, sides) for name, sides in cases.items()}
    height = _ROW * len(read) + 0.34
    with drawing(WIDTH, height, layout="none") as figure:
        ax = figure.add_axes([0, 0, 1, 1])
        ax.set(xlim=(0, WIDTH), ylim=(height, 0))
        ax.axis("off")
        starts = (_LEFT, _LEFT + _WIDE + _GAP)
        for start, word in zip(starts, ("source", "target"), strict=True):
            ax.text(start + _WIDE / 2, 0.2, word, ha="center", va="center", weight="bold")
        for row, (name, sides) in enumerate(read.items()):
            _case(ax, 0.38 + _ROW * row, name, sides, starts)
    return Plot(figure, " ".join(_tell(name, *sides) for name, sides in read.items()))


def _case(ax, top, name, sides, starts):
    wrapped = [shorten(line, 14) for line in textwrap.wrap(name, 13)][:3] or [""]
    ax.text(0.1, top + 0.7, "\n".join(wrapped), va="center", weight="bold", size=11.5)
    for start, side in zip(starts, sides, strict=True):
        box = FancyBboxPatch((start, top + 0.02), _WIDE, _ROW - 0.2, boxstyle="round,pad=0,rounding_size=0.07",
                             fc="#f4f8fb", ec=BLUE, lw=1.2)  # fmt: skip
        ax.add_patch(box)
        for i, (part, text) in enumerate(zip(_PARTS, side, strict=True)):
            y = top + 0.27 + 0.44 * i
            ax.text(start + 0.1, y, part, va="center", size=9, color=MUTED)
            lines = textwrap.wrap(text, 24, break_long_words=False) or [""]
            lines = [*lines[:1], " ".join(lines[1:])] if len(lines) > 1 else lines
            ax.text(
                start + 0.66, y, "\n".join(shorten(line, 22) for line in lines), va="center", size=10, linespacing=1.0
            )
    middle = _LEFT + _WIDE + _GAP / 2
    for i in range(2):
        same = sides[0][i] == sides[1][i]
        look = {
            "boxstyle": "circle,pad=0.25" if same else "square,pad=0.3",
            "ec": INK if same else VERMILLION,
            "fc": "white",
        }
        ax.text(middle, top + 0.27 + 0.44 * i, "=" if same else "≠", ha="center", va="center", size=12, weight="bold",
                color=INK if same else readable(VERMILLION), bbox=look)  # fmt: skip


def _sides(name, sides):
    if not isinstance(sides, (tuple, list)) or len(sides) != 2 or any(
        not isinstance(side, (tuple, list)) or len(side) != len(_PARTS) for side in sides
    ):  # fmt: skip
        raise CourseError(
            f"The case {plain(name)!r} needs a source and a target, each with a domain, a task and labels.",
            do='Pass e.g. (("photographs", "1,000 things", "many"), ("photographs", "faces", "few")).',
        )
    return tuple(tuple(plain(word) for word in side) for side in sides)


def _tell(name, source, target):
    words = f'{name}: the source has the domain "{source[0]}", the task "{source[1]}" and labels: {source[2]}; '
    told = [
        f"the same {part}" if a == b else f'another {part}, "{b}"'
        for part, a, b in zip(_PARTS[:2], source, target, strict=False)
    ]
    return words + f"the target has {told[0]}, {told[1]}, and labels: {target[2]}."
