"""A question as a person types it: what can be asked, and what is told instead of an answer."""

from __future__ import annotations

import html
import re
import unicodedata

from tlcourse.errors import CourseError

MOST = 500  # characters of a question: ten times the longest of the FAQ's


def checked_question(question: str) -> str:
    """The question in one line, without markup and control characters.

    Arguments:
        question: what somebody typed.

    Raises `CourseError` if it is no string, empty, without words (only signs or emoji), longer than `MOST`
    characters, or mostly in letters that the English encoder does not read.

    >>> checked_question("  <b>My printer</b> is\\nnot &amp; never printing ")
    'My printer is not & never printing'
    """
    if not isinstance(question, str):
        raise CourseError(f"A question is a string, not a {type(question).__name__}.", do='Ask e.g. "Where is it?"')
    if len(question) > MOST:
        raise CourseError(
            f"The question has {len(question):,} characters.",
            why=f"At most {MOST} are read, so that the end of a question is not silently cut off.",
            do="Ask in one or two sentences.",
        )
    text = html.unescape(re.sub(r"</?[A-Za-z][^<>]*>", " ", question))
    text = "".join(" " if unicodedata.category(letter)[0] == "C" else letter for letter in text)
    text = " ".join(text.split())
    if not text:
        raise CourseError("There is no question.", why="The text is empty, or holds markup only.", do="Type one.")
    letters = [letter for letter in text if letter.isalpha()]
    if not letters:
        raise CourseError(f"There are no words in {text[:40]!r}.", do="Ask in words.")
    latin = sum("LATIN" in unicodedata.name(letter, "") for letter in letters)
    if latin < len(letters) / 2:
        raise CourseError(
            f"The question {text[:40]!r} is not in English.",
            why="The encoder has read English texts; other letters mean next to nothing to it.",
            do="Ask in English.",
        )
    return text


def broken_words(tokenizer, text: str) -> float:
    """Share of a text's words that the tokenizer has to cut in pieces: high for another language, or misspelling.

    Arguments:
        tokenizer: a Hugging Face tokenizer.
        text: with at least one word.

    >>> from tlcourse import load
    >>> tokenizer = load("minilm").tokenizer
    >>> broken_words(tokenizer, "My printer is not printing."), broken_words(tokenizer, "Mein Drucker druckt nichts.")
    (0.0, 0.75)
    """
    words = re.findall(r"[^\W\d_]+", text)
    if not words:
        raise CourseError(f"There are no words in {text[:40]!r}.", do="Ask in words.")
    return sum(len(tokenizer.tokenize(word)) > 1 for word in words) / len(words)
