"""The frozen boundary moves over what cannot move, and stays before what draws, counts or looks at the batch."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from small_nets import Scale, images
from torch import nn

from tlcourse import fit, freeze
from tlcourse.freezing import still


@pytest.fixture(autouse=True)
def empty_home(tmp_path, monkeypatch):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path))
    monkeypatch.setenv("TLCOURSE_ENGINE", "torch")


def chain(*middle):
    """conv (frozen) -> middle -> pool -> head."""
    parts = {"conv": nn.Conv2d(3, 4, 3)}
    parts |= {f"mid{i}": module for i, module in enumerate(middle)}
    net = nn.Sequential(OrderedDict(parts, pool=nn.AdaptiveAvgPool2d(1), flat=nn.Flatten(), head=nn.Linear(4, 2)))
    net.transform = Scale()
    for p in net.parameters():
        nn.init.uniform_(p, -0.2, 0.2, generator=torch.Generator().manual_seed(p.numel()))
    return freeze(net.eval(), "conv")


class Mine(nn.Module):
    """A learner's own module: nobody knows what it does."""

    def forward(self, x):
        return x + torch.rand(1) * self.training


STILL = [nn.ReLU(), nn.MaxPool2d(2), nn.AvgPool2d(2), nn.Identity(), nn.Sequential(nn.ReLU(), nn.MaxPool2d(2))]
MOVING = [
    nn.Dropout(0.5), nn.Dropout2d(0.5), nn.AlphaDropout(0.5), nn.Sequential(nn.ReLU(), nn.Dropout(0.5)), nn.RReLU(),
    nn.FractionalMaxPool2d(2, output_size=3), nn.BatchNorm2d(4, affine=False, track_running_stats=False), Mine(),
    nn.BatchNorm2d(4, affine=False),
]  # fmt: skip


@pytest.mark.parametrize("middle", STILL, ids=repr)
def test_the_boundary_moves_over_what_cannot_move(middle):
    net = chain(middle)
    assert still(net) == ("conv", "mid0", "pool", "flat")
    assert "Kept at 'flat'" in fit(net, images(6), epochs=2).keeping


@pytest.mark.parametrize("middle", MOVING, ids=lambda module: type(module).__name__)
def test_the_boundary_stays_before_what_draws_counts_or_looks_at_the_batch(middle):
    net = chain(nn.ReLU(), middle)
    assert still(net) == ("conv", "mid0")
    expected = fit(chain(nn.ReLU(), middle), images(8), epochs=2, batch=4, keep=False)
    history = fit(net, images(8), epochs=2, batch=4, keep=True)
    assert "Kept at 'mid0'" in history.keeping
    if not isinstance(middle, nn.BatchNorm2d):  # the same module counted in both runs
        assert [r["loss"] for r in history.rows] == pytest.approx([r["loss"] for r in expected.rows], abs=1e-5)
