"""What the distance dial shows, as plain numbers and words."""

from __future__ import annotations

from functools import lru_cache

from tlcourse.adaptation import DISTANCES, Gain, gains, pair
from tlcourse.errors import CourseError, real_number
from tlcourse.plots.gains import told

LABELS = (1, 2, 5, 10, 20, 50, 100)
"""Target labels a class that the dial offers."""
POINTS = 30
"""Points a class and domain in the picture."""
SIGNS = {"gain": "▲", "no clear gain": "●", "negative transfer": "▼"}


def nearest(distance: float) -> int:
    """The place of the dial's step that is nearest to a distance.

    >>> DISTANCES[nearest(0.41)]
    0.4
    """
    distance = real_number("distance", distance)
    if distance > 1:
        raise CourseError(f"distance={distance:g} will not do.", do="Choose a number from 0 to 1.")
    return min(range(len(DISTANCES)), key=lambda i: abs(DISTANCES[i] - distance))


def offered(labels: int) -> int:
    """The place of a number of labels among those that the dial offers.

    >>> LABELS[offered(5)]
    5
    """
    if isinstance(labels, bool) or labels not in LABELS:
        raise CourseError(f"labels={labels!r} will not do.", do=f"Choose one of: {', '.join(map(str, LABELS))}.")
    return LABELS.index(labels)


@lru_cache(maxsize=len(LABELS))
def curve(labels: int) -> tuple[Gain, ...]:
    """The gain at each step of the dial."""
    return gains(DISTANCES, labels)


def dialled(at: int, chosen: int) -> dict:
    """All that the dial shows at one setting; text and numbers only, ready for JSON.

    Arguments:
        at: the place of the distance, in `DISTANCES`.
        chosen: the place of the number of labels, in `LABELS`.

    >>> state = dialled(30, 2)
    >>> state["distance"], state["labels"], state["verdict"]
    (1.0, 5, 'negative transfer')
    """
    rows, both = curve(LABELS[chosen]), pair(DISTANCES[at], POINTS)
    now = rows[at]
    return {
        "at": at,
        "chosen": chosen,
        "distance": now.distance,
        "labels": now.labels,
        "distances": list(DISTANCES),
        "offers": list(LABELS),
        "curve": [[round(v, 4) for v in (row.distance, row.mean, row.low, row.high)] for row in rows],
        "verdict": now.verdict,
        "sign": SIGNS[now.verdict],
        "gain": f"{now.mean:+.3f} ({now.low:+.3f} to {now.high:+.3f})".replace("-", "−"),
        "accuracies": [
            ["source's rule", round(now.source, 3)],
            ["target's labels alone", round(now.alone, 3)],
            ["both together", round(now.both, 3)],
        ],
        "words": told(rows, at),
        "source": _drawn(both.source, both.y),
        "target": _drawn(both.target, both.y),
    }


def _drawn(points, y) -> list[list[float]]:
    return [[round(float(a), 2), round(float(b), 2), int(k)] for (a, b), k in zip(points[:, :2], y, strict=True)]
