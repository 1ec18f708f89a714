"""What every widget of the course has: a figure and words beside the live view, and news from the notebook's cells."""

from __future__ import annotations

import weakref
from pathlib import Path

import anywidget
import traitlets

from tlcourse.errors import CourseError
from tlcourse.plots import Plot

_FILES = Path(__file__).parent
_made_in: dict[str, tuple[str, list]] = {}  # cell -> (which run of it, the widgets that it made, weakly)


def script(name: str) -> str:
    """The source of a widget's page: what all share, and `<name>.js`."""
    return _text("common.js") + _text(f"{name}.js")


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

    status = traitlets.Unicode().tag(sync=True)

    def __init__(self, **state):
        super().__init__(**state)
        self.on_msg(_heard)
        _watch_cells(self)

    def static(self) -> Plot:
        """The figure and the words that stand for the widget where it is not alive."""
        raise NotImplementedError

    def act(self, message: dict) -> None:
        """Do what a click or a key asks for."""

    def refresh(self) -> None:
        """Show what is so now; called after each cell of the notebook."""

    def say(self, text: str) -> None:
        """A line that the page shows and a screen reader reads."""
        self.status = text

    def __repr__(self) -> str:
        return self.static().alt

    def _repr_mimebundle_(self, **options):
        made = super()._repr_mimebundle_(**options)
        if made is None:
            return None
        live, metadata = made if isinstance(made, tuple) else (made, {})
        return {**live, **self.static()._repr_mimebundle_()}, metadata


def _heard(widget: View, message, buffers) -> None:
    try:
        widget.act(message if isinstance(message, dict) else {})
    except CourseError as error:
        widget.say(str(error))
    except Exception as error:
        widget.say(f"That failed: {type(error).__name__}: {error}")
        raise


def _watch_cells(widget: View) -> None:
    """`refresh` after each cell, for as long as the widget lives: what code changes is seen."""
    try:
        from IPython import get_ipython
    except ImportError:
        return
    shell, mine = get_ipython(), weakref.ref(widget)
    if shell is None:
        return
    _close_earlier(shell, mine)

    def ran(*_):
        found = mine()
        if found is None or found.comm is None:  # gone, or closed
            shell.events.unregister("post_run_cell", ran)
            return
        found.refresh()

    shell.events.register("post_run_cell", ran)


def _close_earlier(shell, mine: weakref.ref) -> None:
    parent = shell.get_parent() if hasattr(shell, "get_parent") else {}
    cell, run = parent.get("metadata", {}).get("cellId"), parent.get("header", {}).get("msg_id")
    if cell is None:
        return
    before, widgets = _made_in.get(cell, (run, []))
    if before != run:
        for earlier in filter(None, (each() for each in widgets)):
            earlier.close()
        widgets = []
    _made_in[cell] = run, [*widgets, mine]
