"""`freeze` and `unfreeze`."""

from __future__ import annotations

import weakref
from collections.abc import Iterator

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.parameter import is_lazy

from tlcourse.chain import pick, stages
from tlcourse.chain.core import unwrapped
from tlcourse.chain.steps import Step
from tlcourse.errors import CourseError

_STEPS = "_frozen_steps"  # frozen stages that hold nothing of the model: only their names tell


def freeze(model: nn.Module, *names: str, until: str | None = None, last: int | None = None) -> nn.Module:
    """Freeze stages of a model: nothing in them moves, whatever loop trains the rest.

    A frozen stage gets no gradients, and its modules stay in evaluation mode even when a loop calls
    `model.train()`. So BatchNorm neither updates nor uses batch statistics, and dropout is off. Nothing is
    replaced: the `state_dict` keeps its keys, and `unfreeze` undoes it.

    Arguments:
        model: any model whose `stages` are known.
        names: stages or globs, e.g. `"stem"`, `"stage[1-4]"`.
        until: from the input up to this stage, this one included.
        last: the last so many stages that have parameters.
            With none of these, everything before the head is frozen: the stage of that name, or else the last stage
            that has parameters.

    Returns the model. Raises `UnknownName` with the nearest right stage name.

    >>> from torch import nn
    >>> net = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 2))
    >>> frozen(freeze(net)), net.train()[0].training
    (('0',), False)

    Introduced in chapter 03. Why `requires_grad=False` alone is not enough: Ioffe and Szegedy 2015
    (BatchNorm keeps statistics of its own), and chapter 03's experiment.
    """
    if not names and until is None and last is None:
        names = [name for name, _ in stages(model).named_children()]
        head = "head" if "head" in names else pick(model, last=1)[0]
        chosen = names[: names.index(head)]
    else:
        chosen = pick(model, *names, until=until, last=last)
    list(tensors_of(model))  # else the first stages would be frozen when a later one cannot be
    for name, stage in stages(model).named_children():
        if name in chosen:
            stage.requires_grad_(False)
            for parameter in stage.parameters():
                parameter.grad = None  # an optimizer with momentum would go on moving it
            for module in stage.modules():
                hold(module)
    _remember(model, set(chosen), add=True)
    return model


def unfreeze(model: nn.Module, *names: str, until: str | None = None, last: int | None = None) -> nn.Module:
    """Let stages of a model train again; the arguments are those of `freeze`.

    With no stage named, the whole model is unfrozen. Make a new optimizer afterwards (`fit` always does):
    one that was made before does not know the parameters that now train.

    >>> from torch import nn
    >>> net = freeze(nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 2)))
    >>> frozen(unfreeze(net)), net.train()[0].training
    ((), True)
    """
    everything = not names and until is None and last is None
    chain = dict(stages(model).named_children())
    chosen = list(chain) if everything else pick(model, *names, until=until, last=last)
    for name in chosen:
        chain[name].requires_grad_(True)
        for module in chain[name].modules():
            _release(module, unwrapped(model).training)
    _remember(model, set(chosen), add=False)
    return model


def frozen(model: nn.Module) -> tuple[str, ...]:
    """Names of the stages that are truly frozen: no parameter trains, every module is held in evaluation mode.

    >>> from torch import nn
    >>> frozen(nn.Sequential(nn.Linear(4, 2)))
    ()
    """
    model = unwrapped(model)
    own, steps = set(model.modules()), vars(model).get(_STEPS, ())
    names = []
    for name, stage in stages(model).named_children():
        held = [is_held(module) for module in stage.modules() if module in own]
        if (all(held) if held else name in steps) and not any(p.requires_grad for p in stage.parameters()):
            names.append(name)
    return tuple(names)


def is_held(module: nn.Module) -> bool:
    """Whether a module stays in evaluation mode when `train()` is called."""
    return isinstance(vars(module).get("train"), _Held) and not module.training


def tensors_of(model: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Every parameter and buffer of a model with its name."""
    model = unwrapped(model)
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if is_lazy(tensor):
            raise CourseError(
                f"{name!r} has no values yet.",
                why="A lazy module makes its parameters when the first batch tells it their shape.",
                do="Send one batch through the model first.",
            )
        yield name, tensor


def _remember(model: nn.Module, chosen: set[str], add: bool) -> None:
    model = unwrapped(model)
    before = vars(model).get(_STEPS, frozenset())
    vars(model)[_STEPS] = before | chosen if add else before - chosen


def hold(module: nn.Module) -> None:
    """Keep one module in evaluation mode, whatever loop calls `train()` on it or around it."""
    # On the instance, not the class: `model.train()` calls each child's `train`, and finds this one.
    module.eval()
    module.train = _Held(module)
    if isinstance(module, _NormBase):  # torch.optim.swa_utils.update_bn resets statistics to fill them anew
        module.reset_running_stats = _keep_statistics
    if isinstance(module, Step):
        module.hold(True)


def _release(module: nn.Module, training: bool) -> None:
    vars(module).pop("train", None)
    vars(module).pop("reset_running_stats", None)
    module.training = training
    if isinstance(module, Step):
        module.hold(False)


def _keep_statistics() -> None:
    """A frozen norm keeps its statistics."""


class _Held:
    """What `train` is of a frozen module: it stays in evaluation mode. Follows deepcopy and pickle to the copy.

    It knows its module weakly: a network that referred to itself would stay in memory after its last name is gone.
    """

    def __init__(self, module: nn.Module):
        self.module = weakref.ref(module)

    def __call__(self, mode: bool = True) -> nn.Module:
        module = self.module()
        if module is None:
            raise CourseError("A shallow copy of a frozen module has lost its original.", do="Use copy.deepcopy.")
        module.training = False
        for child in module.children():
            child.train(False)
        return module

    def __deepcopy__(self, memo: dict) -> _Held:
        module = self.module()
        return _Held(memo.get(id(module), module))

    def __reduce__(self):
        return _Held, (self.module(),)
