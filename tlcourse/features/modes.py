"""Small facts about a model that several helpers need."""

from __future__ import annotations

from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def evaluating(model: nn.Module):
    """Evaluation mode inside the block; afterwards every module has the mode it had.

    >>> from torch import nn
    >>> net = nn.Dropout().train()
    >>> with evaluating(net):
    ...     net.training
    False
    >>> net.training
    True
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield model
    finally:
        for module, mode in modes:
            module.training = mode


@contextmanager
def seeded(seed: int, device: torch.device | None = None):
    """Torch's random numbers from a seed inside the block; afterwards they go on as if nothing had been drawn.

    >>> with seeded(0):
    ...     a = torch.rand(1)
    >>> with seeded(0):
    ...     bool(a == torch.rand(1))
    True
    """
    cuda = [device] if device is not None and device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        # torch.manual_seed would also seed a GPU that nobody asked about
        torch.manual_seed(seed) if cuda else torch.default_generator.manual_seed(seed)
        yield


def augmented(augment, x: torch.Tensor) -> torch.Tensor:
    """Each image changed by itself: torchvision's transforms draw once a call, and a batch would get one draw."""
    return torch.cat([augment(image[None]) for image in x])


def model_device(model: nn.Module) -> torch.device:
    """The device that a model's first tensor is on; the CPU for a model without tensors."""
    tensor = next(model.parameters(), next(model.buffers(), None))
    return torch.device("cpu") if tensor is None else tensor.device


def at_once(transform, usual: int = 32, device: torch.device | None = None) -> int:
    """How many items to send through a network at once: few large images fill a processor's caches, many a GPU.

    >>> from tlcourse.models import ImageTransform
    >>> at_once(ImageTransform(size=64)), at_once(ImageTransform(size=128)), at_once(ImageTransform(size=224))
    (32, 32, 10)
    """
    side, more = getattr(transform, "size", None) or 64, 1
    if device is not None and device.type != "cpu":
        more = 8
    return max(1, min(usual * more, 32 * more * 128 * 128 // (side * side)))
