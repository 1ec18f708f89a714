"""`shared_cost`: what one network for all tasks costs, against one network a task."""

from __future__ import annotations

import pandas as pd
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from tlcourse.chain import stages
from tlcourse.features.modes import evaluating, model_device, seeded
from tlcourse.freezing import still
from tlcourse.multitask.labels import TaskData
from tlcourse.multitask.network import MultiTask, check_network
from tlcourse.training.source import Source, check_data


def shared_cost(model: MultiTask, data) -> pd.DataFrame:
    """Parameters and operations of one network for all tasks, and of a network of its own for each task.

    A network of its own has the same shared stages and one of the heads. The operations are counted, not timed, so they
    are the same on every machine; a multiplication and an addition are two.

    Arguments:
        model: a `MultiTask` network.
        data: a `Split`, or a `TaskData` of one; its first item is sent through, of texts the longest one.

    Returns a table with the rows `shared`, one for each task alone, and `separate`, the sum of these. Columns:
    `parameters`; `MFLOPs`, millions of operations of one item's way through the whole network; `frozen MFLOPs`, those
    of them that lie before the frozen boundary, which training pays once; `share`, MFLOPs as a share of `separate`.

    >>> from tlcourse import load, load_dataset
    >>> model = MultiTask(load("efficientnet-lite0", classes=2, pretrained=False, size=32), {"face": 2, "age": 1})
    >>> shared_cost(model, load_dataset("faces").train)["share"].round(2).tolist()
    [0.5, 0.5, 0.5, 1.0]

    Chapter 05.
    """
    check_network(model)
    data = data.data if isinstance(data, TaskData) else data
    check_data(model, data)
    chain, device = dict(stages(model).named_children()), model_device(model)
    source = Source(model, data)  # says so where the data cannot go in at the network's first stage
    first = source.in_order(1)[0]
    x = source.batch(first)
    names = [name for name, _ in source.run.named_children()]
    flops, heads = {}, {}
    with seeded(0, device), evaluating(nn.ModuleList([model, source.run])), torch.no_grad():
        for name in names[:-1]:
            flops[name], x = _counted(chain[name], x)
        for task, head in model.heads.items():
            heads[task], _ = _counted(head, x)
    frozen = sum(flops.get(name, 0) for name in still(model))
    body, shared = sum(flops.values()), sum(p.numel() for n in names[:-1] for p in chain[n].parameters())
    own = {task: sum(p.numel() for p in head.parameters()) for task, head in model.heads.items()}
    total = sum(p.numel() for n in names for p in chain[n].parameters())
    rows = {"shared": (total, body + sum(heads.values()), frozen)}
    rows |= {f"{task} alone": (shared + own[task], body + heads[task], frozen) for task in model.tasks}
    alone = list(rows.values())[1:]
    rows["separate"] = tuple(sum(column) for column in zip(*alone, strict=True))
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["parameters", "MFLOPs", "frozen MFLOPs"])
    table[["MFLOPs", "frozen MFLOPs"]] /= 1e6
    table["share"] = table["MFLOPs"] / table.loc["separate", "MFLOPs"]
    return table


def _counted(stage: nn.Module, x):
    with FlopCounterMode(display=False) as counter:
        y = stage(x)
    return counter.get_total_flops(), y
