"""`adapt`: train on a source's labels while the target's unlabelled items pull both domains' features together."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from tlcourse.adaptation.adversary import DomainAdversarial
from tlcourse.adaptation.batch_norm import estimate, keeps_statistics
from tlcourse.adaptation.clouds import blind, same_stage
from tlcourse.adaptation.coral import coral
from tlcourse.adaptation.mmd import mmd
from tlcourse.adaptation.step import Step, vectors
from tlcourse.chain import pick, stages
from tlcourse.errors import CourseError, UnknownName, real_number, whole_number
from tlcourse.features import Features
from tlcourse.features.modes import evaluating, model_device
from tlcourse.freezing import parameter_groups
from tlcourse.freezing.freeze import is_held
from tlcourse.hardware import reusing_memory
from tlcourse.training.best import Best
from tlcourse.training.history import History
from tlcourse.training.keeping import keep_prefix
from tlcourse.training.loop import check_optimizer, made_optimizer
from tlcourse.training.recorded import recorded
from tlcourse.training.run import Run
from tlcourse.training.schedules import check_schedule, steps_of
from tlcourse.training.source import Source, check_data
from tlcourse.training.watch import Watcher, watcher

METHODS = {"mmd": mmd, "coral": coral, "dann": DomainAdversarial}


@reusing_memory
def adapt(
    model: nn.Module,
    source,
    target,
    *,
    epochs: int,
    method: str | Callable = "mmd",
    weight: float = 1.0,
    stage: str | None = None,
    lr: float = 1e-3,
    batch: int = 32,
    weight_decay: float = 0.0,
    optimizer: Callable = torch.optim.AdamW,
    schedule: str = "constant",
    warmup: float | None = None,
    seed: int = 0,
    progress: bool | Watcher | None = None,
) -> History:
    """Train the stages that are not frozen on a source, and make its features and a target's alike, in place.

    The loss is the cross-entropy on a batch of the source plus `weight` times how far that batch and one of the target
    are apart at a stage. No label of the target is read; they may be missing. Its twin without a target is `fit` with
    the same settings.

    The model comes back in evaluation mode. A BatchNorm that trains normalises each domain by that domain's
    batches, and in the end has the statistics of the target's items, as `adapt_batch_norm` gives them: the model is
    one for the target then.

    Arguments:
        model: a classifier with a `transform`, frozen as far as you like; what the frozen stages give is kept.
        source: a `Split` with labels, or `Features`.
        target: the same of the target domain; labels are not looked at.
        epochs: passes over the source. The target's items take turns, as often as needed.
        method: `"mmd"`, `"coral"`, `"dann"`; a `DomainAdversarial`, which is trained too, in place; or a function of
            two batches of features `[n, d]`.
        weight: too small changes nothing; too large makes both domains alike by making all classes alike.
        stage: where the domains are compared; by default the one before the head. Maps are averaged over their places.
        lr, weight_decay, optimizer, schedule, warmup, batch, progress: as in `fit`.
        seed: of the order of the items, of dropout, and of a domain head.

    Returns a `History` of the source's loss and accuracy and of `apart`, the method's value. Raises `Diverged` when a
    loss is not finite, `CourseError` when the parts do not go together or nothing before `stage` trains.

    >>> from tlcourse import load, load_dataset
    >>> model = load("efficientnet-lite0", classes=2, pretrained=False, size=32)
    >>> faces = load_dataset("faces")
    >>> sorted(adapt(model, faces.train.shots(4), faces.valid.shots(4), epochs=1).rows[0])
    ['accuracy', 'apart', 'epoch', 'loss', 'seconds']

    Long et al. 2015; Ganin et al. 2016; Sun and Saenko 2016; chapter 09.
    """
    epochs, batch, seed = whole_number("epochs", epochs), whole_number("batch", batch, 2), whole_number("seed", seed, 0)
    weight, warmup = real_number("weight", weight), check_schedule(schedule, warmup)
    check_optimizer(optimizer)
    source, target = _checked(model, source, target)
    groups, device = parameter_groups(model, lr, weight_decay=weight_decay), model_device(model)
    stage = _stage(model, stage, {group["stage"] for group in groups})
    settings = {
        "method": getattr(method, "__name__", method), "weight": weight, "stage": stage, "epochs": epochs, "lr": lr,
        "batch": batch, "weight_decay": weight_decay, "optimizer": getattr(optimizer, "__name__", optimizer),
        "schedule": schedule, "warmup": warmup, "seed": seed,
        "trains": ", ".join(dict.fromkeys(group["stage"] for group in groups)),
    }  # fmt: skip
    history, looks_on, step, steps = History(), watcher(progress), None, 1
    with recorded(history, epochs, device, seed) as recorder:
        kept = keep_prefix(model, source, target, epochs=epochs, progress=looks_on.show)
        history.keeping = kept.line
        near = _batches(model, kept.train, kept.train is not source)
        far = _batches(model, kept.valid, kept.valid is not target)
        body, head = _parted(near.run, stage)
        apart = _method(method, near, body)
        extra = list(apart.parameters()) if isinstance(apart, nn.Module) else []
        if extra:
            groups.append({"params": extra, "lr": lr, "weight_decay": weight_decay, "stage": "domain head"})
        opt, steps = made_optimizer(optimizer, groups), steps_of(len(near), batch)
        step = Step(near, far, body, head, apart, weight, opt, epochs * steps, batch, seed)
        run = Run(
            source=near,
            held_out=None,
            step=step,
            steps=steps,
            history=history,
            best=Best(model, None),
            watcher=looks_on,
            settings=settings,
        )
        try:
            recorder.go(run)
        except KeyboardInterrupt:  # the norms must not be left half of one domain, half of the other
            _settle(model, kept.valid)
            raise
        finally:
            for row, seen in zip(history.rows, _epochs(step, steps), strict=False):
                seconds = row.pop("seconds")
                row |= {"apart": sum(seen) / len(seen), "seconds": seconds}
        _settle(model, kept.valid)
    return history


def _epochs(step: Step | None, steps: int) -> list[list[float]]:
    return [] if step is None else [step.seen[i : i + steps] for i in range(0, len(step.seen), steps)]


def _checked(model: nn.Module, source, target):
    check_data(model, source)
    target = blind(target, tuple(source.classes))
    if isinstance(source, Features) != isinstance(target, Features):
        raise CourseError(
            "One domain comes as Features, the other does not.", do="Pass two splits, or extract both with this model."
        )
    if isinstance(source, Features):
        same_stage(source, target)
        if source.x.shape[1:] != target.x.shape[1:] and source.mask is None:
            raise CourseError(
                f"The source's features have {_shape(source)} numbers an item, the target's {_shape(target)}.",
                do="Take both from one stage of one model, at one size.",
            )
    elif source.kind != target.kind:
        raise CourseError(f"The source holds {source.kind}s, the target {target.kind}s.", do="Take two of one kind.")
    if len(source.y.unique()) < 2:
        raise CourseError(
            "The source has items of one class only, so there is nothing to learn.", do="Take some of every class."
        )
    for name, part in (("source", source), ("target", target)):
        if len(part) < 2:
            raise CourseError(
                f"The {name} has one item.", why="One item does not tell where a domain lies.", do="Pass more of them."
            )
    if isinstance(target, Features) and not target.x.isfinite().all():
        raise CourseError(
            "The target's features hold NaN or infinite values.", do="Extract them in float32, and check the data."
        )
    return source, target


def _shape(features: Features) -> str:
    return " x ".join(map(str, features.x.shape[1:]))


def _stage(model: nn.Module, stage: str | None, training: set[str]) -> str:
    """The stage where the domains are compared; something up to it must train."""
    names = [name for name, _ in stages(model).named_children()]
    head = pick(model, last=1)[0]
    if stage is None:
        stage = names[max(0, names.index("head" if "head" in names else head) - 1)]
    if stage not in names:
        raise UnknownName("stage", stage, names)
    if names.index(stage) >= names.index(head):
        raise CourseError(
            f"Behind stage {stage!r} there is no head any more.", do=f"Name one before {head!r}, or leave out stage=."
        )
    if training.isdisjoint(names[: names.index(stage) + 1]):
        raise CourseError(
            f"Nothing up to stage {stage!r} trains, so nothing can pull the domains together there.",
            why="A head only reads the features; to move them, a stage before it must train.",
            do="Unfreeze one, e.g. unfreeze(model, last=2); or use align(...) or self_train(...).",
        )
    return stage


def _batches(model: nn.Module, data, made_now: bool) -> Source:
    source = Source(model, data, training=True, made_now=made_now)
    if not isinstance(data, Features):
        source.run = stages(model)
    return source


def _parted(run: nn.Module, stage: str) -> tuple[nn.Module, nn.Module]:
    """What runs up to the stage, and behind it."""
    body, head, behind = nn.Sequential(), nn.Sequential(), False
    for name, part in run.named_children():
        (head if behind else body).add_module(name, part)
        behind = behind or name == stage
    return body, head


def _method(method, near: Source, body: nn.Module) -> Callable:
    if isinstance(method, str):
        if method not in METHODS:
            raise UnknownName("method", method, METHODS)
        if method != "dann":
            return METHODS[method]
        with evaluating(body), torch.no_grad():
            width = vectors(body(near.batch(torch.arange(2)))).shape[1]
        return DomainAdversarial(width).to(near.device)
    if not callable(method):
        raise CourseError(f"method={method!r} is no function.", do=f"Pass one, or one of: {', '.join(METHODS)}.")
    return method.to(near.device) if isinstance(method, nn.Module) else method


def _settle(model: nn.Module, target) -> None:
    """The norms that have trained get the target's statistics; those of frozen stages keep theirs."""
    trained = [m for m in model.modules() if keeps_statistics(m) and not is_held(m)]
    if trained:
        estimate(model, target, trained)
