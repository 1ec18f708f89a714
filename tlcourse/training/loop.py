"""`fit`: a training loop one can read in a minute."""

from __future__ import annotations

import os
from collections.abc import Callable

import torch
from torch import nn

from tlcourse.errors import CourseError, whole_number
from tlcourse.features.modes import model_device
from tlcourse.freezing import parameter_groups
from tlcourse.hardware import reusing_memory
from tlcourse.training.best import Best
from tlcourse.training.checkpoint import Checkpoint
from tlcourse.training.diagnosis import remarks
from tlcourse.training.history import History
from tlcourse.training.keeping import keep_prefix
from tlcourse.training.objective import Objective
from tlcourse.training.precision import Precision
from tlcourse.training.recorded import recorded
from tlcourse.training.run import Run
from tlcourse.training.schedules import check_schedule, steps_of
from tlcourse.training.source import Source, check_data
from tlcourse.training.step import Step
from tlcourse.training.team import Team
from tlcourse.training.watch import Watcher, watcher


@reusing_memory
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
    warmup: float | None = None,
    loss: Callable | None = None,
    label_smoothing: float = 0.0,
    class_weights=None,
    penalty: Callable | None = None,
    augment: Callable | None = None,
    views: int | None = None,
    mix: str | Callable | None = None,
    patience: int | None = None,
    keep: bool | None = None,
    precision: str = "auto",
    compile: bool = False,
    checkpoint: str | os.PathLike | None = None,
    seed: int = 0,
    progress: bool | Watcher | None = None,
) -> History:
    """Train the stages that are not frozen, in place; the model comes back in evaluation mode.

    What the frozen first stages give is computed once and kept, where that pays; the history says so. The result is
    the same as without. Under `accelerate launch` several processes share each batch, with the same result as one; only
    a BatchNorm that trains is another, as it sees its process's share of the batch.

    Arguments:
        model: a classifier with a `transform`, frozen as far as you like.
        train: a `Split`, or `Features` from `extract`.
        valid: scored after each epoch, never trained on.
        epochs: passes over the data.
        lr, decay, head_lr, weight_decay: as in `parameter_groups`.
        batch: items a step; the batches of an epoch differ by at most one item, so none is left with a single one.
            Texts of about one length come together.
        optimizer: a torch optimizer class, made here from what trains now.
        schedule, warmup: `"constant"`, or `"cosine"` or `"linear"` from `lr` to zero after a warm-up over this share
            of the steps; by default a tenth, and none for `"constant"`.
        loss: (logits `[n, classes]`, labels `[n]`) -> scalar, a mean over items; by default cross-entropy.
        label_smoothing: share of each label that is spread over all classes.
        class_weights: `"balanced"`, or one number a class.
        penalty: a function whose value is added to the loss, e.g. `l2_sp(model)`.
        augment: a random map of uint8 images `[1, c, h, w]`, applied to each image by itself.
        views: with `augment`, keep so many random views of each image behind the frozen stages; they take turns.
        mix: `"mixup"` or `"cutmix"`, or a map of (model input, labels).
        patience: stop when the validation loss has not fallen for so many epochs, and go back to the best epoch.
        keep: True or False to keep what the frozen stages give in any case, or never; by default where it pays.
        precision: `"float32"`, `"bfloat16"`, `"float16"`, or `"auto"`: what the hardware really supports.
        compile: whether torch.compile makes the trained stages faster; it takes about a minute to begin with.
        checkpoint: a file that holds the state after each epoch; a run with the same settings goes on from it.
        seed: of the order of the items, of dropout and of augmentation.
        progress: whether to show how it goes; by default where someone looks: live curves in a notebook, a bar in a
            terminal. Or a `TrainingMonitor()` that you have made yourself.

    Returns a `History`, also after a keyboard interrupt: the model then has what it had learned by then.
    Raises `Diverged` when the loss is not finite (its `.history` holds the epochs before), `CourseError` when data and
    model do not go together.

    >>> from tlcourse import freeze, load, load_dataset
    >>> model = freeze(load("efficientnet-lite0", classes=2, pretrained=False, size=32))
    >>> len(fit(model, load_dataset("faces").train[:8], epochs=2))
    2

    Introduced in chapter 03; what it can do besides, in chapter 04.
    """
    epochs, batch, seed = whole_number("epochs", epochs), whole_number("batch", batch), whole_number("seed", seed, 0)
    warmup = check_schedule(schedule, warmup)
    _check(model, optimizer, train, valid, patience, views, augment, mix, keep, penalty)
    objective, device = Objective(train, loss, label_smoothing, class_weights, mix, penalty), model_device(model)
    groups = parameter_groups(model, lr, decay=decay, head_lr=head_lr, weight_decay=weight_decay)
    settings = {
        "epochs": epochs, "lr": lr, "batch": batch, "decay": decay, "head_lr": head_lr, "weight_decay": weight_decay,
        "optimizer": getattr(optimizer, "__name__", optimizer), "schedule": schedule, "warmup": warmup, "seed": seed,
        "label_smoothing": label_smoothing, "class_weights": class_weights, "mix": mix, "views": views,
        "augment": augment, "patience": patience, "precision": precision, "loss": loss, "penalty": penalty,
        "trains": ", ".join(dict.fromkeys(group["stage"] for group in groups)),
    }  # fmt: skip
    precision = Precision(precision, device, small=len({group["stage"] for group in groups}) == 1)
    saved = None if checkpoint is None else Checkpoint(checkpoint, model, settings, train, valid)
    team, history = Team(device), History()
    looks_on = watcher(progress, team.leads)
    with recorded(history, epochs, device, seed) as recorder:
        with team.first():
            kept = keep_prefix(
                model, train, valid,
                epochs=epochs, augment=augment, views=views, mix=mix, keep=keep, progress=looks_on.show,
            )  # fmt: skip
        history.keeping = kept.line
        made = kept.train is not train
        source = Source(model, kept.train, training=True, augment=None if made else augment, made_now=made)
        opt, behind = made_optimizer(optimizer, groups), torch.compile(source.run) if compile else source.run
        run = Run(
            source=source,
            held_out=_held_out(model, valid, kept.valid),
            step=Step(source, team.wrap(behind), objective, opt, precision, team),
            steps=max(1, min(steps_of(len(source), batch), len(source) // team.size)),
            history=history,
            best=Best(model, patience),
            watcher=looks_on,
            settings=settings,
            checkpoint=saved,
            writes=team.leads,
        )
        run.resume()
        recorder.go(run)
        said = [*run.best.restore(), *remarks(source, history, lr, loss is None and penalty is None)]
        if run.step.parts > 1:
            said.append("The device's memory was too small for a batch, so each went through in two halves.")
        history.note = " ".join(said)
    return history


def _held_out(model: nn.Module, valid, kept) -> Source | None:
    return None if valid is None else Source(model, kept, training=True, made_now=kept is not valid)


def check_optimizer(optimizer) -> None:
    """Say so when something cannot make an optimizer."""
    if not callable(optimizer):
        raise CourseError(
            f"optimizer={optimizer!r} is not a torch optimizer class.",
            why="It is made anew for each run, from what trains then.",
            do="Pass the class, e.g. optimizer=torch.optim.SGD.",
        )


def made_optimizer(optimizer: Callable, groups: list[dict]) -> torch.optim.Optimizer:
    """The optimizer; torch's own run all their arithmetic in one loop where they can (`fused`)."""
    devices = {p.device.type for group in groups for p in group["params"]}
    floats = all(p.dtype in (torch.float32, torch.float64) for group in groups for p in group["params"])
    if optimizer in (torch.optim.AdamW, torch.optim.Adam, torch.optim.SGD) and floats and devices <= {"cpu", "cuda"}:
        return optimizer(groups, fused=True)
    return optimizer(groups)


def _check(model, optimizer, train, valid, patience, views, augment, mix, keep, penalty) -> None:
    if keep not in (None, True, False):
        raise CourseError(f"keep={keep!r} will not do.", do="Choose keep=True or keep=False, or leave it out.")
    if augment is not None and not callable(augment):
        raise CourseError(
            f"augment={augment!r} is no function.",
            do="Pass a map of uint8 images, e.g. augment=torchvision.transforms.v2.RandomHorizontalFlip().",
        )
    check_optimizer(optimizer)
    theirs = {id(p) for p in getattr(penalty, "pulls", ())}
    if theirs and theirs.isdisjoint(map(id, model.parameters())):
        raise CourseError(
            "The penalty belongs to another model.",
            why="It holds the weights of the model that it was made for, and this one would not feel it.",
            do="Make it anew: penalty=l2_sp(model).",
        )
    check_data(model, train)
    if valid is not None:
        check_data(model, valid)
        if tuple(valid.classes) != tuple(train.classes):
            ours, theirs = ", ".join(train.classes), ", ".join(valid.classes)
            raise CourseError(
                f"The classes differ: {ours} in training, {theirs} in validation.",
                do="Take both from one data set.",
            )
    if patience is not None:
        whole_number("patience", patience)
        if valid is None:
            raise CourseError(
                "patience= needs validation data: it waits for the validation loss to fall.",
                do="Pass them, e.g. fit(model, data.train, data.valid, ...).",
            )
    if views is not None:
        whole_number("views", views)
        if augment is None:
            raise CourseError("views= keeps random views, and nothing is random.", do="Pass augment= as well.")
    if mix is not None and getattr(train, "kind", "") != "image":
        raise CourseError("Only raw images can be mixed.", do="Pass the split of images itself, or leave out mix=.")
    if any(p.dtype in (torch.float16, torch.bfloat16) for p in model.parameters() if p.requires_grad):
        raise CourseError(
            "The weights are in half precision, in which small updates are lost.",
            do='Call model.float() first; precision="bfloat16" computes in half precision where that is safe.',
        )
