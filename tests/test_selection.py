"""LogME, LEEP and H-score against their formulas written out, their properties, and what they refuse."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.optimize import minimize

from tlcourse import CourseError, h_score, leep, logme
from tlcourse.features import Features


def features(x, y, classes=None) -> Features:
    x, y = torch.as_tensor(np.asarray(x)), torch.as_tensor(np.asarray(y))
    classes = classes or tuple(f"class {c}" for c in range(int(y.max()) + 1))
    return Features(x, y, tuple(map(str, range(len(y)))), classes, "pool", weights="w")


def cloud(n=30, d=4, classes=3, gap=1.0, seed=0) -> Features:
    """A round cloud a class, their middles about `gap` apart."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % classes
    middles = gap * rng.standard_normal((classes, d))
    return features(middles[y] + rng.standard_normal((n, d)) + 0.3, y)


def turn(d: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(stats.ortho_group.rvs(d, random_state=seed))


# LogME -------------------------------------------------------------------------------------------


def evidence(x, y, alpha, beta):
    """Equation 2 of You et al. 2021, term by term."""
    n, d = x.shape
    a = alpha * np.eye(d) + beta * x.T @ x
    m = beta * np.linalg.solve(a, x.T @ y)
    return (
        n / 2 * np.log(beta) + d / 2 * np.log(alpha) - n / 2 * np.log(2 * np.pi)
        - beta / 2 * ((x @ m - y) ** 2).sum() - alpha / 2 * (m**2).sum() - np.linalg.slogdet(a)[1] / 2
    )  # fmt: skip


def searched(f: Features) -> float:
    """The largest evidence over alpha and beta, by a search that knows nothing of it, from several places."""
    x, found = f.x.numpy().astype(float), []
    for c in f.y.unique().tolist():
        y = (f.y.numpy() == c).astype(float)
        runs = [
            minimize(lambda p, y=y: -evidence(x, y, *np.exp(p)), (a, b), method="Nelder-Mead",
                     bounds=((-18, 18), (-18, 18)), options={"xatol": 1e-8, "fatol": 1e-10, "maxiter": 4000})
            for a in (-3.0, 3.0) for b in (-1.0, 4.0)
        ]  # fmt: skip
        found.append(-min(run.fun for run in runs) / len(y))
    return float(np.mean(found))


@pytest.mark.parametrize(
    ("n", "d", "classes", "gap"), [(30, 4, 3, 1.0), (40, 3, 2, 3.0), (25, 6, 2, 0.5), (60, 2, 4, 2)]
)
def test_logme_is_the_largest_evidence(n, d, classes, gap):
    f = cloud(n, d, classes, gap)
    assert logme(f) == pytest.approx(searched(f), abs=1e-5)


def test_logme_with_more_features_than_items_is_the_largest_evidence_too():
    f = cloud(12, 20, 3)
    assert logme(f) == pytest.approx(searched(f), abs=1e-4)


def test_the_evidence_is_the_likelihood_of_the_labels_averaged_over_the_weights():
    x, y, alpha, beta = cloud(8, 3).x.numpy(), np.arange(8.0) % 2, 0.7, 2.5
    covariance = x @ x.T / alpha + np.eye(8) / beta
    assert evidence(x, y, alpha, beta) == pytest.approx(stats.multivariate_normal.logpdf(y, np.zeros(8), covariance))


@pytest.mark.parametrize("score", [logme, h_score, lambda f: h_score(f, shrinkage=False)])
def test_what_changes_no_score(score):
    f = cloud(40, 5, 3)
    expected = score(f)
    order = torch.randperm(len(f), generator=torch.Generator().manual_seed(0))
    swapped = replace(f, y=torch.tensor([2, 0, 1])[f.y])  # the classes' numbers mean nothing
    for other in (f[order], swapped, replace(f, x=f.x @ turn(5)), replace(f, x=1000 * f.x), replace(f, x=-1e-3 * f.x)):
        assert score(other) == pytest.approx(expected, rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("score", [logme, h_score, lambda f: h_score(f, shrinkage=False)])
def test_classes_that_lie_farther_apart_get_more(score):
    values = [score(cloud(60, 4, 3, gap)) for gap in (0, 1, 3)]
    assert values == sorted(values) and values[2] > values[0] + 0.2


@pytest.mark.parametrize("score", [logme, h_score])
def test_a_class_without_items_plays_no_part(score):
    f = cloud(30, 4, 2)
    more = replace(f, y=2 * f.y, classes=("a", "b", "c", "d"))
    assert score(more) == score(f)


@given(st.integers(0, 10_000), st.sampled_from([(12, 3), (20, 8), (9, 12)]))
def test_scores_of_any_cloud_do_not_depend_on_order_and_turning(seed, shape):
    f = cloud(*shape, seed=seed)
    other = replace(f, x=f.x @ turn(shape[1], seed % 1000))[torch.arange(len(f)).flip(0)]
    assert logme(other) == pytest.approx(logme(f), abs=1e-6)
    assert h_score(other) == pytest.approx(h_score(f), abs=1e-6)


# H-score -----------------------------------------------------------------------------------------


def explicit(f: Features, shrink: float) -> float:
    """tr(cov(f)^-1 cov(E[f|y])), with the matrices built item by item."""
    x, y = f.x.numpy().astype(float), f.y.numpy()
    n, d = x.shape
    mean = sum(x) / n
    whole = sum(np.outer(row - mean, row - mean) for row in x) / n
    told = np.stack([x[y == c].mean(0) for c in y])
    between = sum(np.outer(row - mean, row - mean) for row in told) / n
    sphere = np.trace(whole) / d * np.eye(d)
    return (1 - shrink) * np.trace(np.linalg.inv((1 - shrink) * whole + shrink * sphere) @ between)


@pytest.mark.parametrize(("n", "d", "classes"), [(30, 4, 3), (50, 7, 2), (24, 2, 5)])
def test_h_score_is_its_formula(n, d, classes):
    from sklearn.covariance import LedoitWolf

    f = cloud(n, d, classes)
    assert h_score(f, shrinkage=False) == pytest.approx(explicit(f, 0.0))
    shrink = LedoitWolf().fit(f.x.numpy()).shrinkage_
    assert 0 < shrink < 1 and h_score(f) == pytest.approx(explicit(f, shrink))


def test_h_score_without_shrinkage_does_not_mind_any_invertible_map():
    f, rng = cloud(40, 4, 3), np.random.default_rng(1)
    skewed = replace(f, x=f.x @ torch.from_numpy(rng.standard_normal((4, 4))) + 5)
    assert h_score(skewed, shrinkage=False) == pytest.approx(h_score(f, shrinkage=False))
    assert abs(h_score(skewed) - h_score(f)) > 1e-4  # what shrinkage costs


@pytest.mark.parametrize("shrinkage", [True, False])
def test_h_score_lies_between_0_and_the_classes_less_1(shrinkage):
    far = cloud(60, 3, 4, gap=1000)
    assert (2 if shrinkage else 2.9) < h_score(far, shrinkage=shrinkage) <= 3
    assert 0 <= h_score(cloud(600, 3, 4, gap=0), shrinkage=shrinkage) < 0.1


def test_with_few_items_only_shrinkage_tells_features_from_noise():
    noise, told = cloud(30, 200, 2, gap=0), cloud(30, 200, 2, gap=2)
    assert h_score(told) > h_score(noise) + 0.2
    with pytest.raises(CourseError, match=r"30 different items are too few for 200 features[\s\S]*shrinkage=True"):
        h_score(told, shrinkage=False)


# LEEP --------------------------------------------------------------------------------------------


def shares(n=20, z=5, seed=0) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.ones(z), n)


def looped(p, y) -> float:
    """Nguyen et al. 2020, equations 1 and 2, in loops."""
    n, total = len(y), 0.0
    joint = {(c, z): sum(p[i][z] for i in range(n) if y[i] == c) / n for c in set(y) for z in range(len(p[0]))}
    marginal = [sum(joint[c, z] for c in set(y)) for z in range(len(p[0]))]
    for i in range(n):
        total += np.log(sum(joint[y[i], z] / marginal[z] * p[i][z] for z in range(len(p[0])) if marginal[z] > 0))
    return total / n


@pytest.mark.parametrize(("n", "z", "classes"), [(20, 5, 2), (9, 2, 3), (50, 30, 4)])
def test_leep_is_its_formula(n, z, classes):
    p, y = shares(n, z), np.arange(n) % classes
    assert leep(p, y) == pytest.approx(looped(p.tolist(), y.tolist()))
    assert leep(torch.from_numpy(p).requires_grad_(), torch.from_numpy(y)) == leep(p, y)


def test_leep_of_source_classes_that_tell_all_or_nothing():
    y = np.array([0, 0, 0, 1, 2, 2])
    assert leep(np.eye(4)[[2, 2, 2, 0, 1, 1]], y) == pytest.approx(0)  # a source class for each; one is never named
    even = np.full((6, 4), 0.25)
    assert leep(even, y) == pytest.approx(-stats.entropy([3, 1, 2]))


@given(st.integers(0, 10_000))
def test_leep_is_at_most_0_and_does_not_depend_on_order_or_on_the_order_of_the_source_classes(seed):
    p, y = shares(15, 6, seed), np.arange(15) % 3
    order = np.random.default_rng(seed).permutation(15)
    assert -10 < leep(p, y) <= 0
    assert leep(p[order], y[order]) == pytest.approx(leep(p, y))
    assert leep(p[:, ::-1], 2 - y) == pytest.approx(leep(p, y))


@pytest.mark.parametrize(
    ("probabilities", "labels", "says"),
    [
        (2 * shares(4), [0, 1, 0, 1], r"not probabilities[\s\S]*softmax"),
        (np.array([[1.5, -0.5]] * 4), [0, 1, 0, 1], "one is -0.5"),
        (shares(4) * np.nan, [0, 1, 0, 1], "NaN"),
        (shares(4), [0, 1, 0], "do not go together"),
        (shares(4)[:, :0], [0, 1, 0, 1], "do not go together"),
        (shares(4)[:, 0], [0, 1, 0, 1], "do not go together"),
        (shares(4), [1, 1, 1, 1], "at least two classes"),
        (shares(4)[:0], np.zeros(0, dtype=int), "no items"),
        (shares(4), [0.0, 1.0, 0.0, 1.0], "class numbers"),
        (shares(4), np.eye(4, dtype=int), "class numbers"),
    ],
)
def test_what_leep_refuses(probabilities, labels, says):
    with pytest.raises(CourseError, match=says):
        leep(probabilities, labels)


# what the scores refuse --------------------------------------------------------------------------

F = cloud()


@pytest.mark.parametrize("score", [logme, h_score])
@pytest.mark.parametrize(
    ("given", "says"),
    [
        (F[F.y == 1], "at least two classes"),
        (F[0], "at least two classes"),
        (F[[]], "no items"),
        (replace(F, x=F.x * torch.nan), "NaN"),
        (replace(F, x=F.x / 0), "NaN or infinite"),
        (replace(F, x=torch.full_like(F.x, 0.7)), "same for every item"),
        (replace(F, x=0 * F.x), "same for every item"),
        (replace(F, x=F.x[:, :0]), "width 0"),
        (replace(F, x=F.x[:, None], views=1), "pooled=True"),
        (replace(F, x=F.x[:, None].repeat(1, 2, 1), views=2), "several random views"),
        (F.x, "not a Tensor"),
    ],
)
def test_what_the_scores_refuse(score, given, says):
    with pytest.raises(CourseError, match=says):
        score(given)


@pytest.mark.parametrize("score", [logme, h_score])
def test_a_feature_without_variance_and_more_classes_than_there_is_room_for(score):
    still = replace(F, x=torch.cat([F.x, torch.zeros(len(F), 3)], 1))
    assert np.isfinite(score(still))
    one_each = features(np.random.default_rng(0).standard_normal((6, 9)), range(6), tuple("abcdefgh"))
    assert np.isfinite(score(one_each))


def test_a_feature_of_zeros_adds_no_evidence():
    assert logme(replace(F, x=torch.cat([F.x, torch.zeros(len(F), 3)], 1))) == pytest.approx(logme(F))


def test_rows_that_are_there_twice():
    f = cloud(10, 20, 2)
    twice = f[torch.arange(10).repeat(2)]
    assert np.isfinite(h_score(twice))
    with pytest.raises(CourseError, match="10 different items"):
        h_score(twice, shrinkage=False)
    with pytest.raises(CourseError, match=r"'class 0' exactly[\s\S]*20 items have only 10 directions[\s\S]*repeat"):
        logme(twice)
    wide = cloud(30, 4, 3)
    assert np.isfinite(logme(wide[torch.arange(30).repeat(2)]))


def test_labels_that_say_nothing_are_told():
    cloudy = cloud()
    for score in (logme, h_score):
        with pytest.raises(CourseError, match=r"number -1(.|\n)*missing"):
            score(replace(cloudy, y=cloudy.y - 1))
        for y in (None, cloudy.y[:3]):
            with pytest.raises(CourseError, match=r"no label for each item|the same items"):
                score(replace(cloudy, y=y))
    with pytest.raises(CourseError, match="class number -1"):
        leep([[0.5, 0.5]] * 3, [-1, 0, 1])
    with pytest.raises(CourseError, match="no items"):
        leep([], [])
    with pytest.raises(CourseError, match="no table of numbers"):
        leep([[0.5, 0.5], [1.0]], [0, 1])
