"""Environment variables and errors that a learner meets first."""

from __future__ import annotations

import os
import pickle
import re
import sys
from pathlib import Path

import pytest

import tlcourse
from tlcourse import settings
from tlcourse.errors import CourseError, UnknownName


def test_a_wrong_profile_names_the_right_ones(monkeypatch):
    monkeypatch.setenv("TLCOURSE_PROFILE", "smal")
    with pytest.raises(UnknownName, match="Did you mean 'small'"):
        settings.profile()


def test_a_limit_that_is_no_number_is_explained(monkeypatch):
    monkeypatch.setenv("TLCOURSE_FEATURES_LIMIT_MB", "two gigabytes")
    with pytest.raises(CourseError, match="TLCOURSE_FEATURES_LIMIT_MB"):
        settings.features_limit()


def test_home_follows_the_environment_at_each_call(monkeypatch, tmp_path):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path / "a"))
    assert settings.home() == tmp_path / "a"
    monkeypatch.delenv("TLCOURSE_HOME")
    assert settings.home().name == "tlcourse"


def test_a_misspelt_public_name_gets_the_nearest():
    with pytest.raises(AttributeError, match="Did you mean 'freeze'"):
        tlcourse.freez  # noqa: B018


def test_an_error_survives_another_process():
    error = pickle.loads(pickle.dumps(UnknownName("stage", "steem", ["stem", "head"])))
    assert isinstance(error, UnknownName) and "Did you mean 'stem'" in str(error) and error.do


@pytest.mark.parametrize(
    ("call", "says"),
    [
        ("load('minilmm', 2)", "There is no model called 'minilmm'.(.|\n)*Did you mean 'minilm'"),
        ("fit(None, None, epochs=-1)", "Choose a whole number from 1"),  # a function with another around it
    ],
)
def test_a_notebook_shows_the_learners_line_and_the_message_only(call, says, capsys):
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell()
    shell.run_cell(f"from tlcourse import fit, load\n{call}")
    shown = capsys.readouterr().out
    assert f"in line 2: {call}" in shown and re.search(says, shown)
    assert ".py" not in shown, "frames of the package stand between the learner and the message"


def test_a_program_in_another_folder_finds_the_same_home_and_this_pythons_commands(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TLCOURSE_HOME", "course-data")
    made = settings.environment()
    assert made["TLCOURSE_HOME"] == str(tmp_path / "course-data")
    assert made["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)


@pytest.mark.parametrize(("chosen", "found"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_threads_that_wait_sleep_there_unless_somebody_wants_otherwise(monkeypatch, chosen, found):
    monkeypatch.delenv("OMP_WAIT_POLICY")
    if chosen:
        monkeypatch.setenv("OMP_WAIT_POLICY", chosen)
    assert settings.environment()["OMP_WAIT_POLICY"] == found


@pytest.mark.parametrize(
    ("name", "says"), [("gpu", "The devices are: 'cpu', 'cuda', 'mps'"), ("mps", "does not offer")]
)
def test_a_device_that_is_not_there_is_explained(monkeypatch, name, says):
    monkeypatch.setenv("TLCOURSE_DEVICE", name)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    with pytest.raises(CourseError, match=says):
        tlcourse.device()
