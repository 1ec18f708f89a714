"""What each task is scored by: its loss, which is made small, and its metric, which is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch.nn import functional as F

from tlcourse.errors import CourseError, UnknownName
from tlcourse.multitask.labels import TaskData, present


def accuracy(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Share of right classes."""
    return (outputs.argmax(1) == labels).float().mean()


def error(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference."""
    return (outputs - labels).abs().mean()


class Objectives:
    """A loss and a metric for each task that has labels; both see the labelled items alone.

    Arguments:
        tasks: the tasks that the network has heads for.
        data: the labels.
        losses: task -> (outputs, labels) -> scalar; by default cross-entropy for class numbers, else squared error.
        metrics: task -> (outputs, labels) -> one number; by default accuracy for class numbers, else absolute error.
        every: whether each task must have labels, as in training.

    Raises `UnknownName` for a task that the network does not have, `CourseError` for one without any label.
    """

    def __init__(
        self, tasks: tuple[str, ...], data: TaskData, losses: Mapping | None, metrics: Mapping | None, every=True
    ):
        if not isinstance(data, TaskData):
            raise CourseError(
                f"The labels of the tasks are needed, and this is a {type(data).__name__}.",
                do=f'Pass TaskData(data, {{"{tasks[0]}": labels, ...}}).',
            )
        for name, given in (("losses", losses), ("metrics", metrics)):
            if given is not None and (not isinstance(given, Mapping) or not all(map(callable, given.values()))):
                raise CourseError(
                    f"{name}= gives tasks a function each.", do=f"Pass e.g. {name}={{{tasks[0]!r}: function}}."
                )
        for task in (*data.tasks, *(losses or ()), *(metrics or ())):
            if task not in tasks:
                raise UnknownName("task", task, tasks, do="Heads, labels, losses and metrics go by the same names.")
        missing = [task for task in tasks if every and task not in data.tasks]
        if missing:
            raise CourseError(
                f"Task {missing[0]!r} has a head and no labels.",
                why=f"The labels are of {', '.join(data.tasks)}.",
                do="Add its labels to the TaskData, or make the network without this head.",
            )
        self.tasks = tuple(task for task in tasks if task in data.tasks)
        for task, n in data.counts().items():
            if not n:
                raise CourseError(
                    f"No item has a label of task {task!r}.",
                    why="All its class numbers are -1, or all its values NaN, so there is nothing to learn or score.",
                    do="Give some items a label, or leave this task out.",
                )
        classes = {task: not data.labels[task].is_floating_point() for task in self.tasks}
        own = {task: F.cross_entropy if classes[task] else F.mse_loss for task in self.tasks}
        self.losses = own | {task: loss for task, loss in (losses or {}).items() if task in own}
        self.metrics = {task: (metrics or {}).get(task, accuracy if classes[task] else error) for task in self.tasks}

    def names(self) -> dict[str, str]:
        """The name of each task's metric."""
        return {task: _name(metric) for task, metric in self.metrics.items()}

    def labelled(
        self, task: str, outputs: Mapping, labels: Mapping, complete: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Outputs and labels of the items that have a label of a task; perhaps none. `complete`: all have, for sure."""
        output, chosen = outputs[task], labels[task]
        if not isinstance(output, torch.Tensor) or not output.ndim or len(output) != len(chosen):
            shape = list(output.shape) if isinstance(output, torch.Tensor) else f"no tensor but a {type(output)}"
            raise CourseError(
                f"The head of task {task!r} gives {shape} for a batch of {len(chosen)} items.",
                do="Let it return a tensor with a row for each item: [n, ...].",
            )
        if not complete and not (there := present(chosen)).all():
            output, chosen = output[there], chosen[there]
        plain = self.losses[task] is F.mse_loss or self.metrics[task] is error
        if len(chosen) and (plain or not chosen.is_floating_point()):
            _check_shape(task, output, chosen)
        return output, chosen

    def loss(self, task: str, output: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The loss of one task over items that all have a label: a scalar."""
        value = self.losses[task](output, labels)
        if not isinstance(value, torch.Tensor) or value.numel() != 1:
            raise CourseError(
                f"The loss of task {task!r} must be one number for the batch.",
                do='Let it return a mean over the items, and leave out reduction="none".',
            )
        return value.reshape(())

    def metric(self, task: str, output: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The metric of one task over items that all have a label: a scalar without a gradient."""
        with torch.no_grad():
            value = torch.as_tensor(self.metrics[task](output.detach(), labels), device=output.device)
        if value.numel() != 1:
            raise CourseError(
                f"The metric of task {task!r} gives {value.numel()} numbers.", do="Let it return a mean over the items."
            )
        return value.reshape(()).float()


def _check_shape(task: str, output: torch.Tensor, labels: torch.Tensor) -> None:
    if labels.is_floating_point():
        if output.shape != labels.shape:  # torch would stretch one to the other, and learn something else
            raise CourseError(
                f"The head of task {task!r} gives {list(output.shape[1:])} numbers an item, "
                f"its labels have {list(labels.shape[1:])}.",
                why="Decimal numbers are values to be met, number by number; class numbers are whole numbers.",
                do="Give both the same shape, e.g. labels[:, None] for a head with one output; class numbers as "
                "labels.long(), -1 where one is missing.",
            )
        return
    if output.ndim < 2 or int(labels.max()) >= output.shape[1]:
        raise CourseError(
            f"The head of task {task!r} gives {list(output.shape[1:])} numbers an item, "
            f"and its labels go up to class {int(labels.max())}.",
            why="Each class needs one output.",
            do=f'Make the head for all classes: MultiTask(backbone, {{"{task}": number of classes, ...}}).',
        )


def _name(metric: Callable) -> str:
    while isinstance(metric, partial):
        metric = metric.func
    name = getattr(metric, "__name__", type(metric).__name__)
    return "score" if name in ("<lambda>", "loss", "weight") else name  # a task's row has its loss and weight already
