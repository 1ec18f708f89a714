"""What the learner has done is never lost, and never in the way."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from tlcourse.errors import CourseError, UnknownName
from tlcourse.exercises import exercise, progress, quiz, store


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("tlcourse.exercises.core._hints_shown", {})
    monkeypatch.setattr(store, "_memory", {})
    return tmp_path / "home"


def test_progress_knows_every_question_before_anything_is_done(home):
    table = progress().to_frame()
    assert {"00.1", "00.a", "00.b", "03.1", "03.2", "03.3", "03.a", "03.b"} <= set(table.index)
    assert set(table["state"]) == {"not attempted"} and not home.exists()


def test_answers_and_hints_are_remembered_on_disk(home):
    exercise("00.1").check(3, 4)
    exercise("00.1").hint()
    exercise("00.1").check(8, 150528)
    exercise("00.1").check(3, 4)
    quiz("00.a").answer("a")
    store._memory.clear()
    table = progress().to_frame()
    assert table.loc["00.1", ["state", "tries", "hints"]].tolist() == ["right", 3, 1]
    assert table.loc["00.a", ["state", "tries"]].tolist() == ["not yet", 1]
    assert json.loads((home / "progress.json").read_text())["questions"]["00.1"]["state"] == "right"


def test_progress_of_one_chapter():
    assert list(progress(3).chapters()) == list(progress("03").chapters()) == ["03"]
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
    assert set(progress().to_frame()["state"]) == {"not attempted"}
    assert (home / "progress.damaged.json").read_bytes() == content
    quiz("00.a").answer("c")
    (home / "progress.json").write_bytes(b"again")
    quiz("00.b").answer("d")
    assert (home / "progress.damaged-2.json").read_bytes() == b"again"
    assert progress().to_frame().loc["00.b", "state"] == "right"


def test_a_home_that_cannot_be_written_keeps_progress_in_memory(home):
    home.parent.mkdir(exist_ok=True)
    home.write_text("a file where a folder should be")
    assert quiz("00.a").answer("c").state == "right"
    assert exercise("00.1").check(3, 4).state == "not yet"
    assert progress().to_frame().loc[["00.a", "00.1"], "state"].tolist() == ["right", "not yet"]
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
    assert progress().to_frame().loc["00.b", "state"] == "right"
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
        "repr(e.progress()), e.progress()._repr_html_();"
        "heavy = {'torch', 'numpy', 'pandas', 'matplotlib', 'sklearn'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_bar_says_what_is_right_and_what_was_only_tried(home):
    empty = progress("00")
    assert (len(empty), empty.right, empty.tried) == (3, 0, 0) and "█" not in repr(empty) and "▒" not in repr(empty)
    exercise("00.1").check(3, 4)
    quiz("00.a").answer("c")
    first, *rest = repr(progress("00")).splitlines()
    assert first == "█" * 10 + "▒" * 10 + "·" * 10 + "  1 of 3 right"
    assert any(line.startswith("    ✗ 00.1  not yet") and "1 try, 0 hints" in line for line in rest)
    assert any(line.startswith("    ✓ 00.a  right") for line in rest)
    whole = progress()
    assert (whole.right, whole.tried) == (1, 2) and whole.chapters()["00"].right == 1
    assert sum(len(part) for part in whole.chapters().values()) == len(whole) > 20


def test_a_notebook_shows_a_table_with_a_bar_that_a_screen_reader_reads(home):
    quiz("00.a").answer("c")
    page = progress("00")._repr_html_()
    assert page.count('role="img"') == 2 and 'aria-label="Chapter 00: 1 of 3 right, 0 tried and not yet right"' in page
    assert page.count("<tr>") == 5 and "width:33.3%" in page and "<script" not in page


def test_what_is_saved_can_be_read_again(home, tmp_path):
    quiz("00.a").answer("c")
    here = progress()
    as_csv = here.save(str(tmp_path / "handed in" / "mine.CSV"))
    with as_csv.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["question"] for row in rows] == here.to_frame().index.tolist()
    assert next(row for row in rows if row["question"] == "00.a")["state"] == "right"
    as_json = json.loads(here.save(tmp_path / "mine.json").read_text(encoding="utf-8"))
    assert as_json["right"] == 1 and as_json["questions"] == len(as_json["rows"]) == len(here)
    assert as_json["rows"] == [dict(row) for row in here.rows]


def test_saving_somewhere_impossible_is_told_and_the_course_keeps_its_own_file(home, tmp_path):
    quiz("00.a").answer("c")
    before = (home / "progress.json").read_bytes()
    with pytest.raises(UnknownName, match=r"\.csv"):
        progress().save(tmp_path / "mine.xlsx")
    with pytest.raises(CourseError, match="keeps your progress"):
        progress().save(home / "progress.json")
    assert (home / "progress.json").read_bytes() == before
    (tmp_path / "a file").touch()
    with pytest.raises(CourseError, match="cannot be written"):
        progress().save(tmp_path / "a file" / "mine.csv")


def test_a_chapter_of_several_parts_is_shown_whole_or_a_part_at_a_time():
    parts = set(progress(6).to_frame()["chapter"])
    assert {"06-1", "06-2", "06-3"} <= parts
    assert set(progress("06-2").to_frame()["chapter"]) == {"06-2"}
    with pytest.raises(UnknownName, match="06-1"):
        progress("06-9")
