"""Where batches come from: raw data through the whole model, or kept features through the rest of it."""

from __future__ import annotations

import torch
from torch import nn

from tlcourse.chain import stages
from tlcourse.errors import CourseError
from tlcourse.features import Features
from tlcourse.features.keys import stage_hashes
from tlcourse.features.modes import augmented, model_device
from tlcourse.freezing import frozen
from tlcourse.models import ImageTransform, Tokens


class Source:
    """Logits and labels of any items of the data, by their numbers.

    Arguments:
        model: the model that is trained or scored.
        data: a `Split`, or `Features` of one of the model's stages.
        training: whether gradients will flow; the stages before kept features must then be frozen.
        augment: a random map of uint8 images, drawn anew for each image.
    """

    def __init__(self, model: nn.Module, data, training: bool = False, augment=None):
        self.model, self.data, self.augment = model, data, augment
        self.device = model_device(model)
        if not hasattr(data, "y") or not hasattr(data, "classes"):
            raise CourseError(
                f"A model is trained and scored on a split of data or on features, not on a {type(data).__name__}.",
                do="Pass data.train, data.valid, data.test, or what extract(model, data.train) returned.",
            )
        if not len(data):
            raise CourseError("The data are empty.", do="Check how they were split or selected.")
        named = tuple(getattr(model, "classes", ()))
        if named != tuple(data.classes) and sorted(named) == sorted(data.classes):
            raise CourseError(
                f"The model counts the classes as {', '.join(named)}, the data as {', '.join(data.classes)}.",
                why="The same number means another class to each of them.",
                do="Load the model with classes=data.classes, in the order of the data.",
            )
        if isinstance(data, Features):
            self._rest = _rest(model, data, training)
        elif getattr(model, "transform", None) is None:
            raise CourseError(
                "The model has no transform of its own.",
                do="Load it with load(...), or set model.transform = a function from a raw batch to the model's input.",
            )
        if augment is not None and (isinstance(data, Features) or data.kind != "image"):
            raise CourseError(
                "Only raw images can be augmented.",
                why="Kept features are what they are, and texts have no pixels.",
                do="Pass the split itself, or extract(..., augment=..., views=n).",
            )

    def __len__(self) -> int:
        return len(self.data)

    def logits(self, index: torch.Tensor, view: int = 0) -> torch.Tensor:
        """Logits `[len(index), classes]`, on the model's device."""
        x = self._input(index, view)
        if not isinstance(self.data, Features):
            return self.model(x)
        self._rest.train(self.model.training)  # also what a set_stages chain holds beside the model
        return self._rest(x)

    def finite(self, index: torch.Tensor) -> bool:
        """Whether what goes into the model is free of NaN and infinite values."""
        x = self._input(index, 0)
        x = x.x if isinstance(x, Tokens) else x
        return not isinstance(x, torch.Tensor) or bool(x.isfinite().all())

    def _input(self, index: torch.Tensor, view: int):
        if isinstance(self.data, Features):
            return _to(self.data.batch(index, view), self.device)
        if self.data.kind == "image":
            x = self.data.x[index]
            x = augmented(self.augment, x) if self.augment else x
        else:
            x = [self.data.x[i] for i in index.tolist()]
        return _to(self.model.transform(x), self.device)

    def labels(self, index: torch.Tensor) -> torch.Tensor:
        """Class numbers `[len(index)]`, on the model's device."""
        return self.data.y[index].to(self.device)


def check_outputs(logits: torch.Tensor, data) -> None:
    """Say so when a model's outputs cannot be the data's classes."""
    if logits.ndim != 2 or logits.shape[1] != len(data.classes):
        raise CourseError(
            f"The model gives {list(logits.shape[1:])} numbers an item; the data have {len(data.classes)} classes.",
            why="Each class needs one output.",
            do="Load the model with a head for them: load(name, classes=data.classes).",
        )
    if not 0 <= int(data.y.min()) <= int(data.y.max()) < len(data.classes):
        raise CourseError(
            f"The labels go from {int(data.y.min())} to {int(data.y.max())}; there are {len(data.classes)} classes.",
            do="Number the classes from 0.",
        )


def _to(x, device):
    return x.to(device) if isinstance(x, (torch.Tensor, Tokens)) else x


def _rest(model: nn.Module, features: Features, training: bool) -> nn.Sequential:
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
        still = frozen(model)
        moving = [name for name in names[: place + 1] if name not in still]
        if moving:
            raise CourseError(
                f"The features were taken behind stages that are not frozen: {', '.join(moving)}.",
                why="Training would move these stages, but the kept features would not follow.",
                do=f'Freeze them first: freeze(model, until="{features.stage}").',
            )
    if features.weights and stage_hashes(chain, features.stage)[features.stage] != features.weights:
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
