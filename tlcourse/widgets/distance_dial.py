"""`DistanceDial`: turn the target away from the source, and see when the source's labels help and when they harm."""

from __future__ import annotations

import traitlets

from tlcourse import plots
from tlcourse.adaptation import DISTANCES, pair
from tlcourse.errors import CourseError
from tlcourse.plots import Plot
from tlcourse.widgets.distance_dial_state import LABELS, POINTS, curve, dialled, nearest, offered
from tlcourse.widgets.view import View, script, style


class DistanceDial(View):
    """Two sliders, the distance of source and target and the number of target labels, and what transfer gains there.

    `dial.distance` and `dial.labels` read what is set, and set it from code.

    Arguments:
        distance: from 0 (the same task) to 1 (the classes differ in a direction at right angles).
        labels: labelled items of the target, a class: 1, 2, 5, 10, 20, 50 or 100.

    Raises `CourseError` for a setting that the dial does not have.

    >>> DistanceDial(distance=0.8, labels=10)
    Distance 0.800, 10 target labels a class. ... negative transfer, −0.1... Over all distances: gain from 0 to ...

    Chapter 01.
    """

    _esm, _css = script("distance_dial"), style("distance_dial")
    state = traitlets.Dict().tag(sync=True)

    def __init__(self, distance: float = 0.4, labels: int = 5):
        super().__init__(state=dialled(nearest(distance), offered(labels)))

    @property
    def distance(self) -> float:
        """How far the target's task is turned away, 0 to 1; a new value goes to the nearest step."""
        return self.state["distance"]

    @distance.setter
    def distance(self, value: float) -> None:
        self.state = dialled(nearest(value), self.state["chosen"])

    @property
    def labels(self) -> int:
        """Labelled items of the target, a class."""
        return self.state["labels"]

    @labels.setter
    def labels(self, value: int) -> None:
        self.state = dialled(self.state["at"], offered(value))

    def act(self, message: dict) -> None:
        """Do what a slider asks for."""
        at, chosen = message.get("at"), message.get("chosen")
        for place, most in ((at, len(DISTANCES)), (chosen, len(LABELS))):
            if isinstance(place, bool) or not isinstance(place, int) or not 0 <= place < most:
                raise CourseError("The dial has no such step.", do="Run the cell again that shows it.")
        self.state = dialled(at, chosen)
        self.say("")

    def static(self) -> Plot:
        """The clouds and the curve as a figure, and the setting in words."""
        return plots.distance(pair(self.distance, POINTS), curve(self.labels), self.state["at"])
