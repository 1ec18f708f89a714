"""Where data sets of the full profile lie once their own library has fetched them, and whether all of it is there."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tlcourse import assets, settings
from tlcourse.assets import store
from tlcourse.assets.catalogue import Asset, megabytes, say
from tlcourse.assets.hubs import check_profile, from_hub
from tlcourse.errors import CourseError
from tlcourse.hardware import free_memory

LIST = "files.json"  # in each folder: its files and their bytes, written when all of it had arrived


def place(name: str, part: str = "hub") -> Path:
    """The folder of the cache that holds (or will hold) a data set that another library fetches."""
    return settings.home() / "assets" / name / part


def faults(folder: Path) -> list[str]:
    """The files of a kept folder that are missing or have another size; an empty list means all is well.

    >>> faults(Path("no such folder"))
    ['files.json']
    """
    try:
        sizes = json.loads((folder / LIST).read_text("utf-8"))
        return [path for path, size in sizes.items() if _size(folder / path) != size]
    except (OSError, ValueError, AttributeError):
        return [LIST]


def kept(
    name: str,
    bring: Callable[[Path], object],
    unpacked: Sequence[str] = (),
    part: str = "hub",
    size: int | None = None,
) -> Path:
    """The folder with a data set's files; fetched first if it is not there, and anew if some of it is missing.

    Arguments:
        name: of an asset in the registry.
        bring: lets the library fetch into a folder and unpack there.
        unpacked: folders that it unpacks archives into. Half of one, left by an interrupt, is removed first; archives
            that have arrived stay, and the library checks them.
        part: which folder of the asset.
        size: bytes to be fetched, if not those of the registry.

    The folder has its name only when all of it is there. Raises `CourseError` in the small profile, and when the files
    cannot be had.
    """
    final = place(name, part)
    if not faults(final):
        return final
    check_profile(name)
    asset = assets.registry()[name]
    if settings.offline():
        raise _forbidden(asset, final)
    needed = (asset.size if size is None else size) * (2 if unpacked else 1)  # the archive, and what it holds
    if store.free(final) < needed:
        raise store.no_room(name, needed, settings.home())
    with store.locked(asset, say), store.clear_errors(asset):
        if not faults(final):
            return final
        if final.is_dir():
            say(f"{name}: the copy in the cache is damaged; it is fetched again")
        work = final.with_name(f"{part}-unfinished")
        work.mkdir(parents=True, exist_ok=True)
        for folder in unpacked:
            shutil.rmtree(work / folder, ignore_errors=True)
        with _careful_tars():
            from_hub(name, lambda: bring(work))
        for archive in [*work.rglob("*.zip"), *work.rglob("*.tar.gz")]:
            archive.unlink()
        sizes = {path.relative_to(work).as_posix(): _size(path) for path in sorted(work.rglob("*")) if path.is_file()}
        (work / LIST).write_text(json.dumps(sizes), "utf-8")
        shutil.rmtree(final, ignore_errors=True)
        os.replace(work, final)
    return final


def check_memory(what: str, pixels: int) -> None:
    """Raise `CourseError` where so many bytes, and the copy of them that is made on the way, would not fit.

    >>> check_memory("a small set", 1_000)
    """
    free = free_memory()[0]
    if 2 * pixels > free:
        raise CourseError(
            f"{what} takes about {megabytes(2 * pixels)} of memory while it is made.",
            why=f"{megabytes(free)} are free.",
            do="Choose a smaller size=, or shut other kernels down.",
        )


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else -1


def _forbidden(asset: Asset, final: Path) -> CourseError:
    do = "Unset it, and load it once where there is a network: it is kept."
    if final.is_dir():
        bad = faults(final)
        return CourseError(
            f"The copy of {asset.name} in {final} is damaged: {', '.join(bad[:3])}{' and more' if bad[3:] else ''}.",
            why="It is not fetched again because TLCOURSE_OFFLINE forbids downloads.",
            do=do,
        )
    return CourseError(f"{asset.name} is not on this machine, and TLCOURSE_OFFLINE forbids downloads.", do=do)


@contextmanager
def _careful_tars() -> Iterator[None]:
    """Archives that a library unpacks meanwhile may write below their folder only; older Pythons trust them."""
    before = getattr(tarfile.TarFile, "extraction_filter", None)
    careful = getattr(tarfile, "data_filter", None)  # Python 3.11.4 and newer
    tarfile.TarFile.extraction_filter = careful and staticmethod(careful)
    try:
        yield
    finally:
        tarfile.TarFile.extraction_filter = before
