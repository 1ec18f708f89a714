"""`cost`: what a freezing choice will take, measured on a few batches before anything is trained."""

from __future__ import annotations

import time
from dataclasses import dataclass
from html import escape

import torch
from torch import nn

from tlcourse.chain import stages
from tlcourse.errors import CourseError, whole_number
from tlcourse.features import Features
from tlcourse.features.engine import Engine, planned
from tlcourse.features.inputs import Inputs
from tlcourse.features.modes import at_once, evaluating, model_device, seeded
from tlcourse.freezing import parameter_groups
from tlcourse.hardware import measured, one_thread, reusing_memory
from tlcourse.models import Tokens
from tlcourse.training.keeping import decide
from tlcourse.training.objective import Objective
from tlcourse.training.precision import Precision
from tlcourse.training.schedules import batches, steps_of
from tlcourse.training.source import Source, check_data
from tlcourse.training.step import Step
from tlcourse.training.team import Team
from tlcourse.training.untouched import untouched


@dataclass(frozen=True)
class Prediction:
    """What training will take as the model is frozen now.

    Arguments:
        trainable: parameters (numbers) that train.
        once: seconds to compute what the frozen first stages give, once; 0 where nothing is kept.
        epoch: seconds an epoch after that.
        memory: peak MB of the process (on a GPU: of what torch takes there).
        boundary: the last stage that is computed once, or None.
        kept: MB that its output takes.
        steps: batches an epoch.

    >>> Prediction(1000, 2.0, 0.5, 900.0, "pool", 4.9, 30).seconds(epochs=10)
    7.0
    """

    trainable: int
    once: float
    epoch: float
    memory: float
    boundary: str | None = None
    kept: float = 0.0
    steps: int = 0

    def seconds(self, epochs: int) -> float:
        """Wall seconds of a whole run."""
        return self.once + epochs * self.epoch

    def __repr__(self) -> str:
        once = f"{_two_digits(self.once)} s once up to {self.boundary!r}, then " if self.boundary else ""
        return (
            f"{self.trainable:,} parameters train; {once}{_two_digits(self.epoch)} s an epoch of {self.steps} batches; "
            f"about {self.memory:,.0f} MB of memory"
        )

    def _repr_html_(self) -> str:
        return f"<p>{escape(repr(self))}</p>"


def _two_digits(seconds: float) -> str:
    return f"{seconds:.0f}" if seconds >= 10 else f"{seconds:.2g}"


@reusing_memory
def cost(
    model: nn.Module, data, *, batch: int = 32, epochs: int = 10, keep: bool | None = None, tries: int = 3, **rates
) -> Prediction:
    """Predict seconds and memory of training as the model is frozen now; nothing moves.

    A few batches go through the frozen first stages and a few steps are taken; the model is put back to the last bit.
    On a busy machine measure again: the prediction is as good as the seconds it was made in.

    Arguments:
        model, data: as in `fit`.
        batch, epochs, keep: as in `fit`; whether the frozen stages' output is kept depends on them.
        tries: how many batches are measured, after one that is not counted.
        rates: anything `parameter_groups` takes; it does not change the cost.

    Returns a `Prediction`. Raises `CourseError` when nothing trains, or model and data do not go together.

    >>> from tlcourse import freeze, load, load_dataset
    >>> model = freeze(load("efficientnet-lite0", classes=2, pretrained=False, size=32))
    >>> cost(model, load_dataset("faces").train).trainable
    2562

    Chapter 04.
    """
    whole_number("batch", batch), whole_number("tries", tries)
    check_data(model, data)
    device = model_device(model)
    groups = parameter_groups(model, **{"lr": 1e-3} | rates)
    trainable = sum(p.numel() for group in groups for p in group["params"])
    boundary, everything = None, nn.ModuleList([model, *stages(model).children()])
    with untouched(model), measured(device) as used, seeded(0, device), evaluating(everything):
        if isinstance(data, Features):
            once, kept, source = 0.0, 0.0, Source(model, data, training=True)
        else:
            boundary = decide(model, data, epochs=epochs, keep=keep).boundary
            once, kept, source = _once(model, data, boundary, batch, tries)
        steps = steps_of(len(data), batch)
        with one_thread(source.light(batch)):
            epoch = steps * _one_step(source, groups, min(batch, len(source)), tries)
    return Prediction(trainable, once, epoch, used.memory + kept, boundary, kept, steps)


def _once(model, data, boundary, batch, tries):
    """Seconds for the frozen stages over all items, MB of what they give, and a source of a few batches."""
    n = len(data)
    if boundary is None:
        return 0.0, 0.0, Source(model, data, training=True)
    device, chain = model_device(model), dict(stages(model).named_children())
    names = list(chain)[: list(chain).index(boundary) + 1]
    prefix = {name: chain[name] for name in names}
    size = at_once(model.transform, device=device)
    start = time.perf_counter()
    inputs = Inputs(data, model.transform)
    prepared = time.perf_counter() - start
    engine = Engine(prefix, [boundary], planned(None, prefix, data.kind, device.type, n))
    order, times, outputs = inputs.longest_first(), [], []
    parts = [part for part in order.split(size) if len(part) == min(size, n)]
    chosen = [parts[i] for i in torch.linspace(0, len(parts) - 1, min(len(parts), tries + 1)).round().int().tolist()]
    everything = nn.ModuleList([model, *prefix.values()])
    with evaluating(everything), torch.no_grad():
        for part in (chosen[0], *chosen):  # the first call also translates the network, where that is planned
            start = time.perf_counter()
            y = engine(inputs(part).to(device))[boundary]
            outputs.append((part, Tokens(y.x.clone(), y.mask) if isinstance(y, Tokens) else y.clone()))
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            times.append(time.perf_counter() - start)
    mean = sum(times[1:]) / len(times[1:])
    once = prepared + times[0] + max(0.0, n / len(chosen[0]) - 1) * mean
    if len(chosen) == 1:
        once = prepared + times[0]
    bytes_ = max((y.x if isinstance(y, Tokens) else y).nbytes / len(part) for part, y in outputs[1:]) * n
    return once, bytes_ / 1e6, _few(model, data, boundary, outputs[1:], inputs.lengths)


def _few(model, data, boundary, outputs, lengths) -> Source:
    """A source over the few items whose output was computed just now."""
    items = torch.cat([part for part, _ in outputs])
    some = data[items]
    if isinstance(outputs[0][1], Tokens):
        width = max(y.x.shape[1] for _, y in outputs)
        x = torch.cat([nn.functional.pad(y.x, (0, 0, 0, width - y.x.shape[1])) for _, y in outputs]).cpu()
        mask = torch.cat([nn.functional.pad(y.mask, (0, width - y.mask.shape[1])) for _, y in outputs]).cpu()
    else:
        x, mask = torch.cat([y for _, y in outputs]).cpu(), None
    lengths = None if lengths is None else lengths[items]
    made = Features(x, some.y, some.ids, some.classes, boundary, mask=mask, lengths=lengths)
    return Source(model, made, training=True)


def _one_step(source, groups, batch, tries) -> float:
    """Mean seconds of a step with this optimizer, over a few batches."""
    device, few = source.device, len({group["stage"] for group in groups}) == 1
    # a rate of almost nothing: the arithmetic is the same, and the weights are put back afterwards
    optimizer = torch.optim.AdamW([{**group, "lr": 1e-12} for group in groups], fused=device.type in ("cpu", "cuda"))
    step = Step(source, source.run, Objective(source.data), optimizer, Precision("auto", device, few), Team(device))
    order = batches(len(source), max(1, len(source) // batch), torch.Generator().manual_seed(0), source.lengths)
    chosen, times = [order[i % len(order)] for i in range(tries + 1)], []
    source.train(True)
    try:
        for index in chosen:
            start = time.perf_counter()
            value, _, _ = step(index, 0)
            times.append(time.perf_counter() - start)
            if value != value:
                raise CourseError(
                    "The loss is not a number before anything was trained.",
                    do="Look for NaN in the data, or load the model anew.",
                )
    finally:
        source.train(False)
    return sum(times[1:]) / tries
