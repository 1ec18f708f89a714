"""`untouched`: train on trial, and put everything back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from tlcourse.chain import stages


@contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Whatever is trained inside the block: afterwards the model is what it was, to the last bit.

    Weights, buffers, gradients, modes, and what asks for gradients are put back. Inside, no gradient is there yet.

    >>> net = nn.Sequential(nn.Linear(2, 1))
    >>> before = net[0].weight.clone()
    >>> with untouched(net):
    ...     _ = nn.init.zeros_(net[0].weight)
    >>> torch.equal(net[0].weight, before)
    True
    """
    everything = nn.ModuleList([model, *stages(model).children()])  # a chain by set_stages may hold more than the model
    moving = [*(p for p in everything.parameters() if p.requires_grad), *everything.buffers()]
    before = [(tensor, tensor.detach().clone()) for tensor in moving]
    grads = [(p, p.requires_grad, p.grad) for p in everything.parameters()]
    modes = [(module, module.training) for module in everything.modules()]
    for parameter, _, _ in grads:
        parameter.grad = None  # or a step would zero it where it lies
    try:
        yield
    finally:
        with torch.no_grad():
            for tensor, value in before:
                tensor.copy_(value)
        for parameter, asks, grad in grads:
            parameter.requires_grad_(asks)
            parameter.grad = grad
        for module, mode in modes:
            module.training = mode
