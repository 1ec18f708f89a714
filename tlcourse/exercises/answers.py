"""Reading what a learner handed in: open, wrong, or stopped by an error."""

from __future__ import annotations

import dis
from contextlib import contextmanager
from types import FunctionType


class NotYet(Exception):
    """The answer is wrong; the message names the misconception it shows."""


class NotAttempted(Exception):
    """The learner's function says itself that it is not written yet."""


class Stopped(Exception):
    """The learner's function raised an error; the message is short and names the line."""


def open_answer(answer) -> bool:
    """Whether nothing was answered yet: `...`, `None`, or a function whose body is only that."""
    return answer is ... or answer is None or (isinstance(answer, FunctionType) and _is_stub(answer))


@contextmanager
def torch_put_back():
    """An answer may set for all of torch that it keeps no gradients, another type of numbers, or a seed: no longer."""
    import torch

    dtype, gradients, threads = torch.get_default_dtype(), torch.is_grad_enabled(), torch.get_num_threads()
    try:
        with torch.random.fork_rng(devices=[]):  # the cells behind draw what they would without the check
            yield
    finally:
        torch.set_default_dtype(dtype)
        torch.set_grad_enabled(gradients)
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)


def call(function, *arguments):
    """What the learner's function returns.

    Raises `NotYet` if it is no function, `NotAttempted` if it is not written yet, and `Stopped` if it fails.
    """
    if not callable(function):
        raise NotYet(f"A function is expected here, not {_a(function)}. Hand it in without calling it.")
    try:
        result = function(*arguments)
    except NotImplementedError:
        raise NotAttempted from None
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a learner's exit() must not end the kernel either
        line = _line(error, function)
        raise Stopped(f"{brief(error)}{f' (Line {line} of your cell.)' if line else ''}") from None
    if result is ...:
        raise NotAttempted
    return result


def brief(error: object, limit: int = 200) -> str:
    """An error or value in one line."""
    try:
        words = " ".join(str(error).split())
    except Exception:
        words = "its message cannot be shown"
    if isinstance(error, BaseException):
        words = f"{type(error).__name__}: {words}" if words else type(error).__name__
    words = words if len(words) <= limit else words[: limit - 1] + "…"
    return words if words.endswith((".", "…", "!", "?")) else words + "."


def whole(value, name: str) -> int:
    """A whole number from an int, a float without a fraction, or a tensor of one number."""
    try:
        if isinstance(value, (bool, str)) or float(value) != int(value):
            raise TypeError
        return int(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        raise NotYet(f"`{name}` should be a whole number, not {_a(value)}.") from None


def _a(value) -> str:
    kind = type(value).__name__
    return f"an {kind}" if kind[0].lower() in "aeiou" else f"a {kind}"


def _is_stub(function: FunctionType) -> bool:
    """A body of `...`, `pass` or a docstring alone does nothing but return a constant that says nothing."""
    for step in dis.get_instructions(function):
        if step.opname.startswith(("RESUME", "NOP", "RETURN", "LOAD_CONST")):
            if step.opname.startswith(("RETURN_CONST", "LOAD_CONST")) and step.argval not in (None, ...):
                return False
        else:
            return False
    return True


def _line(error: BaseException, function) -> int | None:
    """The last line of the learner's own code that the error went through."""
    source = getattr(getattr(function, "__code__", None), "co_filename", None)
    trace, line = error.__traceback__, None
    while trace is not None and source is not None:
        if trace.tb_frame.f_code.co_filename == source:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
