"""`embeddings`: the picture of the same items at each stage of a chain."""

from __future__ import annotations

from math import isfinite

import numpy as np
from matplotlib.lines import Line2D

from tlcourse.plots.plot import COLOURS, INK, MARKERS, Plot, drawing
from tlcourse.plots.words import counted, listed, percent, plain, shorten

PANELS = 8


def embeddings(made, *, by: str = "class") -> Plot:
    """Items as points in the plane, a panel a stage: where in the chain do groups come apart?

    Arguments:
        made: what `tlcourse.explain.embed` returned; of more than eight stages, eight from first to last are drawn.
        by: `"class"` or `"domain"`, which colours and shapes the points. By class, the points of the first domain are
            filled and those of the others open. The number beside a stage is the share of items whose
            neighbours name their group, neighbours of other domains where there are several.

    Returns a `Plot`, whose words tell for each stage how well the groups lie apart.

    >>> from tlcourse import load, load_dataset
    >>> from tlcourse.explain import embed
    >>> net = load("efficientnet-lite0", pretrained=False, size=32)
    >>> embeddings(embed(net, load_dataset("faces").test, ["stem", "pool"], cache=False))
    100 items of 2 classes as points in the plane, at 2 stages from stem to pool. ...

    Chapter 03.
    """
    names = [plain(name) for name in (made.classes if by == "class" else made.domains)]
    group = made.y if by == "class" else made.domain
    shown = np.unique(np.linspace(0, len(made.stages) - 1, min(PANELS, len(made.stages))).round().astype(int))
    columns = min(4, len(shown))
    rows = -(-len(shown) // columns)
    present = [g for g in range(len(names)) if (group == g).any()]
    several = by == "class" and len(made.domains) > 1
    lines = -(-len(present) // 4) + several
    with drawing(height=2.05 * rows + 0.24 * min(lines, 8) + 0.2) as figure:
        axes = np.ravel(figure.subplots(rows, columns, squeeze=False))
        for ax, stage in zip(axes, shown, strict=False):
            _panel(ax, made, stage, group, present, several)
            ax.set_title(_title(made, stage, by), fontsize=10, fontweight="normal", loc="center")
        for ax in axes[len(shown) :]:
            ax.set_axis_off()
        if len(present) <= 32:
            handles = [_handle(MARKERS[g % len(MARKERS)], COLOURS[g % len(COLOURS)], names[g]) for g in present]
            if several:
                first, *rest = (plain(name) for name in made.domains)
                handles += [_handle("o", INK, first), _handle("o", INK, listed(rest), filled=False)]
            figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=9.5, frameon=False,
                          handletextpad=0.2)  # fmt: skip
    return Plot(figure, _tell(made, by))


def _panel(ax, made, stage, group, present, several) -> None:
    points, size = made.framed()[stage], 13 if len(made) < 300 else 7
    for g in present:
        marker, colour = MARKERS[g % len(MARKERS)], COLOURS[g % len(COLOURS)]
        for filled in (True, False) if several else (True,):
            own = points[(group == g) & ((made.domain == 0) == filled if several else True)]
            ax.scatter(
                *own.T, s=size * (1.8 if marker in "*XP" else 1), marker=marker, alpha=0.8,
                facecolors=colour if filled else "none", edgecolors="white" if filled else colour,
                linewidths=0.2 if filled else 0.7,
            )  # fmt: skip
    ax.set(xticks=[], yticks=[], xlim=(-1.08, 1.08), ylim=(-1.08, 1.08), aspect="equal")
    ax.spines[:].set_visible(True)


def _handle(marker, colour, name, filled: bool = True):
    face = colour if filled else "none"
    return Line2D([], [], linestyle="none", marker=marker, color=colour, markerfacecolor=face, label=shorten(name, 20))


def _title(made, stage: int, by: str) -> str:
    score = made.agree.get(f"{by} across domains", made.agree.get(by))  # the stricter of the two
    told = f": {score[stage]:.2f}" if score and isfinite(score[stage]) else ""
    return f"{shorten(made.stages[stage], 14)}{told}"


def _tell(made, by: str) -> str:
    classes, domains = counted(len(made.classes), "class", "classes"), plain(listed(made.domains))
    words = f"{counted(len(made), 'item')} of {classes}"
    words += f" in {len(made.domains)} domains ({domains})" if len(made.domains) > 1 else ""
    words += f" as points in the plane, at {counted(len(made.stages), 'stage')} from {plain(made.stages[0])} to "
    words += f"{plain(made.stages[-1])}. The plane holds {percent(made.held[0])} of the variance at first and "
    words += f"{percent(made.held[-1])} at last."
    order = sorted(made.agree, key=lambda name: not name.startswith(by))
    for name in order:
        values = made.agree[name]
        step = max(1, -(-len(values) // 12))  # a chain of 200 stages is told by every 17th
        some = sorted({*range(0, len(values), step), len(values) - 1})
        told = ", ".join(f"{plain(made.stages[i])} {values[i]:.2f}" for i in some if isfinite(values[i]))
        what = "class from items of other domains" if name == "class across domains" else name
        words += f" The share of items whose nearest neighbours name their {what}: {told}."
    return words
