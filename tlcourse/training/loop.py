"""`fit`: a training loop one can read in a minute."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

from tlcourse.errors import CourseError, whole_number
from tlcourse.features.modes import seeded
from tlcourse.freezing import parameter_groups
from tlcourse.hardware import Cost, measured, progress_bar
from tlcourse.training.evaluation import predicted
from tlcourse.training.history import History
from tlcourse.training.source import Source, check_outputs

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
        batch: items a step; the batches of an epoch differ by at most one item, so none is left with a single one.
        optimizer: a torch optimizer class, made here from what trains now.
        schedule: `"constant"`, or `"cosine"` from `lr` to zero after a warm-up over the first tenth.
        loss: (logits `[n, classes]`, labels `[n]`) -> scalar.
        augment: a random map of uint8 images `[1, c, h, w]`, applied to each image by itself.
        seed: of the order of the items, of dropout and of augmentation.
        progress: whether to show a bar; by default where someone looks.

    Returns a `History`, also after a keyboard interrupt: the model then has what it had learned by then.
    Raises `Diverged` when the loss is not finite (its `.history` holds the epochs before), `CourseError` when data and
    model do not go together.

    >>> from tlcourse import freeze, load, load_dataset
    >>> model = freeze(load("efficientnet-lite0", classes=2, pretrained=False, size=32))
    >>> len(fit(model, load_dataset("faces").train[:8], epochs=2))
    2

    Introduced in chapter 03.
    """
    if schedule not in SCHEDULES:
        raise CourseError(f"There is no schedule {schedule!r}.", do=f"Choose one of: {', '.join(SCHEDULES)}.")
    epochs, batch, seed = whole_number("epochs", epochs), whole_number("batch", batch), whole_number("seed", seed, 0)
    if not (isinstance(optimizer, type) or callable(optimizer)):
        raise CourseError(
            f"optimizer={optimizer!r} is not a torch optimizer class.",
            why="fit makes the optimizer itself, from what trains now.",
            do="Pass the class, e.g. optimizer=torch.optim.SGD.",
        )
    source = Source(model, train, training=True, augment=augment)
    held_out = None if valid is None else Source(model, valid, training=True)
    if held_out and tuple(valid.classes) != tuple(train.classes):
        raise CourseError(
            f"The classes differ: {', '.join(train.classes)} in training, {', '.join(valid.classes)} in validation.",
            do="Take both from one data set.",
        )
    groups = parameter_groups(model, lr, decay=decay, head_lr=head_lr, weight_decay=weight_decay)
    steps = math.ceil(len(source) / batch)
    if batch > 1:  # no batch of one item: BatchNorm cannot work on it
        steps = max(1, min(steps, len(source) // 2))
    history, cost, done = History(), Cost(), 0
    try:
        with measured(source.device) as cost, seeded(seed, source.device):
            order = torch.Generator().manual_seed(seed)
            opt = optimizer(groups)
            scheduler = torch.optim.lr_scheduler.LambdaLR(opt, lambda step: _share(step, epochs * steps, schedule))
            bar = progress_bar(None, "training", progress, total=epochs * steps)
            try:
                for epoch in range(1, epochs + 1):
                    start, total, right, done = time.perf_counter(), 0.0, 0, 0
                    model.train()
                    for index in torch.randperm(len(source), generator=order).tensor_split(steps):
                        logits, value, labels = _forward(source, index, epoch, loss)
                        if not torch.isfinite(value):
                            raise _diverged(epoch, done, logits, source, index, lr, history)
                        opt.zero_grad(set_to_none=True)
                        value.backward()
                        opt.step()
                        scheduler.step()
                        total += value.item() * len(index)
                        right += int((logits.argmax(1) == labels).sum())
                        done += 1
                        bar.update()
                    if not all(p.isfinite().all() for p in source.model.parameters() if p.requires_grad):
                        raise _diverged(epoch, done, logits, source, index, lr, history)
                    row = {"epoch": epoch, "loss": total / len(source), "accuracy": right / len(source)}
                    if held_out:
                        row |= _scored(held_out)
                    history.rows.append(row | {"seconds": time.perf_counter() - start})
                    bar.set_postfix({k: f"{v:.3f}" for k, v in row.items() if k != "epoch"}, refresh=False)
            finally:
                model.eval()
                opt.zero_grad(set_to_none=True)
                bar.close()
    except KeyboardInterrupt:
        history.interrupted = True
        finished = len(history) == epochs
        where = f"in epoch {len(history) + 1} of {epochs}, after {done} of its {steps} batches"
        history.note = (
            f"Interrupted {'after the last epoch' if finished else where}. The model keeps what it has learned so far."
        )
        print(history.note)
    finally:
        history.seconds, history.memory = cost.seconds, cost.memory
    return history


def _forward(source: Source, index: torch.Tensor, epoch: int, loss: Callable):
    try:
        logits = source.logits(index, view=epoch - 1)
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise CourseError(
            "BatchNorm cannot train on a batch of one item.",
            why="It normalises by the spread of the batch, and one item has none.",
            do="Choose batch=2 or more, give more items, or freeze the stages that have BatchNorm.",
        ) from error
    check_outputs(logits, source.data)
    labels = source.labels(index)
    value = loss(logits, labels)
    if not isinstance(value, torch.Tensor) or value.numel() != 1:
        raise CourseError(
            "The loss must be one number for the batch.",
            do='Pass a function or an object, e.g. loss=nn.CrossEntropyLoss(), and leave out reduction="none".',
        )
    return logits, value, labels


def _scored(source: Source) -> dict[str, float]:
    logits, labels = predicted(source), source.data.y
    accuracy = float((logits.argmax(1) == labels).double().mean())
    return {"valid_loss": float(F.cross_entropy(logits, labels)), "valid_accuracy": accuracy}


def _share(step: int, total: int, schedule: str) -> float:
    if schedule == "constant":
        return 1.0
    warm = max(1, total // 10)
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, total - warm)))


def _diverged(epoch, done, logits, source, index, lr, history) -> Diverged:
    moved = epoch > 1 or done > 0
    if not source.finite(index):
        why = "The input of this batch holds NaN or infinite values."
        do = "Look for them in the data, and use the model's own transform."
    elif logits.isfinite().all():
        why = "The outputs are finite but the loss is not: it may divide by zero, or take the logarithm of zero."
        do = "Look into the loss function."
    elif not moved and not all(t.isfinite().all() for t in source.model.state_dict().values()):
        why = "The weights held NaN or infinite values before the first step: an earlier run may have diverged."
        do = "Load the model anew."
    elif moved:
        why = f"The weights or outputs have grown beyond all numbers: the learning rate ({lr:g}) is too large."
        do = f"Load the model anew (this one is spoilt) and try lr={lr / 10:g}."
    else:
        why = "The outputs overflow at the first step: the input has another scale than the weights expect."
        do = "Use the model's own transform."
    error = Diverged(
        f"The loss is not a number in epoch {epoch}, after {done} batches; training stopped.",
        why=why,
        do=f"{do} The epochs so far are in the error's .history.",
    )
    error.history = history
    return error
