"""`tokens`: what each word of a text adds to a score."""

from __future__ import annotations

import numpy as np

from tlcourse.errors import CourseError
from tlcourse.plots.plot import BLUE, MUTED, ORANGE, Plot, drawing
from tlcourse.plots.words import plain, shorten

MOST = 24
"""Of a longer text the words that count most are drawn, in the order of the text."""


def tokens(made) -> Plot:
    """The words of a text from top to bottom, each with a bar: to the right where it adds to the class's score.

    Arguments:
        made: what `token_attribution` returned.

    Returns a `Plot`. Raises `CourseError` for anything else.

    >>> from tlcourse.explain import TokenAttribution
    >>> tokens(TokenAttribution("So good", ((0, 2), (3, 7)), (-0.1, 1.9), "positive", 1.5, -0.3, 0.0, 50))
    positive: score 1.50, 1.80 above that of a blank text. “So” −0.10, “good” +1.90.

    Chapter 09.
    """
    if not hasattr(made, "values") or not hasattr(made, "spans"):
        raise CourseError(
            f"Words and what they add are needed, not a {type(made).__name__}.",
            do="Pass what token_attribution(model, text, target) returned.",
        )
    values = np.array(made.values)
    shown = np.sort(np.argsort(-np.abs(values), kind="stable")[:MOST])
    names, bars = [shorten(made.words[i], 20) for i in shown], values[shown]
    with drawing(height=0.27 * len(shown) + 0.95) as figure:
        ax = figure.subplots()
        y = np.arange(len(shown))
        for up, look in ((True, {"facecolor": BLUE}), (False, {"facecolor": ORANGE, "hatch": "///"})):
            chosen = (bars >= 0) == up
            ax.barh(y[chosen], bars[chosen], height=0.66, edgecolor="white", linewidth=0, **look)
        most = max(float(np.abs(bars).max(initial=0)), 1e-9)
        low, high = min(bars.min(initial=0), 0), max(bars.max(initial=0), 0)
        for i, value in enumerate(bars):
            text = f"{value:+.2f}".replace("-", "−")
            at, side = (value, "left") if value >= 0 else (value, "right")
            ax.annotate(text, (at, i), (4 if value >= 0 else -4, 0), textcoords="offset points", ha=side, va="center",
                        size=9.5, color=MUTED)  # fmt: skip
        ax.axvline(0, color=MUTED, lw=1)
        left, right = (end + sign * 0.28 * most if end else sign * 0.02 * most for end, sign in ((low, -1), (high, 1)))
        ax.set(ylim=(len(shown) - 0.4, -0.6), xlim=(left, right))  # with room for the numbers beside the bars
        ax.set_yticks(y, labels=names)
        ax.tick_params(axis="y", length=0)
        ax.spines["left"].set_visible(False)
        ax.set_xlabel(f"adds to the score of {shorten(made.target, 30)}")
        few = f"the {len(shown)} words of {len(values)} that count most" if len(shown) < len(values) else "each word"
        ax.set_title(f"What {few} adds" if few == "each word" else f"What {few} add")
    return Plot(figure, plain(str(made)))
