"""One step of training: forward, loss, backward, update; and what to do when a GPU's memory does not suffice."""

from __future__ import annotations

import math

import torch
from torch import nn

from tlcourse.errors import CourseError
from tlcourse.training.objective import Objective
from tlcourse.training.precision import Precision
from tlcourse.training.source import Source, check_outputs, spread
from tlcourse.training.team import Team


class Step:
    """Trains on a batch, and tells how it went.

    Arguments:
        source: where batches come from.
        run: what they go through; `source.run`, perhaps compiled or shared by several processes.
        objective: what is made small.
        optimizer: made from what trains now.
        precision, team: how a batch is computed, and by how many.
    """

    def __init__(
        self,
        source: Source,
        run: nn.Module,
        objective: Objective,
        optimizer: torch.optim.Optimizer,
        precision: Precision,
        team: Team,
    ):
        self.source, self.run, self.objective, self.optimizer = source, run, objective, optimizer
        self.precision, self.team, self.parts = precision, team, 1

    def __call__(self, index: torch.Tensor, view: int) -> tuple[float, float, bool]:
        """Returns the loss and the right answers, both summed over the batch, and whether the outputs were finite.

        Nothing is updated when the loss is not finite.
        """
        while True:
            try:
                return self._whole(index, view)
            except torch.OutOfMemoryError:
                alone = self.team.size == 1  # in the middle of an exchange of gradients nobody can begin anew
                if self.parts > 1 or len(index) < 4 or not alone:
                    share = "even for half a batch" if alone else "for this process's share of a batch"
                    raise CourseError(
                        f"The device's memory does not suffice, {share}.",
                        do="Choose a smaller batch=, freeze more stages, or set TLCOURSE_DEVICE=cpu.",
                    ) from None
            # outside of the `except`: there the error still holds the tensors that filled the memory
            self.parts = 2
            self.optimizer.zero_grad(set_to_none=True)
            if torch.cuda.is_available():
                torch.cuda.empty_cache()

    def _whole(self, index, view):
        self.optimizer.zero_grad(set_to_none=True)
        mine, loss, right, finite = self.team.share(index), 0.0, 0.0, True
        for part in mine.tensor_split(self.parts):
            value, logits, labels = self._forward(part, view)
            # the mean over this part, as its share of the mean over the batch of all processes
            weight = len(part) / len(index)
            finite = finite and math.isfinite(value.item())
            if finite:
                self.precision.backward(value * (weight * self.team.size) if weight != 1 else value)
            loss = loss + value.detach() * len(part)
            if labels.ndim == 2:
                labels = labels.argmax(1)
            right = right + (logits.detach().argmax(1) == labels).sum()
        total, right, bad = self.team.total(loss, right, torch.tensor(float(not finite), device=loss.device))
        if bad:
            return total, right, bool(torch.isfinite(logits).all())
        self.precision.step(self.optimizer)
        return total, right, True

    def _forward(self, index, view):
        x, labels = self.objective.mixed(self.source.batch(index, view), self.source.labels(index))
        with spread(), self.precision.autocast():
            logits = self.run(x)
        check_outputs(logits, self.source.data)
        if self.precision.dtype is not None:
            logits = logits.float()  # a softmax over many classes wants all digits
        return self.objective(logits, labels), logits, labels
