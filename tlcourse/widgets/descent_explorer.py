"""`DescentExplorer`: a loss of two numbers, a start to drag, and the path that an optimizer takes from it."""

from __future__ import annotations

from functools import partial

import traitlets

from tlcourse import plots
from tlcourse.errors import CourseError, UnknownName, real_number, whole_number
from tlcourse.optimization import OPTIMIZERS, SURFACES, Descent, Surface, descend
from tlcourse.optimization.surfaces import chosen, point
from tlcourse.optimization.walks import drawn, walked
from tlcourse.plots import Plot
from tlcourse.widgets.view import View, script, style

STEPS = 100
RATES = 1e-3, 10.0
"""What the sliders of steps and of the learning rate reach; code may set any rate."""
EDGE = 1e-3
"""By such a share of the picture a start may lie outside: the page rounds it."""


class DescentExplorer(View):
    """Drag the start, turn the learning rate, momentum, optimizer and number of steps, and see the path.

    The path is computed by torch's own optimizers at each change.

    Arguments:
        surfaces: losses to choose from, or their names; by default the three that are made up.
        optimizer, lr, momentum, steps, start: where to begin, as in `descend`.

    `surface`, `optimizer`, `lr`, `momentum`, `steps` and `start` can be read and set, and `descent` is the path.

    >>> explorer = DescentExplorer("bowl", lr=0.5, steps=20)
    >>> explorer.descent
    gradient descent, learning rate 0.5: loss 1.726 to 0.000 in 20 steps; arrived
    >>> explorer.lr = 2.5
    >>> explorer.descent.ended
    'diverged'

    Chapter 02.
    """

    _esm, _css = script("descent_explorer"), style("descent_explorer")
    pictures = traitlets.List().tag(sync=True)
    optimizers = traitlets.List(list(OPTIMIZERS)).tag(sync=True)
    surface = traitlets.Unicode().tag(sync=True)
    optimizer = traitlets.Unicode(OPTIMIZERS[0]).tag(sync=True)
    lr = traitlets.Float(0.1).tag(sync=True)
    momentum = traitlets.Float(0.9).tag(sync=True)
    steps = traitlets.Int(30).tag(sync=True)
    start = traitlets.List().tag(sync=True)
    path = traitlets.Dict().tag(sync=True)

    def __init__(self, *surfaces: Surface | str, start=None, **settings):
        known = [chosen(surface) for surface in surfaces or SURFACES]
        names = [surface.name for surface in known]
        if len(set(names)) < len(names):
            raise CourseError(f"Two surfaces have one name: {', '.join(names)}.", do="Give each a name of its own.")
        odd = set(settings) - {"optimizer", "lr", "momentum", "steps"}
        if odd:
            raise UnknownName("setting", sorted(odd)[0], ("optimizer", "lr", "momentum", "steps", "start"))
        for surface in known:
            _inside(surface, surface.start)
        self.surfaces, self.descent = dict(zip(names, known, strict=True)), None
        super().__init__(
            pictures=[drawn(surface) for surface in known],
            surface=names[0],
            start=list(known[0].start if start is None else start),
            **settings,
        )
        self._walk()
        self.observe(self._moved, ["optimizer", "lr", "momentum", "steps", "start"])
        self.observe(self._other, "surface")

    def _walk(self) -> None:
        self.descent: Descent = descend(
            self.surfaces[self.surface],
            self.start,
            optimizer=self.optimizer,
            lr=self.lr,
            momentum=self.momentum,
            steps=self.steps,
        )
        self.path = walked(self.descent)
        self.say(self.path["says"])

    def _moved(self, _) -> None:
        self._walk()

    def _other(self, _) -> None:
        begin = list(self.surfaces[self.surface].start)
        if begin == self.start:
            self._walk()
        else:
            self.start = begin

    @traitlets.validate("surface")
    def _known_surface(self, proposal):
        if proposal["value"] not in self.surfaces:
            raise UnknownName("surface", proposal["value"], self.surfaces)
        return proposal["value"]

    @traitlets.validate("optimizer")
    def _known_optimizer(self, proposal):
        if proposal["value"] not in OPTIMIZERS:
            raise UnknownName("optimizer", proposal["value"], OPTIMIZERS)
        return proposal["value"]

    @traitlets.validate("lr", "momentum", "steps", "start")
    def _usable(self, proposal):
        check = {
            "lr": partial(real_number, "lr"),
            "momentum": partial(real_number, "momentum", below=1),
            "steps": partial(whole_number, "steps"),
            "start": lambda value: list(_inside(self.surfaces[self.surface], point(value))),
        }[proposal["trait"].name]
        value = check(proposal["value"])
        if proposal["trait"].name == "steps" and value > STEPS:
            raise CourseError(f"{value} steps are too many to draw.", do=f"Choose at most {STEPS}.")
        return value

    def static(self) -> Plot:
        return plots.contours(self.surfaces[self.surface], paths={f"{self.optimizer}, η = {self.lr:g}": self.descent})


def _inside(surface: Surface, start: tuple[float, float]) -> tuple[float, float]:
    """A start that lies in the surface's picture, where the handle can be reached; or the error that says so."""
    left, right, bottom, top = surface.box
    width, height = EDGE * (right - left), EDGE * (top - bottom)
    if left - width <= start[0] <= right + width and bottom - height <= start[1] <= top + height:
        return start
    raise CourseError(
        f"The start ({start[0]:g}, {start[1]:g}) lies outside of the picture of {surface.name!r}.",
        do=f"Choose the first number from {left:g} to {right:g}, the second from {bottom:g} to {top:g}.",
    )
