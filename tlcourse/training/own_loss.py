"""`fit_losses`: the loop for a model of a hub that brings losses of its own, such as a detector or a translator."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from tlcourse.errors import CourseError, real_number, whole_number
from tlcourse.features.modes import model_device, seeded
from tlcourse.freezing import parameter_groups
from tlcourse.hardware import Cost, measured
from tlcourse.training.diagnosis import Diverged
from tlcourse.training.history import History, note_interrupt
from tlcourse.training.loop import made_optimizer
from tlcourse.training.schedules import batches, check_schedule, share, steps_of
from tlcourse.training.watch import Bar, Watcher, stops_between_batches


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
    sum is not finite, `CourseError` when everything is frozen or there is nothing to learn from.

    >>> from torch import nn
    >>> net, x = nn.Sequential(nn.Linear(2, 1)), torch.ones(4, 2)
    >>> history = fit_losses(net, lambda i: {"square": net(x[i]).square().mean()}, 4, epochs=2, lr=0.1, batch=2)
    >>> list(history.rows[0])
    ['epoch', 'loss', 'square', 'seconds']
    """
    epochs, batch, seed = whole_number("epochs", epochs), whole_number("batch", batch), whole_number("seed", seed, 0)
    lr, warmup = real_number("lr", lr), check_schedule(schedule, None)
    if n < 1:
        raise CourseError("There is nothing to learn from.", do="Pass at least one item.")
    optimizer = made_optimizer(torch.optim.AdamW, parameter_groups(model, lr, weight_decay=weight_decay))
    steps, device, history = steps_of(n, batch, at_least=1), model_device(model), History()
    rates = LambdaLR(optimizer, lambda step: share(step, epochs * steps, schedule, warmup))
    order, looks_on, cost = (
        torch.Generator().manual_seed(seed),
        Watcher() if progress is False else Bar(progress),
        Cost(),
    )
    looks_on.begin({"epochs": epochs, "lr": lr, "batch": batch, "seed": seed}, epochs, steps, [])
    try:
        with measured(device) as cost, seeded(seed, device), stops_between_batches(looks_on):
            for epoch in range(1, epochs + 1):
                start, sums = time.perf_counter(), {}
                model.train()
                for index in batches(n, steps, order):
                    parts = dict(losses(index))
                    total = sum(parts.values())
                    if not math.isfinite(total.item()):
                        raise _diverged(epoch, lr, history)
                    optimizer.zero_grad(set_to_none=True)
                    total.backward()
                    optimizer.step(), rates.step()
                    for name, value in {"loss": total, **parts}.items():
                        sums[name] = sums.get(name, 0.0) + value.item() * len(index) / n
                    looks_on.batch(total.item(), math.nan)
                    if looks_on.stopped:
                        raise KeyboardInterrupt
                history.rows.append({"epoch": epoch, **sums, "seconds": time.perf_counter() - start})
                looks_on.epoch(history.rows[-1])
    except KeyboardInterrupt:
        history.interrupted = True
        history.note = f"Stopped after {len(history)} of {epochs} epochs; the model has what it had learned by then."
        note_interrupt()
        print(history.note)
    finally:
        model.eval()
        looks_on.end()
        history.seconds, history.memory = cost.seconds, cost.memory
    return history


def _diverged(epoch: int, lr: float, history: History) -> Diverged:
    error = Diverged(
        f"The loss is not a number in epoch {epoch}; training stopped.",
        why=f"The learning rate ({lr:g}) is too large for weights that are trained already, or the data hold NaN.",
        do=f"Load the model anew, and try lr={lr / 10:g}.",
    )
    error.history = history
    return error
