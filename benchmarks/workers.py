"""Whether a peer's loader is faster with processes of its own on this machine: 0 against 2, by turns.

    python benchmarks/workers.py              # about four minutes; the result belongs into peers.py, WORKERS

Two epochs of the head on 320 images, where loading weighs most.
"""

from __future__ import annotations

import argparse
import json
from statistics import median

from compare import run, temporary_home
from machine import load_now
from peers import WORKERS

VARIANTS = {"lightning": "eval by hand", "fastai": "BnFreeze"}  # nothing but the head has gradients


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--repeats", type=int, default=3)
    repeats = options.parse_args().repeats
    times: dict[tuple[str, int], list[float]] = {(who, number): [] for who in WORKERS for number in (0, 2)}
    common = {"model": "efficientnet-lite0", "task": "head", "seed": 0, "cap": 320, "changes": {"epochs": 2}}
    with temporary_home() as home:
        for _ in range(repeats):
            for (who, number), seconds in times.items():
                row = run(common | {"who": who, "variant": VARIANTS.get(who, ""), "workers": number}, home)
                if "error" in row:
                    raise SystemExit(row["error"])
                seconds.append(row["wall"])
    for who in WORKERS:
        found = {number: round(median(times[who, number]), 2) for number in (0, 2)}
        print(json.dumps({"who": who, "seconds": found, "choose": min(found, key=found.get), **load_now()}))


if __name__ == "__main__":
    main()
