"""What the embedding explorer shows, as plain numbers, words and packed bytes."""

from __future__ import annotations

import io
from math import isfinite

import numpy as np
from PIL import Image

from tlcourse.explain import Embedding

FULL = 32767
"""The edge of the picture, in the whole numbers that are sent."""
LETTERS = 300
"""So much of a text is shown."""


def shown(made: Embedding) -> dict:
    """All that is shown beside the places of the points, ready for JSON.

    Arguments:
        made: what `embed` returned.

    >>> from tlcourse import load, load_dataset
    >>> from tlcourse.explain import embed
    >>> net = load("efficientnet-lite0", pretrained=False, size=32)
    >>> state = shown(embed(net, load_dataset("faces").test[:4], ["stem", "pool"], cache=False))
    >>> [stage["name"] for stage in state["stages"]], state["y"], state["drawn"]
    (['stem', 'pool'], [1, 1, 1, 1], '')
    """
    return {
        "kind": made.kind,
        "stages": [_stage(made, i) for i in range(len(made.stages))],
        "classes": list(made.classes),
        "domains": list(made.domains),
        "y": made.y.tolist(),
        "domain": made.domain.tolist(),
        "names": [_short(str(item)) for item in (made.x if made.kind == "text" else made.ids)],
        "usual": {name: round(share, 4) for name, share in made.usual.items()},
        "drawn": f"{len(made)} of {made.of:,} items, drawn at random" if made.of > len(made) else "",
        "full": FULL,
    }


def _stage(made: Embedding, i: int) -> dict:
    agree = {name: round(values[i], 4) if isfinite(values[i]) else None for name, values in made.agree.items()}
    return {
        "name": str(made.stages[i]),
        "held": round(float(made.held[i]), 4),
        "width": made.widths[i],
        "agree": agree,
    }


def _short(text: str) -> str:
    text = " ".join(text.split()).encode("utf-8", "replace").decode()
    return text if len(text) <= LETTERS else text[: LETTERS - 1] + "…"


def packed(points: np.ndarray) -> bytes:
    """Places `[stages, n, 2]` between -1 and 1 as little-endian whole numbers of 16 bits, one after the other.

    >>> packed(np.array([[[1.0, 0.0]]])) == bytes([255, 127, 0, 0])
    True
    """
    return np.rint(np.clip(points, -1, 1) * FULL).astype("<i2").tobytes()


def sheet(images: list[np.ndarray], side: int) -> tuple[bytes, int]:
    """All images on one sheet, each in a square: the bytes of a JPEG file, and how many stand in a row.

    Arguments:
        images: uint8 `[1 or 3, h, w]` each, of any sizes; their proportions are kept.
        side: of a square, in pixels.

    >>> data, columns = sheet([np.zeros((1, 20, 30), "uint8")] * 5, 16)
    >>> Image.open(io.BytesIO(data)).size, columns
    ((48, 32), 3)
    """
    columns = max(1, round(len(images) ** 0.5 + 0.49))
    rows = -(-len(images) // columns)
    page = Image.new("RGB", (columns * side, rows * side), (128, 128, 128))
    for i, x in enumerate(images):
        small = Image.fromarray(np.ascontiguousarray(np.broadcast_to(x, (3, *x.shape[1:])).transpose(1, 2, 0)))
        # never below one pixel, though a strip may be a thousand times as long as it is high
        scale = side / max(small.size)
        size = tuple(max(1, round(length * scale)) for length in small.size)
        small = small.resize(size, Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.BICUBIC)
        left, top = (side - size[0]) // 2, (side - size[1]) // 2
        page.paste(small, ((i % columns) * side + left, (i // columns) * side + top))
    out = io.BytesIO()
    page.save(out, "JPEG", quality=82)
    return out.getvalue(), columns
