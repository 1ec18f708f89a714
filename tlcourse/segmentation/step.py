"""Where a decoder's batches come from, one step of its training, and the epochs of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from tlcourse.errors import CourseError
from tlcourse.features import Features
from tlcourse.features.modes import evaluating, model_device
from tlcourse.segmentation.decoder import MaskDecoder
from tlcourse.training.best import Best
from tlcourse.training.diagnosis import diverged
from tlcourse.training.run import Run
from tlcourse.training.schedules import batches
from tlcourse.training.source import spread
from tlcourse.training.team import Team


class BestDecoder(Best):
    """The weights of the epoch with the lowest validation loss; a decoder is no chain, so all of them are kept."""

    def see(self, epoch: int, loss: float) -> None:
        self.seen = epoch
        if self.patience is not None and loss < self.loss:
            self.epoch, self.loss = epoch, loss
            self.tensors = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}


class MapSource:
    """Batches of kept maps of several stages, and of what they should become.

    Arguments:
        decoder: what reads them.
        maps: stage -> `Features` of the same images.
        targets: first axis as many; None where nothing is trained or scored.
    """

    lengths = None

    def __init__(self, decoder: MaskDecoder, maps: Mapping[str, Features], targets: torch.Tensor | None = None):
        if not isinstance(decoder, MaskDecoder):
            raise CourseError(
                f"A MaskDecoder is needed here, not a {type(decoder).__name__}.",
                do="Make one: decoder = MaskDecoder(maps, outputs=2).",
            )
        self.model = self.run = decoder
        self.maps, self.targets = _checked(decoder, maps), targets
        self.device, self.n = model_device(decoder), len(next(iter(self.maps.values())))
        if targets is not None and (not isinstance(targets, torch.Tensor) or len(targets) != self.n):
            have = f"{len(targets)} targets" if isinstance(targets, torch.Tensor) else f"a {type(targets).__name__}"
            raise CourseError(
                f"There are maps of {self.n} images, and {have}.",
                why="Each image needs its own mask.",
                do="Pass a tensor with one target for each image, e.g. split.masks.",
            )

    def __len__(self) -> int:
        return self.n

    def light(self, batch: int) -> bool:
        """Whether a batch is too little work to share among threads: a decoder's maps are large."""
        return False

    def train(self, mode: bool) -> None:
        self.model.train(mode)

    def batch(self, index: torch.Tensor) -> dict[str, torch.Tensor]:
        """Stage -> maps, in float32 on the decoder's device."""
        return {stage: one.batch(index).to(self.device) for stage, one in self.maps.items()}

    def target(self, index: torch.Tensor) -> torch.Tensor:
        """What the outputs for these images should be."""
        return self.targets[index].to(self.device)

    def finite(self, index: torch.Tensor) -> bool:
        """Whether the maps are free of NaN and infinite values."""
        return all(bool(x.isfinite().all()) for x in self.batch(index).values())


class MaskStep:
    """Trains on a batch. Nothing is updated when the loss is not finite.

    Arguments:
        source: where batches come from.
        loss: (outputs, targets) -> scalar.
        optimizer: made from what trains now.
    """

    def __init__(self, source: MapSource, loss: Callable, optimizer: torch.optim.Optimizer):
        self.source, self.loss, self.optimizer, self.team = source, loss, optimizer, Team(source.device)
        if self.team.size > 1:
            raise CourseError("A decoder is trained in one process.", do="Start it without accelerate launch.")

    def __call__(self, index: torch.Tensor) -> tuple[float, bool]:
        """Returns the mean loss, and whether the outputs were finite."""
        self.optimizer.zero_grad(set_to_none=True)
        with spread():
            outputs = self.source.run(self.source.batch(index))
        value = self.loss(outputs, self.source.target(index))
        if not (isinstance(value, torch.Tensor) and value.numel() == 1):
            raise CourseError("The loss is not one number.", do="Let loss(outputs, targets) return a mean.")
        told = value.item()
        if math.isfinite(told):
            value.backward()
            self.optimizer.step()
        return told, bool(outputs.isfinite().all())


@dataclass(kw_only=True)
class MaskRun(Run):
    """A training run of a decoder: the loop of `fit`, without an accuracy.

    Arguments:
        loss: (outputs, targets) -> scalar.
    """

    loss: Callable

    def _epoch(self, epoch: int) -> dict:
        total, self.done = 0.0, 0
        self.source.train(True)
        for index in batches(len(self.source), self.steps, self.order):
            value, finite = self.step(index)
            if not math.isfinite(value):
                raise diverged(epoch, self.done, finite, self.source, index, self.lr, self.history)
            self.schedule.step()
            total, self.done = total + value * len(index), self.done + 1
            self.watcher.batch(value, math.nan)
            if self.watcher.stopped and self.done < self.steps:
                raise KeyboardInterrupt
        return {"epoch": epoch, "loss": total / len(self.source)}

    def _scored(self) -> dict[str, float]:
        total, source = 0.0, self.held_out
        with evaluating(source.model), torch.no_grad():
            for index in torch.arange(len(source)).split(16):
                value = self.loss(source.run(source.batch(index)), source.target(index))
                total += value.item() * len(index)
        return {"valid_loss": total / len(source)}


def _checked(decoder: MaskDecoder, maps) -> dict[str, Features]:
    if not isinstance(maps, Mapping) or not all(isinstance(one, Features) for one in maps.values()):
        raise CourseError(
            f"A decoder reads maps of several stages, and this is a {type(maps).__name__}.",
            do="Pass extract(model, split, decoder.stages): stage -> Features.",
        )
    missing = [stage for stage in decoder.stages if stage not in maps]
    if missing:
        raise CourseError(
            f"The decoder reads stage {missing[0]!r}, and there are no maps of it.",
            why=f"There are maps of: {', '.join(maps) or 'nothing'}.",
            do="Pass extract(model, split, decoder.stages).",
        )
    chosen = {stage: maps[stage] for stage in decoder.stages}
    for stage, one in chosen.items():
        channels = decoder.levels[stage].lateral.in_channels
        if one.x.ndim != 4 or one.x.shape[1] != channels:
            raise CourseError(
                f"At stage {stage!r} each image has {list(one.x.shape[1:])}; the decoder was made for {channels} "
                "channels over places.",
                do="Extract the maps with the same backbone, pooled=False and without views.",
            )
    if len({one.ids for one in chosen.values()}) > 1:
        raise CourseError(
            "The maps of the stages are not of the same images.",
            do="Extract all stages in one call: a dict comes back.",
        )
    return chosen
