"""Whatever a result depends on is compared before something older is used again: features, checkpoints, files."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from small_nets import image_net, images
from small_saved import TEXTS, image_model, outputs, text_model
from torch import nn

from tlcourse import CourseError, fit, freeze, l2_sp, load, lora, save
from tlcourse.features.keys import stage_settings


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path / "home"))
    return tmp_path


class Holder(nn.Module):
    """Holds something that is neither a parameter nor a buffer."""

    def __init__(self, held):
        super().__init__()
        self.held = held


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([1.0], [50.0]),
        ({"default": 2.0}, {"default": 0.0}),
        (torch.ones(3), torch.zeros(3)),
        (torch.sin, torch.cos),
        (lambda x: x + 1, lambda x: x + 2),
        (functools.partial(torch.add, alpha=1), functools.partial(torch.add, alpha=2)),
        ({"red", "green", "blue"}, {"red", "green"}),
        (np.array(["a", None], dtype=object), np.array(["b", None], dtype=object)),
    ],
)
def test_what_a_module_holds_besides_its_tensors_is_part_of_its_key(one, other):
    first, again, second = (stage_settings("a", Holder(held)) for held in (one, one, other))
    assert first == again != second


def test_a_set_has_one_key_in_all_processes():
    code = """
from torch import nn
from tlcourse.features.keys import stage_settings
net = nn.Identity()
net.held = set("abcdefgh")
print(stage_settings("a", net))
"""
    environments = [os.environ | {"PYTHONHASHSEED": seed} for seed in "12"]
    said = [subprocess.run([sys.executable, "-c", code], env=e, capture_output=True, check=True) for e in environments]
    assert said[0].stdout == said[1].stdout != b""


def test_freezing_changes_no_key():
    net = image_net()
    before = [stage_settings(name, stage) for name, stage in net.named_children()]
    assert [stage_settings(name, stage) for name, stage in freeze(net).named_children()] == before


def test_texts_are_padded_on_the_right_whatever_the_tokenizer_prefers():
    model = text_model()
    plain = outputs(model, TEXTS)
    model.tokenizer.padding_side = "left"
    assert torch.equal(outputs(model, TEXTS), plain)
    model.tokenizer.truncation_side = "left"
    assert "truncation_side='left'" in repr(model.transform)


def test_a_merged_detour_is_saved_once_and_a_disabled_one_not_at_all(home):
    model = lora(text_model())
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_()
    detours = [module for module in model.modules() if hasattr(module, "lora_A")]
    assert detours
    for change in (lambda d: d.merge(), lambda d: (d.unmerge(), d.enable_adapters(False))):
        for detour in detours:
            change(detour)
        again = load(save(model, home / "a.safetensors"))
        assert torch.allclose(outputs(again, TEXTS), outputs(model, TEXTS), atol=1e-5)


@pytest.mark.parametrize("name", ["transform", "classes"])
def test_a_changed_word_in_a_saved_model_is_noticed(home, name):
    path = save(image_model(), home / "a.safetensors")
    with safe_open(path, framework="pt") as file:
        about, state = file.metadata(), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    told = json.loads(about[name])
    told = {**told, "size": told["size"] + 4} if name == "transform" else [told[0] + "s", *told[1:]]
    save_file(state, path, metadata=about | {name: json.dumps(told)})
    with pytest.raises(CourseError, match="is not what was saved"):
        load(path)


def test_a_penalty_pulls_the_model_that_it_was_made_for():
    with pytest.raises(CourseError, match=r"belongs to another model(.|\n)*penalty=l2_sp\(model\)"):
        fit(image_net(), images(), epochs=1, penalty=l2_sp(image_net(seed=1)))


@pytest.mark.parametrize(
    ("first", "then", "says"),
    [
        ({"loss": lambda a, b: a.sum() * 0}, {"loss": lambda a, b: a.mean() * 0}, "loss was"),
        ({"pull": 0.01}, {"pull": 10.0}, "penalty was"),
        ({"pull": 0.01}, {"pull": 0.01, "moved": True}, "penalty was"),
        ({}, {"transform": 0.25}, "transform was"),
        ({}, {"momentum": 0.5}, "stages was"),
    ],
)
def test_a_checkpoint_goes_on_only_as_it_began(home, first, then, says):
    def run(pull=None, moved=False, transform=None, momentum=None, **more):
        net = image_net()
        if moved:
            net.stem[0].weight.data += 1
        if transform is not None:
            net.transform = type(net.transform)(transform)
        if momentum is not None:
            net.body[2].momentum = momentum
        penalty = l2_sp(net, pull) if pull else None
        return fit(net, images(), epochs=2, checkpoint=home / "a", penalty=penalty, progress=False, **more)

    run(**first)
    with pytest.raises(CourseError, match=rf"belongs to another run(.|\n)*{says}"):
        run(**then)
