"""`Chat`: talk with a bot that answers from a FAQ, and see where each answer comes from."""

from __future__ import annotations

import math
from collections.abc import Sequence

import traitlets

from tlcourse.answering import Reply
from tlcourse.errors import CourseError, real_number
from tlcourse.widgets.predict_state import sendable
from tlcourse.widgets.view import View, script, style

LONGEST = 50
"""So many questions stay on the page; the oldest go first."""


class Chat(View):
    """A conversation with a bot: type a question, and get the FAQ's answer with its source, or "I do not know."

    Below each answer stand the question of the FAQ that it belongs to, its file, and how near it is beside the bot's
    threshold; the three nearest entries can be opened. What cannot be read gets a line that says why, and stays typed.
    Each question is answered by itself: the bot remembers nothing.

    Arguments:
        bot: an `AnswerBot`, or anything with `ask(question)` that returns a `Reply`, and `threshold`.
        examples: questions that a click asks.

    `ask(question)` does from code what typing does; `replies` holds what was said, the last `LONGEST` of it.

    >>> from tlcourse import AnswerBot, load, support_faq
    >>> chat = Chat(AnswerBot(support_faq(), load("minilm"), threshold=0.5))
    >>> chat.ask("The printer prints nothing.").known
    True

    Chapter 07-3.
    """

    _esm, _css = script("chat"), style("chat")
    turns = traitlets.List().tag(sync=True)
    examples = traitlets.List(traitlets.Unicode()).tag(sync=True)

    def __init__(self, bot, examples: Sequence[str] = ()):
        if not callable(getattr(bot, "ask", None)) or not hasattr(bot, "threshold"):
            raise CourseError(
                f"A {type(bot).__name__} is no bot.",
                why="A bot has ask(question) and a threshold.",
                do="Make one: AnswerBot(support_faq(), load('minilm'), threshold=0.5).",
            )
        if isinstance(examples, str) or not all(isinstance(one, str) for one in examples):
            raise CourseError("The examples are questions.", do='Pass a list of strings, e.g. ["Who is Alan Turing?"].')
        self.bot, self.replies, self._asked = bot, [], 0
        super().__init__(examples=list(examples))

    def ask(self, question: str) -> Reply:
        """Ask the bot, show its reply, and return it; raises `CourseError` for what it cannot read."""
        reply = self.bot.ask(question)
        turn = {"turn": self._asked + 1, **shown(reply, self.bot.threshold)}  # what cannot be shown leaves no trace
        self.replies, self._asked = [*self.replies, reply][-LONGEST:], self._asked + 1
        self.turns = [*self.turns, turn][-LONGEST:]
        self.say("")
        return reply

    def act(self, message):
        asked, what = message.get("do"), message.get("what")
        self.say("")  # so that the same line twice is heard twice
        if asked == "ask" and isinstance(what, str):
            self.ask(what)
        elif asked == "clear":
            self.replies, self.turns = [], []
        else:
            raise CourseError(f"The widget cannot do {asked!r}.", do="Run the cell again that shows it.")

    def static(self) -> str:
        return "\n".join(map(str, self.replies)) or "Nothing was asked yet."


def shown(reply: Reply, threshold: float) -> dict:
    """What the page shows of a reply: text and numbers only.

    Arguments:
        reply: what the bot said.
        threshold: from which cosine on it answers.

    Raises `CourseError` for what is no `Reply`, and for similarities that are no numbers.

    >>> from tlcourse.datasets.support import Entry
    >>> entry = Entry("Is it on?", ("Look.",), "support", "support.yml 1")
    >>> shown(Reply("On?", "Look.", True, 0.71, ((entry, 0.71),)), 0.5)["nearest"]
    [{'question': 'Is it on?', 'source': 'support.yml 1', 'similarity': 0.71}]
    """
    if not isinstance(reply, Reply) or not all(isinstance(t, str) for t in (reply.question, reply.answer, reply.note)):
        raise CourseError(
            f"The bot's answer is a {type(reply).__name__} that cannot be shown.",
            why="A reply tells the question, the answer, its similarity and the nearest entries.",
            do="Let bot.ask(question) return Reply(question, answer, known, similarity, nearest), all text as strings.",
        )
    numbers = [real_number("similarity", value, -math.inf) for _, value in reply.nearest]
    threshold = real_number("threshold", threshold, -math.inf)
    return {
        "question": sendable(reply.question),
        "answer": sendable(reply.answer),
        "known": bool(reply.known),
        "threshold": round(threshold, 2),
        "note": sendable(reply.note),
        "nearest": [
            {
                "question": sendable(entry.question),
                "source": sendable(entry.source),
                "similarity": round(similarity, 2),
            }
            for (entry, _), similarity in zip(reply.nearest, numbers, strict=True)
        ],
    }
