"""The A-distance: nothing between samples of one cloud, 2 between clouds that a line separates, and bad input."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some

from tlcourse import CourseError, domain_gap
from tlcourse.adaptation.gap import _dealt
from tlcourse.features import Features


def cloud(n=60, d=4, seed=0, shift=0.0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed)) + shift


def features(x, **more):
    return Features(x, None, tuple(map(str, range(len(x)))), ("a", "b"), "pool", **more)


def test_the_distance_grows_with_the_shift_from_nothing_to_two():
    gaps = [domain_gap(cloud(200), cloud(200, seed=1, shift=shift)).distance for shift in (0.0, 0.5, 1.0, 8.0)]
    assert gaps[0] < 0.35 and gaps == sorted(gaps) and gaps[-1] == 2.0


def test_it_is_two_times_one_minus_twice_the_error():
    gap = domain_gap(cloud(100), cloud(100, seed=1, shift=0.7))
    assert gap.distance == pytest.approx(2 * (1 - 2 * np.mean(gap.errors))) and len(gap.errors) == 5
    assert 0 <= gap.low < gap.distance < gap.high <= 2 and gap.n == (100, 100)
    assert "A-distance" in str(gap) and "5 folds" in str(gap) and str(gap) in gap._repr_html_()


def test_the_error_is_that_of_items_the_classifier_has_not_seen():
    wide, other = cloud(30, 200), cloud(30, 200, seed=1)  # with 200 numbers an item any 60 items can be told apart
    assert domain_gap(wide, other).distance < 0.6


def test_sizes_do_not_matter_and_neither_does_scale():
    few, many = cloud(20, seed=1), cloud(400, seed=2)
    assert domain_gap(few, many).distance < 0.5, "always saying the larger domain is no telling apart"
    x, y = cloud(80), cloud(80, seed=1, shift=0.7)
    scaled = torch.tensor([1e-4, 1.0, 1e3, 1e6])
    assert domain_gap(x * scaled, y * scaled).distance == pytest.approx(domain_gap(x, y).distance, abs=0.1)


def test_twins_in_one_domain_do_not_tell_it():
    x, y = cloud(20, 60), cloud(20, 60, seed=1)
    twice = domain_gap(x.repeat(3, 1), y.repeat(3, 1))
    assert twice.distance < 0.8, "seen copies of the judged items would give nearly 2"


@settings(max_examples=10)
@given(some.integers(0, 50), some.sampled_from([0.0, 0.6]))
def test_properties(seed, shift):
    x, y = cloud(30, seed=seed), cloud(40, seed=seed + 100, shift=shift)
    gap = domain_gap(x, y)
    assert 0 <= gap.low <= gap.distance <= gap.high <= 2
    assert domain_gap(x, x).distance <= 0.5
    assert domain_gap(x, y) == gap


def test_features_are_read_without_their_labels():
    x, y = cloud(), cloud(seed=1, shift=0.7)
    assert domain_gap(features(x), features(y)) == domain_gap(x, y)
    assert domain_gap(replace(features(x), y=torch.full((60,), 99)), features(y)) == domain_gap(x, y)


def test_a_feature_without_spread_is_no_trouble():
    x, y = cloud(), cloud(seed=1)
    x[:, 0] = y[:, 0] = 3.0
    assert domain_gap(x, y).distance < 0.6
    x[:, 0] = 4.0
    assert domain_gap(x, y).distance == 2.0
    few = cloud(6, 1).expand(6, 3)
    assert 0 <= domain_gap(few, few + 0.1).distance <= 2


def test_fewer_items_than_folds():
    gap = domain_gap(cloud(3), cloud(50, seed=1, shift=9.0))
    assert len(gap.errors) == 3 and gap.distance > 1.5


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x: domain_gap(x[:1], x), "fewer than two different"),
        (lambda x: domain_gap(torch.ones(9, 4), x), "fewer than two different"),
        (lambda x: domain_gap(x[:0], x), "0 items"),
        (lambda x: domain_gap(features(x[:0]), features(x)), "no items"),
        (lambda x: domain_gap(x, x[:, :3]), "4 numbers an item, the target's 3"),
        (lambda x: domain_gap(torch.full((9, 4), torch.nan), x), "NaN"),
        (lambda x: domain_gap(features(x), x), "Features"),
        (lambda x: domain_gap(features(x), replace(features(x), stage="stem")), "'stem'"),
        (lambda x: domain_gap(features(x, weights="a"), features(x, weights="b")), "of other weights"),
        (lambda x: domain_gap(features(torch.zeros(4, 2, 3), views=2), features(x)), "views"),
        (lambda x: domain_gap(features(torch.zeros(4, 3, 2, 2)), features(x)), "not a vector"),
        (lambda x: domain_gap([1, 2], x), "not as a list"),
        (lambda x: domain_gap(x, x, folds=1), "folds=1"),
        (lambda x: domain_gap(x, x, C=0), "C=0"),
        (lambda x: domain_gap(x, x, C=-1), "C=-1"),
        (lambda x: domain_gap(x, x, seed=-1), "seed=-1"),
    ],
)
def test_what_cannot_be_measured_is_told(call, words):
    with pytest.raises(CourseError, match=words):
        call(cloud())


def test_copies_are_dealt_out_together_and_each_domain_evenly():
    domain = np.repeat([0, 1], [30, 24])
    same = np.concatenate([np.repeat(np.arange(10), 3), np.arange(8, 32)])  # items 8 and 9 lie in both domains
    fold = _dealt(domain, same, 5, seed=0)
    assert all(len(set(fold[same == one])) == 1 for one in np.unique(same))
    for number in (0, 1):
        assert np.ptp(np.bincount(fold[domain == number], minlength=5)) <= 6
    assert np.array_equal(fold, _dealt(domain, same, 5, seed=0)) and not np.array_equal(
        fold, _dealt(domain, same, 5, 1)
    )
