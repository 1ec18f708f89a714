"""A run that was killed goes on where its last epoch ended, to the same last bit; a file of another run is refused."""

from __future__ import annotations

import errno
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_nets import image_net, images, text_net, texts
from torch import nn
from torch.nn import functional as F

from tlcourse import CourseError, changed, extract, fine_tune, fit, freeze, snapshot
from tlcourse.training import checkpoint as checkpoints

TESTS = Path(__file__).resolve().parent


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path / "home"))
    return tmp_path


# killed ------------------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
sys.path.insert(0, {here!r})
import torch
torch.set_num_threads(1)  # a pool of threads does not survive a fork
from torch.nn import functional as F
from torchvision.transforms import v2
from small_nets import image_net, images, text_net, texts
from tlcourse import fine_tune, fit, freeze

calls = 0

def loss(logits, labels):
    global calls
    calls += 1
    if calls == limit:
        os.kill(os.getpid(), signal.SIGKILL)
    return F.cross_entropy(logits, labels)

def shifted(x):
    return x.roll(int(torch.randint(0, 8, (1,))), -1)

def whole(path):
    more = dict(epochs=5, lr=0.05, schedule="cosine", weight_decay=0.01, decay=0.9)
    net, data = image_net(dropout=0.3), images(40)
    return net, lambda: fit(net, data[:30], data[30:], batch=10, augment=shifted, patience=4, loss=loss,
                            checkpoint=path, **more)

def behind_kept_features(path):
    net, data = freeze(image_net(dropout=0.3), until="body"), images(40)
    return net, lambda: fit(net, data[:30], data[30:], batch=10, epochs=5, lr=0.05, patience=3, seed=3, loss=loss,
                            schedule="linear", checkpoint=path, augment=v2.RandomHorizontalFlip(), views=2)

def in_texts(path):
    net, data = freeze(text_net(dropout=0.3), until="layer1"), texts(30)
    return net, lambda: fit(net, data, batch=10, epochs=5, lr=0.05, optimizer=torch.optim.Adam, loss=loss,
                            checkpoint=path)

def in_phases(path):
    net, data = image_net(dropout=0.3), images(30)
    return net, lambda: fine_tune(net, data, batch=10, head_epochs=2, epochs=3, unfreeze="gradual", loss=loss,
                                  checkpoint=path)

for make in (whole, behind_kept_features, in_texts, in_phases):
    limit = 0
    expected, run = make(None)
    rows = run().rows
    assert len({{row["loss"] for row in rows}}) == len(rows) > 2
    for last in (2, 8, 3 * len(rows)):
        net, run = make(f"{{sys.argv[1]}}/{{make.__name__}}{{last}}")
        if os.fork() == 0:
            calls, limit = 0, last
            run()
            os._exit(7)  # it should have been killed
        assert os.wait()[1] == signal.SIGKILL, make
        calls, limit = 0, 0
        again = run()
        for row, other in zip(rows, again.rows, strict=True):
            assert {{k: v for k, v in row.items() if k != "seconds"}} == {{
                k: v for k, v in other.items() if k != "seconds"}}, (make, last, row, other)
        for name, tensor in expected.state_dict().items():
            assert torch.equal(tensor, net.state_dict()[name]), (make, last, name)
        print(make.__name__, last, again.resumed)
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_a_killed_run_goes_on_to_the_same_last_bit(home):
    # one process forks all that are killed: much faster than a process each
    done = subprocess.run(
        [sys.executable, "-c", KILLED.format(here=str(TESTS)), str(home)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [line.split() for line in done.stdout.splitlines()]
    resumed = {(name, int(last)): int(after) for name, last, after in lines}
    assert len(resumed) == 12 and all(after == (int(last) - 1) // 3 for (_, last), after in resumed.items())
    assert not list(home.glob("*.part"))


# stopped -----------------------------------------------------------------------------------------


def run(path, net=None, data=None, **more):
    options = {"epochs": 3, "lr": 0.01, "batch": 10, "checkpoint": path, **more}
    return fit(net or freeze(image_net(dropout=0.3), until="body"), images(20) if data is None else data, **options)


def stops(after):
    calls = []

    def loss(logits, labels):
        calls.append(1)
        if len(calls) > after:
            raise KeyboardInterrupt
        return F.cross_entropy(logits, labels)

    return loss


def test_an_interrupted_run_goes_on_and_says_so(home, capsys):
    def loss(logits, labels):  # of the same name as the one that stops
        return F.cross_entropy(logits, labels)

    loss.__qualname__ = stops(0).__qualname__
    net = freeze(image_net(dropout=0.3), until="body")
    first = run(home / "a", net, loss=stops(5))
    assert first.interrupted and len(first) == 2
    second = run(home / "a", net, loss=loss)
    assert second.resumed == 2 and len(second) == 3 and second.rows[:2] == first.rows
    assert second.seconds >= sum(row["seconds"] for row in second.rows)
    assert "Went on from a checkpoint after epoch 2" in repr(second) and not second.interrupted
    other = freeze(image_net(dropout=0.3), until="body")
    expected = run(None, other, loss=loss)
    assert [r["loss"] for r in second.rows] == [r["loss"] for r in expected.rows]
    assert all(torch.equal(a, b) for a, b in zip(net.state_dict().values(), other.state_dict().values(), strict=True))
    capsys.readouterr()


def test_a_finished_run_returns_at_once(home):
    net, passes = freeze(image_net(), until="body"), []
    first = run(home / "a", net)
    other = freeze(image_net(), until="body")
    other.head.register_forward_hook(lambda head, *_: passes.append(1) if head.training else None)
    again = run(home / "a", other)
    assert again.rows == first.rows and passes == [] and "held the whole run" in repr(again)
    assert all(torch.equal(a, b) for a, b in zip(net.state_dict().values(), other.state_dict().values(), strict=True))


def test_the_rate_goes_on_where_the_schedule_stood(home):
    rates = []

    class Watched(torch.optim.SGD):
        def step(self, *more):
            rates.append(self.param_groups[0]["lr"])
            if len(rates) == 5:
                raise KeyboardInterrupt
            return super().step(*more)

    for _ in range(2):
        run(home / "a", schedule="linear", warmup=0, optimizer=Watched)
    assert rates == pytest.approx([0.01 * (1 - k / 6) for k in (0, 1, 2, 3, 4, 4, 5)])


def test_each_phase_of_fine_tune_has_its_file(home):
    rows = [
        fine_tune(image_net(dropout=0.3), images(20), epochs=2, unfreeze=2, checkpoint=home / "a").rows
        for _ in range(2)
    ]
    assert rows[0] == rows[1] and sorted(f.name for f in home.glob("a*")) == ["a.0", "a.1"]


def test_a_folder_is_made_and_what_is_frozen_is_not_stored(home):
    run(home / "deep" / "down" / "a.ckpt")
    state = torch.load(home / "deep" / "down" / "a.ckpt", weights_only=True)
    assert {name.split(".")[0] for name in state["model"]} == {"neck", "head"}


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


DAMAGE = {
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
