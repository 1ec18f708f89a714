"""`fit` and `evaluate`: the same from kept features as from the data; what is frozen stays; what went wrong is said."""

from __future__ import annotations

import copy
import pickle
from dataclasses import dataclass, replace

import pytest
import torch
from small_nets import CLASSES, Scale, image_net, images, text_net, texts
from torch import nn
from torch.nn import functional as F
from torchvision.transforms import v2

from tlcourse import CourseError, changed, evaluate, extract, fit, freeze, frozen, load, snapshot, unfreeze
from tlcourse.training import Diverged, History


@pytest.fixture(autouse=True)
def empty_home(tmp_path, monkeypatch):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path))


# kept features -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "data", "stage"),
    [
        (image_net, images(), "pool"),
        (image_net, images(), "body"),  # neck and head train: BatchNorm and dropout behind the kept features
        (text_net, texts(), "pool"),
        (text_net, texts(), "layer2"),  # a layer with attention and dropout trains, the mask comes along
    ],
)
def test_training_from_kept_features_is_training(make, data, stage):
    runs = []
    for kept in (False, True):
        net = freeze(make(dropout=0.3), until=stage)
        train, valid = data[:17], data[17:]
        if kept:
            train, valid = (extract(net, part, stage) for part in (train, valid))
        runs.append((fit(net, train, valid, epochs=3, lr=0.01, batch=5, weight_decay=0.01), net))
    (raw, net), (fast, other) = runs
    for row, same in zip(raw.rows, fast.rows, strict=True):
        assert row.keys() == same.keys()
        for figure in row.keys() - {"seconds"}:
            assert row[figure] == pytest.approx(same[figure], abs=1e-5), figure
    weights = zip(net.state_dict().values(), other.state_dict().values(), strict=True)
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in weights)
    assert evaluate(net, data).loss == pytest.approx(evaluate(other, extract(other, data, stage)).loss, abs=1e-4)


def test_a_real_network_from_kept_features():
    data, results = images(10), []
    for kept in (False, True):
        net = freeze(load("efficientnet-lite0", classes=2, pretrained=False, size=32), until="stage6")
        train = extract(net, data, "stage6") if kept else data
        fit(net, train, epochs=1, lr=1e-3, batch=5)
        results.append(net.classifier.weight.detach())
    assert torch.allclose(*results, atol=1e-5)


def test_the_views_take_turns():
    net, data, seen = freeze(image_net()), images(), []
    views = extract(net, data, augment=v2.RandomVerticalFlip(), views=2)
    net.head[0].register_forward_pre_hook(lambda _, x: seen.append(x[0]))
    fit(net, views, epochs=3, batch=24)
    for epoch, x in enumerate(seen):
        assert torch.equal(x.sort(0).values, views.x[:, epoch % 2].sort(0).values)


@pytest.mark.parametrize(
    ("prepare", "stage", "more", "says"),
    [
        (lambda net: unfreeze(net), "body", {}, r'freeze\(model, until="body"\)'),
        (lambda net: unfreeze(net, "stem"), "body", {}, "not frozen: stem"),
        (lambda net: None, "body", {"pooled": True}, r'pooled=False: extract\(model, data, "body"\)'),
        (lambda net: net.stem[0].weight.data.mul_(1.01), "body", {}, "other weights"),
        (lambda net: net.stem[1].running_mean.add_(1), "body", {}, r'again: extract\(model, data, "body"\)'),
    ],
)
def test_features_that_training_would_leave_behind_are_refused(prepare, stage, more, says):
    net, data = freeze(image_net()), images()
    features = extract(net, data, stage, **more)
    prepare(net)
    for train, valid in ((features, None), (data, features)):
        with pytest.raises(CourseError, match=says):
            fit(net, train, valid, epochs=1)


def test_features_of_another_model_are_refused():
    features = extract(image_net(), images(), "body")
    with pytest.raises(CourseError, match="other weights"):
        evaluate(image_net(seed=1), features)
    with pytest.raises(CourseError, match="does not have"):
        evaluate(text_net(), features)
    with pytest.raises(CourseError, match="Only raw images"):
        fit(freeze(image_net()), features, epochs=1, augment=v2.RandomVerticalFlip())


# the loop ----------------------------------------------------------------------------------------


def test_what_is_frozen_does_not_move_and_the_rest_does():
    net, data = freeze(image_net(dropout=0.5), until="body"), images()
    before = snapshot(net)
    history = fit(net, data, data, epochs=2, lr=0.01, weight_decay=0.1)
    moved = changed(net, since=before)[["parameters moved", "buffers moved"]].sum(axis=1)
    assert moved["stem"] == moved["body"] == 0 and moved["neck"] > 4 and moved["head"] == 2
    assert frozen(net)[:2] == ("stem", "body") and len(history) == 2
    assert not any(module.training for module in net.modules())
    assert all(p.grad is None for p in net.parameters())


def test_training_learns():
    net = image_net()
    history = fit(net, images(60), images(30, seed=1), epochs=15, lr=0.01, batch=10)
    assert history.rows[-1]["loss"] < 0.5 * history.rows[0]["loss"] and history.rows[-1]["valid_accuracy"] > 0.8


def test_the_optimizer_holds_what_trains_now():
    held = []

    def watched(groups):
        held.append({g["stage"]: g["lr"] for g in groups})
        return torch.optim.SGD(groups)

    net = freeze(image_net())
    fit(net, images(), epochs=1, optimizer=watched)
    fit(unfreeze(net, "neck"), images(), epochs=1, lr=0.1, decay=0.5, head_lr=1.0, optimizer=watched)
    assert held == [{"head": 1e-3}, {"neck": 0.1, "head": 1.0}]
    with pytest.raises(CourseError, match="Nothing trains"):
        fit(freeze(net, "head", "neck"), images(), epochs=1)


def test_seeds_reproduce_and_the_callers_numbers_go_on():
    def run(seed):
        net = image_net(dropout=0.5)
        history = fit(net, images(), epochs=2, seed=seed, augment=v2.RandomHorizontalFlip())
        return [row["loss"] for row in history.rows], net.head[1].weight.detach()

    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    first, again, other = run(0), run(0), run(1)
    assert torch.equal(torch.rand(2), expected)
    assert first[0] == again[0] != other[0] and torch.equal(first[1], again[1])


@pytest.mark.parametrize(("n", "batch"), [(17, 16), (5, 2), (3, 2), (33, 4), (7, 100)])
def test_no_batch_has_one_item(n, batch):
    net = nn.Sequential(nn.Flatten(), nn.Linear(192, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    net.transform, sizes = Scale(), []
    net.register_forward_pre_hook(lambda _, x: sizes.append(len(x[0])))
    fit(net, images(n), epochs=1, batch=batch)
    assert sum(sizes) == n and min(sizes) >= 2 and max(sizes) <= max(batch, 3) and max(sizes) - min(sizes) <= 1


def test_one_item_and_batchnorm_is_explained():
    net = nn.Sequential(nn.Flatten(), nn.Linear(192, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    net.transform = Scale()
    for data, batch in ((images(4), 1), (images(1), 8)):
        with pytest.raises(CourseError, match="batch=2 or more"):
            fit(net, data, epochs=1, batch=batch)
    fit(freeze(net, "2"), images(4), epochs=1, batch=1)


def test_a_cosine_schedule_warms_up_and_ends_near_zero():
    rates = []

    class Watched(torch.optim.SGD):
        def step(self, *more):
            rates.append(self.param_groups[0]["lr"])
            return super().step(*more)

    fit(image_net(), images(20), epochs=10, batch=10, lr=1.0, optimizer=Watched, schedule="cosine")
    assert len(rates) == 20 and rates[:3] == pytest.approx([0.5, 1.0, 1.0])
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert rates[11] == pytest.approx(0.5, abs=1e-6) and 0 < rates[-1] < 0.01
    rates.clear()
    fit(image_net(), images(20), epochs=2, batch=10, lr=1.0, optimizer=Watched)
    assert rates == [1.0] * 4


def test_each_image_is_augmented_by_itself_and_anew():
    draws = []

    def augment(x):
        draws.append((len(x), float(torch.rand(1))))
        return x

    fit(image_net(), images(6), images(6), epochs=2, augment=augment)
    assert [n for n, _ in draws] == [1] * 12 and len({number for _, number in draws}) == 12


# wrong calls -------------------------------------------------------------------------------------


SWAPPED = replace(images(), classes=tuple(reversed(CLASSES)))


def named(net, classes):
    net.classes = classes
    return net


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"schedule": "cosin"}, "cosine"),
        ({"epochs": 0}, "whole number from 1"),
        ({"batch": 0}, "whole number from 1"),
        ({"train": images()[:0]}, "empty"),
        ({"train": images().x}, "not on a Tensor"),
        ({"model": image_net(classes=5)}, r"5\] numbers an item; the data have 2"),
        ({"train": replace(images(), classes=("a", "b", "c"))}, r"2\] numbers an item; the data have 3"),
        ({"valid": SWAPPED}, "classes differ"),
        ({"model": named(image_net(), CLASSES), "train": SWAPPED}, "counts the classes as dark, light"),
        ({"loss": nn.CrossEntropyLoss(reduction="none")}, "one number"),
        ({"lr": -1.0}, "lr"),
    ],
)
def test_wrong_calls_say_what_to_do(more, says):
    with pytest.raises(CourseError, match=says):
        fit(**{"model": image_net(), "train": images(), "epochs": 1, **more})


@dataclass(frozen=True)
class Spoilt(Scale):
    """NaN in images that are all white."""

    def __call__(self, x):
        return super().__call__(x).where(~(x == 255).flatten(1).all(1)[:, None, None, None], torch.nan)


def test_nan_in_the_input_is_named():
    net, data = freeze(image_net(), until="neck"), images()
    net.transform = Spoilt()
    data.x[4] = 255
    with pytest.raises(Diverged, match="input of this batch holds NaN"):
        fit(net, data, epochs=1)


def test_a_huge_rate_is_named_and_what_was_learned_is_kept():
    net = freeze(image_net(), until="body")
    with pytest.raises(Diverged, match=r"learning rate \(1e\+30\) is too large") as caught:
        fit(net, images(), epochs=30, lr=1e30, optimizer=torch.optim.SGD)
    history = pickle.loads(pickle.dumps(caught.value)).history
    assert history.seconds > 0 and history.memory > 1
    assert frozen(net)[:2] == ("stem", "body") and not any(m.training for m in net.modules())
    with pytest.raises(Diverged, match="before the first step"):
        fit(net, images(), epochs=1)


def test_a_loss_that_breaks_later_keeps_the_epochs_before():
    calls = []

    def loss(logits, labels):
        calls.append(1)
        return F.cross_entropy(logits, labels) * (torch.nan if len(calls) > 5 else 1)

    with pytest.raises(Diverged, match="Look into the loss") as caught:
        fit(image_net(), images(20), epochs=9, batch=10, loss=loss)
    assert [row["epoch"] for row in caught.value.history.rows] == [1, 2] and "epoch 3" in str(caught.value)


# evaluation and what is shown --------------------------------------------------------------------


def test_evaluation_scores_in_evaluation_mode_and_restores():
    net, data = image_net(dropout=0.5).train(), images(30)
    net.neck.eval()
    before, modes = snapshot(net), [m.training for m in net.modules()]
    result = evaluate(net, data, batch=7)
    assert [m.training for m in net.modules()] == modes and changed(net, since=before)["buffers moved"].sum() == 0
    with torch.no_grad():
        logits = copy.deepcopy(net).eval()(Scale()(data.x))
    assert result.predictions.tolist() == logits.argmax(1).tolist() and result.n == 30
    assert result.loss == pytest.approx(float(F.cross_entropy(logits, data.y)), abs=1e-6)
    with pytest.raises(CourseError, match=r"classes=data\.classes"):
        evaluate(image_net(classes=3), data)
    with pytest.raises(CourseError, match="batch=0"):
        evaluate(net, data, batch=0)


def test_a_history_shows_its_figures_and_its_cost():
    history = fit(image_net(), images(), images(8), epochs=6)
    assert history.seconds > 0 and history.memory > 10 and not history.interrupted and not history.note
    frame = history.to_frame()
    assert list(frame) == ["epoch", "loss", "accuracy", "valid_loss", "valid_accuracy", "seconds"]
    assert frame["epoch"].tolist() == [1, 2, 3, 4, 5, 6] and (frame["seconds"] > 0).all()
    assert "6 epochs" in repr(history) and "valid accuracy" in repr(history)
    assert history._repr_html_().count("<tr>") == 7 and "MB" in history._repr_html_()
    assert "<script>" not in History(note="<script>")._repr_html_()
    assert list(History().to_frame()) == ["epoch", "loss", "accuracy"] and "0 epochs" in repr(History())
