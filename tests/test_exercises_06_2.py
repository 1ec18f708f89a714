"""Chapter 06-2's exercises take every right answer, and tell odd ones what they are."""

from __future__ import annotations

import pytest
import torch

from tlcourse.exercises import exercise, progress

SIGNATURES = {
    "06-2.1": "decode(points, distances, stride, size)",
    "06-2.2": "suppress(boxes, scores, overlap)",
    "06-2.3": "precision_area(hits, objects)",
}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path))


def check(name, *lines):
    cell, start = {}, "import torch\nfrom torchvision.ops import batched_nms, box_iou, clip_boxes_to_image, nms\n"
    exec(f"{start}def {SIGNATURES[name]}:\n" + "".join(f"    {line}\n" for line in lines), cell)
    return exercise(name).check(cell[exercise(name).answers[0]])


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        (
            "06-2.1",
            [
                "(x, y), (l, t, r, b) = points.T, (distances * stride).T",
                "return clip_boxes_to_image(torch.stack([x - l, y - t, x + r, y + b], 1), (size, size))",
            ],
        ),
        (
            "06-2.1",
            [
                "signs = torch.tensor([-1, -1, 1, 1])",
                "return (points.repeat(1, 2) + signs * stride * distances).clip(0, size)",
            ],
        ),
        ("06-2.2", ["return nms(boxes, scores, overlap)"]),
        ("06-2.2", ["return batched_nms(boxes, scores, torch.zeros(len(boxes), dtype=torch.int64), overlap).tolist()"]),
        (
            "06-2.2",
            [
                "left, stay = scores.argsort(descending=True), []",
                "while len(left):",
                "    stay.append(left[0])",
                "    left = left[1:][box_iou(boxes[left[:1]], boxes[left[1:]])[0] <= overlap]",
                "return stay",
            ],
        ),
        (
            "06-2.3",
            [
                "total, found, best = 0.0, int(hits.sum()), 0.0",
                "for place in range(len(hits), 0, -1):",
                "    best = max(best, found / place)",
                "    if hits[place - 1]: total, found = total + best, found - 1",
                "return total / objects",
            ],
        ),
    ],
)
def test_other_right_answers_are_right(name, lines):
    reply = check(name, *lines)
    assert reply.state == "right", reply


@pytest.mark.parametrize(
    ("name", "lines", "words"),
    [
        ("06-2.1", ["return 'boxes'"], "not a str"),
        ("06-2.1", ["x = points * 2", "return None"], "returns nothing"),
        ("06-2.1", ["return torch.full((4, 4), 7.0)"], "the box should be"),
        ("06-2.2", ["return 3"], "Return *places*"),
        ("06-2.2", ["return [99]"], "whole numbers from 0"),
        ("06-2.2", ["return [0]"], "should stay"),
        ("06-2.2", ["return scores"], "not boxes, scores or a mask"),
        (
            "06-2.2",
            [
                "from tlcourse import box_iou as iou",
                "return [i for i in range(len(boxes)) if iou(boxes[i], boxes) > 0]",
            ],
            "compares box by box",
        ),
        ("06-2.2", ["return boxes[:, 0].tolist() + boxes[0, 0, 0]"], "too many indices"),
        ("06-2.3", ["return [1, 2]"], "in the shape []"),
        ("06-2.3", ["return 7.0"], "it should be"),
    ],
)
def test_odd_answers_are_told(name, lines, words):
    reply = check(name, *lines)
    assert reply.state == "not yet" and words in reply.text, reply


@pytest.mark.parametrize("name", list(SIGNATURES))
def test_an_answer_that_stops_is_told_with_its_line(name):
    reply = check(name, "x = 1", "return undefined")
    assert reply.state == "error" and "NameError" in reply.text and "Line 5" in reply.text, reply


def test_the_material_is_what_the_tasks_say():
    points, distances = exercise("06-2.1").material()
    assert points.shape == (4, 2) and distances.shape == (4, 4) and distances.min() > 0
    boxes, scores = exercise("06-2.2").material()
    assert boxes.shape == (len(scores), 4)
    hits, objects = exercise("06-2.3").material()
    assert hits.dtype == torch.bool and hits.sum() < objects


def test_progress_tells_of_this_notebook_alone():
    assert progress("06-2").to_frame().index.tolist() == ["06-2.1", "06-2.2", "06-2.3", "06-2.a", "06-2.b"]
