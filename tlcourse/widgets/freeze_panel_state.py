"""What the freezing panel shows, as plain numbers and words."""

from __future__ import annotations

from torch import nn

from tlcourse.chain import stages
from tlcourse.freezing import audit, frozen
from tlcourse.freezing.choices import PRESETS, cautions, code_of
from tlcourse.plots.words import percent

_WORDS = {
    "frozen": "frozen",
    "trains": "trains",
    "part": "partly trains",
    "loose": "no gradients, but its statistics move",
    "none": "nothing to train",
}


def shown(model: nn.Module, optimizer=None, prices=None, moved=None, name: str = "model") -> dict:
    """All that the panel shows of a model as it is now; text and numbers only, ready for JSON.

    Arguments:
        model: any model whose `stages` are known.
        optimizer: if given, whether it holds a stage's parameters is one of the facts.
        prices: what `price(model, data)` returned, if seconds and memory are to be shown.
        moved: what `trial_step` returned, if a step has been tried.
        name: what the variable is called in the line of code.

    >>> state = shown(nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2)))
    >>> state["boundary"], state["totals"], state["code"]
    (0, '23 of 23 parameters train (100 %).', 'unfreeze(model)')
    """
    table, held = audit(model, optimizer), set(frozen(model))
    most = max(1, int(table["parameters"].max())) if len(table) else 1
    rows = []
    for stage, row in table.iterrows():
        state = _state(row)
        rows.append(
            {
                "name": str(stage),
                "parameters": int(row["parameters"]),
                "bar": round(float(row["parameters"]) / most, 4),
                "state": state,
                "says": _WORDS[state] if stage not in held else "frozen",
                "frozen": stage in held,
                "grad": row["requires grad"],
                "optimizer": row["in optimizer"],
                "buffers": int(row["buffers that move"]),
                "moved": None if moved is None else _moved(moved.loc[stage]),
            }
        )
    return {
        "stages": rows,
        "boundary": _first(row["frozen"] for row in rows),
        "totals": _totals(model, prices),
        "cautions": cautions(table),
        "code": code_of(model, name),
        "presets": [{"name": key, "says": says} for key, says in PRESETS.items()],
        "tried": moved is not None,
    }


def _state(row) -> str:
    if row["frozen"]:
        return "frozen"
    if not row["parameters"]:
        return "none"
    if row["requires grad"] == "no":
        return "loose" if row["buffers that move"] else "frozen"
    return "trains" if row["requires grad"] == "yes" else "part"


def _first(flags) -> int:
    n = 0
    for flag in flags:
        if not flag:
            break
        n += 1
    return n


def _moved(row) -> str:
    return " and ".join(kind for kind in ("parameters", "buffers") if row[f"{kind} moved"]) or "still"


def _totals(model: nn.Module, prices) -> str:
    every = sum(p.numel() for p in stages(model).parameters())
    trains = sum(p.numel() for p in stages(model).parameters() if p.requires_grad)
    share = percent(trains / every) if every else "0 %"
    words = f"{trains:,} of {every:,} parameters train ({share})."
    if prices is None:
        return words
    made = prices.now(model)
    once = f"{_seconds(made.once)} once, then " if made.once else ""
    return f"{words} About {once}{_seconds(made.epoch)} an epoch, and {made.memory:,.0f} MB of memory."


def _seconds(value: float) -> str:
    return f"{value:.0f} s" if value >= 10 else f"{value:.2g} s"
