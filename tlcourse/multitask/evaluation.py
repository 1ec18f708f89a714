"""`evaluate_tasks` and `task_outputs`: what a multi-task network gives for data that it was not trained on."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import torch
from torch import nn

from tlcourse.errors import CourseError, whole_number
from tlcourse.features.modes import at_once, evaluating
from tlcourse.hardware import reusing_memory
from tlcourse.multitask.labels import TaskData
from tlcourse.multitask.network import MultiTask, check_network
from tlcourse.multitask.objective import Objectives
from tlcourse.training.keeping import keep_prefix
from tlcourse.training.source import Source, check_data


def evaluate_tasks(
    model: MultiTask,
    data: TaskData,
    losses: Mapping | None = None,
    metrics: Mapping | None = None,
    *,
    batch: int | None = None,
    keep: bool | None = None,
) -> pd.DataFrame:
    """Score a multi-task network on each task that the data have labels of.

    Arguments:
        model: a `MultiTask` network.
        data: a `TaskData`; it may lack some of the network's tasks.
        losses, metrics: as in `fit_tasks`.
        batch: items at once; by default at most 32, and fewer of large images.
        keep: False runs the frozen stages again.

    Returns a table with a row a task: `n` labelled items, mean `loss`, the `metric`'s name, and the `score` by it.
    Raises `CourseError` when data and model do not go together.

    >>> from tlcourse import load, load_dataset
    >>> faces = load_dataset("faces").test[:8]
    >>> model = MultiTask(load("efficientnet-lite0", classes=2, pretrained=False, size=32), {"face": 2})
    >>> evaluate_tasks(model, TaskData(faces, {"face": faces.y}))[["n", "metric"]]
          n    metric
    task
    face  8  accuracy

    Chapter 05.
    """
    check_network(model)
    objectives = Objectives(model.tasks, data, losses, metrics, every=False)
    outputs = task_outputs(model, data.data, batch=batch, keep=keep)
    table = pd.DataFrame.from_dict(scored(outputs, data, objectives), orient="index")
    return table.rename_axis("task")


@reusing_memory
def task_outputs(
    model: MultiTask, data, *, batch: int | None = None, keep: bool | None = None
) -> dict[str, torch.Tensor]:
    """What every head gives for every item, in evaluation mode, on the CPU: task -> `[n, ...]`.

    Arguments:
        model: a `MultiTask` network.
        data: a `Split`, `Features`, or a `TaskData`.
        batch, keep: as in `evaluate_tasks`.

    >>> from tlcourse import load, load_dataset
    >>> model = MultiTask(load("efficientnet-lite0", classes=2, pretrained=False, size=32), {"face": 2, "age": 1})
    >>> {task: list(y.shape) for task, y in task_outputs(model, load_dataset("faces").test[:8]).items()}
    {'face': [8, 2], 'age': [8, 1]}

    Chapter 05.
    """
    check_network(model)
    data = data.data if isinstance(data, TaskData) else data
    if batch is not None:
        whole_number("batch", batch)
    check_data(model, data)
    kept = keep_prefix(model, data, keep=keep, progress=False).train
    return outputs_of(Source(model, kept, made_now=kept is not data), batch)


def outputs_of(source: Source, batch: int | None = None) -> dict[str, torch.Tensor]:
    """The outputs for all items of a source, in their order."""
    batch = batch or at_once(getattr(source.model, "transform", None), device=source.device)
    parts, order = [], source.in_order(batch)
    with evaluating(nn.ModuleList([source.model, source.run])), torch.no_grad():
        for index in order:
            outputs = source.run(source.batch(index))
            parts.append({task: output.cpu() for task, output in outputs.items()})
    back = torch.cat(order).argsort()
    return {task: torch.cat([part[task] for part in parts])[back] for task in parts[0]}


def scored(outputs: Mapping[str, torch.Tensor], data: TaskData, objectives: Objectives) -> dict[str, dict]:
    """Labelled items, loss, the metric's name and its value, for each task."""
    rows, names = {}, objectives.names()
    for task in objectives.tasks:
        y, t = objectives.labelled(task, outputs, data.labels)
        if not y.isfinite().all():
            raise CourseError(
                f"The outputs of task {task!r} are not numbers (NaN) or infinite, so there is nothing to score.",
                why="The weights have become infinite in training, or the data hold NaN.",
                do="Load the model anew and train with a smaller learning rate; check features for NaN.",
            )
        loss, score = float(objectives.loss(task, y, t)), float(objectives.metric(task, y, t))
        rows[task] = {"n": len(t), "loss": loss, "metric": names[task], "score": score}
    return rows
