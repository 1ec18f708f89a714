"""The full profile as a user with a network meets it, against a stand-in of the hubs on this machine.

Each user is a process of its own with fresh caches. Not tried: the true bytes, and their hosts.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import _hub
import pytest

from tlcourse.assets import registry

HERE = Path(__file__).resolve().parent
OF_HUBS = [name for name, asset in registry().items() if asset.kind == "hub"]
FCOS, EUROSAT = "fcos_resnet50_fpn_coco-99b0c9b7.pth", "EuroSAT.zip"
LOST = {
    f"hf:{_hub.ZH_EN}",  # a repository that is not there
    f"hf:{_hub.SQUAD}",  # interrupted
    "eurosat",  # a truncated archive
    "torchvision:fcos_resnet50_fpn",  # a truncated file
}


class User:
    """Runs `_hub_user.py` with caches of its own."""

    def __init__(self, home: Path, hub: _hub.Hub):
        home.mkdir()
        far = {path.split("/")[-1]: body for path, body in hub.files.items() if path.startswith("far/")}
        sums = {name: hashlib.sha256(body).hexdigest() for name, body in far.items()}
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "TLCOURSE_", "TORCH_HOME", "KERAS_"))}
        self.environment = kept | {
            "HOME": str(home), "HF_HOME": str(home / "hf"), "TORCH_HOME": str(home / "torch"),
            "KERAS_HOME": str(home / "keras"), "TLCOURSE_HOME": str(home / "course"),
            "TLCOURSE_TEST_SUMS": json.dumps(sums), "PYTHONPATH": str(HERE.parent),
        }  # fmt: skip

    def run(self, *words: str, hub: str = "http://127.0.0.1:9", **more: str) -> subprocess.CompletedProcess:
        environment = self.environment | {"HF_ENDPOINT": hub, "TLCOURSE_TEST_HUB": hub} | more
        command = [sys.executable, str(HERE / "_hub_user.py"), *words]
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=300
        )


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return _hub.everything(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="module")
def story(whole, tmp_path_factory):
    """A first fetch over a bad line, a second over a good one, and a use without any."""
    user, bad, told = User(tmp_path_factory.mktemp("users") / "one", whole), whole.copy(), {}
    bad.files = {path: body for path, body in whole.files.items() if not path.startswith(f"hf/{_hub.ZH_EN}/")}
    bad.cut = {EUROSAT, FCOS, f"{_hub.SQUAD}/resolve/{_hub.COMMIT}/model.safetensors"}
    fetch = ("fetch", "--profile", "full", "--yes", *OF_HUBS)
    with _hub.serving(bad) as url:
        told["bad"] = user.run(*fetch, hub=url)
    with _hub.serving(whole) as url:
        told["good"] = user.run(*fetch[:4], *LOST, "pet-masks", f"hf:{_hub.BERT}", "--json", hub=url)
    told["asked"], quiet = list(whole.log), whole.copy()
    with _hub.serving(quiet) as url:  # it is there, and nobody asks it
        told["use"] = user.run("use", "keras", TLCOURSE_PROFILE="full", hub=url)
    told["asked later"] = quiet.log
    return told


def test_what_fails_does_not_stop_the_rest_and_is_told(story):
    done = story["bad"]
    assert done.returncode == 1, done.stderr
    for name in OF_HUBS:
        assert f"{name}: {'failed' if name in LOST else 'fetched'}" in done.stdout.splitlines(), done.stdout
    assert f"{len(LOST)} of {len(OF_HUBS)} failed" in done.stderr and "the same command fetches the rest" in done.stderr
    assert "Traceback" not in done.stderr
    for reason in ("not a valid model identifier", "invalid hash value", "corrupted", "(It began with: "):
        assert reason in done.stdout
    said = " ".join(done.stdout.split())
    for name in OF_HUBS:
        row = next(line for line in done.stdout.splitlines() if line.startswith(f"{name} "))
        assert registry()[name].package in row and f"{registry()[name].package} {registry()[name].licence}" in said
    assert max(map(len, done.stdout.partition("To be fetched")[0].splitlines())) <= 100
    assert "To be fetched: about 3.1 GB" in done.stdout


def test_the_same_command_fetches_the_rest(story):
    done = story["good"]
    assert done.returncode == 0, done.stderr
    actions = {one["name"]: one["action"] for one in json.loads(done.stdout)}
    here = {"pet-masks", f"hf:{_hub.BERT}"}
    assert {name for name, action in actions.items() if action == "fetched"} == LOST
    assert {name for name, action in actions.items() if action == "already here"} == here
    large = [
        line for line in story["asked"] if line.startswith("GET") and line.endswith((".safetensors", ".bin", "gz"))
    ]
    assert {line.split("/resolve/")[0] for line in large} == {f"GET {_hub.ZH_EN}", f"GET {_hub.SQUAD}"}


def test_afterwards_all_of_it_is_used_without_a_network(story):
    done = story["use"]
    assert done.returncode == 0, done.stderr
    assert story["asked later"] == [] and "Retrying" not in done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["bert"] == [1, 2] and told["resnet50"] == 2
    for name in (_hub.EN_FR, _hub.ZH_EN):  # with safetensors, and without
        assert len(told[f"hf:{name}"]) == 2 and all(isinstance(text, str) for text in told[f"hf:{name}"])
    assert told["reader"] and told["reader"] in "it is on the table"
    for name in ("fasterrcnn", "fcos", "maskrcnn"):
        assert told[name] == [80, True, 0.01]
    assert told["sms-spam"]["classes"] == ["ham", "spam"] and sum(told["sms-spam"]["sizes"]) == 21
    assert told["sms-spam"]["shape"] == "see you at 0"  # without the line break of the file
    assert told["medmnist"]["sizes"] == [18, 9, 9] and told["medmnist"]["shape"] == [3, 28, 28]
    assert told["eurosat"] == {"classes": ["AnnualCrop", "Forest", "River"], "sizes": [9, 3, 3], "shape": [3, 64, 64]}
    assert told["pet-masks"]["sizes"] == [6, 4, 4] and told["pet-masks"]["shape"] == [3, 32, 32]
    assert told["masks"] == [0, 1, 2] and told["offline"] == [1, 21]
    assert (told["licence"], told["source"]) == (
        registry()[f"hf:{_hub.BERT}"].licence,
        registry()[f"hf:{_hub.BERT}"].home,
    )
    assert told["keras"] == [None, 2, 2, 2048, 0.01]


def test_a_model_of_another_family_is_refused_with_what_to_take(story):
    told = json.loads(story["use"].stdout.splitlines()[-1])["refused"]
    for said, what, do in zip(
        told,
        ("This is a bert model", "A bert model reads pairs in another way", "reads one text and writes another"),
        ("opus-mt", "DistilBERT or RoBERTa", "load_translator"),
        strict=True,
    ):
        assert what in said and do in said.partition("Next: ")[2]
