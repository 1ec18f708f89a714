"""What comes out of a classifier: scores, shares, and the names that belong to them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from numbers import Integral

import numpy as np
import torch
from torch import nn

from tlcourse.chain import stages
from tlcourse.errors import CourseError, UnknownName
from tlcourse.features.engine import precision_of
from tlcourse.features.modes import evaluating, model_device


def shares(model: nn.Module, x) -> torch.Tensor:
    """What a classifier says of a batch: the softmax of its scores, float32 `[n, classes]` on the processor.

    In evaluation mode, without gradients; afterwards every module has the mode that it had.

    Arguments:
        model: any classifier; a text model takes `Tokens` by its chain of stages.
        x: model input, `[n, ...]` or `Tokens`.

    >>> shares(nn.Linear(3, 2), torch.zeros(4, 3)).shape
    torch.Size([4, 2])
    """
    try:
        run = stages(model)  # a Hugging Face classifier does not take Tokens; its chain does
    except CourseError:
        run = model
    if run is not model:
        check_head(dict(run.named_children()))
    if isinstance(x, torch.Tensor) and x.is_floating_point():
        x = x.to(precision_of([model]))
    with torch.no_grad(), evaluating(nn.ModuleList([model, run])):
        return scores(run(x.to(model_device(model)))).softmax(1).cpu()


def check_head(chain: dict[str, nn.Module]) -> None:
    """Say so when a chain's head has no weights: then it names no classes."""
    head = chain.get("head")
    if head is not None and not any(True for _ in head.parameters()):
        raise CourseError(
            "The model has no head, so it names no classes.",
            why="What comes out is the item's vector of features.",
            do='Load it with a head, e.g. load("minilm", classes=data.classes), and train that.',
        )


def scores(y) -> torch.Tensor:
    """The scores of a classifier `[n, classes]`, or the error that says what came out instead.

    >>> scores(torch.zeros(1, 3)).shape
    torch.Size([1, 3])
    """
    y = getattr(y, "logits", y)
    if not isinstance(y, torch.Tensor) or y.ndim != 2:
        what = f"a tensor {list(y.shape)}" if isinstance(y, torch.Tensor) else f"a {type(y).__name__}"
        raise CourseError(
            f"The model gives {what}, not a score for each class.",
            do="A prediction needs a head whose output is [n, classes].",
        )
    if not y.isfinite().all():
        raise CourseError(
            "The model's scores are not numbers.",
            why="A NaN or an infinity came out: a training diverged, or the precision is too low.",
            do="Load the model again, and train it with a smaller lr.",
        )
    return y.float()


def class_names(model: nn.Module, count: int) -> tuple[tuple[str, ...], str]:
    """Names of a model's classes, each one different, and a remark where they are not its own.

    >>> class_names(nn.Linear(2, 2), 2)
    (('class 0', 'class 1'), 'The model has no names for its classes, so their numbers are shown.')
    """
    named = tuple(str(name) for name in getattr(model, "classes", None) or ())
    if not named:
        named = tuple(str(name) for name in (getattr(getattr(model, "config", None), "id2label", None) or {}).values())
    remark = ""
    if not named or named == tuple(map(str, range(len(named)))):
        remark = "The model has no names for its classes, so their numbers are shown."
    elif len(named) != count:
        remark = f"The model has {len(named)} names for {count} classes, so their numbers are shown."
    if remark:
        return tuple(f"class {i}" for i in range(count)), remark
    # ImageNet has two cranes: a bird and a machine
    often = Counter(named)
    return tuple(name if often[name] == 1 else f"{name} (class {i})" for i, name in enumerate(named)), ""


def as_list(target) -> tuple[list, bool]:
    """Classes as a list, and whether there were several: a name, a number or a tensor of one is one class.

    >>> as_list("cat"), as_list([3, "dog"])
    ((['cat'], False), ([3, 'dog'], True))
    """
    if isinstance(target, str) or not isinstance(target, Sequence | np.ndarray | torch.Tensor) or not np.ndim(target):
        return [target], False
    if not len(target):
        raise CourseError("No class is named.", do="Pass a class by number or name, or several.")
    return list(target), True


def one_image(x) -> torch.Tensor:
    """One image as a model takes it, `[1, c, h, w]`; or the error that says what it is."""
    if not isinstance(x, torch.Tensor) or not x.is_floating_point() or x.ndim not in (3, 4):
        what = f"{x.dtype} {list(x.shape)}" if isinstance(x, torch.Tensor) else type(x).__name__
        raise CourseError(
            f"An image as the model takes it is needed, float [1, 3, h, w], not {what}.",
            do="Pass model.transform(image).",
        )
    x = x if x.ndim == 4 else x[None]
    if len(x) != 1:
        raise CourseError(f"One image is needed, not {len(x)}.", do="Pass them one at a time, e.g. x[:1].")
    return x


def class_number(model: nn.Module, which: int | str, count: int) -> int:
    """The number of a class that is given by number, also one in a tensor as `argmax` gives it, or by name."""
    if isinstance(which, torch.Tensor | np.ndarray) and len(which.reshape(-1)) == 1:
        which = which.reshape(-1)[0].item()
    if isinstance(which, str):
        names = class_names(model, count)[0]
        if which not in names:
            raise UnknownName("class", which, names)
        return names.index(which)
    if isinstance(which, bool) or not isinstance(which, Integral) or not 0 <= which < count:
        raise CourseError(f"There is no class {which!r}.", do=f"Choose a number from 0 to {count - 1}, or a name.")
    return int(which)
