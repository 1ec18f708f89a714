"""What the doctor finds, and what it tells a learner to do."""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path

import pytest
from test_assets import alter, tiny_course

from tlcourse import assets, cli, doctor, fetching, settings


@pytest.fixture
def course(tmp_path, monkeypatch):
    return tiny_course(tmp_path, monkeypatch)


def line(report: doctor.Report, name: str) -> doctor.Line:
    return next(line for line in report.lines if line.name == name)


def test_a_machine_that_lacks_data_is_told_what_to_run(course, capsys):
    assert cli.main(["doctor"]) == 1
    said = capsys.readouterr().out
    assert "Run `tlcourse fetch weights`." in said and "Not ready yet: data: weights, data: texts." in said
    assets.fetch()
    assert cli.main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert "ready for the course" in said and "MISS" not in said and str(settings.home()) in said


def test_the_same_as_data(course, capsys):
    assert cli.main(["doctor", "--json"]) == 1
    data = json.loads(capsys.readouterr().out)
    assert data["ok"] is False
    states = {line["name"]: line["state"] for line in data["lines"]}
    assert states["data: weights"] == "missing" and states["Python"] == states["torch, torchvision"] == "ok"
    assert {"memory", "disk", "cache", "profile", "widgets", "Keras", "device"} <= set(states)
    for one in data["lines"]:
        assert set(one) == {"name", "state", "found", "do"} and one["found"]
        assert one["do"] or one["state"] != "missing", "what is missing comes with what to do"


def test_a_damaged_file_is_seen(course):
    path = assets.folder("weights") / "weights.bin"
    path.write_bytes(b"x" * path.stat().st_size)
    found = line(doctor.doctor(), "data: weights")
    assert found.state == "missing" and "damaged" in found.found and "tlcourse fetch weights" in found.do


def test_a_notebook_shows_a_table_that_needs_no_colours(course, monkeypatch):
    alter(course, monkeypatch, "weights", kind="installed", package="no<such>")
    shown = doctor.doctor()._repr_html_()
    assert "✗ missing" in shown and "✓ ok" in shown and "<caption>Not ready yet" in shown
    assert "no&lt;such&gt;" in shown and "no<such>" not in shown


def test_the_full_profile_lists_what_hubs_bring(course, monkeypatch):
    assert "data: hub:big" not in [one.name for one in doctor.doctor().lines]
    monkeypatch.setenv("TLCOURSE_PROFILE", "full")
    found = line(doctor.doctor(), "data: hub:big")
    assert found.state == "note" and "not here" in found.found and "--profile full hub:big" in found.do
    monkeypatch.setattr(fetching.hubs, "is_here", lambda asset: asset.name == "hub:big")
    assert line(doctor.doctor(), "data: hub:big").state == "ok"

    def broken(asset):
        raise ImportError("no torch")

    monkeypatch.setattr(fetching.hubs, "is_here", broken)
    assert "cannot be told: no torch" in line(doctor.doctor(), "data: hub:big").found
    monkeypatch.setenv("TLCOURSE_PROFILE", "huge")
    found = line(doctor.doctor(), "profile")
    assert found.state == "missing" and "TLCOURSE_PROFILE=small" in found.do


def test_the_full_profiles_packages_are_those_of_its_extra_and_are_looked_at_there(course, monkeypatch, repository):
    extra = tomllib.loads((repository / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"][
        "full"
    ]
    assert {package for _, package, _ in doctor.FULL} == {line for line in extra if "huggingface" not in line}
    monkeypatch.setattr(doctor, "_version", lambda package: "")
    assert "MedMNIST" not in [one.name for one in doctor.doctor().lines]
    monkeypatch.setenv("TLCOURSE_PROFILE", "full")
    found = line(doctor.doctor(), "MedMNIST")
    assert found.state == "note" and '"medmnist>=3,<4"' in found.do and "06-1" in found.do


@pytest.mark.parametrize(
    ("versions", "built", "state"),
    [
        ({"torch": "2.9.1+cpu", "torchvision": "0.24.1"}, "torch==2.9.1", "ok"),
        ({"torch": "2.9.1", "torchvision": "0.24.1"}, None, "ok"),
        ({"torch": "2.10.0", "torchvision": "0.24.1"}, "torch==2.9.1", "missing"),
        ({"torch": "2.10.0", "torchvision": "0.24.1"}, None, "missing"),
        ({"torch": "2.10.0", "torchvision": ""}, None, "missing"),
        ({"torch": "", "torchvision": "0.24.1"}, None, "missing"),
    ],
)
def test_torch_and_torchvision_must_belong_together(monkeypatch, versions, built, state):
    monkeypatch.setattr(doctor, "_version", versions.get)
    needs = {"torchvision": [built] if built else []}
    monkeypatch.setattr(doctor.importlib.metadata, "requires", lambda package: needs.get(package, []))
    found = doctor._pair()
    assert found.state == state
    assert ("pip install" in found.do) == (state == "missing")


def test_a_version_below_what_the_course_asks_for_is_missing(monkeypatch):
    monkeypatch.setattr(
        doctor.importlib.metadata, "requires", lambda package: ["timm>=1.0.20", "keras>=3; extra == 'keras'"]
    )
    monkeypatch.setattr(doctor, "_version", lambda package: "1.0.3")
    found = doctor._package("timm")
    assert found.state == "missing" and '"timm>=1.0.20"' in found.do
    assert doctor._package("keras").state == "ok", "what only an extra asks for is no need"


def test_a_torch_that_does_not_start_is_a_line_and_not_a_crash(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    found = doctor._device()
    assert found.state == "missing" and "do not start" in found.found


def test_widgets_need_their_browser_half(monkeypatch, tmp_path):
    import jupyter_core.paths

    assert doctor._widgets().state == "ok"
    monkeypatch.setattr(jupyter_core.paths, "jupyter_path", lambda name: [])
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    found = doctor._widgets()
    assert found.state == "missing" and "jupyterlab-widgets" in found.found


def test_little_memory_and_little_room_are_notes(course, monkeypatch):
    monkeypatch.setattr(doctor, "free_memory", lambda: (800_000_000, 2_000_000_000))
    monkeypatch.setattr(doctor.store, "free", lambda path: 5_000_000)
    report = doctor.doctor()
    memory, disk = line(report, "memory"), line(report, "disk")
    assert memory.state == "note" and memory.found == "800 MB free of 2.0 GB" and "close" in memory.do
    assert disk.state == "note" and "TLCOURSE_HOME" in disk.do


def test_a_read_only_cache_is_a_note(monkeypatch):
    monkeypatch.setattr(doctor.store, "writable", lambda path: False)
    found = doctor._home(Path("/prepared"))
    assert found.state == "note" and "read-only" in found.found
