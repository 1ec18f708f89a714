"""The key of the cache: features are read back only where nothing that they depend on has changed."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from small_nets import Scale, image_net, images, text_net, texts
from torch import nn
from torchvision import transforms as v1
from torchvision.transforms import v2

from tlcourse import extract, fit, freeze, load

TESTS = Path(__file__).resolve().parent


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path))
    return tmp_path


def one_bit(tensor):
    tensor.detach().view(torch.int32).view(-1)[0] ^= 1


def painted(data):
    data.x[3, 0, 0, 0] += 1
    return data


CHANGES = {
    "one bit of an early weight": lambda a: one_bit(a["model"].stem[0].weight),
    "a BatchNorm buffer": lambda a: one_bit(a["model"].stem[1].running_mean),
    "a setting of a layer": lambda a: setattr(a["model"].stem[1], "eps", 1e-3),
    "the transform's numbers": lambda a: a.update(transform=Scale(0.4)),
    "the stage": lambda a: a.update(stage="neck"),
    "the dtype": lambda a: a.update(dtype=torch.float16),
    "pooled": lambda a: a.update(pooled=True),
    "a pixel": lambda a: painted(a["data"]),
    "an id": lambda a: a.update(data=replace(a["data"], ids=("other", *a["data"].ids[1:]))),
    "fewer items": lambda a: a.update(data=a["data"][:-1]),
    "augmentation": lambda a: a.update(augment=v2.RandomVerticalFlip(), views=1),
    "the augmentation's numbers": lambda a: a.update(augment=v2.RandomVerticalFlip(0.6), views=1),
    "the seed of the augmentation": lambda a: a.update(augment=v2.RandomVerticalFlip(), views=1, seed=1),
    "views": lambda a: a.update(augment=v2.RandomVerticalFlip(), views=2),
}


def test_any_change_is_computed_anew_and_the_same_is_read():
    keys = set()
    for change in (lambda a: None, *CHANGES.values()):
        arguments = {"model": image_net(), "data": images(), "stage": "body"}
        change(arguments)
        fresh = extract(**arguments)
        keys.add(fresh.key)
        assert not fresh.kept, f"number {len(keys)} was taken for an earlier one"
        again = extract(**arguments)
        assert again.kept and torch.equal(again.x, fresh.x) and again.key == fresh.key
    assert len(keys) == len(CHANGES) + 1


def test_size_and_mean_of_the_courses_transform_are_in_the_key():
    data, net = images(4), load("efficientnet-lite0", classes=2, pretrained=False, size=32)
    assert not extract(net, data, "stem").kept and extract(net, data, "stem").kept
    for change in ({"size": 64}, {"mean": (0.4, 0.5, 0.5)}, {"crop": 0.9}, {"interpolation": "bilinear"}):
        assert not extract(net, data, "stem", transform=replace(net.transform, **change)).kept, change


def test_what_comes_behind_the_stage_does_not_matter():
    net, data = image_net(), images()
    extract(net, data, "body")
    one_bit(net.neck[1].weight)
    net.head = nn.Linear(8, 5)
    assert extract(net, data, "body").kept
    assert extract(image_net(classes=7).train(), data, "body").kept
    freeze(net, until="body")
    fit(image_net(), data, epochs=1)
    assert extract(net, data, "body").kept


@dataclass(frozen=True)
class Secret:
    """A transform whose text does not say what it does."""

    how: object

    def __call__(self, x):
        return self.how(x.float())

    def __repr__(self):
        return "Secret()"


@pytest.mark.parametrize(
    "transform",
    [
        lambda x: x.float(),
        Secret(lambda x: x * 2),
        v2.Compose([v2.ToDtype(torch.float32), v2.Lambda(lambda x: x * 2)]),
        v1.Compose([v1.ConvertImageDtype(torch.float32), v1.Lambda(lambda x: x * 2)]),
    ],
    ids=["lambda", "object", "v2", "v1"],
)
def test_what_has_no_stable_description_is_not_kept(transform, home):
    for _ in range(2):
        features = extract(image_net(), images(), transform=transform)
        assert not features.kept and features.key is None and features.x.shape == (24, 8)
    assert not list(home.rglob("*.safetensors"))


@pytest.mark.parametrize("change", ["hook", "forward", "class of a notebook"])
def test_a_stage_that_runs_other_code_is_not_read(change):
    data, net = images(), image_net()
    expected = extract(net, data).x
    if change == "hook":
        net.stem.register_forward_hook(lambda module, x, y: y * 2)
    elif change == "forward":
        net.stem.forward = lambda x: nn.Sequential.forward(net.stem, x) * 2
    else:
        cell = {"nn": nn, "__name__": "__main__"}
        exec("class Double(nn.Sequential):\n  def forward(self, x): return 2 * super().forward(x)", cell)
        net.stem.__class__ = cell["Double"]
    features = extract(net, data)
    assert not features.kept and features.key is None and not torch.equal(features.x, expected)


def test_state_that_a_transforms_text_leaves_out_is_in_the_key(tmp_path, monkeypatch):
    code = "import torch\nclass Times(torch.nn.Module):\n  def __init__(self, by):\n    super().__init__()\n"
    code += "    self.by = by\n  def forward(self, x): return x.float() * self.by\n"
    (tmp_path / "own_transform.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    from own_transform import Times

    assert repr(Times(1)) == repr(Times(2))
    assert not extract(image_net(), images(), transform=Times(1)).kept
    assert not extract(image_net(), images(), transform=Times(2)).kept
    assert extract(image_net(), images(), transform=Times(2)).kept
    (tmp_path / "own_transform.py").write_text(code.replace("* self.by", "/ self.by"))
    assert not extract(image_net(), images(), transform=Times(2)).kept


OTHER = """
from small_nets import *
from tlcourse import extract
for f in extract(image_net(), images()), extract(text_net(), texts(), "layer2"):
    print(f.kept, f.key)
"""


def test_another_process_reads_what_this_one_computed():
    keys = extract(image_net(), images()).key, extract(text_net(), texts(), "layer2").key
    said = subprocess.run([sys.executable, "-c", OTHER], cwd=TESTS, capture_output=True, text=True)
    assert said.stdout.split() == ["True", keys[0], "True", keys[1]], said.stderr[-2000:]
