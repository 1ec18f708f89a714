"""`DomainAdversarial`: a head that tells the domains apart, and features that learn to give it nothing to see."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

from tlcourse.adaptation.clouds import clouds
from tlcourse.errors import CourseError, real_number, whole_number


def reverse(x: torch.Tensor, weight: float = 1.0) -> torch.Tensor:
    """The same numbers; but what comes back as their gradient is turned around, and `weight` times as large.

    >>> x = torch.tensor([3.0], requires_grad=True)
    >>> y = reverse(x, 0.5)
    >>> y.backward(torch.tensor([2.0]))
    >>> y.item(), x.grad.item()
    (3.0, -1.0)

    Ganin et al. 2016; chapter 09.
    """
    return _Reversed.apply(x, real_number("weight", weight))


class _Reversed(torch.autograd.Function):
    @staticmethod
    def forward(context, x, weight):
        context.weight = weight
        return x.view_as(x)

    @staticmethod
    def backward(context, gradient):
        return -context.weight * gradient, None


def reversal_weight(progress: float) -> float:
    """How strongly the gradient is reversed when a share of the training is done: 2 / (1 + exp(-10 p)) - 1.

    It begins at 0, while the domain head still knows nothing, and is near 1 from half of the training on.

    >>> reversal_weight(0.0), round(reversal_weight(0.5), 3)
    (0.0, 0.987)

    Ganin et al. 2016; chapter 09.
    """
    if real_number("progress", progress) > 1:
        raise CourseError(f"progress={progress!r} will not do.", do="Give the share that is done, from 0 to 1.")
    return 2 / (1 + math.exp(-10 * progress)) - 1


class DomainAdversarial(nn.Module):
    """A domain head behind a gradient reversal: its loss teaches the head to tell the domains apart, the features not.

    Arguments:
        width: numbers an item has at the stage that is looked at.
        hidden: units of its one hidden layer.

    Called with features of both domains and the share of the training that is done, it returns the mean of both
    domains' cross-entropies, each domain counting the same; log 2 = 0.693 is what guessing gives.

    >>> adversary = DomainAdversarial(4)
    >>> adversary(torch.zeros(3, 4), torch.ones(5, 4), progress=0.5).shape
    torch.Size([])

    Ganin et al. 2016 (DANN); chapter 09.
    """

    def __init__(self, width: int, hidden: int = 64):
        super().__init__()
        width, hidden = whole_number("width", width), whole_number("hidden", hidden)
        self.width = width
        self.head = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, 1))

    def forward(self, x: torch.Tensor, y: torch.Tensor, progress: float = 1.0) -> torch.Tensor:
        weight = reversal_weight(progress)
        source, target = (self._scores(reverse(part, weight)) for part in self._checked(x, y))
        return (F.softplus(-source).mean() + F.softplus(target).mean()) / 2

    @torch.no_grad()
    def accuracy(self, x: torch.Tensor, y: torch.Tensor) -> float:
        """How often the head tells a feature's domain, each domain counting the same; .5 is guessing."""
        source, target = (self._scores(part) for part in self._checked(x, y))
        return float(((source > 0).float().mean() + (target <= 0).float().mean()) / 2)

    def _scores(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(x.to(self.head[0].weight.dtype))[:, 0]  # above zero: source

    def _checked(self, x, y):
        x, y = clouds(x, y)
        if x.shape[1] != self.width:
            raise CourseError(
                f"The features have {x.shape[1]} numbers an item; this domain head was made for {self.width}.",
                do=f"Make it anew: DomainAdversarial({x.shape[1]}).",
            )
        return x, y
