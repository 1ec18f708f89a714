"""The questions and answers of a help desk, and other words in which people ask for them, or for something else."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

import torch

from tlcourse import assets
from tlcourse.datasets.split import Split
from tlcourse.errors import CourseError

TOPICS = ("tech_support", "computers", "coding", "science", "history", "trivia")


@dataclass(frozen=True)
class Entry:
    """One question of the FAQ with what may be answered.

    Arguments:
        question: as the source has it.
        answers: one or more, each once, as the source has them.
        topic: one of `TOPICS`.
        source: where it stands: the file, and the number of the conversation in it, from 1.
    """

    question: str
    answers: tuple[str, ...]
    topic: str
    source: str


@dataclass(frozen=True)
class Asked:
    """What somebody asks, in words of their own.

    Arguments:
        asked: the words.
        entry: place of the FAQ's entry that answers it; -1 if none does.
    """

    asked: str
    entry: int


@dataclass(frozen=True, eq=False)
class SupportFaq:
    """A FAQ, and questions to it for choosing (`valid`) and for the last measurement (`test`).

    Arguments:
        entries: `Entry` each.
        valid, test: `Asked` each. No wording stands in both, or in the FAQ.
    """

    entries: tuple[Entry, ...] = field(repr=False)
    valid: tuple[Asked, ...] = field(repr=False)
    test: tuple[Asked, ...] = field(repr=False)
    licence: str
    source: str

    def __repr__(self) -> str:
        told = ", ".join(
            f"{name} {sum(a.entry >= 0 for a in side)} in and {sum(a.entry < 0 for a in side)} out of scope"
            for name, side in (("valid", self.valid), ("test", self.test))
        )
        return f"SupportFaq: {len(self.entries)} questions of {len(TOPICS)} topics; {told}"


@cache
def support_faq() -> SupportFaq:
    """The help desk's FAQ of chatterbot-corpus, and paraphrases and out-of-scope questions written for this course.

    Six topics of the corpus. Questions that differ in capitals, signs and blanks only are one, with all their answers.
    What the answers say is the corpus's own: users wrote them, some are wrong, and some are jokes.

    Returns a `SupportFaq`, always with the same entries in the same order. Raises `CourseError` if it cannot be had.

    >>> faq = support_faq()
    >>> faq.entries[0].question, faq.entries[0].source
    ('My system is overheating.', 'tech_support.yml, conversation 1')

    Introduced in chapter 07-3.
    """
    import yaml

    found: dict[str, dict] = {}
    for topic in TOPICS:
        text = assets.file("support-faq", f"{topic}.yml").read_text("utf-8")
        for number, said in enumerate(yaml.load(text, yaml.BaseLoader)["conversations"], 1):
            if not 2 <= len(said) <= 6:  # one is a whole list of questions that lost its marks
                continue
            first = {"question": said[0].strip(), "answers": {}, "topic": topic}
            first["source"] = f"{topic}.yml, conversation {number}"
            entry = found.setdefault(" ".join(re.findall(r"\w+", said[0].lower())), first)
            entry["answers"] |= dict.fromkeys(part.strip() for part in said[1:] if part != "it")  # cut off there
    entries = tuple(Entry(**{**entry, "answers": tuple(entry["answers"])}) for entry in found.values())
    numbers = {entry.question: i for i, entry in enumerate(entries)}
    rows = files("tlcourse.datasets").joinpath("support_questions.tsv").read_text("utf-8").splitlines()[1:]
    sides: dict[str, list[Asked]] = {"valid": [], "test": []}
    for row in rows:
        side, asked, question = row.split("\t")
        if question and question not in numbers:
            raise CourseError(f"The FAQ has no question {question!r}.", do="Type: tlcourse doctor")
        sides[side].append(Asked(asked, numbers[question] if question else -1))
    asset = assets.registry()["support-faq"]
    return SupportFaq(entries, tuple(sides["valid"]), tuple(sides["test"]), asset.licence, asset.home)


def support_topics() -> Split:
    """The questions of the FAQ as texts to classify: which of the six topics is a question about?

    Nearly two thirds are trivia, and four topics have 8 to 23 questions. There are too few to set some aside for a
    test, so it is one `Split`: cross-validate, and score by balanced accuracy.

    Returns a `Split` named `"all"`; an item's id is its `Entry.source`. Raises `CourseError` if it cannot be had.

    >>> support_topics().counts()
    {'tech_support': 10, 'computers': 10, 'coding': 96, 'science': 23, 'history': 8, 'trivia': 260}

    Introduced in chapter 07-1.
    """
    entries = support_faq().entries
    y = torch.tensor([TOPICS.index(entry.topic) for entry in entries])
    ids = tuple(entry.source for entry in entries)
    return Split("all", "text", tuple(entry.question for entry in entries), y, TOPICS, ids)
