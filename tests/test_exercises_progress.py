"""What the learner has done is never lost, and never in the way."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from tlcourse.errors import UnknownName
from tlcourse.exercises import exercise, progress, quiz, store


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("tlcourse.exercises.core._hints_shown", {})
    monkeypatch.setattr(store, "_memory", {})
    return tmp_path / "home"


def test_progress_knows_every_question_before_anything_is_done(home):
    table = progress()
    assert {"00.1", "00.a", "00.b", "03.1", "03.2", "03.3", "03.a", "03.b"} <= set(table.index)
    assert set(table["state"]) == {"not attempted"} and not home.exists()


def test_answers_and_hints_are_remembered_on_disk(home):
    exercise("00.1").check(3, 4)
    exercise("00.1").hint()
    exercise("00.1").check(8, 150528)
    exercise("00.1").check(3, 4)
    quiz("00.a").answer("a")
    store._memory.clear()
    table = progress()
    assert table.loc["00.1", ["state", "tries", "hints"]].tolist() == ["right", 3, 1]
    assert table.loc["00.a", ["state", "tries"]].tolist() == ["not yet", 1]
    assert json.loads((home / "progress.json").read_text())["questions"]["00.1"]["state"] == "right"


def test_progress_of_one_chapter():
    assert set(progress(3)["chapter"]) == set(progress("03")["chapter"]) == {"03"}
    with pytest.raises(UnknownName):
        progress(77)


def test_only_the_file_and_its_lock_are_left(home):
    quiz("00.a").answer("c")
    assert {p.name for p in home.iterdir()} <= {"progress.json", "progress.lock"}


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe\x00", b"[]", b"null", b'{"questions": 3}', b'{"questions": {"00.a": 1}}',
     b'{"questions": {"00.a": {"state": "perfect"}}}', b"[" * 100_000],
    ids=range(9),
)  # fmt: skip
def test_a_damaged_file_is_set_aside_not_lost(home, content):
    home.mkdir()
    (home / "progress.json").write_bytes(content)
    assert set(progress()["state"]) == {"not attempted"}
    assert (home / "progress.damaged.json").read_bytes() == content
    quiz("00.a").answer("c")
    (home / "progress.json").write_bytes(b"again")
    quiz("00.b").answer("d")
    assert (home / "progress.damaged-2.json").read_bytes() == b"again"
    assert progress().loc["00.b", "state"] == "right"


def test_a_home_that_cannot_be_written_keeps_progress_in_memory(home):
    home.parent.mkdir(exist_ok=True)
    home.write_text("a file where a folder should be")
    assert quiz("00.a").answer("c").state == "right"
    assert exercise("00.1").check(3, 4).state == "not yet"
    assert progress().loc[["00.a", "00.1"], "state"].tolist() == ["right", "not yet"]
    home.unlink()  # it can be written again: nothing was lost
    quiz("00.b").answer("a")
    assert set(json.loads((home / "progress.json").read_text())["questions"]) == {"00.1", "00.a", "00.b"}


def test_a_disk_that_fills_up_leaves_the_old_file_whole(home, monkeypatch):
    quiz("00.a").answer("c")
    before = (home / "progress.json").read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(store.os, "fsync", full)
        quiz("00.b").answer("d")
    assert (home / "progress.json").read_bytes() == before
    assert progress().loc["00.b", "state"] == "right"
    assert not list(home.glob(".progress-*"))


def test_two_notebooks_at_once_lose_nothing(home):
    code = "from tlcourse.exercises import store\nfor _ in range(10): store.remember({!r}, 'not yet')"

    def notebook(name):
        subprocess.run([sys.executable, "-c", code.format(name)], check=True)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(notebook, ["00.a", "00.a"]))
    assert store.recall()["00.a"]["tries"] == 20


def test_importing_the_exercises_is_light():
    code = (
        "import sys, tlcourse.exercises as e; e.exercise('03.2').check(...); e.quiz('03.a')._repr_html_();"
        "heavy = {'torch', 'numpy', 'pandas', 'matplotlib', 'sklearn'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
