"""CKA against its formula and its properties; and the energy of a map inside a box."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from small_nets import image_net, images

from tlcourse import CourseError, cka, extract, plots
from tlcourse.explain import cka_matrix, energy_inside
from tlcourse.features import Features


def points(n=20, d=5, seed=0) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def turn(d: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(stats.ortho_group.rvs(d, random_state=seed))


def features(x, ids=None) -> Features:
    return Features(x, torch.arange(len(x)) % 2, ids or tuple(map(str, range(len(x)))), ("a", "b"), "pool", weights="w")


def by_kernels(x, y) -> float:
    """Kornblith et al. 2019, equations 3 and 4: HSIC of the centred kernels."""
    n = len(x)
    h = np.eye(n) - np.ones((n, n)) / n
    k, m = (h @ part.numpy() @ part.numpy().T @ h for part in (x, y))
    return np.trace(k @ m) / np.sqrt(np.trace(k @ k) * np.trace(m @ m))


def by_pairs(x, y) -> float:
    """The unbiased HSIC of Song et al. 2012, equation 5, in its own terms."""

    def hsic(a, b):
        n, one = len(a), np.ones(len(a))
        a, b = a - np.diag(np.diag(a)), b - np.diag(np.diag(b))
        whole = (one @ a @ one) * (one @ b @ one) / ((n - 1) * (n - 2))
        return (np.trace(a @ b) + whole - 2 / (n - 2) * (one @ a @ b @ one)) / (n * (n - 3))

    k, m = (part.numpy() @ part.numpy().T for part in (x, y))
    return hsic(k, m) / np.sqrt(hsic(k, k) * hsic(m, m))


@pytest.mark.parametrize(("d", "e"), [(5, 5), (3, 12), (40, 6), (40, 50)])  # by the kernels, or by the covariances
def test_cka_is_its_formula(d, e):
    x, y = points(20, d), points(20, e, 1) + torch.nn.functional.pad(points(20, min(d, e)), (0, max(0, e - d)))
    assert cka(x, y) == pytest.approx(by_kernels(x, y))
    assert cka(x, y, debiased=True) == pytest.approx(by_pairs(x, y))


@pytest.mark.parametrize("debiased", [False, True])
@given(seed=st.integers(0, 10_000))
def test_what_changes_nothing(debiased, seed):
    x, y = points(12, 4, seed), points(12, 6, seed + 1)
    expected = cka(x, y, debiased=debiased)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(seed))
    for a, b in ((y, x), (x @ turn(4, seed % 999), y), (1e4 * x, -1e-4 * y), (x + 3, y - 1), (x[order], y[order])):
        assert cka(a, b, debiased=debiased) == pytest.approx(expected, abs=1e-6)
    assert cka(x, -2 * x @ turn(4) + 1, debiased=debiased) == pytest.approx(1)


def test_stretching_one_direction_changes_it_and_so_does_another_order():
    x = points()
    assert cka(x, x * torch.tensor([1, 1, 1, 1, 10.0])) < 0.9
    assert cka(x, x[torch.arange(20).flip(0)]) < 0.9


def test_few_items_with_wide_features_look_alike_by_chance_which_the_debiased_estimate_takes_out():
    x, y = points(10, 500), points(10, 500, 1)
    assert cka(x, y) > 0.9 and abs(cka(x, y, debiased=True)) < 0.3


def test_stages_of_a_network_before_and_after(tmp_path, monkeypatch):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path))
    names = ["stem", "body", "pool"]
    before, after = (extract(image_net(seed), images(), names, pooled=True) for seed in (0, 1))
    table = cka_matrix(before, before)
    assert table.index.tolist() == table.columns.tolist() == names
    assert np.diag(table) == pytest.approx([1, 1, 1]) and np.allclose(table, table.T)
    other = cka_matrix(before, {"pool": after["pool"]})
    assert other.loc["body", "pool"] == cka(before["body"], after["pool"]) < 0.999
    assert "pool" in plots.matrix(table, ylabel="before", xlabel="after").alt


X = points()


@pytest.mark.parametrize(
    ("x", "y", "options", "says"),
    [
        (X, X[:5], {}, "20 items here and 5 there"),
        (features(X), features(X, tuple(map(str, range(1, 21)))), {}, "other items, or in another order"),
        (X[:1], X[:1], {}, "no pair"),
        (X[:3], X[:3], {"debiased": True}, "too few"),
        (X * torch.nan, X, {}, "NaN"),
        (X / 0, X, {}, "NaN or infinite"),
        (X, torch.full_like(X, 0.1), {}, "same for every item"),
        (0 * X, X, {}, "same for every item"),
        (X[:, :0], X, {}, r"not a tensor \[20, 0\]"),
        (X[:, 0], X, {}, r"not a tensor \[20\]"),
        (X, [1, 2], {}, "not a list"),
        (features(X[:, None, :, None]), X, {}, "pooled=True"),
        (replace(features(X[:, None].repeat(1, 2, 1)), views=2), X, {}, "several random views"),
        (features(X[:, :0]), X, {}, r"\[20, 0\]"),
    ],
)
def test_what_cka_refuses(x, y, options, says):
    with pytest.raises(CourseError, match=says):
        cka(x, y, **options)


@pytest.mark.parametrize("wrong", [{}, [X], X])
def test_a_matrix_needs_stages(wrong):
    with pytest.raises(CourseError, match="Stages and their features"):
        cka_matrix({"pool": X}, wrong)


# energy ------------------------------------------------------------------------------------------


def pixel_by_pixel(heat, box, height, width, fine=20) -> float:
    """The same share, from a picture with `fine` points a pixel."""
    rows, columns = ((np.arange(side * fine) + 0.5) / fine for side in (height, width))
    h, w = heat.shape
    drawn = heat.numpy()[(rows * h / height).astype(int)][:, (columns * w / width).astype(int)]
    left, top, right, bottom = box
    inside = ((rows >= top) & (rows < bottom))[:, None] & ((columns >= left) & (columns < right))
    return drawn[inside].sum() / drawn.sum()


@pytest.mark.parametrize(
    ("shape", "box", "size"),
    [
        ((3, 3), (2, 3, 20, 25), 32),
        ((6, 4), (0.5, 1, 10.5, 30), (36, 20)),
        ((7, 7), (5, 6, 7, 9), 96),  # inside one place
        ((1, 1), (2, 2, 4, 6), 8),
    ],
)
def test_the_energy_is_that_of_the_map_drawn_out(shape, box, size):
    heat = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    height, width = (size, size) if isinstance(size, int) else size
    expected = pixel_by_pixel(heat, box, height, width)
    assert energy_inside(heat, box, size) == pytest.approx(expected, rel=0.01)


@given(st.integers(0, 1000), st.integers(1, 9), st.integers(1, 9))
def test_an_even_map_has_the_boxs_share_of_the_area_and_parts_add_up(seed, h, w):
    rng = np.random.default_rng(seed)
    left, top = rng.uniform(0, 40, 2)
    right, bottom = rng.uniform(41, 96, 2)
    heat = torch.from_numpy(rng.random((h, w)))
    assert energy_inside(torch.ones(h, w), (left, top, right, bottom), 96) == pytest.approx(
        (right - left) * (bottom - top) / 96**2
    )
    assert energy_inside(heat, (0, 0, 96, 96), 96) == pytest.approx(1)
    assert energy_inside(heat, (0, 0, right, 96), 96) + energy_inside(heat, (right, 0, 96, 96), 96) == pytest.approx(1)
    assert energy_inside(7 * heat, (0, 0, right, 96), (96, 96)) == pytest.approx(
        energy_inside(heat, (0, 0, right, 96), 96)
    )


def test_all_energy_inside_all_outside_and_none():
    heat = torch.zeros(4, 4)
    assert np.isnan(energy_inside(heat, (0, 0, 4, 4), 8))
    heat[1, 2] = 5
    assert energy_inside(heat, torch.tensor([4.0, 2, 6, 4]), 8) == 1
    assert energy_inside(heat.requires_grad_(), (0, 0, 4, 8), 8) == 0


@pytest.mark.parametrize(
    ("heat", "box", "says"),
    [
        (torch.ones(1, 3, 3), (0, 0, 4, 4), r"\[h, w\]"),
        (torch.ones(0, 3), (0, 0, 4, 4), r"\[h, w\]"),
        (-torch.ones(3, 3), (0, 0, 4, 4), "below 0"),
        (torch.full((3, 3), torch.nan), (0, 0, 4, 4), "NaN"),
        (torch.ones(3, 3), (4, 0, 2, 4), "does not lie"),
        (torch.ones(3, 3), (0, 0, 9, 4), "does not lie"),
        (torch.ones(3, 3), (-1, 0, 4, 4), "does not lie"),
        (torch.ones(3, 3), (0, 0, 4), "no box"),
        (torch.ones(3, 3), (0, 0, 4, torch.nan), "no box"),
    ],
)
def test_what_is_no_map_or_no_box(heat, box, says):
    with pytest.raises(CourseError, match=says):
        energy_inside(heat, box, 8)


def test_debiased_items_that_are_equally_alike_say_nothing():
    for n in (4, 7):  # one-hot items: without their likeness to themselves nothing is left but rounding
        with pytest.raises(CourseError, match=r"equally alike(.|\n)*debiased=False"):
            cka(torch.eye(n), points(n), debiased=True)
    assert cka(torch.eye(4), torch.eye(4)) == pytest.approx(1)


def test_a_box_and_a_size_of_any_kind():
    heat = torch.tensor([[0.0, 1.0], [0.0, 1.0]])
    assert energy_inside(heat, np.array([4, 0, 8, 4]), np.array([8, 8])) == 0.5
    for box in (None, "left"):
        with pytest.raises(CourseError, match="is no box"):
            energy_inside(heat, box, 8)
    with pytest.raises(CourseError, match="size="):
        energy_inside(heat, (4, 0, 8, 4), (3, 8, 8))
