"""The chat without a page: what a question brings, what is sent, and what is told of a question that cannot be read."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from tlcourse import AnswerBot, Chat, CourseError, load, support_faq
from tlcourse.answering import Reply
from tlcourse.answering.bot import UNKNOWN
from tlcourse.datasets.support import Entry
from tlcourse.widgets.chat import LONGEST

ODD = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def bot():
    return AnswerBot(support_faq(), load("minilm"), threshold=0.5)


@pytest.fixture
def chat(bot):
    return Chat(bot, ["My mouse does not move any more."])


def test_an_answer_comes_with_its_source(chat):
    chat.act({"do": "ask", "what": "My mouse does not move any more."})
    (turn,) = chat.turns
    assert turn["known"] and turn["answer"] == chat.replies[0].answer != UNKNOWN
    assert turn["nearest"][0]["source"].startswith("tech_support.yml") and len(turn["nearest"]) == 3
    assert turn["nearest"][0]["similarity"] >= turn["threshold"] == 0.5
    assert chat.status == "" and json.loads(json.dumps(chat.turns)) == chat.turns


def test_what_is_far_from_every_entry_is_not_answered(chat):
    reply = chat.ask("How do I clean my keyboard?")
    assert not reply.known and chat.turns[0]["answer"] == UNKNOWN
    assert chat.turns[0]["nearest"][0]["similarity"] < 0.5


@pytest.mark.parametrize(
    "question, told",
    [
        ("", "no question"),
        ("😀😀", "no words"),
        ("why " * 1250, "5,000 characters"),
        ("打印机不工作了", "not in English"),
    ],
)
def test_what_cannot_be_read_is_told_and_what_was_said_stays(chat, question, told):
    chat.ask("My mouse does not move any more.")
    before = chat.turns
    with pytest.raises(CourseError, match=told):
        chat.act({"do": "ask", "what": question})
    assert chat.turns == before and len(chat.replies) == 1


@pytest.mark.parametrize("message", [{}, {"do": "ask"}, {"do": "ask", "what": 3}, {"do": "shout", "what": "a"}])
def test_a_message_that_means_nothing_is_refused(chat, message):
    with pytest.raises(CourseError, match="Run the cell again"):
        chat.act(message)


def test_another_language_is_remarked_on(chat):
    chat.ask("Esqueci minha senha.")
    assert "English" in chat.turns[0]["note"] and not chat.turns[0]["known"]


def test_a_changed_threshold_counts_from_the_next_question_on(bot):
    chat = Chat(AnswerBot(bot.faq, bot.model, 0.5))
    chat.ask("The printer prints nothing.")
    chat.bot.threshold = 0.99
    chat.ask("The printer prints nothing.")
    assert [turn["known"] for turn in chat.turns] == [True, False]
    assert [turn["threshold"] for turn in chat.turns] == [0.5, 0.99]


def test_clearing_forgets_and_the_oldest_go_first():
    nearest = ((Entry("Is it on?", (ODD,), "support", "own.yml 1"), 0.7),)
    chat = Chat(SimpleNamespace(ask=lambda question: Reply(question, ODD, True, 0.7, nearest), threshold=0.5))
    for i in range(LONGEST + 2):
        chat.ask(f"again {i}")
    assert len(chat.turns) == len(chat.replies) == LONGEST and chat.turns[0]["question"] == "again 2"
    assert len({turn["turn"] for turn in chat.turns}) == LONGEST and len(chat.turns[0]["nearest"]) == 1
    html = chat._repr_mimebundle_()[0]["text/html"]
    assert ODD not in html and "&lt;img" in html and html.count("again 3\n") == 1
    chat.act({"do": "clear"})
    assert chat.turns == chat.replies == [] and repr(chat) == "Nothing was asked yet."


@pytest.mark.parametrize("wrong", [None, "bot", load, SimpleNamespace(ask=print)])
def test_what_is_no_bot_is_told(wrong):
    with pytest.raises(CourseError, match="is no bot"):
        Chat(wrong)


@pytest.mark.parametrize("wrong", ["one question", [1], [None]])
def test_examples_are_questions(bot, wrong):
    with pytest.raises(CourseError, match="list of strings"):
        Chat(bot, wrong)


def test_a_reply_without_entries_is_shown():
    replies = [Reply("On?", "Yes.", True, 0.7, ()), Reply("On?", UNKNOWN, False, 0.1, (), "A note.")]
    chat = Chat(SimpleNamespace(ask=lambda question: replies.pop(0), threshold=0.5))
    chat.ask("On?"), chat.ask("On?")
    assert [turn["nearest"] for turn in chat.turns] == [[], []]
    assert repr(chat) == f"On?\n  Yes.\nOn?\n  {UNKNOWN}\n  note: A note."


ENTRY = Entry("Is it on?", ("Look.",), "support", "own.yml 1")


@pytest.mark.parametrize(
    "reply, threshold, words",
    [
        ("Yes.", 0.5, "a str that cannot be shown"),
        (None, 0.5, "a NoneType"),
        (Reply("On?", None, True, 0.7, ((ENTRY, 0.7),)), 0.5, "a Reply that cannot be shown"),
        (Reply("On?", "Yes.", True, 0.7, ((ENTRY, float("nan")),)), 0.5, "similarity=nan"),
        (Reply("On?", "Yes.", True, 0.7, ((ENTRY, 0.7),)), None, "threshold=None"),
    ],
)
def test_what_a_bot_of_ones_own_says_wrong_is_told_and_leaves_no_trace(reply, threshold, words):
    chat = Chat(SimpleNamespace(ask=lambda question: reply, threshold=threshold))
    with pytest.raises(CourseError, match=words):
        chat.ask("On?")
    assert chat.turns == chat.replies == []


def test_a_bot_that_fails_leaves_what_was_said(bot):
    chat = Chat(SimpleNamespace(ask=bot.ask, threshold=0.5))
    chat.ask("The printer prints nothing.")
    chat.bot = SimpleNamespace(ask=lambda question: 1 / 0, threshold=0.5)
    with pytest.raises(ZeroDivisionError):
        chat.ask("On?")
    assert len(chat.turns) == len(chat.replies) == 1
