"""Executing a notebook in a fresh kernel of this Python, and what that cost."""

from __future__ import annotations

import re
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from tlcourse import settings
from tlcourse.errors import CourseError

NOTEBOOKS_TIMEOUT = 1800  # seconds a cell; a notebook of the course needs far less


@dataclass(frozen=True)
class Run:
    """One executed notebook: wall seconds with the start of its kernel, and the kernel's peak resident memory in MB.

    `error` is empty if every cell ran; otherwise it shows the failing cell and its error.
    """

    notebook: str
    seconds: float
    memory: float
    cells: int
    error: str = ""

    @property
    def ok(self) -> bool:
        """Whether every cell ran."""
        return not self.error


def execute(path: Path, out: Path | None = None, timeout: float = NOTEBOOKS_TIMEOUT) -> Run:
    """Execute one notebook in a fresh kernel of this interpreter and measure it; the file itself is never changed.

    Arguments:
        path: of the `.ipynb` file; its cells run in the folder it lies in.
        out: folder that gets a copy with the outputs; None keeps none.
        timeout: seconds a cell may take.

    Raises `CourseError` if the file is not a notebook.
    """
    import nbformat
    from jupyter_client.kernelspec import KernelSpecManager
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    path = path.absolute()
    try:
        notebook = nbformat.read(path, as_version=4)
    except Exception as error:  # nbformat raises whatever its JSON and schema libraries raise
        raise CourseError(f"{path} is not a notebook.", why=str(error)[:200]) from error
    watch = _Watch()
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        extra_arguments=["--log-level=ERROR"],
        timeout=timeout,
        resources={"metadata": {"path": str(path.parent)}},
        store_widget_state=False,  # or a page made of the copy fetches scripts, where a figure would do
        on_notebook_start=lambda **_: watch.start(client.km.provisioner.pid),
    )
    # no folders of kernels: what is left is the kernel of this very interpreter, not a namesake in the user's home
    client.create_kernel_manager().kernel_spec_manager = KernelSpecManager(kernel_dirs=[], ensure_native_kernel=True)
    start, error = time.perf_counter(), ""
    try:
        client.execute(env=settings.environment())
    except CellExecutionError as failure:
        error = _shown(notebook, f"{failure.ename}: {failure.evalue}")
    except CellTimeoutError:
        error = _shown(notebook, f"A cell took more than {timeout:.0f} seconds.")
    except (DeadKernelError, AssertionError):  # nbclient's cleanup asserts that there still is a kernel
        at = f"at {watch.peak / 1e6:.0f} MB"
        error = _shown(notebook, f"The kernel died ({at}): something stopped it, or the memory was not enough.")
    finally:
        watch.stop()
    seconds = time.perf_counter() - start
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, out / path.name)
    cells = sum(cell.cell_type == "code" for cell in notebook.cells)
    return Run(path.name, round(seconds, 1), round(watch.peak / 1e6), cells, error)


def _shown(notebook, what: str) -> str:
    """The failing cell (the last that was started) and its traceback, without terminal colours."""
    started = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.metadata.get("execution")]
    if not started:
        return what
    source = "\n".join("    " + line for line in started[-1].source.splitlines())
    traces = [line for output in started[-1].outputs for line in output.get("traceback", ())]
    plain = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", "\n".join(traces))
    return f"{what}\nin the cell\n{source}\n{plain}".rstrip()


class _Watch:
    """Follows the resident memory of one process until told to stop."""

    def __init__(self):
        self.peak, self._done, self._thread = 0.0, threading.Event(), None

    def start(self, pid: int) -> None:
        self._thread = threading.Thread(target=self._follow, args=(pid,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._done.set()
        if self._thread:
            self._thread.join()

    def _follow(self, pid: int) -> None:
        process = psutil.Process(pid)
        while not self._done.is_set():
            try:
                self.peak = max(self.peak, process.memory_info().rss, _high_water(pid))
            except psutil.Error:
                return
            self._done.wait(0.05)


def _high_water(pid: int) -> int:
    """The peak that Linux itself has kept, so that nothing between two looks is missed; 0 elsewhere."""
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0
