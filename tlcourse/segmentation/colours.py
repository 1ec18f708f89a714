"""The baseline without places: what the colour of a single pixel tells."""

from __future__ import annotations

import torch

from tlcourse.errors import CourseError, whole_number
from tlcourse.segmentation.checks import in_range


def pixel_baseline(train, test, *, pixels: int = 20_000, seed: int = 0) -> torch.Tensor:
    """Masks by logistic regression on the colour of each pixel alone.

    Arguments:
        train: a `Split` of images with `masks` of class numbers.
        test: a `Split` of images.
        pixels: how many of the training pixels are learned from, chosen at random.
        seed: chooses them.

    Returns class numbers `[n, h, w]`, int64, for the images of `test`. Raises `CourseError` where there are no masks,
    or only one class in them.

    >>> from tlcourse import load_dataset
    >>> data = load_dataset("tissue-masks")
    >>> pixel_baseline(data.train, data.test[:2]).shape
    torch.Size([2, 64, 64])

    Chapter 06.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if getattr(train, "masks", None) is None:
        raise CourseError("The training images have no masks.", do='Pass e.g. load_dataset("tissue-masks").train.')
    if getattr(test, "kind", None) != "image":
        raise CourseError(f"A {type(test).__name__} is no split of images.", do="Pass e.g. data.test.")
    if test.x.shape[1] != train.x.shape[1]:
        raise CourseError(
            f"Training images have {train.x.shape[1]} colours, the others {test.x.shape[1]}.",
            do="Make both grey, or both coloured.",
        )
    in_range(train.masks, len(train.classes))
    x, y = _flat(train.x), train.masks.flatten()
    chosen = torch.randperm(len(y), generator=torch.Generator().manual_seed(whole_number("seed", seed, 0)))
    chosen = chosen[: whole_number("pixels", pixels)]
    if len(y[chosen].unique()) < 2:
        raise CourseError(
            "All of these pixels are of one class, so there is nothing to tell apart.",
            do="Give images in which there is something and nothing, or more pixels=.",
        )
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    model.fit(x[chosen].numpy(), y[chosen].numpy())
    n, _, height, width = test.x.shape
    return torch.from_numpy(model.predict(_flat(test.x).numpy())).long().reshape(n, height, width)


def _flat(x: torch.Tensor) -> torch.Tensor:
    """Images `[n, c, h, w]` as pixels `[n * h * w, c]`."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1]).float()
