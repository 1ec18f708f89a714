"""Chapter 02's exercises take every right answer, and their material shows what it is about."""

from __future__ import annotations

import pytest
import torch

from tlcourse.exercises import exercise
from tlcourse.exercises.judges_02_gradient import material

SIGNATURES = {
    "02.1": "mixed_loss(source_scores, source_y, target_scores, target_y, weight)",
    "02.2": "step(theta, velocity, slope, lr, momentum)",
    "02.3": "largest_gap(loss, slopes, W)",
}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path))
    return tmp_path


def check(name, *lines, start="import torch\nfrom torch import nn\nfrom torch.nn import functional as F\n"):
    cell = {}
    exec(f"{start}def {SIGNATURES[name]}:\n" + "".join(f"    {line}\n" for line in lines), cell)
    return exercise(name).check(cell[exercise(name).answers[0]])


@pytest.mark.parametrize(
    "lines",
    [
        # by hand
        [
            "def loss(z, y): return (z.logsumexp(1) - z[torch.arange(len(y)), y]).mean()",
            "return weight * loss(source_scores, source_y) + (1 - weight) * loss(target_scores, target_y)",
        ],
        # one mean over items with weights of their own
        [
            "n, m = len(source_y), len(target_y)",
            "each = F.cross_entropy(torch.cat([source_scores, target_scores]), torch.cat([source_y, target_y]), "
            'reduction="none")',
            "share = torch.cat([torch.full((n,), weight / n), torch.full((m,), (1 - weight) / m)])",
            "return (each * share).sum()",
        ],
        # log-softmax and nll, and the average in the form of lerp; one number in a tensor with an axis
        [
            "a = F.nll_loss(source_scores.log_softmax(1), source_y)",
            "b = nn.CrossEntropyLoss()(target_scores, target_y)",
            "return torch.lerp(b, a, weight)[None]",
        ],
    ],
)
def test_other_ways_to_mix_are_right(lines):
    reply = check("02.1", *lines)
    assert reply.state == "right", reply


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["return 0.5"], "your loss is 0.5000"),
        (["return torch.tensor(float('nan'))"], "no number at all"),
        (["return 'small'"], "a str"),
        (["return F.cross_entropy(source_scores, source_y) + 0 * weight * target_scores.sum()"], "your loss is"),
        (["return (1 - weight) * F.cross_entropy(target_scores, target_y)"], "your loss is"),
        (
            [
                "with torch.no_grad():",
                "    a, b = F.cross_entropy(source_scores, source_y), F.cross_entropy(target_scores, target_y)",
                "    return weight * a + (1 - weight) * b",
            ],
            "lost its gradient",
        ),
        (
            [
                "a, b = F.cross_entropy(source_scores, source_y), F.cross_entropy(target_scores, target_y)",
                "weight = min(max(weight, 0.1), 0.9)",
                "return weight * a + (1 - weight) * b",
            ],
            "should not count at all",
        ),
    ],
)
def test_odd_losses_are_told(lines, words):
    reply = check("02.1", *lines)
    assert reply.state == "not yet" and words in reply.text, reply


@pytest.mark.parametrize(
    "lines",
    [
        # the velocity in steps instead of slopes
        ["velocity = momentum * velocity - lr * slope", "return [theta + velocity, velocity]"],
        # in place
        ["velocity.mul_(momentum).add_(slope)", "theta.sub_(velocity, alpha=lr)", "return theta, velocity"],
    ],
)
def test_other_ways_to_step_are_right(lines):
    reply = check("02.2", *lines)
    assert reply.state == "right", reply


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["return theta, velocity, slope"], "Return two things"),
        (["return theta.sum(), velocity"], "`theta` should be a tensor"),
        (["return theta, 3.0"], "`velocity` should be a tensor"),
        (["return theta - 2 * lr * slope, velocity"], "very first step"),
        (
            ["velocity = momentum**2 * velocity + slope", "return theta - lr * velocity, velocity"],
            "later ones are not",
        ),
        (["velocity = 0.9 * velocity + slope", "return theta - lr * velocity, velocity"], "later ones are not"),
    ],
)
def test_odd_steps_are_told(lines, words):
    reply = check("02.2", *lines)
    assert reply.state == "not yet" and words in reply.text, reply


@pytest.mark.parametrize(
    "lines",
    [
        # in place, and put back
        [
            "found, h, flat = [], 1e-6, W.view(-1)",
            "for i in range(len(flat)):",
            "    kept = flat[i].item()",
            "    flat[i] = kept + h",
            "    high = loss(W)",
            "    flat[i] = kept - h",
            "    found.append((high - loss(W)) / (2 * h))",
            "    flat[i] = kept",
            "return (torch.stack(found).view_as(W) - slopes).abs().max()",
        ],
        # unit vectors
        [
            "unit = torch.eye(W.numel(), dtype=W.dtype) * 1e-5",
            "gaps = [(loss(W + e.view_as(W)) - loss(W - e.view_as(W))) / 2e-5 - (e.view_as(W) * slopes).sum() * 1e5 "
            "for e in unit]",
            "return max(abs(gap.item()) for gap in gaps)",
        ],
        # one side, but so near that nobody can tell
        [
            "h, here = 1e-8, loss(W)",
            "unit = torch.eye(W.numel(), dtype=W.dtype) * h",
            "return max(abs((loss(W + e.view_as(W)) - here) / h - s) for e, s in zip(unit, slopes.flatten()))",
        ],
    ],
)
def test_other_ways_to_measure_are_right(lines):
    reply = check("02.3", *lines)
    assert reply.state == "right", reply


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["loss(W)", "return 0.0"], "the last entry was not seen"),
        (["return [loss(W)]"], "one number"),
        (["return 'fine'"], "A number is wanted"),
        (["loss(W)", "return 1.0"], "No weight was nudged"),
        (["slopes += 1", "return abs(loss(W))"], "changed the slopes"),
    ],
)
def test_odd_measures_are_told(lines, words):
    reply = check("02.3", *lines)
    assert reply.state == "not yet" and words in reply.text, reply


def test_the_material_has_the_mistake_that_the_solution_names():
    loss, slopes, W = material()
    (right,) = torch.autograd.grad(loss(W.requires_grad_()), W)
    assert torch.allclose(slopes, 6 * right)
    assert torch.equal(slopes, exercise("02.3").material()[1])
    cell = {}
    exec(exercise("02.3").code, cell)
    gap = cell["largest_gap"](loss, slopes, W.detach())
    assert gap == pytest.approx(float((slopes - right).abs().max()), abs=1e-6)
