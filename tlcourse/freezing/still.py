"""`still`: the first stages of a chain that give the same output for the same input, whatever trains behind them."""

from __future__ import annotations

from torch import nn

from tlcourse.chain import stages
from tlcourse.chain.steps import Step
from tlcourse.freezing.freeze import frozen

_KNOWN = ("torch", "timm", "torchvision", "tlcourse")  # whose modules say by their class what they do
_MOVING = ("Drop", "Stochastic", "Noise", "RReLU", "Fractional", "BatchNorm")  # they draw, or look at the whole batch


def still(model: nn.Module) -> tuple[str, ...]:
    """Names of the first stages that training leaves as they are: frozen, or with nothing in them that could move.

    The last of them is the *frozen boundary*: what comes out there can be computed once and kept.

    Arguments:
        model: any model whose `stages` are known.

    >>> from tlcourse import freeze
    >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Dropout(0.1), nn.Linear(3, 2))
    >>> still(freeze(net, "0"))
    ('0', '1')

    Chapter 04.
    """
    held, names = frozen(model), []
    for name, stage in stages(model).named_children():
        if name not in held and not _is_constant(stage):
            break
        names.append(name)
    return tuple(names) if any(name in held for name in names) else ()


def _is_constant(stage: nn.Module) -> bool:
    """A pooling or a reshaping, but no dropout: nothing that learns, counts, or draws."""
    if any(True for _ in stage.parameters()) or any(True for _ in stage.buffers()):
        return False
    return all(
        type(module).__module__.split(".")[0] in _KNOWN
        and not any(word in type(module).__name__ for word in _MOVING)
        and not (isinstance(module, Step) and hasattr(module.function, "hold"))
        for module in stage.modules()
    )
