"""One picture of all tasks: training seconds as bars, this package and its peers."""

from __future__ import annotations

import io
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from peers import TITLES
from PIL import Image

OURS, PEERS = "#0072b2", "#b8b8b8"  # apart in brightness too, and ours is hatched
HEADINGS = {"head": "head only", "last": "last stage and head", "all": "all layers"}


def draw(tables: dict[tuple[str, str], list[dict]], file: Path) -> None:
    """Draw a panel a task, a bar a peer; bars of the same panel share the axis."""
    models = list(dict.fromkeys(model for model, _ in tables))
    figure, axes = plt.subplots(len(models), len(HEADINGS), figsize=(13, 4.3 * len(models)), squeeze=False)
    for row, model in zip(axes, models, strict=True):
        for axis, task in zip(row, HEADINGS, strict=True):
            _panel(axis, tables.get((model, task), []))
            axis.set_title(f"{model}: {HEADINGS[task]}", fontsize=11, loc="left")
    figure.supxlabel("seconds of training, shorter is better; the number behind is the accuracy", fontsize=11)
    figure.tight_layout()
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=90)
    plt.close(figure)
    Image.open(drawn).convert("RGB").quantize(32).save(file, optimize=True)  # few colours: a small file


def _panel(axis, entries: list[dict]) -> None:
    names = [TITLES[e["who"]] + (f",\n{e['variant']}" if e["variant"] else "") for e in entries]
    longest = max((e["wall"] for e in entries), default=1)
    for place, e in enumerate(entries):
        ours = e["who"] == "ours"
        axis.barh(place, e["wall"], color=OURS if ours else PEERS, hatch="//" if ours else None, edgecolor="white")
        axis.plot(e["span"], [place, place], color="black", linewidth=1.2)
        words = f"{e['wall']:.1f} s  ({e['accuracy']:.3f})"
        axis.text(max(e["wall"], e["span"][1]) + longest * 0.02, place, words, va="center", fontsize=8.5)
    axis.set_yticks(range(len(names)), names, fontsize=8.5)
    axis.invert_yaxis()
    axis.set_xlim(0, longest * 1.45)
    axis.spines[["top", "right"]].set_visible(False)
