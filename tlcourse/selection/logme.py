"""LogME: how much evidence features give for the labels."""

from __future__ import annotations

import numpy as np

from tlcourse.errors import CourseError
from tlcourse.features import Features
from tlcourse.hardware import one_blas_thread
from tlcourse.selection.items import vectors


def logme(features: Features) -> float:
    r"""The logarithm of the evidence that features give for the labels, an item and class: the higher, the better.

    Each class is a regression of its own: $y = 1$ for its items and 0 for the others, $y = Fw + \varepsilon$ with
    $w \sim N(0, 1/\alpha)$ and noise $\varepsilon \sim N(0, 1/\beta)$. A probe takes the one best $w$; the evidence
    averages over all $w$, so features that fit only by luck get less. With $A = \alpha I + \beta F^\top F$ and
    $m = \beta A^{-1} F^\top y$

    $$ \log p(y \mid F) = \tfrac n2 \log\beta + \tfrac d2 \log\alpha - \tfrac n2 \log 2\pi - \tfrac\beta2 |Fm - y|^2
       - \tfrac\alpha2 |m|^2 - \tfrac12 \log |A| $$

    is maximised over $\alpha$ and $\beta$ and divided by $n$; LogME is the mean over the classes that have items.
    Turning or scaling the features changes nothing; there is no constant term, so shifting them does.

    Arguments:
        features: vectors `[n, d]` of labelled items of the target task.

    Returns a number without bounds; only those of the same items can be compared. Raises `CourseError` for items of
    one class, NaN features, and where the features give the labels exactly, so that the evidence has no bound.

    >>> import torch
    >>> x, y = torch.tensor([[0.1, 1], [0.2, 1], [0.9, 1], [1.1, 1]]), torch.tensor([0, 0, 1, 1])
    >>> names = ("a", "b", "c", "d"), ("low", "high"), "pool"
    >>> round(logme(Features(x, y, *names)), 2), round(logme(Features(x, y[[0, 2, 1, 3]], *names)), 2)
    (-0.51, -1.03)

    You et al. 2021. Chapter 08.
    """
    x, y = vectors(features)
    with one_blas_thread():
        u, s, _ = np.linalg.svd(x, full_matrices=False)
    kept = s > s[0] * max(x.shape) * np.finfo(np.float64).eps
    u, squares, n = u[:, kept], s[kept] ** 2, len(y)
    total = 0.0
    for c in range(y.max() + 1):
        target = (y == c).astype(np.float64)
        along = (u.T @ target) ** 2  # what of the labels lies in each direction of the features
        beside = float(target.sum() - along.sum())  # and what in none
        if beside <= 1e-9 * target.sum() and len(squares) < n:
            raise CourseError(
                f"The features give the labels of class {features.classes[_number(features, c)]!r} exactly, so their "
                "evidence has no bound.",
                why=f"The {n} items have only {len(squares)} directions; items may be there twice.",
                do="Leave out items that repeat others, or take more items.",
            )
        total += _evidence(squares, along, max(beside, 0.0), n)
    return float(total / (y.max() + 1))


def _evidence(squares: np.ndarray, along: np.ndarray, beside: float, n: int) -> float:
    r"""The best evidence of one class, an item.

    Only the ratio $t = \alpha / \beta$ has to be searched. In the directions of the features, with squared singular
    values $s$, the error is $E(t) = \sum z^2 t / (t + s) + |y|^2 - |z|^2$; the best $\beta$ for it is $n / E$.
    """

    def at(t: np.ndarray) -> np.ndarray:
        t = t[:, None]
        error = (along * t / (t + squares)).sum(1) + beside
        return 0.5 * np.log(n / error) - 0.5 * np.log1p(squares / t).sum(1) / n

    low, high = np.log(squares.min()) - 25, np.log(squares.max()) + 25
    for _ in range(6):  # each pass looks closer around the best
        grid = np.linspace(low, high, 201)
        value = at(np.exp(grid))
        best = int(value.argmax())
        low, high = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    return float(value.max()) - 0.5 - 0.5 * np.log(2 * np.pi)


def _number(features: Features, place: int) -> int:
    return int(features.y.unique()[place])
