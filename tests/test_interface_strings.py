"""The interface strings: what is in them, and that no template is on two sides in any language."""

from __future__ import annotations

import pytest
import torch

from tlcourse import CourseError, UnknownName, load_dataset
from tlcourse.datasets.interface import LANGUAGES, ParallelSplit, template, together

SIZES = {"fr": (1949, 301, 753), "es": (557, 86, 213), "zh": (1981, 303, 762)}


@pytest.fixture(params=sorted(LANGUAGES))
def data(request):
    return load_dataset("interface-strings", language=request.param)


def test_sizes_are_what_the_chapter_says(data):
    assert tuple(map(len, data.splits)) == SIZES[data.train.language]


def test_every_string_has_a_translation_that_somebody_wrote(data):
    for split in data.splits:
        assert len(split.targets) == len(split.x)
        for english, target in zip(split.x, split.targets, strict=True):
            assert template(english) and template(target) and english != target
            assert english == " ".join(english.split()) and target == " ".join(target.split())
            assert "\x04" not in english, "the place where a string is shown is no part of it"


def test_known_translations_are_there():
    for language, english, target in (("fr", "Open", "Ouvrir"), ("es", "Open", "Abrir"), ("zh", "Open", "打开")):
        splits = load_dataset("interface-strings", language=language).splits
        found = {e: t for split in splits for e, t in zip(split.x, split.targets, strict=True)}
        assert found[english] == target


def test_no_template_is_on_two_sides_in_any_language():
    sides: dict = {}
    for language in LANGUAGES:
        for split in load_dataset("interface-strings", language=language).splits:
            for english, target in zip(split.x, split.targets, strict=True):
                for key in (("en", template(english)), (language, template(target))):
                    assert sides.setdefault(key, split.name) == split.name, (key, english)


def test_six_words_in_a_row_are_on_one_side(data):
    import re

    seen: dict = {}
    for split in data.splits:
        for text in split.x:
            words = re.findall(
                r"[^\W\d_]+", re.sub(r"%\(\w+\)[a-z]|%[a-z\d]\b|\{+[^{}]*\}+|<[^<>]*>", " ", text.lower())
            )
            for k in range(len(words) - 5):
                key = tuple(words[k : k + 6])
                if "http" not in key:
                    assert seen.setdefault(key, split.name) == split.name, text


def test_what_makes_two_strings_one_template():
    same = ["Close %1", "close", "CLOSE…", "<b>Close</b>", "Close {name}!", "Close %(file)s", "Close 12", "%1: Close"]
    assert {template(text) for text in same} == {"close"}
    assert template("Close all") != template("Close")
    assert template("Clôture") == "clôture" and template("关闭 %1") == "关闭" and template("%1 / %2 🦊 12") == ""


def test_strings_that_hang_together_by_a_third_are_together():
    rows = [
        ("Skip", "Ignorer", ""),
        ("Ignore", "Ignorer", "忽略"),
        ("Pass over", "Passer", "忽略 %1"),
        ("Go", "", "走"),
    ]
    assert together(rows) == [0, 0, 0, 3]
    assert together([("", "", ""), ("", "", "")]) == [0, 1], "what is missing makes nothing alike"
    long = "one two three four five six"
    assert together([(f"A {long}.",), (f"{long} seven",), ("one two three four five",)]) == [0, 0, 2]


def test_a_selection_keeps_strings_and_translations_together(data):
    some = data.train[[5, 2]]
    assert some.targets == (data.train.targets[5], data.train.targets[2]) and some.language == data.train.language
    assert isinstance(some, ParallelSplit) and some.x == (data.train.x[5], data.train.x[2])
    short = data.test.short(3)
    assert 0 < len(short) < len(data.test) and max(len(t.split()) for t in short.x) == 3
    assert len(data.train[:0].targets) == 0
    shots = data.train.shots(2, seed=1)
    assert len(shots.targets) == 4


def test_features_of_the_english_side_serve_every_language():
    spanish, chinese = (load_dataset("interface-strings", language=code).train for code in ("es", "zh"))
    place = {text: i for i, text in enumerate(chinese.x)}
    both = [i for i, text in enumerate(spanish.x) if text in place]
    assert len(both) > 400
    a, b = spanish[both], chinese[[place[spanish.x[i]] for i in both]]
    assert a.fingerprint == b.fingerprint and a.targets != b.targets


def test_the_order_of_loading_changes_nothing(data):
    again = load_dataset("interface-strings", language=data.train.language)
    assert [split.fingerprint for split in again.splits] == [split.fingerprint for split in data.splits]


def test_an_unknown_language_and_unequal_sides_are_told():
    with pytest.raises(UnknownName, match="There is no language of interface strings called 'de'"):
        load_dataset("interface-strings", language="de")
    with pytest.raises(CourseError, match="1 strings and 0 translations"):
        ParallelSplit("train", "text", ("Open",), torch.tensor([0]), ("a",), ("1",))
    with pytest.raises(CourseError, match="1 strings and 1 translations"):
        ParallelSplit("train", "text", ("Open",), torch.tensor([0]), ("a",), ("1",), targets=(None,))


def test_a_broken_file_is_told(tmp_path, monkeypatch):
    from tlcourse import assets
    from tlcourse.datasets import interface

    broken = tmp_path / "git.json"
    broken.write_text('{"Open": 3}', encoding="utf-8")
    monkeypatch.setattr(assets, "file", lambda *_: broken)
    with pytest.raises(CourseError, match="cannot be read"):
        interface._pairs.__wrapped__("fr")
