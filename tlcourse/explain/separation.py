"""How well groups lie apart: what an item's nearest neighbours would say of it."""

from __future__ import annotations

import numpy as np

from tlcourse.errors import CourseError, whole_number
from tlcourse.hardware import one_blas_thread


def neighbours_agree(x, y, *, k: int = 5, apart=None) -> float:
    """The share of items that their `k` nearest neighbours put into the right group; no item is its own neighbour.

    Neighbours are those of the smallest angle (cosine); the nearer one is, the more its vote counts, as in `knn_probe`.

    Arguments:
        x: features `[n, d]`.
        y: group numbers `[n]`.
        k: number of neighbours; at most all others.
        apart: domain numbers `[n]`; if given, only items of *other* domains are neighbours, and items whose group
            has none there are left out.

    Returns the share 0..1; NaN where no item has a neighbour to ask.

    >>> neighbours_agree([[1.0, 0], [1, 0.1], [0, 1], [0.1, 1]], [0, 0, 1, 1], k=1)
    1.0

    Cover and Hart 1967; Lachenbruch and Mickey 1968 (leaving one out). Chapter 03.
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y)
    whole_number("k", k)
    if x.ndim != 2 or len(x) != len(y):
        raise CourseError(
            f"Features {list(x.shape)} and groups {list(y.shape)} do not go together.",
            do="Pass features [n, d] and a group number for each item.",
        )
    if apart is None:
        return float(_right(x, x, y, y, k, itself=True).mean()) if len(x) > 1 else float("nan")
    apart, right = np.asarray(apart), []
    for domain in np.unique(apart):
        here, there = apart == domain, apart != domain
        here = here & np.isin(y, y[there])
        if here.any():
            right.append(_right(x[there], x[here], y[there], y[here], k, itself=False))
    return float(np.concatenate(right).mean()) if right else float("nan")


def _right(x, asking, y, true, k: int, itself: bool) -> np.ndarray:
    from sklearn.neighbors import NearestNeighbors

    k = min(k, len(x) - itself)
    with one_blas_thread():
        search = NearestNeighbors(n_neighbors=k, metric="cosine", algorithm="brute").fit(x)
        far, who = search.kneighbors(None if itself else asking)  # None: each is asked without itself
    votes = np.zeros((len(asking), int(y.max()) + 1))
    np.add.at(votes, (np.arange(len(asking))[:, None], y[who]), 1 / np.maximum(far, 1e-9))
    return votes.argmax(1) == true
