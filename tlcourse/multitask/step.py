"""One step of training on several tasks, and the epochs of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from tlcourse.errors import CourseError
from tlcourse.multitask.evaluation import outputs_of, scored
from tlcourse.multitask.labels import TaskData, present
from tlcourse.multitask.objective import Objectives
from tlcourse.multitask.weighting import Equal
from tlcourse.training.diagnosis import diverged
from tlcourse.training.run import Run
from tlcourse.training.schedules import batches
from tlcourse.training.source import Source, spread
from tlcourse.training.team import Team

HUGE = 1e15  # whose square still is a number, but hardly


@dataclass(frozen=True)
class Told:
    """How a batch went: what was made small, and each task's loss, metric and number of labelled items."""

    total: float
    losses: dict[str, float]
    metrics: dict[str, float]
    counts: dict[str, int]

    @property
    def bad(self) -> str | None:
        """The first task whose loss is not finite."""
        return next((task for task, loss in self.losses.items() if not math.isfinite(loss)), None)


class TaskStep:
    """Trains on a batch. Nothing is updated when a loss is not finite.

    Arguments:
        source: where batches come from.
        data: the labels.
        objectives: what each task is scored by.
        optimizer: made from what trains now.
        weighting: how the losses become gradients.
    """

    def __init__(
        self,
        source: Source,
        data: TaskData,
        objectives: Objectives,
        optimizer: torch.optim.Optimizer,
        weighting: Equal,
    ):
        self.source, self.objectives = source, objectives
        self.optimizer, self.weighting, self.team = optimizer, weighting, Team(source.device)
        self.labels = {task: values.to(source.device) for task, values in data.labels.items()}
        self.complete = {task for task, values in self.labels.items() if present(values).all()}
        if self.team.size > 1:
            raise CourseError("Several tasks are trained in one process.", do="Start it without accelerate launch.")

    def __call__(self, index: torch.Tensor, view: int) -> Told:
        try:
            return self._whole(index, view)
        except torch.OutOfMemoryError:
            raise CourseError(
                "The device's memory does not suffice.",
                do="Choose a smaller batch=, freeze more stages, or set TLCOURSE_DEVICE=cpu.",
            ) from None

    def _whole(self, index, view):
        self.optimizer.zero_grad(set_to_none=True)
        with spread():
            outputs = self.source.run(self.source.batch(index, view))
        at = index.to(self.source.device)
        labels = {task: values[at] for task, values in self.labels.items()}
        losses, metrics, counts = {}, {}, {}
        for task in self.objectives.tasks:
            y, t = self.objectives.labelled(task, outputs, labels, task in self.complete)
            if len(t):  # without a label the mean would be one of nothing, which is NaN
                losses[task], counts[task] = self.objectives.loss(task, y, t), len(t)
                metrics[task] = self.objectives.metric(task, y, t)
        values = torch.stack([loss.detach().float() for loss in losses.values()]).tolist()
        told = dict(zip(losses, values, strict=True))
        total = math.nan
        if all(map(math.isfinite, values)):
            total = float(self.weighting.backward(losses))
            self.optimizer.step()
        measured = torch.stack(list(metrics.values())).tolist()
        return Told(total, told, dict(zip(metrics, measured, strict=True)), counts)


@dataclass(kw_only=True)
class TaskRun(Run):
    """A training run on several tasks: the loop of `fit`, with figures for each task.

    Arguments:
        valid: the labels of `held_out`, or None.
        objectives: what each task is scored by.
    """

    valid: TaskData | None
    objectives: Objectives

    def _epoch(self, epoch: int) -> dict:
        tasks, weighting = self.objectives.tasks, self.step.weighting
        sums = {task: [0.0, 0.0, 0] for task in tasks}  # loss, metric, items
        total, weights, self.done = 0.0, dict.fromkeys(tasks, 0.0), 0
        self.source.train(True)
        for index in batches(len(self.source), self.steps, self.order, self.source.lengths):
            now = weighting.weights
            told = self.step(index, epoch - 1)
            if told.bad:
                raise diverged(
                    epoch, self.done, self._finite(index), self.source, index, self.lr, self.history, told.bad
                )
            self.schedule.step()
            for task, n in told.counts.items():
                loss, metric, items = sums[task]
                sums[task] = [loss + told.losses[task] * n, metric + told.metrics[task] * n, items + n]
            weights = {task: weights[task] + now[task] / self.steps for task in tasks}
            total, self.done = total + told.total * len(index), self.done + 1
            self.watcher.batch(told.total, math.nan)
            if self.watcher.stopped and self.done < self.steps:
                raise KeyboardInterrupt
        self._check_weights(epoch, index)
        means = {task: (loss / n, metric / n) for task, (loss, metric, n) in sums.items()}
        weighting.ended({task: loss for task, (loss, _) in means.items()})
        row = {"epoch": epoch, "loss": total / len(self.source)}
        for task, (loss, metric) in means.items():
            row |= {f"{task}_loss": loss, f"{task}_{self.history.metrics[task]}": metric}
            row |= {f"{task}_weight": weights[task]}
        return row

    def _scored(self) -> dict[str, float]:
        rows = scored(outputs_of(self.held_out), self.valid, self.objectives)
        row = {"valid_loss": sum(one["loss"] for one in rows.values())}
        for task, one in rows.items():
            row |= {f"valid_{task}_loss": one["loss"], f"valid_{task}_{one['metric']}": one["score"]}
        return row

    def _finite(self, index: torch.Tensor) -> bool:
        """Whether the outputs were of a size that a loss can take, where one was not a number."""
        with torch.no_grad():
            outputs = self.source.run(self.source.batch(index))
        return all(bool((output.abs() < HUGE).all()) for output in outputs.values())
