"""`MultiTask`: a backbone's chain that forks at its end into one head a task."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

import torch
from torch import nn

from tlcourse.chain import pick, stages
from tlcourse.chain.steps import Step
from tlcourse.errors import CourseError, UnknownName, whole_number
from tlcourse.features.modes import evaluating, model_device, seeded
from tlcourse.freezing import freeze, frozen
from tlcourse.models import Tokens


class Heads(nn.ModuleDict):
    """The last stage of a multi-task network: what the shared stages give -> a dict of task -> output.

    >>> heads = Heads({"digit": nn.Linear(4, 10), "box": nn.Linear(4, 4)})
    >>> {task: tuple(output.shape) for task, output in heads(torch.zeros(2, 4)).items()}
    {'digit': (2, 10), 'box': (2, 4)}
    """

    def forward(self, x) -> dict[str, torch.Tensor]:
        return {task: head(x) for task, head in self.items()}


class MultiTask(nn.Sequential):
    """One backbone, several tasks: the backbone's stages up to the fork, then a last stage `heads`.

    It is a chain like any other, so `stages`, `freeze`, `audit`, `parameter_groups` and `extract` work on it. The
    stages hold the backbone's own modules: nothing is copied, and what is frozen there is frozen here.

    Arguments:
        backbone: any model whose `stages` are known.
        heads: task -> number of outputs, for a linear head (behind the backbone's own pooling, where the fork comes
            before it); or task -> a module that takes what the fork gives: vectors `[n, d]`, maps `[n, c, h, w]`, or
            `Tokens` of a text.
        at: the last stage that the tasks share; by default the one before the backbone's head.
        trunk: a new module between the fork and the heads, which the tasks share: stage `trunk`.
        seed: of the linear heads' random weights.

    Call it with model input; it returns a dict of task -> output `[n, ...]`.
    Raises `UnknownName` for a stage that does not exist, `CourseError` for heads that will not do.

    >>> from tlcourse import device, load
    >>> body = load("efficientnet-lite0", classes=2, pretrained=False, size=32)
    >>> model = MultiTask(body, {"digit": 10, "box": 4})
    >>> {task: tuple(output.shape) for task, output in model(torch.zeros(1, 3, 32, 32, device=device())).items()}
    {'digit': (1, 10), 'box': (1, 4)}

    Caruana 1997 (hard parameter sharing); chapter 05.
    """

    def __init__(
        self, backbone: nn.Module, heads: Mapping, at: str | None = None, *, trunk: nn.Module | None = None, seed=0
    ):
        super().__init__()
        seed = whole_number("seed", seed, 0)
        chain = dict(stages(backbone).named_children())
        shared = _until(backbone, chain, at)
        _check(heads, trunk, shared)
        held = [name for name in frozen(backbone) if name in shared]
        for name in shared:
            self.add_module(name, chain[name])
        if trunk is not None:
            self.add_module("trunk", trunk)
        for module in self.modules():  # what stands between a model's own modules follows that model's mode
            if isinstance(module, Step) and getattr(module.function, "model", None) is backbone:
                module.function.model = self
        device = model_device(backbone)
        self.to(device)
        pool = chain.get("pool") if "pool" not in shared and trunk is None else None
        self.add_module("heads", _made(backbone, self, heads, pool, seed).to(device))
        for name in ("transform", "tokenizer"):
            if hasattr(backbone, name):
                setattr(self, name, getattr(backbone, name))
        self.eval()
        if held:
            freeze(self, *held)

    @property
    def tasks(self) -> tuple[str, ...]:
        """The names of the tasks."""
        return tuple(self.heads)

    def __getitem__(self, index):
        if isinstance(index, slice):  # a part of the chain is no multi-task network any more
            return nn.Sequential(OrderedDict(list(self._modules.items())[index]))
        return super().__getitem__(index)


def shared_parameters(model: MultiTask) -> list[nn.Parameter]:
    """The parameters that train now and that more than one task's loss reaches."""
    before = [p for name, stage in stages(model).named_children() if name != "heads" for p in stage.parameters()]
    reached: dict[int, int] = {}
    for head in model.heads.values():
        for parameter in head.parameters():
            reached[id(parameter)] = reached.get(id(parameter), 0) + 1
    within = [p for p in model.heads.parameters() if reached[id(p)] > 1]
    return [p for p in (*before, *within) if p.requires_grad]


def last_shared(model: MultiTask) -> list[nn.Parameter]:
    """The parameters that train in the last shared stage that has any."""
    for name, stage in reversed(list(stages(model).named_children())):
        trainable = [p for p in stage.parameters() if p.requires_grad]
        if name != "heads" and trainable:
            return trainable
    return []


def check_network(model: object) -> None:
    """Say so when a model has no heads by the names of tasks."""
    if not isinstance(model, MultiTask):
        raise CourseError(
            f"A multi-task network is needed here, not a {type(model).__name__}.",
            do='Make one: model = MultiTask(backbone, {"digit": 10, "box": 4}).',
        )


def _until(backbone: nn.Module, chain: Mapping, at: str | None) -> list[str]:
    names = list(chain)
    if at is not None:
        if at not in chain:
            raise UnknownName("stage", at, names)
        return names[: names.index(at) + 1]
    head = "heads" if "heads" in chain else "head" if "head" in chain else pick(backbone, last=1)[0]
    if not names.index(head):
        raise CourseError(
            "This backbone has one stage only, so there is nothing before its head to share.",
            do=f'Share that stage itself: MultiTask(backbone, heads, at="{head}").',
        )
    return names[: names.index(head)]


def _check(heads, trunk, shared: list[str]) -> None:
    if not isinstance(heads, Mapping) or not heads:
        raise CourseError("A multi-task network needs a head for each task.", do='Pass e.g. {"digit": 10, "box": 4}.')
    for task, head in heads.items():
        taken = not isinstance(task, str) or not task or "." in task or hasattr(nn.ModuleDict(), task)
        if taken:
            raise CourseError(
                f"{task!r} cannot be the name of a task.",
                why="It names a part of the network: text, not empty, no dot, no method of an nn.ModuleDict.",
                do=f'Call it e.g. "{str(task).replace(".", "_")}_task".',
            )
        if task == "valid":
            raise CourseError(
                "'valid' cannot be the name of a task.",
                why="A history's valid_loss is the sum of all validation losses.",
                do='Call it e.g. "validity".',
            )
        if not isinstance(head, nn.Module):
            whole_number(f"heads[{task!r}]", head)
    if trunk is not None and not isinstance(trunk, nn.Module):
        raise CourseError(f"trunk={trunk!r} is no module.", do="Pass one, e.g. trunk=nn.Conv2d(40, 64, 3, padding=1).")
    twice = {"heads", "trunk"} & set(shared) if trunk is not None else {"heads"} & set(shared)
    if twice:
        raise CourseError(
            f"The backbone has a stage called {min(twice)!r} already.",
            do="Fork before it: choose an earlier stage as at=, or leave out trunk=.",
        )


def _made(backbone, before: nn.Module, heads: Mapping, pool: nn.Module | None, seed: int) -> Heads:
    counts = {task: head for task, head in heads.items() if not isinstance(head, nn.Module)}
    width = _width(backbone, before, pool, next(iter(counts))) if counts else 0
    made = {}
    with seeded(seed):
        for task, head in heads.items():
            if task in counts:
                head = nn.Linear(width, int(head))
                head = head if pool is None else nn.Sequential(pool, head)
            made[task] = head
    return Heads(made)


def _width(backbone: nn.Module, before: nn.Module, pool: nn.Module | None, task: str) -> int:
    """How many numbers an item a linear head gets, seen by sending noise, or a text, through the shared stages."""
    transform = getattr(backbone, "transform", None)
    side = getattr(transform, "size", None) or 64
    run = before if pool is None else nn.Sequential(before, pool)
    shape = None
    for raw in (torch.zeros(1, 3, side, side, dtype=torch.uint8), ["A text."]) if transform else ():
        try:
            with evaluating(run), torch.no_grad():
                y = run(transform(raw).to(model_device(backbone)))
        except (TypeError, ValueError, AttributeError, RuntimeError, CourseError):
            continue  # noise is no text, and a text no image
        shape = list((y.x if isinstance(y, Tokens) else y).shape[1:])
        break
    if shape is not None and len(shape) == 1:
        return shape[0]
    gives = "is not known: the backbone has no transform that tells" if shape is None else f"has the shape {shape}"
    raise CourseError(
        f"No linear head can be made for {task!r}.",
        why=f"It takes one vector an item, and what the fork gives {gives}.",
        do=f'Pass a module, e.g. heads={{"{task}": nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), '
        "nn.Linear(64, 10))}.",
    )
