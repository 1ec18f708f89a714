"""`repeat`: several seeds, paired differences with their interval; an interrupt keeps the complete seeds."""

from __future__ import annotations

import math
import statistics

import pytest
import torch
from scipy import stats
from small_nets import image_net, images
from torch.nn import functional as F

from tlcourse import CourseError, evaluate, fine_tune, fit, freeze, repeat


@pytest.fixture(autouse=True)
def empty_home(tmp_path, monkeypatch):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path))


def accuracy(seed, loss=None):
    """Of a run of four batches."""
    net = freeze(image_net(seed=seed, dropout=0.3), until="body")
    fit(net, images(20, seed=seed), epochs=2, batch=10, lr=0.2, seed=seed, loss=loss)
    return evaluate(net, images(40, seed=100))


def by_t(values):
    """Mean and 95 % interval as a table of Student's t gives them."""
    n = len(values)
    half = stats.t.ppf(0.975, n - 1) * statistics.stdev(values) / math.sqrt(n)
    return pytest.approx([statistics.mean(values), statistics.mean(values) - half, statistics.mean(values) + half])


# figures -----------------------------------------------------------------------------------------


def test_the_figures_are_those_of_the_runs():
    values = [accuracy(seed).loss for seed in range(4)]
    found = repeat(lambda seed: accuracy(seed).loss, seeds=4)
    assert found.values == tuple(values) and found.seeds == (0, 1, 2, 3) and len(set(values)) > 1
    assert [found.mean, found.low, found.high] == by_t(values)
    assert len(found.seconds) == 4 and min(found.seconds) > 0 and found.memory > 10 and found.note == ""
    assert repeat(lambda seed: accuracy(seed).loss, seeds=4).values == found.values, "seeds do not reproduce"
    assert repeat(accuracy, seeds=2).values == tuple(accuracy(seed).accuracy for seed in range(2))
    table = found.to_frame()
    assert list(table) == ["seed", "value", "seconds"] and table["value"].tolist() == values
    assert f"{found.mean:.3f} ({found.low:.3f} to {found.high:.3f}), 4 seeds" in repr(found)
    assert "s a run" in repr(found) and repr(found) in found._repr_html_()


def test_a_paired_difference_is_narrower_than_the_two_intervals():
    noise = torch.randn(6, generator=torch.Generator().manual_seed(0)).tolist()
    a = repeat(lambda seed: 0.8 + noise[seed], seeds=6)
    b = repeat(lambda seed: 0.7 + noise[seed] + 0.001 * seed, seeds=range(6))
    difference = a - b
    each = [0.1 - 0.001 * seed for seed in range(6)]
    assert list(difference.values) == pytest.approx(each) and difference.seeds == a.seeds
    assert [difference.mean, difference.low, difference.high] == by_t(each)
    assert difference.low > 0 > a.low - b.high, "unpaired, nothing could be said"
    assert (b - a).mean == pytest.approx(-difference.mean) and difference.to_frame().columns.tolist() == [
        "seed",
        "value",
    ]


def test_pairs_share_their_seeds():
    with pytest.raises(CourseError, match=r"seeds differ: \[0, 1\] and \[0, 2\](.|\n)*same seeds"):
        repeat(float, seeds=2) - repeat(float, seeds=[0, 2])


def test_one_seed_has_no_interval():
    found = repeat(lambda seed: seed / 10, seeds=[7])
    assert found.values == (0.7,) and "1 seed" in repr(found) and "to" not in repr(found)
    with pytest.raises(CourseError, match="at least two runs"):
        _ = found.low


@pytest.mark.parametrize("value", [1, 0.5, torch.tensor(0.5).item(), accuracy])
def test_numbers_and_results_are_taken(value):
    found = repeat(value if callable(value) else lambda seed: value, seeds=2)
    assert all(isinstance(v, float) for v in found.values)


# an interrupt ------------------------------------------------------------------------------------


class Stops:
    """A loss that presses the button at the k-th call."""

    def __init__(self, at):
        self.calls, self.at = 0, at

    def __call__(self, logits, labels):
        self.calls += 1
        if self.calls == self.at:
            raise KeyboardInterrupt
        return F.cross_entropy(logits, labels)


def test_an_interrupt_inside_fit_ends_it_and_keeps_the_complete_seeds():
    loss, started = Stops(at=4 * 2 + 3), []  # four batches a run: in the third one

    def run(seed):
        started.append(seed)
        return accuracy(seed, loss=loss)

    found = repeat(run, seeds=[5, 6, 7, 8])
    assert found.seeds == (5, 6) and started == [5, 6, 7] and len(found.values) == len(found.seconds) == 2
    assert found.values == repeat(accuracy, seeds=[5, 6]).values
    assert "interrupted in the run with seed 7" in found.note and found.note in repr(found)


def test_an_interrupt_outside_of_fit_too():
    def run(seed):
        if seed == 2:
            raise KeyboardInterrupt
        return 0.5

    assert repeat(run, seeds=5).seeds == (0, 1) and "seed 2" in repeat(run, seeds=5).note
    assert repeat(lambda seed: 0.5, seeds=2).note == "", "an earlier interrupt ends no later run"


def test_an_interrupt_in_a_phase_of_fine_tune_or_in_nested_runs():
    loss = Stops(at=6)

    def run(seed):
        net = image_net(seed=seed)
        fine_tune(net, images(20), epochs=1, batch=10, loss=loss)  # two batches in each of two phases
        return evaluate(net, images(20))

    assert repeat(run, seeds=3).seeds == (0,)


def test_an_interrupt_in_the_first_run_leaves_nothing_to_return():
    with pytest.raises(KeyboardInterrupt):
        repeat(lambda seed: accuracy(seed, loss=Stops(at=1)), seeds=3)


def test_an_error_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        repeat(lambda seed: 1 / seed, seeds=3)


# wrong calls -------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [None, "0.8", True, [0.8], torch.ones(2)])
def test_wrong_returns_are_explained(value):
    with pytest.raises(CourseError, match=f"returned a {type(value).__name__}(.|\n)*what evaluate"):
        repeat(lambda seed: value, seeds=2)


@pytest.mark.parametrize("seeds", [0, -1, True, [], [1, 1], "ab", 1.5, None])
def test_wrong_seeds_are_explained(seeds):
    with pytest.raises(CourseError, match="seeds="):
        repeat(float, seeds=seeds)
