"""The loop of `fit` for what is no classifier: a decoder of masks, a detector. There is a loss, and no accuracy."""

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
from tlcourse.training.run import Run
from tlcourse.training.schedules import batches
from tlcourse.training.source import spread
from tlcourse.training.team import Team


class MapSource:
    """Batches of kept maps by stage.

    Arguments:
        model: what reads them.
        maps: stage -> `[n, c, h, w]`, or anything with `batch(index)` that gives such.
        n: how many images there are.
    """

    lengths = None

    def __init__(self, model: nn.Module, maps, n: int):
        self.model = self.run = model
        self.maps, self.n, self.device = maps, n, model_device(model)

    def __len__(self) -> int:
        return self.n

    def light(self, batch: int) -> bool:
        """Whether a batch is too little work to share among threads: maps are large."""
        return False

    def train(self, mode: bool) -> None:
        self.model.train(mode)

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
        losses: index of a batch -> its losses by name, each one number, and whether the outputs were finite. The first
            is made small.
        optimizer: made from what trains now.
        device: where that is.
    """

    def __init__(self, losses: Callable, optimizer: torch.optim.Optimizer, device: torch.device):
        self.losses, self.optimizer, self.team = losses, optimizer, Team(device)
        if self.team.size > 1:
            raise CourseError("This is trained in one process.", do="Start it without accelerate launch.")

    def __call__(self, index: torch.Tensor) -> tuple[dict[str, float], bool]:
        """Returns the losses by name, and whether the outputs were finite."""
        self.optimizer.zero_grad(set_to_none=True)
        with spread():
            losses, finite = self.losses(index)
        told = {name: value.item() for name, value in losses.items()}
        name = next(iter(losses))
        if math.isfinite(told[name]):
            losses[name].backward()
            self.optimizer.step()
        return told, finite


@dataclass(kw_only=True)
class PlainRun(Run):
    """A training run whose rows hold the mean losses.

    Arguments:
        score: what is written of `held_out` after each epoch: source -> `{"valid_loss": ...}`.
    """

    score: Callable | None = None

    def _epoch(self, epoch: int) -> dict:
        sums, self.done = {}, 0
        self.source.train(True)
        for index in batches(len(self.source), self.steps, self.order):
            if epoch == 1 and not self.source.finite(index):  # before BatchNorm has seen them, and is spoilt
                raise diverged(epoch, self.done, False, self.source, index, self.lr, self.history)
            losses, finite = self.step(index)
            first = next(iter(losses.values()))
            if not math.isfinite(first):
                raise diverged(epoch, self.done, finite, self.source, index, self.lr, self.history)
            self.schedule.step()
            self.done += 1
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + value * len(index)
            self.watcher.batch(first, math.nan)
            if self.watcher.stopped and self.done < self.steps:
                raise KeyboardInterrupt
        return {"epoch": epoch, **{name: value / len(self.source) for name, value in sums.items()}}

    def _scored(self) -> dict[str, float]:
        return self.score(self.held_out)


class BestWhole(Best):
    """The weights of the epoch with the lowest validation loss, of a model that is no chain: all of them are kept."""

    def _kept(self) -> dict[str, torch.Tensor]:
        return {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
