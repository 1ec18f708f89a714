"""`PCGrad`: gradients of two tasks that point against each other lose what they fight over."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from tlcourse.multitask.gradient import flat_gradient
from tlcourse.multitask.weighting import Equal


class PCGrad(Equal):
    """Gradient surgery: where two tasks' gradients conflict, each is projected onto the plane normal to the other.

    It acts on what the tasks share; each head gets its own task's gradient. No loss is weighed. It takes a backward
    pass a task.

    It needs a shared stage that trains.

    >>> shared = torch.nn.Parameter(torch.zeros(2))
    >>> weighting = PCGrad()
    >>> weighting.start(("a", "b"), [shared])
    >>> total = weighting.backward({"a": shared[0], "b": shared[1] - shared[0]})
    >>> shared.grad
    tensor([0.5000, 1.5000])

    Yu et al. 2020; chapter 05.
    """

    name = "pcgrad"
    needs_shared = True

    def backward(self, losses):
        total = sum(losses.values())
        gradients = torch.stack([flat_gradient(loss, self.shared) for loss in losses.values()])
        if self.own and total.requires_grad:
            total.backward(inputs=self.own)
        projected = deconflicted(gradients, [torch.randperm(len(gradients)).tolist() for _ in gradients]).sum(0)
        sizes = [p.numel() for p in self.shared]
        for parameter, part in zip(self.shared, projected.split(sizes), strict=True):
            parameter.grad = part.view_as(parameter).to(parameter.dtype)
        return total.detach()


def deconflicted(gradients: torch.Tensor, orders: Sequence[Sequence[int]]) -> torch.Tensor:
    """The tasks' gradients `[tasks, d]`, each without what goes against another task's.

    Arguments:
        gradients: one a row, as they are.
        orders: for each task, in which order it meets the others (its own number is passed over).

    >>> deconflicted(torch.tensor([[1.0, 0.0], [-1.0, 1.0]]), [[1], [0]])
    tensor([[0.5000, 0.5000],
            [0.0000, 1.0000]])
    """
    found, squares = gradients.clone(), (gradients**2).sum(1).clamp_min(torch.finfo(gradients.dtype).tiny)
    for i, order in enumerate(orders):
        for j in order:
            if j != i:  # a product above zero is no conflict, and takes nothing away
                found[i] -= (found[i] @ gradients[j]).clamp(max=0) / squares[j] * gradients[j]
    return found
