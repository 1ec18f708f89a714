"""How good answers are: exact match and F1 of words as SQuAD counts them; recall among the nearest; a threshold."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch

from tlcourse.errors import CourseError, whole_number


def normal_answer(text: str) -> str:
    """An answer as SQuAD compares it: lower case, without punctuation, articles and runs of blanks.

    >>> normal_answer("The  Kenyan Shilling.")
    'kenyan shilling'

    Rajpurkar et al. 2016; the order of the steps is that of their script.
    """
    if not isinstance(text, str):
        raise CourseError(f"An answer is a string, not a {type(text).__name__}.", do='Write "" where there is none.')
    text = "".join(letter for letter in text.lower() if letter not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def exact_match(predicted: str, true: str) -> float:
    """1 if two answers are the same once normalised, else 0; two empty ones ("not in the text") are the same.

    Arguments:
        predicted, true: answers; an empty string where there is none.

    >>> exact_match("the Euro", "Euro"), exact_match("", "Euro")
    (1.0, 0.0)

    Introduced in chapter 07-3. Rajpurkar et al. 2016 and 2018 (SQuAD 1.1 and 2.0).
    """
    return float(normal_answer(predicted) == normal_answer(true))


def answer_f1(predicted: str, true: str) -> float:
    """F1 of the words that two answers share, once normalised; 0..1. If one is empty, both must be.

    Arguments:
        predicted, true: answers; an empty string where there is none.

    >>> round(answer_f1("East African Shilling", "Kenyan Shilling"), 2), answer_f1("", "")
    (0.4, 1.0)

    Introduced in chapter 07-3. Rajpurkar et al. 2016 and 2018.
    """
    said, wanted = normal_answer(predicted).split(), normal_answer(true).split()
    if not said or not wanted:
        return float(said == wanted)
    shared = sum((Counter(said) & Counter(wanted)).values())
    return 2 * shared / (len(said) + len(wanted))  # the harmonic mean of shared / said and shared / wanted


def recall_at(similarity, true, k: int = 1) -> float:
    """Share of questions whose right entry is among the `k` most similar ones.

    Arguments:
        similarity: `[n, entries]`.
        true: place of the right entry of each question `[n]`; those with -1 have none, and are not counted.
        k: how many may be looked at.

    >>> recall_at([[0.9, 0.1, 0.3], [0.8, 0.1, 0.3]], [0, 2], k=1)
    0.5

    Introduced in chapter 07-3.
    """
    similarity, true, k = *_checked(similarity, true), whole_number("k", k)
    inside = true >= 0
    if not inside.any():
        raise CourseError("None of the questions has an entry.", do="Recall needs questions that the FAQ answers.")
    best = similarity[inside].topk(min(k, similarity.shape[1]), 1).indices
    return (best == true[inside, None]).any(1).double().mean().item()


def choose_threshold(similarity, true) -> float:
    """The similarity from which on the nearest entry is answered; below it the bot does not know.

    It makes the mean of two shares as large as it gets: questions of the FAQ that are answered rightly, and
    out-of-scope ones that are refused. Among equally good thresholds the middle of the widest gap is taken.

    Arguments:
        similarity: `[n, entries]`, of validation questions; never of those for the test.
        true: place of the right entry `[n]`; -1 where the FAQ has none.

    Raises `CourseError` unless there are questions of both sorts.

    >>> choose_threshold([[0.9, 0.2], [0.3, 0.8], [0.5, 0.4]], [0, 1, -1])
    0.65

    Introduced in chapter 07-3.
    """
    similarity, true = _checked(similarity, true)
    similarity = similarity.double()
    if not (true >= 0).any() or not (true < 0).any():
        raise CourseError(
            "A threshold is chosen on questions that the FAQ answers and on some that it does not.",
            do="Add the sort that is missing; out-of-scope questions have the place -1.",
        )
    best, nearest = similarity.max(1)
    ends = best.unique()  # sorted
    middles = [float(low + high) / 2 for low, high in pairwise(ends)]
    found = []
    for at, width in zip(middles, (ends[1:] - ends[:-1]).tolist(), strict=True):
        found.append((round(sum(answered(best, nearest, true, at)), 9), width, at))
    return round(max(found)[2], 6) if found else float(ends[0])


def _checked(similarity, true) -> tuple[torch.Tensor, torch.Tensor]:
    """Similarities `[n, entries]` and whole places `[n]`, as tensors."""
    try:
        similarity, true = (
            x.detach().cpu() if isinstance(x, torch.Tensor) else torch.from_numpy(np.array(x))
            for x in (similarity, true)
        )
    except (TypeError, ValueError, RuntimeError) as error:
        raise CourseError(
            "The similarities and places cannot be read as numbers.",
            why=str(error),
            do="Pass a row of similarities for each question, and one whole number for each.",
        ) from None
    if similarity.ndim != 2 or true.shape != similarity.shape[:1]:
        raise CourseError(
            f"Similarities {list(similarity.shape)} and places {list(true.shape)} do not belong together.",
            do="Pass a row of similarities for each question, and one place for each.",
        )
    if not similarity.isfinite().all():
        raise CourseError(
            f"The similarities of question {int((~similarity.isfinite()).any(1).nonzero()[0])} hold NaN or infinite "
            "values.",
            why="A vector of noughts or of a spoilt model has no cosine.",
            do="Look at that question and at the model's weights.",
        )
    if true.dtype == torch.bool or not (true == true.round()).all():
        raise CourseError("The places are not whole numbers.", do="Pass the number of each right entry, -1 for none.")
    if true.numel() and int(true.max()) >= similarity.shape[1]:
        raise CourseError(f"There is no entry {int(true.max())}.", do=f"Places go to {similarity.shape[1] - 1}.")
    return similarity, true


def answered(best, nearest, true, threshold: float) -> tuple[float, float]:
    """Shares of questions answered rightly among those of the FAQ, and refused among the others.

    Arguments:
        best, nearest: the largest similarity of each question `[n]`, and the place where it is.
        true: the right place, or -1.
        threshold: below it a question is refused.

    >>> answered(torch.tensor([0.9, 0.4]), torch.tensor([3, 1]), torch.tensor([3, -1]), 0.5)
    (1.0, 1.0)
    """
    inside, sure = true >= 0, best >= threshold
    right = (nearest == true) & sure
    return right[inside].double().mean().item(), (~sure)[~inside].double().mean().item()


def share(values: Sequence[float]) -> float:
    """The mean of scores, for tables.

    >>> share([1.0, 0.0])
    0.5
    """
    values = list(values)
    if not values:
        raise CourseError("There are no answers to score.", do="Pass at least one.")
    return sum(values) / len(values)
