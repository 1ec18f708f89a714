"""The cache on disk: hashing, locking, publishing a folder in one step, and clearing."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tlcourse import settings
from tlcourse.assets.catalogue import Asset, File, megabytes, registry
from tlcourse.errors import CourseError

FULL = (errno.ENOSPC, errno.EDQUOT) if hasattr(errno, "EDQUOT") else (errno.ENOSPC,)
DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)

_known: dict[tuple, str] = {}  # hashes already taken in this process, by path, size, time and file number


def place(asset: Asset) -> Path:
    """The folder of the cache that holds (or will hold) the asset's files; a new version gets a new folder."""
    return settings.home() / "assets" / _safe(asset.name) / asset.sha256[:12]


def sha256(path: Path) -> str:
    """The SHA-256 of a file; taken once a process unless the file changes."""
    found = os.stat(path)
    key = (str(path), found.st_size, found.st_mtime_ns, found.st_ino)
    if key not in _known:
        with open(path, "rb") as stream:
            _known[key] = hashlib.file_digest(stream, "sha256").hexdigest()
    return _known[key]


def faults(root: Path, files: dict[str, File]) -> list[str]:
    """The files below `root` that are missing or are not what the registry says; an empty list means all is well."""
    return [path for path, file in files.items() if not matches(root / path, file)]


def matches(path: Path, file: File) -> bool:
    """Whether a file is there, whole and right."""
    try:
        return path.stat().st_size == file.size and sha256(path) == file.sha256
    except OSError:
        return False


def writable(path: Path) -> bool:
    """Whether `path` can be written, or made if it is not there."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path.is_dir() and os.access(path, os.W_OK | os.X_OK)


def free(path: Path) -> int:
    """Free bytes on the disk that holds `path` (which need not exist)."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return shutil.disk_usage(path).free


@contextmanager
def locked(asset: Asset, say: Callable[[str], None]) -> Iterator[bool]:
    """Hold the asset's lock, so that of several processes one fetches and the others wait.

    Yields False where the file system has no locks; fetching is then still safe (the last step is one rename),
    only perhaps done twice.
    """
    from filelock import FileLock, Timeout

    path = settings.home() / "assets" / f"{_safe(asset.name)}.lock"
    with clear_errors(asset):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        try:
            try:
                lock.acquire(timeout=0)
            except Timeout:
                say(f"{asset.name}: another process is fetching it; waiting until it is done")
                lock.acquire()
        except (NotImplementedError, OSError) as error:
            if isinstance(error, OSError) and error.errno in (*DENIED, *FULL):
                raise
            lock = None
    try:
        yield lock is not None
    finally:
        if lock is not None:
            lock.release()


@contextmanager
def workshop(asset: Asset, alone: bool) -> Iterator[Path]:
    """A fresh folder beside the final place, gone afterwards whatever happens.

    `alone` says that the lock is held: what other processes left here is then of no use to anyone and is removed.
    """
    parent = place(asset).parent
    with clear_errors(asset):
        parent.mkdir(parents=True, exist_ok=True)
        if alone:
            _sweep(parent)
        # mkdir and not tempfile: the folder keeps the permissions of the user's umask, so a class can read it
        work = parent / f".part-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        work.mkdir()
    try:
        with clear_errors(asset):
            yield work
    finally:
        if alone:
            _sweep(parent)
        else:
            shutil.rmtree(work, ignore_errors=True)


def publish(ready: Path, asset: Asset) -> Path:
    """Move a complete folder to its final place in one step, after its bytes have reached the disk."""
    final = place(asset)
    for path in sorted(ready.rglob("*")):
        _sync(path)
    _sync(ready)
    if final.exists():  # damaged, or another process without locks was faster
        os.replace(final, ready.parent / "replaced")
    os.replace(ready, final)
    _sync(final.parent)
    return final


@contextmanager
def clear_errors(asset: Asset) -> Iterator[None]:
    """Turn what the disk can refuse into words."""
    try:
        yield
    except OSError as error:
        where = settings.home()
        if error.errno in FULL:
            raise CourseError(
                f"The disk became full while fetching {asset.name}; nothing half-done was kept.",
                why=f"{where} has {free(where) / 1e6:.0f} MB free.",
                do="Free some space, or set TLCOURSE_HOME to a folder on another disk, and run it again.",
            ) from error
        if error.errno in DENIED:
            raise read_only(asset) from error
        if error.errno == errno.ENOENT:
            raise CourseError(
                f"Fetching {asset.name} was disturbed: its folder in the cache disappeared.",
                why=str(error),
                do=f"Something cleared the cache meanwhile; run `tlcourse fetch {asset.name}` again.",
            ) from error
        raise


def no_room(name: str, needed: int, where: Path) -> CourseError:
    """The error for a disk on which an asset finds no room."""
    return CourseError(
        f"There is not enough room for {name}: about {megabytes(needed)} are needed for a moment.",
        why=f"The disk of {where} has {megabytes(free(where))} free.",
        do="Free some space, `tlcourse fetch --clear features`, or set TLCOURSE_HOME to a folder on another disk.",
    )


def read_only(asset: Asset) -> CourseError:
    """The error for a cache that lacks something and cannot be written."""
    return CourseError(
        f"{asset.name} is not in the cache, and the cache cannot be written.",
        why=f"{settings.home()} is read-only for you.",
        do="Ask whoever prepared it to run `tlcourse fetch`, or set TLCOURSE_HOME to a folder of your own.",
    )


def clear() -> int:
    """Remove the fetched assets of the registry, and nothing else; returns the bytes that became free.

    Raises `CourseError` if the cache cannot be written.
    """
    freed, root = 0, settings.home() / "assets"
    for name in registry():
        for path in (root / name, root / f"{name}.lock"):
            if not path.exists():
                continue
            files = [path] if path.is_file() else path.rglob("*")
            freed += sum(file.stat().st_size for file in files if file.is_file() and not file.is_symlink())
            try:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            except OSError as error:
                raise CourseError(
                    f"{path} could not be removed.",
                    why=str(error),
                    do="Close what uses it; if the cache is an instructor's and read-only, leave it to them.",
                ) from error
    return freed


def _sweep(parent: Path) -> None:
    """Remove every workshop, those of dead processes too; a pip that outlived its process must not go on in one."""
    for left in parent.glob(".part-*"):
        gone = left.with_name(f".part-gone-{uuid.uuid4().hex[:8]}")
        try:
            os.replace(left, gone)  # whoever still writes there by name fails from now on
        except OSError:
            gone = left
        shutil.rmtree(gone, ignore_errors=True)


def _sync(path: Path) -> None:
    """Make sure that a file or folder is on the disk before anything says that it is."""
    if sys.platform == "win32" and path.is_dir():
        return  # folders cannot be opened there
    handle = os.open(path, os.O_RDWR if sys.platform == "win32" else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _safe(name: str) -> str:
    return name.replace(":", "-").replace("/", "-")
