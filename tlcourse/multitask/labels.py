"""`TaskData`: data with labels for several tasks, some of which may be missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch

from tlcourse.errors import CourseError, UnknownName


@dataclass(frozen=True, eq=False)
class TaskData:
    """Images, texts or features with a label for each of several tasks.

    Arguments:
        data: a `Split`, or `Features`; its own labels are not looked at.
        labels: task -> labels, an item a row. Whole numbers `[n]` are class numbers, and -1 says that an item has no
            label; other numbers `[n, ...]` are values to be met, e.g. boxes `[n, 4]`, and a row of NaN says the same.

    `task_data[index]` chooses items as `data[index]` does.
    Raises `CourseError` for labels that do not fit the data, are infinite, or are missing in part of a row.

    >>> from tlcourse import load_dataset
    >>> faces = load_dataset("faces").train[:4]
    >>> TaskData(faces, {"face": faces.y, "light": torch.tensor([0.1, 0.4, torch.nan, 0.2])[:, None]})
    4 items with labels of 2 tasks: face 4, light 3

    Chapter 05.
    """

    data: object = field(repr=False)
    labels: Mapping[str, torch.Tensor] = field(repr=False)

    def __post_init__(self):
        if not hasattr(self.data, "ids") or not hasattr(self.data, "classes"):
            raise CourseError(
                f"Labels of tasks belong to a split of data or to features, not to a {type(self.data).__name__}.",
                do="Pass e.g. TaskData(data.train, {...}), or what extract(model, data.train) returned.",
            )
        if not isinstance(self.labels, Mapping) or not self.labels:
            raise CourseError(
                "There are no tasks.", do='Pass a tensor a task, e.g. TaskData(data, {"digit": y, "box": boxes}).'
            )
        read = {task: _read(task, values, len(self.data)) for task, values in self.labels.items()}
        object.__setattr__(self, "labels", read)

    @property
    def tasks(self) -> tuple[str, ...]:
        """The names of the tasks."""
        return tuple(self.labels)

    def has(self, task: str) -> torch.Tensor:
        """Which items have a label of a task: bool `[n]`."""
        if task not in self.labels:
            raise UnknownName("task", task, self.labels)
        return present(self.labels[task])

    def counts(self) -> dict[str, int]:
        """How many items have a label, for each task."""
        return {task: int(self.has(task).sum()) for task in self.labels}

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index) -> TaskData:
        if isinstance(index, list | tuple | range) and not len(index):
            index = slice(0, 0)
        try:
            if isinstance(index, str):
                raise IndexError
            chosen = torch.arange(len(self))[index].reshape(-1)
        except (IndexError, TypeError):
            raise CourseError(
                f"{index!r} does not choose among {len(self)} items.",
                do="Use a place below the length, a slice, a list of places, or a mask of the same length; the labels "
                "of one task are in .labels.",
            ) from None
        return TaskData(self.data[chosen], {task: values[chosen] for task, values in self.labels.items()})

    def __repr__(self) -> str:
        counts = ", ".join(f"{task} {n}" for task, n in self.counts().items())
        return f"{len(self)} items with labels of {len(self.labels)} task{'s' * (len(self.labels) > 1)}: {counts}"


def present(values: torch.Tensor) -> torch.Tensor:
    """Which rows of labels are there: not -1, and not NaN.

    >>> present(torch.tensor([2, -1])), present(torch.tensor([[0.5, 1.0], [torch.nan, torch.nan]]))
    (tensor([ True, False]), tensor([ True, False]))
    """
    if values.is_floating_point():
        return ~values.isnan().unsqueeze(1).flatten(1).any(1)
    return values >= 0


def _tensor(values) -> torch.Tensor:
    """Labels as a tensor, also from a table's column, or from a list of tensors or arrays."""
    if isinstance(values, torch.Tensor):
        return values
    if isinstance(values, list | tuple) and any(isinstance(value, torch.Tensor) for value in values):
        return torch.stack([torch.as_tensor(value) for value in values])
    # a copy: arrays may be read-only, run backwards, or belong to a column whose index does not begin at 0
    array = np.array(values)
    if array.dtype.kind not in "biufc":
        raise TypeError("among them is text or None")
    return torch.from_numpy(array.astype(array.dtype.newbyteorder("="), copy=False))


def _read(task: str, values, n: int) -> torch.Tensor:
    try:
        values = _tensor(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise CourseError(
            f"The labels of task {task!r} are not numbers.",
            why=f"{str(error)[:1].upper()}{str(error)[1:].strip().rstrip('.')}.",
            do="Pass a tensor, an array or a list of numbers; -1 for a missing class number, NaN for a missing value.",
        ) from None
    if values.is_complex() or not values.ndim or len(values) != n:
        raise CourseError(
            f"Task {task!r} has labels of the shape {list(values.shape)}, and there are {n} items.",
            do="Give each item a row; -1 for a missing class number, NaN for a missing value.",
        )
    values = values.detach().cpu()
    if not values.is_floating_point():
        values = values.long()
        if values.ndim > 1:
            raise CourseError(
                f"Class numbers have one axis; those of task {task!r} have the shape {list(values.shape)}.",
                do="Pass class numbers [n], or, for values to be met such as boxes, labels.float().",
            )
        if n and int(values.min()) < -1:
            raise CourseError(
                f"Task {task!r} has the class number {int(values.min())}.",
                do="Number the classes from 0; -1 says that an item has no label.",
            )
        return values
    values = values.float()
    gaps = values.isnan().unsqueeze(1).flatten(1)
    partly = gaps.any(1) & ~gaps.all(1)
    if partly.any():
        raise CourseError(
            f"Of task {task!r}, {int(partly.sum())} items have some of their numbers, and NaN for the others.",
            why="An item has a label or has none; half a box cannot be learned from.",
            do="Set the whole row to NaN where a label is missing.",
        )
    if values.isinf().any():
        raise CourseError(f"The labels of task {task!r} hold infinite values.", do="Check how they were made.")
    return values
