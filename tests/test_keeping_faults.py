"""Keeping what the frozen stages give when the disk, the memory or the learner will not have it."""

from __future__ import annotations

import errno
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from small_nets import Letters, Scale, image_net, images, text_net, texts

from tlcourse import CourseError, changed, evaluate, extract, fit, freeze, frozen, snapshot
from tlcourse.features import room, store


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path))
    monkeypatch.setenv("TLCOURSE_ENGINE", "torch")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "elsewhere"))
    return tmp_path


def net(scale=None):
    made = freeze(image_net(), until="body")
    made.transform = scale or Scale()
    return made


def kept(home):
    return sorted(path.name for path in (home / "features").iterdir()) if (home / "features").exists() else []


def losses(history):
    return [row[name] for row in history.rows for name in ("loss", "valid_loss")]


def run(model=None, **more):
    data = images(40)
    return fit(model or net(), data[:30], data[30:], epochs=3, batch=10, lr=0.01, optimizer=torch.optim.SGD, **more)


# little memory -----------------------------------------------------------------------------------


def test_beyond_the_memory_it_goes_to_a_mapped_file_in_half_precision(home, monkeypatch):
    expected = run(keep=False)
    monkeypatch.setenv("TLCOURSE_FEATURES_MEMORY_MB", "0.001")
    history = run()
    assert "Kept at 'body'" in history.keeping and "in half precision to save room" in history.keeping
    assert losses(history) == pytest.approx(losses(expected), abs=1e-2)
    assert losses(history) != losses(expected), "these are the numbers of single precision"
    files = kept(home)
    assert len(files) == 2 and all(name.endswith(".safetensors") for name in files)
    features = extract(net(), images(40)[:30], "body", dtype=torch.float16)
    assert features.kept and features.x.dtype == torch.float16
    if sys.platform == "linux":
        assert any(name in Path("/proc/self/maps").read_text() for name in files)
    assert "read from the cache" in run().keeping


def test_vectors_stay_in_single_precision(home, monkeypatch):
    expected = run(freeze(image_net()), keep=False)
    monkeypatch.setenv("TLCOURSE_FEATURES_MEMORY_MB", "0.0001")
    history = run(freeze(image_net()))
    assert "Kept at 'pool'" in history.keeping and "half" not in history.keeping
    assert losses(history) == pytest.approx(losses(expected), abs=1e-6) and len(kept(home)) == 2


def test_texts_beyond_the_memory(home, monkeypatch):
    data, results = texts(30), []
    for keep, budget in ((False, ""), (None, "0.001")):
        monkeypatch.setenv("TLCOURSE_FEATURES_MEMORY_MB", budget)
        model = freeze(text_net(), until="layer2")
        results.append(fit(model, data[:20], data[20:], epochs=2, batch=7, optimizer=torch.optim.SGD, keep=keep))
    assert "half precision" in results[1].keeping and losses(results[1]) == pytest.approx(losses(results[0]), abs=1e-2)
    assert len(kept(home)) == 2 and not list(home.rglob("*.part"))


def test_what_half_precision_cannot_hold_is_not_kept(home, monkeypatch):
    def large():
        model = net()
        model.body[2].weight.data *= 1e6
        model.neck[2].running_var *= 1e9
        return model

    expected = run(large(), keep=False)
    monkeypatch.setenv("TLCOURSE_FEATURES_MEMORY_MB", "0.001")
    history = run(large())
    assert "Nothing was kept" in history.keeping and "half precision" in history.keeping
    assert losses(history) == losses(expected) and kept(home) == []
    with pytest.raises(CourseError, match="65504"):
        extract(large(), images(4), "body", dtype=torch.float16)


def test_too_little_memory_and_no_name_to_keep_under(home, monkeypatch):
    monkeypatch.setattr(room, "free_memory", lambda: (2000, 2000))
    model = net(lambda x: Scale()(x))  # a function has no name that lasts
    history = run(model)
    assert "Nothing was kept" in history.keeping and "memory" in history.keeping and len(history) == 3
    with pytest.raises(CourseError, match="memory"):
        run(net(lambda x: Scale()(x)), keep=True)


# a full or a read-only disk ----------------------------------------------------------------------


@pytest.mark.parametrize("budget", ["", "0.001"])
def test_a_full_disk_changes_nothing_but_the_time(home, monkeypatch, budget):
    def full(file, size):
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store, "_reserve", full)
    monkeypatch.setenv("TLCOURSE_FEATURES_MEMORY_MB", budget)
    expected, histories = run(keep=False), [run(), run()]
    for history in histories:
        assert "computed once" in history.keeping
        assert losses(history) == pytest.approx(losses(expected), abs=1e-2 if budget else 1e-5)
    assert kept(home) == []


# an interrupt ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stopping(Scale):
    """Raises a keyboard interrupt when it has been given so many batches of more than four images."""

    after: int = 1

    def __call__(self, x):
        if len(x) > 4:
            CALLS.append(1)
            if len(CALLS) > self.after:
                raise KeyboardInterrupt
        return super().__call__(x)


CALLS = []


@pytest.mark.parametrize("budget", ["", "0.001"])
@pytest.mark.parametrize("after", [0, 1, 2])
def test_an_interrupt_while_keeping_leaves_everything_as_it_was(home, monkeypatch, capsys, budget, after):
    monkeypatch.setenv("TLCOURSE_FEATURES_MEMORY_MB", budget)
    CALLS.clear()
    model, data = net(Stopping(after=after)), images(150)
    before, modes = snapshot(model), [module.training for module in model.modules()]
    history = fit(model, data[:140], data[140:], epochs=2)  # batches of 64, 64 and 12, then one of 10
    assert history.interrupted and len(history) == 0 and len(CALLS) == after + 1
    assert "before the first step" in history.note and history.note in capsys.readouterr().out
    assert changed(model, since=before)[["parameters moved", "buffers moved"]].to_numpy().sum() == 0
    assert [module.training for module in model.modules()] == modes and frozen(model)[-1] == "body"
    assert kept(home) == []
    model.transform = Scale()
    assert "computed once" in fit(model, data[:140], data[140:], epochs=2).keeping and len(kept(home)) == 2


def test_half_a_file_goes_at_once_also_where_somebody_keeps_the_error(home, monkeypatch):
    monkeypatch.setenv("TLCOURSE_FEATURES_MEMORY_MB", "0.001")
    CALLS.clear()
    with pytest.raises(KeyboardInterrupt) as error:  # its frames hold all that was being written
        extract(net(Stopping(after=1)), images(40), "body", batch=10)
    assert error.tb is not None and kept(home) == []


def test_an_interrupt_at_the_validation_data_keeps_those_of_training(home):
    CALLS.clear()
    data = images(40)
    history = fit(net(Stopping(after=1)), data[:30], data[30:], epochs=2)
    assert history.interrupted and len(kept(home)) == 1 and not list(home.rglob("*.part"))
    CALLS.clear()
    assert "read from the cache" in fit(net(Stopping(after=1)), data[:30], data[30:], epochs=2).keeping


# damaged files -----------------------------------------------------------------------------------


def foreign(file):
    """Tensors of the right names and shapes, by somebody else."""
    save_file({"x": torch.zeros(30, 6, 3, 3)}, file)


DAMAGE = {
    "truncated": lambda file: file.write_bytes(file.read_bytes()[:-9]),
    "half of it": lambda file: file.write_bytes(file.read_bytes()[: file.stat().st_size // 2]),
    "a few bytes other": lambda file: file.write_bytes(file.read_bytes()[:-40] + b"\x01" * 40),
    "garbage": lambda file: file.write_bytes(os.urandom(3000)),
    "empty": lambda file: file.write_bytes(b""),
    "somebody's": foreign,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_computed_again(home, damage, monkeypatch):
    expected = run()
    names = kept(home)
    for name in names:
        whole = (home / "features" / name).read_bytes()
        (home / "features" / name).unlink()  # the file that is mapped by what `expected` holds stays as it was
        (home / "features" / name).write_bytes(whole)
        DAMAGE[damage](home / "features" / name)
    monkeypatch.setattr(store, "_verified", set())  # a file is verified once in a process
    history = run()
    assert "computed once" in history.keeping and losses(history) == losses(expected) and kept(home) == names
    assert "read from the cache" in run().keeping


def test_what_another_version_computed_is_computed_again(monkeypatch):
    run()
    monkeypatch.setattr(torch, "__version__", "99.0.0")
    assert "computed once" in run().keeping


def test_a_deleted_cache_is_no_loss(home):
    model, data = net(), images(30)
    first = evaluate(model, data)
    store.clear()
    assert kept(home) == []
    assert evaluate(model, data).loss == first.loss and len(kept(home)) == 1


def test_texts_with_too_many_tokens_are_refused_before_they_run(home):
    for until in ("pool", "layer1"):
        model = freeze(text_net(), until=until)
        model.transform = Letters(longest=40)
        long = texts(6)
        long = type(long)("train", "text", ("a" * 40, *long.x[1:]), long.y, long.classes, long.ids)
        with pytest.raises(CourseError, match=r"40 tokens; this model has positions for 32(.|\n)*max_length=32"):
            fit(model, long, epochs=2)
        with pytest.raises(CourseError, match="40 tokens"):
            evaluate(model, long)
    assert kept(home) == []
