"""Chapters are text an author edits; notebooks are what a learner opens. This module makes the second from the first.

A chapter is a MyST Markdown notebook in `chapters/`. The notebook made from it depends on its text alone: cell ids are
hashes, there are no outputs, and no version of any tool is written down. So building twice gives the same bytes, and
changing one cell changes that cell.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
from collections import Counter
from hashlib import sha256
from pathlib import Path

from tlcourse.errors import CourseError

KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
GLOSSARY = "GLOSSARY.md"
# For editors that open a chapter as a notebook: it names a tool's version, and the course needs none of it.
HEADER = re.compile(r"\A---\n.*?^---\n", re.DOTALL | re.MULTILINE)


def build(chapters: Path | str, notebooks: Path | str, check: bool = False) -> list[Path]:
    """Make `notebooks/*.ipynb` from `chapters/*.md`; a notebook that is already right is not touched.

    A notebook that an earlier build made from a chapter which is no longer there is removed. Other notebooks in the
    folder (a learner's own, or copies) are left alone. A glossary beside the chapters' folder is laid among the
    notebooks, where their links find it: a learner's JupyterLab sees nothing above that folder.

    Arguments:
        chapters: folder of MyST Markdown notebooks.
        notebooks: folder for the notebooks; made when it is missing.
        check: write and remove nothing, only say what would change.

    Returns:
        The notebooks that were written or removed (with `check`: that differ), in order of name.

    Raises:
        CourseError: a chapter cannot be read, or there is no such folder of chapters.

    >>> home = Path(tempfile.mkdtemp())
    >>> _ = (home / "07.md").write_text("# Hello", encoding="utf-8")
    >>> [path.name for path in build(home, home / "out")], build(home, home / "out")
    (['07.ipynb'], [])
    """
    chapters, notebooks = Path(chapters), Path(notebooks)
    if not chapters.is_dir():
        raise CourseError(
            f"There is no folder of chapters at {chapters}.",
            why="Notebooks are made from the text files in the folder chapters/ of the course's repository.",
            do="Run this in a clone of the repository, or name the folder.",
        )
    wanted = {path.stem: render(path) for path in sorted(chapters.glob("*.md"))}
    files = {f"{stem}.ipynb": content for stem, content in wanted.items()}
    glossary = chapters.resolve().parent / GLOSSARY
    if glossary.is_file():
        files[GLOSSARY] = glossary.read_text(encoding="utf-8").replace("](notebooks/", "](").encode()
    differ = []
    for name, content in files.items():
        path = notebooks / name
        if not path.is_file() or path.read_bytes() != content:
            differ.append(path)
            if not check:
                _write(path, content)
    for path in sorted(notebooks.glob("*.ipynb")):
        if path.stem not in wanted and _source(path) == _chapter_name(path.stem):
            differ.append(path)
            if not check:
                path.unlink()
    return sorted(differ)


def render(chapter: Path) -> bytes:
    """The bytes of the notebook made from one chapter.

    >>> chapter = Path(tempfile.mkdtemp()) / "07.md"
    >>> _ = chapter.write_text("# Hello", encoding="utf-8")
    >>> json.loads(render(chapter))["cells"][0]["source"]
    ['# Hello']
    """
    text = json.dumps(compose(chapter), indent=1, sort_keys=True, ensure_ascii=False)
    return (text + "\n").encode()


def compose(chapter: Path) -> dict:
    """The notebook made from one chapter, as the nested dictionaries of the notebook format (4.5).

    Arguments:
        chapter: a MyST Markdown notebook (`.md`).

    Raises:
        CourseError: the file is not UTF-8, or its cells' options cannot be read.

    >>> chapter = Path(tempfile.mkdtemp()) / "07.md"
    >>> _ = chapter.write_text("# Hello", encoding="utf-8")
    >>> compose(chapter)["nbformat_minor"]
    5
    """
    import jupytext

    try:
        text = HEADER.sub("", chapter.read_text(encoding="utf-8-sig"))
        parsed = jupytext.reads(text, fmt="md:myst")
    except Exception as error:  # jupytext lets a YAML, a Unicode or an error of its own through
        raise CourseError(
            f"The chapter {chapter.name} cannot be read as a MyST Markdown notebook.",
            why=f"{type(error).__name__}: {error}",
            do="Look at the options (:tags: [...]) below its ```{code-cell} lines.",
        ) from error
    seen = Counter()
    cells = []
    for cell in parsed.cells:
        key = (cell.cell_type, cell.source)
        cells.append(_cell(cell, _cell_id(chapter.stem, *key, seen[key])))
        seen[key] += 1
    return {
        "cells": cells,
        "metadata": {
            "kernelspec": KERNEL,
            "language_info": {"name": "python"},
            "tlcourse": {"chapter": _chapter_name(chapter.stem)},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _cell(cell, cell_id: str) -> dict:
    made = {
        "cell_type": cell.cell_type,
        "id": cell_id,
        "metadata": dict(cell.metadata),
        "source": cell.source.splitlines(keepends=True),
    }
    if cell.cell_type == "code":
        made.update(execution_count=None, outputs=[])
    return made


def _cell_id(chapter: str, kind: str, source: str, occurrence: int) -> str:
    """Depends on nothing but the cell itself, so that editing one cell leaves the ids of the others alone."""
    return sha256("\0".join((chapter, kind, source, str(occurrence))).encode()).hexdigest()[:12]


def _chapter_name(stem: str) -> str:
    return f"chapters/{stem}.md"


def _source(notebook: Path) -> str | None:
    """The chapter that a notebook says it was made from; None for a notebook that is not ours, or not readable."""
    try:
        return json.loads(notebook.read_text(encoding="utf-8"))["metadata"]["tlcourse"]["chapter"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(path: Path, content: bytes) -> None:
    """Replace the file at once: whoever reads it meanwhile sees the old notebook or the new one, never a half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(temporary, path.stat().st_mode if path.exists() else 0o644)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
