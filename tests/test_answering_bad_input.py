"""Bad input to the bot over a FAQ and to its scores is told in words."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from tlcourse import AnswerBot, CourseError, choose_threshold, load, recall_at
from tlcourse.answering import sentence_vectors, word_vectors
from tlcourse.datasets.support import Entry

NAN, ROWS = float("nan"), [[0.9, 0.2], [0.3, 0.8], [0.5, 0.4]]


def faq(*entries):
    return SimpleNamespace(entries=entries)


def entry(question="Is it on?", answers=("Look.",)):
    return Entry(question, answers, "support", "support.yml 1")


@pytest.fixture(scope="module")
def model():
    return load("minilm", pretrained=False)


@pytest.mark.parametrize("score", [recall_at, choose_threshold])
@pytest.mark.parametrize(
    ("similarity", "true", "words"),
    [
        ([[NAN, 0.2], *ROWS[1:]], [0, 1, -1], "question 0 hold NaN"),
        ([[float("inf"), 0.2], *ROWS[1:]], [0, 1, -1], "question 0 hold NaN"),
        ([0.9, 0.3, 0.5], [0, 1, -1], "do not belong together"),
        (ROWS, [0, 1], "do not belong together"),
        (ROWS, [0, 7, -1], "no entry 7"),
        (torch.zeros(3, 0), [0, 1, -1], "no entry 1"),
        (ROWS, [0.5, 1, -1], "not whole numbers"),
        (ROWS, [NAN, 1, -1], "not whole numbers"),
        (ROWS, [True, False, True], "not whole numbers"),
        ([[0.9], [0.3, 0.8]], [0, 1], "cannot be read"),
        ("abc", [0], "cannot be read"),
        (None, None, "cannot be read"),
    ],
)
def test_what_has_no_score_is_told(score, similarity, true, words):
    with pytest.raises(CourseError, match=words):
        score(similarity, true)


def test_a_table_and_whole_floats_are_read():
    import pandas as pd

    assert recall_at(pd.DataFrame(ROWS), pd.Series([0.0, 1.0, -1.0])) == 1.0


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (None, "NoneType is no FAQ"),
        ([entry()], "list is no FAQ"),
        (faq(), "empty"),
        (faq(entry(), entry(question=" ")), "Entry 1 of the FAQ has no question"),
        (faq(entry(question=None)), "has no question"),
        (faq(*"abc"), "has no question"),
        (faq(entry(answers=())), "has no answers"),
        (faq(entry(answers="Look.")), "no tuple of strings"),
    ],
)
def test_a_faq_that_cannot_answer_is_told(model, bad, words):
    with pytest.raises(CourseError, match=words):
        AnswerBot(bad, model, threshold=0.5)


@pytest.mark.parametrize(
    ("texts", "words"), [("One text.", "not a str"), (None, "not a NoneType"), ([], "no texts"), ([None], "Text 0")]
)
def test_what_is_no_list_of_texts_is_told(model, texts, words):
    for call in (lambda: sentence_vectors(model, texts), lambda: word_vectors(texts),
                 lambda: word_vectors(["My screen"])(texts)):  # fmt: skip
        with pytest.raises(CourseError, match=words):
            call()


def test_texts_without_words_are_told():
    with pytest.raises(CourseError, match="no word"):
        word_vectors(["a", "!"])


def test_a_spoilt_model_does_not_say_that_it_does_not_know():
    spoilt = load("minilm", pretrained=False)
    bot = AnswerBot(faq(entry()), spoilt, threshold=0.5)
    for parameter in spoilt.parameters():
        torch.nn.init.constant_(parameter, NAN)
    with pytest.raises(CourseError, match="weights are spoilt"):
        bot.ask("Is it on?")
