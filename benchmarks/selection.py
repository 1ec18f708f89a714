"""Do the scores that choose a model order several starts as fine-tuning does? Also where they do not.

    python benchmarks/selection.py [--seeds 2] [--epochs 8] [--test 500]

Six starts of one architecture, from all weights pretrained to none, on four packaged sets. The scores see some labelled
training items; each start is then fine-tuned on the same items, all stages, and scored on test items. Prints a JSON
line a run, and then for each set and score its rank correlation with the accuracies after fine-tuning (Kendall's tau-b;
Spearman's rho), how far below the best the start lies that it would have chosen, and the mean over the sets.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from statistics import mean

from scipy.stats import kendalltau, spearmanr

from tlcourse import compare, evaluate, fit, load, load_dataset, stages

SHOTS = {"faces": 40, "tissue": 40, "surfaces": 6, "digits": 9}  # a class
STARTS = {  # the last pretrained stage, and the side of the images in pixels
    "whole, 64 px": ("neck", 64),
    "whole": ("neck", 48),
    "to stage5": ("stage5", 48),
    "to stage3": ("stage3", 48),
    "to stage1": ("stage1", 48),
    "random": (None, 48),
}
SCORES = ("logme", "leep", "h_score", "linear probe", "knn")


def start(last: str | None, size: int, classes, seed: int):
    """EfficientNet-Lite0 with ImageNet's weights up to a stage and random ones behind it."""
    model = load("efficientnet-lite0", classes=classes, pretrained=False, size=size, seed=seed)
    if last is not None:
        ours, theirs = (dict(stages(m).named_children()) for m in (model, load("efficientnet-lite0")))
        for name in list(ours)[: list(ours).index(last) + 1]:
            ours[name].load_state_dict(theirs[name].state_dict())
    return model


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seeds", type=int, default=2)
    options.add_argument("--epochs", type=int, default=8)
    options.add_argument("--test", type=int, default=500, help="at most so many test items")
    options.add_argument("--sets", nargs="*", default=list(SHOTS))
    chosen = options.parse_args()
    rows = defaultdict(lambda: defaultdict(list))
    for seed in range(chosen.seeds):
        for name in chosen.sets:
            data = load_dataset(name)
            few = data.train.shots(SHOTS[name], seed)
            every = max(1, -(-len(data.test) // chosen.test))
            test = data.test[::every]  # in turn: some sets come class by class
            for who, (last, size) in STARTS.items():
                row = run(start(last, size, data.classes, seed), last, size, few, test, chosen.epochs, seed)
                rows[name][who].append(row)
                print(json.dumps({"set": name, "start": who, "seed": seed} | row), flush=True)
    report(rows)


def run(model, last, size, few, test, epochs: int, seed: int) -> dict:
    """The scores of a start, and its accuracy after fine-tuning."""
    source = load("efficientnet-lite0", size=size) if last == "neck" else model  # with the head of its source
    table = compare({"start": source}, few, seed=seed, cache=False).loc["start"]
    history = fit(model, few, epochs=epochs, lr=1e-3, schedule="cosine", seed=seed, keep=False, progress=False)
    row = {name: round(float(table[name]), 4) for name in SCORES}
    tuned = round(evaluate(model, test).accuracy, 4)
    return row | {"seconds": round(table["seconds"], 1), "tuned": tuned, "tuning": round(history.seconds, 1)}


def report(rows) -> None:
    """Rank correlations, means over the seeds first."""
    taus = defaultdict(list)
    for name, starts in rows.items():
        means = {who: {key: mean(row[key] for row in runs) for key in runs[0]} for who, runs in starts.items()}
        print(f"\n{name}: " + ", ".join(f"{who} {m['tuned']:.3f}" for who, m in means.items()))
        for score in SCORES:
            known = [m for m in means.values() if m[score] == m[score]]  # LEEP: not NaN
            pairs = [m[score] for m in known], [m["tuned"] for m in known]
            if len(known) < 3:
                print(f"  {score:>12}: only {len(known)} starts have it")
                continue
            tau, rho = kendalltau(*pairs).statistic, spearmanr(*pairs).statistic
            lost = max(pairs[1]) - max(known, key=lambda m: m[score])["tuned"]
            taus[score].append(tau)
            print(f"  {score:>12}: tau {tau:+.2f}, rho {rho:+.2f}; what it would choose lies {lost:.3f} below the best")
    print("\nmean tau over the sets: " + ", ".join(f"{score} {mean(values):+.2f}" for score, values in taus.items()))


if __name__ == "__main__":
    main()
