"""The prices of stages: any choice is added up from them, and measuring leaves the model as it was."""

from __future__ import annotations

import pytest
import torch
from small_nets import image_net, images, text_net, texts
from torch import nn

from tlcourse import CourseError, changed, freeze, frozen, load, snapshot
from tlcourse.training.estimate import Prices, StagePrice, price

STAGES = (
    StagePrice("stem", 10, forward=1.0, both=3.0, saved=2.0),
    StagePrice("act", 0, forward=0.1, both=0.2, saved=1.0),
    StagePrice("body", 20, forward=2.0, both=6.0, saved=4.0),
    StagePrice("head", 5, forward=0.5, both=1.0, saved=0.5),
)
PRICES = Prices(STAGES, items=10, batch=5, update=0.0, base=100.0)


def test_what_is_kept_is_paid_once_and_what_trains_each_epoch():
    everything = PRICES.of(["stem", "body", "head"])
    assert everything.once == 0 and everything.epoch == pytest.approx(102.0) and everything.trainable == 35
    kept = PRICES.of(["head"], kept=["stem", "act", "body"])
    assert kept.once == pytest.approx(31.0) and kept.epoch == pytest.approx(10.0)
    naive = PRICES.of(["head"])
    assert naive.once == 0 and naive.epoch == pytest.approx(31.0 + 10.0)


def test_the_wrong_end_saves_little():
    first = PRICES.of(["stem"])
    assert PRICES.of(["head"]).epoch < first.epoch < PRICES.of(["stem", "body", "head"]).epoch
    assert first.memory > PRICES.of(["head"]).memory
    assert PRICES.of(["stem"], kept=["body"]).epoch == first.epoch, "nothing behind what trains can be kept"


def test_no_stage_at_all_trains():
    assert PRICES.of([], kept=["stem", "act", "body", "head"]).epoch == 0.0


@pytest.mark.parametrize(("net", "data"), [(image_net, images), (text_net, texts)])
def test_measuring_moves_nothing(net, data):
    net = freeze(net()).train()
    before, held = snapshot(net), frozen(net)
    asks, modes = [p.requires_grad for p in net.parameters()], [m.training for m in net.modules()]
    torch.manual_seed(5)
    numbers = torch.get_rng_state()
    prices = price(net, data())
    assert changed(net, before)[["parameters moved", "buffers moved"]].to_numpy().sum() == 0
    assert frozen(net) == held and [p.requires_grad for p in net.parameters()] == asks
    assert [m.training for m in net.modules()] == modes and all(p.grad is None for p in net.parameters())
    assert torch.equal(torch.get_rng_state(), numbers)
    assert [stage.name for stage in prices.stages][-1] == "head"
    assert all(stage.both >= stage.forward > 0 for stage in prices.stages)
    now = prices.now(net)
    assert now.once > 0 and now.trainable == sum(p.numel() for p in net.parameters() if p.requires_grad)


@pytest.mark.parametrize(("n", "batch"), [(1, 32), (5, 1)])
def test_one_item_at_a_time_has_a_price_with_batchnorm_too(n, batch):
    net = image_net()
    net.head.append(nn.BatchNorm1d(2))
    before = snapshot(net)
    made = price(net, images(n), batch=batch).of(["body", "head"])
    assert made.epoch > 0 and made.memory > 0
    assert changed(net, before)[["parameters moved", "buffers moved"]].to_numpy().sum() == 0


def test_features_and_a_model_without_transform_are_refused():
    net = image_net()
    del net.transform
    with pytest.raises(CourseError, match="raw data"):
        price(net, images())
    with pytest.raises(CourseError, match="not an image"):
        price(load("efficientnet-lite0", classes=2, pretrained=False, size=32), texts())
