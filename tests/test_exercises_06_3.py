"""Chapter 06-3: other right answers, odd ones, and the material."""

from __future__ import annotations

import numpy as np
import pytest

from tlcourse.exercises import exercise

HEADS = {"06-3.1": "agreement(predicted, true)", "06-3.2": "soft_dice(logits, masks)",
         "06-3.3": "split_objects(foreground, depth)"}  # fmt: skip


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path))


def check(name, *lines):
    cell = {}
    start = "import torch, numpy as np\nfrom scipy import ndimage\nfrom skimage.segmentation import watershed\n"
    body = "".join(f"    {line}\n" for line in lines)
    exec(compile(f"{start}def {HEADS[name]}:\n{body}", "a cell", "exec"), cell)
    return exercise(name).check(cell[HEADS[name].split("(")[0]])


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("06-3.1", ["a, b = predicted.float(), true.float()", "both = (a * b).sum()", "s = a.sum() + b.sum()",
                    "return both / (s - both), 2 * both / s"]),
        ("06-3.1", ["both, s = (predicted & true).sum(), predicted.sum() + true.sum()", "iou = both / (s - both)",
                    "return torch.stack([iou, 2 * iou / (1 + iou)])"]),
        ("06-3.2", ["t = masks.float().flatten()", "p = torch.sigmoid(logits).flatten()",
                    "return 1 - (2 * p @ t + 1) / (p.sum() + t.sum() + 1)"]),
        ("06-3.2", ["p = 1 / (1 + (-logits).exp())", "q = (p[masks == 1]).sum()",
                    "return 1 - (2 * q + 1) / (p.sum() + masks.sum() + 1)"]),
        ("06-3.3", ["seeds, _ = ndimage.label(foreground & (depth > 0.5), np.ones((3, 3)))",
                    "return watershed(1 - depth, seeds, mask=foreground)"]),
        ("06-3.3", ["seeds = ndimage.label((depth * foreground) > 0.5)[0]",
                    "return 10 * watershed(-depth, seeds, mask=foreground)"]),
    ],
)  # fmt: skip
def test_other_ways_are_right(name, lines):
    reply = check(name, *lines)
    assert reply.state == "right", reply


@pytest.mark.parametrize(
    ("name", "lines", "words"),
    [
        ("06-3.1", ["return 'much', 'more'"], "two numbers"),
        ("06-3.1", ["x = 1", "if x > 2: return 3, 4"], "nothing"),
        ("06-3.1", ["return 7, 7"], "should be"),
        ("06-3.2", ["return 'small'"], "one number as a tensor, not str"),
        ("06-3.2", ["return logits.sum() * 0 + 7"], "should be"),
        ("06-3.2", ["return logits.sum() * torch.nan"], "no number"),
        ("06-3.3", ["return foreground[:4]"], "each pixel"),
        ("06-3.3", ["return depth"], "whole numbers"),
        ("06-3.3", ["return foreground.astype(int) * 0"], "no number"),
        ("06-3.3", ["return 1 - foreground.astype(int)"], "outside the foreground"),
    ],
)
def test_odd_answers_are_told(name, lines, words):
    reply = check(name, *lines)
    assert reply.state == "not yet" and words in reply.text, reply


@pytest.mark.parametrize("name", HEADS)
def test_an_answer_that_stops_is_told_with_its_line(name):
    reply = check(name, "x = 1", "return undefined")
    assert reply.state == "error" and "NameError" in reply.text and "Line 6" in reply.text, reply


def test_the_material_is_what_the_tasks_say():
    logits, masks = exercise("06-3.2").material()
    assert logits.shape == masks.shape and set(masks.unique().tolist()) == {0, 1} and not masks[2].any()
    foreground, depth = exercise("06-3.3").material()
    assert foreground.dtype == bool and depth.min() >= 0 and depth.max() <= 1
    assert ((depth > 0.5) & ~foreground).any() and np.array_equal(depth, exercise("06-3.3").material()[1])
