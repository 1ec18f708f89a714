"""Answers that need no training: the first name or number of the text, or of the sentence most like the question."""

from __future__ import annotations

import re

_NAME = re.compile(r"[A-ZÀ-Þ][\w'’-]*(?: [A-ZÀ-Þ][\w'’-]*)*|\d+")
_OPENERS = {"The", "In", "On", "About", "Clocks", "Travellers", "A", "An", "It", "Its"}


def first_name(question: str, text: str) -> str:
    """The first name or number of a text that the question does not hold; empty if there is none.

    Arguments:
        question, text: one line each.

    >>> first_name("What is the currency of Kenya?", "In Kenya the East African Shilling went out of use.")
    'East African Shilling'
    """
    for found in _NAME.finditer(text):
        name = found.group()
        first, _, rest = name.partition(" ")
        name = rest if first in _OPENERS else name
        if name and name not in question and not (set(name.split()) <= set(re.findall(r"\w+", question))):
            return name
    return ""


def nearest_sentence(question: str, text: str) -> str:
    """`first_name` in the sentence that shares most words with the question; the first of equals.

    Arguments:
        question, text: one line each.

    >>> nearest_sentence("What time is kept in Kenya?", "Kenya speaks Swahili. Kenya keeps the time of Nairobi.")
    'Nairobi'
    """
    sentences = re.split(r"(?<=[.!?]) +", text)
    words = set(re.findall(r"\w+", question.lower()))
    return first_name(question, max(sentences, key=lambda one: len(words & set(re.findall(r"\w+", one.lower())))))
