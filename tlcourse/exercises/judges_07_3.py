"""Checks of chapter 07-3's exercises: words that two answers share, and questions handled rightly."""

from __future__ import annotations

from collections import Counter

from tlcourse.exercises.answers import NotYet, call


def _number(value, what: str) -> float:
    import torch

    if value is None:
        raise NotYet("Your function returns nothing. Return a number.")
    if isinstance(value, torch.Tensor) and value.numel() == 1:
        value = value.item()
    try:
        if isinstance(value, (str, bool)):
            raise TypeError
        return float(value)
    except (TypeError, ValueError, RuntimeError):
        raise NotYet(f"Return {what}: one number, not {type(value).__name__}.") from None


# --- 07-3.1: F1 of words

PAIRS = (
    ("east african shilling", "kenyan shilling"),
    ("euro", "euro"),
    ("kenyan", "kenyan shilling"),
    ("in new kenyan shilling", "kenyan shilling"),
    ("pa pa pa", "pa pa"),
    ("pa", "pa pa"),
    ("dollar us", "us dollar"),
    ("euro", "yen"),
    ("", "euro"),
    ("euro", ""),
    ("", ""),
)


def f1(said: list[str], true: list[str]) -> float:
    """The right value: 2 * shared / (words said + true words)."""
    if not said or not true:
        return float(said == true)
    return 2 * sum((Counter(said) & Counter(true)).values()) / (len(said) + len(true))


def _mistakes_f1(said, true):
    shared = sum((Counter(said) & Counter(true)).values())
    sets = len(set(said) & set(true))
    yield shared / len(said)
    yield shared / len(true)
    yield (shared / len(said) + shared / len(true)) / 2
    yield sets / len(set(said) | set(true))
    yield 2 * sets / (len(said) + len(true))
    yield 2 * sets / (len(set(said)) + len(set(true)))
    yield 2 * sum(word in true for word in said) / (len(said) + len(true))
    yield 2 * sum(word in said for word in true) / (len(said) + len(true))
    yield float(said == true)
    yield 2 * sum(a == b for a, b in zip(said, true, strict=False)) / (len(said) + len(true))
    yield shared / (len(said) + len(true))


_NAMES = (
    "precision",
    "recall",
    "mean",
    "jaccard",
    "once",
    "once more",
    "twice",
    "twice there",
    "exact",
    "order",
    "half",
)


_F1 = {
    "precision": "You divide by the words that were said: saying less is then never punished. That is precision; F1 "
    "weighs it against recall.",
    "recall": "You divide by the true words: an answer that copies the whole text then gets 1. That is recall; F1 "
    "weighs it against precision.",
    "mean": "You took the plain mean of precision and recall. The harmonic mean, 2pr / (p + r), is nearer to the "
    "smaller of both: it is 2 · shared / (words said + true words).",
    "jaccard": "You divide by the words of both answers together, each once. F1 is 2 · shared / (words said + true "
    "words).",
    "once": "You count each word once (a set). A word that stands twice in both answers is shared twice: take counts, "
    "as `Counter` does.",
    "twice": "You count a repeated word each time that it is said, even when the true answer has it less often. The "
    "shared count of a word is the smaller of both.",
    "twice there": "You count a repeated word of the true answer each time, even when the answer said has it less "
    "often. The shared count of a word is the smaller of both.",
    "exact": "You compare the whole answers. That is exact match; F1 gives part of the points for a part of the words.",
    "order": "You compare the words place by place. Their order does not matter here.",
    "half": "The factor 2 is missing: two equal answers should give 1.",
}


def words_shared(word_f1) -> None:
    """07-3.1: F1 over the words of two answers, with both empty ones equal."""
    found = []
    for said, true in ((a.split(), b.split()) for a, b in PAIRS):
        kept = list(said), list(true)
        found.append((*kept, _number(call(word_f1, said, true), "the F1")))
        if (said, true) != kept:
            raise NotYet("Your function changes the lists that it was given. Count, and leave them as they are.")
    wrong = [row for row in found if abs(row[2] - f1(*row[:2])) > 1e-6]
    whole = [row for row in found if row[0] and row[1]]
    if not wrong:
        return
    if all(row in found[-3:] for row in wrong):
        if not any(wrong[-1][:2]):
            raise NotYet("Two empty answers agree that the text does not tell: that is right, and gives 1.")
        raise NotYet(f"One answer is empty, the other is not: they share nothing, which gives 0, not {wrong[0][2]:g}.")
    mistakes = [dict(zip(_NAMES, _mistakes_f1(*row[:2]), strict=True)) for row in whole]
    for name in _NAMES:
        if all(abs(row[2] - made[name]) < 1e-6 for row, made in zip(whole, mistakes, strict=True)):
            raise NotYet(_F1["once" if name == "once more" else name])
    said, true, got = wrong[0]
    raise NotYet(
        f"For {said} and {true} yours gives {got:.3g}, it should be {f1(said, true):.3g}: twice the shared words, "
        "divided by the words of both."
    )


# --- 07-3.3: questions handled rightly


def similarities():
    """Nine questions to a FAQ of four entries: `similarity` `[9, 4]` and `true` `[9]`, -1 where it has no entry."""
    import torch

    similarity = torch.tensor(
        [
            [0.9, 0.2, 0.1, 0.3],
            [0.1, 0.8, 0.3, 0.2],
            [0.6, 0.3, 0.7, 0.1],
            [0.2, 0.4, 0.1, 0.3],
            [0.3, 0.2, 0.625, 0.1],
            [0.3, 0.45, 0.2, 0.1],
            [0.6, 0.1, 0.2, 0.3],
            [0.1, 0.2, 0.3, 0.2],
            [0.4, 0.1, 0.2, 0.1],
        ]
    )
    return similarity, torch.tensor([0, 1, 0, 1, 2, 2, -1, -1, -1])


def _values(similarity, true, threshold):
    """The right share, and what each mistake makes of it."""
    best, nearest = similarity.max(1)
    inside, sure, right = true >= 0, best >= threshold, nearest == true
    good, above = inside & sure & right | ~inside & ~sure, best > threshold
    made = {
        "right": good.float().mean(),
        "count": good.sum(),
        "answers": (sure & right).float().mean(),
        "refusals": (~inside & ~sure).float().mean(),
        "low": (right | ~inside & ~sure).float().mean(),
        "which": (inside == sure).float().mean(),
        "every": (sure & right | ~sure).float().mean(),
        "answered": (sure & right).sum() / sure.sum(),
        "faq": (sure & right).sum() / inside.sum(),
        "no": right.float().mean(),
        "mistakes": 1 - good.float().mean(),
        "round": (~sure & right | ~inside & sure).float().mean(),
        "above": (above & right | ~inside & ~above).float().mean(),
    }
    return {name: float(value) for name, value in made.items()}


_HANDLED = {
    "count": "You return how many were handled rightly. Divide by all questions.",
    "answers": "You count answers only. To refuse a question that the FAQ does not answer is right as well.",
    "refusals": "You count refusals only. Right answers count too.",
    "low": "A right entry below the threshold is not answered: the bot says that it does not know, and that is no "
    "right answer.",
    "which": "You do not look at *which* entry was answered. The nearest one has to be the right one: `nearest == "
    "true`.",
    "every": "You count every refusal. To refuse a question that the FAQ answers is a mistake.",
    "answered": "You divide by the answered questions. That is how far an answer can be trusted; asked is the share "
    "of all questions.",
    "faq": "You divide by the questions of the FAQ, and leave out the others.",
    "no": "You leave out the threshold.",
    "mistakes": "That is the share of mistakes.",
    "round": "You have the threshold the wrong way round: from the threshold on a question is answered.",
    "above": "A similarity that equals the threshold is answered: `>=`.",
}


def handled(rightly) -> None:
    """07-3.3: the share of questions that are answered rightly, or refused where the FAQ has no entry."""
    import torch

    similarity, true = similarities()
    found = []
    for threshold in (0.5, 0.35, 0.625, 0.0):
        kept = similarity.clone(), true.clone()
        got = _number(call(rightly, similarity, true, threshold), "the share")
        if not (torch.equal(similarity, kept[0]) and torch.equal(true, kept[1])):
            raise NotYet("Your function changes the tensors that it was given.")
        found.append((threshold, got, _values(similarity, true, threshold)))
    for name, words in {"right": "", **_HANDLED}.items():
        if all(abs(got - made[name]) < 1e-5 for _, got, made in found):
            if words:
                raise NotYet(words)
            return
    threshold, got, right = next((t, got, made["right"]) for t, got, made in found if abs(got - made["right"]) > 1e-5)
    raise NotYet(
        f"With the threshold {threshold:g} yours gives {got:.3g}, it should be {right:.3g}: right answers and right "
        "refusals, divided by all questions."
    )
