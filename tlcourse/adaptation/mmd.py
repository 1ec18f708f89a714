"""`mmd`: how far two clouds of points are apart, seen by kernels of several widths."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from tlcourse.adaptation.clouds import clouds
from tlcourse.errors import CourseError, real_number

FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)


def mmd(
    x: torch.Tensor,
    y: torch.Tensor,
    *,
    bandwidth: float | None = None,
    factors: Sequence[float] = FACTORS,
    unbiased: bool = False,
) -> torch.Tensor:
    """Squared maximum mean discrepancy of two samples, the mean over Gaussian kernels of several widths.

    With k(a, b) = exp(-|a - b|² / (2 · bandwidth² · factor)) it is mean k(x, x') + mean k(y, y') - 2 · mean k(x, y).
    It is small when points of one sample are as near to the other's as to their own, whatever the shape of the clouds.

    Arguments:
        x, y: features `[n, d]` and `[m, d]`, on one device.
        bandwidth: a distance; by default 2 · bandwidth² is the median of the squared distances between any two of the
            n + m items (the median heuristic). It counts as a constant: no gradient goes through it.
        factors: of bandwidth², one for each kernel.
        unbiased: the default is biased: an item's distance to itself counts, so that the value is never negative, zero
            for equal samples, and too large by about 1/n + 1/m. True leaves those out: right on average, at times
            below zero.

    Returns a scalar with a gradient. Raises `CourseError` for NaN, different widths, or no items.

    >>> x = torch.tensor([[0.0], [1.0]])
    >>> mmd(x, x).item(), mmd(x, x + 9).item() > 0.5
    (0.0, True)

    Gretton et al. 2012; as a loss with several kernels Long et al. 2015 (DAN); chapter 09.
    """
    x, y = clouds(x, y, at_least=2 if unbiased else 1)
    factors = _positive(factors)
    with torch.autocast(x.device.type, enabled=False):
        near, far, between = _squares(x, x), _squares(y, y), _squares(x, y)
        if bandwidth is None:
            wide = _median(near, far, between)
        else:
            wide = 2 * real_number("bandwidth", bandwidth) ** 2
            if not wide:
                raise CourseError("bandwidth=0 will not do.", do="Choose a distance above 0, or leave it out.")
        value = sum(
            _mean(near, wide * f, unbiased) + _mean(far, wide * f, unbiased) - 2 * (-between / (wide * f)).exp().mean()
            for f in factors
        ) / len(factors)
    return value if unbiased else value.clamp(min=0)  # below zero by rounding only


def _squares(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Squared distances `[n, m]`, exactly zero where two rows are the same."""
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist") ** 2


def _mean(squares: torch.Tensor, wide, unbiased: bool) -> torch.Tensor:
    kernel = (-squares / wide).exp()
    if not unbiased:
        return kernel.mean()
    n = len(kernel)
    return (kernel.sum() - kernel.diagonal().sum()) / (n * (n - 1))


def _median(near, far, between) -> torch.Tensor:
    """The median squared distance of two different items of both samples; where it is zero, the mean; else 1."""
    pairs = [s.detach()[torch.ones_like(s, dtype=torch.bool).triu(1)] for s in (near, far)]
    every = torch.cat([*pairs, between.detach().flatten()])
    middle, mean = every.median(), every.mean()
    return torch.where(middle > 0, middle, torch.where(mean > 0, mean, torch.ones_like(mean)))


def _positive(factors) -> tuple[float, ...]:
    try:
        chosen = tuple(real_number("factors", f) for f in factors)
    except TypeError:
        chosen = ()
    if not chosen or not all(chosen):
        raise CourseError(f"factors={factors!r} will not do.", do="Give numbers above 0, e.g. (0.5, 1, 2).")
    return chosen
