"""`tlcourse lab`: the course in JupyterLab, on this machine only, behind a token."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import closing, contextmanager
from pathlib import Path

from tlcourse import settings
from tlcourse.errors import CourseError

START = "00-start-here.ipynb"
COPY = "tlcourse-notebooks"  # the learner's own copy: in the clone, or in the current folder
MANIFEST = ".tlcourse.json"  # in it: what each notebook's cells were when we laid it there
HOST = "127.0.0.1"


def course_folder() -> Path | None:
    """The folder of notebooks of the clone that we are in or that this package lies in; None if there is none."""
    here = Path.cwd()
    for place in (here, *here.parents, Path(__file__).parents[1]):
        if (place / "chapters").is_dir() and (place / "tlcourse" / "__init__.py").is_file():
            return place / "notebooks"
    return None


def packaged() -> Path:
    """The folder of notebooks inside an installed package."""
    return Path(__file__).parent / "_notebooks"


def unpack(source: Path, target: Path) -> list[str]:
    """Copy the course's notebooks to a folder where a learner can work; what the learner changed is left alone.

    A notebook that was only run still counts as unchanged: a newer one takes its place. Returns the names of the
    notebooks that were left alone although there is a newer one. Raises `CourseError` where nothing can be written.
    """
    try:
        return _unpacked(source, target)
    except OSError as error:
        raise CourseError(
            f"The notebooks cannot be copied to {target}.",
            why=str(error),
            do="Open another folder with `tlcourse lab FOLDER`, or run it in a folder that is yours.",
        ) from error


def _unpacked(source: Path, target: Path) -> list[str]:
    target.mkdir(parents=True, exist_ok=True)
    manifest = target / MANIFEST
    try:
        laid = dict(json.loads(manifest.read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        laid = {}
    kept = []
    for notebook in sorted(source.rglob("*")):
        name = notebook.relative_to(source).as_posix()
        hidden = any(part.startswith(".") for part in Path(name).parts)
        if notebook.is_dir() or notebook.suffix == ".pyc" or hidden:
            continue
        new, there = _hash(notebook), target / name
        now = _hash(there) if there.exists() else None
        if now not in (None, new, laid.get(name)):
            if laid.get(name) != new:
                kept.append(name)
            continue
        if now != new:
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(notebook, there)
        laid[name] = new
    manifest.write_text(json.dumps(laid, indent=1), "utf-8")
    return kept


def find() -> Path:
    """The folder with the course's notebooks: the clone's, or the package's; raises `CourseError` if there is none."""
    clone = course_folder()
    if clone is not None and clone.is_dir():
        return clone
    if not packaged().is_dir():
        raise CourseError(
            "The course's notebooks were not found.",
            why=f"{Path.cwd()} is not inside a clone of the course, and the package carries no notebooks.",
            do="Change to the folder of the clone, or give the folder: tlcourse lab FOLDER.",
        )
    return packaged()


def workplace(folder: str | None = None) -> Path:
    """The folder to open: the given one, or the learner's own copy of the course's notebooks; raises `CourseError`."""
    if folder:
        if not Path(folder).is_dir():
            raise CourseError(f"There is no folder {folder}.", do="Give a folder that exists, or none.")
        return Path(folder).absolute()
    source = find()
    target = (Path.cwd() if source == packaged() else source.parent) / COPY
    for name in unpack(source, target):
        print(
            f"You have changed {name}, so it is left as it is, though there is a newer one: rename yours to get that.",
            file=sys.stderr,
        )
    return target


def free_port(wanted: int | None = None) -> int:
    """A free port on loopback: the wanted one, or the first from 8888 up; raises `CourseError`."""
    for port in [wanted] if wanted is not None else range(8888, 8988):
        with closing(socket.socket()) as probe:
            if sys.platform != "win32":
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
                return probe.getsockname()[1]
            except (OSError, OverflowError):
                continue
    what = f"Port {wanted} is" if wanted is not None else "The ports 8888 to 8987 are all"
    raise CourseError(f"{what} not free.", do="Give another: tlcourse lab --port 9000.")


def command(root: Path, port: int) -> list[str]:
    """What starts JupyterLab; the token is not in it, since other users of a machine can read command lines."""
    line = [sys.executable, "-m", "jupyterlab", "--no-browser", f"--ServerApp.root_dir={root}"]
    line += [f"--ServerApp.ip={HOST}", f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
    line += ["--ServerApp.base_url=/", "--ServerApp.allow_remote_access=False", "--Application.log_level=ERROR"]
    if sys.platform != "win32":  # no login shell, which would forget where this environment's commands are
        line.append(f"--ServerApp.terminado_settings={{'shell_command': {[os.environ.get('SHELL') or '/bin/sh']!r}}}")
    return line + (["--allow-root"] if hasattr(os, "getuid") and os.getuid() == 0 else [])


def lab(folder: str | None = None, port: int | None = None, browser: bool = True, check: bool = False) -> int:
    """Open the course in JupyterLab and stay until it is stopped.

    Arguments:
        folder: to open instead of the course's notebooks.
        port: to listen on; None takes the first free one from 8888.
        browser: whether to open a browser.
        check: only print, as JSON, what would be started.

    Returns the exit code. Raises `CourseError` if JupyterLab is missing or does not come up.
    """
    from importlib.util import find_spec

    root, port = workplace(folder), free_port(port)
    address = f"http://{HOST}:{port}"
    page = f"/lab/tree/{START}" if (root / START).is_file() else "/lab"
    if check:
        plan = {"command": command(root, port), "folder": str(root), "url": f"{address}{page}?token=..."}
        print(
            json.dumps(
                plan | {"environment": ["JUPYTER_TOKEN", "JUPYTER_PREFER_ENV_PATH", "JUPYTER_CONFIG_PATH"]}, indent=1
            )
        )
        return 0
    if find_spec("jupyterlab") is None:
        raise CourseError(
            "JupyterLab is not installed.", do=f"Run `{Path(sys.executable).name} -m pip install jupyterlab`."
        )
    token = secrets.token_hex(24)
    # the kernel called python3 is then the one of this environment, not a namesake in the user's home
    environment = settings.environment() | {
        "JUPYTER_TOKEN": token, "JUPYTER_PREFER_ENV_PATH": "1", "JUPYTER_CONFIG_PATH": _defaults(),
    }  # fmt: skip
    with _stopped_by_signals():
        server = subprocess.Popen(
            command(root, port), env=environment, stdin=subprocess.DEVNULL, start_new_session=sys.platform != "win32"
        )
        try:
            _wait(server, address, token)
            url = f"{address}{page}?token={token}"
            print(f"\nThe course is open at\n\n    {url}\n\nfrom {root}. Stop it with Ctrl-C.\n", flush=True)
            if browser:
                import webbrowser

                webbrowser.open(url)
            return server.wait()
        finally:
            _stop(server)


def _defaults() -> str:
    """Where JupyterLab finds the course's defaults, beside a person's own: no question about news from the network."""
    ours = str(Path(__file__).parent / "jupyter")
    return os.pathsep.join([ours, *filter(None, [os.environ.get("JUPYTER_CONFIG_PATH")])])


def _wait(server: subprocess.Popen, address: str, token: str, patience: float = 90) -> None:
    """Until the server answers those who have the token; it must refuse the others."""
    end = time.monotonic() + patience
    while _status(address, token) != 200:
        if server.poll() is not None or time.monotonic() > end:
            raise CourseError(
                "JupyterLab did not start.",
                why=f"It ended with code {server.returncode}." if server.returncode else "It does not answer.",
                do="Its own messages are above; `tlcourse doctor` looks at the installation.",
            )
        time.sleep(0.2)
    if _status(address) not in (401, 403):
        raise CourseError(
            "JupyterLab answers without a token, so it was stopped: anyone on this machine could run code as you.",
            why="Your Jupyter configuration seems to switch the token off.",
            do="Remove the settings about tokens and passwords from ~/.jupyter/jupyter_server_config.*.",
        )


def _status(address: str, token: str = "") -> int:
    """The HTTP status of the server's own status page; 0 if nothing answers."""
    request = urllib.request.Request(
        f"{address}/api/status", headers={"Authorization": f"token {token}"} if token else {}
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback needs no proxy
    try:
        with opener.open(request, timeout=5) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


@contextmanager
def _stopped_by_signals():
    """A closed terminal or a `kill` ends us like Ctrl-C, so that the server does not outlive us."""

    def stop(*_):
        raise KeyboardInterrupt

    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {name: signal.signal(getattr(signal, name), stop) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)


def _stop(server: subprocess.Popen) -> None:
    if server.poll() is None:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _hash(path: Path) -> str:
    """Of a notebook's cells without what running adds; of any other file, of its bytes."""
    content = path.read_bytes()
    try:
        cells = json.loads(content)["cells"] if path.suffix == ".ipynb" else None
        if cells is not None:
            content = json.dumps([[cell["cell_type"], "".join(cell["source"])] for cell in cells]).encode()
    except (ValueError, KeyError, TypeError):
        pass  # not a notebook, whatever its name says
    return hashlib.sha256(content).hexdigest()
