"""The committed notebooks are what the chapters say, and keep the course's rules."""

from __future__ import annotations

import json

import nbformat
import pytest

from tlcourse.errors import CourseError
from tlcourse.notebook_lint import ADVICE, lint
from tlcourse.notebooks import build, render

CHAPTER = """\
---
kernelspec:
  display_name: Python 3
  name: python3
---

# A chapter

```{code-cell}
:tags: [setup]

import tlcourse
```

Some words with ünïcode and $x^2$.

```{code-cell}
x = 1
```

The same cell again.

```{code-cell}
x = 1
```
"""


@pytest.fixture
def course(tmp_path):
    """A course of one chapter, built."""
    chapters, notebooks = tmp_path / "chapters", tmp_path / "notebooks"
    chapters.mkdir()
    (chapters / "07-text.md").write_text(CHAPTER, encoding="utf-8")
    build(chapters, notebooks)
    return chapters, notebooks


def cells(notebooks, name="07-text"):
    return json.loads((notebooks / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]


def ids(notebooks):
    return [cell["id"] for cell in cells(notebooks)]


# The notebooks of the repository


def test_building_again_changes_nothing(repository):
    differ = build(repository / "chapters", repository / "notebooks", check=True)
    assert differ == [], "run `make notebooks` and commit what it wrote"


def test_every_chapter_keeps_the_rules(repository):
    problems = {path.name: lint(path) for path in sorted((repository / "notebooks").glob("*.ipynb"))}
    broken = [f"{name}: {problem}" for name in problems for problem in problems[name] if not problem.startswith(ADVICE)]
    assert broken == [], "\n".join(broken)


def test_committed_notebooks_are_valid_and_hold_no_results(repository):
    for path in (repository / "notebooks").glob("*.ipynb"):
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        assert set(notebook.metadata) == {"kernelspec", "language_info", "tlcourse"}, path.name
        assert len({cell.id for cell in notebook.cells}) == len(notebook.cells), path.name
        for cell in notebook.cells:
            assert not cell.get("outputs") and cell.get("execution_count") is None, f"{path.name}, {cell.id}"


# The builder


def test_a_notebook_is_minimal_and_valid(course):
    path = course[1] / "07-text.ipynb"
    content = path.read_bytes()
    nbformat.validate(nbformat.reads(content.decode(), as_version=4))
    notebook = json.loads(content)
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert notebook["metadata"]["language_info"] == {"name": "python"}
    assert content.endswith(b"}\n") and b"jupytext" not in content and "ünïcode" in content.decode()
    assert [cell["cell_type"] for cell in notebook["cells"]] == ["markdown", "code"] * 3
    assert notebook["cells"][1]["metadata"] == {"tags": ["setup"]}
    assert notebook["cells"][1]["outputs"] == [] and notebook["cells"][1]["execution_count"] is None
    assert json.dumps(notebook, sort_keys=True, indent=1, ensure_ascii=False) + "\n" == content.decode()


def test_building_twice_writes_nothing_the_second_time(course):
    path = course[1] / "07-text.ipynb"
    before = path.stat().st_mtime_ns
    assert build(*course) == []
    assert path.stat().st_mtime_ns == before


def test_editing_one_cell_changes_one_id(course):
    chapters, notebooks = course
    before = ids(notebooks)
    assert len(set(before)) == 6, "equal cells have ids of their own"
    text = CHAPTER.replace("Some words", "Other words")
    (chapters / "07-text.md").write_text(text, encoding="utf-8")
    assert build(chapters, notebooks) == [notebooks / "07-text.ipynb"]
    assert [old == new for old, new in zip(before, ids(notebooks), strict=True)] == [True] * 2 + [False] + [True] * 3


def test_adding_a_cell_keeps_the_ids_of_the_others(course):
    chapters, notebooks = course
    before = ids(notebooks)
    (chapters / "07-text.md").write_text(CHAPTER + "\n```{code-cell}\ny = 2\n```\n", encoding="utf-8")
    build(chapters, notebooks)
    assert ids(notebooks)[:-1] == before


def test_the_header_and_line_ends_do_not_matter(tmp_path, course):
    header = "jupytext:\n  text_representation:\n    jupytext_version: 9.9.9\nkernelspec:"
    versions = CHAPTER.replace("kernelspec:", header)
    wanted = (course[1] / "07-text.ipynb").read_bytes()
    (tmp_path / "other").mkdir()
    other = tmp_path / "other" / "07-text.md"
    for text in (versions, CHAPTER.partition("---\n\n")[2], CHAPTER.replace("\n", "\r\n"), "\ufeff" + CHAPTER):
        other.write_bytes(text.encode())
        assert render(other) == wanted


def test_check_says_what_differs_and_writes_nothing(course):
    chapters, notebooks = course
    path = notebooks / "07-text.ipynb"
    (chapters / "08-new.md").write_text("# New", encoding="utf-8")
    ran = path.read_text(encoding="utf-8").replace('"execution_count": null', '"execution_count": 3')
    path.write_text(ran, encoding="utf-8")
    assert build(chapters, notebooks, check=True) == [path, notebooks / "08-new.ipynb"]
    assert path.read_text(encoding="utf-8") == ran and not (notebooks / "08-new.ipynb").exists()


def test_a_notebook_whose_chapter_is_gone_is_removed_but_no_one_elses(course):
    chapters, notebooks = course
    gone = notebooks / "07-text.ipynb"
    copy = notebooks / "07-text-Copy1.ipynb"
    copy.write_bytes(gone.read_bytes())
    own, broken = notebooks / "mine.ipynb", notebooks / "broken.ipynb"
    own.write_text('{"cells": [], "metadata": {}}', encoding="utf-8")
    broken.write_bytes(b"\xff\xfe no notebook")
    (chapters / "07-text.md").unlink()
    assert build(chapters, notebooks, check=True) == [gone] and gone.exists()
    assert build(chapters, notebooks) == [gone]
    assert sorted(notebooks.iterdir()) == sorted([copy, own, broken])


def test_a_failed_write_leaves_the_old_notebook_and_no_litter(course, monkeypatch):
    chapters, notebooks = course
    path = notebooks / "07-text.ipynb"
    before = path.read_bytes()
    (chapters / "07-text.md").write_text("# Changed", encoding="utf-8")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="No space left"):
        build(chapters, notebooks)
    assert path.read_bytes() == before and list(notebooks.iterdir()) == [path]


@pytest.mark.parametrize("content", [b"# \xff\xfe", b"# A\n\n```{code-cell}\n:tags: [unclosed\n\nx = 1\n```\n"])
def test_an_unreadable_chapter_is_named(course, content):
    (course[0] / "08-bad.md").write_bytes(content)
    with pytest.raises(CourseError, match=r"08-bad\.md cannot be read"):
        build(*course)


def test_a_missing_folder_of_chapters_is_said(tmp_path):
    with pytest.raises(CourseError, match="no folder of chapters"):
        build(tmp_path / "nowhere", tmp_path)


def test_an_empty_folder_of_chapters_makes_no_notebooks(tmp_path):
    assert build(tmp_path, tmp_path / "notebooks") == []
