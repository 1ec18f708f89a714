"""What `fit`, `fit_tasks` and `adapt` have in common: threads, modes, what a run leaves behind."""

from __future__ import annotations

import pytest
import torch
from small_nets import image_net, images
from torch import nn

from tlcourse import MultiTask, TaskData, adapt, extract, fit, fit_tasks, freeze
from tlcourse.features import Features
from tlcourse.multitask.gradnorm import GradNorm
from tlcourse.training.source import Source

DARK = images(16, seed=1)
TRAINERS = {
    "fit": lambda net: fit(net, images(), epochs=1),
    "fit_tasks": lambda net: fit_tasks(MultiTask(net, {"kind": 2}), TaskData(DARK, {"kind": DARK.y}), epochs=1),
    "adapt": lambda net: adapt(net, images(), DARK, epochs=1),
}


@pytest.fixture(autouse=True)
def empty_home(tmp_path, monkeypatch):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path))


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("name", TRAINERS)
def test_a_model_comes_back_in_evaluation_mode(name):
    net = image_net().train()
    TRAINERS[name](net)
    assert not any(module.training for stage in list(net)[:4] for module in stage.modules())


@pytest.mark.parametrize("name", TRAINERS)
def test_as_many_threads_are_there_as_before(two_threads, name):
    TRAINERS[name](image_net())
    assert torch.get_num_threads() == 2


def test_a_head_on_vectors_trains_on_one_thread_and_images_on_all(two_threads):
    for frozen, threads in ((True, {1}), (False, {2})):
        net, seen = image_net(), set()
        net.head.register_forward_hook(lambda *_, seen=seen: seen.add(torch.get_num_threads()))
        fit(freeze(net) if frozen else net, images(), epochs=1, keep=frozen)
        assert seen == threads


@pytest.mark.parametrize(("side", "batch", "light"), [(4, 8, True), (4, 100_000, False), (400, 8, False)])
def test_small_maps_are_light_and_large_ones_or_many_are_not(side, batch, light):
    net = nn.Sequential()
    for stage, module in (("eyes", nn.Identity()), ("more", nn.Conv2d(3, 32, 3)), ("pool", nn.AdaptiveAvgPool2d(1))):
        net.add_module(stage, module)
    maps = Features(torch.zeros(2, 3, side, side), torch.tensor([0, 1]), ("a", "b"), ("dark", "light"), "eyes")
    source = Source(net, maps)
    assert source.light(batch) is light  # 896 weights at 16 or 160,000 places


def test_raw_images_and_texts_are_never_light():
    assert not Source(image_net(), images()).light(1)


def test_a_weighting_may_be_given_as_its_class():
    model, data = MultiTask(image_net(), {"kind": 2, "again": 2}), TaskData(DARK, {"kind": DARK.y, "again": DARK.y})
    assert fit_tasks(model, data, weighting=GradNorm, epochs=1).weighting == "gradnorm"


def test_a_model_without_names_for_its_classes_trains():
    net = image_net()
    net.classes = None
    assert len(fit(net, images(), epochs=1)) == 1
    assert len(extract(net, images(), "pool")) == len(images())
