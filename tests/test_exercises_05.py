"""Chapter 05's exercises take every right answer, and tell odd ones what they are."""

from __future__ import annotations

import pytest
import torch

from tlcourse.exercises import exercise


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path))
    return tmp_path


def check(name, *lines, start="import torch\nfrom torch.nn import functional as F\n"):
    signatures = {"05.1": "task_loss(outputs, y, boxes)", "05.2": "weighted(losses, s)", "05.3": "surgery(a, b)"}
    cell = {}
    exec(f"{start}def {signatures[name]}:\n" + "".join(f"    {line}\n" for line in lines), cell)
    return exercise(name).check(cell[exercise(name).answers[0]])


@pytest.mark.parametrize(
    "lines",
    [
        # ignore_index leaves the others out, and its mean is over those that count
        [
            "framed = boxes.isfinite().all(1)",
            "digit = F.cross_entropy(outputs['digit'], y, ignore_index=-1) if (y >= 0).any() else 0",
            "box = (outputs['box'] - boxes)[framed].square().mean() if framed.any() else 0",
            "return digit + box",
        ],
        # sums divided by counts; NaN replaced before anything is computed with it
        [
            "named, framed = (y >= 0).float(), (~boxes.isnan().any(1)).float()",
            "digit = F.cross_entropy(outputs['digit'], y.clamp(min=0), reduction='none')",
            "square = ((outputs['box'] - boxes.nan_to_num(0.0)) ** 2).mean(1)",
            "digit = (digit * named).sum() / named.sum().clamp(min=1)",
            "return digit + (square * framed).sum() / framed.sum().clamp(min=1)",
        ],
        # item by item
        [
            "digit = [F.cross_entropy(o[None], t[None]) for o, t in zip(outputs['digit'], y) if t >= 0]",
            "box = [F.mse_loss(o, t) for o, t in zip(outputs['box'], boxes) if not t.isnan().any()]",
            "return sum(torch.stack(part).mean() for part in (digit, box) if part)",
        ],
        # the mean of nothing, made nought
        [
            "named, framed = y != -1, boxes[:, 0] == boxes[:, 0]",
            "digit = F.cross_entropy(outputs['digit'][named], y[named], reduction='sum') / max(1, int(named.sum()))",
            "box = F.mse_loss(outputs['box'][framed], boxes[framed], reduction='sum') / max(1, 4 * int(framed.sum()))",
            "return digit + box",
        ],
    ],
)
def test_other_losses_with_missing_labels_are_right(lines):
    reply = check("05.1", *lines)
    assert reply.state == "right", reply


@pytest.mark.parametrize(
    "lines",
    [
        ["return sum(torch.exp(-a) * loss + 0.5 * a for loss, a in zip(losses, s))"],
        ["return losses @ (-s).exp() + s.mean() * len(s) / 2"],
        ["sigma = (s / 2).exp()", "return (losses / sigma**2 + sigma.log()).sum()"],
        [
            "total = 0",
            "for i in range(len(s)):",
            "    total = total + losses[i] / s[i].exp() + s[i] / 2",
            "return total",
        ],
    ],
)
def test_other_ways_to_weigh_are_right(lines):
    reply = check("05.2", *lines)
    assert reply.state == "right", reply


@pytest.mark.parametrize(
    "lines",
    [
        ["dot = torch.dot(a, b).clamp(max=0)", "if dot == 0: return a + b",
         "return a - dot * b / b.norm() ** 2 + b - dot * a / a.norm() ** 2"],
        ["if F.cosine_similarity(a, b, dim=0) >= 0: return a + b",
         "u, v = a / a.norm(), b / b.norm()", "return a - (a @ v) * v + b - (b @ u) * u"],
        ["grads, out = [a, b], torch.zeros_like(a)", "for i, g in enumerate(grads):", "    g = g.clone()",
         "    other = grads[1 - i]", "    if g @ other < 0: g -= (g @ other) / (other @ other) * other",
         "    out += g", "return out"],
    ],
)  # fmt: skip
def test_other_surgeons_are_right(lines):
    reply = check("05.3", *lines)
    assert reply.state == "right", reply


@pytest.mark.parametrize(
    ("name", "lines", "words"),
    [
        ("05.1", ["return 'small'"], "one number as a tensor, not str"),
        ("05.1", ["return F.mse_loss(outputs['box'], boxes * 0)"], "the loss should be"),
        ("05.1", ["return outputs['digit'].sum() * 0 + 7"], "the loss should be"),
        ("05.2", ["return losses.sum()"], "equal weights"),
        ("05.2", ["return [1, 2]"], "not list"),
        ("05.2", ["return (s - s).sum() + 99"], "the result should be"),
        ("05.2", ["s.data += 1", "return losses.sum()"], "changed `s`"),
        ("05.3", ["return (a @ b)"], "One gradient of the shape"),
        ("05.3", ["return 3"], "not int"),
        ("05.3", ["return a * torch.nan"], "divide by zero"),
        (
            "05.1",  # the dict is changed, and NaN still gets into the gradient
            [
                "outputs['box'] = outputs['box'] * 1",
                "named, framed = y >= 0, ~boxes.isnan().any(1)",
                "loss = F.cross_entropy(outputs['digit'][named], y[named]) if named.any() else 0",
                "square = ((outputs['box'] - boxes) ** 2).mean(1)",
                "return loss + torch.where(framed, square, 0.0).sum() / framed.sum().clamp(min=1)",
            ],
            "its gradient is NaN",
        ),
        (
            "05.2",
            [
                "half = (losses + losses.detach()) / 2",
                "return ((-s).exp() * half + s / 2).sum()",
            ],
            "not its weight",
        ),
        ("05.2", ["loss = ((-s).exp() * losses + s / 2).sum()", "loss.backward()", "return loss"], "calls `backward`"),
        (
            "05.3",
            [
                "if a @ b > 0: return a + b",
                "return a - (a @ b) / (b @ b) * b + b - (a @ b) / (a @ a).clamp(min=1e-9) * a",
            ],
            "divide by zero",
        ),
        ("05.3", ["return (a + b).tolist()"], "not list"),
        ("05.3", ["return a"], "Only the first gradient is left"),
        ("05.3", ["return 2 * a + 5 * b"], "the result is their sum"),
        ("05.3", ["return a + b if a @ b >= 0 else 3 * a"], "the result should be"),
    ],
)
def test_odd_answers_are_told(name, lines, words):
    reply = check(name, *lines)
    assert reply.state == "not yet" and words.lower() in reply.text.lower(), reply


@pytest.mark.parametrize("name", ["05.1", "05.2", "05.3"])
def test_an_answer_that_stops_is_told_with_its_line(name):
    reply = check(name, "x = 1", "return undefined")
    assert reply.state == "error" and "NameError" in reply.text and "Line 5" in reply.text, reply


def test_the_material_is_what_the_tasks_say():
    outputs, y, boxes = exercise("05.1").material()
    assert {task: list(o.shape) for task, o in outputs.items()} == {"digit": [6, 10], "box": [6, 4]}
    assert 0 < int((y < 0).sum()) < 6 and 0 < int(boxes.isnan().any(1).sum()) < 6
    assert ((y >= 0) != ~boxes.isnan().any(1)).any(), "some scenes have one label only"
    assert exercise("05.1").material(missing="all boxes")[2].isnan().all()
    a, b = exercise("05.3").material()
    assert a @ b < 0 and torch.equal(a, exercise("05.3").material()[0])
