"""`FreezePanel`: the chain as blocks that lock and unlock the real model."""

from __future__ import annotations

import traitlets
from torch import nn

from tlcourse import plots
from tlcourse.chain import stages
from tlcourse.errors import CourseError, UnknownName
from tlcourse.freezing import audit, frozen
from tlcourse.freezing.choices import choose, outcome, preset
from tlcourse.plots import Plot
from tlcourse.training.estimate import price
from tlcourse.training.trial import trial_step
from tlcourse.widgets.freeze_panel_state import shown
from tlcourse.widgets.view import View, alive, script, style


class FreezePanel(View):
    """A model's chain, a row a stage, to freeze and unfreeze by hand; the real model changes with it.

    Drag the line, click a stage, or use the arrow keys to freeze up to a stage; the lock beside a name toggles that
    stage alone. Code that freezes shows in the panel as soon as its cell has run.

    Arguments:
        model: any model whose `stages` are known.
        data: a `Split`; with it the panel says how many seconds and how much memory a choice would take.
        optimizer: if given, the panel says which stages it holds.
        batch: items a step, for the prediction.
        name: what the model's variable is called, for the line of code.

    >>> from torch import nn
    >>> FreezePanel(nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2)))
    2 stages with 23 parameters; 23 of them (100 %) train. 0: 15, trains; 1: 8, trains.

    Chapters 03 and 04.
    """

    _esm, _css = script("freeze_panel"), style("freeze_panel")
    state = traitlets.Dict().tag(sync=True)

    def __init__(self, model: nn.Module, data=None, *, optimizer=None, batch: int = 32, name: str = "model"):
        stages(model)  # says so when they are not known
        self.model, self.data, self.optimizer, self.name = model, data, optimizer, name
        self.prices = None if data is None else price(model, data, batch=batch)
        self.moved = None
        super().__init__(state=self._shown())

    def freeze(self, *names: str) -> None:
        """Freeze exactly these stages, as a click would; other panels of the same model show it too."""
        choose(self.model, names)
        self.moved = None
        self.refresh()
        for other in alive():
            if isinstance(other, FreezePanel) and other.model is self.model and other is not self:
                other.refresh()

    def refresh(self) -> None:
        """Show what is frozen now."""
        now = self._shown()
        if now != self.state:
            if self.moved is not None and now["stages"] != self.state["stages"]:
                self.moved = None  # that step was taken with other stages frozen
                now = self._shown()
            self.state = now

    def act(self, message: dict) -> None:
        """Do what a click or a key asks for."""
        known = [name for name, _ in stages(self.model).named_children()]
        asked, what = message.get("do"), message.get("what")
        if asked == "until" and isinstance(what, int) and 0 <= what <= len(known):
            self.freeze(*known[:what])
            self.say(f"Frozen up to {known[what - 1]}." if what else "Nothing is frozen.")
        elif asked == "toggle":
            if what not in known:
                raise UnknownName("stage", what, known)
            held = set(frozen(self.model)) ^ {what}
            self.freeze(*held)
            self.say(f"{what} is {'frozen' if what in held else 'open'}.")
        elif asked == "preset":
            self.freeze(*preset(self.model, what))
            self.say(outcome(audit(self.model)))
        elif asked == "step":
            self.step()
        else:
            raise CourseError(f"The panel cannot do {asked!r}.", do="Run the cell again that shows it.")

    def step(self):
        """Take one step of training, show what moved, and put everything back; returns the table."""
        self.say("A step ...")
        moved = trial_step(self.model, self.data)
        self.moved = moved
        self.state = self._shown()
        names = [str(n) for n, row in moved.iterrows() if row["parameters moved"] or row["buffers moved"]]
        said = f"In one step {len(names)} of {len(moved)} stages moved: {', '.join(names) or 'none'}."
        self.say(f"{said} All is put back.")
        return moved

    def static(self) -> Plot:
        return plots.stages(audit(self.model, self.optimizer))

    def _shown(self) -> dict:
        return shown(self.model, self.optimizer, self.prices, self.moved, self.name)
