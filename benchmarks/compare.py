"""The comparison: every peer on every task, in random order, repeated, each run in a fresh process.

    python benchmarks/compare.py                 # three repeats; then: python benchmarks/report.py
    python benchmarks/compare.py --quick         # few items, one repeat: does everything work?
    python benchmarks/compare.py --resume        # go on with what is not yet in the results

Writes one JSON line a run to benchmarks/results.jsonl (with --quick: to the folder for temporary files). Nothing else
should run meanwhile: torch's threads wait for each other, and a single busy neighbour can multiply the times.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from itertools import product
from pathlib import Path

from machine import describe, load_now
from peers import ENGINES, MODULES, chains, workers

from tlcourse import settings

HERE = Path(__file__).parent
RESULTS = HERE / "results.jsonl"
MODELS, TASKS = ("efficientnet-lite0", "minilm"), ("head", "last", "all")
LIMIT = 1800  # seconds after which a run is given up


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--quick", action="store_true")
    options.add_argument("--resume", action="store_true", help="keep the results and run only what is missing")
    options.add_argument("--who", nargs="*", default=list(MODULES), choices=MODULES)
    options.add_argument("--models", nargs="*", default=MODELS, choices=MODELS)
    options.add_argument("--tasks", nargs="*", default=TASKS, choices=TASKS)
    options.add_argument("--cap", type=int, help="items of train and test at most, for a shorter run")
    options.add_argument("--out", type=Path, help="file for the results")
    chosen = options.parse_args()
    out = chosen.out or (Path(tempfile.gettempdir()) / "tlcourse-bench-quick.jsonl" if chosen.quick else RESULTS)
    if not chosen.resume:
        out.unlink(missing_ok=True)
    done = {key(json.loads(line)) for line in out.read_text().splitlines()} if out.exists() else set()
    planned = plan(chosen)
    print(f"{sum(map(len, planned))} runs; results go to {out}", flush=True)
    start, failed = time.perf_counter(), 0
    for chain in planned:
        if all(key(job) in done for job in chain):
            continue
        with temporary_home() as home:
            for job in chain:
                row = run(job, home)
                failed += "error" in row
                if "error" not in row:
                    with out.open("a") as file:
                        file.write(json.dumps(row) + "\n")
                report(row, time.perf_counter() - start)
    if failed:
        raise SystemExit(f"{failed} runs failed")


def plan(chosen) -> list[list[dict]]:
    """Chains of jobs in the order in which they are run: shuffled within each repeat, each repeat with its seed."""
    planned = []
    for seed in range(1 if chosen.quick else chosen.repeats):
        these = []
        for who, model, task in product(chosen.who, chosen.models, chosen.tasks):
            for variants in chains(who, model, task):
                common = {"who": who, "model": model, "task": task, "seed": seed, "quick": chosen.quick}
                common |= {"workers": workers(who, model), "cap": chosen.cap}
                these.append([common | {"variant": variant} for variant in variants])
        random.Random(seed).shuffle(these)
        planned += these
    return planned


def key(row: dict) -> tuple:
    """What makes two runs the same."""
    return tuple(row[name] for name in ("who", "variant", "model", "task", "seed", "quick", "workers", "cap"))


def run(job: dict, home: Path) -> dict:
    """Run a job in a fresh process; its row with the machine and its load, or with what went wrong."""
    environment = os.environ | {
        "TLCOURSE_HOME": str(home),
        "TLCOURSE_OFFLINE": "1",
        "HF_HUB_OFFLINE": "1",
        "TLCOURSE_ENGINE": ENGINES.get(job["variant"], "auto"),
        "PYTHONWARNINGS": "ignore",
    }
    before = load_now()
    command = [sys.executable, str(HERE / "one.py"), json.dumps(job)]
    try:
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        return job | {"error": f"gave up after {LIMIT} s"}
    if ended.returncode:
        return job | {"error": ended.stderr.strip()[-2000:]}
    return json.loads(ended.stdout.strip().splitlines()[-1]) | before | {"machine": describe()}


@contextmanager
def temporary_home():
    """A home of the course with the weights and data of the real one, and no kept features."""
    with tempfile.TemporaryDirectory() as folder:
        assets = settings.home() / "assets"
        try:
            (Path(folder) / "assets").symlink_to(assets, target_is_directory=True)
        except OSError:  # Windows without the right to make links
            shutil.copytree(assets, Path(folder) / "assets")
        yield Path(folder)


def report(row: dict, seconds: float) -> None:
    """One line a run, for whoever watches."""
    name = f"{row['model']:<18} {row['task']:<4} {row['seed']} {row['who']} {row['variant']}"
    if "error" in row:
        print(f"{seconds:6.0f} s  {name}: FAILED\n{row['error']}", flush=True)
    else:
        figures = f"accuracy {row['accuracy']:.3f}, {row['wall']:.1f} s, {row['cpu']:.1f} CPU s, load {row['load']}"
        print(f"{seconds:6.0f} s  {name}: {figures}", flush=True)


if __name__ == "__main__":
    main()
