"""JupyterLab as Binder's image has it, and Voila: both beside the course's kernel, from an environment of their own."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from lab import Lab, Server, free_port
from test_every_widget import KINDS

# what repo2docker puts into an image with Python 3.11
LOCKED = ("jupyterlab==4.4.9", "jupyterlab_widgets==3.0.15", "anywidget>=0.9.18", "voila>=0.5.8,<0.6")
pytestmark = [pytest.mark.network, pytest.mark.slow]


@pytest.fixture(scope="module")
def older():
    """A Python with the older front ends, made once beside the environment that runs the tests."""
    place = Path(sys.prefix) / "older-front-ends"
    python, stamp = place / ("Scripts" if os.name == "nt" else "bin") / "python", place / "made"
    if not stamp.exists() or stamp.read_text() != repr(LOCKED):
        subprocess.run([sys.executable, "-m", "venv", "--clear", place], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *LOCKED], check=True, timeout=600)
        stamp.write_text(repr(LOCKED))
    return str(python)


@pytest.fixture(scope="module")
def older_lab(older, browser, tmp_path_factory):
    with Server(tmp_path_factory.mktemp("older"), python=older) as server:
        lab = Lab(browser, server)
        yield lab
        lab.page.close()


@pytest.mark.parametrize("kind", KINDS)
def test_the_widgets_live_in_the_jupyterlab_of_binder(older_lab, kind):
    assert older_lab.page.evaluate("window.jupyterapp.version") == "4.4.9"
    older_lab.open(older_lab.server.write(f"{kind}.ipynb", KINDS[kind].make))
    older_lab.run_all()
    older_lab.page.locator(KINDS[kind].css).wait_for()
    assert older_lab.errors() == [] and older_lab.problems == []
    older_lab.close()


def test_the_panel_freezes_the_model_there(older_lab):
    older_lab.open(older_lab.server.write("panel.ipynb", KINDS["freeze-panel"].make))
    older_lab.run_all()
    older_lab.page.locator(".tlc-panel").get_by_role("button", name="all", exact=True).click()
    older_lab.until("from tlcourse import frozen; print(frozen(model))", "()")
    older_lab.close()


def test_voila_shows_the_panel_and_a_click_reaches_the_model(older, browser, tmp_path):
    server = Server(tmp_path, python=older)  # its folder, notebooks and kernel; Voila serves them
    make = KINDS["freeze-panel"].make + "\n"
    name = server.write("panel.ipynb", make)
    port, token = free_port(), secrets.token_hex(16)
    with open(tmp_path / "voila.log", "w") as log:
        process = subprocess.Popen(
            [older, "-m", "voila", str(server.notebooks / name), "--no-browser", f"--port={port}",
             "--Voila.ip=127.0.0.1", f"--token={token}", "--VoilaConfiguration.show_tracebacks=True"],
            env={**os.environ, **server.places, "TLCOURSE_OFFLINE": "1"}, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
        page = browser.new_page()
        try:
            _answers(f"http://127.0.0.1:{port}/?token={token}", process)
            page.goto(f"http://127.0.0.1:{port}/?token={token}", timeout=120_000)
            panel = page.locator(".tlc-panel")
            panel.wait_for(timeout=120_000)
            panel.get_by_role("button", name="all", exact=True).click()
            panel.locator(".tlc-code code", has_text="unfreeze(model)").wait_for()
        finally:
            page.close()
            process.terminate()
            process.wait(30)


def _answers(url: str, process) -> None:
    end = time.monotonic() + 120
    while True:
        try:
            return urllib.request.urlopen(url, timeout=60).close()
        except OSError:
            assert process.poll() is None and time.monotonic() < end, "Voila did not start"
            time.sleep(0.3)
