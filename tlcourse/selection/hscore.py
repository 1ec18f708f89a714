"""H-score: how far apart the classes' means lie, measured in the features' own spread."""

from __future__ import annotations

import numpy as np

from tlcourse.errors import CourseError
from tlcourse.features import Features
from tlcourse.hardware import one_blas_thread
from tlcourse.selection.items import vectors


def h_score(features: Features, *, shrinkage: bool = True) -> float:
    r"""How much of the features' variance lies between the classes, counted over all directions: the higher the better.

    $$ H = \operatorname{tr}\big(\operatorname{cov}(f)^{-1} \operatorname{cov}(\mathbb E[f \mid y])\big) $$

    It lies between 0 and the number of classes less 1. The inverse of a covariance of $d$ features cannot be had from
    about $d$ items: with so few, any features reach the top. So by default the covariance is shrunk towards a sphere,
    $\Sigma_a = (1 - a) \operatorname{cov}(f) + a\,s I$ with the mean variance $s$ and the $a$ of Ledoit and Wolf, and
    the score is $(1 - a) \operatorname{tr}(\Sigma_a^{-1} \operatorname{cov}(\mathbb E[f \mid y]))$.

    Compare it only among features of about the same kind: those of a network with random weights lie along few
    directions, are hardly shrunk, and with few items score above pretrained ones that do far better.

    Arguments:
        features: vectors `[n, d]` of labelled items of the target task.
        shrinkage: False for the original score, which no invertible linear map of the features changes. With shrinkage
            turning, shifting and scaling all features together change nothing.

    Returns a number from 0. Raises `CourseError` for items of one class, NaN features, and without shrinkage for
    fewer items than the features have directions.

    >>> import torch
    >>> x, y = torch.tensor([[0.0], [2.0], [8.0], [10.0]]), torch.tensor([0, 0, 1, 1])
    >>> round(h_score(Features(x, y, ("a", "b", "c", "d"), ("low", "high"), "pool"), shrinkage=False), 3)
    0.941

    Bao et al. 2019; Ibrahim et al. 2021 (shrinkage); Ledoit and Wolf 2004. Chapter 08.
    """
    from sklearn.covariance import ledoit_wolf_shrinkage

    x, y = vectors(features)
    x = (x - x.mean(0)) / np.abs(x).max()  # the score does not depend on the unit; its numbers should not be huge
    n, d = x.shape
    sizes = np.bincount(y)
    means = np.stack([x[y == c].mean(0) for c in range(len(sizes))]) * np.sqrt(sizes / n)[:, None]
    with one_blas_thread():
        if not shrinkage:
            return _exact(x, means)
        a = float(ledoit_wolf_shrinkage(x, assume_centered=True))
        shrunk = (1 - a) * (x.T @ x) / n
        shrunk.flat[:: d + 1] += a * (x**2).mean() + 1e-12 * (x**2).mean()
        return float((1 - a) * (means * np.linalg.solve(shrunk, means.T).T).sum())


def _exact(x: np.ndarray, means: np.ndarray) -> float:
    _, s, directions = np.linalg.svd(x, full_matrices=False)
    kept = s > s[0] * max(x.shape) * np.finfo(np.float64).eps
    different = len(np.unique(x, axis=0))
    if kept.sum() >= different - 1:
        raise CourseError(
            f"{different} different items are too few for {x.shape[1]} features.",
            why="Each item can be told from all others along a direction of its own, so any features get the top "
            "score, the number of classes less 1.",
            do="Leave shrinkage=True, or take more items than features.",
        )
    return float(((means @ directions[kept].T) ** 2 / (s[kept] ** 2 / len(x))).sum())
