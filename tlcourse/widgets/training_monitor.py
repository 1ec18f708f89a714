"""`TrainingMonitor`: curves that grow while `fit` trains, and a button that stops it."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import traitlets

from tlcourse import plots
from tlcourse.plots import Plot
from tlcourse.training.watch import Watcher, no_interrupts, show_in_notebooks
from tlcourse.widgets.training_monitor_state import Curve, drawn, names, top
from tlcourse.widgets.view import View, running_cell, script, style

MOST = 8
"""So many runs are drawn; when there are more, the oldest go."""
OFTEN = 0.25
"""Seconds between two pictures."""
QUICK = 0.6
"""Seconds: a run that is over sooner shows nothing. It would flicker, and clutter a cell of many short runs."""


class TrainingMonitor(View, Watcher):
    """Live curves of loss and accuracy, the time left, and a button that stops after the batch.

    `fit` shows one by itself in a notebook. The runs of a cell share it, and when the cell is run again, its earlier
    runs stay to compare with. One that is made by hand gathers the runs of several cells.

    >>> from tlcourse import fit, freeze, load, load_dataset
    >>> monitor = TrainingMonitor()
    >>> model = freeze(load("efficientnet-lite0", classes=2, pretrained=False, size=32))
    >>> _ = fit(model, load_dataset("faces").train[:8], epochs=2, progress=monitor)
    >>> monitor.curves[0].state
    'done'

    Introduced in chapter 03.
    """

    _esm, _css = script("training_monitor"), style("training_monitor")
    earlier = traitlets.List().tag(sync=True)
    now = traitlets.Dict().tag(sync=True)
    at_once = frozenset({"stop"})
    show = None

    def __init__(self, curves: list[Curve] | None = None):
        self.curves, self._handles, self._kept, self._drawn, self._name = list(curves or ()), [], None, 0.0, ""
        super().__init__()

    # what fit calls ---------------------------------------------------------------------------------

    def begin(self, settings, epochs, steps, rows):
        self.follow(Curve(dict(settings), epochs, steps, done=len(rows) * steps, rows=list(rows)))

    def follow(self, curve: Curve) -> None:
        """Draw a run from now on, beside the earlier ones."""
        self.stopped = False
        self.curves = [*self.curves[-(MOST - 1) :], curve]
        *before, self._name = names([each.settings for each in self.curves])
        self.earlier = [drawn(each, name) for each, name in zip(self.curves[:-1], before, strict=True)]
        self._draw()

    def batch(self, loss, accuracy):
        self.curves[-1].add(loss, accuracy)
        if time.monotonic() - self._drawn > OFTEN:
            self._draw()

    def epoch(self, row):
        self.curves[-1].rows.append(row)

    def end(self, error=None):
        if self.curves and self.curves[-1].state == "running":
            self.curves[-1].end(error)
            self.ended()

    def ended(self) -> None:
        """Show how the last run ended."""
        self._draw()
        self.say("")

    # what the page asks for -------------------------------------------------------------------------

    def act(self, message):
        if message.get("do") == "stop" and self.curves and self.curves[-1].state == "running":
            self.stop()
            self.say("It stops after this batch ...")
        elif message.get("do") == "forget":
            self.forget()

    def forget(self) -> None:
        """Forget all runs but the last."""
        self.curves = self.curves[-1:]
        self.earlier = []
        if self.curves:
            self._draw()  # another run may have said how high the picture reaches

    # where it is not alive --------------------------------------------------------------------------

    def show_here(self) -> None:
        """Show it under the cell that runs now; when the cell is over, what a saved notebook keeps is the figure."""
        self._show(f"Training: {self.curves[-1].words()}.")  # a figure would take longer to draw than many batches

    def _ipython_display_(self):
        # IPython asks for this first: what is shown before a run has to become the figure later
        if not self._handles:
            self._kept = self._now()
        self._show(self.static())

    def _show(self, still: Plot | str) -> None:
        from IPython.display import display

        self._handles.append(display(self.beside(still)[0], raw=True, display_id=True))

    def _now(self) -> list:
        return [(id(curve), len(curve.rows), curve.state) for curve in self.curves]

    def refresh(self):
        if self._handles and self._now() != self._kept:
            with no_interrupts():  # who presses the button twice would lose the figure
                made, self._kept = self._repr_mimebundle_()[0], self._now()
                for handle in self._handles:
                    handle.update(made, raw=True)

    def static(self) -> Plot | str:
        told = [curve for curve in self.curves if curve.rows]
        if not told:
            return f"Training: {self.curves[-1].words()}." if self.curves else "No training run yet."
        made = plots.history(*(c.rows for c in told), labels=names([c.settings for c in told]) if told[1:] else None)
        if self.curves[-1].state == "done":
            return made
        return replace(made, alt=f"{made.alt} The last run: {self.curves[-1].words()}.")

    def _draw(self) -> None:
        self._drawn = time.monotonic()
        self.now = drawn(self.curves[-1], self._name, self._drawn) | {"top": top(self.curves)}

    def send_state(self, key=None):
        try:
            super().send_state(key)
        except Exception:  # a cell that waits for a thread was interrupted: this takes the thread's way to the page
            if threading.current_thread() is threading.main_thread():
                raise  # but a run in a thread of the learner's own goes on without a picture


class _OfThisCell(Watcher):
    """Brings up the cell's monitor once a run takes long enough to be looked at."""

    show = None

    def __init__(self):
        self.monitor, self.curve = None, None

    @property
    def stopped(self):
        return self._stopped or (self.monitor is not None and self.monitor.stopped)

    _stopped = False

    def stop(self):
        self._stopped = True
        if self.monitor is not None:
            self.monitor.say("It stops after this batch ...")

    def begin(self, settings, epochs, steps, rows):
        self.curve = Curve(dict(settings), epochs, steps, done=len(rows) * steps, rows=list(rows))
        if _shown_in(running_cell()):
            self._bring()

    def batch(self, loss, accuracy):
        if self.monitor is not None:
            return self.monitor.batch(loss, accuracy)
        self.curve.add(loss, accuracy)
        if time.monotonic() - self.curve.began > QUICK:
            self._bring()

    def epoch(self, row):
        self.curve.rows.append(row)

    def end(self, error=None):
        if self.curve is not None and self.curve.state == "running":
            self.curve.end(error)
            if self.monitor is not None:
                self.monitor.ended()

    def _bring(self):
        cell = running_cell()
        self.monitor = _shown_in(cell)
        if self.monitor is not None:
            return self.monitor.follow(self.curve)
        _, before = _monitors.get(cell[0], (None, None)) if cell[0] is not None else (None, None)
        self.monitor = TrainingMonitor(before.curves if before is not None else ())
        _monitors[cell[0]] = cell[1], self.monitor
        self.monitor.follow(self.curve)
        self.monitor.show_here()


_monitors: dict[str | None, tuple[str | None, TrainingMonitor]] = {}  # cell -> (which run of it, its monitor)


def _shown_in(cell: tuple[str | None, str | None]) -> TrainingMonitor | None:
    run, monitor = _monitors.get(cell[0], (None, None))
    return monitor if monitor is not None and run == cell[1] and monitor.comm is not None else None


show_in_notebooks(_OfThisCell)
