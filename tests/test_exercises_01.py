"""Chapter 01's exercises take every right answer, and tell what is wrong with odd ones."""

from __future__ import annotations

import pytest
import torch

from tlcourse.exercises import exercise

SIGNATURES = {"01.1": "kind(source, target)", "01.2": "to_source(source, target, new)", "01.3": "verdict(alone, both)"}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path))
    return tmp_path


def check(name, *lines, start="import numpy as np\nimport torch\nimport tlcourse as tl\n"):
    cell = {}
    exec(f"{start}def {SIGNATURES[name]}:\n" + "".join(f"    {line}\n" for line in lines), cell)
    return exercise(name).check(cell[exercise(name).answers[0]])


@pytest.mark.parametrize(
    "lines",
    [
        [
            "if source.labels or target.labels:",
            "    if source.task == target.task:",
            "        return 'none' if source.domain == target.domain else 'transductive'",
            "    return 'inductive'",
            "return 'unsupervised'",
        ],
        # a table of cases
        [
            "same = source.domain == target.domain, source.task == target.task",
            "if not (source.labels | target.labels): return 'unsupervised'",
            "return {(True, True): 'none', (False, True): 'transductive'}.get(same, 'inductive')",
        ],
    ],
)
def test_other_ways_to_name_the_kind_are_right(lines):
    reply = check("01.1", *lines)
    assert reply.state == "right", reply


@pytest.mark.parametrize("odd", ["True", "3", "['inductive']", "'Inductive'"])
def test_what_is_no_kind_is_told(odd):
    reply = check("01.1", f"return {odd}")
    assert reply.state == "not yet" and "One of these words" in reply.text, reply


@pytest.mark.parametrize(
    "lines",
    [
        # the other way to count the spread
        [
            "wide = target.std(0, unbiased=False)",
            "wide[wide == 0] = 1",
            "return (new - target.mean(0)) / wide * source.std(0, unbiased=False) + source.mean(0)",
        ],
        # numpy
        [
            "s, t, n = (x.double().numpy() for x in (source, target, new))",
            "return (n - t.mean(0)) / (t.std(0) + 1e-6) * s.std(0) + s.mean(0)",
        ],
        # the helper itself
        [
            "from tlcourse.adaptation import align",
            "from tlcourse.features import Features",
            "make = lambda x: Features(x, torch.zeros(len(x), dtype=int), tuple(map(str, range(len(x)))), ('a',), 'p')",
            "return align(make(new), make(target), make(source)).x",
        ],
    ],
)
def test_other_ways_to_align_are_right(lines):
    reply = check("01.2", *lines)
    assert reply.state == "right", reply


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["return 'moved'"], "tensor of the shape"),
        (["return new[:3]"], "has the shape"),
        (["moved = new - target.mean(0)"], "returns nothing"),
        (["return (new - target.mean(0)) / target.std(0) * (1 + 0j)"], "complex numbers"),
        (["return new * 2 + 7"], "elsewhere than expected"),
        (["return (target - target.mean(0)) / target.std(0)"], "has the shape"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_odd_alignments_are_told(lines, words):
    reply = check("01.2", *lines)
    assert reply.state == "not yet" and words in reply.text, reply


@pytest.mark.parametrize(
    "lines",
    [
        [
            "from scipy.stats import ttest_rel",
            "found = ttest_rel(both, alone)",
            "if found.pvalue >= 0.05: return 'no clear gain'",
            "return 'gain' if found.statistic > 0 else 'negative transfer'",
        ],
        [
            "a = tl.repeat(lambda seed: alone[seed], seeds=len(alone))",
            "b = tl.repeat(lambda seed: both[seed], seeds=len(both))",
            "low, high = (b - a).low, (b - a).high",
            "return 'gain' if low > 0 else 'negative transfer' if high < 0 else 'no clear gain'",
        ],
    ],
)
def test_other_ways_to_judge_a_gain_are_right(lines):
    reply = check("01.3", *lines)
    assert reply.state == "right", reply


def test_an_error_of_the_learner_names_the_line():
    reply = check("01.3", "gains = both - alone", "return 'gain'")
    assert reply.state == "error" and "TypeError" in reply.text and "Line" in reply.text, reply


def test_the_material_is_what_the_tasks_say():
    cases = exercise("01.1").material()
    assert all({"domain", "task", "labels"} <= set(side._fields) for case in cases for side in case)
    source, target, new = exercise("01.2").material()
    assert source.shape[1] == target.shape[1] == new.shape[1]
    assert torch.equal(source, exercise("01.2").material()[0])
    assert all(len(alone) == len(both) for alone, both in exercise("01.3").material().values())
