"""Chapter 07-1's exercises: the same mistake made in another way gets the same words, and hints run as they stand."""

from __future__ import annotations

import re

import pytest
import torch

from tlcourse.exercises import exercise
from tlcourse.exercises.judges_07_1_calibration import calibration, cases, cut_otherwise, errors
from tlcourse.exercises.judges_07_1_wrong import _SKLEARN, _error, _folds, _tfidf, _vectorizer

WEIGHTS = {
    "in a set's order": (
        _tfidf(words="sorted({w for t in known for w in t}, key=lambda w: w[::-1])"),
        "a set has no order",
    ),
    "single spaces": (
        _tfidf(known="[t.lower().split(' ') for t in train]", asked="[t.lower().split(' ') for t in texts]"),
        "two spaces",
    ),
    "base two": (_tfidf(idf="math.log2(N / n(w))"), "another base"),
    "letters of texts": (_tfidf(asked="[t.lower() for t in texts]"), "inside *cast*"),
    "letters of train": (_tfidf(n="sum(w in t.lower() for t in train)"), "inside *cast*"),
    "one inside": (_tfidf(idf="math.log(1 + N / n(w))"), "add one somewhere"),
    "vectorizer, unsmoothed": (_vectorizer("token_pattern=r'\\S+', smooth_idf=False"), "as scikit-learn sets it"),
    "vectorizer, plain": (_vectorizer("token_pattern=r'\\S+', smooth_idf=False, norm=None"), "add one somewhere"),
}
FOLDS = {
    "as the classes are met": (
        _folds(
            "first = list(dict.fromkeys(y.tolist()))",
            "return torch.cat([torch.arange(int((y == c).sum())) % k for c in first])",
        ),
        "lay class by class",
    ),
    "listed": (_folds(*_SKLEARN, "return list(split)"), "Pairs of places"),
}
CALIBRATION = {
    "rounded and lost": (_error(part="(confidence * bins).round().long()"), "nearest border"),
    "rounded up and kept": (_error(part="(confidence * bins).ceil().long().clamp(max=bins - 1)"), "two last parts"),
    "border below": (_error(part="((confidence * bins).ceil().long() - 1).clamp(min=0)"), "exactly on a border"),
    "one border less": (
        _error(part="torch.bucketize(confidence, torch.linspace(0, 1, bins)[1:-1], right=True)"),
        "into bins - 1",
    ),
    "moved by two fifths": (_error(part="(confidence * bins + 0.4).long().clamp(max=bins - 1)"), "are moved"),
    "moved down": (_error(part="(confidence * bins - 0.3).floor().long().clamp(0, bins - 1)"), "are moved"),
    "always fifteen": (_error(part="(confidence * 15).long().clamp(max=14)", parts="15"), "other `bins`"),
}
ALL = {"07-1.1": WEIGHTS, "07-1.2": FOLDS, "07-1.3": CALIBRATION}
ROWS = [pytest.param(name, *row, id=f"{name} {case}") for name, rows in ALL.items() for case, row in rows.items()]


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path))


def check(name, code):
    cell = {}
    exec(code, cell)
    return exercise(name).check(cell[exercise(name).answers[0]])


@pytest.mark.parametrize(("name", "code", "words"), ROWS)
def test_a_variant_of_a_mistake_is_told_it_too(name, code, words):
    reply = check(name, code)
    assert reply.state == "not yet" and words in reply.text, reply


@pytest.mark.parametrize(("confidence", "right", "bins"), [case for case in cases() if len(case[0]) > 10])
def test_each_random_case_separates_every_mistake_from_the_right_number(confidence, right, bins):
    made = {**errors(confidence, right, bins), **cut_otherwise(confidence, right, bins)}
    assert not {n: v for n, v in made.items() if n != "right" and abs(v - made["right"]) < 1e-3}


def test_a_mean_of_whole_numbers_is_told_what_to_write():
    reply = check("07-1.3", _error().replace("right, total, parts = right.float(), 0.0, 0", "total, parts = 0.0, 0"))
    assert reply.state == "error" and "right.float()" in reply.text, reply
    reply = check("07-1.3", "def calibration_error(confidence, right, bins):\n    return right / none")
    assert reply.state == "error" and "right.float()" not in reply.text, reply


def snippets(name):
    """The code of the hints, in order."""
    return [code for hint in exercise(name).hints for code in re.findall("`([^`]+)`", hint)]


def test_the_hints_run_as_they_stand():
    words, weigh = [code for code in snippets("07-1.1") if "(" in code]
    reply = check(
        "07-1.1",
        f"""
import math
def tfidf(train, texts):
    {words}
    n = {{w: sum(w in set(t.lower().split()) for t in train) for w in words}}
    return [[{weigh} for word in words] for text in texts]
""",
    )
    assert reply.state == "right", reply
    places, shuffle, _, deal = snippets("07-1.2")
    reply = check(
        "07-1.2",
        f"""
import torch
def folds(y, k):
    fold = torch.empty_like(y)
    for c in y.unique():
        places = {places}
        places = places[{shuffle}]
        {deal}
    return fold
""",
    )
    assert reply.state == "right", reply
    part, inside, gap = snippets("07-1.3")
    reply = check(
        "07-1.3",
        f"""
def calibration_error(confidence, right, bins):
    {part}
    total = 0
    for i in range(bins):
        {inside}
        if inside.any():
            total += {gap}
    return total / len(right)
""",
    )
    assert reply.state == "right", reply


def test_a_float_answer_sheet_is_no_trouble():
    confidence, right, bins = cases()[0]
    value = errors(confidence, right.float(), bins)["right"]
    assert value == pytest.approx(errors(confidence, right, bins)["right"])
    calibration(lambda c, r, b: torch.tensor([errors(c.double(), r.double(), b)["right"]]))
