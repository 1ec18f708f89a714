"""A run that was killed goes on where its last epoch ended, to the same last bit."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from small_nets import image_net, images
from torch.nn import functional as F

from tlcourse import CourseError, fine_tune, fit, freeze

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
    # one process forks all that are killed: much faster than a process each; where CUDA is, torch cannot be forked
    done = subprocess.run(
        [sys.executable, "-c", KILLED.format(here=str(TESTS)), str(home)],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""}, capture_output=True, text=True,
    )  # fmt: skip
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


def test_the_best_weights_are_remembered_over_a_stop(home, capsys):
    def go(net, path, loss=F.cross_entropy):
        loss.__qualname__ = "cross_entropy"
        data, valid = images(20), images(12, seed=5)
        return fit(net, data, valid, epochs=40, lr=3.0, batch=10, patience=3, loss=loss, checkpoint=path,
                   optimizer=torch.optim.SGD)  # fmt: skip

    def named(net):
        return {name: tensor.clone() for name, tensor in net.state_dict().items()}

    expected_net, net = image_net(dropout=0.2), image_net(dropout=0.2)
    expected = go(expected_net, None)
    losses = [row["valid_loss"] for row in expected.rows]
    best = min(range(len(losses)), key=losses.__getitem__)
    assert len(losses) < 40
    go(net, home / "a", stops(2 * (best + 2) + 1))  # in the second epoch after the best one
    history = go(net, home / "a")
    assert history.resumed == best + 2 and history.note == expected.note and "Stopped after" in history.note
    assert [row["valid_loss"] for row in history.rows] == losses
    assert all(torch.equal(tensor, named(expected_net)[name]) for name, tensor in named(net).items())
    capsys.readouterr()


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


def test_a_stopped_fine_tune_goes_on_with_a_model_loaded_anew(home, capsys):
    def go(net, path, loss):
        loss.__qualname__ = "loss"
        return fine_tune(net, images(20), head_epochs=2, epochs=2, batch=10, loss=loss, checkpoint=path)

    def plain(logits, labels):
        return F.cross_entropy(logits, labels)

    expected, net = image_net(), image_net()
    rows = go(expected, None, plain).rows
    stopped = go(net, home / "a", stops(7))  # two batches in each of four epochs
    assert stopped.interrupted and len(stopped) == 3
    with pytest.raises(CourseError, match=r"frozen was(.|\n)*Load the model anew to go on"):
        go(net, home / "a", plain)
    again = image_net()
    history = go(again, home / "a", plain)
    assert history.resumed == 3 and [r["loss"] for r in history.rows] == [r["loss"] for r in rows]
    assert all(
        torch.equal(a, b) for a, b in zip(again.state_dict().values(), expected.state_dict().values(), strict=True)
    )
    capsys.readouterr()


def test_a_folder_is_made_and_what_is_frozen_is_not_stored(home):
    run(home / "deep" / "down" / "a.ckpt")
    state = torch.load(home / "deep" / "down" / "a.ckpt", weights_only=True)
    assert {name.split(".")[0] for name in state["model"]} == {"neck", "head"}
