"""`Plot`, and the one style that every figure of the course has."""

from __future__ import annotations

import base64
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from html import escape
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from tlcourse.plots.words import shorten

INK, MUTED, GRID = "#222222", "#5f5f5f", "#dddddd"
# Okabe and Ito 2008, without the yellow, which is too pale for a line on white
BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9"
COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, "#000000", "#777777")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">")
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)), (0, (8, 2)))

WIDTH = 7.5  # inches; 720 CSS pixels, the width of a notebook's output
CSS_DPI = 96

_STYLE = {
    "font.size": 11,
    "axes.titlesize": 11.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 11,
    "xtick.labelsize": 10.5,
    "ytick.labelsize": 10.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "lines.linewidth": 2,
    "lines.markersize": 6,
    "hatch.linewidth": 0.8,
    "text.parse_math": False,  # a class may well be called "$5"
    "text.usetex": False,
}
_OURS = ("axes.", "font.", "text.", "xtick.", "ytick.", "lines.", "patch.", "hatch.", "grid.", "image.", "errorbar.")
# matplotlib brings DejaVu Sans, which lacks some scripts: the first of these that are installed help out
_HELPERS = ("Noto Sans CJK SC", "Noto Sans SC", "Microsoft YaHei", "PingFang SC", "WenQuanYi Micro Hei", "SimHei")
_HELPERS += ("Noto Sans Arabic", "Noto Sans Devanagari", "Arial Unicode MS", "Segoe UI Emoji", "Noto Emoji")


@dataclass(frozen=True, eq=False, repr=False)
class Plot:
    """A figure together with what it shows, in words.

    Arguments:
        figure: a matplotlib figure that pyplot does not know, so a notebook shows it once.
        alt: the finding with its numbers, in full sentences, for a reader who does not see the figure.

    >>> Plot(Figure(), "Accuracy is 0.9 < 1.")
    Accuracy is 0.9 < 1.
    """

    figure: Figure = field(hash=False)
    alt: str

    def __repr__(self) -> str:
        return self.alt

    def _repr_html_(self) -> str:
        # twice the pixels that it is shown at, so that it is sharp on a fine screen
        data = base64.b64encode(self._png(2 * CSS_DPI)).decode("ascii")
        width = round(self.figure.get_figwidth() * CSS_DPI)
        return (
            f'<img alt="{escape(self.alt)}" width="{width}" style="max-width:100%;height:auto" '
            f'src="data:image/png;base64,{data}">'
        )

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, str]:
        return {"text/html": self._repr_html_(), "text/plain": self.alt}

    def save(self, path: str | Path) -> Path:
        """Write the figure to a file (`.png`, `.svg` or `.pdf`) and return its path."""
        path = Path(path).expanduser()
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix.lower() in ("", ".png"):
            path = path.with_suffix(".png")
            path.write_bytes(self._png(2 * CSS_DPI))
        else:
            with _style(), _quiet():
                self.figure.savefig(path, facecolor="white")
        return path

    def _png(self, dpi: int) -> bytes:
        out = io.BytesIO()
        with _style(), _quiet():
            self.figure.savefig(out, format="png", dpi=dpi, facecolor="white", metadata={"Description": self.alt})
        return out.getvalue()


@contextmanager
def drawing(width: float = WIDTH, height: float = 3.4, **options) -> Iterator[Figure]:
    """A new figure, and the style for as long as it is drawn; what the user set for matplotlib is left as it was."""
    with _style(), _quiet():
        room = ConstrainedLayoutEngine(w_pad=0.09, h_pad=0.09, wspace=0.05)  # inches, inches, share
        yield Figure(figsize=(width, height), facecolor="white", **{"layout": room, **options})


@contextmanager
def _style():
    defaults = {k: v for k, v in matplotlib.rcParamsDefault.items() if k.startswith(_OURS)}
    with matplotlib.rc_context({**defaults, **_STYLE, "font.family": _fonts()}):
        yield


@contextmanager
def _quiet():
    # a glyph that no font has is drawn as a box; the warning would fill the notebook and helps no learner
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*[Gg]lyph .* missing.*")
        logger = logging.getLogger("matplotlib.mathtext")
        before, logger.disabled = logger.disabled, True
        try:
            yield
        finally:
            logger.disabled = before


@cache
def _fonts() -> list[str]:
    from matplotlib.font_manager import fontManager

    installed = {font.name for font in fontManager.ttflist}
    return ["DejaVu Sans", *(name for name in _HELPERS if name in installed)]


def readable(colour: str) -> str:
    """A colour dark enough for text on white (contrast 4.5 to 1, as WCAG asks)."""
    rgb = to_rgb(colour)
    while 1.05 / (_luminance(rgb) + 0.05) < 4.5:
        rgb = tuple(0.93 * c for c in rgb)
    return to_hex(rgb)


def _luminance(rgb) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def end_labels(ax: Axes, ends: Sequence[tuple[float, float, str, str]], height: float, size: float = 10.5) -> None:
    """Name lines directly at their right ends, moved apart where they would overlap.

    Arguments:
        ends: (x, y, text, colour) a line, in data units; call this after the axes have their limits.
        height: about how tall the axes are, in inches.
    """
    to_axes = ax.transData + ax.transAxes.inverted()
    at = [to_axes.transform((x, y)) for x, y, _, _ in ends]
    gap = 1.3 * size / 72 / height
    low = 0.7 * gap  # no lower than this, or a name reaches the numbers below the axis
    places = [low + place for place in spread([y - low for _, y in at], gap)]
    for (x, y, text, colour), (_, before), place in zip(ends, at, places, strict=True):
        moved = abs(place - before) > 0.4 * size / 72 / height
        ax.annotate(
            shorten(text),
            xy=(x, y),
            xytext=(1.015, place),
            textcoords="axes fraction",
            va="center",
            size=size,
            color=readable(colour),
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colour, "lw": 0.7, "shrinkB": 4} if moved else None,
        )


def spread(places: Sequence[float], gap: float) -> list[float]:
    """Places moved apart as little as needed for `gap` between neighbours; kept within 0..1 where they fit.

    >>> spread([0.5, 0.5], 0.2)
    [0.4, 0.6]
    """
    order = sorted(range(len(places)), key=lambda i: places[i])
    groups: list[tuple[float, list[int]]] = []  # (middle, members from low to high)
    for i in order:
        middle, members = places[i], [i]
        while groups:
            below, others = groups[-1]
            if below + gap * (len(others) + len(members)) / 2 <= middle + 1e-12:
                break
            groups.pop()
            middle = (below * len(others) + middle * len(members)) / (len(others) + len(members))
            members = others + members
        half = gap * (len(members) - 1) / 2
        groups.append((min(max(middle, half), max(1 - half, half)), members))
    out = [0.0] * len(places)
    for middle, members in groups:
        for rank, i in enumerate(members):
            out[i] = round(middle + gap * (rank - (len(members) - 1) / 2), 9)
    return out


def limits(values: Sequence[float]) -> tuple[float, float]:
    """Ends of an axis that holds these values with a little room; shares do not run past 0 and 1."""
    low, high = min(values), max(values)
    pad = 0.07 * (high - low) or 0.05
    if low >= 0 and high <= 1:
        return max(low - pad, -0.02), min(high + pad, 1.02)
    return low - pad, high + pad
