"""The check of exercise 07-2.3: which strings of a test have been seen in training."""

from __future__ import annotations

from tlcourse.exercises.answers import NotYet, call

TRAIN = [
    "Close %1",
    "Open file…",
    "Kernel {name} died",
    "Save",
    "<b>Warning</b>",
    "42 items",
    "Close all tabs",
    "%1 / %2",
]
TEST = [
    "close", "OPEN FILE", "Kernel {id} died!", "Save all", "Warning:", "7 items", "Disclose", "100 %", "Close %2 tabs",
    "Run", "Kernel died", "Save",
]  # fmt: skip
LEAKS = (0, 1, 2, 4, 5, 10, 11)


# A second pair of lists: place in `test` -> whether it leaks, and what is said where an answer thinks otherwise.
MORE = ["Файл {name}", "{a} of {b}", "<i>New</i> tab", "Open the last file", "Silent"]
CASES = {
    "файл": (True, "Letters are not only a to z: `Файл {name}` leaks into `файл`. Ask `isalpha()`."),
    "Of": (True, "`{a} of {b}` has two placeholders and a word between them. Take each out by itself."),
    "New tab": (True, "`<i>New</i> tab` without its tags is `New tab`: any name may stand in a tag."),
    "Newtab": (True, "A space is no letter either: `New tab` and `Newtab` leave the same template."),
    "Last file, open the": (False, "The same words in another order are another template: keep the order."),
    "Listen": (
        False,
        "`Silent` and `Listen` have the same letters in another order: compare the strings that are left.",
    ),
    "Open the last page": (False, "`Open the last page` ends otherwise than `Open the last file`: compare all of it."),
}


def sides():
    """Strings of two sides, some of which are one template."""
    return list(TRAIN), list(TEST)


def leaking(leaks) -> None:
    """07-2.3: the places in test whose template is in train."""
    train, test = sides()
    got = call(leaks, train, test)
    if (train, test) != sides():
        raise NotYet("Your function changed the lists that it was given.")
    found = _places(got, len(test))
    if found == set(LEAKS):
        return _more(leaks)
    if found == {11}:
        raise NotYet("Only strings that are exactly equal were found. `close` and `Close %1` are one template.")
    raise NotYet(_which(found))


def _more(leaks) -> None:
    """The same with other strings."""
    found = _places(call(leaks, list(MORE), list(CASES)), len(CASES))
    for i, (leak, words) in enumerate(CASES.values()):
        if (i in found) != leak:
            raise NotYet(words)


def _places(got, n: int) -> set[int]:
    if got is None:
        raise NotYet("Your function returns nothing. Return the places in `test`, a list of numbers.")
    try:
        got = got.tolist() if hasattr(got, "tolist") else list(got)
    except TypeError:
        raise NotYet(f"Return a list of places in `test`, not {type(got).__name__}.") from None
    if any(isinstance(i, str) for i in got):
        raise NotYet("These are strings. Return their places in `test`: 0 for the first.")
    if len(got) == n and all(isinstance(i, bool) for i in got):
        raise NotYet("You return True or False for each string. Return the places where it is True.")
    if len(set(got)) < len(got):
        raise NotYet("A place is named twice: one string of `test` may be like several of `train`.")
    return {int(i) for i in got}


def _which(found: set[int]) -> str:
    checks = (
        (7 in found, "`100 %` and `%1 / %2` have no letter: what is empty without placeholders is like nothing."),
        (6 in found, "`Disclose` holds the letters of `Close`, and is another word: compare whole templates."),
        (3 in found, "`Save all` begins like `Save`, and says something else: compare whole templates."),
        (8 in found, "`Close %2 tabs` is not `Close all tabs`: a word is missing. Templates have to be equal."),
        (0 not in found and 1 not in found, "Capitals make no other string: `OPEN FILE` and `Open file…` are one."),
        (1 not in found, "Signs make no other string: `OPEN FILE` and `Open file…` are one. Keep letters only."),
        (4 not in found, "Markup is no text: `<b>Warning</b>` without its tags is `Warning`. The b must go as well."),
        (2 not in found or 10 not in found, "The name inside `{name}` is part of the placeholder: take it out whole."),
        (5 not in found, "Digits make no other string: `42 items` and `7 items` are one."),
        (0 not in found, "`Close %1` without its placeholder is `close`, the first string of `test`."),
        (11 not in found, "Strings that are exactly equal leak, too."),
    )
    for wrong, message in checks:
        if wrong:
            return message
    return f"The places are {list(LEAKS)}; you found {sorted(found)}. Numbers count in `test`, from 0."
