"""LEEP: what a source model's own classes tell of the target's."""

from __future__ import annotations

import numpy as np
import torch

from tlcourse.errors import CourseError
from tlcourse.selection.items import labels as class_numbers


def leep(probabilities, labels) -> float:
    r"""The mean log-likelihood of the labels, read off a source model's own classes: the nearer to 0, the better.

    Over the target's items the source's shares $\theta(x)_z$ for its classes $z$ are counted beside the labels $y$,
    which gives the joint $\hat P(y, z)$. A label is then predicted by way of the source's class, without any training:

    $$ \mathrm{LEEP} = \frac1n \sum_i \log \sum_z \hat P(y_i \mid z)\, \theta(x_i)_z $$

    It reads what the head says, not the features, and needs a model with the head of its source.

    Arguments:
        probabilities: `[n, source classes]`, the softmax of the source head for the target's items, each row with the
            sum 1; a tensor or an array.
        labels: class numbers `[n]` of the target.

    Returns a number below 0; `-H(y)`, the entropy of the labels, where the source's classes tell nothing. Raises
    `CourseError` for rows that are no probabilities, or labels of one class.

    >>> leep([[0.9, 0.1], [0.9, 0.1], [0.2, 0.8], [0.2, 0.8]], [0, 0, 1, 1]) > leep([[0.5, 0.5]] * 4, [0, 0, 1, 1])
    True

    Nguyen et al. 2020. Chapter 08.
    """
    if isinstance(probabilities, torch.Tensor):
        probabilities = probabilities.detach().cpu()
    try:
        shares = np.asarray(probabilities, dtype=np.float64)
    except (TypeError, ValueError):
        raise CourseError(
            "The probabilities are no table of numbers.", do="Pass probabilities [n, source classes]."
        ) from None
    y = class_numbers(labels)
    if shares.ndim != 2 or not shares.shape[1] or len(shares) != len(y):
        raise CourseError(
            f"Probabilities {list(shares.shape)} and {len(y)} labels do not go together.",
            do="Pass probabilities [n, source classes] and a label for each of the n items.",
        )
    if not np.isfinite(shares).all():
        raise CourseError("The probabilities hold NaN or infinite values.", do="Check the model and the data.")
    sums = shares.sum(1)
    if shares.min() < -1e-6 or np.abs(sums - 1).max() > 1e-3:
        odd = int(np.abs(sums - 1).argmax())
        raise CourseError(
            "These are not probabilities: "
            + (f"one is {shares.min():.3g}." if shares.min() < -1e-6 else f"row {odd} has the sum {sums[odd]:.3g}."),
            why="LEEP counts how often the source's classes go with the labels; scores cannot be counted.",
            do="Pass the softmax of the head's scores, e.g. scores.softmax(1).",
        )
    shares = shares.clip(min=0) / sums[:, None]
    joint = np.stack([shares[y == c].sum(0) for c in range(y.max() + 1)]) / len(y)
    marginal = joint.sum(0)
    given = joint / np.where(marginal > 0, marginal, 1)  # a source class that is never named says nothing
    return float(np.log((shares * given[y]).sum(1)).mean())
