"""The cache of kept features: one safetensors file a key, memory-mapped, the least used removed first."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from tlcourse import settings


def folder() -> Path:
    """Where features are kept: in the course's home, or in the system's temporary folder if that is read-only."""
    kept = settings.home() / "features"
    try:
        kept.mkdir(parents=True, exist_ok=True)
        if os.access(kept, os.W_OK):
            return kept
    except OSError:
        pass
    own = Path(tempfile.gettempdir()) / f"tlcourse-features-{os.getuid() if hasattr(os, 'getuid') else 'user'}"
    own.mkdir(mode=0o700, exist_ok=True)
    return own


def read(key: str) -> dict[str, torch.Tensor] | None:
    """The tensors kept under a key, mapped from the file; None if there are none, or the file is damaged."""
    for kept in dict.fromkeys((folder(), settings.home() / "features")):
        file = kept / f"{key}.safetensors"
        try:
            with safe_open(file, framework="pt") as f:
                tensors = {name: f.get_tensor(name) for name in f.keys()}  # noqa: SIM118 (not a dict)
        except FileNotFoundError:
            continue
        except (SafetensorError, OSError):
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
    try:
        kept = folder()
        _make_room(kept, settings.features_limit() - size)
        handle, name = tempfile.mkstemp(prefix=f"{key}.", suffix=".part", dir=kept)
    except OSError:
        return False
    try:
        save_file({name: t.contiguous() for name, t in tensors.items()}, name)
        os.fsync(handle)
        os.replace(name, kept / f"{key}.safetensors")
    except (OSError, SafetensorError):
        return False
    finally:
        os.close(handle)
        _remove(Path(name))
    return True


def clear() -> int:
    """Remove all kept features; returns the bytes that this freed."""
    freed = 0
    for file in folder().glob("*"):
        if file.suffix in (".safetensors", ".part"):
            freed += file.stat().st_size
            _remove(file)
    return freed


def _make_room(kept: Path, limit: int) -> None:
    files = []
    for file in kept.glob("*.safetensors"):
        try:
            files.append((file.stat().st_mtime, file.stat().st_size, file))
        except OSError:  # another process removed it just now
            continue
    total = sum(size for _, size, _ in files)
    for _, size, file in sorted(files):
        if total <= limit:
            return
        _remove(file)
        total -= size


def _remove(file: Path) -> None:
    with suppress(OSError):  # read-only cache, or (on Windows) still mapped
        file.unlink(missing_ok=True)
