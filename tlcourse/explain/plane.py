"""Points of many dimensions as a picture of two, turned so that two pictures are easy to compare."""

from __future__ import annotations

import warnings

import numpy as np

ENOUGH = 40
"""From so many items and dimensions on, two components are looked for alone, which is quicker than all of them."""


def plane(x) -> tuple[np.ndarray, np.ndarray]:
    """The plane in which points lie spread out the most.

    Arguments:
        x: `[n, d]`, numbers.

    Returns the points' places in that plane `[n, 2]`, around the middle, and the shares of the variance that its two
    directions hold `[2]`. Where there is no second direction, its places and its share are 0.

    >>> places, held = plane([[0.0, 0, 5], [1, 0, 5], [2, 0, 5]])
    >>> abs(places).round(3).tolist(), held.round(3).tolist()
    ([[1.0, 0.0], [0.0, 0.0], [1.0, 0.0]], [1.0, 0.0])

    Pearson 1901; Jolliffe 2002.
    """
    from sklearn.decomposition import PCA

    x = np.asarray(x, dtype=np.float64)
    places, held = np.zeros((len(x), 2)), np.zeros(2)
    scale, x = np.abs(x).max(initial=0.0), x - x.mean(0)
    largest = np.abs(x).max(initial=0.0)
    if not largest > 1e-10 * scale:  # one point, or all at the same place but for rounding
        return places, held
    k = min(2, *x.shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        pca = PCA(k, svd_solver="arpack" if min(x.shape) > ENOUGH else "full", random_state=0)
        places[:, :k] = pca.fit_transform(x / largest) * largest
    held[:k] = np.nan_to_num(pca.explained_variance_ratio_)
    return places, held


def turned(places: np.ndarray, towards: np.ndarray) -> np.ndarray:
    """The same picture, turned and if need be mirrored, so that its points lie as near as can be to another's.

    Principal components have no sign of their own, and two of about the same variance may change places from one
    stage to the next: points would seem to jump. Turning and mirroring changes no distance between them.

    Arguments:
        places: `[n, 2]`, around the middle.
        towards: `[n, 2]`, the same items elsewhere.

    >>> turned(np.array([[0.0, 1], [0, -1]]), np.array([[2.0, 0], [-2, 0]])).round(3).tolist()
    [[1.0, 0.0], [-1.0, 0.0]]

    Schönemann 1966 (orthogonal Procrustes).
    """
    from scipy.linalg import orthogonal_procrustes

    return places @ orthogonal_procrustes(places, towards)[0] + 0.0  # + 0.0 makes -0 a plain 0
