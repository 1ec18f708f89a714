"""`Head`: one linear map from features to classes, and the best one for weighted items."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from numbers import Real

import torch
from torch.nn import functional as F

from tlcourse.errors import CourseError
from tlcourse.features import Features, Result
from tlcourse.hardware import one_blas_thread
from tlcourse.optimization.logistic import least_cross_entropy


@dataclass(frozen=True, eq=False)
class Head:
    """Logits from features: `(x - centre) / scale` times `weight`, plus `bias`.

    Arguments:
        weight: float64 `[classes, d]`.
        bias: float64 `[classes]`.
        centre: float64 `[d]`, subtracted from the features first.
        scale: they are divided by it then.
        classes: their names.

    >>> head = Head(torch.eye(2).double(), torch.zeros(2).double(), torch.zeros(2).double(), 1.0, ("right", "up"))
    >>> head.logits(torch.tensor([[3.0, 1.0]])).tolist()
    [[3.0, 1.0]]

    Chapter 02.
    """

    weight: torch.Tensor = field(repr=False)
    bias: torch.Tensor = field(repr=False)
    centre: torch.Tensor = field(repr=False)
    scale: float
    classes: tuple[str, ...]

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """Logits `[n, classes]`, float64, of features `[n, d]`."""
        weight = self.weight.T / self.scale  # a few rows are moved and divided, instead of every item
        return x.double() @ weight + (self.bias - self.centre @ weight)

    def score(self, data: Features) -> Result:
        """Accuracy and mean cross-entropy on features."""
        logits = self.logits(data.flat()[0])
        loss = float(F.cross_entropy(logits, data.y))
        return Result.of(data.y.numpy(), logits.argmax(1).numpy(), data.classes, loss=loss)


def scaling(data: Features) -> tuple[torch.Tensor, float]:
    """The features' mean `[d]` and the one spread common to all of them, in float64."""
    return _scaling(data.flat()[0].double())


def _scaling(x: torch.Tensor) -> tuple[torch.Tensor, float]:
    centre = x.mean(0)
    return centre, float(
        (x - centre).square_().mean().sqrt()
    ) or 1.0  # the mean of all variances; `var` is slow in rows


def best_head(
    data: Features,
    weights=None,
    *,
    decay: float = 0.5,
    scaled=None,
    start: Head | None = None,
) -> Head:
    """The head with the least weighted cross-entropy plus `decay / 2` times the sum of its squared weights.

    That sum makes the minimum one point: without it, a head that is right everywhere could grow for ever. The loss is
    convex, so there is nothing to be unlucky with.

    Arguments:
        data: features of the training items.
        weights: one number an item, with the sum 1; by default each counts the same.
        decay: above 0.
        scaled: centre `[d]` and scale; by default those of `data`.
        start: a head to begin from, e.g. that of a problem much like this one; it saves steps and changes nothing else.

    Returns a `Head`. Raises `CourseError` when a class has no item.

    >>> x, y = torch.tensor([[0.0], [1.0], [2.0], [3.0]]), torch.tensor([0, 0, 1, 1])
    >>> data = Features(x, y, tuple("abcd"), ("low", "high"), "pool")
    >>> best_head(data).score(data).accuracy
    1.0

    Chapter 02.
    """
    if isinstance(decay, bool) or not isinstance(decay, Real) or not 0 < decay < math.inf:
        raise CourseError(f"decay={decay!r} will not do.", do="Choose a number above 0.")
    x, y = data.flat()
    missing = sorted(set(range(len(data.classes))) - set(y.tolist()))
    if missing:
        raise CourseError(
            f"There is no item of {', '.join(data.classes[i] for i in missing)} to learn from.",
            do="Take some of every class, e.g. with features.shots(4).",
        )
    x = x.double()
    centre, scale = _scaling(x) if scaled is None else scaled
    weights = torch.full((len(y),), 1 / len(y)) if weights is None else weights
    begun = None if start is None else _seen_from(start, centre, scale)
    arrays = ((x - centre) / scale).numpy(), y.numpy(), weights.double().numpy()
    with one_blas_thread():
        found = least_cross_entropy(*arrays, len(data.classes), decay, begun)
    return Head(*map(torch.from_numpy, found), centre, scale, tuple(data.classes))


def _seen_from(head: Head, centre: torch.Tensor, scale: float):
    """The weights and biases that give a head's logits with another centre and scale."""
    bias = head.bias + (centre - head.centre) @ head.weight.T / head.scale
    return (head.weight * (scale / head.scale)).numpy(), bias.numpy()
