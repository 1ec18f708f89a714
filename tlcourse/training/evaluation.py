"""`evaluate`: accuracy and loss of a model on data it was not trained on."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from tlcourse.errors import CourseError, whole_number
from tlcourse.features import Result
from tlcourse.features.modes import at_once, evaluating, model_device
from tlcourse.hardware import measured, reused_memory
from tlcourse.training.keeping import keep_prefix
from tlcourse.training.source import Source, check_data, check_outputs


def evaluate(model: nn.Module, data, *, batch: int | None = None, keep: bool | None = None) -> Result:
    """Score a model: accuracy with its interval, mean cross-entropy, and every prediction.

    The model is scored in evaluation mode and is given back as it was. What frozen first stages give is kept, so
    that the next head or the next epoch is scored without computing it again.

    Arguments:
        model: a classifier with a `transform`.
        data: a `Split`, or `Features` of one of the model's stages.
        batch: items at once; by default at most 32, and fewer of large images.
        keep: False runs the frozen stages again.

    Returns a `Result`. Raises `CourseError` when data and model do not go together.

    >>> from tlcourse import load, load_dataset
    >>> model = load("efficientnet-lite0", classes=2, pretrained=False, size=32)
    >>> evaluate(model, load_dataset("faces").test[:8]).n
    8

    Introduced in chapter 03.
    """
    if batch is not None:
        whole_number("batch", batch)
    check_data(model, data)  # before anything is computed
    with measured(model_device(model)) as cost, reused_memory():
        kept = keep_prefix(model, data, keep=keep, progress=False).train
        source = Source(model, kept, made_now=kept is not data)
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
    batch = batch or at_once(getattr(source.model, "transform", None), device=source.device)
    parts, order = [], source.in_order(batch)
    with evaluating(nn.ModuleList([source.model, source.run])), torch.no_grad():
        for index in order:
            logits = source.run(source.batch(index))
            check_outputs(logits, source.data)
            parts.append(logits.cpu().float())
    found = torch.cat(parts)
    logits = torch.empty_like(found)
    logits[torch.cat(order)] = found
    if not logits.isfinite().all():
        raise CourseError(
            "The model's outputs are not numbers (NaN) or infinite, so there is nothing to score.",
            why="Its weights have become infinite in training, or the data hold NaN.",
            do="Load the model anew and train with a smaller learning rate; check features for NaN.",
        )
    return logits
