"""`evaluate`: accuracy and loss of a model on data it was not trained on."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from tlcourse.features import Result
from tlcourse.features.modes import evaluating
from tlcourse.hardware import measured
from tlcourse.training.source import Source


def evaluate(model: nn.Module, data, *, batch: int = 64) -> Result:
    """Score a model: accuracy with its interval, mean cross-entropy, and every prediction.

    The model is scored in evaluation mode and is given back as it was.

    Arguments:
        model: a classifier with a `transform`.
        data: a `Split`, or `Features` of one of the model's stages.
        batch: items at once.

    Returns a `Result`.

    >>> from tlcourse import load, load_dataset
    >>> model = load("efficientnet-lite0", classes=2, pretrained=False, size=32)
    >>> evaluate(model, load_dataset("faces").test[:8]).n
    8

    Introduced in chapter 03.
    """
    source = Source(model, data)
    with measured(source.device) as cost, evaluating(model), torch.no_grad():
        logits = torch.cat([source.logits(index).cpu().float() for index in torch.arange(len(source)).split(batch)])
    labels = data.y
    return Result.of(
        labels.numpy(),
        logits.argmax(1).numpy(),
        data.classes,
        loss=float(F.cross_entropy(logits, labels)),
        seconds=cost.seconds,
    )
