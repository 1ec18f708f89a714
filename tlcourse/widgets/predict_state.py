"""What the prediction widget shows, as plain numbers, words and packed bytes."""

from __future__ import annotations

import numpy as np

from tlcourse.explain import Prediction

LARGE = 4_000_000
"""Bytes from which on the page makes an image smaller before it sends it: a kernel takes messages of 10 MB at most."""
COUNTS = 0.005
"""A word whose share falls by less than this is given no number: it would round to 0."""


def shown(made: Prediction, source: str) -> tuple[dict, bytes, bytes]:
    """All that is shown of a prediction: what is ready for JSON, the picture, and the maps.

    Arguments:
        made: what `predict` returned.
        source: what was asked about: the file's or the photograph's name.

    Returns text and numbers; the picture as `[h, w, 3]` bytes; a map for each class as `[classes, h, w]` bytes, 255
    where a place speaks for it the most.

    >>> import numpy as np
    >>> sure = {"names": ("cat",), "shares": (0.9,), "classes": 2}
    >>> state, picture, maps = shown(Prediction("image", **sure, picture=np.zeros((2, 3, 3), "uint8")), "my cat.jpg")
    >>> state["source"], state["bars"], state["size"], len(picture)
    ('my cat.jpg', [{'name': 'cat', 'share': 0.9, 'says': '90.0 %', 'looked': ''}], [2, 3], 18)
    """
    bars = [
        {"name": name, "share": round(float(share), 5), "says": says(share), "looked": made.looked(rank)}
        for rank, (name, share) in enumerate(zip(made.names, made.shares, strict=True))
    ]
    state = {
        "kind": made.kind,
        "source": sendable(source),
        "bars": bars,
        "classes": made.classes,
        "how": made.how,
        "notes": list(made.notes),
        "seconds": round(made.seconds, 2),
        "size": list(made.picture.shape[:2]) if made.picture is not None else [0, 0],
        "grid": list(made.where.shape[1:]) if made.where is not None else [0, 0],
        "words": [],
        "gaps": [],
    }
    if made.weights is not None:
        state |= _words(made)
    elif made.kind == "text":
        state["gaps"] = [sendable(made.text)]
    picture = made.picture.tobytes() if made.picture is not None else b""
    maps = np.rint(made.where * 255).astype(np.uint8).tobytes() if made.where is not None else b""
    return state, picture, maps


def _words(made: Prediction) -> dict:
    """The parts of the text with their weight for each class, and what stands between them."""
    most = np.maximum(np.abs(made.weights).max(1, initial=0), 0.01)
    words, gaps, last = [], [], 0
    for i, (start, end) in enumerate(made.spans):
        gaps.append(sendable(made.text[last:start]))
        words.append(
            {
                "text": sendable(made.text[start:end]),
                "weights": [round(float(w), 4) for w in made.weights[:, i]],
                "strength": [round(float(w / m), 3) for w, m in zip(made.weights[:, i], most, strict=True)],
                "says": [_points(w) for w in made.weights[:, i]],
                "without": [says(s - w) for s, w in zip(made.shares, made.weights[:, i], strict=True)],
            }
        )
        last = end
    return {"words": words, "gaps": [*gaps, sendable(made.text[last:])]}


def says(share: float) -> str:
    """A share as percent.

    >>> says(0.9514), says(0.0001), says(1.0)
    ('95.1 %', 'under 0.1 %', '100 %')
    """
    share = min(1.0, max(0.0, float(share)))
    if share < 0.0005:
        return "under 0.1 %"
    return "100 %" if share > 0.9995 else f"{100 * share:.1f} %"


def _points(weight: float) -> str:
    return f"{100 * weight:+.0f}".replace("-", "−") if abs(weight) >= COUNTS else ""


def sendable(text: str) -> str:
    """The text as it can be sent to the page: half of a character that was cut in two becomes a question mark.

    >>> sendable("so" + chr(0xD83D))
    'so?'
    """
    return text.encode("utf-8", "replace").decode()
