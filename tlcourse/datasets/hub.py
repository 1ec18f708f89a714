"""Where the data sets of the full profile lie once their own library has fetched them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from tlcourse import assets, settings
from tlcourse.assets import store
from tlcourse.assets.catalogue import say
from tlcourse.assets.hubs import check_profile, from_hub
from tlcourse.errors import CourseError


def place(name: str, part: str = "hub") -> Path:
    """The folder of the cache that holds (or will hold) a data set that another library fetches."""
    return settings.home() / "assets" / name / part


def kept(name: str, bring: Callable[[Path], object], unpacked: Sequence[str] = (), part: str = "hub") -> Path:
    """The folder with a data set's files; fetched first if it is not there.

    Arguments:
        name: of an asset in the registry.
        bring: lets the library fetch into a folder and unpack there.
        unpacked: folders that it unpacks archives into. Half of one, left by an interrupt, is removed first; archives
            that have arrived stay, and the library checks them.
        part: which folder of the asset.

    The folder has its name only when all of it is there. Raises `CourseError` in the small profile, and when the files
    cannot be had.
    """
    final = place(name, part)
    if final.is_dir():
        return final
    check_profile(name)
    if settings.offline():
        raise CourseError(
            f"{name} is not on this machine, and TLCOURSE_OFFLINE forbids downloads.",
            do=f"Unset it, and run `tlcourse fetch --profile full {name}` where there is a network.",
        )
    asset = assets.registry()[name]
    with store.locked(asset, say), store.clear_errors(asset):
        if final.is_dir():
            return final
        work = final.with_name(f"{part}-unfinished")
        work.mkdir(parents=True, exist_ok=True)
        for folder in unpacked:
            shutil.rmtree(work / folder, ignore_errors=True)
        from_hub(name, lambda: bring(work))
        for archive in [*work.rglob("*.zip"), *work.rglob("*.tar.gz")]:
            archive.unlink()
        os.replace(work, final)
    return final
