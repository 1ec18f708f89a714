"""`mixed_loss`: one loss of a source with labels and a target with a few."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from tlcourse.errors import CourseError, real_number


def mixed_loss(
    source_scores: torch.Tensor,
    source_y: torch.Tensor,
    target_scores: torch.Tensor,
    target_y: torch.Tensor,
    weight: float,
) -> torch.Tensor:
    """λ · (mean cross-entropy on the source) + (1 - λ) · (mean cross-entropy on the target).

    Each domain gets its mean first, so λ alone says who counts, however many items there are of each. What has no
    weight is not looked at, and may be empty.

    Arguments:
        source_scores, target_scores: scores before the softmax, `[items, classes]`.
        source_y, target_y: class numbers `[items]`.
        weight: λ, from 0 (the target alone) to 1 (the source alone).

    Returns a scalar with a gradient. Raises `CourseError` when scores and labels do not go together.

    >>> scores, y = torch.tensor([[2.0, 0.0]]), torch.tensor([0])
    >>> round(mixed_loss(scores, y, -scores, y, 0.75).item(), 3)
    0.627

    Chapter 02, whose exercise writes it; chapter 09. Ben-David et al. 2010 (which λ is best).
    """
    if real_number("weight", weight) > 1:
        raise CourseError(f"weight={weight!r} will not do.", do="Choose a number from 0 to 1.")
    parts = []
    for name, share, scores, y in (
        ("source", weight, source_scores, source_y),
        ("target", 1 - weight, target_scores, target_y),
    ):
        if share:
            _check(name, scores, y)
            parts.append(share * F.cross_entropy(scores, y.long()))
    return sum(parts[1:], parts[0])


def _check(name: str, scores: torch.Tensor, y: torch.Tensor) -> None:
    if not (isinstance(scores, torch.Tensor) and isinstance(y, torch.Tensor)):
        raise CourseError(f"The {name}'s scores and labels are tensors.", do="Pass torch.tensor(...) of each.")
    if scores.ndim != 2 or y.ndim != 1 or len(scores) != len(y):
        raise CourseError(
            f"The {name} has scores of the shape {list(scores.shape)} and labels of the shape {list(y.shape)}.",
            do="Pass scores [items, classes] and class numbers [items].",
        )
    if not len(y):
        raise CourseError(
            f"There are no items of the {name}.",
            why="A mean over nothing is not a number.",
            do=f"Leave it out with weight={0 if name == 'source' else 1}, or pass some.",
        )
    if not scores.is_floating_point():
        raise CourseError(f"The {name}'s scores are {scores.dtype}.", do="Pass decimal numbers, before the softmax.")
    if y.is_floating_point() or not 0 <= int(y.min()) <= int(y.max()) < scores.shape[1]:
        raise CourseError(
            f"The {name}'s labels do not number the {scores.shape[1]} classes of its scores.",
            do=f"Use whole numbers from 0 to {scores.shape[1] - 1}.",
        )
