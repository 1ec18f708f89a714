"""`fit_losses`: training for a model of a hub that brings losses of its own, such as a detector or a translator."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import nn

from tlcourse.errors import CourseError, real_number, whole_number
from tlcourse.freezing import parameter_groups
from tlcourse.training.history import History
from tlcourse.training.loop import made_optimizer
from tlcourse.training.plain import PlainSource, train_plain
from tlcourse.training.schedules import check_schedule
from tlcourse.training.watch import bar


def fit_losses(
    model: nn.Module,
    losses: Callable[[torch.Tensor], Mapping[str, torch.Tensor]],
    n: int,
    *,
    epochs: int,
    lr: float,
    batch: int,
    weight_decay: float = 0.01,
    schedule: str = "cosine",
    seed: int = 0,
    progress: bool | None = None,
) -> History:
    """Train the stages of a model that are not frozen, in place, on the sum of its losses; AdamW.

    Arguments:
        model: any model whose `stages` are known, frozen as far as you like.
        losses: places of a batch's items, int64 `[b]` -> name -> scalar.
        n: how many items there are.
        epochs, lr, batch, weight_decay, schedule, seed: as in `fit`.
        progress: whether to show a bar; by default where someone looks.

    Returns a `History` with the sum, `loss`, and each loss, also after a keyboard interrupt. Raises `Diverged` when the
    sum is not finite (its `.history` holds the epochs before), `CourseError` when everything is frozen, when there is
    nothing to learn from, or when the losses are none.

    >>> from torch import nn
    >>> net, x = nn.Sequential(nn.Linear(2, 1)), torch.ones(4, 2)
    >>> history = fit_losses(net, lambda i: {"square": net(x[i]).square().mean()}, 4, epochs=2, lr=0.1, batch=2)
    >>> list(history.rows[0])
    ['epoch', 'loss', 'square', 'seconds']
    """
    settings = {
        "epochs": whole_number("epochs", epochs), "lr": real_number("lr", lr), "batch": whole_number("batch", batch),
        "weight_decay": real_number("weight_decay", weight_decay), "schedule": schedule,
        "warmup": check_schedule(schedule, None), "seed": whole_number("seed", seed, 0),
    }  # fmt: skip
    if whole_number("n", n, 0) < 1:
        raise CourseError("There is nothing to learn from.", do="Pass at least one item.")
    groups = parameter_groups(model, settings["lr"], weight_decay=settings["weight_decay"])
    return train_plain(
        PlainSource(model, n),
        lambda index: (_with_sum(losses(index)), False),
        made_optimizer(torch.optim.AdamW, groups),
        settings,
        bar(progress),
        at_least=1,
    )


def _with_sum(losses) -> dict[str, torch.Tensor]:
    """The sum as `loss`, then each by its name; raises `CourseError` for what cannot be summed or learned from."""
    told = "Let it return a dict of scalar tensors, e.g. {'square': (model(x[index]) - y[index]).square().mean()}."
    if not isinstance(losses, Mapping) or not losses:
        given = "no loss" if isinstance(losses, Mapping) else f"a {type(losses).__name__}"
        raise CourseError(f"losses(index) gave {given}; a dict of losses by name is needed.", do=told)
    for name, value in losses.items():
        if not isinstance(value, torch.Tensor) or value.numel() != 1:
            given = list(value.shape) if isinstance(value, torch.Tensor) else f"a {type(value).__name__}"
            raise CourseError(f"The loss {name!r} is not one number but {given}.", do=told)
    total = sum(losses.values()).sum()
    if not total.requires_grad:
        raise CourseError(
            "The losses do not depend on what trains, so nothing can be learned from them.",
            do="Compute them from the model's outputs, without detach(), argmax, item() or no_grad.",
        )
    return {"loss": total, **{name: value for name, value in losses.items() if name != "loss"}}
