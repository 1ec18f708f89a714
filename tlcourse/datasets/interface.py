"""Interface strings: what JupyterLab says in English, and how its translators say it in another language."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cache

import torch

from tlcourse import assets
from tlcourse.datasets.partition import partition
from tlcourse.datasets.split import Dataset, Split, _chosen
from tlcourse.errors import CourseError, UnknownName

# language -> its name, and its asset
LANGUAGES = {
    "fr": ("French", "strings-french"),
    "es": ("Spanish", "strings-spanish"),
    "zh": ("Chinese", "strings-chinese"),
}
CLASSES = ("jupyterlab", "extension")
SHARES = (0.65, 0.1, 0.25)
WORDS_IN_A_ROW = 6
# %1, %s, %(name)s, {name}, {{name}}, <b>, addresses: no words of any language
PLACEHOLDER = re.compile(r"%\(\w+\)[a-z]|%[a-z\d]\b|\{+[^{}]*\}+|<[^<>]*>|https?://\S+")


@dataclass(frozen=True, eq=False)
class ParallelSplit(Split):
    """English strings with their translations; `y` says whether a string is JupyterLab's own, or an extension's.

    Arguments:
        targets: the translation of each string.
        language: what they are translated into, e.g. `"fr"`.

    Everything else is as in `Split`. The fingerprint is that of the English side, so that features of the English
    strings are computed once for all languages.

    >>> split = ParallelSplit("train", "text", ("Open",), torch.tensor([0]), ("git",), ("Open",),
    ...                       targets=("Ouvrir",), language="fr")
    >>> split[:1].targets
    ('Ouvrir',)
    """

    targets: tuple[str, ...] = field(default=(), repr=False)
    language: str = ""

    def __post_init__(self):
        super().__post_init__()
        if len(self.targets) != len(self.y) or not all(isinstance(t, str) for t in self.targets):
            raise CourseError(
                f"There are {len(self.y)} strings and {len(self.targets)} translations.",
                do="Give one translation, a string, for every string.",
            )

    def __getitem__(self, index) -> ParallelSplit:
        chosen = _chosen(index, len(self)).tolist()
        return replace(
            self,
            x=tuple(self.x[i] for i in chosen),
            y=self.y[chosen],
            ids=tuple(self.ids[i] for i in chosen),
            targets=tuple(self.targets[i] for i in chosen),
        )

    def short(self, words: int) -> ParallelSplit:
        """The strings of at most so many English words."""
        return self[[i for i, text in enumerate(self.x) if len(text.split()) <= words]]


def interface_strings(language: str = "fr") -> Dataset:
    """English strings of an interface with their translations: `"fr"`, `"es"` or `"zh"`."""
    if language not in LANGUAGES:
        raise UnknownName("language of interface strings", language, LANGUAGES)
    name, asset = LANGUAGES[language]
    sides = _sides()
    pairs = _pairs(language)

    def split(number: int, title: str) -> ParallelSplit:
        chosen = [english for english in sorted(pairs) if sides[english][0] == number]
        return ParallelSplit(
            title,
            "text",
            tuple(chosen),
            torch.tensor([sides[english][1] for english in chosen], dtype=torch.int64),
            CLASSES,
            tuple(f"interface/{english}" for english in chosen),
            targets=tuple(pairs[english][1] for english in chosen),
            language=language,
        )

    entry = assets.registry()[asset]
    return Dataset(
        f"interface-strings-{language}",
        f"strings of JupyterLab's interface, English to {name}",
        "text",
        *(split(i, title) for i, title in enumerate(("train", "valid", "test"))),
        CLASSES,
        entry.licence,
        entry.home,
        (
            "split.targets holds the translations, by the volunteers of the Jupyter project.",
            "Strings that are the same but for placeholders, digits, signs and capitals are on one side, in every "
            f"language; so are English strings that share {WORDS_IN_A_ROW} words in a row.",
            "A string is on the same side in all languages: none that is tested was seen in another language.",
            "Strings that were left in English, or have no word, are left out.",
        ),
    )


def template(text: str) -> str:
    """What is left of a string without placeholders, markup, digits, signs, blanks and capitals.

    >>> template("Close %1…"), template("<b>Close</b> {name}?")
    ('close', 'close')
    """
    return "".join(c for c in PLACEHOLDER.sub(" ", text.casefold()) if c.isalpha())


def together(rows: Iterable[tuple[str, ...]], words: int = WORDS_IN_A_ROW) -> list[int]:
    """A group number for each row: rows that share a template in a column are together, one with the next.

    Arguments:
        rows: an English string, then its translations, always in the same order; `""` where there is none.
        words: English strings that share so many words in a row are together, too.

    >>> together([("Close", "Fermer"), ("Close %1", "Fermez %1"), ("Shut", "Fermer !"), ("Open", "Ouvrir")])
    [0, 0, 0, 3]
    """
    rows = list(rows)
    parent = list(range(len(rows)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = i = parent[parent[i]]
        return i

    first: dict = {}
    for i, row in enumerate(rows):
        keys: list = [(column, template(text)) for column, text in enumerate(row) if template(text)]
        spoken = re.findall(r"[^\W\d_]+", PLACEHOLDER.sub(" ", row[0].casefold()))
        keys += [tuple(spoken[k : k + words]) for k in range(len(spoken) - words + 1)]
        for key in keys:
            other = first.setdefault(key, i)
            low, high = sorted((root(other), root(i)))
            parent[high] = low
    return [root(i) for i in range(len(rows))]


@cache
def _sides() -> dict[str, tuple[int, int]]:
    """English string -> its side 0, 1 or 2, and its class: the same in every language."""
    pairs = {language: _pairs(language) for language in LANGUAGES}
    english = sorted(set().union(*pairs.values()))
    rows = [(text, *(pairs[language].get(text, ("", ""))[1] for language in LANGUAGES)) for text in english]
    # the few that every language has are shared out as fairly as the rest
    y = [sum(bool(target) for target in row[1:]) == len(LANGUAGES) for row in rows]
    cut = partition(y, together(rows), SHARES, seed=0)
    own = {text for language in LANGUAGES for text, (part, _) in pairs[language].items() if part == CLASSES[0]}
    return {english[i]: (side, int(english[i] not in own)) for side, places in enumerate(cut) for i in places.tolist()}


@cache
def _pairs(language: str) -> dict[str, tuple[str, str]]:
    """English string -> the part of the interface, and the translation."""
    _, asset = LANGUAGES[language]
    found: dict[str, tuple[str, str]] = {}
    for file in assets.registry()[asset].files:
        part = file.removesuffix(".json")
        try:
            catalogue = json.loads(assets.file(asset, file).read_text("utf-8"))
            rows = [(key, made[0] if isinstance(made, list) else made) for key, made in catalogue.items() if key]
            for key, made in rows:
                english = " ".join(key.rpartition("\x04")[2].split())  # what stands before says where it is shown
                made = " ".join(made.split())
                if made and made != english and template(made) and template(english):
                    found.setdefault(english, (part, made))
        except (ValueError, AttributeError, IndexError, TypeError):
            raise CourseError(f"The strings {asset}/{file} cannot be read.", do="Type: tlcourse doctor") from None
    return found
