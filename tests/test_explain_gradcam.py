"""Grad-CAM and hiding parts: the right numbers, and a model that stays exactly as it was."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_nets import CLASSES, Letters, Scale, image_net, images, text_net
from torch import nn

from tlcourse import CourseError, UnknownName, freeze, load, set_stages, stages
from tlcourse.explain import cover_up, grad_cam, strike_words
from tlcourse.explain.gradcam import map_stage
from tlcourse.explain.occlusion import readable, words
from tlcourse.explain.outputs import class_names, shares
from tlcourse.models import TextTransform


def one(size=16, seed=0):
    return Scale()(images(1, seed=seed, size=size).x)


def trace(model):
    """All that a look could change on a model."""
    return (
        {name: tensor.clone() for name, tensor in model.state_dict().items()},
        [p.requires_grad for p in model.parameters()],
        [None if p.grad is None else p.grad.clone() for p in model.parameters()],
        [m.training for m in model.modules()],
        [len(m._forward_hooks) + len(m._backward_hooks) + len(m._forward_pre_hooks) for m in model.modules()],
    )


def same(before, after) -> bool:
    tensors, *rest = before
    others, *more = after
    return (
        all(torch.equal(t, others[name]) for name, t in tensors.items())
        and rest[0] == more[0]
        and all((a is None and b is None) or torch.equal(a, b) for a, b in zip(rest[1], more[1], strict=True))
        and rest[2:] == more[2:]
    )


def test_before_a_mean_and_a_linear_head_it_is_the_class_activation_map():
    # Zhou et al. 2016: with a global average and one linear layer the weights are those of the head
    net, x = image_net(), one(32)
    found = grad_cam(net, x, [0, 1], stage="neck")
    maps = net[:3](x)
    for c in (0, 1):
        expected = (net.head[1].weight[c][:, None, None] * maps[0]).sum(0).relu() / maps[0, 0].numel()
        assert torch.allclose(found[c], expected, atol=1e-6)


def test_it_is_the_formula_written_out():
    net, x = image_net(), one(32)
    a = net[:2](x).detach().requires_grad_()
    score = net[2:](a.clone())[0, 1]
    (slope,) = torch.autograd.grad(score, a)
    expected = (slope.mean((2, 3), keepdim=True) * a).sum(1).relu()[0]
    assert torch.allclose(grad_cam(net, x, 1, stage="body"), expected, atol=1e-7)


@pytest.mark.parametrize("around", [torch.no_grad, torch.enable_grad, torch.inference_mode])
def test_it_works_inside_any_mode(around):
    net = image_net()
    with around():
        x = one(32)
        found = grad_cam(net, x, 0)
    assert torch.equal(found, grad_cam(net, one(32), 0)) and not found.requires_grad


@pytest.mark.parametrize("how", ["eval", "train", "frozen", "with gradients"])
def test_the_model_stays_exactly_as_it_was(how):
    net = image_net(dropout=0.5)
    if how == "train":
        net.train()
    elif how == "frozen":
        freeze(net, "stem", "body", "neck", "head")
    elif how == "with gradients":
        net(one()).sum().backward()
    net.body.train()
    before, x = trace(net), one(32)
    given = x.clone()
    grad_cam(net, x, [0, 1])
    cover_up(net, x, [0], grid=2)
    shares(net, x)
    assert same(before, trace(net)) and torch.equal(x, given)


def test_a_frozen_model_gives_the_same_map():
    assert torch.equal(grad_cam(freeze(image_net()), one(32), 1), grad_cam(image_net(), one(32), 1))


def test_dropout_is_off_and_batch_statistics_are_not_used():
    net = image_net(dropout=0.9).train()
    assert torch.equal(grad_cam(net, one(32), 1), grad_cam(image_net(), one(32), 1))


def test_the_last_stage_with_a_fine_map_is_taken():
    assert map_stage({"stem": (1, 3, 8, 8), "neck": (1, 3, 4, 5), "pool": (1, 3)}) == "neck"
    assert map_stage({"stem": (1, 3, 3, 3), "neck": (1, 3, 2, 2), "pool": (1, 3, 1, 1)}) == "stem"
    assert map_stage({"layer0": (1, 5, 16), "pool": (1, 16)}) is None
    assert map_stage({"stem": (1, 3, 1, 1)}) is None
    net = load("efficientnet-lite0", classes=2, pretrained=False, size=64)
    assert grad_cam(net, torch.zeros(1, 3, 64, 64), 0).shape == (4, 4)


def test_a_class_by_name():
    net = image_net()
    net.classes = CLASSES
    assert torch.equal(grad_cam(net, one(32), "light"), grad_cam(net, one(32), 1))
    with pytest.raises(UnknownName, match="light"):
        grad_cam(net, one(32), "lihgt")


@pytest.mark.parametrize("target", [2, -1, True, 0.5])
def test_a_class_that_there_is_not(target):
    with pytest.raises((CourseError, TypeError)):
        grad_cam(image_net(), one(32), target if target != 0.5 else [0.5])


def test_another_precision_and_one_image_without_a_batch():
    full = grad_cam(image_net(), one(32)[0], 0)
    double = grad_cam(image_net().double(), one(32), 0)
    assert full.dtype == double.dtype == torch.float32 and torch.allclose(full, double, atol=1e-6)
    assert grad_cam(image_net().bfloat16(), one(32), 0).isfinite().all()


def test_stages_given_by_hand():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)

        def forward(self, x):
            return self.two(self.one(x).relu().mean((2, 3)))

    net = Net()
    set_stages(net, {"body": [net.one, nn.ReLU()], "pool": [nn.AdaptiveAvgPool2d(1), nn.Flatten()], "head": net.two})
    x = one(16)
    expected = (net.two.weight[0][:, None, None] * net.one(x).relu()[0]).sum(0).relu() / 14**2
    assert torch.allclose(grad_cam(net, x, 0), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("x", "match"),
    [
        (torch.zeros(2, 3, 8, 8), "One image"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), "as the model takes it"),
        ("cat.jpg", "as the model takes it is needed, float .*, not str"),
    ],
)
def test_what_is_no_image_for_it(x, match):
    with pytest.raises(CourseError, match=match):
        grad_cam(image_net(), x, 0)


def test_a_stage_without_places_and_a_net_without_maps():
    with pytest.raises(CourseError, match="gives no map of places"):
        grad_cam(image_net(), one(16), 0, stage="pool")
    flat = nn.Sequential(nn.Flatten(), nn.Linear(192, 2))
    with pytest.raises(CourseError, match="cover_up"):
        grad_cam(flat, one(8), 0)


def test_covering_a_square_is_asking_again():
    net, x = image_net(), one(12)
    falls = cover_up(net, x, [0, 1], grid=3)
    covered = x.clone()
    covered[:, :, 4:8, 8:] = x.mean((2, 3), keepdim=True)
    expected = net(x).softmax(1) - net(covered).softmax(1)
    assert torch.allclose(falls[:, 1, 2], expected[0], atol=1e-6)
    assert torch.allclose(falls[0], -falls[1], atol=1e-6)  # of two classes one wins what the other loses


def test_squares_fill_an_image_that_does_not_divide():
    class Mean(nn.Module):
        def forward(self, x):
            return torch.stack([x.sum((1, 2, 3)), x.new_zeros(len(x))], 1) / 50

    x = torch.ones(1, 3, 7, 5)
    x[..., 0, 0] = 5
    falls = cover_up(Mean(), x, [0], grid=3)
    assert falls.shape == (1, 3, 3) and falls[0].argmax() == 0 and (falls[0].flatten()[1:] < 0).all()
    with pytest.raises(CourseError, match="no 9 by 9 squares"):
        cover_up(Mean(), x, [0], grid=9)


def test_a_word_left_out_is_a_sentence_you_could_type():
    net = text_net()
    struck = strike_words(net, "aaa  zz e", [0, 1])
    assert [struck.text[a:b] for a, b in struck.spans] == ["aaa", "zz", "e"]
    whole, without = (shares(net, net.transform([text]))[0] for text in ("aaa  zz e", "aaa e"))
    assert torch.allclose(struck.falls[:, 1], whole - without, atol=1e-6)


def test_a_text_of_one_word_has_nothing_to_leave_out():
    struck = strike_words(text_net(), "word", [0])
    assert struck.falls.tolist() == [[0.0]] and struck.words == 1


def test_a_long_text_is_struck_some_words_at_a_time():
    net = text_net()
    net.transform = Letters(longest=20)
    struck = strike_words(net, " ".join("abcdefghij"[i % 10] for i in range(200)), [0])
    assert len(struck.spans) <= 48 and struck.spans[0] == (0, 9) and struck.falls.isfinite().all()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("So  good!\n", ["So", "good!"]),
        ("真好 ok", ["真", "好", "ok"]),
        ("abc真def", ["abc", "真", "def"]),
        ("שלום עולם", ["שלום", "עולם"]),
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),
        ("좋은 영화", ["좋은", "영화"]),
        ("👍🏽 👨‍👩‍👧 ok", ["👍🏽", "👨‍👩‍👧", "ok"]),
        ("<img src=x>", ["<img", "src=x>"]),
        ("", []),
    ],
)
def test_words_of_any_script(text, expected):
    assert [text[a:b] for a, b in words(text)] == expected


def test_a_text_is_cut_where_the_model_stops_reading():
    tokenizer = load("minilm").tokenizer
    text = "very good " * 50
    cut = readable(text, TextTransform(tokenizer, max_length=12))
    assert cut == "very good very good very good very good very good"
    assert readable("very good ", TextTransform(tokenizer, max_length=4)) == "very good "
    assert readable(text, Letters()) == text


def test_names_of_classes():
    net = nn.Linear(2, 3)
    assert class_names(net, 3)[0] == ("class 0", "class 1", "class 2")
    net.classes = ("0", "1", "2")
    assert "no names" in class_names(net, 3)[1]
    net.classes = ("a", "b")
    assert "2 names for 3 classes" in class_names(net, 3)[1]
    net.classes = ("crane", "cat", "crane")
    assert class_names(net, 3) == (("crane (class 0)", "cat", "crane (class 2)"), "")


def test_the_thousand_names_of_imagenet_are_all_different():
    net = load("efficientnet-lite0", pretrained=False)
    names, remark = class_names(net, 1000)
    assert len(set(names)) == 1000 and remark == "" and "espresso" in names
    assert 2 <= len([n for n in names if "(class" in n]) <= 8


def test_stages_are_not_needed_for_shares():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(192, 2)

        def forward(self, x):
            return self.fc(x.flatten(1))

    net = Net()
    with pytest.raises(CourseError):
        stages(net)
    assert torch.allclose(shares(net, one(8)), net(one(8)).softmax(1))
    assert cover_up(net, one(8), [0], grid=2).shape == (1, 2, 2)


def test_a_class_as_argmax_gives_it():
    net, x = image_net(), one()
    scores = net(x)
    best = int(scores.argmax())
    wanted, fall = grad_cam(net, x, best), cover_up(net, x, [best], grid=2)
    for target in (scores.argmax(), scores[0].argmax().numpy()[()], np.int64(best)):
        assert torch.equal(grad_cam(net, x, target), wanted)
        assert torch.equal(cover_up(net, x, target, grid=2), fall)
    assert torch.equal(grad_cam(net, x, scores.argmax(1)), wanted[None])


def test_classes_that_are_none_are_told():
    net, x = image_net(), one()
    for show in (grad_cam, cover_up):
        for target in (None, True, 1.0, torch.tensor(0.5)):
            with pytest.raises(CourseError, match="no class"):
                show(net, x, target)
        with pytest.raises(CourseError, match="No class is named"):
            show(net, x, [])
        with pytest.raises(UnknownName, match="'dusk'"):
            show(net, x, "dusk")


def test_one_image_is_covered():
    net, x = image_net(), one()
    assert torch.equal(cover_up(net, x[0], [0], grid=2), cover_up(net, x, [0], grid=2))
    with pytest.raises(CourseError, match="One image is needed, not 2"):
        cover_up(net, torch.cat([x, x]), [0])
    with pytest.raises(CourseError, match="float"):
        cover_up(net, images(1).x, [0])
