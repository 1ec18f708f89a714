"""`prediction`: what a model says of one image or sentence, and what in it counted."""

from __future__ import annotations

import numpy as np

from tlcourse.plots.plot import BLUE, MUTED, ORANGE, Plot, drawing
from tlcourse.plots.words import plain, shorten, units

_VEIL = 0.72  # how dark a place becomes that does not count at all


def prediction(made, rank: int = 0) -> Plot:
    """The likeliest classes as bars; beside them what counted for one of them.

    Of an image the places that speak for the class are lit and the others veiled; a line runs where a place counts half
    as much as the strongest. Of a text each word is underlined as strongly as its share falls without it.

    Arguments:
        made: what `predict` returned.
        rank: 0 for the likeliest class, 1 for the next, and so on.

    Returns a `Plot`.

    >>> from tlcourse import load, photograph, predict
    >>> prediction(predict(load("efficientnet-lite0"), photograph("coffee"), top=2)).alt
    'espresso 95 %, cup 2 % (of 1,000 classes). Half of what speaks for espresso lies on ...'

    Chapter 00.
    """
    names, n = [shorten(name, 24) for name in made.names], len(made.names)
    with drawing(
        height=max(3.2, 0.8 + 0.42 * n) if made.kind == "image" else 0.7 + 0.38 * n + _rows(made) * 0.55
    ) as figure:
        if made.kind == "image":
            left, right = figure.subplots(1, 2, width_ratios=(1, 1.25))
            _picture(left, made, rank)
        else:
            right, below = figure.subplots(2, 1, height_ratios=(0.38 * n + 0.1, _rows(made) * 0.55))
            _words(below, made, rank)
        _bars(right, names, made.shares, rank if made.where is not None or made.weights is not None else None)
    words = str(made) if rank == 0 else f"{made} {made.looked(rank)}"
    return Plot(figure, plain(words))


def lit(map_: np.ndarray, height: int, width: int) -> np.ndarray:
    """A map 0..1 at the size of its picture, smoothly between the middles of its places.

    >>> lit(np.array([[0.0, 1.0]]), 2, 4).round(2).tolist()
    [[0.0, 0.25, 0.75, 1.0], [0.0, 0.25, 0.75, 1.0]]
    """
    rows, columns = (
        np.clip((np.arange(side) + 0.5) / side * n - 0.5, 0, n - 1)
        for side, n in ((height, map_.shape[0]), (width, map_.shape[1]))
    )
    across = np.stack([np.interp(columns, np.arange(map_.shape[1]), row) for row in map_])
    return np.stack([np.interp(rows, np.arange(map_.shape[0]), column) for column in across.T], 1)


def _picture(ax, made, rank: int) -> None:
    height, width = made.picture.shape[:2]
    ax.imshow(made.picture)
    if made.where is not None:
        shown = lit(made.where[rank], height, width)
        veil = np.zeros((height, width, 4))
        veil[..., 3] = _VEIL * (1 - shown)
        ax.imshow(veil)
        if shown.min() < 0.5 < shown.max():
            ax.contour(shown, [0.5], colors="black", linewidths=3)
            ax.contour(shown, [0.5], colors="white", linewidths=1.2)
        ax.set_title(f"for {shorten(made.names[rank], 20)}")
    ax.set_axis_off()


def _bars(ax, names, shares, rank) -> None:
    y = np.arange(len(names))[::-1]
    ax.barh(y, shares, color=BLUE, height=0.44)
    for place, name, share, i in zip(y, names, shares, range(len(names)), strict=True):
        ax.text(0, place + 0.25, f"{name}  {100 * share:.1f} %", va="bottom", ha="left", size=10,
                weight="bold" if i == rank else "normal")  # fmt: skip
    ax.set(xlim=(0, 1), ylim=(-0.4, len(names) - 0.2), yticks=[], xticks=[0, 0.5, 1], xlabel="share")
    ax.set_xticklabels(["0 %", "50 %", "100 %"])
    ax.spines["left"].set_visible(False)


_LINE = 74  # letters


def _lines(made) -> list[list[int]]:
    lines, wide = [[]], 0.0
    for i, part in enumerate(made.parts):
        own = units(shorten(part, _LINE - 4)) + 2
        if wide + own > _LINE and lines[-1]:
            lines.append([])
            wide = 0.0
        lines[-1].append(i)
        wide += own
    return lines[:8]


def _rows(made) -> int:
    return max(1, len(_lines(made)))


def _words(ax, made, rank: int) -> None:
    ax.set(xlim=(0, _LINE), ylim=(-_rows(made), 0))
    ax.set_axis_off()
    if made.weights is None or not made.parts:
        ax.text(0, -0.5, shorten(made.text, _LINE), va="center", size=11)
        return
    weights = made.weights[rank]
    most = max(float(np.abs(weights).max()), 0.01)
    for row, line in enumerate(_lines(made)):
        x = 0.0
        for i in line:
            text = shorten(made.parts[i], _LINE - 4)
            wide, strong = units(text), float(weights[i]) / most
            ax.text(x + wide / 2, -row - 0.45, text, ha="center", va="baseline", size=10.5)
            style = {"color": BLUE, "linestyle": "-"} if strong >= 0 else {"color": ORANGE, "linestyle": (0, (1.5, 1))}
            ax.plot([x, x + wide], [-row - 0.56] * 2, lw=max(0.4, 5 * abs(strong)), solid_capstyle="butt", **style)
            if abs(weights[i]) >= 0.005:
                ax.text(x + wide / 2, -row - 0.66, f"{100 * weights[i]:+.0f}".replace("-", "−"), ha="center", va="top",
                        size=8.5, color=MUTED)  # fmt: skip
            x += wide + 2
