"""`trial_step`: one step of training, what moved in it, and everything put back."""

from __future__ import annotations

import pandas as pd
import torch
from torch import nn
from torch.nn import functional as F

from tlcourse.chain import stages
from tlcourse.errors import CourseError
from tlcourse.features.inputs import Inputs
from tlcourse.features.modes import model_device, seeded
from tlcourse.freezing import changed, parameter_groups, snapshot
from tlcourse.training.source import check_data, check_outputs, ready, spread
from tlcourse.training.untouched import untouched

SENTENCES = ("A quiet film.", "It never gets going, and then it ends.", "Wonderful!", "I want my evening back.")


def trial_step(model: nn.Module, data=None, *, batch: int = 16, lr: float = 1e-3) -> pd.DataFrame:
    """Take one step as most loops do (`model.train()`, then AdamW), tell what moved, and put everything back.

    Arguments:
        model: a model with a `transform`.
        data: a `Split` whose first items are the batch; without it noise, or a few sentences, with made-up labels.
        batch: how many items.
        lr: learning rate.

    Returns what `changed` returns. Where nothing has a gradient, only buffers can move, and the forward pass alone
    is run. Raises `CourseError` when model and data do not go together.

    >>> from tlcourse import freeze, load
    >>> model = freeze(load("efficientnet-lite0", classes=2, pretrained=False, size=32))
    >>> moved = trial_step(model)
    >>> [name for name, row in moved.iterrows() if row["parameters moved"]]
    ['head']

    Chapter 04.
    """
    x, y = _batch(model, data, batch)
    device = model_device(model)
    before, chain = snapshot(model), stages(model)
    with untouched(model), seeded(0, device):
        model.train()
        chain.train()
        with spread():
            logits = chain(ready(model, x))
        if data is not None:
            check_outputs(logits, data)
        y = (torch.arange(len(logits)) % logits.shape[1] if y is None else y).to(device)
        if any(p.requires_grad for p in model.parameters()):
            optimizer = torch.optim.AdamW(parameter_groups(model, lr))
            optimizer.zero_grad()
            F.cross_entropy(logits, y).backward()
            optimizer.step()
        return changed(model, before)


def _batch(model: nn.Module, data, batch: int):
    transform = getattr(model, "transform", None)
    if transform is None:
        raise CourseError(
            "The model has no transform of its own, so no batch can be made for it.",
            do="Load it with load(...), or set model.transform = a function from a raw batch to the model's input.",
        )
    if data is not None:
        check_data(model, data)
        index = torch.arange(min(batch, len(data)))
        return Inputs(data, transform)(index), data.y[index]
    if hasattr(model, "tokenizer") or hasattr(transform, "tokenizer"):
        return transform(list(SENTENCES)), None
    side = getattr(transform, "size", None) or 64
    noise = torch.randint(0, 256, (8, 3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return transform(noise), None
