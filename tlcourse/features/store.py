"""The cache of kept features: one safetensors file a key, memory-mapped, the least used removed first."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from tlcourse import settings

_verified: set[tuple] = set()
_OWN = re.compile(r"[0-9a-f]{40}(\.safetensors|\..*\.part)")
_STALE = 3600.0  # seconds after which a file that nobody finished writing is nobody's


def folder() -> Path:
    """Where features are kept: in the course's home, or in the system's temporary folder if that is read-only."""
    kept = settings.home() / "features"
    with suppress(OSError):
        kept.mkdir(parents=True, exist_ok=True)
        if os.access(kept, os.W_OK | os.X_OK):
            return kept
    user = os.getuid() if hasattr(os, "getuid") else None
    own = Path(tempfile.gettempdir()) / f"tlcourse-features-{'user' if user is None else user}"
    own.mkdir(mode=0o700, exist_ok=True)
    if user is not None and own.stat().st_uid != user:  # the temporary folder is everybody's
        raise PermissionError(f"{own} belongs to somebody else")
    return own


def read(key: str) -> dict[str, torch.Tensor] | None:
    """The tensors kept under a key, mapped from the file; None if there are none, or the file is damaged."""
    for kept in _places():
        file = kept / f"{key}.safetensors"
        try:
            with safe_open(file, framework="pt") as f:
                tensors = {name: f.get_tensor(name) for name in f.keys()}  # noqa: SIM118 (not a dict)
                _verify(file, (f.metadata() or {}).get("sha256"), tensors)
        except FileNotFoundError:
            continue
        except (SafetensorError, OSError, _Damaged):
            _remove(file)
            continue
        with suppress(OSError):
            os.utime(file)  # used now: evicted last
        return tensors
    return None


def write(key: str, tensors: dict[str, torch.Tensor]) -> bool:
    """Keep tensors under a key: whole or not at all. Returns False when there is no room or no right to."""
    size = sum(t.numel() * t.element_size() for t in tensors.values())
    if size > settings.features_limit():
        return False
    work = None
    try:
        kept = folder()
        _make_room(kept, settings.features_limit() - size)
        # A folder, since safetensors writes through a temporary file of its own, which a kill would leave behind.
        work = kept / f"{key}.{os.getpid()}-{uuid.uuid4().hex[:8]}.part"
        work.mkdir()
        file = work / "features"
        tensors = {name: t.contiguous() for name, t in tensors.items()}
        save_file(tensors, file, metadata={"sha256": _digest(tensors)})
        with open(file, "r+b") as written:
            os.fsync(written.fileno())
        file.chmod(work.stat().st_mode & 0o666)  # readable for whom the folder is: a class may share it
        os.replace(file, kept / f"{key}.safetensors")
    except (OSError, SafetensorError):
        return False
    finally:
        if work is not None:
            _remove(work)
    return True


class _Damaged(Exception):
    """What the file holds is not what was written."""


def _digest(tensors: dict[str, torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name}{tensor.dtype}{tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _verify(file: Path, expected: str | None, tensors: dict[str, torch.Tensor]) -> None:
    # once in a process and for each version of the file: the whole of it must be read for this
    facts = file.stat()
    seen = (str(file), facts.st_ino, facts.st_size)  # a file that is written anew is another one
    if seen in _verified:
        return
    if expected != _digest(tensors):
        raise _Damaged
    _verified.add(seen)


def clear() -> int:
    """Remove all kept features; returns the bytes that this freed."""
    freed = 0
    for kept in _places():
        for file in kept.glob("*"):
            if _is_own(file):
                with suppress(OSError):
                    freed += sum(f.stat().st_size for f in (file, *file.glob("*")) if f.is_file())
                _remove(file)
    return freed


def _places() -> Iterator[Path]:
    seen = settings.home() / "features"
    with suppress(OSError):
        first = folder()
        yield first
        if first == seen:
            return
    yield seen


def _is_own(file: Path) -> bool:
    return _OWN.fullmatch(file.name) is not None  # what else lies there is somebody's


def _make_room(kept: Path, limit: int) -> None:
    files = []
    for file in filter(_is_own, kept.glob("*")):
        try:
            state = file.stat()
        except OSError:  # another process removed it just now
            continue
        if file.suffix == ".safetensors":
            files.append((state.st_mtime, state.st_size, file))
        elif file.suffix == ".part" and time.time() - state.st_mtime > _STALE:
            _remove(file)  # its process was killed while it wrote
    total = sum(size for _, size, _ in files)
    for _, size, file in sorted(files):
        if total <= limit:
            return
        _remove(file)
        total -= size


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    with suppress(OSError):  # read-only cache, or (on Windows) still mapped
        path.unlink(missing_ok=True)
