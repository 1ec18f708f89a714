"""Whatever a learner hands in, a check answers in one short message."""

from __future__ import annotations

import io
from contextlib import redirect_stdout

import numpy as np
import pytest
import torch

from tlcourse.exercises import exercise


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path))
    monkeypatch.setattr("tlcourse.exercises.core._hints_shown", {})
    return tmp_path


class Hostile(Exception):
    def __str__(self):
        raise ValueError


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (
            "def f(model):\n    model = 1\n    return model.heed",
            "AttributeError: 'int' object has no attribute 'heed'. (Line 3",
        ),
        ("def f(): return 1", "takes 0 positional arguments"),
        ("def f(model): return f(model)", "RecursionError"),
        ("def f(model): raise SystemExit(3)", "SystemExit: 3"),
        ("def f(model): raise Hostile", "cannot be shown"),
        ("def f(model): raise ValueError('<script>' + 'x' * 900)", "…"),
    ],
)
def test_an_error_in_the_learners_code_is_a_short_message(code, words):
    cell = {"Hostile": Hostile}
    exec(code, cell)
    reply = exercise("03.2").check(cell["f"])
    assert reply.state == "error" and words in reply.text
    assert "Traceback" not in repr(reply) and len(repr(reply)) < 300 and "<script>" not in reply._repr_html_()


@pytest.mark.parametrize("odd", [3, "model", torch.nn.Linear(1, 1), int, print, [], {}, object(), np.zeros(3)])
@pytest.mark.parametrize("name", ["03.1", "03.2", "03.3", "04.1", "04.2", "04.3"])
def test_no_answer_makes_a_check_raise(name, odd):
    with redirect_stdout(io.StringIO()):
        assert exercise(name).check(odd).state in ("not yet", "error", "not attempted")
        assert exercise(name).check(odd, odd).state == "error"
        assert exercise(name).check(lambda *a: odd).state in ("not yet", "error")


@pytest.mark.parametrize(
    "lines",
    ["torch.set_default_dtype(torch.float64)", "torch.set_grad_enabled(False)"],
)
@pytest.mark.parametrize("end", ["return model", "raise ValueError"])
def test_what_an_answer_sets_for_all_of_torch_is_put_back(lines, end):
    cell = {}
    exec(f"import torch\ndef f(model):\n    {lines}\n    {end}", cell)
    exercise("03.2").check(cell["f"])
    assert torch.get_default_dtype() == torch.float32 and torch.is_grad_enabled()
    with torch.no_grad():
        exercise("03.2").check(cell["f"])
        assert not torch.is_grad_enabled()


@pytest.mark.parametrize("line", ["torch.manual_seed(7)", "torch.rand(3)", "torch.set_num_threads(threads + 1)"])
def test_a_check_leaves_the_random_numbers_and_the_threads_alone(line):
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    cell = {"threads": threads}
    exec(f"import torch\ndef f(losses, s):\n    {line}\n    return ((-s).exp() * losses + s / 2).sum()", cell)
    assert exercise("05.2").check(cell["f"]).state == "right"
    assert torch.get_num_threads() == threads and torch.equal(torch.get_rng_state(), state)
