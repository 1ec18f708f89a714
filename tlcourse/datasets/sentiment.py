"""Short texts of four domains, with the sentiment that about twenty people saw in each."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass

import numpy as np
import torch

from tlcourse import assets
from tlcourse.datasets.partition import partition
from tlcourse.datasets.split import Dataset, Split
from tlcourse.errors import CourseError, UnknownName

CLASSES = ("negative", "positive")
SHARES = (0.6, 0.1, 0.3)
CLEAR = 0.5  # mean ratings (-4 to 4) no further from 0 than this are left out
# domain -> title, and whether an id such as 12_3 means the third sentence of source 12
DOMAINS = {
    "movie": ("snippets of film reviews", False),
    "product": ("sentences of reviews of cameras, phones and players", True),
    "tweet": ("tweets", False),
    "news": ("sentences of newspaper editorials", True),
}
NOTES = {
    "movie": "One snippet a review. The source lost the hyphens inside words.",
    "product": "Sentences of one review are on one side.",
    "tweet": "As people wrote them, sometimes coarsely; names are @anonymous, addresses http://url_removed.",
    "news": "Sentences of one article are on one side.",
}


def sentiment(domain: str = "movie") -> Dataset:
    """Texts of a domain, negative or positive: `"movie"`, `"product"`, `"tweet"` or `"news"`."""
    _check(domain)
    title, has_sources = DOMAINS[domain]
    rows = _read(domain)
    chosen = [(number, rating, text) for number, rating, text in rows if abs(rating) > CLEAR and re.search(r"\w", text)]
    numbers, ratings, texts = zip(*chosen, strict=True)
    y = np.array([rating > 0 for rating in ratings], dtype=np.int64)
    sources = [number.split("_")[0] for number in numbers] if has_sources else None

    def split(name, places):
        ids = tuple(f"{domain}/{numbers[i]}" for i in places)
        x = tuple(texts[i] for i in places)
        return Split(name, "text", x, torch.from_numpy(y[places]), CLASSES, ids)

    sides = partition(y, related(texts, sources), SHARES, seed=0)
    train, valid, test = (split(n, p) for n, p in zip(("train", "valid", "test"), sides, strict=True))
    entry = assets.registry()["sentiment"]
    return Dataset(
        f"sentiment-{domain}",
        f"{title}, negative or positive",
        "text",
        train,
        valid,
        test,
        CLASSES,
        entry.licence,
        entry.home,
        (
            f"A text is positive if its mean rating (-4 to 4) is above {CLEAR}, negative if below -{CLEAR}; "
            f"{len(rows) - len(chosen)} of {len(rows)} that lie between, or have no letter, are left out.",
            f"Classes as they come: {y.mean():.0%} are positive. Always saying so is right that often.",
            "Texts that share six words in a row are on one side.",
            NOTES[domain],
        ),
    )


@dataclass(frozen=True)
class RatedText:
    """A text with what people thought of it.

    Arguments:
        id: the same as in the splits of `load_dataset("sentiment", domain=...)`, if the text is in one of them.
        rating: the mean of about twenty people's ratings, from -4 (very negative) to 4 (very positive).
        text: as the splits have it.
    """

    id: str
    rating: float
    text: str


def rated_texts(domain: str = "movie") -> tuple[RatedText, ...]:
    """All texts of a sentiment domain with their mean ratings, also those that are too near to 0 to have a class.

    Arguments:
        domain: `"movie"`, `"product"`, `"tweet"` or `"news"`.

    Returns `RatedText` each, always in the same order. Raises `UnknownName` for another domain.

    >>> round(rated_texts("tweet")[0].rating, 2)
    2.73

    Introduced in chapter 07-1. Hutto and Gilbert 2014 (VADER).
    """
    _check(domain)
    return tuple(RatedText(f"{domain}/{number}", rating, text) for number, rating, text in _read(domain))


def related(texts, sources=None, words: int = 6) -> list[int]:
    """A group number for each text: texts of one source, and texts that share `words` words in a row, are together.

    Arguments:
        texts: strings; also together if they differ in blanks, signs and capitals only.
        sources: a key for each text, or None.

    >>> related(["Good buy!", "good buy", "A bad one."])
    [0, 0, 2]
    """
    parent = list(range(len(texts)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = i = parent[parent[i]]
        return i

    first: dict = {}
    for i, text in enumerate(texts):
        spoken = re.findall(r"\w+", re.sub(r"@anonymous|http://url_removed", " ", text.lower().replace("'", "")))
        keys: list = list(zip(*(spoken[k:] for k in range(words)), strict=False))
        keys.append("".join(spoken) or text.strip())
        if sources is not None:
            keys.append(("source", sources[i], None))
        for key in keys:
            other = first.setdefault(key, i)
            if other != i:
                low, high = sorted((root(other), root(i)))
                parent[high] = low
    return [root(i) for i in range(len(texts))]


def clean(text: str) -> str:
    """A text as a person would have typed it: HTML entities, doubled quotes and runs of blanks put right.

    >>> clean("Tom &amp;#38; Jerry    ''great''  fun")
    'Tom & Jerry – "great" fun'
    """
    text = html.unescape(html.unescape(text))  # some were escaped twice
    text = text.replace("''", '"').replace("`", "'")
    text = re.sub(r"(?<=\S) {4}(?=\S)", " – ", text)  # a dash between words was replaced by four blanks
    return " ".join(text.split())


def _check(domain) -> None:
    if not isinstance(domain, str) or domain not in DOMAINS:  # a list has no hash
        raise UnknownName("sentiment domain", domain, DOMAINS)


def _read(domain: str) -> list[tuple[str, float, str]]:
    lines = assets.file("sentiment", f"{domain}.txt").read_text("utf-8").split("\n")
    rows = [line.rstrip("\r").split("\t", 2) for line in lines if line.strip()]
    try:
        return [(number, float(rating), clean(text)) for number, rating, text in rows]
    except ValueError:
        raise CourseError(f"The texts of the domain {domain!r} cannot be read.", do="Type: tlcourse doctor") from None
