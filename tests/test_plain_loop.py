"""The one loop for what is no classifier: what its rows hold, and how it ends when it is stopped or goes wrong."""

from __future__ import annotations

import math
import signal

import pytest
import torch
from torch import nn

from tlcourse import CourseError, freeze
from tlcourse.training import Diverged
from tlcourse.training.history import interrupts
from tlcourse.training.own_loss import fit_losses
from tlcourse.training.plain import PlainSource, PlainStep, by_items, train_plain
from tlcourse.training.watch import Watcher

X, Y = torch.randn(7, 3, generator=torch.Generator().manual_seed(0)), torch.ones(7, 1)


def made() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.2), nn.Linear(4, 1))


def of(net, at: int = 0, happens=None, seen=None):
    """The losses of a net; at call number `at` something happens to them."""
    seen = [] if seen is None else seen

    def losses(index):
        seen.append(index.tolist())
        y = net(X[index])
        parts = {"square": (y - Y[index]).square().mean(), "size": 0.1 * y.abs().mean()}
        return happens(parts) if len(seen) == at else parts

    return losses


def fitted(net, losses=None, n=7, **more):
    return fit_losses(net, losses or of(net), n, **{"epochs": 3, "lr": 0.01, "batch": 3, "progress": False} | more)


def test_rows_hold_the_sum_and_each_loss_as_means_over_items():
    net, seen = made(), []
    net[1].p = 0.0
    history, y = fitted(net, of(net, seen=seen), lr=0.0, epochs=2), net(X)
    assert list(history.rows[0]) == ["epoch", "loss", "square", "size", "seconds"] and not net.training
    assert [len(part) for part in seen[:3]] == [3, 2, 2] and sorted(i for part in seen[:3] for i in part) == [*range(7)]
    row = history.rows[0]
    assert row["loss"] == pytest.approx(row["square"] + row["size"])
    assert row["square"] == pytest.approx((y - Y).square().mean().item(), rel=1e-5)
    assert by_items([({"a": 1.0}, 2), ({"a": 4.0, "b": 3.0}, 1)]) == {"a": 2.0, "b": 1.0}


def test_one_seed_one_result_and_torchs_numbers_go_on_as_before():
    nets = [made() for _ in range(3)]
    before = torch.get_rng_state()
    a, b, c = (fitted(net, seed=seed).rows[-1]["loss"] for net, seed in zip(nets, (1, 1, 2), strict=True))
    assert a == b != c and torch.equal(torch.get_rng_state(), before)


def test_a_loss_that_is_called_loss_is_in_the_sum_and_the_sum_is_what_is_learned():
    net = made()
    history = fitted(net, lambda i: {"loss": net(X[i]).square().mean(), "more": 0 * net(X[i]).sum() + 5}, lr=0.0)
    assert list(history.rows[0])[1:-1] == ["loss", "more"] and history.rows[0]["loss"] > 5


def stop(parts):
    raise KeyboardInterrupt


def press(parts):
    signal.raise_signal(signal.SIGINT)
    return parts


@pytest.mark.parametrize(
    ("happens", "at", "epochs", "where"),
    [
        (stop, 1, 0, "in epoch 1 of 3, after 0 of its 3 batches"),
        (stop, 5, 1, "in epoch 2 of 3, after 1 of its 3 batches"),
        (press, 5, 1, "in epoch 2 of 3, after 2 of its 3 batches"),
        (press, 6, 2, "in epoch 3 of 3, after 0 of its 3 batches"),
        (press, 9, 3, ""),
    ],
)
def test_a_stop_leaves_what_was_learned_and_says_where(happens, at, epochs, where, capsys):
    net, count = made(), interrupts()
    weight = net[0].weight.detach().clone()
    history = fitted(net, of(net, at, happens))
    assert len(history) == epochs and history.interrupted == bool(where) == (interrupts() > count)
    assert where in history.note and history.note in capsys.readouterr().out
    assert torch.equal(weight, net[0].weight) == (at == 1) and not net.training and history.seconds > 0


def test_a_loss_that_is_no_number_moves_nothing_and_keeps_the_history():
    net, kept = made(), []

    def spoil(parts):
        kept.append(net[0].weight.detach().clone())
        return {**parts, "size": parts["size"] * math.nan}

    with pytest.raises(Diverged, match="epoch 2, after 1 batches") as caught:
        fitted(net, of(net, 5, spoil))
    assert len(caught.value.history) == 1 and caught.value.history.seconds > 0
    assert torch.equal(kept[0], net[0].weight) and not net.training
    assert "try lr=0.001" in str(caught.value) and "hold NaN" in str(caught.value), "nobody can see which of both"


def test_at_the_first_step_the_data_or_the_weights_are_the_cause():
    net = made()
    with pytest.raises(Diverged, match=r"after 0 batches(.|\n)*hold NaN(.|\n)*Look into the data"):
        fitted(net, of(net, 1, lambda parts: {"size": parts["size"] * math.inf}))
    with torch.no_grad():
        net[2].bias.fill_(math.nan)
    with pytest.raises(Diverged, match="before the first step"):
        fitted(net)


def test_a_last_step_that_spoils_the_weights_is_told():
    net = made()
    with pytest.raises(Diverged, match="learning rate"):
        fitted(net, epochs=1, lr=1e39, batch=7, schedule="constant")


@pytest.mark.parametrize(
    ("losses", "told"),
    [
        (lambda y: y.mean(), "gave a Tensor; a dict"),
        (lambda y: {}, "gave no loss"),
        (lambda y: None, "gave a NoneType"),
        (lambda y: {"each": y}, r"'each' is not one number but \[3, 1\]"),
        (lambda y: {"sum": y.sum().item()}, "'sum' is not one number but a float"),
        (lambda y: {"hits": (y > 0).float().mean()}, "do not depend on what trains"),
        (lambda y: {"lost": y.detach().mean()}, "do not depend on what trains"),
    ],
)
def test_losses_that_nothing_can_be_learned_from_are_told(losses, told):
    net = made()
    with pytest.raises(CourseError, match=told):
        fitted(net, lambda index: losses(net(X[index])))


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"n": 0}, "nothing to learn from"),
        ({"n": 2.5}, "n=2.5"),
        ({"epochs": 0}, "epochs=0"),
        ({"batch": True}, "batch=True"),
        ({"lr": math.nan}, "lr=nan"),
        ({"weight_decay": -1}, "weight_decay=-1"),
        ({"schedule": "cos"}, "'cos'"),
        ({"seed": "a"}, "seed='a'"),
        ({"progress": "x"}, "progress='x'"),
        ({"progress": Watcher()}, "True or False"),
    ],
)
def test_settings_that_will_not_do_are_told_before_anything_moves(more, told):
    net, seen = made(), []
    with pytest.raises(CourseError, match=told):
        fitted(net, of(net, seen=seen), **more)
    assert not seen


def test_what_is_frozen_stays_and_all_frozen_is_told():
    net = freeze(made(), "0")
    weight = net[0].weight.detach().clone()
    fitted(net)
    assert torch.equal(weight, net[0].weight)
    with pytest.raises(CourseError, match="Nothing trains"):
        fitted(freeze(net, "*"))


def test_batchnorm_on_one_item_is_told_as_in_fit():
    net = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    with pytest.raises(CourseError, match="batch=2 or more"):
        fitted(net, lambda index: {"size": net(X[index]).square().mean()}, batch=1)


def test_several_processes_are_refused(monkeypatch):
    monkeypatch.setattr("tlcourse.training.plain.Team", lambda device: type("Two", (), {"size": 2}))
    with pytest.raises(CourseError, match="one process"):
        fitted(made())


# --- what a step does with a gradient


def test_a_long_gradient_is_shortened_and_one_that_is_no_number_takes_no_step():
    weight = nn.Parameter(torch.tensor([3.0, 4.0]))
    descent, factor = torch.optim.SGD([weight], lr=1.0), torch.tensor(1.0)
    step = PlainStep(lambda index: ({"loss": (weight * factor).square().sum()}, True), descent, weight.device, clip=1.0)
    told, _ = step(torch.arange(1))
    assert told == {"loss": 25.0} and torch.allclose(weight, torch.tensor([2.4, 3.2]))
    with torch.no_grad():
        weight.zero_()
    step.losses = lambda index: ({"loss": weight.square().sum().sqrt()}, True)  # its slope at zero is none
    told, finite = step(torch.arange(1))
    assert math.isnan(told["loss"]) and not finite and not weight.any()


def test_the_one_who_looks_on_hears_of_every_batch_and_of_the_accuracy_where_there_is_one():
    heard = []

    class Ear(Watcher):
        def batch(self, loss, accuracy):
            heard.append((loss, accuracy))

    net, settings = made(), {"epochs": 1, "lr": 0.1, "batch": 4, "schedule": "constant", "warmup": 0.0, "seed": 0}
    losses = lambda index: ({"loss": net(X[index]).square().mean(), "accuracy": torch.tensor(0.5)}, True)  # noqa: E731
    descent = torch.optim.SGD(net.parameters(), lr=0.1)
    row = train_plain(PlainSource(net, 7), losses, descent, settings, Ear()).rows[0]
    assert row["accuracy"] == 0.5 and [accuracy for _, accuracy in heard] == [0.5, 0.5]
