"""What a score reads: one vector and one class number an item, checked."""

from __future__ import annotations

import numpy as np
import torch

from tlcourse.errors import CourseError
from tlcourse.features import Features


def vectors(features: Features) -> tuple[np.ndarray, np.ndarray]:
    """Features `[n, d]` in float64 and class numbers `[n]`, counted from 0 without gaps.

    Raises `CourseError` where no score can be had: no features, several views, no number in them, one class, or the
    same vector for every item.

    >>> import torch
    >>> x, y = vectors(Features(torch.eye(2), torch.tensor([0, 2]), ("a", "b"), ("low", "mid", "high"), "pool"))
    >>> x.shape, y.tolist()
    ((2, 2), [0, 1])
    """
    if not isinstance(features, Features):
        raise CourseError(
            f"A score reads features, not a {type(features).__name__}.", do="Extract them first: extract(model, data)."
        )
    if features.views > 1:
        raise CourseError(
            "The features hold several random views of each item.",
            why="Views of one item are no independent items: the score would take them for more evidence.",
            do="Extract the items without augment= and views=.",
        )
    if not features.x.shape[-1]:
        raise CourseError("The features have the width 0: there is nothing to read.", do="Choose another stage.")
    if not isinstance(features.y, torch.Tensor) or len(features.y) != len(features.x):
        raise CourseError(
            "The features have no label for each item.",
            why="A score says what features tell of the labels.",
            do="Extract labelled items; y= is a tensor of class numbers [n].",
        )
    x = features.flat()[0].numpy().astype(np.float64)
    if not np.isfinite(x).all():
        raise CourseError(
            "The features hold NaN or infinite values.", do="Extract them in float32, and check the data."
        )
    y = labels(features.y)
    if np.ptp(x, axis=0).max() <= 1e-7 * np.abs(x).max():
        raise CourseError(
            "The features are the same for every item.",
            why="Features with no variance say nothing of the classes.",
            do="Choose another stage, and check that the images or texts differ.",
        )
    return x, y


def labels(y) -> np.ndarray:
    """Class numbers `[n]` of two classes or more, counted from 0 without gaps: a class without items plays no part."""
    y = np.asarray(y)
    if not y.size:
        raise CourseError("There are no items to score.", do="Check how they were selected.")
    if y.ndim != 1 or y.dtype.kind not in "iu":
        raise CourseError(
            f"Labels are class numbers [n], not {y.dtype} {list(y.shape)}.", do="Pass features.y or data.y."
        )
    if y.dtype.kind == "i" and y.min() < 0:
        raise CourseError(
            f"The labels hold the class number {y.min()}.",
            why="Classes are numbered from 0; a number below, such as -1, stands for a label that is missing.",
            do="Leave out the items without a label, e.g. features[features.y >= 0].",
        )
    found, numbers = np.unique(y, return_inverse=True)
    if len(found) < 2:
        raise CourseError(
            "A score needs at least two classes to tell apart; the items have one.",
            do="Check how the items were selected, e.g. data.train.counts().",
        )
    return numbers.reshape(-1)
