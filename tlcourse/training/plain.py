"""The loop of `fit` for what is no classifier: detectors, decoders of masks and texts, models with their own losses."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from tlcourse.errors import CourseError
from tlcourse.features.modes import model_device
from tlcourse.training.best import Best
from tlcourse.training.diagnosis import diverged
from tlcourse.training.history import History
from tlcourse.training.recorded import recorded
from tlcourse.training.run import Run
from tlcourse.training.schedules import batches, steps_of
from tlcourse.training.source import spread
from tlcourse.training.team import Team
from tlcourse.training.watch import Watcher


class PlainSource:
    """So many items, which only the losses can read.

    Arguments:
        model: what is trained.
        n: how many items there are.

    `lengths` is as in `batches`.
    """

    lengths: torch.Tensor | None = None

    def __init__(self, model: nn.Module, n: int):
        self.model = self.run = model
        self.n, self.device = n, model_device(model)

    def __len__(self) -> int:
        return self.n

    def light(self, batch: int) -> bool:
        """Whether a batch is too little work to share among threads: none is, for all that is known."""
        return False

    def train(self, mode: bool) -> None:
        self.model.train(mode)

    def finite(self, index: torch.Tensor) -> bool | None:
        """Whether the items are free of NaN and infinite values; None where nobody can look at them."""
        return None


class MapSource(PlainSource):
    """Batches of kept maps by stage.

    Arguments:
        model: what reads them.
        maps: stage -> `[n, c, h, w]`, or anything with `batch(index)` that gives such.
        n: how many images there are.
    """

    def __init__(self, model: nn.Module, maps, n: int):
        super().__init__(model, n)
        self.maps = maps

    def batch(self, index: torch.Tensor) -> dict[str, torch.Tensor]:
        """Stage -> maps, in float32 on the model's device."""
        return {
            stage: (kept.batch(index) if hasattr(kept, "batch") else kept[index]).to(self.device).float()
            for stage, kept in self.maps.items()
        }

    def finite(self, index: torch.Tensor) -> bool:
        """Whether the maps are free of NaN and infinite values."""
        return all(bool(x.isfinite().all()) for x in self.batch(index).values())


class PlainStep:
    """Trains on a batch. Nothing is updated when the loss is not finite.

    Arguments:
        losses: index of a batch -> tensors of one number each, by name, and whether the outputs were finite. The first
            one is made small; the others are told.
        optimizer: made from what trains now.
        device: where that is.
        clip: the longest that the gradient may be; a longer one is shortened. None takes it as it is.
    """

    def __init__(
        self, losses: Callable, optimizer: torch.optim.Optimizer, device: torch.device, clip: float | None = None
    ):
        self.losses, self.optimizer, self.team, self.clip = losses, optimizer, Team(device), clip
        if self.team.size > 1:
            raise CourseError("This is trained in one process.", do="Start it without accelerate launch.")

    def __call__(self, index: torch.Tensor) -> tuple[dict[str, float], bool]:
        """Returns the numbers by name, and whether the outputs were finite.

        The first one is NaN as well where the loss was finite and the gradient was not.
        """
        self.optimizer.zero_grad(set_to_none=True)
        with spread():
            losses, finite = self.losses(index)
        told = {name: value.item() for name, value in losses.items()}
        name = next(iter(losses))
        if math.isfinite(told[name]):
            losses[name].backward()
            if self._fit_to_step():
                self.optimizer.step()
            else:
                told[name], finite = math.nan, False
        return told, finite

    def _fit_to_step(self) -> bool:
        if self.clip is None:
            return True
        trained = [p for group in self.optimizer.param_groups for p in group["params"]]
        return math.isfinite(nn.utils.clip_grad_norm_(trained, self.clip).item())


def by_items(told: list[tuple[dict[str, float], int]]) -> dict[str, float]:
    """The means over all items, of what each batch told as its mean, and of how many items it had.

    >>> by_items([({"loss": 1.0}, 3), ({"loss": 2.0}, 1)])
    {'loss': 1.25}
    """
    sums, items = {}, sum(n for _, n in told)
    for values, n in told:
        for name, value in values.items():
            sums[name] = sums.get(name, 0.0) + value * n
    return {name: value / items for name, value in sums.items()}


@dataclass(kw_only=True)
class PlainRun(Run):
    """A training run whose rows hold the mean losses.

    Arguments:
        score: what is written of `held_out` after each epoch: source -> `{"valid_loss": ...}`.
        mean: what a row tells of its batches, a pair each: what the step told, and of how many items.
    """

    score: Callable | None = None
    mean: Callable = by_items

    def _epoch(self, epoch: int) -> dict:
        told, self.done = [], 0
        self.source.train(True)
        for index in batches(len(self.source), self.steps, self.order, self.source.lengths):
            if epoch == 1 and self.source.finite(index) is False:  # before BatchNorm has seen them, and is spoilt
                raise diverged(epoch, self.done, False, self.source, index, self.lr, self.history)
            losses, finite = self.step(index)
            first = next(iter(losses.values()))
            if not math.isfinite(first):
                raise diverged(epoch, self.done, finite, self.source, index, self.lr, self.history)
            self.schedule.step()
            self.done += 1
            told.append((losses, len(index)))
            self.watcher.batch(first, self.mean(told[-1:]).get("accuracy", math.nan))
            if self.watcher.stopped and self.done < self.steps:
                raise KeyboardInterrupt
        self._check_weights(epoch, index)
        return {"epoch": epoch, **self.mean(told)}

    def _scored(self) -> dict[str, float]:
        return self.score(self.held_out)


class BestWhole(Best):
    """The weights of the epoch with the lowest validation loss, of a model that is no chain: all of them are kept."""

    def _kept(self) -> dict[str, torch.Tensor]:
        return {name: tensor.clone() for name, tensor in self.model.state_dict().items()}


def train_plain(
    source: PlainSource,
    losses: Callable,
    optimizer: torch.optim.Optimizer,
    settings: dict,
    looks_on: Watcher,
    *,
    held_out: PlainSource | None = None,
    score: Callable | None = None,
    mean: Callable = by_items,
    patience: int | None = None,
    clip: float | None = None,
    at_least: int = 2,
) -> History:
    """Train from the first epoch to the last, or to a stop.

    Arguments:
        source, held_out, settings: as in `Run`; of the settings, `batch` is read here as well.
        losses, optimizer, clip: as in `PlainStep`.
        looks_on: the watcher.
        score, mean: as in `PlainRun`.
        patience: as in `fit`.
        at_least: how many items a batch has where that can be avoided; 1 for models without BatchNorm.

    Returns the `History`, with its cost, and with where an interrupt stopped it. Raises `Diverged` when the loss, the
    gradient or the weights are not finite.

    >>> net, x = nn.Linear(2, 1), torch.ones(4, 2)
    >>> settings = {"epochs": 2, "lr": 0.1, "batch": 2, "schedule": "constant", "warmup": 0.0, "seed": 0}
    >>> descent, losses = torch.optim.SGD(net.parameters(), lr=0.1), lambda i: ({"loss": net(x[i]).mean()}, True)
    >>> len(train_plain(PlainSource(net, 4), losses, descent, settings, Watcher()))
    2
    """
    history = History()
    with recorded(history, settings["epochs"], source.device, settings["seed"]) as recorder:
        run = PlainRun(
            source=source,
            held_out=held_out,
            step=PlainStep(losses, optimizer, source.device, clip),
            steps=steps_of(len(source), settings["batch"], at_least),
            history=history,
            best=BestWhole(source.model, patience),
            watcher=looks_on,
            settings=settings,
            score=score,
            mean=mean,
        )
        recorder.go(run)
        history.note = " ".join(run.best.restore())
    return history
