"""`finite_outputs`: spoilt weights end in words, not in an answer that looks like one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import contextmanager

import torch
from torch import nn

from tlcourse.errors import CourseError


@contextmanager
def finite_outputs(modules: Iterable[nn.Module]):
    """Inside the block these modules raise `CourseError` when what they give is NaN or infinite.

    A score that is no number is below any threshold: a detector would find nothing, and say so.

    Arguments:
        modules: their outputs are tensors, or lists and dicts of tensors.

    >>> from torch import nn
    >>> net = nn.Linear(2, 1)
    >>> with finite_outputs([net]):
    ...     net(torch.full((1, 2), float("nan")))
    Traceback (most recent call last):
    tlcourse.errors.CourseError: The model's Linear gives NaN or infinite values.
      Why:  Its weights are spoilt, or grew beyond all numbers because the learning rate was too large.
      Next: Load the model anew, and train it with a smaller lr.
    """

    def check(module, _, made):
        if not all(x.isfinite().all() for x in _tensors(made)):
            raise CourseError(
                f"The model's {type(module).__name__} gives NaN or infinite values.",
                why="Its weights are spoilt, or grew beyond all numbers because the learning rate was too large.",
                do="Load the model anew, and train it with a smaller lr.",
            )

    hooks = [module.register_forward_hook(check) for module in modules]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _tensors(made):
    if isinstance(made, torch.Tensor):
        yield made
    elif isinstance(made, Mapping | list | tuple):
        for part in made.values() if isinstance(made, Mapping) else made:
            yield from _tensors(part)
