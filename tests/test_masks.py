"""Masks: on splits, on the packaged sets with masks, and drawn."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from tlcourse import CourseError, UnknownName, load_dataset, plots
from tlcourse.datasets import Split, real_coins, tissue_mask
from tlcourse.datasets.coins import coins
from tlcourse.datasets.heaps import COINS, COUNTS, EDGE
from tlcourse.datasets.tissue import COLUMNS, WINDOW


def small(masks="yes", n=3):
    x = torch.zeros(n, 1, 8, 6, dtype=torch.uint8)
    made = torch.zeros(n, 8, 6, dtype=torch.uint8)
    made[0, 2:5, 1:4], made[1, 0, 0] = 1, 2
    made = made if isinstance(masks, str) else masks
    return Split("train", "image", x, torch.arange(n) % 2, ("a", "b"), tuple(f"i{k}" for k in range(n)), masks=made)


# --- on a split


def test_masks_go_with_their_images():
    split = small()
    assert torch.equal(split[[1, 0]].masks, split.masks[[1, 0]])
    assert split[1].masks.shape == (1, 8, 6) and split[[]].masks.shape == (0, 8, 6)
    assert split.shots(1).masks.shape == (2, 8, 6) and small(None)[0].masks is None


def test_a_pixel_that_changes_its_class_changes_the_fingerprint():
    split, moved = small(), small()
    assert split.fingerprint == copy.deepcopy(split).fingerprint
    moved.masks[2, 7, 5] = 1
    assert len({split.fingerprint, moved.fingerprint, small(None).fingerprint}) == 3


def test_masks_that_someone_painted_on_are_loaded_anew():
    data = load_dataset("tissue-masks")
    before = data.valid.masks.clone()
    data.valid.masks.zero_()
    assert torch.equal(load_dataset("tissue-masks").valid.masks, before)


@pytest.mark.parametrize(
    ("masks", "words"),
    [
        (torch.zeros(3, 6, 8, dtype=torch.uint8), "3 images of 6x8 pixels, and 3 masks of 8x6"),
        (torch.zeros(3, 4, 3, dtype=torch.uint8), "3 masks of 3x4.*nearest pixel"),
        (torch.zeros(2, 8, 6, dtype=torch.uint8), "3 images .* and 2 masks"),
        (torch.zeros(3, 1, 8, 6, dtype=torch.uint8), r"\[3, 1, 8, 6\]"),
        (torch.zeros(3, 8, 6), "torch.float32"),
        (torch.zeros(3, 8, 6, dtype=torch.bool), "torch.bool"),
        (np.zeros((3, 8, 6), np.uint8), "ndarray"),
    ],
)
def test_masks_that_do_not_fit_are_told(masks, words):
    with pytest.raises(CourseError, match=f"(?s){words}"):
        replace(small(None), masks=masks)


def test_texts_have_no_masks():
    with pytest.raises(CourseError, match="Only images have masks"):
        Split("t", "text", ("a",), torch.tensor([0]), ("x",), ("1",), masks=torch.zeros(1, 2, 2, dtype=torch.uint8))


# --- the tissue


def test_windows_of_tissue_hold_the_mask_of_their_own_place():
    image, mask = tissue_mask()
    for split in load_dataset("tissue-masks").splits:
        left, right = COLUMNS[split.name]
        for name, x, m in zip(split.ids, split.x, split.masks, strict=True):
            at, top = map(int, name.split("/")[1].split(","))
            assert left <= at and at + WINDOW <= right
            assert torch.equal(x, image[:, top : top + WINDOW, at : at + WINDOW])
            assert torch.equal(m.bool(), mask[top : top + WINDOW, at : at + WINDOW])
        assert set(split.masks.unique().tolist()) == {0, 1}


# --- the coins


@pytest.fixture(scope="module")
def heaps():
    return load_dataset("coin-heaps")


def test_the_photograph_has_its_24_coins_and_the_splits_share_none():
    photo = coins()
    sides = [set(photo.sides[name]) for name in ("train", "valid", "test")]
    assert [len(side) for side in sides] == [8, 4, 12] and set.union(*sides) == set(range(1, 25))
    middle = {i: np.nonzero(photo.numbers == i)[1].mean() for i in range(1, 25)}
    assert max(middle[i] for i in sides[0] | sides[1]) < min(middle[i] for i in sides[2])
    for i in range(1, 25):
        mine = photo.numbers == i
        assert 900 < mine.sum() < 3500 and photo.image[mine].mean() > photo.ground[mine].mean() + 30


def test_each_scene_has_as_many_coins_as_its_class_says(heaps):
    for split in heaps.splits:
        assert set(split.counts().values()) == {COUNTS[split.name]}
        for mask, y in zip(split.masks, split.y.tolist(), strict=True):
            assert mask.unique().tolist() == list(range(COINS[y] + 1)), "a coin is hidden, or missing"
            assert mask.flatten().bincount()[1:].min() > 100
            assert not mask[:EDGE].any() and not mask[-EDGE:].any() and not mask[:, :EDGE].any()


def test_coins_of_a_scene_touch_but_are_whole(heaps):
    from skimage.measure import label

    split, joined = heaps.test, 0
    for mask in split.masks.numpy():
        parts = label(np.pad(mask > 0, 1), connectivity=2).max()
        joined += parts < mask.max()
        for number in range(1, mask.max() + 1):
            pieces = np.bincount(label(mask == number).ravel())[1:]
            assert pieces.max() > 0.9 * pieces.sum(), "a coin is in two pieces"
    assert joined > 0.95 * len(split)


def test_coins_are_brighter_than_the_ground_around_them(heaps):
    for split in heaps.splits:
        there = split.masks > 0
        x = split.x[:, 0].float()
        assert x[there].mean() > x[~there].mean() + 40


def test_ids_name_coins_of_the_right_side(heaps):
    for split in heaps.splits:
        used = {int(i) for name in split.ids for i in name.split(": ")[1].split(", ")}
        assert used == set(coins().sides[split.name])


def test_a_seed_makes_other_scenes_of_the_same_coins(heaps):
    other = load_dataset("coin-heaps", seed=1)
    assert other.test.fingerprint != heaps.test.fingerprint and len(other.test) == len(heaps.test)
    assert load_dataset("coin-heaps", seed=0) is heaps
    with pytest.raises(CourseError, match="seed=-1"):
        load_dataset("coin-heaps", seed=-1)


def test_the_real_side_has_the_twelve_coins_of_the_test_scenes_and_no_other():
    real = real_coins()
    assert real.masks.unique().tolist() == list(range(13)) and len(real) == 1
    x, there = real.x[0, 0].float(), real.masks[0] > 0
    assert x[there].mean() > 120
    bright = (x > 130) & ~there  # rims aside, nothing as bright as a coin is left outside the masks
    near = torch.nn.functional.max_pool2d(there.float()[None], 7, 1, 3)[0] > 0
    assert (bright & ~near).float().mean() < 0.001
    with pytest.raises(UnknownName, match="right"):
        real_coins("left")


# --- drawn


def test_a_figure_of_masks_tells_shares_and_agreement():
    mask, guess = np.zeros((1, 8, 8), int), np.zeros((1, 8, 8), int)
    mask[0, :4], guess[0, :2] = 1, 1
    alt = plots.masks(np.zeros((1, 1, 8, 8), "uint8"), mask, guess, classes=("ground", "sky")).alt
    assert "sky 50 % and sky 25 %" in alt and "(IoU) by 0.50" in alt
    both = plots.masks(np.zeros((1, 1, 8, 8), "uint8"), mask * 0, mask * 0, classes=("ground", "sky")).alt
    assert "ground only and ground only" in both and "IoU" not in both


def test_a_figure_of_objects_counts_them_from_the_left():
    mask = np.zeros((1, 8, 8), int)
    mask[0, 2:4, 5:8], mask[0, 2:4, 0:3] = 1, 9
    plot = plots.masks(np.zeros((1, 3, 8, 8), "uint8"), mask, mask * 0, objects=True)
    assert "Objects, true and predicted: 2 and 0." in plot.alt
    texts = [(t.get_text(), t.get_position()[0]) for ax in plot.figure.axes for t in ax.texts if t.get_text() in "12"]
    assert [name for name, x in sorted(texts, key=lambda pair: pair[1]) if name] == ["1", "2"]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x: plots.masks(x), "names of the classes"),
        (lambda x: plots.masks(x, objects=True), "no masks to draw"),
        (lambda x: plots.masks(x, np.zeros((2, 8, 8), int), objects=True), "1 images, and true masks of 2"),
        (lambda x: plots.masks(x, np.zeros((1, 4, 4), int), objects=True), "4x4 pixels, its image 8x8"),
        (lambda x: plots.masks(x, np.zeros((8, 8), int), objects=True), r"mask\[None\]"),
        (lambda x: plots.masks(x, np.zeros((1, 8, 8)), objects=True), "argmax"),
        (lambda x: plots.masks(x, np.full((1, 8, 8), 255), classes=("a", "b")), "there are 2 classes.*objects=True"),
        (lambda x: plots.masks(x, np.full((1, 8, 8), -1), objects=True), "-1"),
        (lambda x: plots.masks(load_dataset("sentiment").test), "texts, not images"),
    ],
)
def test_masks_that_cannot_be_drawn_are_told(call, words):
    with pytest.raises(CourseError, match=f"(?s){words}"):
        call(np.zeros((1, 1, 8, 8), "uint8"))
