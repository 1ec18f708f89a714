"""The key that features are kept under: everything that they depend on, hashed."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import sys
import sysconfig
import types
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from pathlib import Path

import numpy as np
import torch
from torch import nn

_PLAIN = (str, bytes, int, float, complex, bool, type(None), Enum, torch.dtype, torch.device)
_CODE = (types.FunctionType, types.BuiltinFunctionType, types.MethodType, functools.partial)

_BLOCK = 1 << 20  # bytes; in smaller ones threads wait for each other


class _Nameless(Exception):
    """Nothing stable says what this thing does."""


def stage_hashes(chain: Mapping[str, nn.Module], until: str | None = None) -> dict[str, str]:
    """A hash of all tensors up to and with each stage: a new head changes no key of what comes before it."""
    running, hashes, names = hashlib.sha256(), {}, list(chain)
    passed = {name: chain[name] for name in (names if until is None else names[: names.index(until) + 1])}
    tensors = [t for stage in passed.values() for t in (*stage.parameters(), *stage.buffers())]
    with ThreadPoolExecutor() as pool:  # most of the work; only over much memory are threads worth their trouble
        large = {id(t): pool.submit(_tensor, t) for t in tensors if t.nbytes > _BLOCK}
        small = {id(t): _tensor(t) for t in tensors if t.nbytes <= _BLOCK}
        digests = iter([small[id(t)] if id(t) in small else large[id(t)].result() for t in tensors])
    for name, stage in passed.items():
        running.update(stage_settings(name, stage).encode())
        for key, _ in (*stage.named_parameters(), *stage.named_buffers()):
            running.update(key.encode() + next(digests).encode())
        hashes[name] = running.hexdigest()
    return hashes


def stage_settings(name: str, stage: nn.Module) -> str:
    """What a stage does besides its parameters and buffers: its text, and settings that the text leaves out."""
    said = [f"{name}:{stage!r}"]
    for path, module in stage.named_modules():
        settings = {k: _setting(v) for k, v in vars(module).items() if k not in _MODULES_OWN}
        said.append(f"{path}{sorted(settings.items())}")
    return "".join(said)


_MODULES_OWN = {*vars(nn.Module()), "train", "reset_running_stats"}  # also what freezing puts there


def _setting(value) -> str:
    """A module's attribute as text; of what cannot be looked into, the type."""

    def other(part) -> str:
        if isinstance(part, _PLAIN):
            return repr(part)
        if isinstance(part, functools.partial):
            return _setting([part.func, part.args, part.keywords])
        return described_function(part) if isinstance(part, _CODE) else type(part).__qualname__

    return _text(value, other)


def described_function(function) -> str:
    """A function's name with what it does, so that another of the same name is told apart.

    >>> described_function(lambda x: x + 1) == described_function(lambda x: x + 2)
    False
    """
    code = getattr(function, "__code__", None)
    inside = [_setting(cell.cell_contents) for cell in getattr(function, "__closure__", None) or () if _filled(cell)]
    return f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', '')}" + (
        f" {_bytecode(code)} {inside}" if code else ""
    )


def _filled(cell) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False


def feature_key(weights: str, passed: Iterable[nn.Module], transform, augment, **more) -> str | None:
    """The name of the file that features are kept in; None where something they depend on has no stable description.

    Arguments:
        weights: hash of the stages that the data pass.
        passed: those stages.
        transform, augment: maps of the raw data.
        more: whatever else the features depend on, e.g. the stage, the dtype, the data's fingerprint.
    """
    try:
        parts = {
            "weights": weights,
            "transform": _described(transform),
            "augment": _described(augment),
            "code": sorted({_code(module) for stage in passed for module in stage.modules()}),
            "torch": torch.__version__,
            **more,
        }
    except _Nameless:
        return None
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:40]


def _tensor(tensor: torch.Tensor) -> str:
    """Dtype, shape and a hash of the values.

    The values are summed up in blocks by CRC-32, and only the sums are hashed: about twice as fast as SHA-256 over 90
    MB of weights. A change within four bytes never passes unseen, and any other with a chance below 2**-32; nobody
    gains by forging one's own cache.
    """
    data = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data
    sums = [zlib.crc32(data[i : i + _BLOCK]) for i in range(0, len(data), _BLOCK)]
    return f"{tensor.dtype}{tuple(tensor.shape)}{hashlib.sha256(np.array(sums, '<u4').tobytes()).hexdigest()}"


def _code(thing) -> str:
    """Whose code a module or transform runs, and which version of it."""
    kind = type(thing)
    changed = isinstance(thing, nn.Module) and (
        thing._forward_hooks or thing._forward_pre_hooks or "forward" in vars(thing)
    )
    if changed or kind.__module__ == "__main__":
        raise _Nameless  # tomorrow a notebook's class may do something else under the same name
    root = sys.modules[kind.__module__.split(".")[0]]
    version = getattr(root, "__version__", None)
    if version is None or not _installed(root):
        version = _loaded(kind)
    return f"{kind.__module__}.{kind.__qualname__} {version}"


def _loaded(kind: type) -> str:
    """The code of a learner's own class as it was loaded, with its settings, and its file as it is now."""
    digest = hashlib.sha256()
    try:
        digest.update(Path(sys.modules[kind.__module__].__file__).read_bytes())
    except (AttributeError, TypeError, OSError):
        raise _Nameless from None
    for base in kind.__mro__:
        if base is not object and not _installed(sys.modules[base.__module__.split(".")[0]]):
            for name, value in sorted(vars(base).items()):
                if isinstance(value, types.FunctionType):
                    digest.update(f"{name}{_bytecode(value.__code__)}".encode())
                elif isinstance(value, _PLAIN) and not name.startswith("__"):
                    digest.update(f"{name}{value!r}".encode())
    return digest.hexdigest()


def _bytecode(code: types.CodeType) -> str:
    inner = [_bytecode(c) if isinstance(c, types.CodeType) else repr(c) for c in code.co_consts]
    return f"{code.co_code.hex()}{code.co_names}{inner}"


def _installed(package) -> bool:
    file = getattr(package, "__file__", None) or ""
    return package.__name__ == "tlcourse" or any(file.startswith(place + os.sep) for place in _places())


@functools.cache  # asking takes long, and is done for each module of a network
def _places() -> frozenset[str]:
    return frozenset(filter(None, (sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib"))))


def _described(thing) -> str:
    """All that says what a transform does. A type's `repr` is not enough: that of `Lambda` leaves the function out."""

    def other(part) -> str:
        if isinstance(part, _CODE):
            raise _Nameless
        code = _code(part)
        if type(part).__module__.startswith("tlcourse."):
            return f"{code} {part!r}"  # complete by design, also where it holds a tokenizer
        if not hasattr(part, "__dict__"):
            raise _Nameless
        return f"{code} {_described(vars(part))}"

    return _text(thing, other)


def _text(thing, other: Callable) -> str:
    """Numbers, words and arrays as text, also within lists and dicts; `other` describes whatever else is met."""
    if isinstance(thing, _PLAIN) and type(thing).__module__ != "__main__":
        return repr(thing)
    if isinstance(thing, torch.Tensor):
        return _tensor(thing)
    if isinstance(thing, np.ndarray) and thing.dtype.hasobject:
        return _text(thing.tolist(), other)
    if isinstance(thing, np.ndarray):
        return f"{thing.dtype}{thing.shape}{hashlib.sha256(np.ascontiguousarray(thing).data).hexdigest()}"
    if isinstance(thing, Mapping):
        return str(sorted(f"{_text(k, other)}: {_text(v, other)}" for k, v in thing.items()))
    if isinstance(thing, Set):
        return str(sorted(_text(part, other) for part in thing))
    if isinstance(thing, Sequence):
        return str([_text(part, other) for part in thing])
    if isinstance(thing, type):
        return f"{thing.__module__}.{thing.__qualname__}"
    return other(thing)
