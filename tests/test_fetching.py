"""What `tlcourse fetch --profile full` shows and asks before it begins; what it then does: test_full_profile.py."""

from __future__ import annotations

import io
import json
import shutil
import sys
import tarfile

import _faults
import pytest
from test_assets import tiny_course, use

from tlcourse import assets, cli, fetching
from tlcourse.assets.catalogue import choose
from tlcourse.datasets import hub, load_dataset
from tlcourse.errors import CourseError
from tlcourse.fetching.hubs import LOADERS, is_here


@pytest.fixture
def course(tmp_path, monkeypatch):
    """One tiny asset that pip brings, and two of a hub: 1.5 GB and 10 MB; what is brought is written down."""
    tiny_course(tmp_path, monkeypatch)
    files = {name: (member, _faults.FILES[name]) for member, name in _faults.MEMBERS.items()}
    hub = {"kind": "hub", "package": "torchvision"}
    entries = {
        "weights": _faults.entry(_faults.wheel(tmp_path / "archives"), files),
        "hub:big": _faults.entry(None, {}, **hub, size=1_500_000_000, licence="CC BY 4.0", used_by=["07-2"]),
        "hub:small": _faults.entry(None, {}, **hub, size=10_000_000),
    }
    use(monkeypatch, _faults.write_registry(tmp_path / "registry-full.toml", entries))
    monkeypatch.setenv("TLCOURSE_PROFILE", "small")  # so that what --profile sets does not outlive the test
    brought = []

    def bring(asset):
        print("progress of a library")
        if asset.name in broken:
            raise CourseError(f"{asset.name} is not there.", do="Wait.")
        brought.append(asset.name)

    broken: set[str] = set()
    monkeypatch.setattr(fetching, "bring", bring)
    return brought, broken


class Terminal(io.StringIO):
    def isatty(self):
        return True


FULL = ("fetch", "--profile", "full")


def test_more_than_a_gigabyte_is_not_fetched_where_nobody_can_be_asked(course, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    assert cli.main([*FULL]) == 1
    said = capsys.readouterr()
    assert "1.5 GB" in said.out and "CC BY 4.0" in said.out and "hub:big" in said.out  # the list comes first
    assert "no terminal to ask in" in said.err and "--yes" in said.err
    assert course[0] == [] and assets.state("weights") == "missing"


@pytest.mark.parametrize("answer", ["n\n", "\n", "", "perhaps\n"])
def test_any_answer_but_yes_fetches_nothing(course, capsys, monkeypatch, answer):
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    assert cli.main([*FULL]) == 1
    said = capsys.readouterr().err
    assert "Fetch about 1.5 GB? [y/N]" in said and "Nothing was fetched" in said
    assert course[0] == [] and assets.state("weights") == "missing"


@pytest.mark.parametrize("answer", ["y\n", "YES\n"])
def test_yes_fetches_all(course, capsys, monkeypatch, answer):
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    assert cli.main([*FULL]) == 0
    assert course[0] == ["hub:big", "hub:small"] and assets.state("weights") == "cached"
    assert "progress of a library" not in capsys.readouterr().out


def test_less_than_a_gigabyte_is_fetched_without_a_question(course, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert cli.main([*FULL, "--chapter", "03"]) == 0
    assert course[0] == ["hub:small"]
    monkeypatch.setenv("TLCOURSE_PROFILE", "full")  # the variable means the same as the option
    assert cli.main(["fetch", "hub:small"]) == 0
    assert course[0] == ["hub:small", "hub:small"]


def test_what_is_hopeless_is_told_before_the_question(course, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    monkeypatch.setattr(fetching.hubs.store, "free", lambda path: 1_000_000_000)
    assert cli.main([*FULL]) == 1
    said = capsys.readouterr().err
    assert "not enough room: about 1.5 GB" in said and "HF_HOME" in said and "[y/N]" not in said
    monkeypatch.setenv("TLCOURSE_OFFLINE", "1")
    assert cli.main([*FULL]) == 1
    said = capsys.readouterr().err
    assert "TLCOURSE_OFFLINE forbids downloads" in said and "hub:big" in said and "[y/N]" not in said
    assert course[0] == []


def test_ctrl_c_says_that_what_arrived_is_kept(course, capsys, monkeypatch):
    def bring(asset):
        raise KeyboardInterrupt

    monkeypatch.setattr(fetching, "bring", bring)
    assert cli.main([*FULL, "--yes"]) == 130
    assert "What arrived is kept" in capsys.readouterr().err


def test_a_part_of_a_name_is_enough_to_be_told_the_whole_one(monkeypatch):
    monkeypatch.setenv("TLCOURSE_PROFILE", "full")
    with pytest.raises(CourseError, match=r"are: 'torchvision:resnet50'[\s\S]*opus-mt-en-fr, hf:\S*opus-mt-zh-en\."):
        choose("opus-mt")


def test_one_failure_does_not_stop_the_rest(course, capsys):
    course[1].add("hub:big")
    assert cli.main([*FULL, "--yes", "--json"]) == 1
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert {name: row["action"] for name, row in rows.items()} == {
        "weights": "fetched", "hub:small": "fetched", "hub:big": "failed",
    }  # fmt: skip
    assert "Wait." in rows["hub:big"]["error"]


def test_the_small_profile_is_as_it_was(course, capsys):
    assert cli.main(["fetch"]) == 0
    assert course[0] == [] and assets.state("weights") == "cached"


def test_each_asset_of_a_hub_has_a_way_to_be_brought():
    from importlib import import_module

    for name, asset in assets.registry().items():
        if asset.kind == "hub" and name in LOADERS:
            module, _, function = LOADERS[name].partition(":")
            assert callable(getattr(import_module(module), function))
        elif asset.kind == "hub":
            assert name.startswith(("torchvision:", "hf:"))


def test_half_unpacked_data_are_never_taken_for_whole_ones(tmp_path, monkeypatch):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path))
    monkeypatch.setenv("TLCOURSE_PROFILE", "full")
    seen = []

    def bring(root, fails):
        seen.append(sorted(path.name for path in root.rglob("*")))
        (root / "all.zip").write_bytes(b"arrived")
        (root / "images").mkdir()
        (root / "images" / "1.jpg").write_bytes(b"1")
        if fails:
            raise KeyboardInterrupt
        (root / "images" / "2.jpg").write_bytes(b"2")

    with pytest.raises(KeyboardInterrupt):
        hub.kept("eurosat", lambda root: bring(root, True), ["images"])
    assert not hub.place("eurosat").exists()
    where = hub.kept("eurosat", lambda root: bring(root, False), ["images"])
    assert seen == [[], ["all.zip"]]  # the archive stayed, the half folder did not
    assert sorted(path.name for path in (where / "images").iterdir()) == ["1.jpg", "2.jpg"]
    assert hub.kept("eurosat", None) == where and len(seen) == 2
    assert assets.clear() > 0 and not where.exists()


@pytest.mark.parametrize(
    "harm",
    [
        lambda root: (root / "images" / "1.jpg").unlink(),
        lambda root: (root / "images" / "1.jpg").write_bytes(b"half"),
        lambda root: shutil.rmtree(root / "images"),
        lambda root: (root / hub.LIST).write_text("[1"),
    ],
)
def test_data_of_which_a_part_is_gone_are_not_here_and_are_fetched_again(tmp_path, monkeypatch, harm, capsys):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path))
    monkeypatch.setenv("TLCOURSE_PROFILE", "full")

    def bring(root):
        (root / "images").mkdir(exist_ok=True)
        for name in ("1.jpg", "2.jpg"):
            (root / "images" / name).write_bytes(b"an image")

    asset = assets.registry()["eurosat"]
    where = hub.kept("eurosat", bring)
    assert is_here(asset)
    harm(where)
    assert not is_here(asset)
    monkeypatch.setenv("TLCOURSE_OFFLINE", "1")
    with pytest.raises(CourseError, match=r"is damaged: [\s\S]*TLCOURSE_OFFLINE forbids[\s\S]*network"):
        hub.kept("eurosat", None)
    monkeypatch.delenv("TLCOURSE_OFFLINE")

    def lost(root):
        raise OSError("no network")

    with pytest.raises(CourseError, match="no network"):
        hub.kept("eurosat", lost)
    assert where.is_dir()  # what is left stays until there is something better
    hub.kept("eurosat", bring)
    assert is_here(asset) and len(list((where / "images").iterdir())) == 2
    assert "damaged; it is fetched again" in capsys.readouterr().err


def test_a_download_beyond_what_fetch_lists_is_told_and_needs_room_and_memory(tmp_path, monkeypatch, capsys):
    from medmnist import dataset

    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path))
    monkeypatch.setenv("TLCOURSE_PROFILE", "full")
    monkeypatch.setattr(hub, "free_memory", lambda: (1_000_000_000, 2_000_000_000))
    with pytest.raises(CourseError, match=r"pathmnist of MedMNIST at size=224 takes about 32 GB of memory"):
        load_dataset("medmnist", size=224)
    with pytest.raises(CourseError, match=r"pet-masks at size=1000000 takes about"):
        load_dataset("pet-masks", size=10**6)
    monkeypatch.setattr(hub.store, "free", lambda path: 30_000_000)
    with pytest.raises(CourseError, match=r"not enough room for medmnist: about 40 MB"):
        load_dataset("medmnist", which="bloodmnist")
    assert "fetching" not in capsys.readouterr().err
    monkeypatch.setattr(hub.store, "free", lambda path: 50_000_000)

    def download(self):
        raise OSError("no network")

    monkeypatch.setattr(dataset.BloodMNIST, "download", download)
    with pytest.raises(CourseError, match="no network"):
        load_dataset("medmnist", which="bloodmnist")
    assert "fetching bloodmnist, 28x28 pixels (at most 40 MB, once)" in capsys.readouterr().err


def test_an_archive_cannot_write_outside_its_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TLCOURSE_PROFILE", "full")
    body, info = b"evil", tarfile.TarInfo("../../../../../evil.txt")
    info.size = len(body)
    with tarfile.open(tmp_path / "evil.tar", "w") as archive:
        archive.addfile(info, io.BytesIO(body))

    def bring(root):
        with tarfile.open(tmp_path / "evil.tar") as archive:
            archive.extractall(root)

    before = tarfile.TarFile.__dict__.get("extraction_filter")
    with pytest.raises(CourseError, match=r"outside the destination"):
        hub.kept("pet-masks", bring)
    assert not list(tmp_path.rglob("evil.txt")) and not (tmp_path.parent / "evil.txt").exists()
    assert tarfile.TarFile.__dict__.get("extraction_filter") == before
