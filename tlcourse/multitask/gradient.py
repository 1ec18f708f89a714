"""The gradient of one loss as one vector."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn


def flat_gradient(loss: torch.Tensor, parameters: Sequence[nn.Parameter]) -> torch.Tensor:
    """The gradient of a loss in some parameters, as one vector; zero where the loss does not reach.

    The graph is kept, for the gradients of other losses.

    >>> w = nn.Parameter(torch.tensor([3.0]))
    >>> flat_gradient((w**2).sum(), [w, nn.Parameter(torch.ones(2))])
    tensor([6., 0., 0.])
    """
    found = [None] * len(parameters)
    if loss.requires_grad:
        found = torch.autograd.grad(loss, list(parameters), retain_graph=True, allow_unused=True)
    filled = [torch.zeros_like(p) if g is None else g for g, p in zip(found, parameters, strict=True)]
    return torch.cat([g.flatten() for g in filled])
