"""The least weighted cross-entropy of a linear map: a convex problem, solved with few words."""

from __future__ import annotations

import numpy as np

TOLERANCE = 1e-7
"""A slope this small in every direction counts as level."""


def least_cross_entropy(
    x: np.ndarray,
    y: np.ndarray,
    shares: np.ndarray,
    classes: int,
    decay: float,
    start: tuple[np.ndarray, np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Weights `[classes, d]` and biases `[classes]` with the least cross-entropy plus `decay / 2` times the weights².

    scikit-learn's `LogisticRegression` finds the same point. For problems this small most of its time goes into
    checks, not into arithmetic; and it cannot begin where a problem much like this one ended.

    Arguments:
        x: float64 `[n, d]`, of about one scale.
        y: class numbers `[n]`.
        shares: how much each item counts `[n]`.
        classes, decay: how many, and how strongly large weights are held back.
        start: weights and biases to begin from; by default zeros.

    >>> x, y, shares = np.array([[-1.0], [1.0]]), np.array([0, 1]), np.array([0.5, 0.5])
    >>> weight, bias = least_cross_entropy(x, y, shares, 2, decay=0.1)
    >>> bool(weight[1, 0] > 0 and abs(weight.sum()) + abs(bias).sum() < 1e-6)
    True

    Chapter 02. Liu and Nocedal 1989 (L-BFGS).
    """
    from scipy.optimize import minimize

    two, d = classes == 2, x.shape[1]
    if start is None:
        start = np.zeros((classes, d)), np.zeros(classes)
    if two:  # one vector, the difference of the two rows; half of it each has the least squares
        first = np.append(start[0][1] - start[0][0], start[1][1] - start[1][0])
        loss = _of_two(x, (y == 1).astype(float), shares, decay / 2)
    else:
        first = np.column_stack(start).ravel()
        loss = _of_many(x, np.eye(classes)[y], shares, decay)
    limits = {"gtol": TOLERANCE, "ftol": 64 * np.finfo(float).eps, "maxiter": 2000, "maxls": 50, "maxfun": 10**6}
    found = minimize(loss, first, jac=True, method="L-BFGS-B", options=limits).x
    if two:
        half = found / 2
        return np.stack([-half[:-1], half[:-1]]), np.array([-half[-1], half[-1]])
    found = found.reshape(classes, d + 1)
    return found[:, :-1].copy(), found[:, -1].copy()


def _of_two(x, y, shares, decay):
    from scipy.special import expit

    def loss(w):
        z = x @ w[:-1] + w[-1]
        slope = shares * (expit(z) - y)
        value = shares @ (np.logaddexp(0, z) - y * z) + decay / 2 * (w[:-1] @ w[:-1])
        return value, np.append(slope @ x + decay * w[:-1], slope.sum())

    return loss


def _of_many(x, ones, shares, decay):
    def loss(flat):
        w = flat.reshape(ones.shape[1], -1)
        z = x @ w[:, :-1].T + w[:, -1]
        z -= z.max(1, keepdims=True)
        grown = np.exp(z)
        whole = grown.sum(1)
        slope = shares[:, None] * (grown / whole[:, None] - ones)
        value = shares @ (np.log(whole) - (z * ones).sum(1)) + decay / 2 * (w[:, :-1] ** 2).sum()
        return value, np.column_stack([slope.T @ x + decay * w[:, :-1], slope.sum(0)]).ravel()

    return loss
