"""`descend`: the path that an optimizer takes down a loss of two numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from tlcourse.errors import UnknownName, real_number, whole_number
from tlcourse.optimization.surfaces import Surface, chosen, point

OPTIMIZERS = ("gradient descent", "momentum", "Adam")
FLAT = 1e-2
"""A slope below this counts as level ground."""
SEEN = 1e-3
"""Which share of the picture's width a path has to leave its start by, to be seen as one."""


@dataclass(frozen=True)
class Descent:
    """A path down a surface.

    Arguments:
        points: where it stood before the first step and after each.
        losses: the loss there.
        ended: `"arrived"` (on level ground), `"on its way"`, `"to and fro"` (no lower than half-way through),
            `"diverged"` (far away), or `"standing still"` (with steps too small to be seen).
        optimizer, lr: what took the steps.

    >>> descend("bowl", lr=0.5, steps=20)
    gradient descent, learning rate 0.5: loss 1.726 to 0.000 in 20 steps; arrived
    """

    points: tuple[tuple[float, float], ...] = field(repr=False)
    losses: tuple[float, ...] = field(repr=False)
    ended: str
    optimizer: str
    lr: float

    def __len__(self) -> int:
        """How many steps were taken."""
        return len(self.points) - 1

    def steps_to(self, loss: float) -> int | None:
        """After how many steps the loss was first this low, or None."""
        return next((step for step, value in enumerate(self.losses) if value <= loss), None)

    def __repr__(self) -> str:
        end = f"{self.losses[-1]:.3f}" if self.losses[-1] < 1e4 else f"{self.losses[-1]:.0e}"
        steps = f"{len(self)} step{'' if len(self) == 1 else 's'}"
        return (
            f"{self.optimizer}, learning rate {self.lr:g}: loss {self.losses[0]:.3f} to {end} in {steps}; {self.ended}"
        )


def descend(
    surface: str | Surface,
    start: Sequence[float] | None = None,
    *,
    optimizer: str = "gradient descent",
    lr: float = 0.1,
    momentum: float = 0.9,
    steps: int = 50,
) -> Descent:
    """Follow an optimizer down a loss of two numbers; torch's own optimizers take the steps.

    Arguments:
        surface: a `Surface`, or the name of one that is made up: "bowl", "valley" or "two wells".
        start: two numbers; by default the surface's own start.
        optimizer: "gradient descent", "momentum" or "Adam".
        lr: the learning rate, η in the formula.
        momentum: which share of its speed a step hands on to the next, below 1; for "momentum" only.
        steps: how many, at most: a path that leaves for infinity ends earlier.

    Returns a `Descent` with all points and losses on the way. Raises `CourseError` for what is no surface, optimizer
    or number.

    >>> descend("bowl", (1.0, 1.0), lr=2.5).ended
    'diverged'

    Chapter 02. Polyak 1964 (momentum); Kingma and Ba 2015 (Adam).
    """
    surface = chosen(surface)
    if optimizer not in OPTIMIZERS:
        raise UnknownName("optimizer", optimizer, OPTIMIZERS)
    lr, momentum = real_number("lr", lr), real_number("momentum", momentum, below=1)
    whole_number("steps", steps)
    begin = surface.start if start is None else point(start)
    theta = torch.tensor(begin, dtype=torch.float64, requires_grad=True)
    made = _made(optimizer, theta, lr, momentum)
    far = 100 * max(map(abs, (*surface.box, *begin)))
    points, losses, slope = [], [], math.inf
    with torch.enable_grad():
        for _ in range(steps + 1):
            loss = surface.loss(theta).reshape(())
            if points and not (torch.isfinite(loss) and theta.abs().max() < far):
                break
            points.append(tuple(theta.tolist())), losses.append(loss.item())
            made.zero_grad()
            loss.backward()
            slope = float(theta.grad.norm())
            made.step()
    if len(points) <= steps or losses[-1] > 2 * losses[0] + 1:
        ended = "diverged"
    elif slope < FLAT:
        ended = "arrived"
    elif losses[-1] < (1 - 1e-6) * losses[len(losses) // 2]:
        ended = "on its way"
    else:
        away = max(math.dist(begin, each) for each in points)
        ended = "to and fro" if away > SEEN * (surface.box[1] - surface.box[0]) else "standing still"
    return Descent(tuple(points), tuple(losses), ended, optimizer, lr)


def minimum(surface: str | Surface, start: Sequence[float] | None = None) -> tuple[float, float]:
    """The lowest point near a start, to six digits (L-BFGS with a line search).

    Arguments:
        surface: a `Surface` or its name.
        start: where to begin; by default the surface's own start.

    >>> minimum("valley")
    (0.0, 0.0)
    """
    surface = chosen(surface)
    begin = surface.start if start is None else point(start)
    theta = torch.tensor(begin, dtype=torch.float64, requires_grad=True)
    made = torch.optim.LBFGS(
        [theta], max_iter=200, tolerance_grad=1e-9, tolerance_change=0, line_search_fn="strong_wolfe"
    )

    def closure():
        made.zero_grad()
        loss = surface.loss(theta).reshape(())
        loss.backward()
        return loss

    with torch.enable_grad():
        made.step(closure)
    return tuple(round(value, 6) + 0.0 for value in theta.tolist())


def _made(optimizer: str, theta: torch.Tensor, lr: float, momentum: float) -> torch.optim.Optimizer:
    if optimizer == "Adam":
        return torch.optim.Adam([theta], lr=lr)
    return torch.optim.SGD([theta], lr=lr, momentum=momentum if optimizer == "momentum" else 0.0)
