"""`stages`: a model as an `nn.Sequential` of named stages over its own modules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from torch import nn

from tlcourse.chain import detectors, images, texts, translators
from tlcourse.chain.steps import Part, as_stage, follows
from tlcourse.errors import CourseError, UnknownName

_GIVEN = "_given_stages"


def stages(model: nn.Module) -> nn.Sequential:
    """The chain of named stages that a model is a composition of.

    The stages hold the model's own modules: nothing is copied or replaced, so training the chain
    trains the model and `model.state_dict()` keeps its keys. `stages(model)(x)` equals `model(x)`;
    for a Hugging Face text model, `x` is a `Tokens(ids, mask)` and the chain ends in its logits.

    Arguments:
        model: a timm or torchvision image model, a torchvision detector on a ResNet with a pyramid, a BERT-family
            text model, a Marian translation model (`x` is a `Pair(ids, mask, target ids)`), an `nn.Sequential` (each
            child is a stage), or any model whose stages were given with `set_stages`.

    Returns an `nn.Sequential` with named children, from the input to the output.
    Raises `CourseError` for a model whose stages are not known.

    >>> from torch import nn
    >>> net = nn.Sequential()
    >>> net.add_module("body", nn.Linear(4, 3)), net.add_module("head", nn.Linear(3, 2))
    (...)
    >>> [name for name, _ in stages(net).named_children()]
    ['body', 'head']

    Introduced in chapter 03.
    """
    model = unwrapped(model)
    if _GIVEN in vars(model):
        parts = {name: [_found(model, part) for part in given] for name, given in vars(model)[_GIVEN].items()}
    elif type(model).forward is nn.Sequential.forward:
        parts = {name: [child] for name, child in model._modules.items()}  # named_children leaves out a repeated one
    else:
        parts = next(filter(None, (kind.parts(model) for kind in (images, texts, translators, detectors))), None)
    if not parts:
        raise CourseError(
            f"The stages of {type(model).__name__} are not known.",
            why="Its class has no adapter, so the course cannot tell where one stage ends and the next begins.",
            do='Name them from input to output, e.g. set_stages(model, {"body": [model.conv1, model.bn1], '
            '"pool": nn.Flatten(), "head": model.fc}), or write the network as an nn.Sequential.',
        )
    chain = nn.Sequential()
    for name, stage in parts.items():
        module = as_stage(stage)
        # one module may be applied in two stages, e.g. an activation: each stage is still a child of its own
        chain.add_module(name, as_stage([module, nn.Identity()]) if module in chain.children() else module)
    chain.training = model.training
    _check_whole(model, chain)
    return chain


def set_stages(model: nn.Module, given: Mapping[str, Part | Sequence[Part]]) -> None:
    """Say what the stages of a model are, when no adapter knows it.

    Arguments:
        model: the model; the choice is remembered on it, and by its copies.
        given: stage name -> module of the model, or list of modules, in the order they are applied.
            A module that is not part of the model, such as `nn.Flatten()`, may stand between them
            if it has no parameters.

    The order is yours to get right: check once that `stages(model)(x)` equals `model(x)`.
    Raises `CourseError` when parameters of the model are in no stage, or in two.

    >>> from torch import nn
    >>> class Net(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.body, self.head = nn.Linear(4, 3), nn.Linear(3, 2)
    ...     def forward(self, x):
    ...         return self.head(self.body(x).relu())
    >>> net = Net()
    >>> set_stages(net, {"body": [net.body, nn.ReLU()], "head": net.head})
    >>> list(dict(stages(net).named_children()))
    ['body', 'head']
    """
    model = unwrapped(model)
    if not isinstance(given, Mapping) or not given:
        raise CourseError(
            "No stages were given.", do='Pass at least one, e.g. {"body": model.body, "head": model.head}.'
        )
    path_of = {id(module): path for path, module in model.named_modules() if path}
    remembered = {}
    for name, parts in given.items():
        _check_name(name)
        parts = list(parts) if isinstance(parts, list | tuple | nn.ModuleList) else [parts]
        for part in parts:
            if not isinstance(part, nn.Module) or part is model:
                raise CourseError(
                    f"Stage {name!r} holds {'the model itself' if part is model else repr(part)}.",
                    why="A stage is made of modules of the model.",
                    do=f'Pass the modules, e.g. {{"{name}": [model.conv1, nn.ReLU()]}}.',
                )
            if id(part) not in path_of and any(True for _ in _tensors(part)):
                raise CourseError(
                    f"Stage {name!r} holds a {type(part).__name__} that is not a part of the model.",
                    why="It has weights of its own, which training the model would not train.",
                    do="Pass the model's own modules; between them only what has no weights, such as nn.Flatten().",
                )
        remembered[name] = tuple(path_of.get(id(part), part) for part in parts)
    before = vars(model).get(_GIVEN)
    vars(model)[_GIVEN] = remembered
    try:
        stages(model)
    except CourseError:
        del vars(model)[_GIVEN]
        if before is not None:
            vars(model)[_GIVEN] = before
        raise


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not name or "." in name or hasattr(nn.Sequential(), name):
        raise CourseError(
            f"{name!r} cannot be the name of a stage.",
            why="A stage's name is a child's name in an nn.Sequential: text, not empty, no dot, no method of it.",
            do=f"Call it {str(name).replace('.', '_') if '.' in str(name) else f'stage{name}'!r}.",
        )


def pick(model: nn.Module, *names: str, until: str | None = None, last: int | None = None) -> list[str]:
    """Names of the stages that a choice means, in the order of the chain.

    Arguments:
        names: stage names or globs, e.g. `"stem"`, `"stage[1-3]"`, `"layer*"`.
        until: every stage from the input up to this one, this one included.
        last: the last so many stages that have parameters, and what stands between and behind them.

    Raises `UnknownName` with the nearest right name.

    >>> from torch import nn
    >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> pick(net, until="1"), pick(net, last=1)
    (['0', '1'], ['2'])
    """
    chain = dict(stages(model).named_children())
    known, chosen = list(chain), set()
    for pattern in names:
        if not isinstance(pattern, str):
            raise CourseError(
                f"A stage is chosen by its name, not by a {type(pattern).__name__}.",
                do=f"Write the name as text, e.g. {known[0]!r}.",
            )
        found = [name for name in known if fnmatchcase(name, pattern)]
        if not found:
            raise UnknownName("stage", pattern, known)
        chosen.update(found)
    if until is not None:
        if until not in chain:
            raise UnknownName("stage", until, known)
        chosen.update(known[: known.index(until) + 1])
    if last is not None:
        with_parameters = [name for name in known if any(True for _ in chain[name].parameters())]
        if not isinstance(last, int) or isinstance(last, bool) or not 0 <= last <= len(with_parameters):
            raise CourseError(
                f"last={last!r} is not a number of stages.",
                why=f"This model has {len(with_parameters)} stages with parameters: {', '.join(with_parameters)}.",
                do=f"Choose a whole number from 0 to {len(with_parameters)}.",
            )
        if last:
            chosen.update(known[known.index(with_parameters[-last]) :])
    return [name for name in known if name in chosen]


def unwrapped(model: nn.Module) -> nn.Module:
    """The model inside `torch.compile` or `DistributedDataParallel`."""
    if not isinstance(model, nn.Module):
        raise CourseError(
            f"A model is needed here, not a {type(model).__name__}.",
            do='Pass a torch module, e.g. model = load("efficientnet-lite0", classes=3).',
        )
    while True:  # one may be wrapped in the other
        if isinstance(getattr(model, "_orig_mod", None), nn.Module):
            model = model._orig_mod
        elif type(model).__name__ in ("DataParallel", "DistributedDataParallel"):
            model = model.module
        else:
            return model


def _found(model: nn.Module, part: str | nn.Module) -> nn.Module:
    if not isinstance(part, str):
        return follows(model, part)
    try:
        return model.get_submodule(part)
    except AttributeError:
        raise CourseError(
            f"The model has no part {part!r} any more.",
            why="It was given to a stage by set_stages, and was removed since.",
            do="Give the stages again with set_stages.",
        ) from None


def _check_whole(model: nn.Module, chain: nn.Sequential) -> None:
    """Every parameter and buffer of the model stands in exactly one stage, or the chain is not the model."""
    names = {id(tensor): name for name, tensor in _tensors(model)}
    seen: dict[int, str] = {}
    for stage, module in chain.named_children():
        for name, tensor in _tensors(module):
            if id(tensor) not in names:
                raise CourseError(f"Stage {stage!r} holds {name!r}, which is not a part of the model.")
            if seen.setdefault(id(tensor), stage) != stage:
                raise CourseError(
                    f"{names[id(tensor)]!r} is in two stages, {seen[id(tensor)]!r} and {stage!r}.",
                    why="A stage can be frozen by itself; what two stages share cannot.",
                    do="Give each module to one stage only, and shared (tied) weights to the same stage.",
                )
    missing = [name for key, name in names.items() if key not in seen]
    if missing:
        raise CourseError(
            f"{len(missing)} of the model's tensors are in no stage, {missing[0]!r} first.",
            why="A chain that leaves something out is not the model.",
            do="Add the module that holds it to one of the stages.",
        )


def _tensors(module: nn.Module):
    yield from module.named_parameters()
    yield from module.named_buffers()
