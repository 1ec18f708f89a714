"""Chapter 07-3's exercises take every right answer, and their material shows what it is about."""

from __future__ import annotations

import pytest

from tlcourse.exercises import exercise
from tlcourse.exercises.judges_07_3 import PAIRS, f1

SIGNATURES = {
    "07-3.1": "word_f1(said, true)",
    "07-3.2": "best_span(start, end, longest)",
    "07-3.3": "rightly(similarity, true, threshold)",
}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path))
    return tmp_path


def check(name, *lines):
    cell = {}
    exec(f"import torch\ndef {SIGNATURES[name]}:\n" + "".join(f"    {line}\n" for line in lines), cell)
    return exercise(name).check(cell[exercise(name).answers[0]])


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        # precision and recall by hand
        (
            "07-3.1",
            [
                "shared = sum(min(said.count(w), true.count(w)) for w in set(said))",
                "if not said and not true: return 1",
                "if not shared: return 0",
                "p, r = shared / len(said), shared / len(true)",
                "return 2 * p * r / (p + r)",
            ],
        ),
        # the helper of the course: the words are normalised already, but for articles
        ("07-3.1", ["from tlcourse import answer_f1", "return answer_f1(' '.join(said), ' '.join(true))"]),
        # as a matrix
        (
            "07-3.2",
            [
                "t = len(start)",
                "both = start[:, None] + end",
                "ok = torch.ones(t, t).triu() * torch.ones(t, t).tril(longest - 1)",
                "place = int(both.masked_fill(ok == 0, -1e9).argmax())",
                "return torch.tensor([place // t, place % t])",
            ],
        ),
        # the helper of the course
        (
            "07-3.2",
            [
                "from tlcourse.answering import best_spans",
                "scores = torch.stack([start, end], 1)[None]",
                "scores = torch.cat([torch.zeros(1, 1, 2), scores], 1)",
                "spans = best_spans(scores, torch.ones(1, len(start) + 1, dtype=torch.bool), longest)[0]",
                "return [int(v) - 1 for v in spans[0]]",
            ],
        ),
        # a loop
        (
            "07-3.3",
            [
                "good = 0",
                "for row, t in zip(similarity, true):",
                "    said = int(row.argmax()) if row.max() >= threshold else -1",
                "    good += said == int(t)",
                "return good / len(true)",
            ],
        ),
        # the helper of the course gives two shares
        (
            "07-3.3",
            [
                "from tlcourse.answering import answered",
                "a, b = answered(*similarity.max(1), true, threshold)",
                "inside = int((true >= 0).sum())",
                "return (a * inside + b * (len(true) - inside)) / len(true)",
            ],
        ),
    ],
)
def test_other_ways_are_right(name, lines):
    reply = check(name, *lines)
    assert reply.state == "right", reply


@pytest.mark.parametrize(
    ("name", "lines", "words"),
    [
        ("07-3.1", ["return 'half'"], "one number"),
        ("07-3.1", ["print(end='')"], "returns nothing"),
        ("07-3.1", ["return 0.5"], "should be"),
        ("07-3.2", ["print(end='')"], "returns nothing"),
        ("07-3.2", ["return 3, 99"], "ten tokens"),
        ("07-3.2", ["return 'ab'"], "Return two places"),
        ("07-3.2", ["return 'a', 'b'"], "whole numbers"),
        ("07-3.2", ["return 6, 2"], "ends before it begins"),
        ("07-3.2", ["return 0, 0"], "There is a pair with"),
        ("07-3.2", ["ok = torch.ones(10, 10).triu().tril(longest - 1)", "both = (start[:, None] + end) * ok",
                    "return torch.tensor(divmod(int(both.argmax()), 10))"], "more than any allowed sum"),
        ("07-3.2", ["pairs = [(i, j) for i in range(10) for j in range(i, min(10, i + longest))]",
                    "pairs = [(i, j) for i, j in pairs if start[i] + end[j] > 0]",
                    "if pairs: return max(pairs, key=lambda p: start[p[0]] + end[p[1]])"], "returns nothing. Begin"),
        ("07-3.3", ["print(end='')"], "returns nothing"),
        ("07-3.3", ["return 0.123"], "should be"),
        ("07-3.3", ["similarity.zero_()", "return 0.0"], "changes the tensors"),
        ("07-3.3", ["best, near = similarity.max(1)", "return ((best < threshold) & (near == true) | (true < 0) & "
                    "(best >= threshold)).float().mean()"], "the wrong way round"),
    ],
)  # fmt: skip
def test_odd_answers_are_told(name, lines, words):
    reply = check(name, *lines)
    assert reply.state == "not yet" and words in reply.text, reply


def test_the_material_is_what_the_tasks_say():
    start, end = exercise("07-3.2").material()
    assert start.shape == end.shape == (10,)
    similarity, true = exercise("07-3.3").material()
    assert similarity.shape == (9, 4) and (true < 0).sum() == 3
    assert f1(*(words.split() for words in PAIRS[0])) == pytest.approx(0.4)
