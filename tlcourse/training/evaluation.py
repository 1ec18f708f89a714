"""`evaluate`: accuracy and loss of a model on data it was not trained on."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from tlcourse.errors import CourseError, whole_number
from tlcourse.features import Result
from tlcourse.features.modes import at_once, evaluating
from tlcourse.hardware import measured
from tlcourse.training.source import Source, check_outputs


def evaluate(model: nn.Module, data, *, batch: int | None = None) -> Result:
    """Score a model: accuracy with its interval, mean cross-entropy, and every prediction.

    The model is scored in evaluation mode and is given back as it was.

    Arguments:
        model: a classifier with a `transform`.
        data: a `Split`, or `Features` of one of the model's stages.
        batch: items at once; by default 64, and fewer of large images.

    Returns a `Result`. Raises `CourseError` when data and model do not go together.

    >>> from tlcourse import load, load_dataset
    >>> model = load("efficientnet-lite0", classes=2, pretrained=False, size=32)
    >>> evaluate(model, load_dataset("faces").test[:8]).n
    8

    Introduced in chapter 03.
    """
    if batch is not None:
        whole_number("batch", batch)
    source = Source(model, data)
    with measured(source.device) as cost:
        logits = predicted(source, batch)
    return Result.of(
        data.y.numpy(),
        logits.argmax(1).numpy(),
        data.classes,
        loss=float(F.cross_entropy(logits, data.y)),
        seconds=cost.seconds,
    )


def predicted(source: Source, batch: int | None = None) -> torch.Tensor:
    """Logits `[n, classes]` of all items in evaluation mode, on the CPU."""
    batch = batch or at_once(getattr(source.model, "transform", None))
    with evaluating(source.model), torch.no_grad():
        logits = torch.cat([source.logits(index).cpu().float() for index in torch.arange(len(source)).split(batch)])
    check_outputs(logits, source.data)
    if not logits.isfinite().all():
        raise CourseError(
            "The model's outputs are not numbers (NaN) or infinite, so there is nothing to score.",
            why="Its weights have become infinite in training, or the data hold NaN.",
            do="Load the model anew and train with a smaller learning rate; check features for NaN.",
        )
    return logits
