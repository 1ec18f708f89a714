"""Figures of boxes, masks and attention: bad input is told in words."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tlcourse import CourseError, plots
from tlcourse.detection import Found

X = torch.zeros(3, 3, 8, 8, dtype=torch.uint8)
MASKS = np.zeros((3, 8, 8), int)
BOXES = [[0, 0, 4, 4]] * 3
WEIGHTS = [[0.9, 0.1], [0.2, 0.8]]


@pytest.mark.parametrize("draw", [lambda x, **k: plots.boxes(x, BOXES, **k),
                                  lambda x, **k: plots.masks(x, MASKS, objects=True, **k)])  # fmt: skip
@pytest.mark.parametrize(
    ("x", "more", "words"),
    [
        (None, {}, "not a NoneType"),
        ("abc", {}, "not a str"),
        (X, {"columns": "a"}, "columns='a'"),
        (X, {"limit": "a"}, "limit='a'"),
        (X, {"limit": -1}, "limit=-1"),
    ],
)
def test_what_is_no_picture_is_told(draw, x, more, words):
    with pytest.raises(CourseError, match=words):
        draw(x, **more)


@pytest.mark.parametrize(
    ("boxes", "words"),
    [
        ("abc", "are a str"),
        (3, "are a int"),
        (torch.tensor(3.0), "are a Tensor"),
        (["a", "b", "c"], "image 0 are not numbers"),
        ([[], [[0, 0, 4, 4], [1, 2]], []], "image 1 are not numbers"),
        ([[], [[0, 0, float("inf"), 4]], []], "image 1 is infinite"),
    ],
)
@pytest.mark.parametrize("what", ["true", "predicted"])
def test_boxes_that_are_no_numbers_are_told(what, boxes, words):
    with pytest.raises(CourseError, match=words):
        plots.boxes(X, **{what: boxes})


@pytest.mark.parametrize("box", [[4, 4, 0, 0], [5, 5, 2, 2], [20, 20, 30, 30], [-9, -9, -2, -2]])
def test_true_boxes_that_cannot_be_seen_are_told(box):
    with pytest.raises(CourseError, match=r"true box of image 1 .* 8x8 pixels"):
        plots.boxes(X, [BOXES[0], box, BOXES[0]])
    assert plots.boxes(X, BOXES, [box] * 3).alt, "a network may well predict such a box"


def test_what_a_detector_found_is_drawn_as_it_is():
    nothing = Found(torch.zeros(0, 4), torch.zeros(0))
    two = Found(torch.tensor([[0.0, 0, 4, 4], [1, 1, 5, 5]]), torch.tensor([0.9, 0.2]))
    found = [two, nothing, nothing]
    assert "2 predicted" in plots.boxes(X, BOXES, found).alt


@pytest.mark.parametrize(
    ("weights", "source", "written", "words"),
    [
        (WEIGHTS, "ab", ["c", "d"], "source= is a list of words, not a str"),
        (WEIGHTS, ["a", "b"], "cd", "written= is a list of words"),
        (WEIGHTS, None, ["c", "d"], "not a NoneType"),
        ([["a", "b"], ["c", "d"]], ["a", "b"], ["c", "d"], "weights are no numbers"),
        ({"a": 1}, ["a"], ["b"], "weights are no numbers"),
    ],
)
def test_attention_of_nothing_is_told(weights, source, written, words):
    with pytest.raises(CourseError, match=words):
        plots.attention(weights, source, written)


def test_no_title_is_no_title():
    assert plots.attention(WEIGHTS, ["a", "b"], ["c", "d"], title=None).alt.startswith("2 pieces")
