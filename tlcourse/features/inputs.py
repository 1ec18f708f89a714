"""What goes into a chain: a batch of the data, as the weights expect it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn.functional import pad

from tlcourse.errors import CourseError
from tlcourse.features.modes import augmented
from tlcourse.models import Tokens


class Inputs:
    """Model input of any items of a split, by their numbers; texts are cut into tokens once, not in each epoch.

    Arguments:
        data: a `Split` of images or texts.
        transform: raw batch -> model input.
        augment: a random map of uint8 images, drawn anew for each image.

    `lengths` holds the number of tokens of each text `[n]`, and is None for images.

    >>> from tlcourse import load, load_dataset
    >>> inputs = Inputs(load_dataset("faces").train, load("efficientnet-lite0", size=32).transform)
    >>> inputs(torch.tensor([3, 1])).shape
    torch.Size([2, 3, 32, 32])
    """

    def __init__(self, data, transform: Callable, augment: Callable | None = None):
        self.data, self.transform, self.augment = data, transform, augment
        self.texts = None if data.kind == "image" else _joined([transform(part) for part in _parts(data.x)])
        self.lengths = self.texts.mask.sum(1) if isinstance(self.texts, Tokens) else None

    def __call__(self, index: torch.Tensor) -> torch.Tensor | Tokens:
        if self.texts is None:
            x = self.data.x[index]
            return _checked(self.transform(augmented(self.augment, x) if self.augment else x))
        if self.lengths is None:
            return self.texts[index]
        longest = max(1, int(self.lengths[index].max()))  # padding for longer texts elsewhere would only cost time
        return Tokens(self.texts.x[:, :longest][index], self.texts.mask[:, :longest][index])

    def check_lengths(self, model: nn.Module) -> None:
        """Say so when a text has more tokens than a model has positions."""
        if self.lengths is not None:
            check_positions(model, int(self.lengths.max()))

    def longest_first(self) -> torch.Tensor:
        """All items in the order that costs least: texts of a length together, so that they need little padding.

        The longest come first: a lack of memory shows at once.
        """
        if self.lengths is None:
            return torch.arange(len(self.data))
        return self.lengths.argsort(descending=True, stable=True)


def check_positions(model: nn.Module, longest: int) -> None:
    """Say so when a model has no positions for a text of so many tokens."""
    config = next((m.config for m in model.modules() if hasattr(m, "config")), None)
    most = getattr(config, "max_position_embeddings", None)
    if most is not None and "roberta" in str(getattr(config, "model_type", "")):
        most -= (config.pad_token_id or 0) + 1  # RoBERTa counts positions from behind that of the padding
    if most is None or longest <= most:
        return
    raise CourseError(
        f"The longest text has {longest} tokens; this model has positions for {most}.",
        do=f"Cut texts off earlier: model.transform = TextTransform(model.tokenizer, max_length={min(most, 128)}).",
    )


def _parts(texts, size: int = 256):
    return [list(texts[i : i + size]) for i in range(0, len(texts), size)]


def _joined(parts: list) -> torch.Tensor | Tokens:
    if not isinstance(_checked(parts[0]), Tokens):
        return torch.cat(parts)
    width = max(part.x.shape[1] for part in parts)
    grown = [[pad(t, (0, 0) * (t.ndim - 2) + (0, width - t.shape[1])) for t in part] for part in parts]
    return Tokens(*(torch.cat(tensors) for tensors in zip(*grown, strict=True)))


def _checked(x) -> torch.Tensor | Tokens:
    if not isinstance(x, (torch.Tensor, Tokens)):
        raise CourseError(
            f"The transform returned a {type(x).__name__}.",
            do="Let it return a tensor [n, ...] with all items of the batch, or Tokens for texts.",
        )
    return x
