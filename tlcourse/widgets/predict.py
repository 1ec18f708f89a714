"""`Predict`: hand a model an image or a sentence, and see what it says and what counted."""

from __future__ import annotations

import traitlets
from torch import nn

from tlcourse import plots
from tlcourse.datasets import PHOTOGRAPHS, photograph
from tlcourse.datasets.reading import SUFFIXES
from tlcourse.errors import CourseError
from tlcourse.explain import Prediction, predict
from tlcourse.explain.items import kind_of
from tlcourse.plots import Plot
from tlcourse.widgets.predict_state import LARGE, shown
from tlcourse.widgets.view import View, script, style

START = "coffee"
"""The photograph that is there at first."""


class Predict(View):
    """A model to ask: drop an image on it, choose a file or a photograph of the course, or type a sentence.

    It shows the likeliest classes with their shares, and for each of them what counted: which places of the image speak
    for it, or by how much its share falls without a word. What cannot be read gets a line that says why, and what was
    there before stays. An image goes to the kernel and nowhere else.

    Arguments:
        model: any classifier, e.g. from `load`.
        item: what to ask about first, anything that `predict` takes; image models begin with a photograph.
        top: how many classes to name.
        transform: raw item -> model input, if not `model.transform`.

    `ask(item)` does from code what a drop does; `prediction` is the last answer.

    >>> from tlcourse import load
    >>> Predict(load("efficientnet-lite0"), top=2)
    espresso 95 %, cup 2 % (of 1,000 classes). Half of what speaks for espresso lies on ...

    Chapter 00.
    """

    _esm, _css = script("predict_view", "predict"), style("predict")
    state = traitlets.Dict().tag(sync=True)
    picture = traitlets.Bytes().tag(sync=True)
    maps = traitlets.Bytes().tag(sync=True)
    kind = traitlets.Unicode().tag(sync=True)
    photographs = traitlets.List(traitlets.Unicode()).tag(sync=True)
    large = traitlets.Int(LARGE).tag(sync=True)
    files = traitlets.List(list(SUFFIXES)).tag(sync=True)

    def __init__(self, model: nn.Module, item=None, *, top: int = 5, transform=None):
        self.model, self.top, self.transform = model, top, transform
        self.prediction: Prediction | None = None
        kind = kind_of(model, transform or getattr(model, "transform", None), item)
        super().__init__(kind=kind, photographs=sorted(PHOTOGRAPHS) if kind == "image" else [])
        if item is not None:
            self.ask(item)
        elif kind == "text":
            predict(model, "word", 1, where=False, transform=transform)  # a model without a head is told at once
        else:
            self._begin()

    def ask(self, item, source: str = "") -> Prediction:
        """Ask the model about an item, show the answer, and return it; raises `CourseError` for what cannot be read."""
        made = predict(self.model, item, self.top, transform=self.transform)
        state, picture, maps = shown(made, source or (item if isinstance(item, str) and made.kind == "image" else ""))
        self.prediction, self._versions = made, _versions(self.model)
        with self.hold_sync():
            self.state, self.picture, self.maps = {**state, "turn": self.state.get("turn", 0) + 1}, picture, maps
        self.say("")
        return made

    def _begin(self) -> None:
        try:
            first = photograph(START)
        except CourseError as error:  # not fetched yet; a file can still be dropped
            return self.say(str(error))
        self.ask(first, START)

    def act(self, message):
        asked, what = message.get("do"), message.get("what")
        self.say("")  # so that the same line twice is heard twice
        if asked == "file" and isinstance(message.get("bytes"), bytes):
            name = str(message.get("name") or "the file")
            try:
                self.ask(message["bytes"], name)
            except CourseError as error:  # the bytes do not know what their file is called
                raise CourseError(
                    error.what.replace("The file", repr(name)[:120]), why=error.why, do=error.do
                ) from None
        elif asked == "photograph":
            self.ask(photograph(what), what)
        elif asked == "text" and isinstance(what, str):
            self.ask(what)
        else:
            raise CourseError(f"The widget cannot do {asked!r}.", do="Run the cell again that shows it.")

    def refresh(self):
        if self.prediction is not None and _versions(self.model) != self._versions:
            self._versions = _versions(self.model)
            self.say("The model has changed since this answer: ask again.")

    def static(self) -> Plot | str:
        if self.prediction is None:
            return "Nothing was asked yet."
        return plots.prediction(self.prediction)


def _versions(model: nn.Module) -> int:
    """A number that grows whenever a weight is changed in place, as optimizers do."""
    try:
        return sum(tensor._version for tensor in model.state_dict(keep_vars=True).values())
    except (AttributeError, RuntimeError):  # inference tensors do not count
        return 0
