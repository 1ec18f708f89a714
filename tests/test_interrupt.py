"""The stop button: what was learned stays, and the model can be used and trained on."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
import torch
from jupyter_client.manager import start_new_kernel
from small_nets import Scale, image_net, images
from torch.nn import functional as F

from tlcourse import changed, evaluate, extract, fit, freeze, frozen, snapshot

TESTS = Path(__file__).resolve().parent


@pytest.fixture(autouse=True)
def empty_home(tmp_path, monkeypatch):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path))


class Stops:
    """Works a number of times, then the button is pressed."""

    def __init__(self, what, times):
        self.what, self.left = what, times

    def __call__(self, *arguments):
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return self.what(*arguments)


def interrupted(where, times):
    """A run over 20 images in batches of 10 that is stopped after `times` calls of something."""
    net, more = freeze(image_net(), until="body"), {}
    if where == "loss":
        more["loss"] = Stops(F.cross_entropy, times)
    elif where == "transform":
        net.transform = Stops(Scale(), times)
    elif where == "augmentation":
        more["augment"] = Stops(lambda x: x, 10 * times)
    else:
        more["optimizer"] = lambda groups: stopping(groups, times)
    before = snapshot(net)
    history = fit(net, images(20), epochs=5, batch=10, lr=0.01, keep=False, **more)
    net.transform = Scale()
    return net, history, before


def stopping(groups, times):
    class Watched(torch.optim.SGD):
        def step(self, *more):
            press()
            return super().step(*more)

    press = Stops(lambda: None, times)
    return Watched(groups)


@pytest.mark.parametrize("where", ["loss", "transform", "augmentation", "optimizer"])
@pytest.mark.parametrize("times", [0, 1, 5])
def test_the_history_so_far_comes_back_and_the_model_is_usable(where, times, capsys):
    net, history, before = interrupted(where, times)
    assert history.interrupted and [row["epoch"] for row in history.rows] == list(range(1, times // 2 + 1))
    assert f"epoch {times // 2 + 1} of 5, after {times % 2} of its 2 batches" in history.note
    assert history.note in capsys.readouterr().out and history.note in repr(history) and history.seconds > 0
    assert frozen(net)[:2] == ("stem", "body")
    assert not any(module.training for module in net.modules())
    moved = changed(net, since=before)
    assert moved.loc[["stem", "body"], ["parameters moved", "buffers moved"]].to_numpy().sum() == 0
    assert (moved.loc["head", "parameters moved"] > 0) == (times > 0)
    assert evaluate(net, images(20)).n == 20
    again = fit(net, images(20), epochs=1)
    assert len(again) == 1 and not again.interrupted


def test_an_interrupt_while_validating_loses_that_epoch_only():
    net = freeze(image_net())
    net.transform = Stops(Scale(), 5)  # an epoch takes two batches and one of validation
    history = fit(net, images(20), images(8), epochs=5, batch=10, keep=False)
    assert history.interrupted and len(history) == 1
    assert not any(module.training for module in net.modules())


def test_the_random_numbers_of_the_caller_are_restored():
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    interrupted("loss", 3)
    assert torch.equal(torch.rand(2), expected)


def test_an_interrupted_extraction_keeps_nothing_and_restores_the_modes(tmp_path):
    net = image_net().train()
    net.transform = Scale()
    hook = net.body.register_forward_hook(Stops(lambda *_: None, 2))
    with pytest.raises(KeyboardInterrupt):
        extract(net, images(), batch=5)
    hook.remove()
    assert all(module.training for module in net.modules())
    assert not list(tmp_path.rglob("*.safetensors")) and extract(net, images()).x.shape == (24, 8)


# a real kernel -----------------------------------------------------------------------------------

SETUP = """
import time, torch
torch.set_num_threads(1)
from small_nets import *
from tlcourse import fit, freeze, frozen, evaluate, snapshot, changed
from torch.nn import functional as F

def slow(logits, labels):
    time.sleep(0.02)
    return F.cross_entropy(logits, labels)

net = freeze(image_net(), until="body")
before = snapshot(net)
"""
TRAIN = """
print("training starts")
history = fit(net, images(20), epochs=100_000, batch=10, loss=slow, progress=True)
"""
ASK = """
moved = changed(net, since=before)
print(history.interrupted, len(history) > 2, len(history.rows[0]) > 2, frozen(net)[:2],
      evaluate(net, images()).n, int(moved.loc["stem":"body", "parameters moved"].sum()),
      any(m.training for m in net.modules()), len(fit(net, images(), epochs=1)))
"""


def run(client, code, stop=None):
    """Run a cell; returns its text. `stop(text)` is called at each output."""
    said, failed = "", ""
    asked = client.execute(code)
    while True:
        message = client.get_iopub_msg(timeout=120)
        if message["parent_header"].get("msg_id") != asked:
            continue
        kind, content = message["msg_type"], message["content"]
        if kind == "stream":
            said += content["text"]
        elif kind in ("display_data", "update_display_data"):
            said += "\n" + content["data"]["text/plain"]
            assert "text/html" in content["data"], "a widget alone would leave a hole in a saved notebook"
        elif kind == "error":
            failed = "\n".join(content["traceback"])
        elif kind == "status" and content["execution_state"] == "idle":
            assert not failed, failed
            return said
        if stop:
            stop(said)


@pytest.mark.slow
def test_the_stop_button_of_a_real_kernel(monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (TESTS, TESTS.parent))))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    manager, client = start_new_kernel(kernel_name="python3", startup_timeout=120)
    pressed = []

    def press(said):
        if "Training: epoch" in said and not pressed:
            time.sleep(0.5)
            pressed.append(manager.interrupt_kernel())

    try:
        run(client, SETUP)
        said = run(client, TRAIN, press)
        assert "Interrupted in epoch" in said and "The model keeps what it has learned" in said
        assert "Loss and accuracy over" in said, "the figure stands where the live curves were"
        answer = run(client, ASK)
        assert answer.split() == ["True", "True", "True", "('stem',", "'body')", "24", "0", "False", "1"]
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
