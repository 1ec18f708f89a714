"""The cache of kept features: one safetensors file a key, memory-mapped, the least used removed first."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import tempfile
import time
import uuid
import weakref
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from tlcourse import settings
from tlcourse.digest import digest

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
    part = Part.begin(key, {name: (tuple(t.shape), t.dtype) for name, t in tensors.items()})
    if part is None:
        return False
    for name, tensor in tensors.items():
        part.tensors[name].copy_(tensor)
    part.finish()
    return part.kept


class Part:
    """A file of features that is being filled: `finish` puts it under its key, whole or not at all.

    `tensors` are mapped from the file, so that more than the memory holds can be written. What is not finished is
    removed by `drop`, else with the object, or (after a kill) an hour later by whoever makes room.
    """

    def __init__(self, key: str, work: Path, tensors: dict[str, torch.Tensor], offset: int):
        self.key, self.work, self.tensors, self.kept = key, work, tensors, False
        self._offset = offset  # where the checksum stands in the file
        weakref.finalize(self, _remove, work)

    @classmethod
    def begin(cls, key: str, shapes: dict[str, tuple[tuple[int, ...], torch.dtype]]) -> Part | None:
        """Reserve the room for tensors of these shapes; None when there is none, or no right to write."""
        size = sum(math.prod(shape) * dtype.itemsize for shape, dtype in shapes.values())
        if not 0 < size <= settings.features_limit():
            return None
        work = None
        try:
            kept = folder()
            _make_room(kept, settings.features_limit() - size)
            work = kept / f"{key}.{os.getpid()}-{uuid.uuid4().hex[:8]}.part"
            work.mkdir()
            head, starts = _head(shapes)
            with open(work / "features", "xb") as file:
                file.write(head)
                _reserve(file, len(head) + size)  # a mapped file on a full disk would kill the process later on
            whole = torch.from_file(str(work / "features"), shared=True, size=len(head) + size, dtype=torch.uint8)
        except (OSError, RuntimeError):
            if work is not None:
                _remove(work)
            return None
        tensors = {}
        for name, (shape, dtype) in shapes.items():
            start, bytes_ = len(head) + starts[name], math.prod(shape) * dtype.itemsize
            tensors[name] = whole[start : start + bytes_].view(dtype).view(shape)
        return cls(key, work, tensors, head.index(_NO_SUM.encode()))

    def finish(self) -> dict[str, torch.Tensor]:
        """Write the checksum, and put the file under its key; the tensors can be read in any case."""
        file, final = self.work / "features", self.work.parent / f"{self.key}.safetensors"
        with suppress(OSError):
            with open(file, "r+b") as written:
                written.seek(self._offset)
                written.write(digest(self.tensors).encode())
                os.fsync(written.fileno())
            self.tensors = {}  # Windows renames no file that is mapped
            file.chmod(self.work.stat().st_mode & 0o666)  # readable for whom the folder is: a class may share it
            os.replace(file, final)
            self.kept, file = True, final
            _verified.add(_version(final))
        if not self.tensors:
            with safe_open(file, framework="pt") as f:
                self.tensors = {name: f.get_tensor(name) for name in f.keys()}  # noqa: SIM118 (not a dict)
        _remove(self.work)
        return self.tensors

    def drop(self) -> None:
        """Remove what was written so far."""
        self.tensors = {}
        _remove(self.work)


_NO_SUM = "0" * 64  # replaced by the checksum when all is written
_DTYPES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.int64: "I64", torch.int32: "I32", torch.uint8: "U8", torch.bool: "BOOL",
}  # fmt: skip


def _head(shapes) -> tuple[bytes, dict[str, int]]:
    """The head of a safetensors file (its length, then JSON), and where each tensor starts behind it."""
    described, starts, at = {"__metadata__": {"sha256": _NO_SUM}}, {}, 0
    for name, (shape, dtype) in sorted(shapes.items(), key=lambda item: (-item[1][1].itemsize, item[0])):
        end = at + math.prod(shape) * dtype.itemsize
        described[name] = {"dtype": _DTYPES[dtype], "shape": list(shape), "data_offsets": [at, end]}
        starts[name], at = at, end
    text = json.dumps(described, separators=(",", ":")).encode()
    text += b" " * (-(len(text) + 8) % 64)  # the tensors begin at a multiple of 64
    return len(text).to_bytes(8, "little") + text, starts


def _reserve(file, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        file.flush()
        os.posix_fallocate(file.fileno(), 0, size)
    else:
        file.truncate(size)


class _Damaged(Exception):
    """What the file holds is not what was written."""


def _verify(file: Path, expected: str | None, tensors: dict[str, torch.Tensor]) -> None:
    # once in a process and for each version of the file: the whole of it must be read for this
    seen = _version(file)
    if seen in _verified:
        return
    if expected != digest(tensors):
        raise _Damaged
    _verified.add(seen)


def _version(file: Path) -> tuple:
    facts = file.stat()
    return str(file), facts.st_ino, facts.st_size  # a file that is written anew is another one


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
