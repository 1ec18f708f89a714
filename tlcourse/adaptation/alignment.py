"""Alignment: features of another domain moved to where the source's lie, without a single label."""

from __future__ import annotations

from dataclasses import replace

import torch

from tlcourse.adaptation.clouds import blind
from tlcourse.errors import CourseError
from tlcourse.features import Features


def align(features: Features, target: Features, source: Features, *, spread: bool = True) -> Features:
    """Features of the target domain with the mean, and the spread, of the source's: a probe of the source fits better.

    No label is read. The statistics come from `target`, items that need no labels, so that those which are to be
    judged can come one at a time. It assumes that both domains have their classes in about the same shares: a mean that
    differs because the shares differ is moved as well, and that does harm.

    Arguments:
        features: what to move, vectors `[n, d]` of the target domain.
        target: items of the target domain that say what its mean and spread are; their labels are not looked at.
        source: items of the source domain.
        spread: whether each feature's spread is matched besides its mean.

    Returns `Features` like `features`. Raises `CourseError` when they are not of one model and stage.

    >>> a = Features(torch.tensor([[0.0], [2.0]]), torch.tensor([0, 1]), ("a", "b"), ("low", "high"), "pool")
    >>> b = Features(torch.tensor([[10.0], [14.0]]), torch.tensor([0, 1]), ("c", "d"), ("low", "high"), "pool")
    >>> align(b, b, a).x.flatten().tolist()
    [0.0, 2.0]

    Chapter 01. Li et al. 2017 (AdaBN) do so with BatchNorm's statistics; Sun et al. 2016 (CORAL) go a step further.
    """
    x, here, there = (_vectors(part) for part in (features, target, source))
    for part in (target, source):
        if part.stage != features.stage or (part.weights or "") != (features.weights or ""):
            raise CourseError(
                f"The features are of stage {features.stage!r} and of {part.stage!r}"
                + (", of other weights." if part.stage == features.stage else "."),
                why="Numbers of different stages or weights have nothing to do with each other.",
                do="Extract all with the same model at the same stage.",
            )
    if not x.shape[1] == here.shape[1] == there.shape[1]:
        raise CourseError(f"The features have {x.shape[1]}, {here.shape[1]} and {there.shape[1]} numbers an item.")
    moved = x - here.mean(0)
    if spread:
        low = min(len(here), len(there))
        if low < 2:
            raise CourseError("A spread needs at least two items.", do="Pass more of them, or spread=False.")
        # a feature that is the same everywhere, but for rounding, stays so; it has no spread to match
        wide, own = here.std(0), there.std(0)
        moved = torch.where(wide > 1e-6 * here.abs().amax(0), moved * own / wide.clamp(min=1e-30), moved)
    return replace(features, x=(moved + there.mean(0)).to(features.x.dtype))


def _vectors(features: Features) -> torch.Tensor:
    if not isinstance(features, Features):
        raise CourseError(
            f"Features are aligned, not a {type(features).__name__}.", do="Extract them first: extract(model, data)."
        )
    if not len(features.x):
        raise CourseError("There are no items to align.", do="Check how the features were selected.")
    if features.views > 1:
        raise CourseError("Features with several random views cannot be aligned.", do="Extract them without views=.")
    x = blind(features).flat()[0]
    if not x.isfinite().all():
        raise CourseError(
            "The features hold NaN or infinite values.", do="Extract them in float32, and check the data."
        )
    return x
