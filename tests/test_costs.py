"""`cost`: seconds and memory of a choice, before anything is trained; nothing moves by it."""

from __future__ import annotations

import time
from dataclasses import dataclass

import pytest
import torch
from small_nets import Scale, image_net, images, text_net, texts
from torch import nn

from tlcourse import CourseError, changed, cost, extract, fit, freeze, frozen, snapshot, unfreeze


@pytest.fixture(autouse=True)
def empty_home(tmp_path, monkeypatch):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path))


def trainable(model):
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


CASES = {
    # name: (net, data)
    "all": (image_net, images(40)),
    "head": (lambda: freeze(image_net()), images(40)),
    "the second half": (lambda: freeze(image_net(dropout=0.5), until="body"), images(40)),
    "texts": (text_net, texts(30)),
    "texts, head": (lambda: freeze(text_net()), texts(30)),
    "texts, the second half": (lambda: freeze(text_net(), until="layer1"), texts(30)),
    "few": (lambda: freeze(image_net(), until="body"), images(3)),
    "few texts": (lambda: freeze(text_net(), until="layer1"), texts(3)),
}


@pytest.mark.parametrize("mode", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("case", CASES)
def test_nothing_moves(case, mode, tmp_path):
    make, data = CASES[case]
    net = make().train(mode)
    for parameter in net.parameters():
        parameter.grad = torch.ones_like(parameter) if parameter.requires_grad else None
    before, modes, held = snapshot(net), [m.training for m in net.modules()], frozen(net)
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    predicted = cost(net, data, batch=8)
    assert torch.equal(torch.rand(2), expected), "random numbers were drawn"
    moved = changed(net, since=before)
    assert moved[["parameters moved", "buffers moved"]].to_numpy().sum() == 0
    assert all(p.grad is None if not p.requires_grad else (p.grad == 1).all() for p in net.parameters())
    assert [m.training for m in net.modules()] == modes and frozen(net) == held
    assert predicted.trainable == trainable(net) and predicted.steps == max(1, -(-len(data) // 8))
    assert predicted.epoch > 0 and predicted.memory > 10 and (predicted.once > 0) == (predicted.boundary is not None)
    assert not list(tmp_path.rglob("*.safetensors"))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("keep", [None, False])
def test_it_keeps_what_fit_keeps(case, keep):
    make, data = CASES[case]
    predicted, net = cost(make(), data, batch=8, epochs=3, keep=keep), make()
    history = fit(net, data, batch=8, epochs=3, keep=keep)
    if predicted.boundary is None:
        assert "Kept" not in history.keeping and predicted.kept == predicted.once == 0
        return
    assert f"Kept at {predicted.boundary!r}" in history.keeping
    features = extract(make(), data, predicted.boundary)
    assert features.kept and predicted.kept == pytest.approx(features.x.nbytes / 1e6, rel=1e-3)


def test_whether_keeping_pays_depends_on_the_epochs(monkeypatch):
    from tlcourse.training import keeping

    monkeypatch.setattr(keeping, "SMALL", 100)
    net, data = freeze(image_net(), until="body"), images(40)
    assert cost(net, data, epochs=1).boundary is None and cost(net, data, epochs=2).boundary == "body"
    assert cost(net, data, epochs=1, keep=True).boundary == "body"


def test_features_have_no_cost_before_the_first_epoch():
    net, data = freeze(image_net(), until="body"), images(40)
    features = extract(net, data, "body")
    predicted = cost(net, features, batch=10)
    assert predicted.boundary is None and predicted.once == predicted.kept == 0 and predicted.steps == 4
    assert predicted.trainable == trainable(net) and predicted.seconds(10) == 10 * predicted.epoch


@dataclass(frozen=True)
class Slow(Scale):
    """Takes a millisecond an image."""

    def __call__(self, x):
        time.sleep(0.001 * len(x))
        return super().__call__(x)


def test_the_seconds_are_those_of_a_run():
    net, data = freeze(image_net()), images(400)
    net.transform = Slow()
    predicted = cost(net, data, batch=20)
    assert 0.3 < predicted.once < 1.5, "400 images of a millisecond"
    assert predicted.seconds(3) == pytest.approx(predicted.once + 3 * predicted.epoch)
    predicted = cost(unfreeze(net), data, batch=20)
    assert predicted.once == 0 and 0.35 < predicted.epoch < 2


def test_the_rates_do_not_matter_but_are_taken():
    net = image_net()
    assert cost(net, images(), lr=1.0, decay=0.5, head_lr=0.1, weight_decay=0.1).trainable == trainable(net)


def test_it_is_shown_in_a_line():
    shown = repr(cost(freeze(image_net()), images(40), batch=10))
    assert shown.startswith("18 parameters train;") and "once up to 'pool'" in shown and "4 batches" in shown
    assert "MB of memory" in shown and "once" not in repr(cost(image_net(), images(40)))
    assert "&#x27;pool&#x27;" in cost(freeze(image_net()), images(40))._repr_html_()


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"model": freeze(image_net(), "*")}, "Nothing trains"),
        ({"data": images(4)[:0]}, "empty"),
        ({"data": images(4).x}, "not on a Tensor"),
        ({"batch": 0}, "batch=0"),
        ({"tries": 0}, "tries=0"),
        ({"lr": "fast"}, "lr='fast'"),
        ({"model": image_net(classes=5)}, "classes"),
        ({"model": nn.Linear(2, 2)}, "no transform|not known"),
        ({"model": 5}, "A model is needed"),
    ],
)
def test_wrong_calls_say_what_to_do(more, says):
    with pytest.raises(CourseError, match=says):
        cost(**{"model": image_net(), "data": images(), **more})


def test_weights_that_are_not_numbers_are_told_and_left():
    net = image_net()
    net.head[1].weight.data.fill_(torch.nan)
    before = snapshot(net)
    with pytest.raises(CourseError, match="not a number before anything was trained"):
        cost(net, images())
    assert changed(net, since=before)["parameters moved"].sum() == 0 and not net.training
