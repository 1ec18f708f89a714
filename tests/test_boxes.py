"""Boxes: on splits, on the scenes with digits, compared with one another, and drawn."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tlcourse import CourseError, box_iou, load_dataset, plots
from tlcourse.datasets import Split
from tlcourse.datasets.scenes import around

NAN = float("nan")


def small(boxes=((0, 0, 4, 4), (1, 2, 3, 8), (NAN,) * 4), n=3):
    x = torch.zeros(n, 1, 8, 6, dtype=torch.uint8)
    boxes = None if boxes is None else torch.tensor(boxes, dtype=torch.float32)
    return Split("train", "image", x, torch.arange(n) % 2, ("a", "b"), tuple(f"i{k}" for k in range(n)), boxes=boxes)


# --- on a split


def test_boxes_go_with_their_images():
    split = small()
    assert split[[1, 0]].boxes.tolist() == [[1, 2, 3, 8], [0, 0, 4, 4]]
    assert split[1].boxes.shape == (1, 4) and split[[]].boxes.shape == (0, 4)
    assert split.shots(1).boxes.shape == (2, 4) and split[2:].boxes.isnan().all()
    assert small(None)[0].boxes is None


def test_a_box_that_moves_changes_the_fingerprint():
    split, moved = small(), small()
    assert split.fingerprint == copy.deepcopy(split).fingerprint
    moved.boxes[0, 0] = 1
    assert len({split.fingerprint, moved.fingerprint, small(None).fingerprint}) == 3


def test_data_without_boxes_keep_the_fingerprint_that_kept_features_have():
    split = Split("train", "text", ("Good.", "Bad."), torch.tensor([1, 0]), ("no", "yes"), ("a", "b"))
    assert split.boxes is None and split[0].boxes is None
    assert split.fingerprint == "03996f6a43a8bddb1c6b892d8bce9150448a8d7833745143f58e74dcfcbf3b17"


@pytest.mark.parametrize(
    ("boxes", "words"),
    [
        (torch.zeros(2, 4), r"3 images, and boxes= is \[2, 4\]"),
        (torch.zeros(3, 2, 2), r"\[3, 2, 2\]"),
        (torch.zeros(3, 4, dtype=torch.int64), "torch.int64"),
        ([[0, 0, 1, 1]] * 3, "list"),
        (torch.tensor([[0, 0, 4.0, 4], [3, 0, 1, 4], [0, 0, 1, 1]]), "The box of image 1 .*Left must be smaller"),
        (torch.tensor([[0, 0, 4.0, 4], [0, 0, 1, 1], [0, 0, 7, 8]]), "The box of image 2 .*6x8 pixels"),
        (torch.tensor([[-1, 0, 4.0, 4], [0, 0, 1, 1], [0, 0, 1, 1]]), "The box of image 0"),
        (torch.tensor([[0, 0, 4.0, 4], [0, 0, 1, NAN], [0, 0, 1, 1]]), "The box of image 1 .*four times NaN"),
        (torch.tensor([[0, 0, 4.0, 4], [0, 0, 1, 1], [0, 0, float("inf"), 1]]), "The box of image 2"),
        (torch.tensor([[2, 2, 2.0, 4], [0, 0, 1, 1], [0, 0, 1, 1]]), "The box of image 0"),
    ],
)
def test_boxes_that_are_none_are_told(boxes, words):
    with pytest.raises(CourseError, match=f"(?s){words}"):
        replace(small(None), boxes=boxes)


def test_texts_have_no_boxes():
    with pytest.raises(CourseError, match="Only images have boxes"):
        Split("t", "text", ("a",), torch.tensor([0]), ("x",), ("1",), boxes=torch.zeros(1, 4))


# --- the scenes


@pytest.fixture(scope="module")
def scenes():
    return load_dataset("digit-scenes")


def test_scenes_have_one_box_each_inside_the_picture(scenes):
    for split, n in zip(scenes.splits, (1000, 200, 500), strict=True):
        assert split.x.shape == (n, 1, 96, 96) and set(split.counts().values()) == {n // 10}
        size = split.boxes[:, 2:] - split.boxes[:, :2]
        assert split.boxes.min() >= 0 and split.boxes.max() <= 96 and size.min() >= 2
        assert 15 < size[:, 0].mean() < 30 < size[:, 1].mean() + 5 < 45


def test_the_box_holds_what_was_drawn_on_the_surface(scenes):
    """The surface that the id names, taken away again: what is left is ink, and the box lies tightly around it."""
    grounds = load_dataset("surfaces").test
    for i in range(0, 500, 9):
        ground = grounds.x[grounds.ids.index(scenes.test.ids[i].split(" on ")[1]), 0].numpy()
        under = np.asarray(Image.fromarray(ground).resize((96, 96), Image.Resampling.BILINEAR)).astype(float)
        drawn = scenes.test.x[i, 0].numpy() - under
        colour = 255 if drawn.sum() > 0 else 0
        ink = drawn / np.where(colour == under, 1e9, colour - under)  # where the ground has the ink's colour: unknown
        left, top, right, bottom = scenes.test.boxes[i].int().tolist()
        outside = np.ones((96, 96), bool)
        outside[top:bottom, left:right] = False
        assert ink[outside].max() < 0.56 and 0.15 < (ink[~outside] > 0.5).mean() < 0.95
        for edge in (
            ink[top, left:right],
            ink[bottom - 1, left:right],
            ink[top:bottom, left],
            ink[top:bottom, right - 1],
        ):
            assert edge.max() > 0.44


def test_a_box_is_tight_and_made_of_the_ink():
    mask = np.zeros((10, 12), bool)
    mask[3:5, 2], mask[4, 2:9] = True, True
    assert around(mask) == (2, 3, 9, 5)


def test_splits_of_scenes_share_no_digit_and_no_surface(scenes):
    digits = [{name.split(" on ")[0] for name in split.ids} for split in scenes.splits]
    grounds = [{name.split(" on ")[1] for name in split.ids} for split in scenes.splits]
    for parts in (digits, grounds):
        assert not (parts[0] & parts[1] or parts[0] & parts[2] or parts[1] & parts[2])
    for split, found in zip(scenes.splits, grounds, strict=True):
        assert {name.split("/")[1] for name in found} == {split.name}
    assert len(digits[0]) == 1000, "a digit is used twice"


def test_the_surface_and_the_place_do_not_tell_the_digit(scenes):
    kinds = np.array([name.split(" on ")[1].split("/")[0] for name in scenes.train.ids])
    for kind in np.unique(kinds):
        counts = np.bincount(scenes.train.y[torch.from_numpy(kinds == kind)], minlength=10)
        assert counts.max() < 0.35 * counts.sum(), kind
    middle = (scenes.train.boxes[:, :2] + scenes.train.boxes[:, 2:]) / 2
    for digit in range(10):
        assert (middle[scenes.train.y == digit].mean(0) - middle.mean(0)).abs().max() < 6


def test_another_seed_makes_other_scenes_of_the_same_parts(scenes):
    other = load_dataset("digit-scenes", seed=1)
    assert load_dataset("digit-scenes") is load_dataset("digit-scenes", seed=0)
    assert other.train.fingerprint != scenes.train.fingerprint
    assert not {n.split(" on ")[0] for n in other.train.ids} & {n.split(" on ")[0] for n in scenes.test.ids}


@pytest.mark.parametrize("seed", [-1, "one", None, 1.5])
def test_a_seed_that_is_none_is_told(seed):
    with pytest.raises(CourseError, match="seed"):
        load_dataset("digit-scenes", seed=seed)


def test_boxes_that_were_painted_over_are_not_handed_out_again(scenes):
    before = scenes.valid.boxes[0].clone()
    scenes.valid.boxes[0, 0] += 1
    assert torch.equal(load_dataset("digit-scenes").valid.boxes[0], before)
    scenes.valid.boxes[0] = before


# --- how well two boxes agree


def brute(one, other, side=24):
    masks = np.zeros((2, side, side), bool)
    for mask, (left, top, right, bottom) in zip(masks, (one, other), strict=True):
        mask[top:bottom, left:right] = True
    return masks.all(0).sum() / masks.any(0).sum()


corners = st.lists(st.integers(0, 23), min_size=4, max_size=4).map(
    lambda v: (min(v[0], v[2]), min(v[1], v[3]), max(v[0], v[2]) + 1, max(v[1], v[3]) + 1)
)


@settings(max_examples=60, deadline=None)
@given(corners, corners)
def test_iou_counts_pixels_and_is_symmetric(one, other):
    a, b = torch.tensor([one]), torch.tensor([other])
    assert box_iou(a, b).item() == pytest.approx(brute(one, other), abs=1e-6)
    assert torch.equal(box_iou(a, b), box_iou(b, a)) and box_iou(a, a).item() == 1
    assert box_iou(a / 96, b / 96).item() == pytest.approx(box_iou(a, b).item(), abs=1e-5), "no unit"


def test_iou_of_boxes_that_are_hardly_boxes():
    turned, none, box = [4.0, 4, 1, 1], [2.0, 2, 2, 2], [0.0, 0, 4, 4]
    assert box_iou(torch.tensor([turned, none, none]), torch.tensor([box, box, none])).tolist() == [0, 0, 0]
    assert box_iou(torch.tensor([[NAN] * 4]), torch.tensor([box])).isnan().all()
    assert box_iou(torch.zeros(0, 4), torch.zeros(0, 4)).shape == (0,)


@pytest.mark.parametrize(("a", "b"), [((2, 4), (3, 4)), ((4,), (4,)), ((2, 3), (2, 3)), ((2, 1, 4), (2, 1, 4))])
def test_boxes_of_other_shapes_cannot_be_compared(a, b):
    with pytest.raises(CourseError, match="need the same shape"):
        box_iou(torch.zeros(a), torch.zeros(b))


# --- drawn


def frames(plot, i=0):
    return [(p.get_xy(), p.get_width(), p.get_height(), p.get_linestyle()) for p in plot.figure.axes[i].patches][1::2]


def test_true_boxes_are_solid_and_predicted_ones_dashed_at_their_places():
    plot = plots.boxes(small()[:2], predicted=[[0, 0, 4, 8], [1, 2, 3, 8]])
    (true, guess), (_, _) = frames(plot, 0), frames(plot, 1)
    assert true[:3] == ((-0.5, -0.5), 4, 4) and guess[:3] == ((-0.5, -0.5), 4, 8)
    assert true[3] in ("-", "solid") and guess[3] not in ("-", "solid")
    assert "They agree (IoU) by 0.75 on average, from 0.50 to 1.00." in plot.alt
    assert "Solid: true boxes, dashed: predicted ones." in plot.alt and plot.alt.endswith("In reading order: a, b.")


def test_names_are_marked_beside_boxes():
    plot = plots.boxes(small()[:2], predictions=[0, 0])
    assert "1 of 2 predictions of the class are right." in plot.alt and "✓ a, ✗ a is b." in plot.alt


def test_several_boxes_an_image_and_none():
    several = [torch.tensor([[0.0, 0, 2, 2], [3, 3, 5, 5]]), torch.zeros(0, 4), [NAN] * 4]
    plot = plots.boxes(torch.zeros(3, 3, 8, 6, dtype=torch.uint8), several)
    assert [len(frames(plot, i)) for i in range(3)] == [2, 0, 0]
    assert "There are 2 true boxes." in plot.alt and "IoU" not in plot.alt


def test_only_the_first_images_are_drawn_and_told():
    plot = plots.boxes(torch.zeros(30, 1, 8, 6, dtype=torch.uint8), torch.tensor([[0.0, 0, 3, 3]] * 30), limit=5)
    assert len(plot.figure.axes) == 5 and plot.alt.startswith("5 images of 30, 6 by 8 pixels.")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "no boxes to draw"),
        ({"true": [[0, 0, 1]] * 2}, "four numbers each"),
        ({"true": [[0, 0, 5, 5]]}, "2 images, and true boxes of 1"),
        ({"predicted": torch.full((2, 4), 0.5)}, "shares of the image's width"),
        ({"true": [[0, 0, 5, 5]] * 2, "predictions": [0, 1]}, "beside the true labels"),
        ({"true": [[0, 0, 5, 5]] * 2, "labels": [0], "classes": ["a"]}, "do not belong together"),
    ],
)
def test_boxes_that_cannot_be_drawn_are_told(arguments, words):
    with pytest.raises(CourseError, match=words):
        plots.boxes(torch.zeros(2, 1, 8, 6, dtype=torch.uint8), **arguments)


def test_boxes_are_not_drawn_on_texts():
    with pytest.raises(CourseError, match="holds texts"):
        plots.boxes(load_dataset("sentiment").valid[:2])
