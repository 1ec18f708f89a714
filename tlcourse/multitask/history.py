"""`TaskHistory`: a `History` that knows its tasks."""

from __future__ import annotations

from dataclasses import dataclass, field

from tlcourse.training.history import History


@dataclass(repr=False)
class TaskHistory(History):
    """What `fit_tasks` returns: the figures of a run, for each task.

    Arguments:
        tasks: the names of the tasks.
        metrics: task -> name of its metric.
        weighting: how the losses were weighed.

    A row has, beside `epoch`, `loss` (the weighted total that was made small) and `seconds`, for each task `T`
    `T_loss`, the metric as in `T_accuracy`, and `T_weight`, all means over the epoch as it went; with validation data
    also `valid_loss` (the plain sum), `valid_T_loss` and `valid_T_accuracy`.

    >>> TaskHistory([{"epoch": 1, "loss": 0.7, "digit_loss": 0.7, "seconds": 0.1}], seconds=0.1, tasks=("digit",))
    History of 1 epoch in 0.1 s
      epoch 1: loss 0.700, digit loss 0.700

    Chapter 05.
    """

    tasks: tuple[str, ...] = ()
    metrics: dict[str, str] = field(default_factory=dict)
    weighting: str = "equal"
