"""What is made small: cross-entropy with smoothed labels or weighted classes, penalties, mixed images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_nets import image_net, images, text_net, texts
from torch import nn
from torch.nn import functional as F
from torchvision.transforms import v2

from tlcourse import CourseError, UnknownName, extract, fit, freeze, l2_sp, snapshot
from tlcourse.training.objective import Objective


@pytest.fixture(autouse=True)
def empty_home(tmp_path, monkeypatch):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path))


THREE = replace(images(24), y=torch.arange(24) % 8 // 3, classes=("often", "also", "rare"))  # 9, 9 and 6 items
LOGITS = torch.randn(24, 3, generator=torch.Generator().manual_seed(0))


def weights_after(**more):
    net = freeze(image_net(), until="body")
    history = fit(net, images(20), epochs=2, batch=10, lr=0.1, optimizer=torch.optim.SGD, **more)
    return history, net.head[1].weight.detach()


# labels and classes ------------------------------------------------------------------------------


def test_balanced_weights_are_those_of_the_formula():
    n = torch.tensor([9.0, 9.0, 6.0])
    by_hand = 24 / (3 * n)
    each = F.cross_entropy(LOGITS, THREE.y, reduction="none")
    expected = (each * by_hand[THREE.y]).mean()
    assert torch.allclose(Objective(THREE, class_weights="balanced")(LOGITS, THREE.y), expected)
    assert not torch.allclose(expected, each.mean())
    # each class has the same say: the mean over classes of the mean over a class's items
    assert torch.allclose(expected, torch.stack([each[THREE.y == k].mean() for k in range(3)]).mean())


@pytest.mark.parametrize("make", [list, tuple, torch.tensor, np.array])
def test_weights_of_ones_own(make):
    each = F.cross_entropy(LOGITS, THREE.y, reduction="none")
    expected = (each * torch.tensor([1.0, 0.0, 4.0])[THREE.y]).mean()
    assert torch.allclose(Objective(THREE, class_weights=make([1.0, 0.0, 4.0]))(LOGITS, THREE.y), expected)


def test_a_class_without_items_weighs_nothing_and_breaks_nothing():
    data = replace(THREE, y=THREE.y.clamp(max=1))
    value = Objective(data, class_weights="balanced")(LOGITS, data.y)
    assert value.isfinite() and Objective(data, class_weights="balanced").weights[2] == 0


def test_smoothed_labels_are_spread_over_all_classes():
    soft = 0.8 * F.one_hot(THREE.y, 3) + 0.2 / 3
    expected = -(soft * LOGITS.log_softmax(1)).sum(1).mean()
    assert torch.allclose(Objective(THREE, label_smoothing=0.2)(LOGITS, THREE.y), expected)
    each = -(soft * LOGITS.log_softmax(1)).sum(1)
    both = Objective(THREE, label_smoothing=0.2, class_weights=[1, 2, 3])(LOGITS, THREE.y)
    assert torch.allclose(both, (each * torch.tensor([1.0, 2.0, 3.0])[THREE.y]).mean())


@pytest.mark.parametrize("more", [{"label_smoothing": 0.3}, {"class_weights": [1.0, 3.0]}])
def test_fit_trains_with_them(more):
    plain, head = weights_after()
    history, moved = weights_after(**more)
    assert history.rows[0]["loss"] != plain.rows[0]["loss"] and not torch.equal(head, moved)
    smoothing, weights = more.get("label_smoothing", 0.0), torch.tensor(more.get("class_weights", [1.0, 1.0]))

    def loss(logits, labels):
        each = F.cross_entropy(logits, labels, reduction="none", label_smoothing=smoothing)
        return (each * weights[labels]).mean()

    assert torch.allclose(moved, weights_after(loss=loss)[1], atol=1e-6)


def test_unbalanced_data_are_answered_less_one_sidedly():
    data = replace(images(40), y=(torch.arange(40) < 6).long())  # noise: what remains is how often each class occurs
    shares = []
    for weights in (None, "balanced"):
        net = freeze(image_net())
        fit(net, data, epochs=30, lr=0.5, class_weights=weights, optimizer=torch.optim.SGD)
        with torch.no_grad():
            shares.append(float(net(net.transform(data.x)).softmax(1)[:, 1].mean()))
    assert shares[0] < 0.25 and 0.4 < shares[1] < 0.6


# l2_sp -------------------------------------------------------------------------------------------


def test_l2_sp_pulls_the_body_back_and_leaves_the_head_free():
    far = []
    for strength in (None, 0.0, 30.0):
        net = image_net()
        start = snapshot(net)
        penalty = None if strength is None else l2_sp(net, strength)
        fit(net, images(20), epochs=10, batch=10, lr=0.01, optimizer=torch.optim.SGD, penalty=penalty)
        moved = {name: float((p.detach() - start[name]).norm()) for name, p in net.named_parameters()}
        far.append([sum(d for name, d in moved.items() if name.startswith("head") == head) for head in (False, True)])
    assert far[0] == far[1], "without strength it is no penalty"
    assert far[2][0] < 0.5 * far[0][0] and far[2][1] > 0.5 * far[0][1]


def test_l2_sp_is_half_the_squared_distance_of_what_trains_in_the_body():
    net = image_net()
    penalty = l2_sp(net, 0.5)
    assert penalty().item() == 0
    with torch.no_grad():
        net.stem[0].weight += 0.1
        net.head[1].weight += 100
    assert penalty().item() == pytest.approx(0.5 / 2 * 0.01 * net.stem[0].weight.numel(), rel=1e-4)
    penalty().backward()
    assert torch.allclose(net.stem[0].weight.grad, torch.full_like(net.stem[0].weight, 0.5 * 0.1), atol=1e-6)
    freeze(net)
    assert penalty().item() == 0 and len(fit(net, images(4), epochs=1, penalty=penalty)) == 1
    with pytest.raises(CourseError, match="strength=-1"):
        l2_sp(net, -1)


def test_a_penalty_of_ones_own_is_added():
    plain, _ = weights_after()
    more, _ = weights_after(penalty=lambda: torch.tensor(2.5))
    assert [r["loss"] for r in more.rows] == pytest.approx([r["loss"] + 2.5 for r in plain.rows], abs=1e-5)


# mixed images ------------------------------------------------------------------------------------


def inputs_and_labels(mix, data, **more):
    """What the network and the loss were given in one epoch."""
    net, seen = image_net(classes=len(data.classes)), []
    net.register_forward_pre_hook(lambda _, x: seen.append([x[0].clone()]))

    def loss(logits, labels):
        seen[-1].append(labels.clone())
        return F.cross_entropy(logits, labels)

    history = fit(net, data, epochs=1, batch=12, mix=mix, loss=loss, **more)
    return seen, history


@pytest.mark.parametrize("mix", ["mixup", "cutmix"])
def test_images_and_labels_are_mixed_alike(mix):
    data = images(24)
    data = replace(data, x=(data.y * 255).to(torch.uint8)[:, None, None, None].expand(-1, 3, 8, 8).contiguous())
    seen, history = inputs_and_labels(mix, data)
    assert len(seen) == 2 and 0 <= history.rows[0]["accuracy"] <= 1
    for x, labels in seen:
        assert labels.shape == (12, 2) and torch.allclose(labels.sum(1), torch.ones(12))
        # of black and white images the brightness is the share of the class "light"
        assert torch.allclose(x.mean((1, 2, 3)) + 0.5, labels[:, 1], atol=1e-5)
        if mix == "cutmix":
            assert set(x.unique().tolist()) <= {-0.5, 0.5}
    shares = torch.cat([labels[:, 1] for _, labels in seen])
    assert ((shares > 0.001) & (shares < 0.999)).any(), "nothing was mixed"


@pytest.mark.parametrize("mix", ["mixup", "cutmix", v2.MixUp(num_classes=2)])
@pytest.mark.parametrize("more", [{"label_smoothing": 0.1}, {"class_weights": [1, 2]}, {"class_weights": "balanced"}])
def test_it_goes_with_smoothed_labels_and_weights_and_all_stages(mix, more):
    net = image_net()
    history = fit(net, images(20), images(8), epochs=2, batch=10, mix=mix, **more)
    assert len(history) == 2 and history.rows[1]["loss"] < 2 and not history.note


def test_seeds_reproduce_the_mixing():
    draws = [inputs_and_labels("mixup", images(24), seed=seed)[0][0][1] for seed in (0, 0, 1)]
    assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])


def test_only_images_are_mixed():
    features = extract(image_net(), images())
    for net, data in ((text_net(), texts()), (freeze(image_net()), features)):
        with pytest.raises(CourseError, match="Only raw images can be mixed"):
            fit(net, data, epochs=1, mix="mixup")


# wrong calls -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"label_smoothing": 1.0}, "label_smoothing=1.0"),
        ({"label_smoothing": True}, "label_smoothing=True"),
        ({"label_smoothing": 0.1, "loss": nn.CrossEntropyLoss()}, "Put them into your loss"),
        ({"class_weights": [1.0, 2.0], "loss": F.cross_entropy}, "Put them into your loss"),
        ({"class_weights": [1.0]}, "2 numbers, one for each of dark, light"),
        ({"class_weights": [[1.0, 2.0]]}, "2 numbers"),
        ({"class_weights": ["a", "b"]}, "2 numbers"),
        ({"class_weights": 3}, "2 numbers"),
        ({"class_weights": {"dark": 1.0, "light": 2.0}}, "2 numbers"),
        ({"class_weights": [0.0, 0.0]}, "not all 0"),
        ({"class_weights": [-1.0, 1.0]}, "0 or more"),
        ({"class_weights": [float("nan"), 1.0]}, "0 or more"),
        ({"loss": "cross-entropy"}, r"nn\.CrossEntropyLoss\(\)"),
        ({"loss": lambda logits, labels: logits}, "one number"),
        ({"loss": lambda logits, labels: 1.0}, "one number"),
        ({"penalty": 0.1}, r"penalty=l2_sp"),
    ],
)
def test_wrong_calls_say_what_to_do(more, says):
    with pytest.raises(CourseError, match=says):
        fit(image_net(), images(4), epochs=1, **more)


def test_wrong_names_get_the_nearest():
    with pytest.raises(UnknownName, match="Did you mean 'balanced'"):
        fit(image_net(), images(4), epochs=1, class_weights="balance")
    with pytest.raises(UnknownName, match="Did you mean 'mixup'"):
        fit(image_net(), images(4), epochs=1, mix="mixupp")
