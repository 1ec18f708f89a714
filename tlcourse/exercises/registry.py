"""The questions of all chapters, by name."""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module

from tlcourse import exercises
from tlcourse.errors import CourseError, UnknownName
from tlcourse.exercises import store
from tlcourse.exercises.core import Exercise, Quiz
from tlcourse.exercises.standing import Progress


def exercise(name: str) -> Exercise:
    """The exercise of that name.

    Arguments:
        name: chapter and number, e.g. `"03.2"`.

    Returns an `Exercise` with `check(answer)`, `hint()`, `solution()` and `material()`.
    Raises `UnknownName` with the nearest right name.

    >>> exercise("03.2").check(...)
    … Not attempted yet. Write your answer and run `exercise("03.2").check(freeze_backbone)` again; `.hint()` helps.
    """
    return _find(name, Exercise, "exercise")


def quiz(name: str) -> Quiz:
    """The quiz of that name.

    Arguments:
        name: chapter and letter, e.g. `"03.a"`.

    Returns a `Quiz`, which shows its question and choices, and explains one by `answer("b")`.
    Raises `UnknownName` with the nearest right name.

    >>> quiz("03.a").letters
    'abcd'
    """
    return _find(name, Quiz, "quiz")


def progress(chapter: int | str | None = None) -> Progress:
    """Where the learner stands, as a bar and a table, from one file on this machine that is sent nowhere.

    Arguments:
        chapter: one chapter's number, `6` of all its parts or `"06-1"` of one; by default all chapters.

    Returns a `Progress` with a row a question; `.to_frame()` makes a pandas table of it, and `.save("progress.csv")`
    (or `.json`) writes a file to keep or to hand in. Raises `UnknownName` for a chapter that has no questions.

    >>> progress(3).to_frame().index.tolist()
    ['03.1', '03.2', '03.3', '03.a', '03.b']
    """
    known, done = questions(), store.recall()
    wanted = None if chapter is None else str(chapter).zfill(2)
    chosen = [n for n in sorted(known) if wanted in (None, n.split(".")[0], n.split(".")[0].split("-")[0])]
    if not chosen:
        raise UnknownName("chapter with questions", chapter, sorted({name.split(".")[0] for name in known}))
    rows = []
    for name in chosen:
        entry = done.get(name, {"state": "not attempted", "tries": 0, "hints": 0})
        title = known[name].title if isinstance(known[name], Exercise) else known[name].question
        rows.append({"question": name, "chapter": name.split(".")[0], **entry, "title": title})
    return Progress(tuple(rows))


@cache
def questions() -> dict[str, Exercise | Quiz]:
    """Every question of the course; each chapter's module lists its own."""
    found: dict[str, Exercise | Quiz] = {}
    for module in sorted(m.name for m in pkgutil.iter_modules(exercises.__path__) if m.name.startswith("chapter_")):
        for question in import_module(f"tlcourse.exercises.{module}").QUESTIONS:
            if question.name in found:
                raise CourseError(f"Two questions are called {question.name!r}.")
            found[question.name] = question
    return found


def _find(name, kind, word):
    known = [n for n, question in questions().items() if isinstance(question, kind)]
    if name not in known:
        raise UnknownName(word, name, known)
    return questions()[name]
