"""`fine_tune`: the head first, then more of the chain; schedules, and stopping early."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from small_nets import Scale, image_net, images, text_net, texts
from torch import nn
from torch.nn import functional as F

from tlcourse import CourseError, UnknownName, changed, evaluate, fine_tune, fit, freeze, frozen, snapshot, unfreeze
from tlcourse.training import fine_tuning


@pytest.fixture(autouse=True)
def empty_home(tmp_path, monkeypatch):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path))


@pytest.fixture
def phases(monkeypatch):
    """For each call of `fit`: the stages of which something moved, and the options."""
    seen = []

    def watched(model, *data, **options):
        before = snapshot(model)
        history = fit(model, *data, **options)
        moved = changed(model, since=before)[["parameters moved", "buffers moved"]].sum(axis=1)
        seen.append((list(moved[moved > 0].index), options))
        return history

    monkeypatch.setattr(fine_tuning, "fit", watched)
    return seen


ALL = ["stem", "body", "neck", "head"]


@pytest.mark.parametrize(
    ("unfreeze", "names", "moved"),
    [
        ("all", ["head", "all"], [["head"], ALL]),
        (1, ["head", "1 stage"], [["head"], ["head"]]),
        (2, ["head", "2 stages"], [["head"], ["neck", "head"]]),
        (4, ["head", "4 stages"], [["head"], ALL]),
        ("neck", ["head", "neck"], [["head"], ["neck", "head"]]),
        (["stem", "neck"], ["head", "stem, neck"], [["head"], ["stem", "neck", "head"]]),
        ("[bn]*", ["head", "body, neck"], [["head"], ["body", "neck", "head"]]),
        ("head", ["head", "head"], [["head"], ["head"]]),
        (
            "gradual",
            ["head", "2 stages", "3 stages", "4 stages"],
            [["head"], ["neck", "head"], ["body", "neck", "head"], ALL],
        ),
    ],
)
@pytest.mark.parametrize("before", [(), ("*",), ("head",)], ids=["free", "all frozen", "head frozen"])
def test_in_each_phase_moves_what_was_asked_for(unfreeze, names, moved, before, phases):
    net, data = image_net(), images(20)
    if before:
        freeze(net, *before)
    history = fine_tune(net, data, data, epochs=4, head_epochs=2, lr=1e-3, unfreeze=unfreeze, batch=10)
    assert [found for found, _ in phases] == moved
    frame = history.to_frame()
    assert list(dict.fromkeys(frame["phase"])) == list(dict.fromkeys(names))
    assert frame["epoch"].tolist() == list(range(1, 7)) and len(history) == 6 and "valid_loss" in frame
    assert (frame["phase"][:2] == "head").all() and list(frame)[:2] == ["epoch", "phase"]
    assert [options["lr"] for _, options in phases] == [1e-2] + [1e-3] * (len(phases) - 1)
    assert history.seconds > 0 and "head: Kept at 'pool'" in history.keeping
    assert not any(module.training for module in net.modules())


def test_gradual_unfreezing_has_as_many_phases_as_epochs_at_most(phases):
    history = fine_tune(image_net(), images(), epochs=2, unfreeze="gradual")
    assert history.to_frame()["phase"].tolist() == ["head", "2 stages", "3 stages"]
    phases.clear()
    history = fine_tune(image_net(), images(), epochs=6, unfreeze="gradual")
    assert history.to_frame()["phase"].tolist() == ["head", "2 stages", "3 stages", *["4 stages"] * 4]
    assert len(phases) == 4, "the whole chain trains in one run"


def test_without_epochs_for_the_head_there_is_one_phase(phases):
    history = fine_tune(freeze(image_net()), images(), epochs=2, head_epochs=0, lr=1e-3, unfreeze="head", decay=0.5)
    assert history.to_frame()["phase"].tolist() == ["head", "head"]
    assert [options["lr"] for _, options in phases] == [1e-3] and phases[0][1]["decay"] == 0.5


def test_a_dropout_that_stands_by_itself_is_on_in_the_second_phase():
    for choice in ("all", 2, "1", "gradual"):
        net = nn.Sequential(nn.Flatten(), nn.Linear(192, 8), nn.Dropout(0.5), nn.Linear(8, 2))
        net.transform = Scale()
        fine_tune(net, images(), epochs=1, unfreeze=choice)
        assert "2" not in frozen(net) and net.train()[2].training, choice


def test_a_network_of_one_stage_with_parameters():
    net = nn.Sequential(nn.Flatten(), nn.Linear(192, 2))
    net.transform = Scale()
    assert fine_tune(net, images(), epochs=2, unfreeze="gradual").to_frame()["phase"].tolist() == ["head", "all", "all"]


def test_the_two_phases_are_two_runs_of_fit():
    net, by_hand, data = text_net(), text_net(), texts()
    history = fine_tune(net, data, epochs=2, lr=1e-3, unfreeze=3, decay=0.5, seed=4)
    first = fit(freeze(by_hand), data, epochs=1, lr=1e-2, seed=4)
    second = fit(unfreeze(by_hand, last=3), data, epochs=2, lr=1e-3, decay=0.5, seed=4)
    assert [row["loss"] for row in history.rows] == [row["loss"] for row in (*first.rows, *second.rows)]
    assert all(torch.equal(a, b) for a, b in zip(net.state_dict().values(), by_hand.state_dict().values(), strict=True))


def test_stages_further_from_the_head_learn_slower_in_the_second_phase():
    rates = []

    class Watched(torch.optim.SGD):
        def __init__(self, groups):
            rates.append({group["stage"]: group["lr"] for group in groups})
            super().__init__(groups)

    fine_tune(image_net(), images(), epochs=1, lr=0.8, decay=0.5, head_lr=0.3, optimizer=Watched)
    assert rates == [{"head": 0.3}, {"stem": 0.1, "body": 0.2, "neck": 0.4, "head": 0.8}]


def test_an_interrupt_in_the_first_phase_stops_all(phases, capsys):
    calls = []

    def loss(logits, labels):
        calls.append(1)
        if len(calls) > 3:
            raise KeyboardInterrupt
        return F.cross_entropy(logits, labels)

    net = image_net()
    history = fine_tune(net, images(20), epochs=3, head_epochs=2, batch=10, loss=loss)
    assert history.interrupted and len(history) == 1 and len(phases) == 1 and phases[0][0] == ["head"]
    assert "epoch 2 of 2, after 1 of its 2 batches" in history.note and history.note in capsys.readouterr().out
    assert frozen(net) == ("stem", "body", "neck", "pool")


@pytest.mark.parametrize("choice", [0, 5, -1, True, None, 2.0, [], "bodi", ["stem", 3]])
def test_a_wrong_choice_of_stages_is_explained_before_anything_trains(choice):
    net = image_net()
    before = snapshot(net)
    with pytest.raises(CourseError, match=r"Choose|Did you mean 'body'|Write the name") as caught:
        fine_tune(net, images(), epochs=1, unfreeze=choice)
    assert isinstance(caught.value, UnknownName) == (choice == "bodi")
    assert changed(net, since=before)["parameters moved"].sum() == 0


@pytest.mark.parametrize("more", [{"epochs": 0}, {"head_epochs": -1}, {"head_lr": -1}, {"lr": "a"}, {"decay": "half"}])
def test_wrong_numbers_are_explained_before_anything_trains(more, phases):
    with pytest.raises(CourseError, match=f"^{next(iter(more))}="):
        fine_tune(image_net(), images(), **{"epochs": 1, **more})
    assert not phases


# stopping early ----------------------------------------------------------------------------------


class Remembers(torch.optim.SGD):
    """Keeps the weights as they were after each step."""

    def step(self, *more):
        super().step(*more)
        STATES.append(copy.deepcopy(NETS[-1].state_dict()))


STATES, NETS = [], []


@pytest.mark.parametrize("until", [None, "body"])
def test_the_weights_of_the_best_epoch_come_back_to_the_last_bit(until):
    net, data, valid = image_net(dropout=0.2), images(20), images(12, seed=5)
    if until:
        freeze(net, until=until)
    STATES.clear(), NETS.append(net)
    history = fit(net, data, valid, epochs=40, lr=3.0, batch=10, patience=3, optimizer=Remembers)
    losses = [row["valid_loss"] for row in history.rows]
    best = min(range(len(losses)), key=losses.__getitem__)
    assert len(history) == best + 1 + 3 < 40, "it stops 3 epochs after the best"
    assert f"Stopped after epoch {len(history)}" in history.note and f"those of epoch {best + 1}," in history.note
    expected = STATES[2 * best + 1]
    assert all(torch.equal(tensor, expected[name]) for name, tensor in net.state_dict().items())
    assert evaluate(net, valid).loss == pytest.approx(losses[best], abs=1e-6)


def test_who_goes_on_improving_is_not_stopped_and_patience_is_for_the_last_phase(phases):
    history = fine_tune(image_net(), images(40), images(20), epochs=4, head_epochs=2, patience=2, lr=1e-3)
    assert [options["patience"] for _, options in phases] == [None, 2]
    assert len(history) == 6 and "those of epoch" in history.note and "Stopped" not in history.note


def test_patience_needs_validation_data():
    with pytest.raises(CourseError, match="needs validation data"):
        fit(image_net(), images(), epochs=2, patience=1)


# schedules ---------------------------------------------------------------------------------------


def by_hand(schedule, warmup, steps=20):
    """The rates as the formulas say, of 1 at most."""
    warm, rates = math.ceil(steps * warmup), []
    for step in range(steps):
        done = (step - warm) / (steps - warm)
        after = {"constant": 1.0, "linear": 1 - done, "cosine": (1 + math.cos(math.pi * done)) / 2}[schedule]
        rates.append((step + 1) / warm if step < warm else after)
    return rates


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
@pytest.mark.parametrize("warmup", [None, 0, 0.25, 0.9])
def test_the_rate_follows_its_formula(schedule, warmup):
    rates = []

    class Watched(torch.optim.SGD):
        def step(self, *more):
            rates.append([group["lr"] for group in self.param_groups])
            return super().step(*more)

    fit(
        image_net(), images(20), epochs=10, batch=10, lr=0.2, head_lr=0.4,
        optimizer=Watched, schedule=schedule, warmup=warmup,
    )  # fmt: skip
    share = by_hand(schedule, (0 if schedule == "constant" else 0.1) if warmup is None else warmup)
    assert [r[0] for r in rates] == pytest.approx([0.2 * s for s in share], abs=1e-9)
    assert [r[-1] for r in rates] == pytest.approx([0.4 * s for s in share], abs=1e-9)
    assert max(share) == 1.0 and (schedule == "constant" or share[-1] < share[0] or warmup == 0.9)


@pytest.mark.parametrize("more", [{"schedule": "cosine_"}, {"warmup": 1}, {"warmup": -0.1}, {"warmup": "a tenth"}])
def test_wrong_schedules_are_explained(more):
    with pytest.raises(CourseError, match="Choose"):
        fit(image_net(), images(4), epochs=1, **more)
