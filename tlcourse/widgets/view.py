"""What every widget of the course has: a figure and words beside the live view, and news from the notebook's cells."""

from __future__ import annotations

import sys
import threading
import weakref
from html import escape
from pathlib import Path

import anywidget
import traitlets

from tlcourse.errors import CourseError
from tlcourse.plots import Plot

_FILES = Path(__file__).parent


def script(*names: str) -> str:
    """The source of a widget's page: what all share, and each `<name>.js`."""
    return _text("common.js") + "".join(_text(f"{name}.js") for name in names)


def style(name: str) -> str:
    """The style of a widget: what all share, and `<name>.css`."""
    return _text("common.css") + _text(f"{name}.css")


def _text(file: str) -> str:
    return (_FILES / file).read_text(encoding="utf-8")


class View(anywidget.AnyWidget):
    """A widget that is also a figure with words, for nbconvert, a screen reader, or a page without a kernel.

    A subclass has `static()`, which returns a `Plot`, and `act(message)`, which does what the page asks for; it takes
    its page from `script` and `style`. A cell that is run again closes the widgets of its last run, so that they do not
    keep a model in memory.
    """

    at_once: frozenset[str] = frozenset()
    status = traitlets.Unicode().tag(sync=True)
    answered = traitlets.Unicode().tag(sync=True)  # the page's last question that was dealt with
    trouble = ""  # what kept it from showing what is so now

    def __init__(self, **state):
        super().__init__(**state)
        self.on_msg(_heard)
        _watch_cells(self)

    def static(self) -> Plot | str:
        """The figure, or only words, that stand for the widget where it is not alive."""
        raise NotImplementedError

    def act(self, message: dict) -> None:
        """Do what a click or a key asks for; while a cell runs it waits, but for what `at_once` names."""

    def refresh(self) -> None:
        """Show what is so now; called after each cell of the notebook."""

    def say(self, text: str) -> None:
        """A line that the page shows and a screen reader reads."""
        self.status = text

    def __repr__(self) -> str:
        still = self.static()
        return still if isinstance(still, str) else still.alt

    def _repr_mimebundle_(self, **options):
        return self.beside(self.static(), **options)

    def beside(self, still: Plot | str, **options):
        """The live view, and what stands for it where it is not alive."""
        made = super()._repr_mimebundle_(**options)
        if made is None:
            return None
        live, metadata = made if isinstance(made, tuple) else (made, {})
        if isinstance(still, str):
            words = f'<p style="white-space: pre-line">{escape(still)}</p>'
            return {**live, "text/html": words, "text/plain": still}, metadata
        return {**live, **still._repr_mimebundle_()}, metadata


# One thing at a time. Some kernels hear the page only between cells, others in a thread of its own while a cell runs;
# ipykernel 7.4 does now this, now that, as it answers where the widget's last news came from. What a click would change
# a running cell may be working with, so it waits. The page says so itself: it alone knows that it was not answered.
_turn, _waiting = threading.RLock(), []
_busy = False


def _heard(widget: View, message, buffers) -> None:
    message = dict(message) if isinstance(message, dict) else {}
    if buffers:  # a file comes beside the message
        message["bytes"] = bytes(buffers[0])
    if message.get("do") in widget.at_once:
        return _answer(widget, message)
    with _turn:
        if _busy:
            _waiting.append((widget, message))
        else:
            _answer(widget, message)


def _answer(widget: View, message: dict) -> None:
    """Do what the page asks for, and tell it that this is done, well or not."""
    try:
        _goes_well(widget, widget.act, message)
    finally:
        if isinstance(message.get("turn"), str):
            widget.answered = message["turn"]


def _goes_well(widget: View, work, *given) -> bool:
    """Whether it did; if not, this widget says what happened, and the others go on."""
    try:
        work(*given)
        return True
    except CourseError as error:
        widget.say(str(error))
    except KeyboardInterrupt:
        widget.say("That was interrupted.")
    except Exception as error:
        widget.say(f"That failed: {type(error).__name__}: {error}")
        widget.log.warning("%s failed", type(widget).__name__, exc_info=True)
    return False


def _cell_begins(*_) -> None:
    global _busy
    with _turn:  # waits for a click that is being dealt with
        _busy = True


def _cell_ends(*_) -> None:
    global _busy
    with _turn:
        _busy = False
        asked, _waiting[:] = list(_waiting), []
        for widget, message in asked:
            if widget.comm is not None:
                _answer(widget, message)
        for widget in alive():
            if not _goes_well(widget, widget.refresh):
                widget.trouble = widget.status
            elif widget.trouble and widget.trouble == widget.status:
                widget.say("")


def alive() -> list[View]:
    """The widgets that are in use, in the order in which they were made."""
    return [widget for widget in (each() for each in _alive) if widget is not None and widget.comm is not None]


_alive: list[weakref.ref] = []
_made_in: dict[str, tuple[str | None, list[weakref.ref]]] = {}  # cell -> (which run of it, the widgets that it made)


def _watch_cells(widget: View) -> None:
    """From now on the widget hears when a cell is done; widgets of the same cell's last run are closed."""
    global _busy
    _alive[:] = [each for each in _alive if each() is not None and each().comm is not None]
    _alive.append(weakref.ref(widget))
    try:
        from IPython import get_ipython
    except ImportError:
        return
    shell = get_ipython()
    if shell is None:
        return
    if _cell_ends not in shell.events.callbacks["post_run_cell"]:
        shell.events.register("pre_run_cell", _cell_begins)
        shell.events.register("post_run_cell", _cell_ends)
        _busy = True  # the cell that made the first widget
    cell, run = running_cell()
    before, widgets = _made_in.get(cell, (run, []))
    if cell is not None and before != run:
        for earlier in filter(None, (each() for each in widgets)):
            earlier.close()
        widgets = []
    _made_in[cell] = run, [*widgets, _alive[-1]]


def running_cell() -> tuple[str | None, str | None]:
    """The cell that runs now, and which run of it; None where that is not known."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    parent = shell.get_parent() if hasattr(shell, "get_parent") else {}
    return parent.get("metadata", {}).get("cellId"), parent.get("header", {}).get("msg_id")
