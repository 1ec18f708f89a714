"""`gradient_similarity`: whether the tasks pull what they share in one direction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import torch
from torch import nn

from tlcourse.errors import CourseError, whole_number
from tlcourse.features.modes import evaluating
from tlcourse.multitask.gradient import flat_gradient
from tlcourse.multitask.labels import TaskData
from tlcourse.multitask.network import MultiTask, check_network, shared_parameters
from tlcourse.multitask.objective import Objectives
from tlcourse.training.keeping import keep_prefix
from tlcourse.training.source import Source


def gradient_similarity(
    model: MultiTask, data: TaskData, losses: Mapping | None = None, *, batch: int = 32, keep: bool | None = None
) -> pd.DataFrame:
    """The cosines between the tasks' gradients on the parameters that they share and that train.

    1: both tasks want the same step; 0: neither helps nor hurts the other; below 0: what is better for one is worse
    for the other. It tells of the next small step from here, not of the whole training. The network is in evaluation
    mode, nothing moves, and a task's gradient is that of its mean loss over its labelled items.

    Arguments:
        model: a `MultiTask` network with a shared stage that trains.
        data: a `TaskData`; all its items are used.
        losses: as in `fit_tasks`.
        batch: items at once; it does not change the result.
        keep: False runs the frozen stages again.

    Returns a table, task by task. Raises `CourseError` when there is one task only, nothing shared trains, or a
    task's gradient is zero or no number.

    >>> from tlcourse import load, load_dataset
    >>> faces = load_dataset("faces").train[:4]
    >>> model = MultiTask(load("efficientnet-lite0", classes=2, pretrained=False, size=32), {"a": 2, "b": 2})
    >>> gradient_similarity(model, TaskData(faces, {"a": faces.y, "b": 1 - faces.y})).shape
    (2, 2)

    Du et al. 2018, Yu et al. 2020; chapter 05.
    """
    check_network(model), whole_number("batch", batch)
    objectives = Objectives(model.tasks, data, losses, None)
    parameters = shared_parameters(model)
    check_shared(parameters, "Gradients are compared on what the tasks share")
    kept = keep_prefix(model, data.data, keep=keep, progress=False).train
    source = Source(model, kept, made_now=kept is not data.data)
    counts, sums = data.counts(), {task: 0.0 for task in objectives.tasks}
    with evaluating(nn.ModuleList([model, source.run])):
        for index in source.in_order(batch):
            outputs = source.run(source.batch(index))
            labels = {task: values[index].to(source.device) for task, values in data.labels.items()}
            for task in objectives.tasks:
                y, t = objectives.labelled(task, outputs, labels)
                if len(t):
                    share = len(t) / counts[task]
                    sums[task] = sums[task] + share * flat_gradient(objectives.loss(task, y, t), parameters)
    return _table(sums)


def cosines(losses: Mapping[str, torch.Tensor], parameters: Sequence[nn.Parameter]) -> pd.DataFrame:
    """The cosines between the gradients of several losses of one batch, on some parameters.

    Arguments:
        losses: task -> scalar that was computed with these parameters.
        parameters: usually those that the tasks share.

    Returns a table, task by task. Raises `CourseError` for a gradient that is zero or no number.

    >>> w = nn.Parameter(torch.tensor([1.0, 0.0]))
    >>> float(cosines({"a": w[0], "b": -w[0]}, [w]).loc["a", "b"])
    -1.0

    Chapter 05.
    """
    parameters = [p for p in parameters if p.requires_grad]
    check_shared(parameters, "Gradients are compared on parameters that train")
    return _table({task: flat_gradient(loss, parameters) for task, loss in losses.items()})


def check_shared(parameters: Sequence[nn.Parameter], what: str) -> None:
    """Say so when the tasks share nothing that trains."""
    if not parameters:
        raise CourseError(
            f"{what}, and nothing of that trains.",
            why="All shared stages are frozen, so each head learns by itself and no task can help or hurt another.",
            do='Unfreeze a shared stage, e.g. unfreeze(model, "stage7"), or make the network with a trunk=.',
        )


def _table(gradients: Mapping[str, torch.Tensor]) -> pd.DataFrame:
    if len(gradients) < 2:
        raise CourseError("Gradients are compared between tasks, and there is one only.", do="Add another task.")
    for task, g in gradients.items():
        if not g.isfinite().all():
            raise CourseError(
                f"The gradient of task {task!r} holds NaN or infinite values.",
                why="The data hold NaN, or the network's weights have grown beyond all numbers.",
                do="Look for NaN in the data, and load the model anew if its training diverged.",
            )
        if not g.any():
            raise CourseError(
                f"The gradient of task {task!r} is zero on what the tasks share, so it points nowhere.",
                why="Its head's weights are zero, its loss is at its minimum, or it does not reach the shared stages.",
                do="Look at its loss, and at its head: a head of zeros passes no gradient on.",
            )
    # scaled first: the square of a gradient of 1e-30 would be zero
    units = torch.stack([g / g.abs().max() for g in gradients.values()]).double()
    units = units / units.norm(dim=1, keepdim=True)
    names = list(gradients)
    return pd.DataFrame((units @ units.T).clamp(-1, 1).cpu().numpy(), index=names, columns=names)
