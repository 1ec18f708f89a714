"""What the learner has done so far: one small file beside the cache, which goes nowhere."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import platformdirs

from tlcourse import settings

_RANK = ("not attempted", "error", "not yet", "right")
_memory: dict[Path, dict] = {}  # what could not be written: a home that is read-only, or full


def place() -> Path:
    """The file: in the course's home, or in the user's own data folder if that home is read-only (an instructor's)."""
    home = settings.home()
    there = next((folder for folder in (home, *home.parents) if folder.exists()), home)
    if not os.access(there, os.W_OK):
        home = platformdirs.user_data_path("tlcourse", appauthor=False)
    return home / "progress.json"


def remember(name: str, state: str = "not attempted", *, hints: int = 0) -> None:
    """Note an answer or a hint; where the file cannot be written, it is kept until the kernel ends."""
    path = place()
    change = {name: {"state": state, "tries": int(state != "not attempted"), "hints": hints}}
    try:
        from filelock import FileLock, Timeout

        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(path.with_suffix(".lock"), timeout=2):  # two notebooks may be open
                _write(path, _merged(_merged(_read(path), _memory.get(path, {})), change))
                _memory.pop(path, None)
        except Timeout:
            raise OSError from None
    except OSError:
        _memory[path] = _merged(_memory.get(path, {}), change)


def recall() -> dict[str, dict]:
    """Question name -> its best state, number of tries, and hints seen."""
    path = place()
    return _merged(_read(path), _memory.get(path, {}))


def _merged(one: dict, other: dict) -> dict:
    out = {name: dict(entry) for name, entry in one.items()}
    for name, new in other.items():
        old = out.get(name, {"state": "not attempted", "tries": 0, "hints": 0})
        out[name] = {
            "state": max(old["state"], new["state"], key=_RANK.index),  # once right stays right
            "tries": old["tries"] + new["tries"],
            "hints": max(old["hints"], new["hints"]),
        }
    return out


def _read(path: Path) -> dict[str, dict]:
    try:
        text = path.read_bytes()
    except OSError:
        return {}
    try:
        questions = json.loads(text)["questions"]
        return {str(name): _entry(given) for name, given in questions.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
        _set_aside(path)
        return {}


def _entry(given: dict) -> dict:
    state = given["state"]
    if state not in _RANK:
        raise ValueError(state)
    return {"state": state, "tries": int(given.get("tries", 0)), "hints": int(given.get("hints", 0))}


def _set_aside(path: Path) -> None:
    """Keep a file that cannot be read under another name: a person may still read it."""
    n, place = 1, path.with_name("progress.damaged.json")
    while place.exists():
        n += 1
        place = path.with_name(f"progress.damaged-{n}.json")
    try:
        path.replace(place)
    except OSError:
        return


def _write(path: Path, questions: dict[str, dict]) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".progress-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump({"version": 1, "questions": dict(sorted(questions.items()))}, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
