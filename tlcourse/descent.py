"""Steps down a loss of two numbers: surfaces to look at, and the paths that optimizers take on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import torch

from tlcourse.errors import CourseError, UnknownName, real_number, whole_number

OPTIMIZERS = ("gradient descent", "momentum", "Adam")


@dataclass(frozen=True)
class Surface:
    """A loss of two numbers.

    Arguments:
        name: what it is called.
        loss: points `[..., 2]` -> losses `[...]`.
        box: what is drawn: left, right, bottom, top.
        start: where a path begins.
        says: what there is to see.
    """

    name: str
    loss: Callable[[torch.Tensor], torch.Tensor]
    box: tuple[float, float, float, float]
    start: tuple[float, float]
    says: str

    def grid(self, side: int = 81) -> tuple[list[float], list[float], list[list[float]]]:
        """Losses on a grid: places across, places up, and a list of rows from the bottom.

        >>> x, y, z = SURFACES["bowl"].grid(3)
        >>> x, [round(v, 1) for v in z[1]]
        ([-2.0, 0.0, 2.0], [2.0, 0.0, 2.0])
        """
        left, right, bottom, top = self.box
        x, y = torch.linspace(left, right, side), torch.linspace(bottom, top, side)
        points = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)
        return x.tolist(), y.tolist(), self.loss(points).tolist()


@dataclass(frozen=True)
class Descent:
    """A path down a surface.

    Arguments:
        points: where it stood before each step and after the last.
        losses: the loss there.
        ended: `"arrived"`, `"on its way"` or `"diverged"`.

    >>> descend("bowl", lr=0.5, steps=20)
    gradient descent, learning rate 0.5: from 1.73 to 0.00 in 20 steps; arrived.
    """

    points: tuple[tuple[float, float], ...]
    losses: tuple[float, ...]
    ended: str
    optimizer: str
    lr: float

    def __repr__(self) -> str:
        return (
            f"{self.optimizer}, learning rate {self.lr:g}: from {self.losses[0]:.2f} to {self.losses[-1]:.2f} "
            f"in {len(self.points) - 1} steps; {self.ended}."
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
    """Follow an optimizer down a surface; torch's own optimizers take the steps.

    Arguments:
        surface: a `Surface`, or the name of one in `SURFACES`.
        start: two numbers; by default the surface's own.
        optimizer: one of `OPTIMIZERS`.
        lr: the learning rate, eta in the text.
        momentum: share of the last step that is taken again; counts for "momentum" only.
        steps: at most so many; a path that leaves for infinity ends earlier.

    Returns a `Descent`. Raises `CourseError` for what is no surface, optimizer or number.

    >>> descend("bowl", (1.0, 1.0), lr=2.5).ended
    'diverged'

    Chapter 02. Polyak 1964 (momentum); Kingma and Ba 2015 (Adam).
    """
    if isinstance(surface, str):
        if surface not in SURFACES:
            raise UnknownName("surface", surface, SURFACES)
        surface = SURFACES[surface]
    if optimizer not in OPTIMIZERS:
        raise UnknownName("optimizer", optimizer, OPTIMIZERS)
    real_number("lr", lr), real_number("momentum", momentum, below=1), whole_number("steps", steps)
    start = surface.start if start is None else tuple(start)
    if len(start) != 2:
        raise CourseError(f"start={start!r} is not a point.", do="Pass two numbers, e.g. start=(-1, 1).")
    theta = torch.tensor([real_number("start", v, low=-1e6, below=1e6) for v in start], requires_grad=True)
    made = {
        "gradient descent": lambda: torch.optim.SGD([theta], lr=lr),
        "momentum": lambda: torch.optim.SGD([theta], lr=lr, momentum=momentum),
        "Adam": lambda: torch.optim.Adam([theta], lr=lr),
    }[optimizer]()
    points, losses, gradient = [], [], 0.0
    far = 100 * max(map(abs, surface.box))
    for step in range(steps + 1):
        loss = surface.loss(theta)
        if not bool(torch.isfinite(loss)) or float(theta.detach().abs().max()) > far:
            break
        points.append(tuple(theta.tolist()))
        losses.append(float(loss))
        if step < steps:
            made.zero_grad()
            loss.backward()
            gradient = float(theta.grad.norm())
            made.step()
    diverged = len(points) <= steps or losses[-1] > 2 * losses[0] + 1
    ended = "diverged" if diverged else "arrived" if gradient < 1e-2 else "on its way"
    return Descent(tuple(points), tuple(losses), ended, optimizer, lr)


def _bowl(p):
    return 0.5 * (p[..., 0] ** 2 + p[..., 1] ** 2)


def _valley(p):
    return 0.5 * (p[..., 0] ** 2 + 20 * p[..., 1] ** 2)


def _two_wells(p):
    x, y = p[..., 0], p[..., 1]
    return 0.25 * (x**2 - 1.5) ** 2 + 0.25 * x + 0.5 * y**2 + 0.6


def _source(p):
    return 0.5 * ((p[..., 0] + 1) ** 2 + 3 * (p[..., 1] - 0.6) ** 2)


def _target(p):
    return 0.5 * (3 * (p[..., 0] - 0.6) ** 2 + (p[..., 1] + 0.6) ** 2)


SURFACES = {
    surface.name: surface
    for surface in (
        Surface("bowl", _bowl, (-2, 2, -2, 2), (-1.7, 0.75), "Equally steep on all sides: each step goes to the middle."),
        Surface("valley", _valley, (-2, 2, -1, 1), (-1.8, 0.8), "Twenty times as steep across as along."),
        Surface("two wells", _two_wells, (-2, 2, -1.5, 1.5), (0.4, 1.3), "Where it ends depends on where it starts."),
    )
}


@cache
def mixed(weight: float) -> Surface:
    """The surface of `weight * source + (1 - weight) * target`, two quadratic losses with minima apart.

    >>> mixed(1.0).loss(torch.tensor([-1.0, 0.6])).item()
    0.0

    Chapter 02.
    """
    real_number("weight", weight, below=1.0 + 1e-9)
    return Surface(
        f"source and target, weight {weight:g}",
        lambda p: weight * _source(p) + (1 - weight) * _target(p),
        (-2, 2, -2, 2),
        (-1.0, 0.6),
        "The minimum of the sum lies between those of its parts.",
    )
