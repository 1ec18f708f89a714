"""Asking a hub: only in the full profile, and what its library raises becomes words."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from tlcourse import settings
from tlcourse.assets.catalogue import registry
from tlcourse.errors import CourseError

Made = TypeVar("Made")


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


def from_hub(name: str, make: Callable[[], Made]) -> Made:
    """What `make()` returns; whatever a hub's library raises becomes words.

    >>> from_hub("torchvision:resnet50", lambda: 1)
    1
    """
    try:
        with _offline_if_told():
            return make()
    except CourseError:
        raise
    except ImportError as error:
        raise CourseError(
            f"{name!r} needs a package that is not installed.",
            why=first_line(error),
            do='Install what the full profile uses, in the clone: python -m pip install --editable ".[lab,full]".',
        ) from error
    except Exception as error:  # no network, a name the hub refuses, a broken file: each library has errors of its own
        do = "Check the name and the network, or load it once where there is a network: its hub keeps a local copy."
        if settings.offline():
            do = "TLCOURSE_OFFLINE is set: unset it and run `tlcourse fetch --profile full` where there is a network."
        raise CourseError(f"{name!r} could not be loaded from its hub.", why=_why(error), do=do) from error


def _why(error: BaseException) -> str:
    """What an error says, and what the first of those behind it said: a library often hides a lost connection."""
    first = error
    while first.__cause__ or first.__context__:
        first = first.__cause__ or first.__context__
    said, began = first_line(error), first_line(first)
    return said if began in said else f"{said} (It began with: {began})"


@contextmanager
def _offline_if_told() -> Iterator[None]:
    """TLCOURSE_OFFLINE is HF_HUB_OFFLINE too; it can be set after those libraries have been imported."""
    if not settings.offline():
        yield
        return
    from huggingface_hub import constants

    modules = [constants, *([sys.modules["datasets.config"]] if "datasets.config" in sys.modules else [])]
    before = [module.HF_HUB_OFFLINE for module in modules]
    for module in modules:
        module.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        for module, value in zip(modules, before, strict=True):
            module.HF_HUB_OFFLINE = value


def first_line(error: BaseException) -> str:
    """The first line of what an error says, cut off where it is long; its class where it says nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]
