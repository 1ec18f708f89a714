"""BatchNorm's statistics from another domain: exactly those of its items, in any order, and nothing else moves."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from small_nets import CLASSES, Scale, image_net, images, text_net, texts
from torch import nn

from tlcourse import CourseError, adapt_batch_norm, changed, evaluate, extract, fit, freeze, frozen, snapshot
from tlcourse.features import Features


@pytest.fixture(autouse=True)
def empty_home(tmp_path, monkeypatch):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path))


def statistics(net):
    return {n: b.clone() for n, b in net.named_buffers() if "running" in n}


def close(a, b):
    return all(torch.allclose(a[name], b[name], rtol=1e-4, atol=1e-6) for name in a)


@torch.no_grad()
def outputs(net, data):
    return net(net.transform(data.x))


def as_one_batch(net, data):
    """The outputs in training mode when all items come as one batch: torch normalises by what this batch holds."""
    return outputs(net.train(), data)


def test_the_items_come_out_as_they_would_as_one_batch_in_training_mode():
    other = images(24, seed=3)
    adapted = adapt_batch_norm(image_net(), other)
    assert torch.allclose(outputs(adapted, other), as_one_batch(image_net(), other), atol=1e-5)
    assert not torch.allclose(outputs(image_net(), other), outputs(adapted, other), atol=0.01)


def test_the_first_norms_statistics_are_what_torch_writes_down():
    other, net = images(24, seed=3), image_net()
    net.stem[1].momentum = 1.0
    as_one_batch(net, other)
    adapted, n = adapt_batch_norm(image_net(), other), 24 * 3 * 3
    assert torch.allclose(adapted.stem[1].running_mean, net.stem[1].running_mean, atol=1e-6)
    assert torch.allclose(adapted.stem[1].running_var, net.stem[1].running_var * (n - 1) / n, rtol=1e-5)


def test_order_and_batch_do_not_matter():
    other = images(24, seed=3)
    wanted = statistics(adapt_batch_norm(image_net(), other))
    shuffled = other[torch.randperm(24, generator=torch.Generator().manual_seed(0))]
    assert close(statistics(adapt_batch_norm(image_net(), shuffled)), wanted)
    for batch in (1, 5, 24):
        assert close(statistics(adapt_batch_norm(image_net(), other, batch=batch)), wanted)


def test_no_parameter_mode_or_counter_moves_and_twice_is_once():
    net = image_net().train()
    net.body.eval()
    before, modes = snapshot(net), [m.training for m in net.modules()]
    counters = [b.clone() for n, b in net.named_buffers() if "tracked" in n]
    assert adapt_batch_norm(net, images(24, seed=3)) is net
    moved = changed(net, before)
    assert (moved["parameters moved"] == 0).all() and (moved["buffers moved"] > 0).sum() == 3
    assert [m.training for m in net.modules()] == modes
    assert all(
        torch.equal(a, b) for a, b in zip(counters, (b for n, b in net.named_buffers() if "track" in n), strict=True)
    )
    first = statistics(net)
    assert close(statistics(adapt_batch_norm(net, images(24, seed=3))), first)


def test_a_frozen_model_gets_them_too_and_stays_frozen():
    net, other = freeze(image_net()), images(24, seed=3)
    names, wanted = frozen(net), statistics(adapt_batch_norm(image_net(), other))
    assert close(statistics(adapt_batch_norm(net, other)), wanted)
    assert frozen(net) == names and len(names) == 4
    after = snapshot(net)
    fit(net, images(12), epochs=1, keep=False)
    assert not changed(net, after).drop("head")[["parameters moved", "buffers moved"]].to_numpy().any(), (
        "frozen is frozen, with its new statistics"
    )


def test_features_kept_before_no_longer_fit_and_new_ones_do():
    net = freeze(image_net())
    old = extract(net, images(12), "pool")
    adapt_batch_norm(net, images(24, seed=3))
    with pytest.raises(CourseError, match="other weights"):
        fit(net, old, epochs=1)
    assert not torch.equal(extract(net, images(12), "pool").x, old.x)


def test_from_kept_features_only_the_norms_behind_them_move():
    net, other = image_net(), images(24, seed=3)
    adapt_batch_norm(net, extract(net, other, "stem"))
    still, moved = image_net().stem.state_dict(), net.stem.state_dict()
    assert all(torch.equal(still[name], moved[name]) for name in still)
    assert not torch.equal(net.neck[2].running_mean, image_net().neck[2].running_mean)


def test_labels_are_not_read():
    other, wanted = images(24, seed=3), statistics(adapt_batch_norm(image_net(), images(24, seed=3)))
    object.__setattr__(other, "y", None)
    assert close(statistics(adapt_batch_norm(image_net(), other)), wanted)


def test_a_shift_of_brightness_is_mended():
    net, here = image_net(), images(64)
    fit(net, here, epochs=8, lr=0.02, batch=16)
    there = replace(images(64, seed=1), x=images(64, seed=1).x // 3)
    before = evaluate(net, there).accuracy
    assert evaluate(net, here).accuracy > 0.9 and before < 0.7
    assert evaluate(adapt_batch_norm(net, there), there).accuracy > before + 0.2


def test_a_dead_channel_keeps_its_spread():
    net = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 2))
    items = Features(torch.tensor([[1.0, 5.0], [3.0, 5.0]]), None, ("a", "b"), CLASSES, "none")
    net = nn.Sequential(nn.Identity(), *net)
    adapt_batch_norm(net, replace(items, stage="0"))
    assert net[1].running_mean.tolist() == [2.0, 5.0] and net[1].running_var.tolist() == [1.0, 1.0]


def test_stages_that_work_in_place_are_given_fresh_maps():
    def net():
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            made = nn.Sequential(
                nn.Conv2d(3, 4, 3),
                nn.Sequential(nn.Hardswish(inplace=True), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4)),
                nn.Sequential(nn.Flatten(), nn.Linear(64, 2)),
            )
        made.transform = Scale()
        return made.eval()

    other = images(10, seed=3)
    adapted = adapt_batch_norm(net(), other, batch=4)
    assert torch.allclose(outputs(adapted, other), as_one_batch(net(), other), atol=1e-5)


def test_a_norm_that_is_used_twice_or_never_does_not_hang():
    norm = nn.BatchNorm1d(2)
    net = nn.Sequential(nn.Identity(), nn.Sequential(norm, nn.Linear(2, 2), norm), nn.Linear(2, 2))
    items = Features(torch.randn(8, 2), None, tuple("abcdefgh"), CLASSES, "0")
    adapt_batch_norm(net, items)
    assert torch.allclose(norm.running_mean, items.x.mean(0), atol=1e-6)


@pytest.mark.parametrize(
    ("make", "data", "words"),
    [
        (text_net, texts(), "has no BatchNorm(.|\n)*LayerNorm(.|\n)*align"),
        (image_net, images(1), "One item says nothing"),
        (image_net, images(4)[:0], "no items"),
        (image_net, [1, 2], "not a list"),
        (lambda: "net", images(4), "model is needed"),
    ],
)
def test_what_cannot_be_adapted_is_told(make, data, words):
    with pytest.raises(CourseError, match=words):
        adapt_batch_norm(make(), data)


@pytest.mark.parametrize("norm", [nn.LayerNorm(2), nn.InstanceNorm1d(2), nn.BatchNorm1d(2, track_running_stats=False)])
def test_other_norms_are_no_batch_norm(norm):
    net = nn.Sequential(nn.Identity(), norm, nn.Linear(2, 2))
    with pytest.raises(CourseError, match="no BatchNorm that keeps statistics"):
        adapt_batch_norm(net, Features(torch.randn(8, 2), None, tuple("abcdefgh"), CLASSES, "0"))


def test_what_is_no_number_leaves_the_model_as_it_was():
    net = nn.Sequential(nn.Identity(), nn.BatchNorm1d(2), nn.BatchNorm1d(2), nn.Linear(2, 2))
    before = statistics(net)
    with pytest.raises(CourseError, match="NaN"):
        adapt_batch_norm(net, Features(torch.tensor([[1.0, 2.0], [torch.nan, 3.0]]), None, ("a", "b"), CLASSES, "0"))
    net[1].weight.data.fill_(torch.inf)
    with pytest.raises(CourseError, match="NaN"):
        adapt_batch_norm(net, Features(torch.randn(4, 2), None, tuple("abcd"), CLASSES, "0"))
    assert close(statistics(net), before)


def test_a_channel_that_is_the_same_everywhere_keeps_its_spread_over_several_batches():
    grey, net = images(33), image_net()
    grey = replace(grey, x=torch.full_like(grey.x, 50))  # rounding differs from batch to batch
    before = statistics(net)
    after = statistics(adapt_batch_norm(net, grey, batch=32))
    assert all(torch.equal(after[name], before[name]) for name in before if "var" in name)
