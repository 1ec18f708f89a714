"""What would give a wrong number without a word: each is refused, or computed anew."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_nets import image_net, images
from torch import nn
from torch.optim.swa_utils import AveragedModel, update_bn

from tlcourse import (
    CourseError,
    changed,
    evaluate,
    extract,
    fit,
    freeze,
    frozen,
    knn_probe,
    linear_probe,
    load,
    snapshot,
)
from tlcourse.features import store
from tlcourse.models import ImageTransform


@pytest.fixture(autouse=True)
def empty_home(tmp_path, monkeypatch):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path))


@pytest.mark.parametrize("probe", [linear_probe, knn_probe])
def test_features_of_two_transforms_are_not_compared(probe):
    net = image_net()
    net.transform = ImageTransform(size=8, crop=1.0)
    train = extract(net, images())
    net.transform = ImageTransform(size=16, crop=1.0)
    with pytest.raises(CourseError, match="different transforms"):
        probe(train, extract(net, images()))
    with pytest.raises(CourseError, match="another transform"):
        evaluate(net, train)


def test_a_file_that_was_changed_inside_is_not_believed(tmp_path):
    first = extract(image_net(), images())
    file = tmp_path / "features" / f"{first.key}.safetensors"
    data = bytearray(file.read_bytes())
    data[-40:] = bytes(40)
    file.write_bytes(data)
    store._verified.clear()  # as a new process would find it
    again = extract(image_net(), images())
    assert not again.kept and torch.equal(again.x, first.x)
    assert extract(image_net(), images()).kept


def test_lower_precision_is_another_key():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = extract(image_net(), images())
    high = extract(image_net(), images())
    assert low.key != high.key and not high.kept


def test_pixels_changed_through_numpy_are_seen():
    data = images()
    before = data.fingerprint
    data.x.numpy()[0] = 255 - data.x.numpy()[0]
    assert data.fingerprint != before


def test_averaging_the_weights_leaves_frozen_statistics_alone():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.LazyLinear(2))
    batches = [torch.randn(6, 3, 8, 8) + 3 for _ in range(3)]
    net(batches[0])
    freeze(net)
    averaged = AveragedModel(net)
    before = snapshot(net)
    update_bn(batches, net)
    update_bn(batches, averaged)
    assert changed(net, before)[["parameters moved", "buffers moved"]].to_numpy().sum() == 0
    assert torch.equal(averaged.module[1].running_mean, net[1].running_mean)
    assert frozen(net) == ("0", "1", "2")


def test_a_model_of_nan_is_not_scored():
    net = image_net()
    with torch.no_grad():
        next(net.parameters()).fill_(float("nan"))
    with pytest.raises(CourseError, match="NaN"):
        evaluate(net, images())


def test_a_long_strip_costs_no_more_than_its_centre():
    strip = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, 3, 4, 30_000), dtype=np.uint8))
    made = ImageTransform(size=64, crop=0.875)(strip)
    centre = ImageTransform(size=64, crop=0.875)(strip[..., 14_994:15_006])
    assert made.shape == (1, 3, 64, 64) and torch.equal(made, centre)


@pytest.mark.parametrize("wrong", [{"size": 0}, {"size": -5}, {"size": "224"}, {"size": 10**6}, {"seed": None}])
def test_sizes_and_seeds_that_are_none_are_refused_at_once(wrong):
    with pytest.raises(CourseError, match="Choose a whole number"):
        load("efficientnet-lite0", classes=2, pretrained=False, **wrong)


@pytest.mark.parametrize(
    "wrong",
    [{"epochs": 1.5}, {"epochs": "2"}, {"batch": None}, {"lr": "1e-3"}, {"lr": float("inf")}, {"seed": None},
     {"weight_decay": None}, {"optimizer": "adam"}],
)  # fmt: skip
def test_settings_of_another_kind_are_explained(wrong):
    with pytest.raises(CourseError, match=next(iter(wrong))):
        fit(image_net(), images(), **{"epochs": 1, "progress": False, **wrong})
