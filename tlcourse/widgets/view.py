"""What every widget of the course has: a figure and words beside the live view, and news from the notebook's cells."""

from __future__ import annotations

import weakref
from pathlib import Path

import anywidget

from tlcourse.errors import CourseError

HERE = Path(__file__).parent


class View(anywidget.AnyWidget):
    """A widget that is also a figure with words, for nbconvert, a screen reader, or a page without a kernel.

    A subclass has `static()`, which returns a `Plot`, and `act(message)`, which does what the page asks for.
    """

    def __init__(self, **state):
        super().__init__(**state)
        self.on_msg(_heard)
        _after_each_cell(self)

    def static(self):
        """The figure and the words that stand for the widget where it is not alive."""
        raise NotImplementedError

    def act(self, message: dict) -> None:
        """Do what a click or a key asks for."""
        raise NotImplementedError

    def refresh(self) -> None:
        """Show what is so now; called after each cell of the notebook."""

    def say(self, text: str) -> None:
        """A line that the page shows and a screen reader reads."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return repr(self.static())

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


def _after_each_cell(widget: View) -> None:
    """`refresh` after each cell, for as long as the widget lives: what code changes is seen."""
    try:
        from IPython import get_ipython
    except ImportError:
        return
    shell, mine = get_ipython(), weakref.ref(widget)
    if shell is None:
        return

    def ran(*_):
        found = mine()
        if found is None or found.comm is None:  # gone, or closed
            shell.events.unregister("post_run_cell", ran)
            return
        found.refresh()

    shell.events.register("post_run_cell", ran)
