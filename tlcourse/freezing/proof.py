"""`audit` tells what will move, `changed` tells what did."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from tlcourse.chain import stages
from tlcourse.errors import CourseError
from tlcourse.freezing.freeze import frozen, is_held, tensors_of


def audit(model: nn.Module, optimizer: torch.optim.Optimizer | None = None) -> pd.DataFrame:
    """What will move when this model trains: three different facts a stage, which are often taken for one.

    Arguments:
        model: any model whose `stages` are known.
        optimizer: if given, the table says which stages' parameters it holds.

    Returns a table, a row a stage: `parameters` (numbers), `requires grad` (yes, no, part), `in optimizer`
    (yes, no, part, or "?" without an optimizer), `buffers that move` (tensors of normalisation statistics that
    `model.train()` sets moving), and `frozen` (truly: nothing of it can move).
    Raises `CourseError` when `optimizer` is not one.

    >>> from torch import nn
    >>> net = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 2)).requires_grad_(False)
    >>> audit(net)[["requires grad", "buffers that move"]].values.tolist()
    [['no', 3], ['no', 0]]

    Introduced in chapter 03.
    """
    if optimizer is not None and not hasattr(optimizer, "param_groups"):
        raise CourseError(
            f"{optimizer!r} is not an optimizer.",
            why="What it holds is read from its param_groups.",
            do="Pass the optimizer itself, e.g. torch.optim.AdamW(parameter_groups(model, lr=1e-3)), or leave it out.",
        )
    held = None if optimizer is None else {id(p) for group in optimizer.param_groups for p in group["params"]}
    rows, truly, _ = [], frozen(model), list(tensors_of(model))
    for name, stage in stages(model).named_children():
        parameters = list(stage.parameters())
        rows.append(
            {
                "stage": name,
                "parameters": sum(p.numel() for p in parameters),
                "requires grad": _share([p.requires_grad for p in parameters]),
                "in optimizer": "?" if held is None else _share([id(p) in held for p in parameters]),
                "buffers that move": sum(_moving_buffers(m) for m in stage.modules()),
                "frozen": name in truly,
            }
        )
    return pd.DataFrame(rows).set_index("stage")


def snapshot(model: nn.Module) -> dict[str, torch.Tensor]:
    """A copy of every parameter and buffer, to compare with later by `changed`.

    >>> from torch import nn
    >>> sorted(snapshot(nn.Linear(2, 1)))
    ['bias', 'weight']
    """
    return {name: tensor.detach().clone() for name, tensor in tensors_of(model)}


def changed(model: nn.Module, since: Mapping[str, torch.Tensor]) -> pd.DataFrame:
    """Which tensors moved since a `snapshot`: the proof that a frozen stage is frozen.

    Arguments:
        model: the model that the snapshot was taken of.
        since: what `snapshot(model)` returned earlier.

    Returns a table, a row a stage: how many `parameters` and `buffers` (tensors, not numbers) it has, how many of
    them moved by as little as one bit, and the `largest change` of a value.
    Raises `CourseError` when the snapshot is another model's.

    >>> import torch
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 1))
    >>> before = snapshot(net)
    >>> _ = torch.nn.init.zeros_(net[1].weight)
    >>> changed(net, since=before)["parameters moved"].tolist()
    [0, 1]
    """
    now = dict(tensors_of(model))
    if set(now) != set(since) or any(now[n].shape != since[n].shape for n in now):
        raise CourseError(
            "The snapshot does not fit this model.",
            why="They do not have the same tensors: the head may have been replaced in between.",
            do="Take before = snapshot(model) after the last change of the architecture.",
        )
    names = {id(tensor): name for name, tensor in now.items()}
    rows = []
    for stage, module in stages(model).named_children():
        row = {"stage": stage, "parameters": 0, "parameters moved": 0, "buffers": 0, "buffers moved": 0}
        largest = 0.0
        for kind, tensors in (("parameters", module.parameters()), ("buffers", module.buffers())):
            for tensor in tensors:
                row[kind] += 1
                moved = _distance(tensor, since[names[id(tensor)]])
                if moved is not None:
                    row[f"{kind} moved"] += 1
                    largest = max(largest, moved)
        rows.append({**row, "largest change": largest})
    return pd.DataFrame(rows).set_index("stage")


def _distance(a: torch.Tensor, b: torch.Tensor) -> float | None:
    """The largest difference of two tensors; None when they agree in every bit (NaN and the sign of zero included)."""
    a, b = (t.detach().cpu().contiguous().reshape(-1) for t in (a, b))
    if a.dtype == b.dtype and torch.equal(a.view(torch.uint8), b.view(torch.uint8)):
        return None
    a, b = (t.to(torch.complex128 if t.is_complex() else torch.float64) for t in (a, b))
    difference = (a - b).abs()
    difference[(a == b) | (a.isnan() & b.isnan())] = 0.0
    return float(difference.nan_to_num(nan=torch.inf, posinf=torch.inf).max())


def _moving_buffers(module: nn.Module) -> int:
    if not isinstance(module, _NormBase) or not module.track_running_stats or is_held(module):
        return 0
    return sum(1 for _ in module.buffers(recurse=False))


def _share(flags: list[bool]) -> str:
    if not flags:
        return "-"
    return "yes" if all(flags) else "part" if any(flags) else "no"
