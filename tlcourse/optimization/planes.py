"""`Plane`: all heads that are so much of one and so much of another, which makes a loss of two numbers."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch.nn import functional as F

from tlcourse.errors import CourseError
from tlcourse.features import Features
from tlcourse.optimization.heads import Head
from tlcourse.optimization.surfaces import Surface, point


@dataclass(frozen=True, eq=False)
class Plane:
    """The heads `a * first + b * second`: each point (a, b) is one of them.

    A slice through the loss of a whole head, with hundreds of numbers, along two directions that matter. An item has
    two coordinates as well: what the first head says of it and what the second says. With two classes the head (a, b)
    parts these coordinates by a line through zero.

    Arguments:
        first, second: two heads with one centre and scale, such as the first and the last of a `Mixture`.
        decay: as it was when they were trained: the lowest point of the first's own loss is then (1, 0).
        axes: names of the two.

    >>> right = Head(torch.eye(2).double(), torch.zeros(2).double(), torch.zeros(2).double(), 1.0, ("no", "yes"))
    >>> up = Head(-torch.eye(2).double(), torch.zeros(2).double(), torch.zeros(2).double(), 1.0, ("no", "yes"))
    >>> data = Features(torch.tensor([[0.0, 2.0]]), torch.tensor([1]), ("a",), ("no", "yes"), "pool")
    >>> Plane(right, up).scores(data).tolist(), Plane(right, up).head((0.5, 0.0)).logits(data.x).tolist()
    ([[2.0, -2.0]], [[0.0, 1.0]])

    Chapter 02. Goodfellow, Vinyals and Saxe 2015 (slices of a loss).
    """

    first: Head = field(repr=False)
    second: Head = field(repr=False)
    decay: float = 0.5
    axes: tuple[str, str] = ("share of the first head", "share of the second head")

    def __post_init__(self):
        same = self.first.scale == self.second.scale and torch.equal(self.first.centre, self.second.centre)
        if not same or self.first.classes != self.second.classes:
            raise CourseError(
                "The two heads read features in different scales, or have other classes.",
                do="Take both from one mixture: mix(source, target).head(1) and .head(0).",
            )

    def head(self, where) -> Head:
        """The head at a point."""
        a, b = point(where)
        return Head(
            a * self.first.weight + b * self.second.weight,
            a * self.first.bias + b * self.second.bias,
            self.first.centre,
            self.first.scale,
            self.first.classes,
        )

    def scores(self, data: Features) -> torch.Tensor:
        """The two coordinates `[n, 2]` of each item: by how much either head prefers the second class to the first."""
        if len(self.first.classes) != 2:
            raise CourseError(
                f"Items have two coordinates when there are two classes; here are {len(self.first.classes)}.",
                do="Take a task with two classes.",
            )
        x = data.flat()[0]
        both = [head.logits(x) for head in (self.first, self.second)]
        return torch.stack([logits[:, 1] - logits[:, 0] for logits in both], -1)

    def surface(self, data: Features, name: str, *, room: float = 0.5, says: str = "", start=(0.0, 0.0)) -> Surface:
        """The loss of the plane's heads on items: mean cross-entropy, and the penalty for large weights.

        Arguments:
            data: features of the items.
            name: of the surface.
            room: how far the drawing goes beyond 0 and 1.
            says, start: as in `Surface`.

        >>> head = Head(torch.eye(2).double(), torch.zeros(2).double(), torch.zeros(2).double(), 1.0, ("no", "yes"))
        >>> data = Features(torch.tensor([[0.0, 2.0]]), torch.tensor([1]), ("a",), ("no", "yes"), "pool")
        >>> round(Plane(head, head, decay=0.0).surface(data, "one item").at((0.5, 0.0)), 3)
        0.313
        """
        entropy = self._of_two_classes(data) if len(self.first.classes) == 2 else self._of_many(data)
        rows = torch.stack([self.first.weight.flatten(), self.second.weight.flatten()])
        products = rows @ rows.T  # of the weights with each other: the penalty is a quadratic form of (a, b)

        def loss(p):
            return entropy(p) + self.decay / 2 * ((p @ products) * p).sum(-1)

        says = says or f"Cross-entropy on {len(data)} items, and the penalty for large weights."
        return Surface(name, loss, (-room, 1 + room, -room, 1 + room), start, says, self.axes)

    def _of_two_classes(self, data: Features):
        """Cross-entropy of heads (a, b): of two classes it hangs on the difference of their logits alone."""
        margins = self.scores(data) * (2 * data.flat()[1] - 1)[:, None]
        return lambda p: F.softplus(-(p @ margins.T)).mean(-1)

    def _of_many(self, data: Features):
        x, y = data.flat()
        first, second = self.first.logits(x), self.second.logits(x)

        def entropy(p):
            logits = p[..., 0, None, None] * first + p[..., 1, None, None] * second
            labels = y.expand(logits.shape[:-1])
            each = F.cross_entropy(logits.flatten(0, -2), labels.flatten(), reduction="none")
            return each.reshape(labels.shape).mean(-1)

        return entropy
