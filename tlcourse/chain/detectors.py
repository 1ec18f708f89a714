"""The stages of torchvision's detectors on a ResNet with a feature pyramid: Faster R-CNN, Mask R-CNN, FCOS, RetinaNet.

The chain maps a list of images (float 0..1, `[3, h, w]`) to what the detector answers.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from tlcourse.chain.steps import Part, Step

_FAMILIES = ("FasterRCNN", "MaskRCNN", "FCOS", "RetinaNet")


@dataclass(frozen=True)
class Seen:
    """What flows along a detector's chain.

    Arguments:
        images: as they were given.
        x: the map of the last stage.
        maps: the maps that the pyramid reads, and after the neck those that it made.
    """

    images: Sequence[torch.Tensor]
    x: torch.Tensor
    maps: OrderedDict[str, torch.Tensor]


def parts(model: nn.Module) -> dict[str, list[Part]] | None:
    """Stage name -> the modules applied there, or None for another family."""
    body = getattr(getattr(model, "backbone", None), "body", None)
    if type(model).__name__ not in _FAMILIES or not hasattr(body, "return_layers"):
        return None
    stem = [child for name, child in body.named_children() if not name.startswith("layer")]
    chain: dict[str, list[Part]] = {"stem": [Step(_Enter(model, nn.Sequential(*stem)), stem)]}
    for name, layer in body.named_children():
        if name.startswith("layer"):
            chain[name.replace("layer", "stage")] = [Step(_Stage(layer, body.return_layers.get(name)), [layer])]
    chain["neck"] = [Step(_Neck(model.backbone.fpn), [model.backbone.fpn])]
    rest = [child for name, child in model.named_children() if name != "backbone"]
    chain["head"] = [Step(_Answer(model), rest)]
    return chain


class _Enter:
    def __init__(self, model: nn.Module, stem: nn.Sequential):
        self.model, self.stem = model, stem

    def __call__(self, images: Sequence[torch.Tensor]) -> Seen:
        batch, _ = self.model.transform(list(images))
        x = batch.tensors
        for module in self.stem:
            x = module(x)
        return Seen(images, x, OrderedDict())


class _Stage:
    def __init__(self, layer: nn.Module, name: str | None):
        self.layer, self.name = layer, name

    def __call__(self, seen: Seen) -> Seen:
        x = self.layer(seen.x)
        maps = seen.maps if self.name is None else OrderedDict(seen.maps, **{self.name: x})
        return replace(seen, x=x, maps=maps)


class _Neck:
    def __init__(self, pyramid: nn.Module):
        self.pyramid = pyramid

    def __call__(self, seen: Seen) -> Seen:
        return replace(seen, maps=self.pyramid(seen.maps))


class _Answer:
    """The rest of the detector's own `forward`, on maps that are there already."""

    def __init__(self, model: nn.Module):
        self.model = model

    def __call__(self, seen: Seen):
        rest = copy.copy(self.model)  # shares every module but the backbone; the model itself is not touched
        rest._modules = dict(self.model._modules, backbone=Step(lambda _: seen.maps))
        return rest(list(seen.images))
