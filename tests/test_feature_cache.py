"""The cache of features: what is read back is what would be computed, whatever happened to the files."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from small_nets import image_net, images

from tlcourse import extract
from tlcourse.features import store

TESTS = Path(__file__).resolve().parent


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))  # where features go when home is read-only
    return tmp_path / "home"


def files(home, suffix=".safetensors"):
    return sorted((home / "features").glob(f"*{suffix}"))


# the files ---------------------------------------------------------------------------------------


def test_features_are_mapped_not_loaded(home):
    extract(image_net(), images())
    features = extract(image_net(), images())
    name = files(home)[0].name
    if sys.platform == "linux":
        assert name in Path("/proc/self/maps").read_text()
    assert features.kept and files(home)[0].stat().st_mode & 0o044 == 0o044 & ~_umask()
    assert not files(home, ".part")


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize("damage", ["truncated", "cut by a byte", "empty", "garbage", "a huge header"])
def test_a_damaged_file_is_computed_again_and_repaired(damage, home):
    expected = extract(image_net(), images()).x
    file = files(home)[0]
    whole = file.read_bytes()
    made = {"truncated": whole[:200], "cut by a byte": whole[:-1], "empty": b"", "garbage": os.urandom(500)}
    made["a huge header"] = b"\xff" * 7 + b"\x7f" + whole[8:]
    file.write_bytes(made[damage])
    features = extract(image_net(), images())
    assert not features.kept and torch.equal(features.x, expected)
    assert file.read_bytes() == whole and extract(image_net(), images()).kept


def test_the_least_recently_used_goes_first(home, monkeypatch):
    monkeypatch.setenv("TLCOURSE_FEATURES_LIMIT_MB", "0.01")
    tensors = {"x": torch.zeros(750)}  # 3000 bytes and a header: three fit
    for age, letter in enumerate("abc"):
        assert store.write(letter * 40, tensors)
        os.utime(home / "features" / f"{letter * 40}.safetensors", (1000 + age, 1000 + age))
    (home / "features" / "mine.safetensors").write_bytes(b"a learner's own")
    assert store.read("a" * 40) is not None  # used now
    assert store.write("d" * 40, tensors)
    assert [f.stem[0] for f in files(home)] == ["a", "c", "d", "m"]
    assert not store.write("e" * 40, {"x": torch.zeros(3000)})  # larger than everything
    assert [f.stem[0] for f in files(home)] == ["a", "c", "d", "m"]
    assert store.clear() > 9000 and [f.stem for f in files(home)] == ["mine"]


def test_more_than_the_limit_is_computed_and_not_kept(home, monkeypatch):
    monkeypatch.setenv("TLCOURSE_FEATURES_LIMIT_MB", "0.0001")
    for _ in range(2):
        assert not extract(image_net(), images()).kept
    assert not files(home)


@pytest.mark.parametrize("why", ["no right", "home is a file"])
def test_a_home_that_cannot_be_written(why, home, tmp_path, monkeypatch):
    if why == "home is a file":
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path / "file" / "home"))
    else:
        extract(image_net(), images(10))  # an instructor's
        monkeypatch.setattr(os, "access", lambda *_: False)
        assert extract(image_net(), images(10)).kept
        before = files(home)
    assert not extract(image_net(), images()).kept
    assert extract(image_net(), images()).kept  # from a folder of one's own
    assert list(tmp_path.glob("tlcourse-features-*/*.safetensors"))
    if why == "no right":
        assert files(home) == before


def test_no_place_at_all_is_no_error(home, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "file"))
    for _ in range(2):
        assert extract(image_net(), images()).x.shape == (24, 8)


@pytest.mark.skipif(os.name != "posix", reason="owners")
def test_a_temporary_folder_of_somebody_else_is_not_trusted(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path / "file"))
    assert store.write("key", {"x": torch.zeros(1)}) and store.read("key") is not None
    (theirs,) = tmp_path.glob("tlcourse-features-*")
    mine = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: mine + 1)
    theirs.rename(tmp_path / f"tlcourse-features-{mine + 1}")
    assert store.read("key") is None and not store.write("key", {"x": torch.zeros(1)})


def test_a_full_disk_leaves_nothing_half_written(home, monkeypatch):
    def full(file, size):
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store, "_reserve", full)
    features = extract(image_net(), images())
    assert features.x.shape == (24, 8) and list((home / "features").iterdir()) == []


def test_what_a_killed_process_left_is_removed_in_time(home):
    old, new = (f"{letter * 40}.1" for letter in "ce")
    store.write("a" * 40, {"x": torch.zeros(1)})
    for name, age in ((old, 2 * 3600), (new, 0)):
        work = home / "features" / f"{name}.part"
        work.mkdir()
        (work / "half").write_bytes(b"half")
        os.utime(work, (time.time() - age,) * 2)
    store.write("b" * 40, {"x": torch.zeros(1)})
    assert [f.name for f in files(home, ".part")] == [f"{new}.part"]
    store.clear()
    assert list((home / "features").iterdir()) == []


RACE = """
import os, signal, time, torch
from tlcourse.features import store

torch.set_num_threads(1)  # a pool of threads does not survive a fork

def writer(number):
    child = os.fork()
    while child == 0:
        store.write("key", {"x": torch.full((500_000,), number)})
    return child

children, seen = [writer(1.0), writer(2.0)], set()
try:
    end = time.monotonic() + 60
    while time.monotonic() < end and len(seen) < 2:
        tensors = store.read("key")
        if tensors is not None:
            (value,) = tensors["x"].unique().tolist()
            seen.add(value)
finally:
    for child in children:
        os.kill(child, signal.SIGKILL)
print(sorted(seen))
"""


@pytest.mark.skipif(os.name != "posix", reason="fork")
def test_two_processes_writing_the_same_key_never_give_a_mixture():
    said = subprocess.run([sys.executable, "-c", RACE], capture_output=True, text=True)
    assert said.stdout.strip() == "[1.0, 2.0]", said.stderr[-2000:]


KILL = """
import os, signal, time, torch
from tlcourse.features import store

torch.set_num_threads(1)  # a pool of threads does not survive a fork
assert store.write("key", {"x": torch.full((2_000_000,), 0.5)})
for attempt in range(20):
    begun, begin = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(begin, b".")
        while True:
            store.write("key", {"x": torch.full((2_000_000,), float(attempt))})
    os.read(begun, 1)  # from here on the child does nothing but write, so the kill falls into a write
    os.close(begun), os.close(begin)
    time.sleep(0.003 * attempt)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    tensors = store.read("key")
    (value,) = tensors["x"].unique().tolist()
    assert value in {0.5, *range(attempt + 1)} and tensors["x"].shape == (2_000_000,), value
    print(value)
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_a_kill_while_writing_never_leaves_a_file_that_reads_wrong(home):
    # a fresh process with everything imported forks twenty children: much faster than twenty processes
    said = subprocess.run([sys.executable, "-c", KILL], capture_output=True, text=True)
    assert said.returncode == 0 and len(said.stdout.split()) == 20, said.stderr[-2000:]
    assert store.write("key", {"x": torch.zeros(3)}) and torch.equal(store.read("key")["x"], torch.zeros(3))
