"""`range_test`: a short training whose learning rate grows from step to step, to see which rates are of use."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape

import torch
from torch import nn

from tlcourse.errors import CourseError, real_number, whole_number
from tlcourse.features.modes import model_device, seeded
from tlcourse.freezing import parameter_groups
from tlcourse.hardware import one_thread, reusing_memory
from tlcourse.training.loop import check_optimizer, made_optimizer
from tlcourse.training.objective import Objective
from tlcourse.training.precision import Precision
from tlcourse.training.schedules import batches, steps_of
from tlcourse.training.source import Source, check_data
from tlcourse.training.step import Step
from tlcourse.training.team import Team
from tlcourse.training.untouched import untouched

SMOOTH = 0.9
"""How much of the smoothed loss is what it was a step before."""
OVER = 4.0
"""The test ends when the smoothed loss is so many times the least one."""


@dataclass(frozen=True)
class RangeTest:
    """What a learning-rate range test saw.

    Arguments:
        rates: the learning rate of each step, rising by the same factor.
        losses: the loss of each step's batch, before the step.
        smooth: the same as a running mean, which batches do not throw about.
        ended: what ended it, in words.

    >>> RangeTest((1e-3, 1e-2, 1e-1, 1.0), (0.7, 0.6, 0.2, 2.9), (0.7, 0.6, 0.2, 2.9), "the loss had risen")
    Rates 0.001 to 1 in 4 steps: the loss falls fastest at 0.032 and is least at 0.1. A rate to begin with: 0.01. It
    ended as the loss had risen.
    """

    rates: tuple[float, ...] = field(repr=False)
    losses: tuple[float, ...] = field(repr=False)
    smooth: tuple[float, ...] = field(repr=False)
    ended: str

    @property
    def lowest(self) -> float:
        """The rate at which the smoothed loss is least."""
        return self.rates[self.smooth.index(min(self.smooth))]

    @property
    def steepest(self) -> float | None:
        """The rate around which the smoothed loss falls fastest, over a tenth of the steps; None if it never falls."""
        width, end = max(1, len(self) // 10), self.smooth.index(min(self.smooth))
        falls = [(self.smooth[i + width] - self.smooth[i], i) for i in range(end - width + 1)]
        fall, at = min(falls, default=(0.0, 0))
        return math.sqrt(self.rates[at] * self.rates[at + width]) if fall < 0 else None

    @property
    def rate(self) -> float:
        """A rate to begin with: where the loss falls fastest, or a tenth of where it is least, whichever is smaller."""
        return min(self.lowest / 10, self.steepest or math.inf)

    def __len__(self) -> int:
        return len(self.rates)

    def __repr__(self) -> str:
        fastest = f"falls fastest at {self.steepest:.2g} and " if self.steepest else ""
        return (
            f"Rates {self.rates[0]:.2g} to {self.rates[-1]:.2g} in {len(self)} steps: the loss {fastest}is least at "
            f"{self.lowest:.2g}. A rate to begin with: {self.rate:.2g}. It ended as {self.ended}."
        )

    def _repr_html_(self) -> str:
        return f"<p>{escape(repr(self))}</p>"


@reusing_memory
def range_test(
    model: nn.Module,
    data,
    *,
    low: float = 1e-6,
    high: float = 10.0,
    steps: int = 100,
    batch: int = 32,
    optimizer: Callable = torch.optim.AdamW,
    decay: float = 1.0,
    seed: int = 0,
) -> RangeTest:
    """Train for a few steps with a rate that grows from `low` to `high`, note the losses, and put everything back.

    Where the loss begins to fall, rates begin to be of use; where it rises, they are too large. The test ends when the
    loss is four times its least value. It sees training items alone: with few of them, which come again and again, it
    takes learning by heart for learning.

    Arguments:
        model: frozen as far as you like; the rest takes part.
        data: a `Split`, or `Features` from `extract`.
        low, high: the first rate and the last.
        steps: at most so many; items come again when they are used up.
        batch: items a step.
        optimizer: a torch optimizer class, as in `fit`.
        decay: each stage below the head has the rate of the next times this, as in `fit`.
        seed: of the order of the items and of dropout.

    Returns a `RangeTest`. Weights, buffers, gradients, modes and torch's random numbers are afterwards what they were.
    Raises `CourseError` when nothing trains, or model and data do not go together.

    >>> from tlcourse import freeze, load, load_dataset
    >>> model = freeze(load("efficientnet-lite0", classes=2, pretrained=False, size=32))
    >>> len(range_test(model, load_dataset("faces").train[:8], steps=5, batch=4))
    5

    Smith 2017 (cyclical learning rates); chapter 02.
    """
    whole_number("steps", steps, low=2), whole_number("batch", batch), whole_number("seed", seed, 0)
    low, high = real_number("low", low), real_number("high", high)
    if not 0 < low < high:
        raise CourseError(f"low={low:g} and high={high:g} are no range.", do="Let low be above 0, and high above low.")
    check_optimizer(optimizer)
    check_data(model, data)
    groups = parameter_groups(model, low, decay=decay)
    device, growth = model_device(model), (high / low) ** (1 / (steps - 1))
    with untouched(model), seeded(seed, device):
        source = Source(model, data, training=True)
        made = made_optimizer(optimizer, groups)
        small = len({group["stage"] for group in groups}) == 1
        step = Step(source, source.run, Objective(data), made, Precision("auto", device, small), Team(device))
        source.train(True)
        with one_thread(source.light(batch)):
            return _run(step, made, growth, steps, _endless(source, batch, seed))


def _run(step: Step, optimizer: torch.optim.Optimizer, growth: float, steps: int, items) -> RangeTest:
    rates, losses, smooth, ended, mean = [], [], [], "all rates were tried", 0.0
    for index, _ in zip(items, range(steps), strict=False):
        total, _, _ = step(index, 0)
        loss = total / len(index)
        if not math.isfinite(loss):
            ended = "the loss was no longer a number"
            break
        rates.append(optimizer.param_groups[-1]["lr"]), losses.append(loss)
        mean = SMOOTH * mean + (1 - SMOOTH) * loss
        smooth.append(mean / (1 - SMOOTH ** len(losses)))  # the running mean began at 0, which this puts right
        if smooth[-1] > OVER * min(smooth):
            ended = "the loss had risen"
            break
        for group in optimizer.param_groups:
            group["lr"] *= growth
    if not losses:
        raise CourseError(
            "The loss is not a number before anything was trained.",
            do="Look for NaN in the data, or load the model anew.",
        )
    return RangeTest(tuple(rates), tuple(losses), tuple(smooth), ended)


def _endless(source: Source, batch: int, seed: int):
    order, steps = torch.Generator().manual_seed(seed), steps_of(len(source), batch)
    while True:
        yield from batches(len(source), steps, order, source.lengths)
