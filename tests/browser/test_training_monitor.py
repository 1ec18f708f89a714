"""The training monitor while a cell trains: curves grow, button and keyboard stop it, a second run is compared."""

from __future__ import annotations

import re

import pytest

MAKE = """
import time
from torch.nn import functional as F
from tlcourse import TrainingMonitor, fit, load, load_dataset, freeze
from tlcourse.widgets import training_monitor

def slow(logits, labels):
    time.sleep(0.05)
    return F.cross_entropy(logits, labels)

data = load_dataset("faces")

def run(lr, epochs):
    model = freeze(load("efficientnet-lite0", classes=2, pretrained=False, size=32))
    return fit(model, data.train[:80], data.valid, epochs=epochs, lr=lr, batch=8, loss=slow)
"""
LONG = "history = run(0.1, 400)"


@pytest.fixture
def opened(lab):
    lab.open(lab.server.write("monitor.ipynb", MAKE, LONG))
    yield lab
    assert lab.errors() == [] and lab.problems == []
    lab.close()


def started(lab):
    """Begin to run all cells without waiting; returns the monitor."""
    lab.page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells') && null")
    monitor = lab.page.locator(".tlc-monitor").last
    # the third or any later one: a page that is slow to answer may miss an epoch of half a second
    monitor.locator(".tlc-where", has_text=re.compile(r"epoch ([3-9]|\d\d+) of 400")).wait_for(timeout=60_000)
    return monitor


@pytest.mark.parametrize("way", ["mouse", "keyboard", "interrupt"])
def test_it_stops_after_the_batch(opened, way):
    monitor = started(opened)
    assert monitor.locator("path.tlc-line").first.get_attribute("d").count("L") > 5
    button = monitor.get_by_role("button", name="Stop after this batch")
    if way == "mouse":
        button.click()
    elif way == "keyboard":
        button.focus()
        button.press("Enter")
    else:
        opened.page.evaluate("window.jupyterapp.commands.execute('notebook:interrupt-kernel')")
    opened.until("print(history.interrupted)", "True")
    assert opened.ask("print(history.note)").endswith("The model keeps what it has learned so far.")
    monitor = opened.page.locator(".tlc-monitor").last
    monitor.get_by_text("stopped after").first.wait_for()
    assert button.is_disabled()


def test_a_cell_that_is_run_again_compares_with_its_last_run(opened):
    opened.rewrite(1, "history = run(0.1, 3)")
    opened.run_all()
    opened.rewrite(1, "history = run(0.02, 3)")
    opened.run_all()
    monitor = opened.page.locator(".tlc-monitor")
    monitor.get_by_text("lr 0.02").wait_for()
    assert monitor.count() == 1 and monitor.locator(".tlc-legend li").count() == 2
    opened.shot(monitor, "training-monitor")
    monitor.get_by_role("button", name="Forget earlier runs").click()
    monitor.locator(".tlc-legend li").first.wait_for(state="detached")


def test_a_saved_notebook_keeps_the_figure(opened):
    opened.rewrite(1, "history = run(0.1, 3)")
    opened.run_all()
    kept = opened.outputs(1)[0]["data"]
    assert kept["text/plain"].startswith("Loss and accuracy over 3 epochs.") and 'alt="Loss and' in kept["text/html"]


APART = """
import torch
for lr in (0.01, 1e9):
    model = freeze(load("efficientnet-lite0", classes=2, pretrained=False, size=32))
    fit(model, data.train[:40], data.valid, epochs=2, lr=lr, batch=8, optimizer=torch.optim.SGD, progress=monitor)
"""


def test_one_that_is_shown_first_follows_its_runs_and_one_that_diverges_leaves_the_picture(lab):
    lab.open(lab.server.write("shown-first.ipynb", f"{MAKE}\nmonitor = TrainingMonitor()\nmonitor", APART))
    lab.run_all()
    monitor = lab.page.locator(".tlc-monitor")
    monitor.get_by_text("The loss leaves the picture in: lr 1e+09").wait_for()
    assert monitor.count() == 1
    loss = monitor.locator(".tlc-chart").first
    shown = loss.locator("text[text-anchor=end]").all_text_contents()
    assert max(float(text) for text in shown if text != "epoch") < 10
    lab.shot(monitor, "training-monitor-diverged")
    monitor.get_by_role("button", name="Forget earlier runs").click()
    monitor.locator(".tlc-legend li").first.wait_for(state="detached")
    shown = loss.locator("text[text-anchor=end]").all_text_contents()
    assert max(map(len, shown)) < 8 and any("e" in text for text in shown if text != "epoch"), "short numbers"
    assert lab.outputs(0)[0]["data"]["text/plain"].startswith("Loss and accuracy over 2 epochs. lr 0.01: ")
    assert lab.errors() == [] and lab.problems == []
    lab.close()
