"""The checkpoint of another run, a damaged or dangerous file, a full disk: refused, explained, and nothing is lost."""

from __future__ import annotations

import errno
import os
import pickle
import zipfile
from dataclasses import replace

import pytest
import torch
from small_nets import image_net, images, text_net, texts
from torch import nn
from torch.nn import functional as F

from tlcourse import CourseError, changed, extract, fit, freeze, snapshot
from tlcourse.training import checkpoint as checkpoints


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path / "home"))
    return tmp_path


def run(path, net=None, data=None, **more):
    options = {"epochs": 3, "lr": 0.01, "batch": 10, "checkpoint": path, **more}
    return fit(net or freeze(image_net(dropout=0.3), until="body"), images(20) if data is None else data, **options)


# refused -----------------------------------------------------------------------------------------


def frozen_otherwise():
    net = freeze(image_net(dropout=0.3), until="body")
    net.stem[0].weight.data[0] *= 1.5
    return {"net": net}


def wider():
    net = image_net(dropout=0.3)
    net.neck[1], net.neck[2], net.head[1] = nn.Conv2d(6, 9, 1), nn.BatchNorm2d(9), nn.Linear(9, 2)
    return {"net": freeze(net, until="body")}


def flipped(x):
    return x.flip(-1)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (lambda: {"lr": 0.02}, "lr was 0.01, is 0.02"),
        (lambda: {"epochs": 4, "batch": 5}, "epochs was 3, is 4; batch was 10, is 5"),
        (lambda: {"optimizer": torch.optim.SGD}, "optimizer was AdamW, is SGD"),
        (lambda: {"schedule": "cosine"}, "schedule was constant, is cosine"),
        (lambda: {"seed": 1}, "seed was 0, is 1"),
        (lambda: {"data": images(20, seed=1)}, "train was "),
        (lambda: {"data": images(21)}, "train was "),
        (lambda: {"valid": images(6)}, "valid was None"),
        (lambda: {"augment": flipped}, "augment was None, is <function flipped>"),
        (lambda: {"loss": F.cross_entropy}, "loss was None, is <function cross_entropy>"),
        (lambda: {"label_smoothing": 0.1}, "label_smoothing was 0.0, is 0.1"),
        (lambda: {"class_weights": "balanced"}, "class_weights was None"),
        (lambda: {"net": freeze(image_net(dropout=0.3))}, "trains was neck, head, is head"),
        (frozen_otherwise, "frozen was "),
        (wider, "model was Sequential"),
    ],
)
def test_the_file_of_another_run_is_refused_and_what_differs_is_named(home, more, says):
    run(home / "a")
    whole = (home / "a").read_bytes()
    made = more()
    net = made.setdefault("net", freeze(image_net(dropout=0.3), until="body"))
    before = snapshot(net)
    with pytest.raises(CourseError, match=r"belongs to another run(.|\n)*name another file") as caught:
        run(home / "a", **made)
    assert says in caught.value.why
    assert (home / "a").read_bytes() == whole and changed(net, since=before)["parameters moved"].sum() == 0


def test_features_of_other_data_are_other_data(home):
    net = freeze(image_net())
    for cache in (True, False):
        run(home / f"{cache}", freeze(image_net()), extract(net, images(20), cache=cache))
        for other in (images(20, seed=1), replace(images(20), y=images(20).y.flip(0))):
            with pytest.raises(CourseError, match="train was"):
                run(home / f"{cache}", freeze(image_net()), extract(net, other, cache=cache))


def test_a_function_is_known_by_its_name_not_by_its_address(home):
    def make():
        def flips(x):
            return x.flip(-1)

        return flips

    kept = [make(), make()]
    run(home / "a", augment=kept[0])
    assert run(home / "a", augment=kept[1]).resumed == 3


# damaged and dangerous files ---------------------------------------------------------------------


class Bomb:
    def __init__(self, touched):
        self.touched = touched

    def __reduce__(self):
        return os.mkdir, (str(self.touched),)


def one_bit(file):
    """Another value of one bit, in the largest tensor."""
    with zipfile.ZipFile(file) as parts:
        largest = max((i for i in parts.infolist() if "/data/" in i.filename), key=lambda i: i.file_size)
        inside = parts.read(largest)
    whole = bytearray(file.read_bytes())
    whole[whole.index(inside)] ^= 1
    file.write_bytes(whole)


DAMAGE = {
    "one bit": one_bit,
    "truncated": lambda file: file.write_bytes(file.read_bytes()[:-100]),
    "half of it": lambda file: file.write_bytes(file.read_bytes()[: file.stat().st_size // 2]),
    "empty": lambda file: file.write_bytes(b""),
    "text": lambda file: file.write_text("a letter to somebody"),
    "a tensor": lambda file: torch.save(torch.zeros(3), file),
    "a list": lambda file: torch.save([1, 2], file),
    "a state_dict": lambda file: torch.save(image_net().state_dict(), file),
    "odd settings": lambda file: torch.save({"version": 1, "settings": 5}, file),
    "a bomb": lambda file: torch.save({"version": 1, "settings": {}, "x": Bomb(file.parent / "bomb")}, file),
    "a plain bomb": lambda file: file.write_bytes(pickle.dumps(Bomb(file.parent / "bomb"))),
}


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize("damage", DAMAGE)
def test_what_cannot_be_read_is_explained_and_nothing_in_it_runs(home, damage):
    run(home / "a")
    DAMAGE[damage](home / "a")
    net = freeze(image_net(dropout=0.3), until="body")
    before = snapshot(net)
    with pytest.raises(CourseError, match=r"cannot be read(.|\n)*Delete it to begin anew, or name another file"):
        run(home / "a", net)
    assert not (home / "bomb").exists() and changed(net, since=before)["parameters moved"].sum() == 0


def test_the_file_of_another_version_is_explained(home, monkeypatch):
    monkeypatch.setattr(checkpoints, "VERSION", 99)
    run(home / "a")
    monkeypatch.undo()
    monkeypatch.setenv("TLCOURSE_HOME", str(home / "home"))
    with pytest.raises(CourseError, match="another version of the course"):
        run(home / "a")


@pytest.mark.parametrize("path", [5, ["a"], "."])
def test_what_is_no_file_is_explained(home, monkeypatch, path):
    monkeypatch.chdir(home)
    with pytest.raises(CourseError, match=r'checkpoint="run\.ckpt"'):
        run(path)


def test_a_full_disk_is_explained_and_the_older_file_is_whole(home, monkeypatch):
    writes, save = [], torch.save

    def full(state, file):
        writes.append(1)
        if len(writes) == 3:
            file.write(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        save(state, file)

    monkeypatch.setattr(torch, "save", full)
    net = freeze(image_net(dropout=0.3), until="body")
    before = snapshot(net)
    with pytest.raises(CourseError, match=r"could not be written(.|\n)*No space left(.|\n)*Make room"):
        run(home / "a", net)
    assert [f.name for f in home.iterdir() if f.is_file()] == ["a"]
    assert changed(net, since=before)["parameters moved"]["head"] == 2 and not net.training
    again = freeze(image_net(dropout=0.3), until="body")
    assert run(home / "a", again).resumed == 2
    assert all(torch.equal(a, b) for a, b in zip(net.state_dict().values(), again.state_dict().values(), strict=True))


def test_no_right_to_write_is_explained(home):
    (home / "file").write_text("")
    with pytest.raises(CourseError, match="could not be written"):
        run(home / "file" / "a")


def test_a_text_model_too(home):
    rows = [run(home / "a", text_net(), texts(20)).rows for _ in range(2)]
    assert rows[0] == rows[1]
