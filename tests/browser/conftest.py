"""A real JupyterLab in a real Chromium: one server and one page for all tests of this folder."""

from __future__ import annotations

import os
import shutil

import pytest

REQUIRED = os.environ.get("TLCOURSE_BROWSER") == "required"  # CI says so: there a missing browser is a failure


def _missing(what: str):
    if REQUIRED:
        pytest.fail(f"{what}; and TLCOURSE_BROWSER=required asks for the browser tests.")
    pytest.skip(f"{what}: the browser tests are left out. CONTRIBUTING.md says how to install it.")


@pytest.fixture(scope="session")
def chromium():
    """The path of a Chromium."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    return found or _missing("There is no Chromium here")


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """A JupyterLab server with settings, workspaces and notebooks of its own."""
    from lab import Server

    with Server(tmp_path_factory.mktemp("lab")) as running:
        yield running


@pytest.fixture(scope="session")
def browser(chromium):
    """A Chromium without a window."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        _missing("Playwright is not installed")
    with sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=chromium, headless=True, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def lab(server, browser):
    """A page with JupyterLab in it."""
    from lab import Lab

    return Lab(browser, server)


@pytest.fixture(scope="module", autouse=True)
def computes_on():
    """Notebooks compute on what is there, as a learner's do."""
