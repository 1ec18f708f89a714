"""Tables and a figure from the results of `compare.py`, written into benchmarks/README.md between its markers.

python benchmarks/report.py
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path
from statistics import mean, median

from figure import HEADINGS, draw
from machine import in_words
from peers import MODULES, TITLES, WORKERS, chains

from tlcourse.features.results import interval, wilson

HERE = Path(__file__).parent
BEGIN, END = "<!-- results: begin (made by report.py) -->", "<!-- results: end -->"
NEAR = 0.99  # "seconds to 99 %": of the best peer's final accuracy


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--results", type=Path, default=HERE / "results.jsonl")
    options.add_argument("--readme", type=Path, default=HERE / "README.md")
    options.add_argument("--figure", type=Path, default=HERE / "speed.png")
    chosen = options.parse_args()
    if not chosen.results.exists():
        raise SystemExit(f"There is no {chosen.results}: run compare.py first.")
    rows = [json.loads(line) for line in chosen.results.read_text().splitlines()]
    tables = {place: table(group) for place, group in grouped(rows, "model", "task").items()}
    text = "\n\n".join(
        [about(rows), picture(tables), *(shown(place, entries) for place, entries in sorted_places(tables))]
    )
    chosen.readme.write_text(between(chosen.readme.read_text(), text))
    draw({place: entries for place, entries in sorted_places(tables)}, chosen.figure)
    print(text)


def grouped(rows: list[dict], *names: str) -> dict[tuple, list[dict]]:
    """Rows by the values of some fields."""
    groups = defaultdict(list)
    for row in rows:
        groups[tuple(row[name] for name in names)].append(row)
    return dict(groups)


def sorted_places(tables: dict) -> list[tuple]:
    """Model by model, from the head to all layers."""
    return sorted(tables.items(), key=lambda item: (item[0][0], list(HEADINGS).index(item[0][1])))


def table(rows: list[dict]) -> list[dict]:
    """A dict for each peer and variant of one task, in the order of `peers.py`."""
    groups = grouped(rows, "who", "variant")
    order = [(who, v) for who in MODULES for c in chains(who, rows[0]["model"], rows[0]["task"]) for v in c]
    names = [name for name in order if name in groups]
    peers = [name for name in names if name[0] != "ours"]
    clean = [n for n in peers if not any(r["moved"]["parameters"] + r["moved"]["buffers"] for r in groups[n])]
    best = max((mean(r["accuracy"] for r in groups[n]) for n in clean or peers), default=None)
    fastest = min((median(r["wall"] for r in groups[n]) for n in peers), default=None)
    entries = [entry(name, groups[name], best, fastest) for name in names]
    reference = next((e for e in entries if e["who"] == "ours"), None)
    for e in entries:
        e["agrees"] = reference is None or (e["low"] <= reference["high"] and reference["low"] <= e["high"])
    return entries


def entry(name: tuple[str, str], runs: list[dict], best: float | None, fastest: float | None) -> dict:
    """The figures of one peer in one task."""
    accuracies, tested = [r["accuracy"] for r in runs], runs[0]["tested"]
    low, high = wilson(round(mean(accuracies) * tested), tested)
    reached = [seconds_to(r["epochs"], NEAR * best) for r in runs] if best is not None else []
    seconds = median(r["wall"] for r in runs)
    return {
        "who": name[0],
        "variant": name[1],
        "runs": len(runs),
        "accuracy": mean(accuracies),
        "seeds": interval(accuracies)[1:] if len(runs) > 1 else None,
        "low": low,
        "high": high,
        "wall": seconds,
        "span": (min(r["wall"] for r in runs), max(r["wall"] for r in runs)),
        "cpu": median(r["cpu"] for r in runs),
        "near": median(r for r in reached if r is not None) if any(r is not None for r in reached) else None,
        "reached": sum(r is not None for r in reached),
        "peak": median(r["peak_mb"] for r in runs),
        "baseline": median(r["baseline_mb"] for r in runs),
        "ratio": fastest / seconds if fastest else None,
        "moved": max((r["moved"] for r in runs), key=lambda m: m["parameters"] + m["buffers"]),
    }


def seconds_to(epochs: list[dict], accuracy: float) -> float | None:
    """Training seconds until the first epoch that reached an accuracy; None if none did."""
    return next((e["wall"] for e in epochs if e["accuracy"] >= accuracy), None)


def shown(place: tuple[str, str], entries: list[dict]) -> str:
    """One task as a Markdown section."""
    lines = [
        f"### {place[0]}: {HEADINGS[place[1]]}",
        "",
        "| | runs | accuracy | over seeds | by items | s | from–to | CPU s | s to 99 % | peak MB (before) "
        "| times as fast as the fastest peer "
        "| frozen tensors that moved |",
        "| --- | ---: | ---: | --- | --- | ---: | --- | ---: | ---: | ---: | ---: | --- |",
    ]
    for e in entries:
        seeds = "–" if e["seeds"] is None else f"{max(0, e['seeds'][0]):.3f}–{min(1, e['seeds'][1]):.3f}"
        near = "never" if e["near"] is None else told(e["near"])
        span = "–" if e["runs"] == 1 else f"{told(e['span'][0])}–{told(e['span'][1])}"
        near += f" ({e['reached']} of {e['runs']})" if 0 < e["reached"] < e["runs"] else ""
        ratio = "–" if e["ratio"] is None else f"{e['ratio']:.{0 if e['ratio'] > 99 else 1 if e['ratio'] > 9 else 2}f}"
        lines.append(
            f"| {label(e)} | {e['runs']} | {e['accuracy']:.3f} | {seeds} | {e['low']:.3f}–{e['high']:.3f} "
            f"| {told(e['wall'])} | {span} | {told(e['cpu'])} | {near} "
            f"| {e['peak']:.0f} ({e['baseline']:.0f}) | {ratio} | {moved(e['moved'])} |"
        )
    return "\n".join([*lines, "", agreement(entries)])


def told(value: float) -> str:
    """Seconds with a digit more where there are few."""
    return f"{value:.2f}" if value < 1 else f"{value:.1f}"


def label(e: dict) -> str:
    """A peer's name with its variant; ours in bold."""
    name = TITLES[e["who"]] + (f", {e['variant']}" if e["variant"] else "")
    return f"**{name}**" if e["who"] == "ours" else name


def moved(counts: dict) -> str:
    """How many tensors of the frozen stages moved, in words."""
    if not counts["of_parameters"] + counts["of_buffers"]:
        return "nothing is frozen"
    if not counts["parameters"] + counts["buffers"]:
        return "none"
    return (
        f"{counts['parameters']} of {counts['of_parameters']} parameters, "
        f"{counts['buffers']} of {counts['of_buffers']} buffers"
    )


def agreement(entries: list[dict]) -> str:
    """Whether the accuracies differ by more than the test items allow to tell."""
    others = [label(e) for e in entries if not e["agrees"]]
    if not others:
        return "All intervals by items overlap with this package's, which is no proof that the accuracies are equal."
    return f"All intervals by items overlap with this package's, except: {'; '.join(others)}."


def about(rows: list[dict]) -> str:
    """Machine, load and versions: without them the figures mean little."""
    machines = dict.fromkeys(in_words(row["machine"]) for row in rows)
    loads, busy = [row["load"] for row in rows], [row["busy"] for row in rows]
    versions: dict[str, str] = {}
    for row in rows:
        versions |= row["versions"]
    items = ", ".join(
        f"{model}: {group[0]['items']} items to train, {group[0]['tested']} to test"
        for (model,), group in sorted(grouped(rows, "model").items())
    )
    return "\n".join(
        [
            f"Machine: {'; '.join(machines)}. {len(rows)} runs. Load average before a run: {median(loads):.1f} "
            f"(median; it holds the run before), others' share of the cores just before: {median(busy):.0%} in the "
            f"median, {max(busy):.0%} at most.",
            f"Versions: {', '.join(f'{name} {number}' for name, number in sorted(versions.items()))}.",
            "In the tables: over seeds, the 95 % interval of the mean over seeds (cut at 0 and 1); by items, Wilson's "
            "interval for the test items; s, wall seconds (median) and from–to; CPU s, processor seconds; s to 99 %, "
            "until the first epoch that reached 99 % of the final accuracy of the best peer in whose frozen stages "
            "nothing moved; the last but one column, the fastest peer's seconds divided by these.",
            "",
            f"{items}. Workers of the loaders for images: "
            f"{', '.join(f'{TITLES[who]} {number}' for who, number in WORKERS.items())}.",
        ]
    )


def picture(tables: dict) -> str:
    """The figure with what it shows in words."""
    said = []
    for (model, task), entries in sorted_places(tables):
        ours = [e for e in entries if e["who"] == "ours"]
        peers = sorted((e for e in entries if e["who"] != "ours"), key=lambda e: e["wall"])
        if ours and peers:
            said.append(
                f"{model}, {HEADINGS[task]}: this package {ours[0]['wall']:.1f} s, the peers from "
                f"{peers[0]['wall']:.1f} s ({label(peers[0])}) to {peers[-1]['wall']:.1f} s ({label(peers[-1])})"
            )
    return f"![Bars of training seconds in six panels. {'; '.join(said)}.](speed.png)"


def between(readme: str, text: str) -> str:
    """The README with the text between the markers replaced."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    if not rest or END not in rest:
        raise SystemExit(f"The README lacks the lines {BEGIN!r} and {END!r}.")
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"


if __name__ == "__main__":
    main()
