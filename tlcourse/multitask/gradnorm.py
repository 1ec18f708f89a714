"""`GradNorm`: weights that let the tasks train at one pace."""

from __future__ import annotations

import torch
from torch import nn

from tlcourse.errors import real_number
from tlcourse.multitask.gradient import flat_gradient
from tlcourse.multitask.weighting import Equal, check_paces

FLOOR = 1e-6


class GradNorm(Equal):
    """Weights that bring the gradients of all tasks to a common size, larger for a task that trains slowly.

    With `G = |w grad L|` on the last shared stage and the relative pace `r = (L / L(0)) / mean of these`, each weight
    moves down the slope of `|G - mean(G) r^alpha|`, where the mean is held fixed; then the weights are scaled to sum to
    the number of tasks.

    Arguments:
        alpha: 0 asks for gradients of one size; the larger, the more a slow task is helped.
        lr: learning rate of the weights, which have an Adam of their own.

    It needs a shared stage that trains.

    >>> shared = nn.Parameter(torch.ones(2))
    >>> weighting = GradNorm()
    >>> weighting.start(("a", "b"), [shared], [shared])
    >>> total = weighting.backward({"a": shared[0] * 1.0, "b": shared[1] * 10.0})
    >>> weighting.weights["a"] > 1 > weighting.weights["b"]
    True

    Chen et al. 2018; chapter 05.
    """

    name = "gradnorm"
    needs_shared = True

    def __init__(self, alpha: float = 1.5, lr: float = 0.025):
        self.alpha, self.lr = real_number("alpha", alpha), real_number("lr", lr)

    def start(self, tasks, shared=(), last=(), own=(), device=None):
        super().start(tasks, shared, last, own, device)
        self.w = {task: nn.Parameter(torch.ones((), device=device)) for task in self.tasks}
        self.optimizer = torch.optim.Adam(self.w.values(), lr=self.lr)
        self.first: dict[str, torch.Tensor] = {}

    @property
    def weights(self):
        return {task: w.item() for task, w in self.w.items()}

    def total(self, losses):
        return sum(self.w[task].detach() * loss for task, loss in losses.items())

    def backward(self, losses):
        if len(losses) > 1:  # a task by itself has no pace to be compared
            slopes = self._slopes(losses)
        total = super().backward(losses)
        if len(losses) > 1:
            self._move(slopes)
        return total

    def ended(self, losses):
        check_paces(losses, self.name)

    def _slopes(self, losses) -> dict[str, torch.Tensor]:
        for task, loss in losses.items():
            self.first.setdefault(task, loss.detach().clamp_min(torch.finfo(loss.dtype).tiny))
        # G is w |grad L| with w > 0, so its slope in w is |grad L|: no second pass through the graph is needed
        norms = torch.stack([flat_gradient(loss, self.last).norm() for loss in losses.values()])
        w = torch.stack([self.w[task].detach() for task in losses])
        pace = torch.stack([loss.detach() / self.first[task] for task, loss in losses.items()])
        pace = pace / pace.mean().clamp_min(torch.finfo(pace.dtype).tiny)
        target = (w * norms).mean() * pace**self.alpha
        return dict(zip(losses, torch.sign(w * norms - target) * norms, strict=True))

    @torch.no_grad()
    def _move(self, slopes) -> None:
        for task, slope in slopes.items():
            self.w[task].grad = slope
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)  # a task without labels in the next batch keeps its weight
        w = torch.stack(list(self.w.values())).clamp_min(FLOOR)
        for parameter, value in zip(self.w.values(), w * (len(w) / w.sum()), strict=True):
            parameter.copy_(value)
