"""Small parameter-free modules that stand in a chain where a model's `forward` has a line of code."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from torch import nn

Part = nn.Module


class Step(nn.Module):
    """A line of a model's `forward`, as a module.

    Arguments:
        function: what the line does; usually a bound method of the model.
        modules: the model's own modules that the function uses, so that they belong to this stage.
        parameters: parameters and buffers that the model holds directly, by name.
    """

    def __init__(self, function: Callable, modules: Iterable[nn.Module] = (), parameters: dict | None = None):
        super().__init__()
        for i, module in enumerate(modules):
            self.add_module(str(i), module)
        for name, tensor in (parameters or {}).items():
            if isinstance(tensor, nn.Parameter):
                self.register_parameter(name, tensor)
            elif tensor is not None:
                self.register_buffer(name, tensor)
        self.function = function

    def forward(self, x):
        return self.function(x)

    def hold(self, held: bool) -> None:
        """Freeze (True) or release (False) what the line does differently while the model trains."""
        if hasattr(self.function, "hold"):
            self.function.hold(held)

    def extra_repr(self) -> str:
        return getattr(self.function, "__name__", type(self.function).__name__)


class _Follows:
    def __init__(self, model: nn.Module, part: nn.Module):
        self.model, self.part = model, part

    def __call__(self, x):
        return self.part.train(self.model.training)(x)


def follows(model: nn.Module, part: nn.Module) -> Step:
    """A module that is not the model's own, e.g. an `nn.Dropout`: `model.eval()` would not reach it."""
    return Step(_Follows(model, part), [part])


def as_stage(parts: Sequence[Part]) -> nn.Module:
    """One module a stage: the model's own, or an `nn.Sequential` over several of them."""
    if len(parts) == 1:
        return parts[0]
    stage = nn.Sequential(*parts)
    stage.training = any(part.training for part in parts)  # a new container starts in training mode
    return stage
