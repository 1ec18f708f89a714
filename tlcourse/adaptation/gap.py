"""`domain_gap`: how easily a linear classifier tells two domains apart."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from html import escape

import numpy as np
import torch

from tlcourse.adaptation.clouds import clouds, points
from tlcourse.errors import CourseError, real_number, whole_number
from tlcourse.features import interval
from tlcourse.hardware import one_blas_thread


@dataclass(frozen=True)
class DomainGap:
    """An A-distance: 2 · (1 - 2 e), where e is how often a linear classifier takes one domain for the other.

    Arguments:
        distance: from 0 (it can only guess) to 2 (it is never wrong).
        low, high: its 95 % interval over the folds. They share training items, so it is a guide, and rather narrow.
        errors: e of each fold; each domain counts the same in it.
        n: items of the source and of the target.

    >>> print(DomainGap(1.6, 1.5, 1.7, (0.1, 0.08, 0.12), (100, 80)))
    A-distance 1.60 (1.50 to 1.70): told apart with an error of 0.100, 3 folds
    """

    distance: float
    low: float
    high: float
    errors: tuple[float, ...] = field(repr=False)
    n: tuple[int, int] = field(repr=False)

    @property
    def error(self) -> float:
        """Mean of the folds' errors."""
        return float(np.mean(self.errors))

    def __str__(self) -> str:
        return (
            f"A-distance {self.distance:.2f} ({self.low:.2f} to {self.high:.2f}): told apart with an error of "
            f"{self.error:.3f}, {len(self.errors)} folds"
        )

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<p>{escape(str(self))}</p>"


def domain_gap(source, target, *, folds: int = 5, C: float = 1.0, seed: int = 0) -> DomainGap:
    """The A-distance of two domains: a linear classifier is trained to tell which domain an item is from.

    Features are standardised by the training items of each fold, and each fold is judged on the rest. Items that are
    the same to the last number stay in one fold. Which of the items have which label is not looked at.

    Arguments:
        source, target: `Features` of one stage, or tensors `[n, d]` and `[m, d]`.
        folds: of the cross-validation; fewer where a domain has fewer items.
        C: inverse strength of the classifier's regularisation.
        seed: of the folds.

    Returns a `DomainGap`. Raises `CourseError` for fewer than two different items of a domain, for NaN, or features
    that do not go together.

    >>> x = torch.arange(40.0).reshape(20, 2)
    >>> domain_gap(x, x).distance, domain_gap(x, x + 1000).distance
    (0.0, 2.0)

    Ben-David et al. 2007; chapter 09.
    """
    folds, C = whole_number("folds", folds, 2), real_number("C", C)
    if not C:
        raise CourseError("C=0 is not a strength.", do="Choose C above 0.")
    x, y = clouds(*points(source, target))
    both = torch.cat([x, y]).detach().cpu()
    domain = np.repeat([0, 1], [len(x), len(y)])
    same = both.unique(dim=0, return_inverse=True)[1].numpy()
    fewest = min(len(np.unique(same[domain == d])) for d in (0, 1))
    if fewest < 2:
        raise CourseError(
            "A domain has fewer than two different items.",
            why="The classifier is trained on some and judged on others.",
            do="Pass more items of each domain.",
        )
    errors = [
        _error(both.numpy(), domain, train, test, C)
        for train, test in _folds(domain, same, min(folds, fewest), whole_number("seed", seed, 0))
    ]
    middle, low, high = interval(errors)
    return DomainGap(*(_distance(e) for e in (middle, high, low)), tuple(errors), (len(x), len(y)))


def _distance(error: float) -> float:
    return 2 * (1 - 2 * float(np.clip(error, 0.0, 0.5)))  # worse than guessing is no less than no distance


def _folds(domain: np.ndarray, same: np.ndarray, folds: int, seed: int):
    from sklearn.model_selection import StratifiedKFold

    if len(np.unique(same)) < len(same):
        fold = _dealt(domain, same, folds, seed)
        made = [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(folds)]
    else:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The least populated class")
            made = list(StratifiedKFold(folds, shuffle=True, random_state=seed).split(domain, domain))
    whole = [(a, b) for a, b in made if len(np.unique(domain[a])) == len(np.unique(domain[b])) == 2]
    if len(whole) < 2:
        raise CourseError(
            "Too many items are the same for the domains to be told apart on new ones.",
            do="Pass more different items of each domain, or fewer folds.",
        )
    return whole


def _dealt(domain: np.ndarray, same: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """The fold of each item; items that are the same go as one, and those of a domain are dealt out in turn.

    scikit-learn's StratifiedGroupKFold does so too, and takes ten times as long as what the folds are for.
    """
    _, group, size = np.unique(same, return_inverse=True, return_counts=True)
    near = np.bincount(group, weights=domain == 0) / size  # 1: in the source only, 0: in the target only
    order = np.random.default_rng(seed).permutation(len(size))
    order = order[np.lexsort((-size[order], near[order] == 0, near[order] < 1))]
    fold = np.empty(len(size), dtype=int)
    fold[order] = np.arange(len(size)) % folds
    return fold[group]


def _error(x: np.ndarray, domain: np.ndarray, train: np.ndarray, test: np.ndarray, C: float) -> float:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    learner = make_pipeline(StandardScaler(), LogisticRegression(C=C, class_weight="balanced", max_iter=500))
    with one_blas_thread(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="lbfgs failed to converge")
        learner.fit(x[train], domain[train])
    found = learner.predict(x[test])
    return float(np.mean([(found[domain[test] == d] != d).mean() for d in (0, 1)]))
