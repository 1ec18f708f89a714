"""Errors that tell a learner what happened, why, and what to type next."""

from __future__ import annotations

import math
import traceback
from collections.abc import Iterable
from difflib import get_close_matches
from numbers import Integral, Real
from pathlib import Path

_PACKAGE = str(Path(__file__).parent)


class CourseError(Exception):
    """Something a learner can put right.

    Arguments:
        what: what happened, in one sentence.
        why: the cause, in one sentence.
        do: what to type or change next.

    >>> print(CourseError("No class has any images.", why="The folder is empty.", do="Add a folder a class."))
    No class has any images.
      Why:  The folder is empty.
      Next: Add a folder a class.
    """

    def __init__(self, what: str, *, why: str = "", do: str = ""):
        self.what, self.why, self.do = what, why, do
        lines = [what, why and f"  Why:  {why}", do and f"  Next: {do}"]
        super().__init__("\n".join(line for line in lines if line))

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows: the learner's own line and the message, without the package's inner frames."""
        frames = []
        for frame in traceback.extract_tb(self.__traceback__):
            if frame.filename.startswith(_PACKAGE):
                break
            frames.append(frame)
        where = f" in line {frames[-1].lineno}: {frames[-1].line}" if frames else ""
        return [f"{type(self).__name__}{where}", "", *str(self).splitlines()]

    def __reduce__(self):
        return _rebuild, (type(self), self.what, self.why, self.do, self.__dict__)


def whole_number(name: str, value: object, low: int = 1) -> int:
    """`value` if it is a whole number from `low`; else the error that says so.

    >>> whole_number("epochs", 3)
    3
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < low:
        raise CourseError(f"{name}={value!r} will not do.", do=f"Choose a whole number from {low}.")
    return int(value)


def real_number(name: str, value: object, low: float = 0.0, below: float = math.inf) -> float:
    """`value` if it is a number from `low` that is smaller than `below`; else the error that says so.

    >>> real_number("dropout", 0.5, below=1)
    0.5
    """
    if isinstance(value, bool) or not isinstance(value, Real) or not low <= value < below:  # NaN neither
        upper = "" if below == math.inf else f" that is smaller than {below:g}"
        raise CourseError(f"{name}={value!r} will not do.", do=f"Choose a number from {low:g}{upper}.")
    return float(value)


def _rebuild(cls, what, why, do, state):
    error = cls.__new__(cls)
    CourseError.__init__(error, what, why=why, do=do)
    error.__dict__.update(state)
    return error


class UnknownName(CourseError):
    """A model, data set, stage, class or option that does not exist.

    The message names the nearest names that do.

    >>> print(UnknownName("model", "efficientnet-lite", ["efficientnet-lite0", "minilm"]))
    There is no model called 'efficientnet-lite'.
      Why:  The models are: 'efficientnet-lite0', 'minilm'.
      Next: Did you mean 'efficientnet-lite0'?
    """

    def __init__(self, kind: str, name: object, known: Iterable[str], *, do: str = ""):
        known = [str(k) for k in known]
        near = get_close_matches(str(name), known, n=2, cutoff=0.4)
        shown = ", ".join(repr(k) for k in known[:12]) + (f" and {len(known) - 12} more" if len(known) > 12 else "")
        guess = f"Did you mean {' or '.join(repr(n) for n in near)}?" if near else ""
        super().__init__(
            f"There is no {kind} called {str(name)!r}.",
            why=f"The {_plural(kind)} are: {shown}." if known else f"There are no {_plural(kind)} yet.",
            do=" ".join(part for part in (guess, do) if part),
        )


def _plural(noun: str) -> str:
    noun, of, rest = noun.partition(" of ")  # options of a data set
    if noun.endswith("z"):
        return noun + "zes" + of + rest
    return noun + ("es" if noun.endswith(("s", "x", "ch")) else "s") + of + rest
