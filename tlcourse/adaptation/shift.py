"""A source and a target whose distance is known, and what the source's labels are worth at that distance.

Two classes in ten dimensions, each a round cloud of spread 1 whose middle lies one spread away from the origin. What
tells the classes apart is the direction from one middle to the other; in the target it is turned away from the
source's. The rule that is learned is the nearest mean, as in chapter 00, so all accuracies follow from a formula.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import pi

import numpy as np

from tlcourse.errors import CourseError, real_number, whole_number

FEATURES, APART = 10, 1.0
SOURCE_LABELS = 100
"""Labelled items of the source, a class."""
DRAWS = 20
"""How often an experiment is repeated, each time with other labelled items."""
DISTANCES = tuple(np.linspace(0, 1, 31).round(4).tolist())


@dataclass(frozen=True, eq=False)
class Pair:
    """Points of a source and of a target domain.

    Arguments:
        distance: 0 where both have the same task, 1 where the directions stand at right angles.
        source, target: points `[2 * n, 10]`; the domains differ in the first two numbers of a point.
        y: class numbers `[2 * n]`, of both.
    """

    distance: float
    source: np.ndarray = field(repr=False)
    target: np.ndarray = field(repr=False)
    y: np.ndarray = field(repr=False)


@dataclass(frozen=True)
class Gain:
    """What the source's labels add to the target's, over several draws.

    Arguments:
        distance, labels: of which domains, and how many labels a class the target has.
        alone: mean accuracy on the target, learned from the target's labels alone.
        source: the same, from the source's labels alone.
        both: the same, from the source's and the target's labels together.
        mean, low, high: `both` minus `alone` with its 95 % interval over the draws, paired.

    >>> print(Gain(0.5, 5, 0.70, 0.75, 0.76, 0.06, 0.04, 0.08))
    gain: +0.060 (0.040 to 0.080)
    """

    distance: float
    labels: int
    alone: float
    source: float
    both: float
    mean: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """`"gain"`, `"negative transfer"`, or `"no clear gain"` where the interval holds zero."""
        return verdict(self.low, self.high)

    def __str__(self) -> str:
        return f"{self.verdict}: {self.mean:+.3f} ({self.low:.3f} to {self.high:.3f})".replace("-", "−")


def verdict(low: float, high: float) -> str:
    """What an interval of a gain allows to say.

    >>> verdict(0.01, 0.05), verdict(-0.02, 0.01), verdict(-0.1, -0.02)
    ('gain', 'no clear gain', 'negative transfer')
    """
    return "gain" if low > 0 else "negative transfer" if high < 0 else "no clear gain"


def pair(distance: float, n: int = 100, seed: int = 0) -> Pair:
    """Points of a source, and of a target at some distance.

    Arguments:
        distance: from 0 (the same) to 1 (the classes differ in a direction at right angles to the source's).
        n: points a class and domain.
        seed: of the points; another distance turns the same clouds.

    Returns a `Pair`. Raises `CourseError` for a distance outside 0 to 1.

    >>> both = pair(0.5, n=50)
    >>> both.source.shape, both.target.shape
    ((100, 10), (100, 10))

    Chapter 01.
    """
    distance, n, seed = _distance(distance), whole_number("n", n), whole_number("seed", seed, 0)
    noise = np.random.default_rng(seed).standard_normal((2, 2 * n, FEATURES))
    y = np.repeat([0, 1], n)
    middles = APART * np.array([_direction(0), _direction(distance)])[:, None] * (2 * y - 1)[None, :, None]
    source, target = noise + middles
    return Pair(distance, source, target, y)


def gain(distance: float, labels: int = 5, *, draws: int = DRAWS, seed: int = 0) -> Gain:
    """What 100 labels a class of the source add to a few labels of the target.

    Arguments:
        distance: from 0 to 1, as in `pair`.
        labels: labelled items of the target, a class.
        draws: how often it is repeated with other labelled items.
        seed: of the draws.

    Returns a `Gain`. Raises `CourseError` for a distance outside 0 to 1, no label, or fewer than two draws.

    >>> gain(0.0).verdict, gain(1.0).verdict
    ('gain', 'negative transfer')

    Chapter 01. Rosenstein et al. 2005 (negative transfer); Pan and Yang 2010.
    """
    return gains([distance], labels, draws=draws, seed=seed)[0]


def gains(
    distances: Sequence[float] = DISTANCES, labels: int = 5, *, draws: int = DRAWS, seed: int = 0
) -> tuple[Gain, ...]:
    """`gain` at several distances, with the same draws at each.

    >>> [g.verdict for g in gains([0, 1])]
    ['gain', 'negative transfer']
    """
    turned = np.array([_direction(_distance(d)) for d in distances])  # [distances, features]
    if not len(turned):
        raise CourseError("There are no distances.", do="Give at least one, from 0 to 1.")
    labels, draws = whole_number("labels", labels), whole_number("draws", draws, 2)
    rng = np.random.default_rng(whole_number("seed", seed, 0))
    # the mean of n points is the middle of their cloud plus noise sqrt(n) times smaller: the points are not needed
    near, far = (rng.standard_normal((draws, 2, FEATURES)) / np.sqrt(n) for n in (labels, SOURCE_LABELS))
    signs = np.array([-1.0, 1.0])[:, None]
    target = near[:, None] + APART * signs * turned[:, None]  # [draws, distances, classes, features]
    source = far[:, None] + APART * signs * _direction(0)
    both = (labels * target + SOURCE_LABELS * source) / (labels + SOURCE_LABELS)
    alone, old, mixed = (_accuracy(means, turned) for means in (target, source, both))
    added = mixed - alone
    half = _student(draws) * added.std(0, ddof=1) / np.sqrt(draws)
    rows = zip(distances, alone.mean(0), old.mean(0), mixed.mean(0), added.mean(0), half, strict=True)
    return tuple(
        Gain(float(d), labels, float(a), float(s), float(b), float(m), float(m - h), float(m + h))
        for d, a, s, b, m, h in rows
    )


def _accuracy(means: np.ndarray, turned: np.ndarray) -> np.ndarray:
    """How often the nearest of two learned means `[..., 2, features]` is right on the target, by formula."""
    from scipy.special import ndtr

    normal, middle = means[..., 1, :] - means[..., 0, :], means.mean(-2)
    length = np.linalg.norm(normal, axis=-1)
    reach = APART * (normal * turned).sum(-1) / length  # from the middle of the target to the middle of a class
    offset = (normal * middle).sum(-1) / length
    return (ndtr(reach - offset) + ndtr(reach + offset)) / 2


def _direction(distance: float) -> np.ndarray:
    out = np.zeros(FEATURES)
    out[:2] = np.cos(distance * pi / 2), np.sin(distance * pi / 2)
    return out


def _distance(value: float) -> float:
    distance = real_number("distance", value)
    if distance > 1:
        raise CourseError(
            f"distance={value!r} will not do.", do="Choose a number from 0 (the same) to 1 (right angles)."
        )
    return distance


def _student(n: int) -> float:
    from scipy.stats import t

    return float(t.ppf(0.975, n - 1))
