"""Items into train, valid and test: every class in its share, and what belongs together on one side."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from tlcourse.errors import CourseError

TRAIN, VALID, TEST = range(3)


def partition(
    y: Sequence[int], groups: Sequence[Hashable], shares: tuple[float, float, float], seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Places of the train, valid and test items, each in rising order.

    Arguments:
        y: class numbers `[n]`.
        groups: a key for each item; items with the same key are never on two sides.
        shares: of train, valid and test; they sum to 1. A class of two or more groups is in train and in test.
        seed: another one chooses other items.

    Where every item is its own group, each class is cut in these shares exactly (to a whole item).

    >>> train, valid, test = partition([0] * 10 + [1] * 10, range(20), (0.6, 0.2, 0.2))
    >>> len(train), len(valid), len(test)
    (12, 4, 4)
    """
    shares = checked_shares(shares)
    y = np.asarray(y, dtype=np.int64)
    keys = {key: i for i, key in enumerate(dict.fromkeys(groups))}
    group = np.array([keys[key] for key in groups], dtype=np.int64)
    counts: list[dict[int, int]] = [{} for _ in keys]  # of each group: class -> items
    for g, c in zip(group.tolist(), y.tolist(), strict=True):
        counts[g][c] = counts[g].get(c, 0) + 1
    totals = np.bincount(y)
    room = _targets(totals, shares).tolist()
    order = np.random.default_rng(seed).permutation(len(keys)).tolist()
    order.sort(key=lambda g: -sum(counts[g].values()))  # large groups first: the small ones fill the rest
    side = np.full(len(keys), -1)

    def place(g: int, s: int) -> None:
        side[g] = s
        for c, n in counts[g].items():
            room[s][c] -= n

    of_class: dict[int, list[int]] = {}
    for g in order:
        for c in counts[g]:
            of_class.setdefault(c, []).append(g)
    for c in sorted(of_class, key=lambda c: (totals[c], c)):  # first of all, each class gets into train and into test
        for s, nearest in ((TRAIN, 0), (TEST, -1)):  # its largest group into train, its smallest into test
            free = [g for g in of_class[c] if side[g] < 0]
            if free and s not in side[of_class[c]]:
                place(free[nearest], s)
    for g in order:
        if side[g] < 0:  # to where its classes are missing most
            gain = [sum(n * room[s][c] for c, n in counts[g].items()) for s in (TRAIN, VALID, TEST)]
            place(g, gain.index(max(gain)))
    return tuple(np.flatnonzero(side[group] == s) for s in (TRAIN, VALID, TEST))


def checked_shares(shares) -> tuple[float, float, float]:
    """The shares of train, valid and test as floats; raises `CourseError` if they are no such thing."""
    try:
        train, valid, test = (float(share) for share in shares)
    except (TypeError, ValueError):
        train = valid = test = -1.0
    if not (train > 0 and valid >= 0 and test > 0 and abs(train + valid + test - 1) < 1e-6):
        raise CourseError(
            f"splits={shares!r} are not the shares of train, valid and test.",
            why="They are three numbers that sum to 1; only the middle one may be 0.",
            do="Write e.g. splits=(0.6, 0.2, 0.2).",
        )
    return train, valid, test


def _targets(totals: np.ndarray, shares: tuple[float, float, float]) -> np.ndarray:
    """Whole numbers of items `[3, classes]`, by largest remainders; one for test and for valid where that can be."""
    exact = np.outer(shares, totals)
    target = np.floor(exact + 1e-9).astype(np.int64)
    for c, total in enumerate(totals):
        order = np.argsort(-(exact[:, c] - target[:, c]), kind="stable")
        target[order[: total - target[:, c].sum()], c] += 1
        for side, least in ((TEST, 2), (VALID, 3), (TRAIN, 1)):
            if total >= least and target[side, c] == 0 and shares[side] > 0:
                target[np.argmax(target[:, c]), c] -= 1
                target[side, c] = 1
    return target
