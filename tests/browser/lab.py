"""What the browser tests need of JupyterLab: open, run, ask the kernel, and note what went wrong on the page."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from urllib.parse import urlparse

import nbformat

REPOSITORY = Path(__file__).parents[2]
OWN = (
    "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR",
    "JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR",
)  # fmt: skip
SHOTS = REPOSITORY / "build" / "screenshots"


class Server:
    """A JupyterLab server on loopback, in a folder of its own.

    Arguments:
        folder: where notebooks, settings and the log go.
        python: whose JupyterLab it is; the kernels are always those of this Python.
    """

    def __init__(self, folder: Path, python: str = sys.executable):
        self.folder, self.notebooks, self.token = folder, folder / "work", secrets.token_hex(16)
        self.python = python
        self.places = {name: str(folder / name.lower()) for name in OWN}
        self.places["JUPYTER_PATH"] = self.places["JUPYTER_DATA_DIR"]  # before the kernel that an environment has
        self.notebooks.mkdir()
        kernel = folder / "jupyter_data_dir" / "kernels" / "python3"
        kernel.mkdir(parents=True)
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        (kernel / "kernel.json").write_text(
            json.dumps({"argv": argv, "display_name": "Python 3", "language": "python"})
        )
        for notebook in sorted((REPOSITORY / "notebooks").glob("*.ipynb")):
            shutil.copy(notebook, self.notebooks)

    def __enter__(self):
        self.log = open(self.folder / "server.log", "w")
        quiet = Path(self.places["JUPYTERLAB_SETTINGS_DIR"]) / "@jupyterlab" / "apputils-extension"
        quiet.mkdir(parents=True)
        (quiet / "notification.jupyterlab-settings").write_text('{"fetchNews": "false", "checkForUpdates": false}')
        self.port = free_port()
        self.process = subprocess.Popen(
            [
                self.python, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", f"--port={self.port}",
                "--ServerApp.port_retries=0", f"--IdentityProvider.token={self.token}",
                f"--ServerApp.root_dir={self.notebooks}", "--allow-root", "--LabApp.expose_app_in_browser=True",
            ],
            env={**os.environ, **self.places, "TLCOURSE_OFFLINE": "1"},
            stdout=self.log, stderr=subprocess.STDOUT,
        )  # fmt: skip
        end = time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(f"{self.url}/api?token={self.token}", timeout=5).close()
                return self
            except OSError:
                if self.process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError((self.folder / "server.log").read_text()) from None
                time.sleep(0.2)

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(30)
        self.log.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def write(self, name: str, *cells: str) -> str:
        """A notebook of these code cells; returns its path for `Lab.open`."""
        book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
        nbformat.write(book, self.notebooks / name)
        return name


class Lab:
    """A page with JupyterLab; `problems` holds console errors, page errors, and requests that left this machine."""

    ALLOWED: tuple[str, ...] = ()  # console messages of JupyterLab itself that are no fault of ours

    def __init__(self, browser, server: Server):
        self.browser, self.server, self.problems, self.kept = browser, server, [], None
        self.page = browser.new_page(viewport={"width": 1280, "height": 1000})
        self.page.on("pageerror", lambda error: self.problems.append(f"page error: {error}"))
        self.page.on("console", self._heard)
        self.page.on("request", self._asked)
        self.page.goto(f"{server.url}/lab?token={server.token}")
        self.page.wait_for_function("window.jupyterapp !== undefined", timeout=120_000)
        self.page.evaluate("window.jupyterapp.restored")

    def _heard(self, message) -> None:
        if message.type == "error" and not any(part in message.text for part in self.ALLOWED):
            self.problems.append(f"console: {message.text}")

    def _asked(self, request) -> None:
        url = urlparse(request.url)
        if url.scheme in ("http", "https", "ws", "wss") and url.hostname not in ("127.0.0.1", "localhost"):
            self.problems.append(f"request to {url.hostname}")

    def do(self, script: str, given=None, seconds: float = 60.0):
        """Run an async function on the page; a promise that is never kept fails the test instead of stopping it."""
        return self.page.evaluate(
            """async ([script, given, seconds]) => {
                const error = new Error(`took more than ${seconds} s`);
                const late = new Promise((_, no) => setTimeout(no, 1000 * seconds, error));
                return await Promise.race([eval(`(${script})`)(given), late]);
            }""",
            [script, given, seconds],
        )

    def open(self, path: str) -> None:
        """Open a notebook and wait until its kernel answers."""
        if self.kept:
            self.close()
        self.problems.clear()
        self.do(
            """async path => {
                const widget = await window.jupyterapp.commands.execute('docmanager:open', {path, factory: 'Notebook'});
                await widget.context.ready;
                await widget.sessionContext.ready;
                await widget.sessionContext.session.kernel.info;
            }""",
            path,
        )

    def anew(self, name: str, *cells: str) -> None:
        """Run these cells in the kernel of the last call with this name: what they import is there already.

        The notebook stays open until another one is.
        """
        if self.kept != name:
            self.open(self.server.write(name, *cells))
            self.kept = name
        for place, cell in enumerate(cells):
            self.rewrite(place, cell)
        self.problems.clear()
        self.run_all()

    def run_all(self, seconds: float = 120.0) -> None:
        """Run every cell, and wait for the last."""
        self.do("async () => { await window.jupyterapp.commands.execute('notebook:run-all-cells'); }", None, seconds)

    def rewrite(self, cell: int, code: str) -> None:
        """Put other code into a cell."""
        self.page.evaluate(
            """([cell, code]) => {
                window.jupyterapp.shell.currentWidget.content.model.cells.get(cell).sharedModel.setSource(code);
            }""",
            [cell, code],
        )

    def outputs(self, cell: int) -> list[dict]:
        """What is under a cell."""
        return self.page.evaluate(
            "cell => window.jupyterapp.shell.currentWidget.content.model.cells.get(cell).outputs.toJSON()", cell
        )

    def ask(self, code: str) -> str:
        """What the kernel prints for a piece of code."""
        return self.do(
            """async code => {
                const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
                const future = kernel.requestExecute({code, store_history: false});
                let said = '';
                future.onIOPub = message => {
                    const {header, content} = message;
                    if (header.msg_type === 'stream') said += content.text;
                    if (header.msg_type === 'error') said += content.ename + ': ' + content.evalue;
                };
                await future.done;
                return said;
            }""",
            code,
        ).strip()

    def until(self, code: str, expected: str, seconds: float = 10.0) -> None:
        """Wait until the kernel prints this; fails with what it printed last."""
        end = time.monotonic() + seconds
        while (found := self.ask(code)) != expected:
            assert time.monotonic() < end, f"{code}: {found!r} instead of {expected!r}"
            time.sleep(0.1)

    def errors(self) -> list[str]:
        """Error outputs of the open notebook."""
        return self.page.evaluate(
            """() => [...window.jupyterapp.shell.currentWidget.content.model.cells]
                .filter(cell => cell.type === 'code')
                .flatMap(cell => cell.outputs.toJSON())
                .filter(output => output.output_type === 'error').map(output => output.evalue)"""
        )

    def theme(self, name: str) -> None:
        """`"JupyterLab Dark"` or `"JupyterLab Light"`."""
        self.page.evaluate("name => window.jupyterapp.commands.execute('apputils:change-theme', {theme: name})", name)
        self.page.wait_for_function(
            """light => document.body.dataset.jpThemeLight === light
                && !document.querySelector('#jupyterlab-splash')""",
            arg=str(name.endswith("Light")).lower(),
        )

    def shot(self, what, name: str) -> Path:
        """A screenshot of an element."""
        SHOTS.mkdir(parents=True, exist_ok=True)
        path = SHOTS / f"{name}.png"
        what.screenshot(path=str(path))
        return path

    def close(self) -> None:
        """End the kernel and drop the notebook, without a question about saving."""
        self.do(
            """async () => {
                const widget = window.jupyterapp.shell.currentWidget;
                await widget.sessionContext.shutdown();
                widget.context.model.dirty = false;
                widget.dispose();
            }"""
        )
        self.kept = None


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    import socket

    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]
