"""What any freezing choice would take, added up from what each stage takes: an answer at once, to play with.

`cost` measures one choice; `price` measures every stage once, and then knows them all, less exactly.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

import psutil
import torch
from torch import nn

from tlcourse.chain import stages
from tlcourse.errors import CourseError, whole_number
from tlcourse.features.inputs import Inputs
from tlcourse.features.modes import at_once, evaluating, model_device, seeded
from tlcourse.freezing import still
from tlcourse.hardware import one_thread, reusing_memory
from tlcourse.models import Tokens
from tlcourse.training.schedules import steps_of
from tlcourse.training.source import check_data, ready
from tlcourse.training.untouched import untouched

ADAM = 12
"""Bytes that training takes for a float32 number beside itself: its gradient and Adam's two means."""


@dataclass(frozen=True)
class StagePrice:
    """What one stage takes an item: seconds forward, forward and backward, and MB that the backward pass needs."""

    name: str
    parameters: int
    forward: float
    both: float
    saved: float


@dataclass(frozen=True)
class Estimate:
    """What training would take: numbers that train, seconds once, seconds an epoch, and peak MB.

    >>> Estimate(1000, 2.0, 0.5, 900.0)
    1,000 parameters train; 2.0 s once, then 0.50 s an epoch; about 900 MB of memory
    """

    trainable: int
    once: float
    epoch: float
    memory: float

    def __repr__(self) -> str:
        once = f"{_brief(self.once)} s once, then " if self.once else ""
        return (
            f"{self.trainable:,} parameters train; {once}{_brief(self.epoch)} s an epoch; "
            f"about {self.memory:,.0f} MB of memory"
        )


@dataclass(frozen=True)
class Prices:
    """What each stage takes, and for how many items in batches of what size.

    Arguments:
        stages: a `StagePrice` each, in the order of the chain.
        items, batch: how many items, in batches of how many.
        update: seconds that the optimizer takes for one number.
        base: MB that the process had before.
    """

    stages: tuple[StagePrice, ...]
    items: int
    batch: int
    update: float
    base: float

    def of(self, trains: Iterable[str], kept: Iterable[str] = ()) -> Estimate:
        """The estimate for a choice.

        Arguments:
            trains: stages that train.
            kept: first stages whose output is computed once.

        >>> a, b = StagePrice("body", 1000, 0.1, 0.3, 1.0), StagePrice("head", 10, 0.01, 0.03, 0.0)
        >>> prices = Prices((a, b), items=10, batch=5, update=0.0, base=500.0)
        >>> prices.of(["head"], kept=["body"])
        10 parameters train; 1.0 s once, then 0.30 s an epoch; about 500 MB of memory
        >>> prices.of(["body", "head"]).epoch
        3.3
        """
        trains, kept = set(trains), set(kept)
        moving = [stage.name in trains for stage in self.stages]
        first = moving.index(True) if True in moving else len(moving)
        once = epoch = saved = 0.0
        for i, stage in enumerate(self.stages):
            if stage.name in kept and i < first:
                once += stage.forward
            elif i < first:
                epoch += stage.forward
            elif moving[i] or not stage.parameters:
                epoch, saved = epoch + stage.both, saved + stage.saved
            else:  # gradients run through it, though it has none of its own: about half of the backward pass
                epoch, saved = epoch + (stage.forward + stage.both) / 2, saved + stage.saved
        trainable = sum(stage.parameters for stage in self.stages if stage.name in trains)
        epoch = self.items * epoch + steps_of(self.items, self.batch) * trainable * self.update
        memory = self.base + trainable * ADAM / 1e6 + min(self.batch, self.items) * saved
        return Estimate(trainable, self.items * once, round(epoch, 6), memory)

    def now(self, model: nn.Module) -> Estimate:
        """The estimate for what trains in the model now."""
        trains = [n for n, s in stages(model).named_children() if any(p.requires_grad for p in s.parameters())]
        return self.of(trains, still(model))


@reusing_memory
def price(model: nn.Module, data, *, batch: int = 32) -> Prices:
    """Measure what each stage takes, with two batches; nothing of the model moves.

    Arguments:
        model: a model with a `transform`.
        data: a `Split` of images or texts.
        batch: items a step.

    Returns `Prices`. Raises `CourseError` when model and data do not go together.

    >>> from tlcourse import load, load_dataset
    >>> prices = price(load("efficientnet-lite0", classes=2, pretrained=False, size=32), load_dataset("faces").train)
    >>> prices.of(["head"]).trainable
    2562

    Chapter 04.
    """
    whole_number("batch", batch)
    check_data(model, data)
    if getattr(model, "transform", None) is None or not hasattr(data, "kind"):
        raise CourseError(
            "The stages are measured on raw data, through the model's own transform.",
            do="Pass a split, e.g. load_dataset(...).train, and a model that load(...) made.",
        )
    device, chain = model_device(model), dict(stages(model).named_children())
    base = psutil.Process().memory_info().rss / 1e6
    inputs = Inputs(data, model.transform)
    inputs.check_lengths(model)
    order = inputs.longest_first()
    size = min(batch, at_once(model.transform, device=device), len(data))
    middle = order[(len(order) - size) // 2 :][:size]  # of texts those of middle length
    if size == 1:  # BatchNorm cannot train on one item, and this asks what two would take
        middle, size = middle.repeat(2), 2
    everything = nn.ModuleList([model, *chain.values()])
    found = {}
    with untouched(model), seeded(0, device), evaluating(everything):
        everything.requires_grad_(True)
        for _ in range(2):  # the first time is not counted
            x = ready(model, inputs(middle))
            for name, stage in chain.items():
                everything.train(False)
                vectors = isinstance(x, torch.Tensor) and x.ndim == 2 and device.type == "cpu"
                with one_thread(vectors):  # as in `fit`, where a head reads kept vectors
                    found[name], x = _stage(name, stage, x, size, device)
    return Prices(tuple(found.values()), len(data), batch, _update(device), base)


def _stage(name, stage, x, size, device):
    """The price of a stage, and what it gives."""
    with torch.no_grad():
        start = time.perf_counter()
        y = stage(x)
        _wait(device)
        forward = time.perf_counter() - start
    saved = []
    stage.train()
    given = _leaf(x)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t.nbytes) or t, lambda t: t):
        start = time.perf_counter()
        out = stage(given)
        values = out.x if isinstance(out, Tokens) else out
        if values.requires_grad:
            values.backward(torch.ones_like(values))
        _wait(device)
        both = time.perf_counter() - start
    parameters = sum(p.numel() for p in stage.parameters())
    held = sum(p.nbytes for p in stage.parameters())  # saved too, but there anyway
    kept = max(0, sum(saved) - held) / size / 1e6
    return StagePrice(name, parameters, forward / size, max(both, forward) / size, kept), y


def _leaf(x):
    """The input as the start of a graph of its own, so that the backward pass of one stage is measured."""
    if isinstance(x, Tokens):
        return Tokens(_leaf(x.x), x.mask)
    x = x.detach().clone()  # a stage may begin by working in place
    return x.requires_grad_().mul(1) if x.is_floating_point() else x


def _update(device: torch.device, numbers: int = 1_000_000) -> float:
    """Seconds that AdamW takes for one number, on this machine."""
    weights = torch.zeros(numbers, device=device, requires_grad=True)
    weights.grad = torch.ones_like(weights)
    optimizer = torch.optim.AdamW([weights], lr=1e-3, fused=device.type in ("cpu", "cuda"))
    for _ in range(3):
        start = time.perf_counter()
        optimizer.step()
        _wait(device)
        seconds = time.perf_counter() - start
    return seconds / numbers


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _brief(seconds: float) -> str:
    return f"{seconds:.0f}" if seconds >= 10 else f"{seconds:.1f}" if seconds >= 1 else f"{seconds:.2f}"
