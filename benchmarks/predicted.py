"""Does this package take longer than its parts? Each part is measured bare; their sum predicts the time of `fit`.

    python benchmarks/predicted.py            # some minutes; writes benchmarks/predicted.md
    python benchmarks/predicted.py --quick

A second table compares `extract` with a bare ONNX Runtime loop. Every comparison runs in a fresh process.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from compare import HERE, MODELS, TASKS, temporary_home
from machine import describe, in_words, load_now

GOALS = {"fit": 1.25, "extract": 1.2}
REPEATS = 3  # of the extraction, by turns


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--quick", action="store_true")
    options.add_argument("--out", type=Path, help="the page; with --quick it is only printed")
    options.add_argument("--one", help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.one:
        job = json.loads(chosen.one)
        print("\n" + json.dumps(_extraction(job) if job["what"] == "extract" else _training(job)))
        return
    before, rows = load_now(), []
    for job in _jobs(chosen.quick):
        with temporary_home() as home:
            rows.append(_run(job, home))
        print(json.dumps(rows[-1]), flush=True)
    text = page(rows, before)
    print(text)
    if chosen.out or not chosen.quick:
        (chosen.out or HERE / "predicted.md").write_text(text)


def _jobs(quick: bool) -> list[dict]:
    jobs = [{"what": "extract", "model": "efficientnet-lite0", "task": "head", "engine": "onnxruntime"}]
    for model in MODELS:
        for task in TASKS:
            both = task != "all" and model == "efficientnet-lite0"  # texts are always run by torch
            for engine in ("onnxruntime", "torch") if both else ("torch",):
                jobs.append({"what": "fit", "model": model, "task": task, "engine": engine})
    return [job | {"quick": quick} for job in jobs]


def _run(job: dict, home: Path) -> dict:
    environment = os.environ | {
        "TLCOURSE_HOME": str(home),
        "TLCOURSE_OFFLINE": "1",
        "TLCOURSE_ENGINE": "torch" if job["engine"] == "torch" else "auto",
        "PYTHONWARNINGS": "ignore",
    }
    command = [sys.executable, str(HERE / "predicted.py"), "--one", json.dumps(job)]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True)
    if ended.returncode:
        raise SystemExit(f"{job}\n{ended.stderr[-3000:]}")
    return json.loads(ended.stdout.strip().splitlines()[-1])


def _training(job: dict) -> dict:
    """The parts of a run before and after it (a machine's speed wanders), and `fit` itself between them."""
    from bare import parts, timed
    from tasks import BATCH, make_run

    from tlcourse import fit, freeze
    from tlcourse.hardware import reusing_memory

    made = [make_run(job["model"], job["task"], seed, job["quick"]) for seed in (0, 1, 0)]
    bare_parts = reusing_memory(parts)  # as `fit` runs
    before = bare_parts(made[0], job["engine"])
    run = made[1]
    if run.task.until is not None:
        freeze(run.model, until=run.task.until)
    _forget()
    settings = {"epochs": run.task.epochs, "lr": run.task.lr, "batch": BATCH, "progress": False}
    actual, history = timed(lambda: fit(run.model, run.train, **settings))
    after = bare_parts(made[2], job["engine"])
    bare = {name: (before[name] + after[name]) / 2 for name in before}
    # where nothing is kept, every epoch transforms the images anew; texts are tokenised once in any case
    passes = run.task.epochs if run.task.until is None and not run.text else 1
    expected = passes * bare["transform"] + bare["engine"] + bare["prefix"] + run.task.epochs * bare["epoch"]
    row = {"items": len(run.train), "epochs": run.task.epochs, "predicted": expected, "actual": actual}
    bare["translation"] = bare.pop("engine")
    return job | bare | row | {"ratio": actual / expected, "note": history.keeping}


def _extraction(job: dict) -> dict:
    """`extract` and the bare loop by turns; the fastest of each counts, and the first of each is not counted."""
    from bare import bare_extraction, timed
    from tasks import make_run

    from tlcourse import extract
    from tlcourse.hardware import reusing_memory

    run, times, outputs = make_run(job["model"], job["task"], 0, job["quick"]), {"ours": [], "bare": []}, {}
    for _ in range(REPEATS + 1):
        _forget()
        for name, way in (
            ("ours", lambda: extract(run.model, run.train, "pool", cache=False, progress=False)),
            ("bare", lambda: reusing_memory(bare_extraction)(run)),
        ):
            seconds, outputs[name] = timed(way)
            times[name].append(seconds)
    ours, bare = (min(seconds[1:]) for seconds in times.values())
    apart = float((outputs["ours"].x - outputs["bare"]).abs().max())
    row = {"items": len(run.train), "actual": ours, "predicted": bare, "ratio": ours / bare}
    return job | row | {"largest_difference": apart, "note": outputs["ours"].engine}


def _forget() -> None:
    """Let the translation of the network be paid for again: `extract` keeps the newest one for the next split."""
    from tlcourse.features import engine

    engine._last = None


def page(rows: list[dict], before: dict) -> str:
    """The tables as a Markdown page."""
    lines = [
        "# Does the package take longer than its parts?",
        "",
        "Made by `benchmarks/predicted.py`. Each part is measured by itself, before and after the run: the transform,",
        "the translation for ONNX Runtime, the frozen stages over all items once, one epoch of bare training steps of",
        "the rest. Predicted = transform + translation + items x frozen stages + steps x step. Measured is the wall",
        "time of `fit` with nothing kept from before.",
        "",
        f"Machine: {in_words(describe())}; load before: {before['load']}.",
        "",
        "| model, task | engine | transform, ms an item | translation, s | frozen stages, ms an item | step, ms "
        "| steps | predicted, s | measured, s | measured / predicted |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    fits = [row for row in rows if row["what"] == "fit"]
    for r in fits:
        n = r["items"]
        lines.append(
            f"| {r['model']}, {r['task']} | {r['engine']} | {1e3 * r['transform'] / n:.2f} | {r['translation']:.2f} "
            f"| {1e3 * r['prefix'] / n:.2f} | {1e3 * r['epoch'] / r['steps']:.1f} | {r['epochs'] * r['steps']:.0f} "
            f"| {r['predicted']:.2f} | {r['actual']:.2f} | {r['ratio']:.2f} |"
        )
    lines += ["", _verdict(fits, GOALS["fit"]), "", "## `extract` beside a bare ONNX Runtime loop", ""]
    for r in rows:
        if r["what"] == "extract":
            lines.append(
                f"{r['items']} images to the pool, transform and translation included: `extract` {r['actual']:.2f} s, "
                f"bare loop {r['predicted']:.2f} s, ratio {r['ratio']:.2f} (goal: at most {GOALS['extract']}). The "
                f"features differ by {r['largest_difference']:.0e} at most. Engine: {r['note']}."
            )
    return "\n".join(lines) + "\n"


def _verdict(fits: list[dict], goal: float) -> str:
    over = [f"{r['model']}, {r['task']}, {r['engine']} ({r['ratio']:.2f})" for r in fits if r["ratio"] > goal]
    return f"Goal: at most {goal}. " + (f"Missed by: {'; '.join(over)}." if over else "Met by all.")


if __name__ == "__main__":
    main()
