"""One run of one peer in this process; prints one JSON line. `compare.py` starts it.

python benchmarks/one.py '{"who": "pytorch", "model": "minilm", "task": "head", "seed": 0, "quick": true}'
"""

from __future__ import annotations

import importlib
import json
import sys
from importlib.metadata import version

from peers import MODULES


def main() -> None:
    job = {"variant": "", "quick": False, "workers": 0, "cap": None, "changes": {}} | json.loads(sys.argv[1])
    peer = importlib.import_module(MODULES[job["who"]])  # before the clock runs, like loading weights and data
    import torch
    from clock import peak_mb
    from tasks import make_run

    changes = job.pop("changes")
    run = make_run(job["model"], job["task"], job["seed"], job["quick"], job["workers"], job["cap"], **changes)
    torch.manual_seed(job["seed"])
    baseline = peak_mb()
    run.clock.start()
    peer.train(run, job["variant"])
    run.clock.stop()
    peak = peak_mb()
    if len(run.epochs) != run.task.epochs:
        raise SystemExit(f"{len(run.epochs)} epochs were scored, not {run.task.epochs}")
    row = job | run.clock.read() | {
        "accuracy": run.epochs[-1]["accuracy"],
        "lr": run.task.lr,
        "items": len(run.train),
        "tested": len(run.test),
        "epochs": run.epochs,
        "baseline_mb": round(baseline),
        "peak_mb": round(peak),
        "moved": run.moved(),
        "note": run.note,
        "versions": {name: version(name) for name in dict.fromkeys(("torch", *peer.PACKAGES))},
    }  # fmt: skip
    print("\n" + json.dumps(row))


if __name__ == "__main__":
    main()
