"""`attention`: what a decoder looked at while it wrote."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from tlcourse.errors import CourseError
from tlcourse.plots.inputs import array
from tlcourse.plots.plot import INK, ORANGE, WIDTH, Plot, drawing
from tlcourse.plots.words import number, plain, shorten, units

MOST = 40
END = {"⏹": "(end)"}  # few fonts have the sign


def attention(weights, source: Sequence[str], written: Sequence[str], *, title: str = "") -> Plot:
    """A row for each piece that was written, a column for each word of the source; dark is where it looked.

    Arguments:
        weights: `[t, s]`, each row sums to one.
        source: the `s` words or tokens that were looked at.
        written: the `t` pieces that were written.
        title: what is shown.

    The strongest place of each row has a dot. Returns a `Plot`. Raises `CourseError` where the numbers and names do not
    go together.

    >>> attention([[0.9, 0.1], [0.2, 0.8]], ["open", "file"], ["ouvrir", "fichier"])
    2 pieces over 2 words. “ouvrir” looked most at “open” (0.900), “fichier” at “file” (0.800).

    Chapter 07-2.
    """
    for what, names in (("source", source), ("written", written)):
        if isinstance(names, str) or not isinstance(names, Iterable):
            raise CourseError(f"{what}= is a list of words, not a {type(names).__name__}.", do='Pass e.g. ["open"].')
    try:
        values = array(weights, "weights").astype(float)
    except (TypeError, ValueError) as error:
        raise CourseError("The weights are no numbers.", why=str(error), do="Pass weights [t, s].") from None
    source, written = [plain(s) for s in source], [END.get(w, plain(w)) for w in written]
    rows, columns = len(written), len(source)
    if values.ndim != 2 or values.shape != (len(written), len(source)) or not values.size:
        raise CourseError(
            f"The weights have the shape {list(values.shape)}; there are {rows} pieces and {columns} words.",
            do="Pass the weights [t, s] of one text, its t pieces and its s words.",
        )
    if not np.isfinite(values).all() or values.min() < -1e-6 or np.abs(values.sum(1) - 1).max() > 0.01:
        raise CourseError(
            "These are no attention weights.", why="Each row sums to one.", do="Take them after the softmax."
        )
    if max(values.shape) > MOST:
        raise CourseError(f"More than {MOST} words cannot be read in a figure.", do="Draw a shorter text.")
    cell, title = min(0.7, (WIDTH - 2.4) / columns), plain(title or "")
    width = min(WIDTH, max(3.6, cell * columns + 2.4, 0.1 * units(title) + 2.2))
    with drawing(width, 0.3 * rows + 1.2 + 0.3 * bool(title)) as figure:
        ax = figure.subplots()
        picture = ax.imshow(values, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        ax.plot(values.argmax(1), range(rows), "o", color=ORANGE, ms=6, mec=INK, mew=0.8, ls="")
        ax.set_xticks(range(columns), [shorten(s, 14) for s in source], rotation=40, ha="right", rotation_mode="anchor")
        ax.set_yticks(range(rows), labels=[shorten(w, 18) for w in written])
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
        ax.set(xlabel="looked at", ylabel="written")
        figure.colorbar(picture, ax=ax, label="weight", fraction=0.05, pad=0.02)
        if title:
            ax.set_title(shorten(title, int((width - 2.0) / 0.1)))
    return Plot(figure, _tell(values, source, written, title))


def _tell(values, source, written, title) -> str:
    said = [
        f"“{piece}” {'looked most ' if not i else ''}at “{source[j]}” ({number(values[i, j])})"
        for i, (piece, j) in enumerate(zip(written, values.argmax(1), strict=True))
    ]
    head = f"{title}: " if title else ""
    return f"{head}{len(written)} pieces over {len(source)} words. {', '.join(said)}."
