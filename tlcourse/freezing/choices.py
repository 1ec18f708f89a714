"""What a learner may choose to freeze: presets, single stages, the code that says the same, and what to beware of."""

from __future__ import annotations

import json
from collections.abc import Iterable
from glob import escape

import pandas as pd
from torch import nn

from tlcourse.chain import pick, stages
from tlcourse.errors import UnknownName
from tlcourse.freezing.freeze import freeze, frozen, is_held, unfreeze
from tlcourse.freezing.lora import detours_only

PRESETS = {
    "probe": "Only the head trains: a linear probe.",
    "last": "The head and the stage before it train.",
    "half": "The first half of the stages is frozen.",
    "all": "Everything trains.",
    "gradual": "One more stage trains each time, from the head on; when all do, it begins again.",
}


def preset(model: nn.Module, name: str) -> tuple[str, ...]:
    """Names of the stages that a preset would freeze; the model stays as it is.

    Arguments:
        model: any model whose `stages` are known.
        name: one of `PRESETS`.

    >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 3), nn.Linear(3, 2))
    >>> preset(net, "probe"), preset(net, "half")
    (('0', '1', '2'), ('0', '1'))

    Howard and Ruder 2018 (gradual unfreezing); chapter 04.
    """
    if name not in PRESETS:
        raise UnknownName("preset", name, PRESETS)
    known, holders = list(dict(stages(model).named_children())), with_parameters(model)
    trains = {"probe": 1, "last": 2, "half": len(holders) - len(holders) // 2, "all": len(holders)}.get(name)
    if trains is None:
        held = set(frozen(model))
        trains = next((i for i, stage in enumerate(reversed(holders)) if stage in held), 0) + 1
    if trains >= len(holders):
        return ()
    return tuple(known[: known.index(holders[-trains])])


def with_parameters(model: nn.Module) -> list[str]:
    """Names of the stages that have parameters, in the order of the chain.

    >>> with_parameters(nn.Sequential(nn.Linear(4, 3), nn.ReLU()))
    ['0']
    """
    return [name for name, stage in stages(model).named_children() if any(True for _ in stage.parameters())]


def choose(model: nn.Module, names: Iterable[str]) -> nn.Module:
    """Freeze exactly these stages. Those that are so already stay untouched, and a LoRA detour stays one.

    >>> net = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
    >>> frozen(choose(choose(net, ["1"]), ["0"]))
    ('0',)

    Raises `UnknownName` for a stage that is not there; then nothing is changed.
    """
    wanted, known, held = list(names), list(dict(stages(model).named_children())), set(frozen(model))
    for name in wanted:
        if name not in known:
            raise UnknownName("stage", name, known)
    closing = [escape(name) for name in known if name in wanted and name not in held]
    opening = [escape(name) for name in known if name not in wanted and name in held]
    if closing:
        freeze(model, *closing)
    if opening:
        unfreeze(model, *opening)
        detours_only(model, *opening)
    return model


def code_of(model: nn.Module, name: str = "model") -> str:
    """The line of code that freezes what is frozen now, whatever was frozen before.

    A stage that trains in part, as with a LoRA detour, is left as it is: `unfreeze` would open all of it.

    Arguments:
        model: any model whose `stages` are known.
        name: the variable that holds it.

    >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> code_of(freeze(net, until="0"))
    'freeze(unfreeze(model), until="0")'
    >>> code_of(freeze(net))
    'freeze(unfreeze(model))'
    """
    chain, held = dict(stages(model).named_children()), list(frozen(model))
    known = list(chain)
    part = [stage for stage in known if stage not in held and not _wholly_open(chain[stage])]
    if part:
        opened = [stage for stage in known if stage not in held and stage not in part]
        code = f"unfreeze({name}, {_listed(opened)})" if opened else name
        return f"freeze({code}, {_listed(held)})" if held else code
    if not held:
        return f"unfreeze({name})"
    usual = known.index("head") if "head" in known else known.index(pick(model, last=1)[0])
    if held == known[:usual]:
        return f"freeze(unfreeze({name}))"
    if held == known:
        return f"freeze({name}, {json.dumps('*')})"
    if held == known[: len(held)]:
        return f"freeze(unfreeze({name}), until={json.dumps(held[-1], ensure_ascii=False)})"
    return f"freeze(unfreeze({name}), {_listed(held)})"


def _listed(names: list[str]) -> str:
    return ", ".join(json.dumps(escape(name), ensure_ascii=False) for name in names)


def _wholly_open(stage: nn.Module) -> bool:
    return all(p.requires_grad for p in stage.parameters()) and not any(is_held(m) for m in stage.modules())


def outcome(table: pd.DataFrame) -> str:
    """What trains, in a sentence.

    Arguments:
        table: what `audit(model)` returned.

    >>> from tlcourse import audit
    >>> net = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 3), nn.Linear(3, 2))
    >>> outcome(audit(net)), outcome(audit(freeze(net, "0"))), outcome(audit(freeze(net)))
    ('Everything trains.', '1, 2 train.', 'Only 2 trains.')
    """
    held = table[table["parameters"] > 0]
    whole = list(held.index[held["requires grad"] == "yes"])
    part = list(held.index[held["requires grad"] == "part"])
    if not whole and not part:
        return "Nothing trains."
    if len(whole) == len(held):
        return "Everything trains."
    if not part:
        return f"Only {whole[0]} trains." if len(whole) == 1 else f"{_named(whole)} train."
    words = f"{_named(part)} train{'s' if len(part) == 1 else ''} in part"
    return f"{_named(whole)} train{'s' if len(whole) == 1 else ''}; {words}." if whole else f"{words}."


def cautions(table: pd.DataFrame) -> list[str]:
    """What to beware of in a choice, each in a sentence or two.

    Arguments:
        table: what `audit(model)` or `audit(model, optimizer)` returned.

    >>> from tlcourse import audit
    >>> net = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
    >>> cautions(audit(freeze(net, "1")))
    ['0 trains while 1 behind it is frozen: ...']
    """
    held = table[table["parameters"] > 0]
    trains = held["requires grad"].isin(["yes", "part"])
    said = []
    if len(held) and not trains.any():
        said.append("Nothing trains: every parameter is frozen. Leave at least the head open.")
    elif trains.any():
        first = list(trains).index(True)
        behind = [name for name, moves in list(trains.items())[first:] if not moves]
        if behind:
            said.append(
                f"{trains.index[first]} trains while {_named(behind)} behind it {'is' if len(behind) == 1 else 'are'} "
                "frozen: the wrong end. Gradients still run through all of them, nothing behind can be computed once, "
                "and they get an input that they were not trained on."
            )
    loose = [n for n, row in held.iterrows() if row["requires grad"] == "no" and row["buffers that move"]]
    if loose:
        said.append(
            f"{_named(loose)} looks frozen, but BatchNorm's statistics will move: requires_grad does not stop them. "
            "freeze(model, ...) does."
        )
    moving = [n for n, row in held.iterrows() if row["requires grad"] != "no" and row["buffers that move"]]
    if moving:
        said.append(
            f"BatchNorm trains in {_named(moving)}: it normalises by the batch, so give it batches of 16 or more."
        )
    left = [n for n, row in held.iterrows() if row["requires grad"] != "no" and row["in optimizer"] in ("no", "part")]
    if left:
        said.append(f"The optimizer does not hold all that trains in {_named(left)}: make it anew after unfreezing.")
    return said


def _named(names: list[str]) -> str:
    if len(names) > 3:
        return f"{names[0]} to {names[-1]} ({len(names)} stages)"
    return ", ".join(names)
