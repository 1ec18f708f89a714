"""`Surface`: a loss of two numbers, small enough to be drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch

from tlcourse.errors import CourseError, UnknownName, real_number, whole_number

FAR = 1e6
"""No coordinate of a box or a start is larger than this."""


@dataclass(frozen=True)
class Surface:
    """A loss of two numbers.

    Arguments:
        name: what it is called.
        loss: float64 points `[..., 2]` -> losses `[...]`, made of torch operations.
        box: what is drawn: left, right, bottom, top.
        start: where a path begins.
        says: one sentence: what there is to see.
        axes: names of the two numbers.

    >>> bowl = Surface("bowl", lambda p: (p**2).sum(-1), (-1, 1, -1, 1), (1.0, 0.0))
    >>> bowl.at((1.0, 1.0)), bowl.gradient((1.0, 1.0))
    (2.0, (2.0, 2.0))

    Chapter 02.
    """

    name: str
    loss: Callable[[torch.Tensor], torch.Tensor] = field(repr=False)
    box: tuple[float, float, float, float]
    start: tuple[float, float] = (0.0, 0.0)
    says: str = field(default="", repr=False)
    axes: tuple[str, str] = field(default=("θ₁", "θ₂"), repr=False)

    def __post_init__(self):
        if not callable(self.loss):
            raise CourseError(f"The loss of {self.name!r} is no function.", do="Pass a function of points [..., 2].")
        try:
            left, right, bottom, top = (float(v) for v in self.box)
        except (TypeError, ValueError):
            left = right = bottom = top = 0.0
        if not (-FAR <= left < right <= FAR and -FAR <= bottom < top <= FAR):
            raise CourseError(
                f"box={self.box!r} is no frame for a drawing.", do="Pass left, right, bottom, top, e.g. (-2, 2, -1, 1)."
            )
        object.__setattr__(self, "start", point(self.start))

    def at(self, where) -> float:
        """The loss at a point."""
        with torch.no_grad():
            return float(_one(self, torch.tensor(point(where), dtype=torch.float64)))

    def gradient(self, where) -> tuple[float, float]:
        """The gradient at a point: how fast the loss grows with each of the two numbers."""
        theta = torch.tensor(point(where), dtype=torch.float64, requires_grad=True)
        with torch.enable_grad():
            (slope,) = torch.autograd.grad(_one(self, theta), theta)
        return tuple(slope.tolist())

    def curvatures(self, where) -> tuple[float, float]:
        """How fast the slope changes, in the flattest and in the steepest direction: the Hessian's two eigenvalues.

        On a loss with constant curvature gradient descent converges while the learning rate is below 2 over the larger
        one.
        """
        theta = torch.tensor(point(where), dtype=torch.float64)
        hessian = torch.autograd.functional.hessian(lambda p: _one(self, p), theta)
        return tuple(torch.linalg.eigvalsh(hessian).tolist())

    def grid(self, side: int = 81) -> tuple[list[float], list[float], list[list[float]]]:
        """Losses on a grid: places from left to right, from bottom to top, and a row of losses for each of the latter.

        >>> x, y, z = SURFACES["bowl"].grid(3)
        >>> x, z[1]
        ([-2.0, 0.0, 2.0], [2.0, 0.0, 2.0])
        """
        whole_number("side", side, low=2)
        left, right, bottom, top = self.box
        x, y = (torch.linspace(*ends, side, dtype=torch.float64) for ends in ((left, right), (bottom, top)))
        rows = []
        with torch.no_grad():
            for height in y:  # a row at a time: a loss over many items would fill the memory with the whole grid
                losses = self.loss(torch.stack([x, height.expand(side)], -1))
                if not isinstance(losses, torch.Tensor) or losses.shape != (side,):
                    raise _not_one_number(self, losses)
                rows.append(losses.tolist())
        return x.tolist(), y.tolist(), rows


def blend(weight: float, source: Surface, target: Surface) -> Surface:
    """The surface of `weight * source + (1 - weight) * target`.

    Arguments:
        weight: λ, from 0 (the target's loss alone) to 1 (the source's alone).
        source, target: two losses of the same two numbers.

    Returns a `Surface` with the source's frame and start. Raises `CourseError` for a weight outside of 0..1.

    >>> blend(0.5, SURFACES["bowl"], SURFACES["valley"]).at((0.0, 1.0))
    5.25

    Chapter 02.
    """
    weight = fraction("weight", weight)
    for surface in (source, target):
        if not isinstance(surface, Surface):
            raise CourseError(f"A {type(surface).__name__} is no surface.", do='Pass e.g. SURFACES["bowl"].')
    return replace(
        source,
        name=f"{weight:g} of {source.name} and {1 - weight:g} of {target.name}",
        loss=lambda p: weight * source.loss(p) + (1 - weight) * target.loss(p),
        says="The lowest point of a sum lies between those of its parts.",
    )


def chosen(surface: str | Surface) -> Surface:
    """A surface, or the one of that name."""
    if isinstance(surface, Surface):
        return surface
    if not isinstance(surface, str) or surface not in SURFACES:
        raise UnknownName("surface", surface, SURFACES, do="A Surface of your own will do as well.")
    return SURFACES[surface]


def point(where) -> tuple[float, float]:
    """Two finite numbers, or the error that says so."""
    try:
        values = where.tolist() if isinstance(where, torch.Tensor) else list(where)
    except TypeError:
        values = []
    if len(values) != 2:
        raise CourseError(f"{where!r} is not a point.", do="Pass two numbers, e.g. (-1.0, 0.5).")
    return tuple(real_number("a coordinate", v, low=-FAR, below=FAR) for v in values)


def fraction(name: str, value) -> float:
    """A number from 0 to 1, both included."""
    if value != 1:
        return real_number(name, value, below=1.0)
    return 1.0


def _one(surface: Surface, theta: torch.Tensor) -> torch.Tensor:
    loss = surface.loss(theta)
    if not isinstance(loss, torch.Tensor) or loss.numel() != 1:
        raise _not_one_number(surface, loss)
    return loss.reshape(())


def _not_one_number(surface: Surface, loss) -> CourseError:
    shape = list(loss.shape) if isinstance(loss, torch.Tensor) else type(loss).__name__
    return CourseError(
        f"The loss of {surface.name!r} gives {shape} where it should give one number a point.",
        why="It takes points [..., 2] and returns losses [...].",
        do="Write it with p[..., 0] and p[..., 1], e.g. lambda p: p[..., 0] ** 2 + 3 * p[..., 1] ** 2.",
    )


def _bowl(p):
    return 0.5 * (p[..., 0] ** 2 + p[..., 1] ** 2)


def _valley(p):
    return 0.5 * (p[..., 0] ** 2 + 20 * p[..., 1] ** 2)


def _two_wells(p):
    x, y = p[..., 0], p[..., 1]
    return 0.25 * (x**2 - 1.5) ** 2 + 0.25 * x + 0.5 * y**2 + 0.6


SURFACES = {
    surface.name: surface
    for surface in (
        Surface("bowl", _bowl, (-2, 2, -2, 2), (-1.7, 0.75), "As steep on all sides: every step points to the middle."),
        Surface("valley", _valley, (-2, 2, -1, 1), (-1.8, 0.8), "Twenty times as curved across as along."),
        Surface("two wells", _two_wells, (-2, 2, -1.5, 1.5), (0.4, 1.3), "Where a path ends depends on its start."),
    )
}
"""Three losses that are made up, to play with: a round bowl, a narrow valley, and one with two minima."""
