"""What a decoder is trained on: kept maps of several stages, and what they should become."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from tlcourse.errors import CourseError
from tlcourse.features import Features
from tlcourse.features.modes import evaluating
from tlcourse.segmentation.decoder import MaskDecoder
from tlcourse.training.plain import MapSource


class MaskSource(MapSource):
    """Batches of kept maps, with their targets.

    Arguments:
        decoder: what reads them.
        maps: stage -> `Features` of the same images.
        targets: first axis as many; None where nothing is trained or scored.
    """

    def __init__(self, decoder: MaskDecoder, maps: Mapping[str, Features], targets: torch.Tensor | None = None):
        if not isinstance(decoder, MaskDecoder):
            raise CourseError(
                f"A MaskDecoder is needed here, not a {type(decoder).__name__}.",
                do="Make one: decoder = MaskDecoder(maps, outputs=2).",
            )
        maps = _checked(decoder, maps)
        super().__init__(decoder, maps, len(next(iter(maps.values()))))
        if not self.n:
            raise CourseError("There are no images.", do="Check how the data were selected.")
        self.targets = targets
        if targets is not None and (not isinstance(targets, torch.Tensor) or len(targets) != self.n):
            have = f"{len(targets)} targets" if isinstance(targets, torch.Tensor) else f"a {type(targets).__name__}"
            raise CourseError(
                f"There are maps of {self.n} images, and {have}.",
                why="Each image needs its own mask.",
                do="Pass a tensor with one target for each image, e.g. split.masks.",
            )

    def loss(self, index: torch.Tensor, loss: Callable) -> tuple[torch.Tensor, bool]:
        """The mean loss of a batch, and whether the decoder's outputs are finite."""
        outputs = self.run(self.batch(index))
        value = loss(outputs, self.targets[index].to(self.device))
        if not (isinstance(value, torch.Tensor) and value.numel() == 1):
            raise CourseError("The loss is not one number.", do="Let loss(outputs, targets) return a mean.")
        if torch.is_grad_enabled() and not value.requires_grad:
            raise CourseError(
                "The loss does not depend on the decoder's outputs, so nothing can be learned from it.",
                do="Compute it from the outputs, without detach(), argmax or item().",
            )
        return value, bool(outputs.isfinite().all())

    def mean(self, loss: Callable) -> float:
        """The mean loss of all images, in evaluation mode."""
        with evaluating(self.model), torch.no_grad():
            parts = torch.arange(self.n).split(16)
            return sum(self.loss(index, loss)[0].item() * len(index) for index in parts) / self.n


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
