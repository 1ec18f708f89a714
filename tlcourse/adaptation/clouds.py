"""What a comparison of two clouds of points starts from: features of both domains, of one width, and no labels."""

from __future__ import annotations

from dataclasses import replace

import torch

from tlcourse.errors import CourseError
from tlcourse.features import Features


def clouds(x: torch.Tensor, y: torch.Tensor, at_least: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """Two batches of features `[n, d]` and `[m, d]`, at least in float32; or the error that says what they lack.

    >>> a, b = clouds(torch.zeros(3, 2, dtype=torch.float16), torch.ones(4, 2))
    >>> a.dtype, b.dtype
    (torch.float32, torch.float32)
    """
    for part in (x, y):
        if not isinstance(part, torch.Tensor) or not part.is_floating_point():
            kind = f"tensor of {part.dtype}" if isinstance(part, torch.Tensor) else type(part).__name__
            raise CourseError(
                f"Features are compared as tensors of decimal numbers, not as a {kind}.",
                do="Pass what a stage gives, e.g. extract(model, data).x.",
            )
        if part.ndim != 2:
            raise CourseError(
                f"The features have the shape {list(part.shape)}.",
                why="An item has to be one vector.",
                do="Average a map over its places: x.mean((2, 3)), or extract(..., pooled=True).",
            )
        if len(part) < at_least:
            raise CourseError(
                f"A domain has {len(part)} item{'' if len(part) == 1 else 's'}; at least {at_least} are needed.",
                why="A spread cannot be told from one item." if at_least > 1 else "",
                do="Pass more items, or a larger batch.",
            )
        if not part.isfinite().all():
            raise CourseError(
                "The features hold NaN or infinite values.", do="Extract them in float32, and check the data."
            )
    if x.shape[1] != y.shape[1]:
        raise CourseError(
            f"The source's features have {x.shape[1]} numbers an item, the target's {y.shape[1]}.",
            do="Take both from one stage of one model.",
        )
    if x.device != y.device:
        raise CourseError(f"The source is on {x.device}, the target on {y.device}.", do="Move both to one device.")
    dtype = torch.float64 if torch.float64 in (x.dtype, y.dtype) else torch.float32
    return x.to(dtype), y.to(dtype)


def points(source, target) -> tuple[torch.Tensor, torch.Tensor]:
    """The vectors of two `Features` of one stage, or of two tensors; labels are not looked at."""
    if isinstance(source, Features) and isinstance(target, Features):
        source, target = blind(source), blind(target)
        same_stage(source, target)
        for part in (source, target):
            if part.views > 1:
                raise CourseError(
                    "Views of one item are no independent items.", do="Extract both domains without views=."
                )
        source, target = source.flat()[0], target.flat()[0]
    elif isinstance(source, Features) or isinstance(target, Features):
        raise CourseError("One domain comes as Features, the other does not.", do="Extract both with the same model.")
    return source, target


def same_stage(source: Features, target: Features) -> None:
    """Say so when two features are not of one stage and the same weights."""
    if source.stage != target.stage or (source.weights or "") != (target.weights or ""):
        raise CourseError(
            f"The features are of stage {source.stage!r} and of {target.stage!r}"
            + (", of other weights." if source.stage == target.stage else "."),
            why="Numbers of different stages or weights have nothing to do with each other.",
            do="Extract both with the same model at the same stage.",
        )


def blind(data, classes: tuple[str, ...] | None = None):
    """Data of the target without their labels: zeros stand in their place, so that nothing behind can read them.

    Arguments:
        data: a `Split` or `Features`; their `y` may be anything, also None.
        classes: names of classes to give them, those of the source.

    >>> from tlcourse.features import Features
    >>> blind(Features(torch.zeros(2, 3), torch.tensor([1, 7]), ("a", "b"), ("low", "high"), "pool")).y.tolist()
    [0, 0]
    """
    x = getattr(data, "x", None)
    if x is None or not hasattr(data, "ids"):
        raise CourseError(
            f"A domain is a split of data or features of it, not a {type(data).__name__}.",
            do="Pass e.g. data.train, or what extract(model, data.train) returned.",
        )
    if not len(x):
        raise CourseError("A domain has no items.", do="Check how they were selected.")
    return replace(data, y=torch.zeros(len(x), dtype=torch.int64), classes=classes or tuple(data.classes or ("?",)))
