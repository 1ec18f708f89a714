"""CKA: whether two stages see the same things alike."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from tlcourse.errors import CourseError
from tlcourse.features import Features


def cka(x: Features | torch.Tensor, y: Features | torch.Tensor, *, debiased: bool = False) -> float:
    r"""How alike two representations of the same items are: which items lie near which, in one and in the other.

    Linear centred kernel alignment. With both centred on their means,

    $$ \mathrm{CKA}(X, Y) = \frac{|Y^\top X|_F^2}{|X^\top X|_F\,|Y^\top Y|_F} $$

    Turning a representation, or multiplying all of it by one number, changes nothing; stretching single directions
    does. The two may have different widths.

    Arguments:
        x, y: features of the same items in the same order, vectors `[n, d]`; as `Features` or tensors.
        debiased: with few items and wide features any two look alike; this takes out what chance brings (the estimate
            of Song et al. 2012), needs 4 items or more, and may come out below 0, with few items far below.

    Returns a number from 0 to 1. Raises `CourseError` for other items, NaN, or features that are the same for every
    item; debiased also for features in which any two items are equally alike.

    >>> x = torch.tensor([[0.0, 1], [1, 0], [2, 1], [3, 3]])
    >>> round(cka(x, x @ torch.tensor([[0.0, -2], [2, 0]])), 6), round(cka(x, x * torch.tensor([1.0, 9])), 2)
    (1.0, 0.87)

    Kornblith et al. 2019. Chapter 09.
    """
    if isinstance(x, Features) and isinstance(y, Features) and x.ids != y.ids:
        raise CourseError(
            "The two are features of other items, or in another order.",
            why="CKA asks whether the same pairs of items lie near each other in both.",
            do="Extract both from the same split.",
        )
    a, b = _vectors(x), _vectors(y)
    if len(a) != len(b):
        raise CourseError(f"There are {len(a)} items here and {len(b)} there.", do="Pass features of the same items.")
    if debiased and len(a) < 4:
        raise CourseError(f"{len(a)} items are too few for the debiased estimate.", do="Pass at least 4 items.")
    a, b = a - a.mean(0), b - b.mean(0)
    if debiased or len(a) < max(a.shape[1], b.shape[1]):
        kernels = a @ a.T, b @ b.T
        if debiased:
            kernels = tuple(map(_debiased, kernels))
        shared, own = (kernels[0] * kernels[1]).sum(), [(k**2).sum() for k in kernels]
    else:
        shared, own = ((b.T @ a) ** 2).sum(), [((part.T @ part) ** 2).sum() for part in (a, b)]
    return float(shared / (own[0] * own[1]).sqrt())


def cka_matrix(first: Mapping[str, Features], second: Mapping[str, Features], *, debiased: bool = False):
    """`cka` of each stage of one model with each stage of another, or of the same one before and after a training.

    Arguments:
        first, second: stage -> features of the same items, e.g. from `extract` with a list of stages.
        debiased: as in `cka`.

    Returns a table: a row a stage of the first, a column a stage of the second. `plots.matrix` draws it.

    >>> x = torch.tensor([[0.0, 1], [1, 0], [2, 1], [3, 3]])
    >>> cka_matrix({"stem": x}, {"stem": x, "head": x[:, :1]}).round(2).to_dict("index")
    {'stem': {'stem': 1.0, 'head': 0.88}}

    Chapter 09.
    """
    import pandas as pd

    for part in (first, second):
        if not isinstance(part, Mapping) or not part:
            raise CourseError(
                "Stages and their features are needed.",
                do='Pass what extract(model, data, ["stage3", "pool"], pooled=True) returned.',
            )
    rows = {a: {b: cka(x, y, debiased=debiased) for b, y in second.items()} for a, x in first.items()}
    return pd.DataFrame.from_dict(rows, orient="index")


def _vectors(x) -> torch.Tensor:
    if isinstance(x, Features):
        if x.views > 1:
            raise CourseError("Features with several random views cannot be compared.", do="Extract without views=.")
        x = x.flat()[0] if x.x.shape[-1] else x.x
    if not isinstance(x, torch.Tensor) or x.ndim != 2 or not x.shape[1]:
        what = f"a tensor {list(x.shape)}" if isinstance(x, torch.Tensor) else f"a {type(x).__name__}"
        raise CourseError(f"Vectors [n, d] are compared, not {what}.", do="Pass Features, or a tensor [n, d].")
    if len(x) < 2:
        raise CourseError(f"Of {len(x)} items there is no pair that could lie near or far.", do="Pass more items.")
    x = x.detach().double().cpu()
    if not x.isfinite().all():
        raise CourseError(
            "The features hold NaN or infinite values.", do="Extract them in float32, and check the data."
        )
    largest = x.abs().max()
    if float((x - x[0]).abs().max()) <= 1e-7 * float(largest):
        raise CourseError(
            "The features are the same for every item.",
            why="Features with no variance put no two items nearer than others.",
            do="Choose another stage, and check that the images or texts differ.",
        )
    return x / largest


def _debiased(k: torch.Tensor) -> torch.Tensor:
    found = _without_chance(k)
    if float(found.abs().max()) <= 1e-9 * float(k.abs().max()):
        raise CourseError(
            "Any two items are equally alike in these features, so nothing is left without chance.",
            why="The debiased estimate looks at which items lie nearer than others, and leaves out an item's likeness "
            "to itself.",
            do="Take other items, a stage in which they differ in how alike they are, or debiased=False.",
        )
    return found


def _without_chance(k: torch.Tensor) -> torch.Tensor:
    """A kernel `[n, n]` whose product with another one, summed, is the unbiased estimate of their dependence.

    The diagonal is left out, and rows and columns are centred without it.
    """
    n = len(k)
    k = k - k.diag().diag()
    means = k.sum(0) / (n - 2)
    means = means - means.sum() / (2 * (n - 1))
    k = k - means[:, None] - means
    return k - k.diag().diag()
