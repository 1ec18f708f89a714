"""Checks of chapter 07-1's exercises: the weights of words, and whether a confidence is true."""

from __future__ import annotations

from math import isfinite, log

from tlcourse.exercises.answers import NotYet, brief, call

# --- 07-1.1: TF-IDF

TRAIN = (
    "Not a good film",
    "good plot good cast",
    "a dull dull film",
    "The plot of a film",
    "a film a cast",
)
TEXTS = ("Good good film", "a dull plot and Dull talk", "nothing here", "the cast of the film")


def reviews():
    """Five texts to learn from and four others: `train, texts`, lists of strings."""
    return list(TRAIN), list(TEXTS)


def _table(train, texts, *, lower=True, order=sorted, tf=None, idf=None, words=None):
    """The table of the right answer, or of one that makes a mistake in one step."""
    known, asked = ([(t.lower() if lower else t).split() for t in part] for part in (train, texts))
    words = order({w: 0 for t in (known if words is None else words(known, asked)) for w in t})
    tf = tf or (lambda text, word: text.count(word))
    idf = idf or (lambda known, asked, word: log(len(known) / sum(word in t for t in known)))
    return [[tf(t, w) * idf(known, asked, w) for w in words] for t in asked]


def _texts_with(texts, word):
    return sum(word in t for t in texts)


_MADE = {
    "right": {},
    "counts": {"idf": lambda known, asked, w: 1.0},
    "once": {"tf": lambda t, w: float(w in t)},
    "share": {"tf": lambda t, w: t.count(w) / len(t)},
    "tested": {"idf": lambda known, asked, w: log(len(asked) / max(1, _texts_with(asked, w)))},
    "all texts": {"idf": lambda known, asked, w: log(len(known + asked) / _texts_with(known + asked, w))},
    "both": {
        "words": lambda known, asked: known + asked,
        "idf": lambda known, asked, w: log(len(known + asked) / _texts_with(known + asked, w)),
    },
    "occurrences": {"idf": lambda known, asked, w: log(len(known) / sum(t.count(w) for t in known))},
    "all words": {"idf": lambda known, asked, w: log(sum(map(len, known)) / sum(t.count(w) for t in known))},
    "no log": {"idf": lambda known, asked, w: len(known) / _texts_with(known, w)},
    "upside down": {"idf": lambda known, asked, w: log(_texts_with(known, w) / len(known))},
    "smooth": {"idf": lambda known, asked, w: log((1 + len(known)) / (1 + _texts_with(known, w))) + 1},
    "capitals": {"lower": False},
    "as met": {"order": list},
}

_WEIGHTS = {
    "counts": "Those are plain counts: *the* would weigh as much as *dull*. Multiply each column by log(N / n).",
    "once": "A word that stands twice in a text counts twice: take how often it stands there, not whether.",
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
    "capitals": "*The* and *the* are one word: use `.lower()` first, for both lists.",
    "as met": "The columns are not in alphabetical order.",
}


def weights(tfidf) -> None:
    """07-1.1: counts of training words, times log(N / n) of the training texts."""
    import torch

    train, texts = reviews()
    got = _grid(call(tfidf, train, texts), len(texts))
    if (train, texts) != reviews():
        raise NotYet("Your function changes the lists that it was given.")
    made = {name: torch.tensor(_table(TRAIN, TEXTS, **how)) for name, how in _MADE.items()}
    for name, table in made.items():
        if got.shape == table.shape and torch.allclose(got, table, atol=1e-4):
            if name != "right":
                raise NotYet(_WEIGHTS[name])
            break
    else:
        right = made["right"]
        lengths = right.norm(dim=1, keepdim=True).clamp(min=1e-9)
        if got.shape == right.shape and torch.allclose(got, right / lengths, atol=1e-4):
            raise NotYet(
                "You gave each text the length one. That is often done, but here the plain numbers are wanted."
            )
        if got.T.shape == right.shape:
            raise NotYet("Your table lies on its side: a row for each text, a column for each word.")
        if got.shape != right.shape:
            raise NotYet(
                f"Your table is {list(got.shape)}, and {list(right.shape)} is wanted: a row for each of `texts`, a "
                f"column for each of the {right.shape[1]} words of `train`."
            )
        i, j = divmod(int((got - right).abs().argmax()), right.shape[1])
        word = sorted({w for t in TRAIN for w in t.lower().split()})[j]
        raise NotYet(f"For {word!r} in {TEXTS[i]!r} yours is {float(got[i, j]):.3f}, it should be {right[i, j]:.3f}.")
    one = _grid(call(tfidf, ["b a", "a"], ["b b"]), 1)
    if one.shape != (1, 2) or not torch.allclose(one, torch.tensor([[0.0, 2 * log(2)]]), atol=1e-4):
        raise NotYet("With other texts your table is not right: it should hold for any two lists.")


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


# --- 07-1.3: calibration


def answers(seed: int = 0):
    """How sure a classifier was of 200 answers, and whether it was right: `confidence, right`."""
    return _sure(200, 0.8, seed)


def _sure(n: int, trust: float, seed: int):
    import torch

    draw = torch.Generator().manual_seed(seed)
    confidence = 0.5 + 0.5 * torch.rand(n, generator=draw).sqrt()
    right = (torch.rand(n, generator=draw) < 0.5 + trust * (confidence - 0.5)).long()
    return confidence, right


def calibration(calibration_error) -> None:
    """07-1.3: the mean over items of |confidence - share of right answers| of their part."""
    import torch

    edge = torch.tensor([0.5, 0.5, 0.75, 0.9, 1.0, 1.0, 0.6]), torch.tensor([1, 0, 1, 0, 1, 0, 1])
    found = []
    for (confidence, right), bins in ((_sure(200, 0.6, 1), 10), (_sure(90, 1.7, 2), 4), (edge, 4), (edge, 2)):
        kept = confidence.clone(), right.clone()
        value = _number(call(calibration_error, confidence, right, bins))
        if not (torch.equal(confidence, kept[0]) and torch.equal(right, kept[1])):
            raise NotYet("Your function changes the tensors that it was given.")
        found.append((value, _errors(*kept, bins)))
    if any(value != value for value, _ in found):
        raise NotYet("NaN came back: the mean of a part without items is no number. Leave such parts out.")
    for name, words in {"right": "", **_CALIBRATION}.items():
        if all(abs(value - made[name]) < 1e-4 for value, made in found):
            if words:
                raise NotYet(words)
            return
    if all(abs(value - made["right"]) < 1e-4 for value, made in found[:2]):
        raise NotYet(
            "Right for most, but not where a confidence is exactly on a border, or exactly 1: a border belongs to the "
            "part above it, and 1 to the last part."
        )
    value, made = next((v, m) for v, m in found if abs(v - m["right"]) > 1e-4)
    raise NotYet(
        f"In one of four cases yours gives {value:.4f}, it should be {made['right']:.4f}: for each part the distance "
        "of mean confidence and share of right answers, weighted by its items, divided by all items."
    )


def _errors(confidence, right, bins: int) -> dict[str, float]:
    """The right value, and those of the usual mistakes."""
    import torch

    right, n = right.float(), len(confidence)
    part = (confidence * bins).long().clamp(max=bins - 1)
    count = torch.stack([(part == i).sum() for i in range(bins)])
    own = [part == i for i in range(bins) if (part == i).any()]
    held = torch.stack([inside.sum() for inside in own]).float()
    gaps = torch.stack([confidence[inside].mean() - right[inside].mean() for inside in own])
    middles = torch.stack([(i + 0.5) / bins - right[part == i].mean() for i in range(bins) if count[i]])
    order = confidence.argsort()
    equal = [order[i * n // bins : (i + 1) * n // bins] for i in range(bins)]
    made = {
        "right": (held * gaps.abs()).sum() / n,
        "parts": gaps.abs().mean(),
        "all parts": gaps.abs().sum() / bins,
        "signed": (held * gaps).sum() / n,
        "turned": -(held * gaps).sum() / n,
        "squares": (held * gaps**2).sum() / n,
        "largest": gaps.abs().max(),
        "middles": (held * middles.abs()).sum() / n,
        "each": (confidence - right).abs().mean(),
        "whole": (confidence.mean() - right.mean()).abs(),
        "sum": (held * gaps.abs()).sum(),
        "accuracy": right.mean(),
        "equal": sum(len(e) * (confidence[e].mean() - right[e].mean()).abs() for e in equal if len(e)) / n,
    }
    return {name: float(value) for name, value in made.items()}


_CALIBRATION = {
    "parts": "You took the mean over the parts: three items would count as much as a hundred. Weigh each part by its "
    "items.",
    "all parts": "You took the mean over all parts, the empty ones too. Weigh each part by its items, and divide by "
    "the number of items.",
    "signed": "Without the absolute value too sure in one part makes up for too modest in another: take the distance "
    "in *each part*.",
    "turned": "Without the absolute value too sure in one part makes up for too modest in another, and yours is share "
    "minus confidence: take the distance in each part.",
    "squares": "You squared the distances. Asked for are the distances themselves.",
    "largest": "That is the largest distance of any part. Asked for is the mean over all items.",
    "middles": "You compared with the middle of each part. Take the mean confidence of the items in it.",
    "each": "You took the distance for each *item*: an answer given with .8 is then wrong by .2 even when it is right. "
    "Take the means of a part first, then their distance.",
    "whole": "You compared the means of everything. Too sure here and too modest there then cancel out: go part by "
    "part.",
    "sum": "You did not divide by the number of items.",
    "accuracy": "That is the share of right answers. The confidence plays no part in it.",
    "equal": "Your parts hold equally many items. Asked for are parts of equal *width*, from 0 to 1.",
}


def _number(value) -> float:
    if value is None:
        raise NotYet("Your function returns nothing. Return one number.")
    try:
        if isinstance(value, (str, bool)):
            raise TypeError
        found = float(value)
    except (TypeError, ValueError, RuntimeError):
        raise NotYet(f"One number is wanted, not {brief(repr(value), 60)}") from None
    if not isfinite(found) and found == found:
        raise NotYet("The number is infinite: a part without items has to be left out.")
    return found
