"""The kept runs of chapter 07-2: they are there, they fit the code, and a run made anew tells the same."""

from __future__ import annotations

import gzip
import json

import pytest
import torch

from tlcourse import CourseError, UnknownName, translation_scores
from tlcourse.translation import Translator, child, kept, kept_run, recipe
from tlcourse.translation.kept import Trial


def test_every_trial_is_kept_for_this_code():
    runs = json.loads(gzip.decompress(kept.PATH.read_bytes()))["runs"]
    wanted = {kept.key(trial): trial for trial in kept.trials()}
    missing = [trial for key, trial in wanted.items() if key not in runs]
    assert not missing, "the code changed: run  python -m tlcourse.translation.kept"
    assert set(runs) == set(wanted), "there are runs that no trial asks for"
    for key, trial in wanted.items():
        assert len(runs[key]) == len(recipe.strings(trial.language, "test"))
        assert len(set(runs[key])) > 20, "one translation for nearly everything"


@pytest.mark.slow
def test_a_run_made_anew_tells_what_was_kept():
    trial = Trial("zh", 50, "scratch", seed=0)
    reference = recipe.strings("zh", "test").targets
    old, new = (translation_scores(kept_run(trial, again=again), reference, "zh")["chrF"] for again in (False, True))
    assert old == pytest.approx(new, abs=3)  # another processor may round otherwise


def test_what_is_not_kept_is_trained_and_told(monkeypatch, capsys):
    monkeypatch.setattr(recipe, "run", lambda trial: ("made now",))
    assert kept_run(Trial("es", 7, seed=3)) == ("made now",)
    assert "training now: es, 7, scratch, pretrained, 3" in capsys.readouterr().out
    known = next(kept.trials())
    assert kept_run(known) != ("made now",) and kept_run(known, again=True) == ("made now",)


def test_the_key_changes_with_the_trial_the_code_and_the_strings(monkeypatch, tmp_path):
    keys = {kept.key(trial) for trial in kept.trials()}
    assert len(keys) == len(list(kept.trials()))
    before = kept._ground.__wrapped__()
    assert before == kept._ground()
    for name in kept.CODE:
        (tmp_path / f"{name}.py").write_bytes(kept.PATH.with_name(f"{name}.py").read_bytes().replace(b"\n", b"\r\n"))
    monkeypatch.setattr(kept, "PATH", tmp_path / "runs.json.gz")
    assert kept._ground.__wrapped__() == before, "only the ends of lines differ"
    code = (tmp_path / "decoder.py").read_text("utf-8")
    (tmp_path / "decoder.py").write_text(code.replace("0.5 * width", "0.6 * width"), encoding="utf-8")
    assert kept._ground.__wrapped__() != before


def test_spanish_and_chinese_have_the_same_english_strings():
    for side in ("train", "test"):
        spanish, chinese = recipe.strings("es", side), recipe.strings("zh", side)
        assert spanish.x == chinese.x and spanish.fingerprint == chinese.fingerprint
        assert spanish.targets != chinese.targets
    assert not set(recipe.strings("es", "test").x) & set(recipe.strings("fr", "train").x), "the parent has seen a test"


def test_fewer_pairs_are_among_more_and_a_seed_draws_others():
    few, more = recipe.drawn("es", 50, 0), recipe.drawn("es", 300, 0)
    assert more[:50] == few and len(set(more)) == 300 and recipe.drawn("es", 50, 1) != few
    assert recipe.drawn("es", 50, 0) == recipe.drawn("zh", 50, 0)
    with pytest.raises(CourseError, match="not 9999"):
        recipe.drawn("es", 9999, 0)


def test_a_child_has_its_parents_weights_and_if_asked_its_own_table():
    parent, own = Translator(50, 16, 8, seed=0), Translator(50, 16, 8, seed=1)
    table = own.table.weight.detach().clone()
    kid = child(parent, own, table=False)
    assert torch.equal(kid.table.weight, table) and torch.equal(kid.attention.key.weight, parent.attention.key.weight)
    kid = child(parent, Translator(50, 16, 8, seed=1))
    assert all(torch.equal(a, b) for a, b in zip(kid.state_dict().values(), parent.state_dict().values(), strict=True))
    with torch.no_grad():
        kid.table.weight.zero_()
    assert parent.table.weight.any(), "a child that learns leaves its parent alone"


def test_an_unknown_start_or_encoder_is_told():
    with pytest.raises(UnknownName, match="start called 'parents'"):
        recipe.decoder(Trial("es", 50, "parents"))
    with pytest.raises(UnknownName, match="encoder called 'bert'"):
        recipe.states("es", "test", "bert")
