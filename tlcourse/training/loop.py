"""`fit`: a training loop one can read in a minute."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

from tlcourse.errors import CourseError
from tlcourse.freezing import parameter_groups
from tlcourse.hardware import measured, progress_bar
from tlcourse.training.evaluation import evaluate
from tlcourse.training.history import History
from tlcourse.training.source import Source

SCHEDULES = ("constant", "cosine")


class Diverged(CourseError):
    """The loss became NaN or infinite; `.history` holds the epochs before."""


def fit(
    model: nn.Module,
    train,
    valid=None,
    *,
    epochs: int,
    lr: float = 1e-3,
    batch: int = 32,
    decay: float = 1.0,
    head_lr: float | None = None,
    weight_decay: float = 0.0,
    optimizer: Callable = torch.optim.AdamW,
    schedule: str = "constant",
    loss: Callable = F.cross_entropy,
    augment: Callable | None = None,
    seed: int = 0,
    progress: bool | None = None,
) -> History:
    """Train the stages that are not frozen, in place.

    From features kept at a stage only the stages behind it are run, with the same result as from the data themselves.

    Arguments:
        model: a classifier with a `transform`, frozen as far as you like.
        train: a `Split`, or `Features` from `extract`.
        valid: scored after each epoch, never trained on.
        epochs: passes over the data.
        lr, decay, head_lr, weight_decay: as in `parameter_groups`.
        batch: items a step (batches of an epoch differ by at most one item).
        optimizer: a torch optimizer class, made here from what trains now.
        schedule: `"constant"`, or `"cosine"` from `lr` to zero after a warm-up over the first tenth.
        loss: (logits `[n, classes]`, labels `[n]`) -> scalar.
        augment: a random map of uint8 images `[n, c, h, w]`.
        seed: of the order of the items, of dropout and of augmentation.
        progress: whether to show a bar; by default where someone looks.

    Returns a `History`, also after a keyboard interrupt: the model then has what it had learned by then.
    Raises `Diverged` when the loss is not finite, `CourseError` when data and model do not go together.

    >>> from tlcourse import freeze, load, load_dataset
    >>> model = freeze(load("efficientnet-lite0", classes=2, pretrained=False, size=32))
    >>> len(fit(model, load_dataset("faces").train[:8], epochs=2))
    2

    Introduced in chapter 03.
    """
    if schedule not in SCHEDULES:
        raise CourseError(f"There is no schedule {schedule!r}.", do=f"Choose one of: {', '.join(SCHEDULES)}.")
    if epochs < 1 or batch < 1:
        raise CourseError(f"epochs={epochs}, batch={batch}: both must be 1 or more.")
    source = Source(model, train, training=True, augment=augment)
    groups = parameter_groups(model, lr, decay=decay, head_lr=head_lr, weight_decay=weight_decay)
    steps = max(1, math.ceil(len(source) / batch))
    history = History()
    cuda = [source.device] if source.device.type == "cuda" else []
    with measured(source.device) as cost, torch.random.fork_rng(devices=cuda):
        torch.manual_seed(seed)
        order = torch.Generator().manual_seed(seed)
        opt = optimizer(groups)
        scheduler = torch.optim.lr_scheduler.LambdaLR(opt, lambda step: _share(step, epochs * steps, schedule))
        bar = progress_bar(None, "training", progress, total=epochs * steps)
        done = 0
        try:
            for epoch in range(1, epochs + 1):
                start, total, right, done = time.perf_counter(), 0.0, 0, 0
                model.train()
                for index in torch.randperm(len(source), generator=order).tensor_split(steps):
                    logits, labels = source.logits(index, view=epoch - 1), source.labels(index)
                    if epoch == 1 and done == 0:
                        _check(logits, train)
                    value = loss(logits, labels)
                    if not torch.isfinite(value):
                        raise _diverged(epoch, logits, source, index, lr, history)
                    opt.zero_grad(set_to_none=True)
                    value.backward()
                    opt.step()
                    scheduler.step()
                    total += value.item() * len(index)
                    right += int((logits.argmax(1) == labels).sum())
                    done += 1
                    bar.update()
                row = {"epoch": epoch, "loss": total / len(source), "accuracy": right / len(source)}
                if valid is not None:
                    scored = evaluate(model, valid)
                    row |= {"valid_loss": scored.loss, "valid_accuracy": scored.accuracy}
                history.rows.append(row | {"seconds": time.perf_counter() - start})
                bar.set_postfix({k: f"{v:.3f}" for k, v in row.items() if k != "epoch"})
        except KeyboardInterrupt:
            history.interrupted = True
            history.note = (
                f"Interrupted in epoch {len(history) + 1} of {epochs}, after {done} of its {steps} batches. "
                "The model keeps what it has learned so far."
            )
            print(history.note)
        finally:
            bar.close()
            model.eval()
            opt.zero_grad(set_to_none=True)
    history.seconds, history.memory = cost.seconds, cost.memory
    return history


def _share(step: int, total: int, schedule: str) -> float:
    if schedule == "constant":
        return 1.0
    warm = max(1, total // 10)
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, total - warm)))


def _check(logits: torch.Tensor, train) -> None:
    if logits.ndim != 2 or logits.shape[1] < len(train.classes):
        raise CourseError(
            f"The model gives {list(logits.shape[1:])} numbers an item; the data have {len(train.classes)} classes.",
            why="Each class needs one output.",
            do="Load the model with a head for them: load(name, classes=data.classes).",
        )


def _diverged(epoch, logits, source, index, lr, history) -> Diverged:
    if logits.isfinite().all():
        why = "The outputs are finite but the loss is not: a label may be wrong, or the loss divides by zero."
    elif not all(p.isfinite().all() for p in source.model.parameters()):
        why = f"The weights have become infinite: the learning rate ({lr:g}) is too large."
    elif history.rows or not _finite(source, index):
        why = "The input of this batch holds NaN or infinite values, or has another scale than the weights expect."
    else:
        why = f"The outputs overflow: the learning rate ({lr:g}) may be too large, or the input is not normalised."
    error = Diverged(
        f"The loss is not a number in epoch {epoch}; training stopped.",
        why=why,
        do=f"Try lr={lr / 10:g}, check the data for NaN, and use the model's own transform. The epochs so far are in "
        "the error's .history.",
    )
    error.history = history
    return error


def _finite(source: Source, index: torch.Tensor) -> bool:
    x = getattr(source.data, "x", None)
    return not isinstance(x, torch.Tensor) or not x.is_floating_point() or bool(x[index].isfinite().all())
