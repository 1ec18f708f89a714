"""Depthwise convolutions on maps smaller than their kernel: the same slopes, without a slow way around."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial

import torch
from torch import nn
from torch.nn import functional as F


@contextmanager
def quick_slopes(module: nn.Module):
    """Inside the block, depthwise convolutions that train on a CPU get the slopes of their weights by plain sums.

    On a map smaller than the kernel (5x5 weights on 3x3 places: EfficientNet's last stages, at 96 pixels) torch's
    library for CPUs has no fast way, and takes some ten times as long as these sums. Outputs are the same to the last
    bit, slopes up to rounding.

    >>> conv = nn.Conv2d(2, 2, 5, padding=2, groups=2)
    >>> with quick_slopes(conv):
    ...     conv(torch.ones(1, 2, 3, 3)).sum().backward()
    >>> conv.weight.grad[0, 0, 2].int().tolist()
    [3, 6, 9, 6, 3]
    """
    chosen = [conv for conv in module.modules() if _fits(conv)]
    for conv in chosen:
        conv.forward = partial(_forward, conv)
    try:
        yield
    finally:
        for conv in chosen:
            conv.__dict__.pop("forward", None)


def _fits(conv: nn.Module) -> bool:
    return (
        type(conv) is nn.Conv2d
        and "forward" not in vars(conv)
        and conv.groups == conv.in_channels == conv.out_channels > 1
        and conv.stride == conv.dilation == (1, 1)
        and conv.padding_mode == "zeros"
        and not isinstance(conv.padding, str)
        and conv.weight.requires_grad
        and conv.weight.device.type == "cpu"
    )


def _forward(conv: nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
    small = x.ndim == 4 and any(side < size for side, size in zip(x.shape[2:], conv.kernel_size, strict=True))
    mixed = torch.is_autocast_enabled("cpu") or x.dtype != conv.weight.dtype
    if mixed or not small or not torch.is_grad_enabled():
        return nn.Conv2d.forward(conv, x)
    return _Depthwise.apply(x, conv.weight, conv.bias, conv.padding)


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(context, x, weight, bias, padding):
        context.save_for_backward(x, weight)
        context.padding = padding
        return F.conv2d(x, weight, bias, 1, padding, 1, len(weight))

    @staticmethod
    def backward(context, slope):
        (x, weight), padding, asked = context.saved_tensors, context.padding, context.needs_input_grad
        down = None
        if asked[0]:
            down = nn.grad.conv2d_input(x.shape, weight, slope, 1, padding, 1, len(weight))
        of_weight = _of_weight(x, slope, weight, padding) if asked[1] else None
        return down, of_weight, slope.sum((0, 2, 3)) if asked[2] else None, None


def _of_weight(x, slope, weight, padding) -> torch.Tensor:
    """For each place of the kernel: the slopes, times what lay under that place, summed over items and places."""
    x, slope, found = x.permute(0, 2, 3, 1), slope.permute(0, 2, 3, 1), torch.zeros_like(weight)
    for i in range(weight.shape[2]):
        rows, under = _overlap(i - padding[0], x.shape[1], slope.shape[1])
        for j in range(weight.shape[3]):
            columns, beside = _overlap(j - padding[1], x.shape[2], slope.shape[2])
            found[:, 0, i, j] = (x[:, under, beside] * slope[:, rows, columns]).sum((0, 1, 2))
    return found


def _overlap(move: int, before: int, after: int) -> tuple[slice, slice]:
    """The places of the output whose moved place lies in the input, and those places of the input."""
    first, behind = max(0, -move), max(min(after, before - move), max(0, -move))
    return slice(first, behind), slice(first + move, behind + move)
