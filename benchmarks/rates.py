"""Which learning rate each task gets: accuracy on the validation split, one seed, a line a rate.

    python benchmarks/rates.py

The test split is not looked at. The rates in `tasks.py` were chosen from this table.
"""

from __future__ import annotations

import argparse
import json

from tasks import BATCH, CNN, DATA, LOADING, SHARE, TASKS, drawn

from tlcourse import evaluate, extract, fit, freeze, load, load_dataset

RATES = {
    (CNN, "head"): (3e-3, 1e-2, 3e-2),
    (CNN, "last"): (3e-4, 1e-3, 3e-3),
    (CNN, "all"): (1e-4, 3e-4, 1e-3),
    ("minilm", "head"): (3e-3, 1e-2, 3e-2),
    ("minilm", "last"): (1e-4, 3e-4, 1e-3),
    ("minilm", "all"): (2e-5, 5e-5, 1e-4),
}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--tasks", nargs="*", default=("head", "last", "all"))
    wanted = options.parse_args().tasks
    for (name, kind), rates in RATES.items():
        if kind not in wanted:
            continue
        task, data, features = TASKS[name, kind], load_dataset(DATA[name]), None
        train, valid = drawn(data.train, SHARE[name]), data.valid
        for lr in rates:
            model = load(name, classes=data.classes, seed=100, **LOADING[name])
            if task.until is not None:
                freeze(model, until=task.until)
                features = features or tuple(extract(model, d, task.until, cache=False) for d in (train, valid))
            learned, held_out = features or (train, valid)
            fit(model, learned, epochs=task.epochs, lr=lr, batch=BATCH, seed=100, progress=False)
            accuracy = evaluate(model, held_out).accuracy
            print(json.dumps({"model": name, "task": kind, "lr": lr, "valid": round(accuracy, 3)}), flush=True)


if __name__ == "__main__":
    main()
