"""`lora`: nothing changes at first; then the detours and the head move, and nothing else does."""

from __future__ import annotations

import copy
import sys

import pytest
import timm
import torch
from small_nets import image_net, images, text_net, texts
from small_saved import PICTURES, TEXTS, image_model, outputs, text_model
from torch import nn

from tlcourse import CourseError, changed, cost, fine_tune, fit, freeze, frozen, load, lora, save, snapshot, stages
from tlcourse.freezing.lora import adapted

pytest.importorskip("peft")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path / "home"))
    return tmp_path


def trainable(model):
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def vit():
    torch.manual_seed(0)
    model = timm.create_model("vit_tiny_patch16_224", img_size=32, depth=2, num_classes=2).eval()
    model.transform = lambda x: x.float() / 255
    return model


def mobilenet():
    torch.manual_seed(0)
    model = timm.create_model("mobilenetv3_small_050", num_classes=2).eval()
    model.transform = lambda x: x.float() / 255
    return model


SQUEEZE = ("conv_reduce", "conv_expand")
MODELS = {
    # name: (how it is made, its data, ends of the names of the modules with a detour)
    "texts": (text_net, texts(), {"query", "value"}),
    "vit": (vit, images(size=32), {"qkv"}),
    "mobilenet": (
        mobilenet,
        images(size=32),
        {"conv_pw", "conv_pwl", "conv", "conv_head", "conv_reduce", "conv_expand"},
    ),
}


@pytest.mark.parametrize("case", MODELS)
def test_at_first_nothing_changes_then_only_detours_and_head_move(case):
    make, data, ends = MODELS[case]
    model = make()
    raw = model.transform(data.x[:6])
    with torch.no_grad():
        before = model(raw)
    assert lora(model, rank=3) is model
    with torch.no_grad():
        assert torch.equal(model(raw), before) and torch.equal(stages(model)(raw), before)
    assert {name.split(".")[-1] for name, _ in adapted(model)} <= ends
    head = dict(stages(model).named_children())["head"]
    detours = sum(p.numel() for n, p in model.named_parameters() if "lora_" in n)
    assert trainable(model) == detours + sum(p.numel() for p in head.parameters()) > 0

    start = snapshot(model)
    history = fit(model, data, data, epochs=2, lr=1e-2, batch=8)
    moved = {name for name, tensor in snapshot(model).items() if not torch.equal(tensor, start[name])}
    heads = {name for name, p in model.named_parameters() if any(p is q for q in head.parameters())}
    assert heads <= moved and all("lora_" in name for name in moved - heads), "BatchNorm or a frozen matrix moved"
    assert {name for name, _ in model.named_parameters() if "lora_" in name} <= moved
    assert history.rows[-1]["loss"] != history.rows[0]["loss"]


def test_the_number_of_parameters_is_the_formulas():
    model = lora(text_net(), rank=4)
    # query and value of four layers are 16 x 16: A has rank x 16 numbers, B 16 x rank; the head 16 x 2 + 2
    assert trainable(model) == 4 * 2 * (4 * 16 + 16 * 4) + 34
    assert len(adapted(model)) == 8 and cost(model, texts()).trainable == trainable(model)


def test_a_detour_is_scale_times_b_times_a():
    model, x = lora(text_net(dropout=0.0), rank=2, scale=3.0), torch.randn(5, 16)
    module = adapted(model)[0][1]
    with torch.no_grad():
        module.lora_B["default"].weight.normal_()
        base, a, b = module.base_layer, module.lora_A["default"].weight, module.lora_B["default"].weight
        assert torch.allclose(module(x), x @ (base.weight + 3.0 * b @ a).T + base.bias, atol=1e-5)


def test_stages_without_a_detour_are_truly_frozen():
    model = lora(text_net(), targets=["layer.2.attention.self.query"])
    assert frozen(model) == ("embeddings", "layer0", "layer1", "layer3", "pool")
    assert not any(p.requires_grad for n, p in model.named_parameters() if "layer.2" in n and "lora_" not in n)
    layers = model.train().encoder.encoder.layer
    assert not any(m.training for i in (0, 1, 3) for m in layers[i].modules())
    assert layers[2].output.dropout.training, "dropout in a stage that trains is off"
    history = fit(model, texts(), epochs=2, keep=True)
    assert "Kept at 'layer1'" in history.keeping
    names = [name for name in frozen(lora(mobilenet())) if name != "pool"]
    assert names == ["stem"], "each block of a MobileNet has a 1x1 convolution"


def test_seeds_and_the_callers_random_numbers():
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    a = [snapshot(lora(text_net(), seed=seed)) for seed in (0, 0, 1)]
    assert torch.equal(torch.rand(2), expected)
    names = [name for name in a[0] if "lora_A" in name]
    assert all(torch.equal(a[0][name], a[1][name]) and not torch.equal(a[0][name], a[2][name]) for name in names)
    assert all(torch.count_nonzero(tensor) == 0 for name, tensor in a[0].items() if "lora_B" in name)


def test_its_dropout_is_on_in_training_only():
    model, data = lora(text_net(dropout=0.0), dropout=0.5), texts()
    fit(model, data, epochs=1, lr=0.1)
    tokens = model.transform(data.x)
    with torch.no_grad():
        for module in model.modules():  # of BERT's own dropout nothing remains
            if isinstance(module, nn.Dropout) and module.p == 0.1:
                module.p = 0.0
        assert torch.equal(model.eval()(tokens), model(tokens))
        assert not torch.equal(model.train()(tokens), model(tokens))


def test_a_model_that_was_frozen_before_and_a_copy():
    model = lora(freeze(text_net(), "*"), rank=2)
    assert trainable(model) == 4 * 2 * 64 + 34
    start, twin = snapshot(model), copy.deepcopy(model)
    fit(twin, texts(), epochs=3)  # B is zero, so in the first step A has no gradient
    moved = changed(twin, since=start)["parameters moved"]
    assert moved["embeddings"] == 0 and moved["layer0"] == 4 and moved["head"] == 2
    assert changed(model, since=start)["parameters moved"].sum() == 0


# what goes wrong ---------------------------------------------------------------------------------


def test_twice_is_refused():
    model = lora(text_net())
    with pytest.raises(CourseError, match=r"has a LoRA detour already(.|\n)*Load the model anew"):
        lora(model)


@pytest.mark.parametrize(
    ("make", "more", "says"),
    [
        (text_net, {"targets": ["querry"]}, r"targets=\['querry'\](.|\n)*named_modules\(\)"),
        (text_net, {"targets": "head"}, "no module to put a detour beside"),
        (text_net, {"targets": []}, "no module to put a detour beside"),
        (lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 4), nn.Linear(4, 2)), {}, "targets=None"),
        (text_net, {"rank": 0}, "rank=0"),
        (image_net, {"targets": ["stem.1"]}, r"BatchNorm2d(.|\n)*matrices and convolutions only"),
        (text_net, {"rank": 2.5}, "rank=2.5"),
        (text_net, {"scale": float("nan")}, "scale=nan"),
        (text_net, {"dropout": 1}, "smaller than 1"),
        (lambda: 5, {}, "A model is needed"),
    ],
)
def test_wrong_calls_say_what_to_do(make, more, says):
    model = make()
    before = list(model.state_dict()) if model != 5 else None
    with pytest.raises(CourseError, match=says):
        lora(model, **more)
    assert model == 5 or list(model.state_dict()) == before


def test_without_peft_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(CourseError, match="pip install peft"):
        lora(text_net())


def test_a_hand_written_network_and_targets_of_ones_own():
    model = lora(image_net(), targets=["body.1", "neck.1"], rank=2)
    assert [name for name, _ in adapted(model)] == ["body.1", "neck.1"]
    start = snapshot(model)
    fit(model, images(), epochs=3, lr=0.01)
    moved = changed(model, since=start)
    assert moved["parameters moved"].tolist() == [0, 2, 2, 0, 2] and moved["buffers moved"].sum() == 0


# saved -------------------------------------------------------------------------------------------


def trained(make, data):
    model = lora(make(), rank=4)
    fit(model, data, epochs=2, lr=0.05, batch=8)
    assert any(p.abs().sum() > 0 for n, p in model.named_parameters() if "lora_B" in n)
    return model


def text_data():
    data = texts(12)
    return type(data)("train", "text", tuple(TEXTS * 3), data.y, ("no", "yes, ä"), data.ids)


def image_data():
    data = images(12, size=32)
    return type(data)("train", "image", data.x, data.y, ("Katze", "chien"), data.ids)


@pytest.mark.parametrize(("make", "data", "raw"), [(text_model, text_data, TEXTS), (image_model, image_data, PICTURES)])
def test_a_saved_model_is_a_plain_one_that_needs_no_peft(home, monkeypatch, make, data, raw):
    model = trained(make, data())
    expected, names = outputs(model, raw), list(make().state_dict())
    path, left = save(model, home / "a.safetensors"), snapshot(model)
    assert changed(model, since=left)["parameters moved"].sum() == 0 and adapted(model), "saving changed the model"
    monkeypatch.setitem(sys.modules, "peft", None)
    again = load(path)
    assert list(again.state_dict()) == names and not adapted(again)
    assert torch.allclose(outputs(again, raw), expected, atol=1e-5)
    assert not torch.allclose(outputs(make(), raw), expected, atol=1e-3), "training changed nothing"
    head = dict(stages(again).named_children())["head"].state_dict()
    for name, tensor in dict(stages(model).named_children())["head"].state_dict().items():
        assert torch.equal(head[name], tensor), "the trained head is lost"


def test_a_checkpoint_of_a_detour_is_small_and_goes_on(home):
    rows = []
    for epochs_before in (3, 0):
        model = lora(text_net(), rank=2)
        rows.append(fit(model, texts(), epochs=3, checkpoint=home / "a").rows)
        assert epochs_before or rows[0] == rows[1]
    state = torch.load(home / "a", weights_only=True)["model"]
    assert any("lora_A" in name for name in state) and not any("embeddings" in name for name in state)


def test_fine_tune_goes_on_from_a_detour(home):
    model = lora(text_net(), rank=2)
    start = snapshot(model)
    fine_tune(model, texts(), epochs=1, unfreeze=1)
    assert changed(model, since=start)["parameters moved"].drop("head").sum() == 0
