"""`matrix`: a table of numbers as coloured cells, such as what was learned here and tested there."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.patches import Rectangle

from tlcourse.errors import CourseError
from tlcourse.plots.inputs import array
from tlcourse.plots.plot import INK, WIDTH, Plot, drawing
from tlcourse.plots.words import number, plain, shorten, units

_MOST = 20


def matrix(table, *, xlabel: str = "", ylabel: str = "", title: str = "", digits: int = 2) -> Plot:
    """A table of numbers, a cell a number; where rows and columns have the same names, the diagonal is framed.

    Arguments:
        table: a table with names for rows and columns; or row name -> {column name: number}.
        xlabel, ylabel: what the columns and the rows are.
        title: what the numbers are.
        digits: digits after the point in a cell.

    Returns a `Plot`. Raises `CourseError` for an empty table, or values that are not numbers.

    >>> rows = {"cat": {"cat": 0.9, "dog": 0.6}, "dog": {"cat": 0.5, "dog": 0.8}}
    >>> matrix(rows, ylabel="learned on", xlabel="tested on")
    2 by 2 numbers, learned on by tested on. cat: cat 0.900, dog 0.600. dog: cat 0.500, dog 0.800.
    On the diagonal the mean is 0.850, beside it 0.550.

    Chapter 01.
    """
    rows, columns, values = _read(table)
    xlabel, ylabel, title = plain(xlabel), plain(ylabel), plain(title)
    if isinstance(digits, bool) or digits not in range(7):
        raise CourseError(f"digits={digits!r} will not do.", do="Choose a whole number from 0 to 6.")
    texts = [[f"{v:.{digits}f}".replace("-", "−") for v in row] for row in values]
    left = min(max(map(units, rows)), 20) * 0.088
    room, letters = WIDTH - left - 0.6, max(len(t) for row in texts for t in row)
    size = next((s for s in (11, 10, 9, 8) if (0.64 * s / 72 * letters + 0.1) * len(columns) <= room), None)
    if size is None:
        raise CourseError(f"{len(columns)} columns do not fit.", do="Draw fewer of them, or fewer digits.")
    widest = max(0.64 * size / 72 * letters + 0.1, 0.42)
    cell = min(max(widest, 0.95), room / len(columns))
    flat = max(units(shorten(c, 20)) for c in columns) * 0.088 < cell - 0.06
    below = 0.3 if flat else 0.7 * min(max(map(units, columns)), 20) * 0.088 + 0.1
    tall = min(cell, 0.55)
    height = tall * len(rows) + below + 0.35 * bool(xlabel) + 0.35 * bool(title) + 0.3
    with drawing(max(3.0, cell * len(columns) + left + 0.7), height) as figure:
        ax = figure.subplots()
        low, high = values.min(), values.max()
        limits = (-max(-low, high), max(-low, high)) if low < 0 else (low - 0.15 * (high - low), high)
        if limits[0] == limits[1]:
            limits = (limits[0] - 1, limits[1] + 1)
        picture = ax.imshow(values, cmap="RdBu" if low < 0 else "Blues", vmin=limits[0], vmax=limits[1], aspect="auto")
        for (i, j), value in np.ndenumerate(values):
            dark = _dark(picture.cmap(picture.norm(value)))
            ax.text(j, i, texts[i][j], ha="center", va="center", size=size, color="white" if dark else INK)
            if rows == columns and i == j:
                box = Rectangle((j - 0.46, i - 0.46), 0.92, 0.92, fill=False, lw=1.8, ec="white" if dark else INK)
                ax.add_patch(box)
        slant = {} if flat else {"rotation": 40, "ha": "right", "rotation_mode": "anchor"}
        ax.set_xticks(range(len(columns)), labels=[shorten(c, 20) for c in columns], **slant)
        ax.set_yticks(range(len(rows)), labels=[shorten(r, 20) for r in rows])
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
        ax.set_xticks(np.arange(len(columns) + 1) - 0.5, minor=True)
        ax.set_yticks(np.arange(len(rows) + 1) - 0.5, minor=True)
        ax.grid(which="minor", color="white", linewidth=1.5)
        ax.tick_params(which="minor", length=0)
        ax.set(xlabel=xlabel, ylabel=ylabel)
        if title:
            ax.set_title(title)
    return Plot(figure, _tell(rows, columns, values, xlabel, ylabel, title))


def _read(table):
    if isinstance(table, Mapping) and not hasattr(table, "columns"):
        import pandas as pd

        if not all(isinstance(row, Mapping) for row in table.values()):
            raise CourseError(
                "A matrix needs names for its columns.", do='Pass e.g. {"cat": {"cat": 0.9, "dog": 0.6}}.'
            )
        columns = list(dict.fromkeys(name for row in table.values() for name in row))
        # objects: any name may be drawn, and half a character is no string for the strings of some pandas
        rows, names = (pd.Index(labels, dtype=object) for labels in (list(table), columns))
        table = pd.DataFrame([[row.get(c, np.nan) for c in columns] for row in table.values()], rows, names)
    if not hasattr(table, "columns"):
        raise CourseError("A matrix needs names.", do="Pass a table, or a mapping of row names to rows.")
    if not table.size:
        raise CourseError("The table is empty.", do="Look at how it was made.")
    if max(table.shape) > _MOST:
        raise CourseError(f"{table.shape[0]} by {table.shape[1]} numbers cannot be read in a figure.",
                          do=f"Draw at most {_MOST} rows and columns.")  # fmt: skip
    try:
        values = array(table.to_numpy(), "values").astype(float)
    except (TypeError, ValueError):
        raise CourseError("The values are not numbers.", do="Leave out columns of texts.") from None
    if not np.isfinite(values).all():
        raise CourseError("The table has a value that is not a number.", do="Give a number for each cell.")
    return [plain(r) for r in table.index], [plain(c) for c in table.columns], values


def _dark(colour) -> bool:
    red, green, blue = ((c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4) for c in colour[:3])
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.18  # where white is read more easily than black


def _tell(rows, columns, values, xlabel, ylabel, title):
    axes = f", {ylabel} by {xlabel}" if xlabel and ylabel else ""
    words = f"{title}: " if title else ""
    words += f"{len(rows)} by {len(columns)} numbers{axes}."
    for name, row in zip(rows, values, strict=True):
        words += f" {name}: {', '.join(f'{c} {number(v)}' for c, v in zip(columns, row, strict=True))}."
    if rows == columns and len(rows) > 1:
        own = np.eye(len(rows), dtype=bool)
        words += f" On the diagonal the mean is {number(values[own].mean())}, beside it {number(values[~own].mean())}."
    return words
