"""Bad input to the reader, and the stop button: it is told in words, and the reader stays usable."""

from __future__ import annotations

import copy
import os
import signal

import pytest
import torch
from torch import nn

from tlcourse import CourseError, SpanReader, country_questions, fit_reader, load
from tlcourse.answering import reader as reader_module
from tlcourse.datasets import TextQuestion

NAN = float("nan")


@pytest.fixture(scope="module")
def model():
    return load("minilm")


@pytest.fixture(scope="module")
def asked():
    return country_questions().train[:12]


def one(text="Kenya speaks Swahili.", answer="Swahili", start=13, question="Which language does Kenya speak?"):
    return TextQuestion(question, text, answer, start, "language", "KE")


# --- the stop button


def stopped(monkeypatch, reader, asked, at, press):
    """Three epochs of two batches, in which `press` is called before the batch `at`, counted from 1."""
    loss, calls = reader_module._loss, []

    def counted(*given):
        calls.append(1)
        if len(calls) == at:
            press()
        return loss(*given)

    monkeypatch.setattr(reader_module, "_loss", counted)
    return fit_reader(reader, asked, epochs=3, batch=6), len(calls)


def raised():
    raise KeyboardInterrupt


@pytest.mark.parametrize(("at", "epochs", "where"), [(1, 0, "epoch 1 of 3, after 0"), (4, 1, "epoch 2 of 3, after 1")])
def test_an_interrupt_leaves_a_reader_that_reads(monkeypatch, capsys, model, asked, at, epochs, where):
    reader = SpanReader(model, at="embeddings")
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    losses, _ = stopped(monkeypatch, reader, asked, at, raised)
    assert len(losses) == epochs and f"Interrupted in {where} of its 2 batches" in capsys.readouterr().out
    assert not any(module.training for module in reader.modules()) and torch.equal(torch.rand(3), wanted)
    assert len(reader.read(asked).answers) == len(asked)
    assert len(fit_reader(reader, asked, epochs=1)) == 1


@pytest.mark.parametrize(("at", "epochs"), [(3, 1), (4, 2), (6, 3)])
def test_the_stop_button_waits_for_the_batch(monkeypatch, capsys, model, asked, at, epochs):
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        press = lambda: os.kill(os.getpid(), signal.SIGINT)  # noqa: E731
        losses, batches = stopped(monkeypatch, SpanReader(model, at="embeddings"), asked, at, press)
    finally:
        signal.signal(signal.SIGINT, before)
    assert (len(losses), batches) == (epochs, at)
    assert ("Interrupted" in capsys.readouterr().out) == (at < 6)


def test_an_interrupt_while_features_are_computed_changes_nothing(monkeypatch, capsys, model, asked):
    reader = SpanReader(model, at="embeddings")
    before = copy.deepcopy(reader.head.state_dict())
    monkeypatch.setattr(reader, "features", lambda _: raised())
    assert fit_reader(reader, asked, epochs=1) == [] and "as it was" in capsys.readouterr().out
    assert all(torch.equal(before[name], x) for name, x in reader.head.state_dict().items())


def test_nine_steps_are_trained_too(model, asked):
    assert len(fit_reader(SpanReader(model, at="embeddings"), asked[:9], epochs=3, batch=3)) == 3


# --- bad input


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("Where is it?", "list of TextQuestions.*not a str"),
        (None, "not a NoneType"),
        (one(), "not a TextQuestion"),
        ([("Where?", "Here.")], "Question 0 is a tuple"),
        ([one(answer=None)], "not all strings"),
        ([one(start="13")], "start='13'"),
        ([one(start=-1)], "'Swahili', and start=-1"),
        ([one(text="a \u200b b", answer="\u200b", start=2)], "has no token"),
        ([], "no questions"),
    ],
)
def test_questions_that_teach_nothing_are_told(model, asked, words):
    with pytest.raises(CourseError, match=words):
        fit_reader(SpanReader(model, at="embeddings"), asked, epochs=1)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda m, q: fit_reader(m, q), "SpanReader is trained here, not a TextClassifier"),
        (lambda m, q: fit_reader(SpanReader(m, "embeddings").requires_grad_(False), q), "all of it is frozen"),
        (lambda m, q: fit_reader(SpanReader(m, "embeddings"), q, seed="a"), "seed='a'"),
        (lambda m, q: SpanReader(m, "embeddings", seed=None), "seed=None"),
        (lambda m, q: SpanReader(m, "embeddings").read("Where?"), "list of TextQuestions"),
        (lambda m, q: SpanReader(m, "embeddings").read(q, least="0"), "least='0'"),
        (lambda m, q: SpanReader(m, "embeddings").read(q, least=NAN), "least=nan"),
    ],
)
def test_what_cannot_be_built_or_read_is_told(model, asked, call, words):
    with pytest.raises(CourseError, match=words):
        call(model, asked)


def test_one_stage_to_train_may_be_named_alone(model):
    assert len(SpanReader(model, at="layer4", train="layer5").rest) == 1


def test_a_line_break_in_a_question_moves_no_answer(model, asked):
    reader = SpanReader(model, at="embeddings")
    odd = [one(), one(question="Which language\ndoes Kenya\n speak?")]
    told, same = reader.read(odd, least=-torch.inf).answers
    assert told == same and told in one().text


def test_numbers_that_are_none_are_no_silence(model, asked):
    spoilt = SpanReader(model, at="embeddings")
    nn.init.constant_(spoilt.head.point.weight, NAN)
    with pytest.raises(CourseError, match="scores are not numbers.*weights have grown".replace(".*", "(?s:.*)")):
        spoilt.ask("Where is it?", "It is here.")
    encoder = copy.deepcopy(model)
    for parameter in encoder.parameters():
        nn.init.constant_(parameter, NAN)
    with pytest.raises(CourseError, match="encoder gives NaN"):
        fit_reader(SpanReader(encoder, at="embeddings"), asked, epochs=1)
