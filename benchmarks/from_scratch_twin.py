"""How far the from-scratch twin of chapter 03 gets with much more training than a notebook can afford.

    python benchmarks/from_scratch_twin.py [--seeds 3]

Prints one JSON line a run: shots, passes over the data, seed, test accuracy with its interval, seconds, peak MB.
"""

from __future__ import annotations

import argparse
import json

from tlcourse import evaluate, extract, fit, linear_probe, load, load_dataset

RUNS = ((2, 100), (10, 40), (40, 30))  # shots a class, passes


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seeds", type=int, default=3)
    seeds = range(options.parse_args().seeds)
    data = load_dataset("surfaces")
    body = load("efficientnet-lite0", size=64)
    train, test = extract(body, data.train), extract(body, data.test)
    for shots, epochs in RUNS:
        for seed in seeds:
            probe = linear_probe(train.shots(shots, seed), test)
            twin = load("efficientnet-lite0", classes=data.classes, pretrained=False, size=64, seed=seed)
            few = data.train.shots(shots, seed)
            history = fit(twin, few, epochs=epochs, lr=4e-3, schedule="cosine", seed=seed, progress=False)
            result = evaluate(twin, data.test)
            row = {
                "shots": shots,
                "passes": epochs,
                "seed": seed,
                "twin": round(result.accuracy, 3),
                "low": round(result.low, 3),
                "high": round(result.high, 3),
                "probe": round(probe.accuracy, 3),
                "seconds": round(history.seconds, 1),
                "memory": round(history.memory),
            }
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
