"""Where batches come from: raw data through the whole model, or kept features through the rest of it."""

from __future__ import annotations

from contextlib import contextmanager

import torch
from torch import nn

from tlcourse.chain import stages
from tlcourse.chain.core import unwrapped
from tlcourse.errors import CourseError
from tlcourse.features import Features
from tlcourse.features.inputs import Inputs
from tlcourse.features.keys import stage_hashes
from tlcourse.features.modes import model_device
from tlcourse.freezing import frozen, still
from tlcourse.models import ImageTransform, Tokens


class Source:
    """Batches of any items of the data, by their numbers, and the modules that they go through.

    Arguments:
        model: the model that is trained or scored.
        data: a `Split`, or `Features` of one of the model's stages.
        training: whether gradients will flow; the stages before kept features must then be frozen.
        augment: a random map of uint8 images, drawn anew for each image.
        made_now: whether the features come from this very model, so that their weights need not be compared.

    `run` is what a batch goes through: the model, or its stages behind the kept features. `lengths` holds the tokens
    of each text, or is None.
    """

    def __init__(self, model: nn.Module, data, training: bool = False, augment=None, made_now: bool = False):
        self.model, self.data, self.augment = model, data, augment
        self.device = model_device(model)
        self.dtype = _dtype(model)
        check_data(model, data)
        if isinstance(data, Features):
            self.run = _rest(model, data, training, made_now)
        elif getattr(model, "transform", None) is None:
            raise CourseError(
                "The model has no transform of its own.",
                do="Load it with load(...), or set model.transform = a function from a raw batch to the model's input.",
            )
        else:  # a Hugging Face classifier takes other arguments than its chain, which takes `Tokens`
            self.run = stages(model) if hasattr(model, "base_model_prefix") else model
        if augment is not None and (isinstance(data, Features) or data.kind != "image"):
            raise CourseError(
                "Only raw images can be augmented.",
                why="Kept features are what they are, and texts have no pixels.",
                do="Pass the split itself, or extract(..., augment=..., views=n).",
            )
        if isinstance(data, Features):
            self._kept = _near(data, self.device)
            self.lengths = data.lengths
        else:
            self._inputs = Inputs(data, model.transform, augment)
            self.lengths = self._inputs.lengths
            self._inputs.check_lengths(model)

    def __len__(self) -> int:
        return len(self.data)

    def light(self, batch: int) -> bool:
        """Whether a batch is too little work to share among threads: they would mostly wait for each other.

        That is so for vectors on a processor, and for maps that few weights read: under 1e8 multiplications a batch.
        """
        if not isinstance(self.data, Features) or self.device.type != "cpu":
            return False
        shape = self.data.x.shape[1 + (self.data.views > 1) :]
        weights = sum(p.numel() for p in self.run.parameters())
        return len(shape) == 1 or (len(shape) == 3 and weights * shape[1] * shape[2] * batch < 1e8)

    def train(self, mode: bool) -> None:
        """Training or evaluation mode of what runs, also of what a set_stages chain holds beside the model."""
        if not (mode and isinstance(self.data, Features)):  # the stages before kept features do not run
            self.model.train(mode)
        if self.run is not self.model:
            self.run.train(mode)

    def batch(self, index: torch.Tensor, view: int = 0):
        """What goes into `run`, on the model's device and in its precision."""
        x = self._kept.batch(index, view) if isinstance(self.data, Features) else self._inputs(index)
        return _to(x, self.device, self.dtype)

    def labels(self, index: torch.Tensor) -> torch.Tensor:
        """Class numbers `[len(index)]`, on the model's device."""
        return self.data.y[index].to(self.device)

    def finite(self, index: torch.Tensor) -> bool:
        """Whether what goes into the model is free of NaN and infinite values."""
        x = self.batch(index)
        x = x.x if isinstance(x, Tokens) else x
        return not isinstance(x, torch.Tensor) or bool(x.isfinite().all())

    def in_order(self, batch: int) -> tuple[torch.Tensor, ...]:
        """All items, a batch at a time, texts of a length together."""
        order = torch.arange(len(self)) if self.lengths is None else self.lengths.argsort(descending=True, stable=True)
        return order.split(batch)


def check_outputs(logits: torch.Tensor, data) -> None:
    """Say so when a model's outputs cannot be the data's classes."""
    if not isinstance(logits, torch.Tensor):
        raise CourseError(
            f"The model gives a {type(logits).__name__} for a batch, not a tensor of class scores.",
            why="It has several heads, or its own kind of output.",
            do="Train and score a MultiTask network with fit_tasks(...) and evaluate_tasks(...).",
        )
    if logits.ndim != 2 or logits.shape[1] != len(data.classes):
        raise CourseError(
            f"The model gives {list(logits.shape[1:])} numbers an item; the data have {len(data.classes)} classes.",
            why="Each class needs one output.",
            do="Load the model with a head for them: load(name, classes=data.classes).",
        )


def check_data(model: nn.Module, data) -> None:
    """Say so when something cannot be trained or scored on, or counts its classes otherwise than the model."""
    unwrapped(model)  # says so when it is no model
    if not hasattr(data, "y") or not hasattr(data, "classes"):
        raise CourseError(
            f"A model is trained and scored on a split of data or on features, not on a {type(data).__name__}.",
            do="Pass data.train, data.valid, data.test, or what extract(model, data.train) returned.",
        )
    if not len(data):
        raise CourseError("The data are empty.", do="Check how they were split or selected.")
    named = tuple(getattr(model, "classes", None) or ())
    if named != tuple(data.classes) and sorted(named) == sorted(data.classes):
        raise CourseError(
            f"The model counts the classes as {', '.join(named)}, the data as {', '.join(data.classes)}.",
            why="The same number means another class to each of them.",
            do="Load the model with classes=data.classes, in the order of the data.",
        )
    if not 0 <= int(data.y.min()) <= int(data.y.max()) < len(data.classes):
        raise CourseError(
            f"The labels go from {int(data.y.min())} to {int(data.y.max())}; there are {len(data.classes)} classes.",
            do="Number the classes from 0.",
        )


def _near(data: Features, device: torch.device) -> Features:
    """Features where they are read fastest: small sets on the GPU itself, others in memory it can fetch from."""
    if device.type != "cuda":
        return data
    from dataclasses import replace

    free, _ = torch.cuda.mem_get_info(device)
    if data.x.nbytes < free // 4:
        return replace(data, x=data.x.to(device), mask=None if data.mask is None else data.mask.to(device))
    return data


def ready(model: nn.Module, x):
    """A batch on the model's device and in its precision."""
    return _to(x, model_device(model), _dtype(model))


@contextmanager
def spread():
    """Say so where a BatchNorm is to train on one item."""
    try:
        yield
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise CourseError(
            "BatchNorm cannot train on a batch of one item.",
            why="It normalises by the spread of the batch, and one item has none.",
            do="Choose batch=2 or more, give more items, or freeze the stages that have BatchNorm.",
        ) from error


def _dtype(model: nn.Module) -> torch.dtype:
    return next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)


def _to(x, device: torch.device, dtype: torch.dtype):
    if isinstance(x, Tokens):
        return Tokens(_to(x.x, device, dtype), x.mask.to(device))
    if not isinstance(x, torch.Tensor):
        return x
    if device.type == "cuda" and x.device.type == "cpu":
        x = x.pin_memory()  # the copy then runs beside the computation
    return x.to(device, dtype if x.is_floating_point() else x.dtype, non_blocking=True)


def _rest(model: nn.Module, features: Features, training: bool, made_now: bool) -> nn.Sequential:
    chain = dict(stages(model).named_children())
    names = list(chain)
    if features.stage not in chain:
        raise CourseError(
            f"The features are of stage {features.stage!r}, which this model does not have.",
            why=f"Its stages are: {', '.join(names)}.",
            do="Extract the features with this model.",
        )
    place = names.index(features.stage)
    if features.pooled and features.stage != "pool" and names[place + 1 : place + 2] != ["head"]:
        raise CourseError(
            f"The features of stage {features.stage!r} were averaged; the next stage needs the whole map.",
            do=f'Extract them with pooled=False: extract(model, data, "{features.stage}").',
        )
    if training:
        fixed = {*frozen(model), *still(model)}
        moving = [name for name in names[: place + 1] if name not in fixed]
        if moving:
            raise CourseError(
                f"The features were taken behind stages that are not frozen: {', '.join(moving)}.",
                why="Training would move these stages, but the kept features would not follow.",
                do=f'Freeze them first: freeze(model, until="{features.stage}").',
            )
    if not made_now and features.weights and stage_hashes(chain, features.stage)[features.stage] != features.weights:
        raise CourseError(
            "The features were made by other weights than this model has now.",
            why="The model was trained or reloaded after the features were extracted, or it is another model.",
            do=f'Extract them again: extract(model, data, "{features.stage}").',
        )
    own = getattr(model, "transform", None)
    if (
        isinstance(own, ImageTransform)
        and features.transform.startswith("ImageTransform(")
        and repr(own) != features.transform
    ):
        raise CourseError(
            "The features were made with another transform than this model's.",
            why=f"They went through {features.transform}, the model has {own!r}.",
            do=f'Extract them with this model: extract(model, data, "{features.stage}").',
        )
    rest = nn.Sequential()
    for name in names[place + 1 :]:
        rest.add_module(name, chain[name])
    return rest
