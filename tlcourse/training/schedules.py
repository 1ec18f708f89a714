"""In which batches the items come, and how the learning rate runs over the steps."""

from __future__ import annotations

import math

import torch

from tlcourse.errors import CourseError, real_number

SCHEDULES = ("constant", "cosine", "linear")
POOL = 8  # batches whose texts are sorted by length together


def share(step: int, total: int, schedule: str, warmup: float) -> float:
    """Which share of its learning rate each stage has at a step, 0..1.

    Arguments:
        step, total: which step of how many, from 0.
        schedule: `"constant"`, or `"cosine"` or `"linear"` from 1 down to 0.
        warmup: share of the steps over which the rate first rises.

    >>> [round(share(step, 5, "linear", 0.2), 2) for step in range(5)]
    [1.0, 1.0, 0.75, 0.5, 0.25]

    Loshchilov and Hutter 2017 (cosine); chapter 04.
    """
    warm = math.ceil(total * warmup) if warmup else 0
    if step < warm:
        return (step + 1) / warm
    done = (step - warm) / max(1, total - warm)
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * done))
    return 1 - done if schedule == "linear" else 1.0


def check_schedule(schedule: str, warmup: float | None) -> float:
    """The share of warm-up: a tenth for a schedule that falls, none for a constant one, if nobody has said."""
    if schedule not in SCHEDULES:
        raise CourseError(f"There is no schedule {schedule!r}.", do=f"Choose one of: {', '.join(SCHEDULES)}.")
    if warmup is None:
        return 0.0 if schedule == "constant" else 0.1
    return real_number("warmup", warmup, below=1)


def steps_of(n: int, batch: int, at_least: int = 2) -> int:
    """How many batches an epoch has; none has fewer than `at_least` items where that can be avoided.

    >>> steps_of(17, 16), steps_of(5, 1)
    (2, 5)
    """
    steps = math.ceil(n / batch)
    return steps if batch < at_least else max(1, min(steps, n // at_least))


def batches(n: int, steps: int, generator: torch.Generator, lengths: torch.Tensor | None = None) -> list[torch.Tensor]:
    """The items of an epoch's batches: in random order, and texts of about one length together.

    Arguments:
        n, steps: how many items, in how many batches; their sizes differ by one at most.
        generator: of the order; an epoch each call.
        lengths: tokens of each text `[n]`, or None. Texts are sorted within a random pool of 8 batches, so that
            padding is short and still each epoch brings other texts together.

    >>> len(batches(10, 3, torch.Generator().manual_seed(0)))
    3
    """
    order = torch.randperm(n, generator=generator)
    if lengths is None:
        return list(order.tensor_split(steps))
    pools = order.tensor_split(math.ceil(steps / POOL))
    order = torch.cat([pool[lengths[pool].argsort(stable=True)] for pool in pools])
    parts = order.tensor_split(steps)
    return [parts[i] for i in torch.randperm(steps, generator=generator).tolist()]
