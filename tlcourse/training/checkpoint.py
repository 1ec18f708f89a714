"""Checkpoints: a run that was stopped or killed goes on where its last epoch ended, to the same last bit."""

from __future__ import annotations

import hashlib
import os
import pickle
import re
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path

import torch
from torch import nn

from tlcourse.chain import stages
from tlcourse.errors import CourseError
from tlcourse.features import Features
from tlcourse.features.keys import described_function, stage_hashes, stage_settings
from tlcourse.freezing import frozen

VERSION = 1


class Checkpoint:
    """One file that holds the state of a run after its newest epoch.

    Arguments:
        path: the file; it is made when the first epoch ends.
        model: what is trained.
        settings, train, valid: whatever makes the run this run: another run's file is refused.
    """

    def __init__(self, path: str | os.PathLike, model: nn.Module, settings: dict, train, valid=None):
        if not isinstance(path, (str, os.PathLike)):
            raise CourseError(f"checkpoint={path!r} is no file.", do='Name one, e.g. checkpoint="run.ckpt".')
        self.path, self.model = Path(path).expanduser(), model
        settings = {**settings, "train": _identity(train), "valid": _identity(valid)}
        settings |= {"model": _shapes(model), "frozen": _frozen_hash(model)}
        settings |= {"transform": getattr(model, "transform", None), "stages": _settings_hash(model)}
        self.settings = {name: _told(value) for name, value in settings.items()}
        if self.path.is_dir():
            raise CourseError(f"{str(path)!r} is a folder.", do='Name a file, e.g. checkpoint="run.ckpt".')

    def write(self, state: dict) -> None:
        """Replace the file by a newer state: whole or not at all."""
        state = {"version": VERSION, "settings": self.settings, "model": movable(self.model), **state}
        work = self.path.with_name(f"{self.path.name}.{os.getpid()}.part")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(work, "wb") as file:
                torch.save(state, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(work, self.path)
        except (OSError, RuntimeError) as error:
            raise CourseError(
                f"The checkpoint {str(self.path)!r} could not be written.",
                why=f"{error}",
                do="Make room, or choose another place. The model keeps what it has learned; an older file is whole.",
            ) from error
        finally:
            with suppress(OSError):
                work.unlink(missing_ok=True)

    def read(self) -> dict | None:
        """The state to go on from, with the model's tensors put back; None if there is no file yet."""
        if not self.path.exists():
            return None
        try:
            with zipfile.ZipFile(self.path) as parts:  # torch does not compare the checksums that it writes
                if damaged := parts.testzip():
                    raise zipfile.BadZipFile(damaged)
            state = torch.load(self.path, map_location="cpu", weights_only=True)
            theirs = dict(state["settings"])
        except (OSError, RuntimeError, ValueError, LookupError, TypeError, EOFError, pickle.UnpicklingError,
                zipfile.BadZipFile, zlib.error) as error:  # fmt: skip
            raise CourseError(
                f"The checkpoint {str(self.path)!r} cannot be read.",
                why="It is damaged, or no checkpoint of the course.",
                do="Delete it to begin anew, or name another file.",
            ) from error
        if state.get("version") != VERSION:
            raise CourseError(
                f"The checkpoint {str(self.path)!r} was written by another version of the course.",
                do="Delete it to begin anew, or name another file.",
            )
        other = [name for name in self.settings if theirs.get(name) != self.settings[name]]
        if other:
            shown = "; ".join(f"{n} was {_short(theirs.get(n))}, is {_short(self.settings[n])}" for n in other[:4])
            go_on = "Use the same settings and data to go on"
            if "frozen" in other:
                go_on = "Load the model anew to go on: its frozen stages have been trained or replaced since"
            raise CourseError(
                f"The checkpoint {str(self.path)!r} belongs to another run.",
                why=f"{shown}.",
                do=f"{go_on}, or name another file (or delete this one) to begin anew.",
            )
        mine = dict(self.model.state_dict())
        with torch.no_grad():
            for name, tensor in state["model"].items():
                mine[name].copy_(tensor)
        return state


def movable(model: nn.Module) -> dict[str, torch.Tensor]:
    """Every tensor that training can move, by its name."""
    still, held = set(), frozen(model)
    for name, stage in stages(model).named_children():
        if name in held:
            still |= {t.data_ptr() for t in (*stage.parameters(), *stage.buffers())}
    return {n: t.detach().cpu().clone() for n, t in model.state_dict().items() if t.data_ptr() not in still}


def _identity(data) -> str:
    if not isinstance(data, Features):
        return "None" if data is None else data.fingerprint
    digest = hashlib.sha256(repr((data.key or data.weights, data.stage, data.ids, data.y.tolist())).encode())
    if data.key is None:  # they were not kept under a name that tells what they are
        digest.update(data.x.cpu().contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _shapes(model: nn.Module) -> str:
    shapes = str([(name, tensor.dtype, tuple(tensor.shape)) for name, tensor in model.state_dict().items()])
    return f"{type(model).__name__} {hashlib.sha256(shapes.encode()).hexdigest()[:8]}"


def _frozen_hash(model: nn.Module) -> str:
    chain, held = dict(stages(model).named_children()), frozen(model)
    hashes = stage_hashes({name: stage for name, stage in chain.items() if name in held})
    return f"{list(hashes.values())[-1][:16]} ({', '.join(held)})" if hashes else ""


def _settings_hash(model: nn.Module) -> str:
    said = "".join(stage_settings(name, stage) for name, stage in stages(model).named_children())
    return hashlib.sha256(_told(said).encode()).hexdigest()[:8]


def _told(value) -> str:
    """A setting as it is compared: a function by its name, or by what it does where the name says nothing."""
    if hasattr(value, "described"):
        return value.described()
    said = described_function(value) if getattr(value, "__name__", "") == "<lambda>" else str(value)
    return re.sub(r" at 0x[0-9a-fA-F]+", "", said)  # in another process it lies at another address


def _short(value) -> str:
    value = str(value)
    return value if len(value) <= 40 else f"{value[:37]}..."
