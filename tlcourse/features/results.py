"""`Result`: how well something did on data, with an interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from math import sqrt

import numpy as np

from tlcourse.errors import CourseError


@dataclass(frozen=True, eq=False)
class Result:
    """Accuracy on `n` items, and what it rests on.

    Arguments:
        accuracy: share of right predictions, 0..1.
        low, high: 95 % Wilson interval of the accuracy, from the `n` items alone (not from other seeds).
        labels, predictions: class numbers, int arrays `[n]`.
        classes: their names.
        seconds: what it cost to train and score, in wall seconds.
        loss: mean loss, where there is one.
        note: anything a reader should know, e.g. which setting was chosen.
    """

    accuracy: float
    low: float
    high: float
    n: int
    labels: np.ndarray = field(repr=False)
    predictions: np.ndarray = field(repr=False)
    classes: tuple[str, ...] = field(repr=False)
    seconds: float = 0.0
    loss: float | None = None
    note: str = ""

    @classmethod
    def of(cls, labels, predictions, classes, **more) -> Result:
        """A result from labels and predictions, int arrays `[n]`."""
        labels, predictions = np.asarray(labels), np.asarray(predictions)
        right, n = int((labels == predictions).sum()), len(labels)
        low, high = wilson(right, n)
        return cls(right / n, low, high, n, labels, predictions, tuple(classes), **more)

    def __str__(self) -> str:
        loss = "" if self.loss is None else f", loss {self.loss:.3f}"
        note = f" ({self.note})" if self.note else ""
        return (
            f"accuracy {self.accuracy:.3f}, 95 % interval {self.low:.3f} to {self.high:.3f}, "
            f"on {self.n} items{loss}, {self.seconds:.2f} s{note}"
        )

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<p>{escape(str(self))}</p>"


def wilson(right: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a share of `right` out of `n` (Wilson 1927).

    >>> low, high = wilson(95, 100)
    >>> round(low, 3), round(high, 3)
    (0.888, 0.978)
    """
    if n < 1:
        raise CourseError("An accuracy needs at least one item.", do="Check that the data are not empty.")
    z, p = 1.959964, right / n
    middle, half = p + z * z / (2 * n), z * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    # at 0 and n an end is the share itself, which rounding must not overstep: plots draw the distance to it
    return max(0.0, min(p, (middle - half) / (1 + z * z / n))), min(1.0, max(p, (middle + half) / (1 + z * z / n)))


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean and 95 % interval of a figure measured with several seeds (Student's t).

    >>> mean, low, high = interval([0.8, 0.9, 0.85])
    >>> round(mean, 2), round(low, 2), round(high, 2)
    (0.85, 0.73, 0.97)
    """
    from scipy.stats import t

    values = np.asarray(values, dtype=float)
    if len(values) < 2:
        raise CourseError("An interval needs at least two runs.", do="Repeat the run with more seeds.")
    mean, half = values.mean(), t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / sqrt(len(values))
    return float(mean), float(mean - half), float(mean + half)
