"""Asking a hub: only in the full profile, and what its library raises becomes words."""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from tlcourse import settings
from tlcourse.assets import store
from tlcourse.assets.catalogue import megabytes, registry
from tlcourse.errors import CourseError

Made = TypeVar("Made")
PATIENCE = 60.0  # seconds without an answer, after which a download is given up
UNSAFE = "weights_only|trust_remote_code|allow_pickle"  # words of advice that the course does not pass on


def check_profile(name: str, do: str = "") -> None:
    """Raise `CourseError` in the small profile, which uses no hub.

    Arguments:
        name: what is to come from a hub.
        do: what else one could type.
    """
    if settings.profile() != "full":
        fetch = f"`tlcourse fetch --profile full {name}`" if name in registry() else "`tlcourse fetch --profile full`"
        raise CourseError(
            f"{name!r} comes from a hub, and the small profile uses none.",
            why="In the small profile everything arrives with pip, so that the course runs without a network.",
            do=f"Type {fetch} where there is a network, and set TLCOURSE_PROFILE=full before you start Jupyter"
            + (f", or {do}." if do else "."),
        )


def from_hub(name: str, make: Callable[[], Made], copy: Callable[[], Path | None] = lambda: None) -> Made:
    """What `make()` returns; whatever a hub's library raises becomes words.

    Arguments:
        name: of what is to come.
        make: lets the library load it.
        copy: where the library's whole copy lies on this machine, or None. What lies there is read without asking a
            network; the hub is asked only where that fails, and then the copy is named as what may be damaged.

    >>> from_hub("torchvision:resnet50", lambda: 1)
    1
    """
    try:
        with _answering_in(PATIENCE):
            return _local_first(make, copy)
    except CourseError:
        raise
    except ImportError as error:
        raise CourseError(
            f"{name!r} needs a package that is not installed.",
            why=first_line(error),
            do='Install what the full profile uses, in the clone: python -m pip install --editable ".[lab,full]".',
        ) from error
    except Exception as error:  # no network, a name the hub refuses, a broken file: each library has errors of its own
        raise _in_words(name, error, copy()) from error


def _local_first(make: Callable[[], Made], copy: Callable[[], Path | None]) -> Made:
    if settings.offline() or not copy():
        with _offline(settings.offline()):
            return make()
    try:
        with _offline(True):
            return make()
    except (CourseError, ImportError):
        raise
    except Exception:  # perhaps a part of it never arrived
        with _offline(False):
            return make()


def _in_words(name: str, error: Exception, copy: Path | None) -> CourseError:
    full, denied = (
        next((one for one in _chain(error) if isinstance(one, OSError) and one.errno in numbers), None)
        for numbers in (store.FULL, store.DENIED)
    )
    if full is not None:
        where = Path(full.filename) if isinstance(full.filename, str) else copy or settings.home()
        return CourseError(
            f"The disk became full while {name!r} was fetched.",
            why=f"{where} has {megabytes(store.free(where))} free. ({first_line(full)})",
            do="Free some space, or name folders on another disk before you start: HF_HOME, TORCH_HOME, KERAS_HOME and "
            "TLCOURSE_HOME.",
        )
    if denied is not None:
        return CourseError(
            f"{name!r} could not be loaded: its library may not write where it has to.",
            why=first_line(denied),
            do="Name folders of your own before you start: HF_HOME, TORCH_HOME, KERAS_HOME and TLCOURSE_HOME.",
        )
    if copy is not None:
        return CourseError(
            f"{name!r} is on this machine, and could not be loaded.",
            why=_why(error),
            do=f"A file of it seems to be damaged: remove {str(copy)!r}, and load it again where there is a network.",
        )
    do = "Check the name and the network, or load it once where there is a network: its hub keeps a local copy."
    if settings.offline():
        do = "TLCOURSE_OFFLINE is set: unset it and run `tlcourse fetch --profile full` where there is a network."
    return CourseError(f"{name!r} could not be loaded from its hub.", why=_why(error), do=do)


def _chain(error: BaseException) -> list[BaseException]:
    """An error and those behind it, the first of all last."""
    found = [error]
    while (behind := found[-1].__cause__ or found[-1].__context__) and behind not in found:
        found.append(behind)
    return found


def _why(error: BaseException) -> str:
    """What an error says, and what the first of those behind it said: a library often hides a lost connection."""
    said, began = first_line(error), first_line(_chain(error)[-1])
    return said if began in said else f"{said} (It began with: {began})"


@contextmanager
def _answering_in(seconds: float) -> Iterator[None]:
    """Connections made meanwhile give up when nothing arrives for so long; by itself urllib waits for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


@contextmanager
def _offline(told: bool) -> Iterator[None]:
    """As HF_HUB_OFFLINE does, which those libraries read once: when they are imported."""
    if not told:
        yield
        return
    from huggingface_hub import constants

    def tell(value: bool) -> None:
        for module in (constants, sys.modules.get("datasets.config")):  # the second may be imported meanwhile
            if module is not None:
                module.HF_HUB_OFFLINE = value

    before = constants.HF_HUB_OFFLINE
    tell(True)
    try:
        yield
    finally:
        tell(before)


def first_line(error: BaseException) -> str:
    """The first line of what an error says, cut off where it is long; its class where it says nothing.

    Advice to load what may hold code is left out.

    >>> first_line(ValueError("The file is broken. Pass weights_only=False to load it. See there."))
    'The file is broken. See there.'
    """
    line = next(iter(str(error).strip().splitlines()), "")
    said = " ".join(part for part in re.split(r"(?<=[.!?]) ", line) if not re.search(UNSAFE, part))
    return said[:200] or type(error).__name__
