"""The last steps of making a model: a new head, the transform that the weights expect, and the card."""

from __future__ import annotations

from torch import nn

from tlcourse.errors import CourseError
from tlcourse.models.card import Card
from tlcourse.models.texts import TextClassifier, TextTransform
from tlcourse.models.transforms import ImageTransform


def usual_momentum(model: nn.Module) -> None:
    # This architecture comes from TensorFlow, whose slow averages (0.01) take hundreds of steps to fill. On few data
    # the twin would be scored by statistics that it has hardly seen; torch's own 0.1 gives it a fair chance.
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.1


def text_model(name, encoder, tokenizer, count, pretrained, data, asset=None, source=""):
    model = TextClassifier(encoder, count)
    model.tokenizer, model.transform = tokenizer, TextTransform(tokenizer)
    title = asset.title if asset else f"{encoder.config.model_type} encoder"
    model.card = make_card(name, title, pretrained, data if pretrained else "nothing", model, asset, source)
    return model


def replace_last_linear(model: nn.Module, count: int) -> None:
    linear = [(n, m) for n, m in model.named_modules() if isinstance(m, nn.Linear)]
    if not linear:
        raise CourseError(
            f"{type(model).__name__} has no linear layer at its end that could be replaced by a new head.",
            do="Load it with classes=None, or choose another model.",
        )
    path, last = linear[-1]
    parent, _, leaf = path.rpartition(".")
    setattr(model.get_submodule(parent), leaf, nn.Linear(last.in_features, count))


def image_transform(config: dict, size: int | None) -> ImageTransform:
    height, width = config["input_size"][-2:]
    mode = config.get("crop_mode", "center")
    if height != width or mode not in ("center", "squash"):
        raise CourseError(
            f"This checkpoint expects images of {height} x {width} pixels, prepared by {mode!r}.",
            why="The course prepares square images only, from the centre or squashed.",
            do="Choose another model.",
        )
    return ImageTransform(
        size=size or width,
        crop=1.0 if size else float(config["crop_pct"]),
        interpolation=config["interpolation"],
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        squash=mode == "squash",
    )


def make_card(name, title, pretrained, data, model, asset=None, source="") -> Card:
    return Card(
        name=name,
        title=title,
        pretrained=pretrained,
        data=data,
        licence=asset.licence if asset else "see its page",
        source=asset.home if asset else source,
        parameters=sum(p.numel() for p in model.parameters()),
        size=asset.size if asset and pretrained else 0,
    )
