"""`MaskDecoder`: from maps of several stages back to a value for each pixel."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional as F

from tlcourse.errors import CourseError, whole_number
from tlcourse.features import Features
from tlcourse.features.modes import seeded


class Level(nn.Module):
    """One stage's maps joined to what comes from below: brought to one scale and width, added, smoothed.

    Arguments:
        channels: of the stage's maps.
        width: of the decoder.

    >>> Level(16, 8)(torch.zeros(2, 16, 4, 4), torch.zeros(2, 8, 2, 2)).shape
    torch.Size([2, 8, 4, 4])
    """

    def __init__(self, channels: int, width: int):
        super().__init__()
        self.scale = nn.BatchNorm2d(channels, affine=False)  # stages differ in size: none shouts the others down
        self.lateral = nn.Conv2d(channels, width, 1)
        self.smooth = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
        )

    def forward(self, maps: torch.Tensor, below: torch.Tensor | None) -> torch.Tensor:
        x = self.lateral(self.scale(maps))
        if below is not None:
            x = x + F.interpolate(below, size=x.shape[2:], mode="nearest")
        return self.smooth(x)


class MaskDecoder(nn.Module):
    """A small decoder over several stages of a backbone, from the coarsest map to the finest.

    Each stage's maps go through a 1x1 convolution and are added to what was made of the coarser ones, drawn larger; a
    3x3 convolution follows. So the last map knows what stands where (from deep stages) and its outline (from early
    ones). It is a feature pyramid with one output, or a U-Net that adds where the original lays side by side.

    Arguments:
        stages: stage -> channels of its maps; or stage -> `Features`, as `extract` returns them for several stages.
        outputs: values a pixel, e.g. one a class.
        width: channels inside.
        upsample: how many times larger the output is than the largest of the maps, in each direction.
        seed: of its random weights.

    Call it with a dict of stage -> maps `[n, c, h, w]`; it returns `[n, outputs, upsample * h, upsample * w]` of the
    largest maps. Raises `CourseError` for stages that give no maps, or maps that are missing.

    >>> decoder = MaskDecoder({"stage1": 16, "stage3": 40}, outputs=2)
    >>> decoder({"stage1": torch.zeros(1, 16, 32, 32), "stage3": torch.zeros(1, 40, 8, 8)}).shape
    torch.Size([1, 2, 64, 64])

    Chapter 06. Ronneberger et al. 2015 (U-Net); Lin et al. 2017 (feature pyramids).
    """

    def __init__(self, stages: Mapping, outputs: int, *, width: int = 32, upsample: int = 2, seed: int = 0):
        super().__init__()
        outputs, width = whole_number("outputs", outputs), whole_number("width", width)
        self.upsample = whole_number("upsample", upsample)
        channels = _channels(stages)
        with seeded(whole_number("seed", seed, 0)):
            self.levels = nn.ModuleDict({stage: Level(c, width) for stage, c in channels.items()})
            self.head = nn.Conv2d(width, outputs, 1)

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages whose maps it reads, the coarsest last."""
        return tuple(self.levels)

    def forward(self, maps: Mapping[str, torch.Tensor]) -> torch.Tensor:
        if not isinstance(maps, Mapping):
            raise CourseError(
                f"The decoder reads maps by stage, not a {type(maps).__name__}.", do='Pass {"stage1": ..., ...}.'
            )
        missing = [stage for stage in self.stages if stage not in maps]
        if missing:
            raise CourseError(
                f"The decoder reads stage {missing[0]!r}, and there are no maps of it.",
                why=f"It was made for: {', '.join(self.stages)}.",
                do="Pass extract(model, data, decoder.stages).",
            )
        for stage in self.stages:
            _check(stage, maps[stage], self.levels[stage].lateral.in_channels)
        if len({len(maps[stage]) for stage in self.stages}) > 1:
            raise CourseError("The stages hold maps of different numbers of images.", do="Take the same ones.")
        maps = {stage: maps[stage].to(self.head.weight.dtype) for stage in self.stages}
        x = None
        for stage in sorted(self.stages, key=lambda stage: maps[stage].shape[-1]):
            x = self.levels[stage](maps[stage], x)
        x = self.head(x)
        return F.interpolate(x, scale_factor=self.upsample, mode="bilinear") if self.upsample > 1 else x


def _check(stage: str, maps, channels: int) -> None:
    if not isinstance(maps, torch.Tensor) or maps.ndim != 4 or maps.shape[1] != channels:
        given = list(maps.shape) if isinstance(maps, torch.Tensor) else f"a {type(maps).__name__}"
        raise CourseError(
            f"At stage {stage!r} the decoder reads maps [n, {channels}, h, w], and this is {given}.",
            do="Pass tensors of a batch by stage; for kept features call segment(decoder, maps).",
        )


def _channels(stages: Mapping) -> dict[str, int]:
    if not isinstance(stages, Mapping) or not stages:
        raise CourseError(
            "A decoder needs the stages that it reads, and how many channels each has.",
            do='Pass extract(model, data, ["stage1", "stage3"]), or e.g. {"stage1": 16, "stage3": 40}.',
        )
    channels = {}
    for stage, given in stages.items():
        if not isinstance(stage, str) or not stage or "." in stage:
            raise CourseError(f"{stage!r} is no name of a stage.", do='Take the names of the chain, e.g. "stage1".')
        if isinstance(given, Features):
            shape = given.x.shape[1:]
            if len(shape) != 3:
                raise CourseError(
                    f"Stage {stage!r} gives {list(shape)} an item: that is no map.",
                    why="A mask needs places; a vector has forgotten them.",
                    do="Choose stages before the pool, and extract them with pooled=False and views=None.",
                )
            given = shape[0]
        channels[stage] = whole_number(f"channels of {stage!r}", given)
    return channels
