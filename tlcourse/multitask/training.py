"""`fit_tasks`: `fit` for several tasks at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from tlcourse.errors import CourseError, UnknownName, whole_number
from tlcourse.features.modes import model_device
from tlcourse.freezing import parameter_groups
from tlcourse.hardware import reusing_memory
from tlcourse.multitask.gradnorm import GradNorm
from tlcourse.multitask.history import TaskHistory
from tlcourse.multitask.labels import TaskData
from tlcourse.multitask.network import MultiTask, check_network, last_shared, shared_parameters
from tlcourse.multitask.objective import Objectives
from tlcourse.multitask.pcgrad import PCGrad
from tlcourse.multitask.similarity import check_shared
from tlcourse.multitask.step import TaskRun, TaskStep
from tlcourse.multitask.weighting import DWA, Equal, Uncertainty
from tlcourse.training.best import Best
from tlcourse.training.keeping import keep_prefix
from tlcourse.training.loop import check_optimizer, made_optimizer
from tlcourse.training.recorded import recorded
from tlcourse.training.schedules import check_schedule, steps_of
from tlcourse.training.source import Source, check_data
from tlcourse.training.watch import Bar, Watcher

WEIGHTINGS = {kind.name: kind for kind in (Equal, Uncertainty, DWA, GradNorm, PCGrad)}


@reusing_memory
def fit_tasks(
    model: MultiTask,
    train: TaskData,
    valid: TaskData | None = None,
    *,
    losses: Mapping[str, Callable] | None = None,
    metrics: Mapping[str, Callable] | None = None,
    weighting: str | Equal = "equal",
    epochs: int,
    lr: float = 1e-3,
    batch: int = 32,
    decay: float = 1.0,
    head_lr: float | None = None,
    weight_decay: float = 0.0,
    optimizer: Callable = torch.optim.AdamW,
    schedule: str = "constant",
    warmup: float | None = None,
    patience: int | None = None,
    keep: bool | None = None,
    seed: int = 0,
    progress: bool | None = None,
) -> TaskHistory:
    """Train the stages of a multi-task network that are not frozen, on all its tasks at once, in place.

    As in `fit`, what the frozen first stages give is computed once and kept where that pays, and the model comes
    back in evaluation mode. A task that has no label in a batch adds nothing to that step. It computes in float32.

    Arguments:
        model: a `MultiTask` network, frozen as far as you like.
        train: a `TaskData`.
        valid: scored after each epoch, never trained on.
        losses: task -> (outputs, labels) -> scalar, a mean over items that all have a label; by default cross-entropy
            for class numbers, and the squared error for other values.
        metrics: task -> (outputs, labels) -> one number, named by the function; by default accuracy for class numbers,
            and the mean absolute error for other values.
        weighting: `"equal"`, `"uncertainty"`, `"dwa"`, `"gradnorm"` or `"pcgrad"`; or an object, e.g.
            `tlcourse.multitask.GradNorm(alpha=0.5)`.
        epochs, lr, batch, decay, head_lr, weight_decay, optimizer, schedule, warmup, keep, seed: as in `fit`.
        patience: stop when the plain sum of the validation losses has not fallen for so many epochs, and go back to the
            best epoch.
        progress: whether to show a bar; by default where someone looks.

    Returns a `TaskHistory`, also after a keyboard interrupt: the model then has what it had learned by then.
    Raises `Diverged` when a task's loss is not finite (its `.history` holds the epochs before), `UnknownName` for a
    weighting or a task that does not exist, `CourseError` when data and model do not go together.

    >>> from tlcourse import freeze, load, load_dataset
    >>> faces = load_dataset("faces").train[:8]
    >>> body = load("efficientnet-lite0", classes=2, pretrained=False, size=32)
    >>> model = freeze(MultiTask(body, {"face": 2, "light": 1}))
    >>> light = faces.x.float().mean((1, 2, 3)) / 255
    >>> history = fit_tasks(model, TaskData(faces, {"face": faces.y, "light": light[:, None]}), epochs=2)
    >>> history.tasks, len(history)
    (('face', 'light'), 2)

    Caruana 1997; chapter 05.
    """
    check_network(model)
    epochs, batch, seed = whole_number("epochs", epochs), whole_number("batch", batch), whole_number("seed", seed, 0)
    warmup, weighting = check_schedule(schedule, warmup), made_weighting(weighting)
    objectives = _checked(model, train, valid, losses, metrics, optimizer, patience, keep, progress)
    groups = parameter_groups(model, lr, decay=decay, head_lr=head_lr, weight_decay=weight_decay)
    shared, device = shared_parameters(model), model_device(model)
    if weighting.needs_shared:
        check_shared(shared, f"{weighting.name!r} looks at the gradients of what the tasks share")
    ours = {id(p) for p in shared}
    own = [p for group in groups for p in group["params"] if id(p) not in ours]
    some = torch.stack([train.has(task) for task in objectives.tasks]).any(0)
    unlabelled = int((~some).sum())
    train = train if not unlabelled else train[some]
    history = TaskHistory(tasks=objectives.tasks, metrics=objectives.names(), weighting=weighting.name)
    looks_on = Watcher() if progress is False else Bar(progress)
    settings = {
        "epochs": epochs, "lr": lr, "batch": batch, "weighting": weighting.name, "schedule": schedule, "warmup": warmup,
        "seed": seed,
    }  # fmt: skip
    with recorded(history, epochs, device, seed) as recorder:
        held = None if valid is None else valid.data
        kept = keep_prefix(model, train.data, held, epochs=epochs, keep=keep, progress=looks_on.show)
        history.keeping = kept.line
        source = Source(model, kept.train, training=True, made_now=kept.train is not train.data)
        opt = made_optimizer(optimizer, _joined(groups))
        weighting.start(objectives.tasks, shared, last_shared(model), own, device)
        run = TaskRun(
            source=source,
            held_out=None if valid is None else Source(model, kept.valid, True, made_now=kept.valid is not held),
            step=TaskStep(source, train, objectives, opt, weighting),
            steps=steps_of(len(source), batch),
            history=history,
            best=Best(model, patience),
            watcher=looks_on,
            settings=settings,
            valid=valid,
            objectives=objectives,
        )
        recorder.go(run)
        left_out = f"{unlabelled} items have no label of any task and were left out." if unlabelled else ""
        history.note = " ".join(filter(None, [*run.best.restore(), left_out]))
    return history


def made_weighting(weighting: str | Equal) -> Equal:
    """The weighting of that name, or the object itself.

    >>> made_weighting("dwa").temperature
    2.0
    """
    if isinstance(weighting, type) and issubclass(weighting, Equal):  # GradNorm for GradNorm()
        weighting = weighting()
    if isinstance(weighting, Equal):
        return weighting
    if not isinstance(weighting, str) or weighting not in WEIGHTINGS:
        raise UnknownName("weighting", weighting, WEIGHTINGS)
    return WEIGHTINGS[weighting]()


def _joined(groups: list[dict]) -> list[dict]:
    """Groups of one rate and one decay as one: the optimizer's step costs by the group."""
    joined: dict[tuple, dict] = {}
    for group in groups:
        how = {"lr": group["lr"], "weight_decay": group["weight_decay"]}
        joined.setdefault(tuple(how.values()), {"params": [], **how})["params"].extend(group["params"])
    return list(joined.values())


def _checked(model, train, valid, losses, metrics, optimizer, patience, keep, progress) -> Objectives:
    if keep not in (None, True, False):
        raise CourseError(f"keep={keep!r} will not do.", do="Choose keep=True or keep=False, or leave it out.")
    if progress not in (None, True, False):
        raise CourseError(f"progress={progress!r} will not do.", do="Choose True or False, or leave it out.")
    check_optimizer(optimizer)
    objectives = Objectives(model.tasks, train, losses, metrics)
    check_data(model, train.data)
    if valid is not None:
        Objectives(model.tasks, valid, losses, metrics)
        check_data(model, valid.data)
    if patience is not None:
        whole_number("patience", patience)
        if valid is None:
            raise CourseError(
                "patience= needs validation data: it waits for the validation loss to fall.",
                do="Pass them, e.g. fit_tasks(model, train, valid, ...).",
            )
    return objectives
