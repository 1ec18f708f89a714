"""The check of exercise 07-1.1: TF-IDF by hand."""

from __future__ import annotations

from math import log

from tlcourse.exercises.answers import NotYet, brief, call

TRAIN = (
    "Not a good film",
    "good plot good cast",
    "a dull dull film",
    "The plot of a film",
    "a film a cast",
)
TEXTS = ("Good good film", "a dull plot and Dull talk", "nothing here", "the cast of the film")
MARKS = (("Well,  well", "it's a well"), ("It's it's well,",))  # words: a, it's, well, and "well,"


def reviews():
    """Five texts to learn from and four others: `train, texts`, lists of strings."""
    return list(TRAIN), list(TEXTS)


def _words(texts):
    return [t.lower().split() for t in texts]


def _as_typed(texts):
    return [t.split() for t in texts]


def _strings(texts):
    """Texts as one string each: `count` and `in` then find a word inside of others, too."""
    return [t.lower() for t in texts]


def _with(texts, word):
    return sum(word in t for t in texts)


def _count(text, word):
    return text.count(word)


def _idf(known, asked, word):
    return log(len(known) / _with(known, word))


def _table(train, texts, *, known=_words, asked=_words, words=_words, both=False, order=sorted, tf=_count, idf=_idf):
    """The table of the right answer, or of one that makes a mistake in one step."""
    columns = order({w: 0 for t in words([*train, *texts] if both else train) for w in t})
    known, asked = known(train), asked(texts)
    return [[tf(t, w) * idf(known, asked, w) for w in columns] for t in asked]


def _over(total, count):
    return lambda known, asked, w: log(total(known, asked) / count(known, asked, w))


_ALL = _over(lambda known, asked: len(known + asked), lambda known, asked, w: _with(known + asked, w))
_MADE = {
    "right": {},
    "counts": {"idf": lambda known, asked, w: 1.0},
    "once": {"tf": lambda t, w: float(w in t)},
    "log of counts": {"tf": lambda t, w: log(1 + t.count(w))},
    "share": {"tf": lambda t, w: t.count(w) / len(t)},
    "tested": {"idf": lambda known, asked, w: log(len(asked) / max(1, _with(asked, w)))},
    "all texts": {"idf": _ALL},
    "both": {"both": True, "idf": _ALL},
    "occurrences": {"idf": lambda known, asked, w: log(len(known) / sum(t.count(w) for t in known))},
    "all words": {"idf": lambda known, asked, w: log(sum(map(len, known)) / sum(t.count(w) for t in known))},
    "no log": {"idf": lambda known, asked, w: len(known) / _with(known, w)},
    "upside down": {"idf": lambda known, asked, w: -_idf(known, asked, w)},
    "smooth": {"idf": lambda known, asked, w: log((1 + len(known)) / (1 + _with(known, w))) + 1},
    "one more": {"idf": lambda known, asked, w: log(len(known) / (1 + _with(known, w)))},
    "one more, both": {"idf": lambda known, asked, w: log((1 + len(known)) / (1 + _with(known, w)))},
    "plus one": {"idf": lambda known, asked, w: _idf(known, asked, w) + 1},
    "one inside": {"idf": lambda known, asked, w: log(1 + len(known) / _with(known, w))},
    "base 10": {"idf": lambda known, asked, w: _idf(known, asked, w) / log(10)},
    "base 2": {"idf": lambda known, asked, w: _idf(known, asked, w) / log(2)},
    "capitals": {"known": _as_typed, "asked": _as_typed, "words": _as_typed},
    "capitals of texts": {"asked": _as_typed},
    "capitals of train": {"known": _as_typed, "words": _as_typed},
    "inside": {"known": _strings, "asked": _strings},
    "inside of texts": {"asked": _strings},
    "inside of train": {"known": _strings},
    "as met": {"order": list},
}

_ADDED = "You add one somewhere. Asked for is the plain weight, log(N / n), which is 0 for a word of every text."
_BASE = "Your logarithm has another base. Take the natural one: `math.log`, `torch.log` or `np.log`."
_INSIDE = (
    "You look for the *letters* of a word, and find *a* inside *cast*. Split each text, and count among its words."
)
_ORDER = "The columns are not in alphabetical order: take `sorted(...)` of the words, since a set has no order."
_WEIGHTS = {
    "counts": "Those are plain counts: *the* would weigh as much as *dull*. Multiply each column by log(N / n).",
    "once": "A word that stands twice in a text counts twice: take how often it stands there, not whether.",
    "log of counts": "You took the logarithm of the counts, too. It is taken of N / n only.",
    "share": "You divide by the length of the text. Asked for is how *often* the text holds the word.",
    "tested": "Your N and n count the texts that are *asked about*. A word's weight comes from the training texts: "
    "with one text to judge you would know nothing.",
    "all texts": "Your N and n count training texts and the others together. Then the test decides what a word is "
    "worth: count the training texts only.",
    "both": "Your columns and weights come from both lists. The test must not decide them: take the training texts "
    "only.",
    "occurrences": "Your n counts how *often* a word stands in the training texts. It is the number of *texts* that "
    "hold it.",
    "all words": "You count words instead of texts. N is the number of training texts, n those that hold the word.",
    "no log": "The logarithm is missing: the weight is log(N / n), so that a word of every text weighs 0.",
    "upside down": "Your weights are negative: it is N / n, not n / N.",
    "smooth": "That is scikit-learn's smoothed form. Asked for is the plain one: log(N / n).",
    "one more": _ADDED,
    "one more, both": _ADDED,
    "plus one": _ADDED,
    "one inside": _ADDED,
    "base 10": _BASE,
    "base 2": _BASE,
    "capitals": "*The* and *the* are one word: use `.lower()` first, for both lists.",
    "capitals of texts": "You forgot `.lower()` for `texts`: *Good* and *good* are one word there, too.",
    "capitals of train": "You forgot `.lower()` for `train`: *The* and *the* are one word there, too.",
    "inside": _INSIDE,
    "inside of texts": _INSIDE,
    "inside of train": _INSIDE,
    "as met": _ORDER,
}
_LENGTH = "You gave each text the length one. That is often done, but here the plain numbers are wanted."
_DEFAULT = (
    "That is `TfidfVectorizer` as scikit-learn sets it: it adds to the weights, and gives each text the length one. "
    "Asked for is count times log(N / n), nothing else."
)
_SHORT = (
    'Words of one letter are missing, which scikit-learn\'s vectorizers drop unless you say `token_pattern=r"\\S+"`. '
    "A word is all that `.lower().split()` gives."
)


def weights(tfidf) -> None:
    """07-1.1: counts of training words, times log(N / n) of the training texts."""
    import torch

    train, texts = reviews()
    got = _grid(call(tfidf, train, texts), len(texts))
    if (train, texts) != reviews():
        raise NotYet("Your function changes the lists that it was given.")
    made = {name: torch.tensor(_table(TRAIN, TEXTS, **how)) for name, how in _MADE.items()}
    right = made["right"]
    if not _same(got, right):
        raise NotYet(_what_is_wrong(got, made, right))
    if not _same(_grid(call(tfidf, ["b a", "a"], ["b b"]), 1), torch.tensor([[0.0, 2 * log(2)]])):
        raise NotYet("With other texts your table is not right: it should hold for any two lists.")
    if not _same(_grid(call(tfidf, *map(list, MARKS)), 1), torch.tensor(_table(*MARKS))):
        raise NotYet(
            "A word is what `.lower().split()` gives, marks and all: *it's* is one word, *well* with a comma is "
            "another one than *well*, and two spaces in a row are no word."
        )


def _same(a, b) -> bool:
    import torch

    return a.shape == b.shape and torch.allclose(a, b, atol=1e-4)


def _what_is_wrong(got, made, right) -> str:
    for name, table in made.items():
        if name != "right" and _same(got, table):
            return _WEIGHTS[name]
        if _same(got, table / table.norm(dim=1, keepdim=True).clamp(min=1e-9)):
            return _LENGTH if name == "right" else _DEFAULT if name in ("smooth", "plus one") else _WEIGHTS[name]
    columns = sorted({w for t in _words(TRAIN) for w in t})
    rows, width = right.shape
    if got.shape == (rows, sum(len(w) > 1 for w in columns)):
        return _SHORT
    if got.shape == (width, rows):
        return "Your table lies on its side: a row for each text, a column for each word."
    if got.shape != right.shape:
        return (
            f"Your table is {list(got.shape)}, and {list(right.shape)} is wanted: a row for each of `texts`, a "
            f"column for each of the {width} words of `train`."
        )
    if _reordered(got, right):
        return _ORDER
    i, j = divmod(int((got - right).abs().argmax()), width)
    return f"For {columns[j]!r} in {TEXTS[i]!r} yours is {float(got[i, j]):.3f}, it should be {right[i, j]:.3f}."


def _reordered(got, right) -> bool:
    """Whether each column of the right table is there, somewhere else."""
    left = list(got.T)
    for column in right.T:
        place = next((i for i, other in enumerate(left) if _same(other, column)), None)
        if place is None:
            return False
        left.pop(place)
    return True


def _grid(value, rows: int):
    import torch

    if value is None:
        raise NotYet("Your function returns nothing. Return the table of weights.")
    if hasattr(value, "toarray"):  # scikit-learn gives a sparse matrix
        value = value.toarray()
    try:
        table = torch.as_tensor(value).float()
    except (TypeError, ValueError, RuntimeError):
        raise NotYet(f"A tensor of numbers is wanted, not {brief(repr(value), 60)}") from None
    if table.ndim != 2:
        raise NotYet(f"A table is wanted, a row for each of the {rows} texts; yours has the shape {list(table.shape)}.")
    return table
