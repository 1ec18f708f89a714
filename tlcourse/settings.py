"""The environment variables that steer the course, read in one place."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import platformdirs

from tlcourse.errors import CourseError, UnknownName

PROFILES = ("small", "full")


def home() -> Path:
    """The folder that holds fetched weights and data, kept features and progress.

    `TLCOURSE_HOME` moves it; by default it is the user's cache folder. It may be read-only.
    """
    chosen = os.environ.get("TLCOURSE_HOME")
    return Path(chosen).expanduser().absolute() if chosen else platformdirs.user_cache_path("tlcourse", appauthor=False)


def environment() -> dict[str, str]:
    """The environment for a program started in another folder: paths made absolute, this Python's commands first.

    Threads that have nothing to do sleep there instead of spinning. On two cores that something else uses as well, a
    spinning thread keeps the one that it waits for from running: small networks then trained twenty times slower.
    """
    made = {"OMP_WAIT_POLICY": "PASSIVE"} | os.environ
    if made.get("TLCOURSE_HOME"):
        made["TLCOURSE_HOME"] = str(home())
    made["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), made.get("PATH", "")])
    return made


def profile() -> str:
    """`"small"` (everything arrives with pip; the default) or `"full"` (`TLCOURSE_PROFILE=full`)."""
    name = os.environ.get("TLCOURSE_PROFILE", "small")
    if name not in PROFILES:
        raise UnknownName("profile", name, PROFILES, do="Set TLCOURSE_PROFILE=small or TLCOURSE_PROFILE=full.")
    return name


def offline() -> bool:
    """Whether `TLCOURSE_OFFLINE=1` forbids every download."""
    return os.environ.get("TLCOURSE_OFFLINE", "").lower() in ("1", "true", "yes")


def features_limit() -> int:
    """Bytes that kept features may take on disk; `TLCOURSE_FEATURES_LIMIT_MB`, 2048 by default."""
    return _megabytes("TLCOURSE_FEATURES_LIMIT_MB", "2048")


def features_memory() -> int | None:
    """Bytes of memory that kept features may take before they go to disk; `TLCOURSE_FEATURES_MEMORY_MB`.

    None when nobody has said so: a quarter of what is free then.
    """
    return _megabytes("TLCOURSE_FEATURES_MEMORY_MB") if os.environ.get("TLCOURSE_FEATURES_MEMORY_MB") else None


def _megabytes(variable: str, usual: str = "") -> int:
    limit = os.environ.get(variable) or usual
    try:
        return int(float(limit) * 1_000_000)
    except (ValueError, OverflowError):
        raise CourseError(
            f"{variable} is {limit!r}, which is not a number.", do="Set it to megabytes, e.g. 2048."
        ) from None
