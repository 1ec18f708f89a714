"""`Head`: one linear map from features to classes, and the best one for weighted items."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field
from numbers import Real

import torch
from torch.nn import functional as F

from tlcourse.errors import CourseError
from tlcourse.features import Features, Result
from tlcourse.hardware import one_blas_thread


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
    return x.mean(0), float(x.var(0, correction=0).mean().sqrt()) or 1.0


def best_head(data: Features, weights=None, *, decay: float = 0.5, scaled=None) -> Head:
    """The head with the least weighted cross-entropy plus `decay / 2` times the sum of its squared weights.

    That sum makes the minimum one point: without it, a head that is right everywhere could grow for ever. scikit-learn
    finds it; the loss is convex, so there is nothing to be unlucky with.

    Arguments:
        data: features of the training items.
        weights: one number an item, with the sum 1; by default each counts the same.
        decay: above 0.
        scaled: centre `[d]` and scale; by default those of `data`.

    Returns a `Head`. Raises `CourseError` when a class has no item.

    >>> x, y = torch.tensor([[0.0], [1.0], [2.0], [3.0]]), torch.tensor([0, 0, 1, 1])
    >>> data = Features(x, y, tuple("abcd"), ("low", "high"), "pool")
    >>> best_head(data).score(data).accuracy
    1.0

    Chapter 02.
    """
    from sklearn.linear_model import LogisticRegression

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
    # with two classes scikit-learn has one vector w, the difference of our two rows, whose squares add up to |w|²/2
    two = len(data.classes) == 2
    learner = LogisticRegression(C=(2 if two else 1) / decay, tol=1e-7, max_iter=2000)
    with one_blas_thread(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="lbfgs failed to converge")  # at the end of what float64 can tell
        learner.fit(((x - centre) / scale).numpy(), y.numpy(), sample_weight=weights.numpy())
    weight, bias = torch.from_numpy(learner.coef_).double(), torch.from_numpy(learner.intercept_).double()
    if two:
        weight, bias = torch.cat([-weight / 2, weight / 2]), torch.cat([-bias / 2, bias / 2])
    return Head(weight, bias, centre, scale, tuple(data.classes))
