"""A known distance gives the gain that theory says, and alignment moves features without reading a label."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from tlcourse.adaptation import DISTANCES, align, gain, gains, pair
from tlcourse.adaptation.shift import APART, FEATURES, _accuracy, _direction
from tlcourse.errors import CourseError
from tlcourse.features import Features, linear_probe


def features(x, y=None, **more):
    x = torch.as_tensor(x, dtype=torch.float32)
    y = torch.arange(len(x)) % 2 if y is None else torch.as_tensor(y)
    return Features(x, y, tuple(map(str, range(len(x)))), ("a", "b"), "pool", **more)


def cloud(seed, shift=0.0, wide=1.0, n=200, share=0.5):
    """Two classes that differ in the first feature, moved and stretched as a whole."""
    rng = np.random.default_rng(seed)
    y = (np.arange(n) < share * n).astype(int)
    x = rng.standard_normal((n, 3))
    x[:, 0] += 4 * (y - 0.5)
    return features(x * wide + shift, y)


# the world of known distance


@pytest.mark.parametrize("distance", [0.0, 0.3, 1.0])
def test_the_formula_is_what_counting_points_gives(distance):
    rng = np.random.default_rng(1)
    means = rng.standard_normal((2, FEATURES)) * 0.3 + APART * np.array([[-1.0], [1.0]]) * _direction(0.2)
    points = pair(distance, n=40_000, seed=2)
    near = np.linalg.norm(points.target[:, None] - means, axis=2).argmin(1)
    assert (near == points.y).mean() == pytest.approx(float(_accuracy(means, _direction(distance))), abs=0.008)


def test_the_target_is_the_source_turned_and_nothing_else():
    points = pair(1.0, n=20_000)
    middles = [[x[points.y == k].mean(0) for k in (0, 1)] for x in (points.source, points.target)]
    (a0, a1), (b0, b1) = middles
    assert np.allclose(a1 - a0, 2 * np.eye(FEATURES)[0], atol=0.06)
    assert np.allclose(b1 - b0, 2 * np.eye(FEATURES)[1], atol=0.06)
    assert np.allclose(pair(0, n=50).target.std(), pair(0.7, n=50).target.std(), atol=0.1)


def test_gain_falls_with_distance_from_help_to_harm():
    rows = gains(labels=5)
    assert [row.distance for row in rows] == list(DISTANCES)
    assert all(a.mean > b.mean for a, b in pairwise(rows))
    assert list(dict.fromkeys(row.verdict for row in rows)) == ["gain", "no clear gain", "negative transfer"]
    for row in rows:
        assert row.low < row.mean < row.high and row.mean == pytest.approx(row.both - row.alone)


def test_the_source_rule_at_a_right_angle_is_guessing():
    assert gain(1.0).source == pytest.approx(0.5, abs=0.03)


def test_the_same_seed_gives_the_same_and_more_draws_a_narrower_interval():
    assert gain(0.4, seed=3) == gain(0.4, seed=3) != gain(0.4, seed=4)
    few, many = gain(0.4, draws=10), gain(0.4, draws=1000)
    assert many.high - many.low < (few.high - few.low) / 3
    assert np.array_equal(pair(0.5, 9, seed=1).target, pair(0.5, 9, seed=1).target)


@pytest.mark.parametrize("distance", [-0.1, 1.01, float("nan"), float("inf"), "far", None, True])
def test_a_distance_outside_is_told(distance):
    for call in (pair, gain):
        with pytest.raises(CourseError, match=r"distance="):
            call(distance)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: gain(0.5, 0), "labels=0"),
        (lambda: gain(0.5, 2.5), "labels=2.5"),
        (lambda: gain(0.5, draws=1), "draws=1"),
        (lambda: gain(0.5, seed=-1), "seed=-1"),
        (lambda: gains([]), "no distances"),
        (lambda: pair(0.5, 0), "n=0"),
    ],
)
def test_other_bad_input_is_told(call, words):
    with pytest.raises(CourseError, match=words):
        call()


# alignment


def test_mean_and_spread_of_the_target_become_the_sources():
    source, target = cloud(0), cloud(1, shift=5, wide=3)
    moved = align(target, target, source)
    assert torch.allclose(moved.x.mean(0), source.x.mean(0), atol=1e-4)
    assert torch.allclose(moved.x.std(0), source.x.std(0), atol=1e-4)
    only_mean = align(target, target, source, spread=False)
    assert torch.allclose(only_mean.x.mean(0), source.x.mean(0), atol=1e-4)
    assert torch.allclose(only_mean.x.std(0), target.x.std(0), atol=1e-4)


def test_a_rule_of_the_source_fits_better_and_no_label_was_read():
    source, target, new = cloud(0), cloud(1, shift=5), cloud(2, shift=5)
    assert linear_probe(source, new).accuracy < 0.6
    moved = align(new, target, source)
    assert linear_probe(source, moved).accuracy > 0.9
    unlabelled = replace(target, y=torch.zeros_like(target.y))
    assert torch.equal(align(new, unlabelled, source).x, moved.x)


def test_other_shares_of_the_classes_do_harm():
    source, target, new = cloud(0), cloud(1, share=0.95, n=400), cloud(2)
    assert linear_probe(source, align(new, target, source, spread=False)).accuracy < linear_probe(source, new).accuracy


def test_one_item_comes_out_where_it_would_in_company():
    source, target, new = cloud(0), cloud(1, shift=2), cloud(2, shift=2)
    assert torch.allclose(align(new[:1], target, source).x[0], align(new, target, source).x[0])


def test_a_feature_without_spread_stays_a_number():
    flat = features([[1.0, 2.0], [1.0, 3.0], [1.0, 5.0]])
    assert align(flat, flat, features([[4.0, 0.0], [6.0, 1.0]])).x[:, 0].tolist() == [5.0, 5.0, 5.0]


def test_what_was_given_is_left_as_it_was():
    source, target = cloud(0), cloud(1, shift=5)
    before = target.x.clone()
    moved = align(target, target, source)
    assert torch.equal(target.x, before)
    assert moved.ids == target.ids and moved.x.dtype == target.x.dtype and torch.equal(moved.y, target.y)
    half = replace(target, x=target.x.half())
    assert align(half, half, source).x.dtype == torch.float16


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda f: align(f.x, f, f), "not a Tensor"),
        (lambda f: align(f, replace(f, stage="stem"), f), "'stem'"),
        (lambda f: align(f, f, replace(f, weights="other")), "of other weights"),
        (lambda f: align(f, features(torch.zeros(4, 7)), f), "7"),
        (lambda f: align(f, f[:0], f), "no items"),
        (lambda f: align(f, f[:1], f), "at least two"),
        (lambda f: align(features(torch.full((4, 3), float("nan"))), f, f), "NaN"),
        (lambda f: align(features(torch.zeros(4, 2, 3), views=2), f, f), "views"),
        (lambda f: align(features(torch.zeros(4, 3, 2, 2)), f, f), "not a vector"),
    ],
)
def test_what_cannot_be_aligned_is_told(call, words):
    with pytest.raises(CourseError, match=words):
        call(cloud(0))


def test_a_feature_that_is_the_same_everywhere_but_for_rounding_is_not_blown_up():
    def made(x):
        return Features(x, None, tuple(map(str, range(len(x)))), ("low", "high"), "pool")

    new, same, source = (
        made(torch.tensor([[0.1], [1.1]])),
        made(torch.full((7, 1), 0.1)),
        made(torch.arange(4.0)[:, None]),
    )
    assert same.x.std(0) > 0, "0.1 has no exact mean"
    assert torch.allclose(align(new, same, source).x, torch.tensor([[1.5], [2.5]]), atol=1e-5)


def test_alignment_needs_no_labels():
    few = Features(torch.tensor([[0.0], [2.0]]), None, ("a", "b"), ("low", "high"), "pool")
    assert align(few, few, few).x.flatten().tolist() == [0.0, 2.0]
