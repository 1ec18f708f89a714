"""Who looks on while `fit` trains: a bar, or a widget of the notebook; and how both stop it between two batches."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from tlcourse.errors import CourseError
from tlcourse.hardware import in_notebook, progress_bar


class Watcher:
    """Looks on, and may ask for a stop; this one shows nothing.

    `show` is for the bars of what goes before, e.g. of computing features: True, False, or None where someone looks.
    `fit` calls `begin` before the first batch, `batch` after each, `epoch` after each pass, and `end` in any case. When
    `stopped` is true after a batch, no other batch begins. `end` is told the error, if one ended the run.

    >>> watcher = Watcher()
    >>> watcher.stop()
    >>> watcher.stopped
    True
    """

    show: bool | None = False
    stopped = False

    def stop(self) -> None:
        """Ask for a stop after the batch that is being computed."""
        self.stopped = True

    def begin(self, settings: Mapping, epochs: int, steps: int, rows: list[dict]) -> None:
        """A run with these settings begins: so many epochs of so many batches; `rows` are those of a checkpoint."""

    def batch(self, loss: float, accuracy: float) -> None:
        """A batch was trained on; its mean loss, and the share that was right."""

    def epoch(self, row: dict) -> None:
        """An epoch has ended with these figures."""

    def end(self, error: BaseException | None = None) -> None:
        """The run is over; or was interrupted, or broke off with another error."""


class Bar(Watcher):
    """A line of text with the time left, where someone looks."""

    def __init__(self, show: bool | None = None):
        self.show, self.line = show, None

    def begin(self, settings, epochs, steps, rows):
        done = len(rows) * steps
        self.line = progress_bar(None, "training", self.show, total=epochs * steps, initial=done)

    def stop(self):
        super().stop()
        if self.line is not None:
            self.line.set_description("stopping after this batch", refresh=False)

    def batch(self, loss, accuracy):
        self.line.update()

    def epoch(self, row):
        self.line.set_postfix({k: f"{v:.3f}" for k, v in row.items() if k not in ("epoch", "seconds")}, refresh=False)

    def end(self, error=None):
        if self.line is not None:
            self.line.close()


_in_notebooks: Callable[[], Watcher] | None = None


def show_in_notebooks(make: Callable[[], Watcher] | None) -> None:
    """From now on `fit` asks this for a watcher in a notebook; None goes back to the bar."""
    global _in_notebooks
    _in_notebooks = make


def watcher(progress: bool | Watcher | None, leads: bool = True) -> Watcher:
    """The one who looks on.

    Arguments:
        progress: a `Watcher`; True or False for a bar in any case or never; None where someone looks.
        leads: whether this process is the one of a team that may show something.

    Raises `CourseError` for anything else.

    >>> type(watcher(False)).__name__, type(watcher(True)).__name__
    ('Watcher', 'Bar')
    """
    if not (progress is None or isinstance(progress, bool | Watcher)):
        raise CourseError(
            f"progress={progress!r} will not do.", do="Choose True, False, a TrainingMonitor(), or leave it out."
        )
    if not leads or progress is False:
        return Watcher()
    if isinstance(progress, Watcher):
        return progress
    if in_notebook() and _in_notebooks is not None:
        return _in_notebooks()
    return Bar(progress)


def bar(progress: bool | None) -> Watcher:
    """The one who looks on where there is no accuracy to draw: a bar of text, or none.

    Arguments:
        progress: True or False for a bar in any case or never; None where someone looks.

    >>> type(bar(False)).__name__, type(bar(True)).__name__
    ('Watcher', 'Bar')
    """
    if progress not in (None, True, False):
        raise CourseError(f"progress={progress!r} will not do.", do="Choose True or False, or leave it out.")
    return Watcher() if progress is False else Bar(progress)


@contextmanager
def no_interrupts() -> Iterator[None]:
    """No interrupt is heard: for what is short and has to be whole, such as the figure that a stopped run leaves."""
    before = signal.getsignal(signal.SIGINT) if threading.current_thread() is threading.main_thread() else None
    if before is None:
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def stops_between_batches(watcher: Watcher, alone: bool = True) -> Iterator[None]:
    """The first interrupt (Ctrl+C, the notebook's stop button) asks for a stop; the second one does not wait.

    Arguments:
        watcher: whom the first one stops.
        alone: False where several processes train together: one of them that stops would leave the others waiting.
    """
    before = signal.getsignal(signal.SIGINT) if threading.current_thread() is threading.main_thread() else None
    if before is not signal.default_int_handler or not alone:  # somebody else's handler stays, and so does none
        yield
        return

    def pressed(number, frame):
        if watcher.stopped:
            raise KeyboardInterrupt
        watcher.stop()

    signal.signal(signal.SIGINT, pressed)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
