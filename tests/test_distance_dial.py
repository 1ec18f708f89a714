"""The distance dial without a browser: what a slider asks for, what the page is told, what a reader sees."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest

from tlcourse import CourseError, DistanceDial
from tlcourse.adaptation import DISTANCES
from tlcourse.widgets.distance_dial_state import LABELS, SIGNS, dialled
from tlcourse.widgets.view import script, style


def test_the_three_verdicts_are_on_the_dial_in_words_and_signs():
    dial, seen = DistanceDial(distance=0, labels=10), []
    for at in range(len(DISTANCES)):
        dial.act({"at": at, "chosen": LABELS.index(10)})
        seen.append(dial.state["verdict"])
        assert dial.state["sign"] == SIGNS[seen[-1]] and seen[-1] in dial.state["words"]
    assert list(dict.fromkeys(seen)) == ["gain", "no clear gain", "negative transfer"]


def test_code_and_sliders_set_the_same_thing():
    dial = DistanceDial()
    dial.distance, dial.labels = 0.81, 50
    assert (dial.state["at"], dial.state["chosen"]) == (24, LABELS.index(50)) and dial.distance == 0.8
    dial.act({"at": 3, "chosen": 0})
    assert dial.distance == DISTANCES[3] and dial.labels == 1


def test_with_more_target_labels_the_harm_begins_earlier():
    begins = []
    for labels in LABELS:
        dial = DistanceDial(labels=labels)
        rows = dial.state["curve"]
        begins.append(next(distance for distance, _, _, high in rows if high < 0))
    assert begins == sorted(begins, reverse=True) and begins[0] > begins[-1] + 0.3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"distance": 1.5}, "from 0 to 1"),
        ({"distance": -0.1}, "from 0"),
        ({"distance": float("nan")}, "from 0"),
        ({"distance": "far"}, "from 0"),
        ({"labels": 3}, "1, 2, 5"),
        ({"labels": True}, "1, 2, 5"),
    ],
)
def test_a_setting_that_it_does_not_have_is_told(options, words):
    with pytest.raises(CourseError, match=words):
        DistanceDial(**options)
    dial = DistanceDial()
    before = dial.state
    for name, value in options.items():
        with pytest.raises(CourseError):
            setattr(dial, name, value)
    assert dial.state == before


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"at": 3},
        {"at": 31, "chosen": 0},
        {"at": -1, "chosen": 0},
        {"at": True, "chosen": 0},
        {"at": "3", "chosen": 1},
    ],
)
def test_a_message_that_makes_no_sense_changes_nothing(message):
    dial = DistanceDial()
    before = dial.state
    with pytest.raises(CourseError, match="no such step"):
        dial.act(message)
    assert dial.state == before


def test_a_move_answers_at_once_and_is_small():
    dialled(0, 0)
    times = []
    for at in range(len(DISTANCES)):
        start = time.perf_counter()
        state = dialled(at, at % len(LABELS))
        times.append(time.perf_counter() - start)
    assert np.median(times) < 0.1
    assert len(json.dumps(state)) < 20_000


def test_where_it_is_not_alive_it_is_a_figure_with_words():
    bundle = DistanceDial(distance=1, labels=20)._repr_mimebundle_()[0]
    assert bundle["text/plain"].startswith("Distance 1, 20 target labels a class.")
    assert "negative transfer" in bundle["text/plain"] and bundle["text/html"].startswith("<img alt=")
    assert "application/vnd.jupyter.widget-view+json" in bundle


def test_nothing_is_loaded_from_elsewhere():
    assert "http" not in script("distance_dial").replace("http://www.w3.org/2000/svg", "") + style("distance_dial")
    assert "innerHTML" not in script("distance_dial")
