"""The training monitor without a browser: what it draws of runs that end, stop, break, or are many."""

from __future__ import annotations

import importlib
import json
import math
import re
import signal
import sys
import threading

import pytest
import torch
from small_nets import image_net, images
from torch.nn import functional as F

import tlcourse
from tlcourse import CourseError, TrainingMonitor, fit, freeze, plots
from tlcourse.training.history import interrupts
from tlcourse.training.watch import Watcher
from tlcourse.widgets import training_monitor
from tlcourse.widgets.training_monitor import MOST
from tlcourse.widgets.training_monitor_state import POINTS, Curve, names


def trained(monitor, **options):
    return fit(freeze(image_net()), images(20), images(8), batch=10, progress=monitor, **{"epochs": 2, **options})


def test_runs_are_overlaid_and_named_by_what_differs():
    monitor = TrainingMonitor()
    for lr in (0.01, 0.001):
        trained(monitor, lr=lr)
    assert [run["name"] for run in [*monitor.earlier, monitor.now]] == ["lr 0.01", "lr 0.001"]
    assert [row["epoch"] for row in monitor.now["rows"]] == [1, 2] and "valid_accuracy" in monitor.now["rows"][0]
    assert monitor.now["state"] == "done" and monitor.now["share"] == 1.0
    assert "lr 0.001: " in repr(monitor) and "2 epochs" in repr(monitor)
    monitor.act({"do": "forget"})
    assert monitor.earlier == [] and len(monitor.curves) == 1


def test_the_oldest_of_many_runs_go():
    monitor = TrainingMonitor()
    for seed in range(MOST + 3):
        trained(monitor, epochs=1, seed=seed)
    assert len(monitor.curves) == MOST and monitor.now["name"] == f"seed {MOST + 2}"


class Pressed(Watcher):
    """Presses the button after so many batches."""

    def __init__(self, monitor, after):
        self.monitor, self.left = monitor, after

    def __call__(self, logits, labels):
        self.left -= 1
        if self.left == 0:
            self.monitor.act({"do": "stop"})
        return F.cross_entropy(logits, labels)


@pytest.mark.parametrize(("after", "epochs", "batches"), [(1, 0, 1), (2, 1, 0), (3, 1, 1), (5, 2, 1)])
def test_the_button_stops_after_the_batch(after, epochs, batches):
    monitor, before = TrainingMonitor(), interrupts()
    history = trained(monitor, epochs=50, loss=Pressed(monitor, after))
    assert history.interrupted and len(history) == epochs and interrupts() == before + 1
    assert f"in epoch {epochs + 1} of 50, after {batches} of its 2 batches" in history.note
    assert monitor.curves[-1].done == after and monitor.now["state"] == "stopped"
    again = trained(monitor)
    assert not again.interrupted and len(again) == 2, "the wish was for that run only"


def test_in_the_last_batch_of_all_the_button_is_too_late():
    monitor = TrainingMonitor()
    history = trained(monitor, epochs=1, loss=Pressed(monitor, 2))
    assert not history.interrupted and len(history) == 1 and monitor.now["state"] == "done"


@pytest.mark.parametrize("after", [0, 1, 2, 3])
def test_a_run_that_breaks_off_says_so(after):
    monitor, left = TrainingMonitor(), [after]

    def breaks(logits, labels):
        left[0] -= 1
        if left[0] < 0:
            raise ZeroDivisionError
        return F.cross_entropy(logits, labels)

    with pytest.raises(ZeroDivisionError):
        trained(monitor, loss=breaks, epochs=3)
    words = f"broke off (ZeroDivisionError) after {after // 2} of 3 epochs"
    assert monitor.now["state"] == "broke off" and monitor.now["words"].startswith(words)
    assert words in repr(monitor), "also in what a saved notebook keeps"


def test_an_interrupt_that_is_not_the_buttons_stops_as_well():
    monitor = TrainingMonitor()

    def interrupts(logits, labels):
        raise KeyboardInterrupt

    assert trained(monitor, loss=interrupts).interrupted
    assert monitor.now["words"] == "stopped after 0 of 2 epochs"


class Handle:
    """Takes what would go to an output that is there already."""

    def __init__(self):
        self.shown = []

    def update(self, data, raw):
        self.shown.append(data["text/plain"])


def test_an_interrupt_while_the_figure_is_drawn_does_not_lose_it(monkeypatch):
    monitor = TrainingMonitor()
    trained(monitor)
    handle, draw = Handle(), plots.history
    monitor._handles.append(handle)

    def pressed(*runs, **options):
        signal.raise_signal(signal.SIGINT)
        return draw(*runs, **options)

    monkeypatch.setattr(plots, "history", pressed)
    before = signal.getsignal(signal.SIGINT)
    monitor.refresh()
    assert len(handle.shown) == 1 and handle.shown[0].startswith("Loss and accuracy over 2 epochs.")
    assert signal.getsignal(signal.SIGINT) is before


def test_one_that_was_shown_before_its_runs_becomes_their_figure(monkeypatch):
    from IPython import display

    handle, shown = Handle(), []
    monkeypatch.setattr(display, "display", lambda data, **how: shown.append(data["text/plain"]) or handle)
    monitor = TrainingMonitor()
    monitor._ipython_display_()
    monitor.refresh()
    assert shown == ["No training run yet."] and not handle.shown, "nothing has changed"
    trained(monitor)
    monitor.refresh()
    monitor.refresh()  # after a cell that trains nothing
    trained(monitor, lr=0.5)
    monitor.refresh()
    assert [text.count("lr 0.") for text in handle.shown] == [0, 2]
    assert all(text.startswith("Loss and accuracy over 2 epochs.") for text in handle.shown)
    trained(monitor, lr=0.05)
    monitor._ipython_display_()  # also under the cell that trains
    monitor.refresh()
    assert len(handle.shown) == 4 and handle.shown[2] == handle.shown[3] == repr(monitor), "both outputs follow"


def test_a_run_in_a_thread_goes_on_when_its_way_to_the_page_is_gone(monkeypatch):
    monitor, histories = TrainingMonitor(), []

    def gone(*_, **__):
        raise OSError("Socket operation on non-socket")

    monkeypatch.setattr(monitor.comm, "send", gone)
    thread = threading.Thread(target=lambda: histories.append(trained(monitor)))
    thread.start()
    thread.join()
    assert len(histories) == 1 and len(histories[0]) == 2 and monitor.now["state"] == "done"
    with pytest.raises(OSError):
        trained(monitor)


def test_a_run_that_diverged_does_not_press_the_others_flat():
    monitor = TrainingMonitor()
    trained(monitor, lr=0.01)
    calm = monitor.now["top"]
    assert calm == max([p[1] for p in monitor.now["points"]] + [r["valid_loss"] for r in monitor.now["rows"]])
    trained(monitor, lr=1e7, optimizer=torch.optim.SGD)
    assert monitor.now["rows"][-1]["valid_loss"] > 100 * calm and monitor.now["top"] < 10 * calm
    assert max(map(len, re.findall(r"[\d.e+]+", monitor.now["words"]))) < 9
    low, high = monitor.static().figure.axes[0].get_ylim()
    assert 0 <= low < high < 11 * calm
    assert "lr 1e+07, optimizer SGD leaves the picture" in monitor.static().figure.get_supxlabel()
    monitor.forget()
    assert monitor.now["top"] > 100 * calm, "alone it has the picture for itself"
    assert monitor.static().figure.axes[0].get_ylim()[1] > 100 * calm


def test_points_stay_few_and_keep_the_mean():
    curve = Curve({}, epochs=7, steps=1000)
    for batch in range(7000):
        curve.add(loss=float(batch), accuracy=0.5)
    assert POINTS // 2 <= len(curve.points) <= POINTS and curve.done == 7000
    whole = sum(point[1] for point in curve.points) / len(curve.points)
    assert math.isclose(whole, curve.points[len(curve.points) // 2][1], rel_tol=0.03)
    assert curve.points[-1][0] == pytest.approx(7, abs=0.2)


def test_names_of_runs_are_short_and_different():
    made = names([{"loss": "x" * 99, "lr": 0.1}, {"loss": "y", "lr": 0.1}, {"loss": "y", "lr": 0.1}])
    assert len(set(made)) == 3 and max(map(len, made)) < 60
    json.dumps(made)


def test_before_any_run_it_says_so():
    assert repr(TrainingMonitor()) == "No training run yet."


def test_a_progress_that_is_none_is_refused():
    with pytest.raises(CourseError, match="TrainingMonitor"):
        trained("yes")


def ran(monkeypatch, cell, run, **options):
    """A training in a notebook's cell that takes long enough to be shown; returns the cell's monitor."""
    monkeypatch.setattr(training_monitor, "QUICK", 0.0)
    monkeypatch.setattr(training_monitor, "running_cell", lambda: (cell, run))
    trained(training_monitor._OfThisCell(), **options)
    return training_monitor._monitors[cell][1]


@pytest.fixture
def cells(monkeypatch):
    monkeypatch.setattr(training_monitor, "_monitors", {})
    monkeypatch.setattr(TrainingMonitor, "show_here", lambda self: None)


def test_a_cell_that_is_run_again_goes_on_with_its_own_runs(cells, monkeypatch):
    ran(monkeypatch, "a", "1")
    ran(monkeypatch, "b", "2")
    assert len(ran(monkeypatch, "a", "3").curves) == 2 and len(ran(monkeypatch, "a", "3").curves) == 3


def test_where_the_front_end_does_not_name_its_cells_each_has_runs_of_its_own(cells, monkeypatch):
    first = ran(monkeypatch, None, "1")
    second = ran(monkeypatch, None, "2")
    assert second is not first and len(first.curves) == len(second.curves) == 1
    assert ran(monkeypatch, None, "2") is second and len(second.curves) == 2, "two runs of one cell share a monitor"


@pytest.mark.parametrize("name", ["fit", "adapt", "fit_translator"])
def test_in_a_notebook_what_trains_brings_the_monitor_along(name, monkeypatch):
    asked = []
    monkeypatch.setitem(sys.modules, "ipykernel", object())
    monkeypatch.setattr(
        tlcourse, "import_module", lambda module: asked.append(module) or importlib.import_module(module)
    )
    assert callable(getattr(tlcourse, name)) and "tlcourse.widgets" in asked
