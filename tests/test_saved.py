"""`save` and `load(path)`: a model ready for use in one file, on any machine; what is no such file is explained."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch
from safetensors import safe_open
from small_nets import image_net, images
from small_saved import PICTURES, TEXTS, image_model, outputs, text_model
from torch import nn

from tlcourse import CourseError, changed, evaluate, extract, fit, freeze, load, save, snapshot, stages

TESTS = Path(__file__).resolve().parent


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path / "home"))
    return tmp_path


# what comes back ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("efficientnet-lite0", {}),
        ("efficientnet-lite0", {"classes": 3, "size": None}),
        ("timm:resnet10t", {}),
        ("timm:vit_tiny_patch16_224", {"size": None, "classes": None}),
        ("torchvision:mobilenet_v3_small", {}),
    ],
)
def test_an_image_model_comes_back_whole(home, name, more):
    model = image_model(name, **more)
    with torch.no_grad():
        for tensor in model.state_dict().values():
            if tensor.is_floating_point():
                tensor.mul_(1.01)
    assert save(model, home / "net.safetensors") == home / "net.safetensors"
    again = load(home / "net.safetensors")
    assert torch.equal(outputs(again, PICTURES), outputs(model, PICTURES))
    assert again.classes == model.classes and again.card == model.card and again.transform == model.transform
    assert repr(again.transform) == repr(model.transform) and not again.training
    assert list(again.state_dict()) == list(model.state_dict())
    assert [n for n, _ in stages(again).named_children()] == [n for n, _ in stages(model).named_children()]


def test_a_text_model_comes_back_with_its_tokenizer(home):
    model = text_model()
    path = save(model, str(home / "texts.safetensors"))
    again = load(str(path))
    assert torch.equal(outputs(again, TEXTS), outputs(model, TEXTS))
    ours, theirs = model.transform(TEXTS), again.transform(TEXTS)
    assert torch.equal(ours.x, theirs.x) and torch.equal(ours.mask, theirs.mask) and ours.x.shape == (4, 9)
    assert again.classes == ("no", "yes, ä") and again.card == model.card
    assert again.transform.max_length == 9 and repr(again.transform) == repr(model.transform)
    assert again.tokenizer.model_max_length == 32 and again.tokenizer.pad_token == "[PAD]"
    assert again.tokenizer.decode(ours.x[1]) == model.tokenizer.decode(ours.x[1])


@pytest.mark.assets
def test_the_small_profiles_text_model(home, monkeypatch):
    monkeypatch.delenv("TLCOURSE_HOME")
    model = load("minilm", classes=2)
    again = load(save(model, home / "minilm.safetensors"))
    texts = ["A film to remember.", "Näh — wörse than awful 😀", "word " * 300]
    assert torch.equal(outputs(again, texts), outputs(model, texts))
    assert repr(again.transform) == repr(model.transform), "kept features are those of the same transform"


def test_a_trained_model_scores_the_same_and_what_was_kept_fits_it(home):
    model, data = freeze(image_model(classes=images().classes), until="pool"), images(12)
    fit(model, data, epochs=1, lr=0.01)
    again = freeze(load(save(model, home / "a.safetensors")))
    assert extract(again, data).kept, "the same weights, settings and transform have the same key"
    assert evaluate(again, data).loss == evaluate(model, data).loss
    before = snapshot(again)
    fit(again, data, epochs=1, lr=0.01)
    assert changed(again, since=before)["parameters moved"]["head"] == 2


ELSEWHERE = """
import sys, torch
from tlcourse import load
sys.modules["peft"] = None
for name in ("texts", "images"):
    model, (raw, expected) = load(f"{sys.argv[1]}/{name}.safetensors"), torch.load(f"{sys.argv[1]}/{name}.pt")
    with torch.no_grad():
        print(torch.equal(model(model.transform(raw)), expected), *model.classes)
"""


def test_another_machine_without_a_network_and_without_assets(home):
    for name, model, raw in (("texts", text_model(), TEXTS), ("images", image_model(), PICTURES)):
        save(model, home / f"{name}.safetensors")
        torch.save((raw, outputs(model, raw)), home / f"{name}.pt")
    environment = {
        "TLCOURSE_HOME": str(home / "nothing"), "HF_HOME": str(home / "no hub"), "TLCOURSE_OFFLINE": "1",
        "PYTHONPATH": str(TESTS / "no_network"),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, str(home)], capture_output=True, text=True, encoding="utf-8",
        env={**os.environ, **environment, "PYTHONIOENCODING": "utf-8"},
    )  # fmt: skip
    assert done.stdout.splitlines() == ["True no yes, ä", "True Katze chien"], done.stderr[-2000:]


# the file ----------------------------------------------------------------------------------------


def test_an_older_file_is_replaced_whole_or_not_at_all(home, monkeypatch):
    path = home / "deep" / "a.safetensors"
    save(text_model(seed=1), path)
    first = path.read_bytes()
    save(text_model(seed=2), path)
    assert path.read_bytes() != first and [f.name for f in path.parent.iterdir()] == ["a.safetensors"]
    second = path.read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CourseError, match=r"could not be saved(.|\n)*No space left(.|\n)*a folder with room"):
        save(text_model(seed=3), path)
    monkeypatch.undo()
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(CourseError, match="could not be saved"):
        save(text_model(seed=3), path)
    assert path.read_bytes() == second and [f.name for f in path.parent.iterdir()] == ["a.safetensors"]


def test_no_right_to_write_is_explained(home):
    (home / "file").write_text("")
    with pytest.raises(CourseError, match="could not be saved"):
        save(text_model(), home / "file" / "a.safetensors")


@pytest.mark.parametrize("name", ["a", "a.pt", "a.safetensors.bak", ""])
def test_the_name_says_what_it_is(home, name):
    with pytest.raises(CourseError, match=r'End it with "\.safetensors"'):
        save(text_model(), home / name)


def test_only_models_of_load_are_saved(home):
    bare = image_net()
    other = text_model()
    other.transform = lambda texts: texts
    for model in (bare, other, nn.Linear(2, 2)):
        with pytest.raises(CourseError, match=r"torch\.save\(model\.state_dict\(\), path\)"):
            save(model, home / "a.safetensors")
    assert list(home.iterdir()) == []


# what is no such file ----------------------------------------------------------------------------


def rewritten(path, **changes):
    """The file with other metadata; None takes an entry out."""
    with safe_open(path, framework="pt") as file:
        about, state = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    about = {name: value for name, value in (about | changes).items() if value is not None}
    safetensors.torch.save_file(state, path, metadata=about)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda f: f.write_bytes(f.read_bytes()[:-10]), "cannot be read"),
        (lambda f: f.write_bytes(f.read_bytes()[:50]), "cannot be read"),
        (lambda f: f.write_bytes(b""), "cannot be read"),
        (lambda f: f.write_text("a letter"), "cannot be read"),
        (lambda f: torch.save({"a": torch.zeros(2)}, f), "cannot be read"),
        (lambda f: f.write_bytes(f.read_bytes()[:-1] + bytes([f.read_bytes()[-1] ^ 1])), "is not what was saved"),
        (lambda f: f.unlink(), "There is no file"),
        (lambda f: (f.unlink(), f.mkdir()), "There is no file"),
        (lambda f: safetensors.torch.save_file({"a": torch.zeros(2)}, f), "not a model of this course"),
        (lambda f: rewritten(f, format="tlcourse model 0"), "another version of the course"),
        (lambda f: rewritten(f, card=None), r"cannot be understood(.|\n)*Save the model again"),
        (lambda f: rewritten(f, card="{"), "cannot be understood"),
        (lambda f: rewritten(f, card='{"name": "minilm"}'), "cannot be understood"),
        (lambda f: rewritten(f, transform='{"colour": 3}'), "cannot be understood"),
        (lambda f: rewritten(f, classes=json.dumps(["one", "two", "three"])), "do not fit the model 'minilm'"),
    ],
)
@pytest.mark.parametrize("make", [text_model, image_model])
def test_what_cannot_be_loaded_is_explained(home, damage, says, make):
    path = save(make(), home / "a.safetensors")
    damage(path)
    says = says.replace("minilm'", "(minilm|efficientnet-lite0)'")
    with pytest.raises(CourseError, match=says):
        load(path)


def test_a_head_of_ones_own_is_explained(home):
    model = image_model()
    model.classifier = nn.Sequential(nn.Linear(1280, 8), nn.ReLU(), nn.Linear(8, 2))
    path = save(model, home / "a.safetensors")
    with pytest.raises(CourseError, match=r"do not fit(.|\n)*replaced before saving(.|\n)*put your own head on it"):
        load(path)


@pytest.mark.parametrize("more", [{"classes": 2}, {"pretrained": False}, {"size": 64}])
def test_a_saved_model_has_its_own_classes_size_and_weights(home, more):
    path = save(text_model(), home / "a.safetensors")
    with pytest.raises(CourseError, match="Leave out the other arguments"):
        load(path, **more)
