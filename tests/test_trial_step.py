"""One step on trial: what moved is told, and nothing of the model is other than before."""

from __future__ import annotations

import pytest
import torch
from small_nets import image_net, images, text_net, texts

from tlcourse import CourseError, changed, freeze, load, snapshot
from tlcourse.training.trial import trial_step


def state(net):
    modes = [module.training for module in net.modules()]
    return modes, [p.requires_grad for p in net.parameters()], [p.grad for p in net.parameters()]


@pytest.mark.parametrize(("net", "data"), [(image_net, images), (text_net, texts)])
@pytest.mark.parametrize("training", [True, False])
def test_everything_is_put_back(net, data, training):
    net = freeze(net()).train(training)
    before, was = snapshot(net), state(net)
    torch.manual_seed(3)
    numbers = torch.get_rng_state()
    moved = trial_step(net, data())
    assert changed(net, before)[["parameters moved", "buffers moved"]].to_numpy().sum() == 0
    assert state(net) == was and torch.equal(torch.get_rng_state(), numbers)
    assert moved.drop("head")[["parameters moved", "buffers moved"]].to_numpy().sum() == 0
    assert moved.loc["head", "parameters moved"] == moved.loc["head", "parameters"] > 0


def test_a_stage_that_only_looks_frozen_is_caught():
    net = image_net()
    net.requires_grad_(False)  # the mistake: BatchNorm's statistics do not ask for gradients
    moved = trial_step(net, images())
    assert moved["parameters moved"].sum() == 0 and moved["buffers moved"].sum() > 0


@pytest.mark.assets
@pytest.mark.parametrize("name", ["efficientnet-lite0", "minilm"])
def test_without_data_noise_or_sentences_do(name):
    model = freeze(load(name, classes=2, pretrained=False))
    assert trial_step(model).loc["head", "parameters moved"] == 2


def test_what_does_not_go_together_is_refused_and_leaves_the_model():
    with pytest.raises(CourseError, match="not an image"):
        trial_step(load("efficientnet-lite0", classes=2, pretrained=False, size=32), texts())
    net = image_net()
    before = snapshot(net)
    del net.transform
    with pytest.raises(CourseError, match="no transform"):
        trial_step(net)
    assert changed(net, before)["parameters moved"].sum() == 0
