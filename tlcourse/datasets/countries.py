"""Short texts about countries with facts of CLDR, and questions whose answer stands in the text, or does not."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

import numpy as np
import torch

from tlcourse.datasets.phrasings import ASKED, ASKED_ANEW, TOLD
from tlcourse.datasets.split import Split
from tlcourse.errors import CourseError

COUNTRIES = {"train": 120, "valid": 30, "test": 50}
QUESTIONS = 3  # a country
LEFT_OUT = 0.2  # share of questions whose answer is left out of the text


@dataclass(frozen=True)
class TextQuestion:
    """A question to a text, and where its answer stands.

    Arguments:
        question, text: one line each.
        answer: a piece of the text; empty if the text does not tell.
        start: place of its first letter in the text; -1 if there is none.
        kind: which fact is asked for: one of `TOLD`.
        country: the territory's code in CLDR.

    >>> asked = TextQuestion("Where?", "It is here.", "here", 6, "place", "XX")
    >>> asked.text[asked.start : asked.start + len(asked.answer)]
    'here'
    """

    question: str
    text: str
    answer: str
    start: int
    kind: str
    country: str


@dataclass(frozen=True, eq=False)
class CountryQuestions:
    """Questions to texts about countries, in five parts; those for testing are about countries never trained on.

    Arguments:
        train: for learning.
        valid, valid_phrasings: for choosing: other countries; and other countries, asked in other words.
        countries: for testing: other countries, the phrasings of `train`.
        phrasings: for testing: the countries and facts of `countries`, asked in words that nobody has trained on.
    """

    train: tuple[TextQuestion, ...] = field(repr=False)
    valid: tuple[TextQuestion, ...] = field(repr=False)
    valid_phrasings: tuple[TextQuestion, ...] = field(repr=False)
    countries: tuple[TextQuestion, ...] = field(repr=False)
    phrasings: tuple[TextQuestion, ...] = field(repr=False)
    licence: str = "Unicode-3.0 (CLDR's data, which Babel carries; Babel itself is BSD-3-Clause)"
    source: str = "https://cldr.unicode.org"

    def __repr__(self) -> str:
        parts = ("train", "valid", "valid_phrasings", "countries", "phrasings")
        sizes = ", ".join(f"{len(getattr(self, name))} {name}" for name in parts)
        return f"CountryQuestions: {sizes}"


def country_questions(seed: int = 0) -> CountryQuestions:
    """Questions to generated texts over real facts of CLDR: money, languages, clocks and names of countries.

    The facts are CLDR's; the sentences and questions are the course's own. Each text tells some facts in a chance
    order; a fifth of the questions ask for one that was left out.

    Arguments:
        seed: another one draws other countries for each part, other sentences and other questions.

    Returns `CountryQuestions`, always the same ones for a seed and a version of Babel. No country is in two of the
    parts `train`, `valid` and `countries`; no wording of a question in `train` is in `valid_phrasings` or `phrasings`.

    >>> questions = country_questions()
    >>> asked = questions.train[0]
    >>> asked.answer in asked.text, len(questions.countries) == len(questions.phrasings)
    (True, True)

    Introduced in chapter 07-3.
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise CourseError(f"seed={seed!r} is not a seed.", do="Choose a whole number from 0.")
    return _made(seed)


@cache
def _made(seed: int) -> CountryQuestions:
    facts = country_facts()
    order = [sorted(facts)[i] for i in np.random.default_rng(seed).permutation(len(facts))]
    parts, first = {}, 0
    for side, count in COUNTRIES.items():
        chosen, first = order[first : first + count], first + count
        usual, anew = zip(*(pair for code in chosen for pair in _asked(code, facts[code], side, seed)), strict=True)
        parts[side] = usual, anew
    return CountryQuestions(parts["train"][0], parts["valid"][0], parts["valid"][1], parts["test"][0], parts["test"][1])


@cache
def country_facts() -> dict[str, dict[str, str]]:
    """What CLDR says of each country: its code -> `name`, and those of the facts of `TOLD` that it holds.

    Only countries with one legal tender today are in; facts in words of the English CLDR.

    >>> country_facts()["KE"]["money"], country_facts()["KE"]["language"]
    ('Kenyan Shilling', 'Swahili')
    """
    from babel import Locale
    from babel.core import get_global

    english, german = Locale("en"), Locale("de")
    spoken, paid, zones = (get_global(f"territory_{what}") for what in ("languages", "currencies", "zones"))
    found = {}
    for code in sorted(paid):
        tender = [(money, since, until) for money, since, until, legal in paid[code] if legal and since]
        now = [row for row in tender if row[2] is None]
        if len(code) != 2 or code not in english.territories or code not in spoken or len(now) != 1:
            continue
        name = english.territories[code].removesuffix(" SAR China")
        facts = {"name": name, "money": english.currencies[now[0][0]], "since": str(now[0][1][0])}
        before = [row for row in tender if row[2] and row[2] <= (*now[0][1][:1], 12, 31)]
        old = english.currencies[max(before, key=lambda row: row[2])[0]] if before else ""
        if old and old.split(" (")[0] != facts["money"]:
            facts["before"] = old.split(" (")[0]
        shares = {key: row["population_percent"] for key, row in spoken[code].items() if key in english.languages}
        if shares:
            most = max(shares, key=shares.get)
            facts |= {"language": english.languages[most], "share": f"{shares[most]:.0f}"}
        city = zones[code][0].split("/")[-1].replace("_", " ") if len(zones.get(code, ())) == 1 else name
        if city != name:
            facts["clock"] = city
        if german.territories[code] != name:
            facts["german"] = german.territories[code]
        found[code] = facts
    return found


def _asked(code: str, facts: dict[str, str], side: str, seed: int):
    """`QUESTIONS` pairs of a question in the usual words and one in other words, each with a text of its own."""
    draw = np.random.default_rng([seed, *code.encode()])
    kinds = [kind for kind in TOLD if kind in facts]
    wanted = draw.permutation(kinds)[:QUESTIONS]
    for kind in wanted:
        missing, count = draw.random() < LEFT_OUT, int(draw.integers(3, 5))  # how long a text is tells nothing
        told = [str(other) for other in draw.permutation(kinds) if other != kind][: count - (not missing)]
        if not missing:
            told.insert(int(draw.integers(len(told) + 1)), str(kind))
        text, places = _text(facts, told, draw)
        answer, start = ("", -1) if missing else (facts[kind], places[kind])
        words = [list(ASKED[kind]), list(ASKED_ANEW[kind][:1] if side == "valid" else ASKED_ANEW[kind][1:])]
        yield tuple(
            TextQuestion(str(draw.choice(w)).format(name=facts["name"]), text, answer, start, str(kind), code)
            for w in words
        )


def _text(facts, told, draw) -> tuple[str, dict[str, int]]:
    text, places = "", {}
    for number, kind in enumerate(told):
        sentence = str(draw.choice(TOLD[kind]))
        name = facts["name"] if number == 0 else str(draw.choice([facts["name"], "the country"]))
        named = sentence.replace("{name}", name)
        named = named[0].upper() + named[1:]
        before, after = named.split("{answer}")
        text += " " if text else ""
        places[kind] = len(text) + len(before)
        text += before + facts[kind] + after
    return text, places


def as_split(asked, name: str = "questions") -> Split:
    """Questions as a `Split` of texts that `extract` takes: question, line break, text. Answers are left out.

    Arguments:
        asked: `TextQuestion`s.

    >>> as_split([TextQuestion("Where?", "It is here.", "here", 6, "place", "XX")]).x
    ('Where?\\nIt is here.',)
    """
    asked = list(asked)
    x = tuple(f"{one.question}\n{one.text}" for one in asked)
    y = torch.zeros(len(asked), dtype=torch.int64)  # what is kept of a question must not depend on its answer
    ids = tuple(f"{one.country}/{one.kind}/{i}" for i, one in enumerate(asked))
    return Split(name, "text", x, y, ("question",), ids)
