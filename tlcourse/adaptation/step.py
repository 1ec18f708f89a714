"""One step of adaptation: a loss on the source's labels, and one on how far both domains' features are apart."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import nn
from torch.nn import functional as F

from tlcourse.adaptation.adversary import DomainAdversarial
from tlcourse.errors import CourseError
from tlcourse.features.extraction import average
from tlcourse.training.precision import Precision
from tlcourse.training.schedules import batches, steps_of
from tlcourse.training.source import Source, check_outputs, spread
from tlcourse.training.team import Team


class Step:
    """Trains on a batch of the source and one of the target.

    Arguments:
        near, far: where batches of the source and of the target come from.
        body, head: the stages up to the one where the domains are compared, and those behind it.
        apart: (source's features, target's features) -> scalar.
        weight: of that scalar.
        optimizer: made from what trains now.
        total: steps of the whole run.
        batch: items of the target a step.

    `seen` holds the discrepancy of each step.
    """

    def __init__(
        self,
        near: Source,
        far: Source,
        body: nn.Module,
        head: nn.Module,
        apart: Callable,
        weight: float,
        optimizer: torch.optim.Optimizer,
        total: int,
        batch: int,
        seed: int,
    ):
        self.near, self.far, self.body, self.head = near, far, body, head
        self.apart, self.weight, self.optimizer, self.total = apart, weight, optimizer, total
        self.precision, self.team = Precision("float32", near.device), Team(near.device)
        self.others, self.seen = _endless(far, batch, seed), []

    def __call__(self, index: torch.Tensor, view: int) -> tuple[float, float, bool]:
        """Returns the source's loss and right answers, summed over the batch, and whether the outputs were finite."""
        self.optimizer.zero_grad(set_to_none=True)
        x, y, other = self.near.batch(index, view), self.near.labels(index), self.far.batch(next(self.others))
        with spread():
            here, there = self.body(x), self.body(other)
        scores = self.head(here)
        check_outputs(scores, self.near.data)
        loss = F.cross_entropy(scores, y)
        a, b = vectors(here), vectors(there)
        finite = bool(a.isfinite().all() and b.isfinite().all())
        if not finite:
            return math.nan, 0.0, False
        gap = self._gap(a, b)
        value = loss + self.weight * gap
        self.seen.append(gap.item())
        if not math.isfinite(value.item()):
            return math.nan, 0.0, bool(scores.isfinite().all())
        value.backward()
        self.optimizer.step()
        return loss.item() * len(index), int((scores.argmax(1) == y).sum()), True

    def _gap(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        more = (len(self.seen) / self.total,) if isinstance(self.apart, DomainAdversarial) else ()
        gap = self.apart(a, b, *more)
        if not isinstance(gap, torch.Tensor) or gap.numel() != 1:
            raise CourseError(
                "The method must give one number for two batches of features.",
                do="Let it return a scalar tensor, e.g. method=lambda x, y: (x.mean(0) - y.mean(0)).pow(2).sum().",
            )
        return gap


def vectors(x) -> torch.Tensor:
    """One vector an item: maps are averaged over their places, tokens over the text."""
    return average(x).flatten(1)


def _endless(source: Source, batch: int, seed: int) -> Iterator[torch.Tensor]:
    order = torch.Generator().manual_seed(seed + 1)  # not the order of the source's items
    while True:
        yield from batches(len(source), steps_of(len(source), batch), order, source.lengths)
