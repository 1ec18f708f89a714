"""`coral`: how far the covariances of two clouds of points are apart."""

from __future__ import annotations

import torch

from tlcourse.adaptation.clouds import clouds


def coral(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Squared difference of two covariance matrices, |C_x - C_y|² / (4 d²), with the sum of squares as the norm.

    It sees how features spread and vary together, and no difference of their means.

    Arguments:
        x, y: features `[n, d]` and `[m, d]`, on one device, at least two items each.

    Returns a scalar with a gradient. Raises `CourseError` for NaN, different widths, or fewer than two items.

    >>> x = torch.tensor([[0.0], [2.0]])
    >>> coral(x, x + 9).item(), coral(x, 2 * x).item()
    (0.0, 9.0)

    Sun and Saenko 2016 (Deep CORAL); chapter 09.
    """
    x, y = clouds(x, y, at_least=2)
    with torch.autocast(x.device.type, enabled=False):
        return ((_covariance(x) - _covariance(y)) ** 2).sum() / (4 * x.shape[1] ** 2)


def _covariance(x: torch.Tensor) -> torch.Tensor:
    x = x - x.mean(0)
    return x.T @ x / (len(x) - 1)
