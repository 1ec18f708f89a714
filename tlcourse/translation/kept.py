"""`kept_run`: the translations of a trial, from a file that comes with the course; if there are none, trained now.

One run takes seconds, and an interval over seeds takes dozens of runs. So their translations are kept, under a key of
the code, the strings, the encoder and the settings. Change any of these and nothing is found: then the run is made
anew. Scores are not kept; they are counted from the translations. The loop in `tlcourse/training` serves every chapter
and is not in the key; a slow test trains one trial anew and compares.

    python -m tlcourse.translation.kept        # runs all trials of chapter 07-2 again, and writes the file
"""

from __future__ import annotations

import gzip
import hashlib
import json
import platform
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tlcourse import assets
from tlcourse.translation import recipe
from tlcourse.translation.recipe import Trial

PATH = Path(__file__).with_name("kept_runs.json.gz")
CODE = ("attention", "decoder", "recipe", "search", "subwords", "training")
SEEDS = range(5)
PAIRS = (50, 300)


def kept_run(trial: Trial, *, again: bool = False) -> tuple[str, ...]:
    """What a trial translates the test strings to.

    Arguments:
        trial: which run.
        again: train now, also if it was kept.

    Returns a translation for each of `recipe.strings(trial.language, "test")`. Says so when it has to train.

    >>> len(kept_run(Trial("es", 50, seed=0))) == len(recipe.strings("es", "test"))
    True

    Chapter 07-2.
    """
    found = None if again else _file()["runs"].get(key(trial))
    if found is None:
        if not again:
            print(f"No kept run for this code and these strings: training now: {', '.join(map(str, trial))}.")
        return recipe.run(trial)
    return tuple(found)


def trials() -> Iterator[Trial]:
    """Every run that the file holds."""
    for seed in SEEDS:
        for encoder in ("pretrained", "random"):
            yield Trial("fr", 0, "scratch", encoder, seed)
        for language in ("es", "zh"):
            for pairs in PAIRS:
                for start in recipe.STARTS[: 3 if language == "es" else 2]:
                    yield Trial(language, pairs, start, "pretrained", seed)


def key(trial: Trial) -> str:
    """Twenty letters that change with the trial, the code, the strings, the encoder and the settings."""
    return hashlib.sha256(f"{_ground()}{tuple(trial)!r}".encode()).hexdigest()[:20]


@cache
def _ground() -> str:
    found = hashlib.sha256()
    for name in CODE:
        text = PATH.with_name(f"{name}.py").read_text("utf-8")
        found.update("\n".join(text.splitlines()).encode())  # a checkout may have other ends of lines
    for language in ("fr", "es", "zh"):
        for side in ("train", "test"):
            split = recipe.strings(language, side)
            found.update(json.dumps([split.fingerprint, split.targets]).encode())
    encoder = assets.registry()["minilm"].files
    found.update(json.dumps([encoder[name].sha256 for name in ("model.safetensors", "tokenizer.json")]).encode())
    return found.hexdigest()


@cache
def _file() -> dict:
    if not PATH.is_file():
        return {"made": {}, "runs": {}}
    return json.loads(gzip.decompress(PATH.read_bytes()))


def made_with() -> dict[str, str]:
    """The versions that the kept runs were made with; others may give slightly other translations.

    >>> sorted(made_with())
    ['processor', 'python', 'torch']
    """
    return dict(_file()["made"])


def main() -> None:
    """Run every trial again, and write the file."""
    import torch

    made = {"torch": torch.__version__, "python": platform.python_version(), "processor": platform.machine()}
    runs = {}
    for trial in trials():
        runs[key(trial)] = recipe.run(trial)
        print(*trial, runs[key(trial)][0], sep=" | ", flush=True)
        text = json.dumps({"made": made, "runs": runs}, ensure_ascii=False, sort_keys=True)
        PATH.write_bytes(gzip.compress(text.encode(), mtime=0))


if __name__ == "__main__":
    main()
