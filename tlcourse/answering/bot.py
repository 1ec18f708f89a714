"""`AnswerBot`: the answer of the FAQ whose question is nearest, with its source, or "I do not know"."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from html import escape

import torch
from torch import nn
from torch.nn import functional as F

from tlcourse.answering.words import broken_words, checked_question
from tlcourse.datasets.split import Split
from tlcourse.datasets.support import Entry
from tlcourse.errors import CourseError, real_number
from tlcourse.features import extract

UNKNOWN = "I do not know."
FOREIGN = 0.5  # with more than this share of words that had to be cut in pieces, a question is not taken for English


def sentence_vectors(model: nn.Module, texts: Sequence[str]) -> torch.Tensor:
    """The mean token vectors of texts, at length one: their product is the cosine. Kept as `extract` keeps them.

    Arguments:
        model: a text model, such as `load("minilm")`.
        texts: at least one.

    Returns `[n, d]`.

    >>> from tlcourse import load
    >>> a, b, c = sentence_vectors(load("minilm"), ["The screen is dark.", "My display is black.", "I like tea."])
    >>> bool(a @ b > a @ c + 0.3)
    True

    Introduced in chapter 07-3. Reimers and Gurevych 2019 (Sentence-BERT).
    """
    texts = _listed(texts)
    split = Split("texts", "text", texts, torch.zeros(len(texts), dtype=torch.int64), ("text",),
                  tuple(map(str, range(len(texts)))))  # fmt: skip
    keep = len(texts) > 1  # a single question is asked once
    found = extract(model, split, "pool", cache=keep, progress=False).x.float()
    if not found.isfinite().all():
        raise CourseError(
            "The model's vectors hold NaN or infinite values.",
            why="Its weights are spoilt: an earlier training may have diverged.",
            do="Load the model anew.",
        )
    return F.normalize(found, dim=1)


def word_vectors(questions: Sequence[str]) -> Callable[[Sequence[str]], torch.Tensor]:
    """The baseline: TF-IDF of words, fitted on the FAQ's questions; texts -> `[n, words]`, at length one.

    Arguments:
        questions: those of the FAQ.

    >>> embed = word_vectors(["My screen is black.", "I forgot my password."])
    >>> (embed(["black screen"]) @ embed(["My screen is black."]).T).item() > 0.5
    True
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    questions = _listed(questions)
    words = TfidfVectorizer(sublinear_tf=True)
    if not any(map(words.build_analyzer(), questions)):
        raise CourseError(
            "There is no word in these texts.", why="A word has two letters or more.", do="Pass questions in words."
        )
    words.fit(questions)
    return lambda texts: torch.from_numpy(words.transform(_listed(texts)).toarray())


def _listed(texts) -> tuple[str, ...]:
    if isinstance(texts, str) or not isinstance(texts, Iterable):
        raise CourseError(f"A list of texts is needed, not a {type(texts).__name__}.", do="Pass e.g. [text].")
    texts = tuple(texts)
    if not texts:
        raise CourseError("There are no texts to embed.", do="Pass at least one.")
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise CourseError(f"Text {i} is a {type(text).__name__}, not a string.", do="Pass a list of strings.")
    return texts


@dataclass(frozen=True)
class Reply:
    """What the bot says to a question.

    Arguments:
        question: as it was read.
        answer: the FAQ's first answer, or "I do not know."
        known: whether an entry was near enough.
        similarity: cosine of the question and the nearest entry's, -1..1.
        nearest: the three nearest entries with their similarities, the nearest first.
        note: what a reader should know, such as that the question does not look English.
    """

    question: str
    answer: str
    known: bool
    similarity: float
    nearest: tuple[tuple[Entry, float], ...] = field(repr=False)
    note: str = ""

    @property
    def source(self) -> str:
        """The question that the answer belongs to, and where it stands; empty if the bot does not know."""
        if not (self.known and self.nearest):
            return ""
        entry = self.nearest[0][0]
        return f"{entry.question} ({entry.source})"

    def __str__(self) -> str:
        lines = [f"{self.question}", f"  {self.answer}"]
        if self.source:
            lines.append(f"  source: {self.source}; similarity {self.similarity:.2f}")
        elif self.nearest:
            lines.append(f"  nearest, {self.similarity:.2f}: {self.nearest[0][0].question}")
        return "\n".join(lines + [f"  note: {self.note}"] * bool(self.note))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        first, *rest = str(self).split("\n  ")
        return f"<p><b>{escape(first)}</b><br>{'<br>'.join(escape(line) for line in rest)}</p>"


class AnswerBot:
    """A service bot over a FAQ: the nearest question's answer, with its source, or "I do not know".

    Arguments:
        faq: what `support_faq()` gives, or anything with `entries`.
        model: a text model; its sentence vectors of the FAQ's questions are kept.
        threshold: cosine from which on an entry counts as near; see `choose_threshold`.

    >>> from tlcourse import load
    >>> from tlcourse.datasets import support_faq
    >>> bot = AnswerBot(support_faq(), load("minilm"), threshold=0.5)
    >>> bot.ask("The printer prints nothing.").answer
    "Ensure it's powered on and has paper, then restart it."

    Introduced in chapter 07-3.
    """

    def __init__(self, faq, model: nn.Module, threshold: float):
        _check_faq(faq)
        self.faq, self.model, self.threshold = faq, model, real_number("threshold", threshold, -1.0, 1.0001)
        self.vectors = sentence_vectors(model, [entry.question for entry in faq.entries])

    def similarity(self, questions: Sequence[str]) -> torch.Tensor:
        """Cosine of each question with each entry's: `[n, entries]`."""
        return sentence_vectors(self.model, questions) @ self.vectors.T

    def ask(self, question: str) -> Reply:
        """The reply to one question. Raises `CourseError` for one that cannot be read; see `checked_question`."""
        text = checked_question(question)
        found = self.similarity([text])[0]
        best = found.topk(min(3, len(found)))
        entries = [self.faq.entries[i] for i in best.indices.tolist()]
        nearest = tuple(zip(entries, best.values.tolist(), strict=True))
        foreign = broken_words(self.model.tokenizer, text) > FOREIGN
        known = nearest[0][1] >= self.threshold and not foreign
        note = "Most of these words are strange to the encoder. It reads English." if foreign else ""
        return Reply(text, nearest[0][0].answers[0] if known else UNKNOWN, known, nearest[0][1], nearest, note)


def _check_faq(faq) -> None:
    if not hasattr(faq, "entries"):
        raise CourseError(
            f"A {type(faq).__name__} is no FAQ.",
            why="A FAQ has entries, each with a question and its answers.",
            do="Pass support_faq(), or types.SimpleNamespace(entries=[...]) of your own `Entry`s.",
        )
    if not faq.entries:
        raise CourseError("The FAQ is empty.", do="Give it at least one question with an answer.")
    for i, entry in enumerate(faq.entries):
        question, answers = getattr(entry, "question", None), getattr(entry, "answers", None)
        if not isinstance(question, str) or not question.strip():
            raise CourseError(
                f"Entry {i} of the FAQ has no question.", do="Make it an `Entry` with a question in words."
            )
        if not isinstance(answers, list | tuple) or not answers or not all(isinstance(one, str) for one in answers):
            raise CourseError(
                f"Entry {i} of the FAQ ({question[:40]!r}) has no answers.",
                why=f"It has {answers!r}, which is no tuple of strings."[:120],
                do='Write Entry(question, ("An answer.",), topic, source).',
            )
