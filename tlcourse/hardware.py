"""Where to compute, and what a computation cost."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import wraps
from pathlib import Path

import psutil

from tlcourse.errors import CourseError, UnknownName


def device():
    """The `torch.device` to use: CUDA, else Apple's MPS, else the CPU; `TLCOURSE_DEVICE` overrides.

    >>> str(device()) in ("cuda", "mps", "cpu")
    True
    """
    import torch

    chosen = os.environ.get("TLCOURSE_DEVICE")
    if chosen:
        return _chosen(chosen)
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def _chosen(name: str):
    import torch

    kind = name.partition(":")[0]
    if kind not in ("cpu", "cuda", "mps"):
        raise UnknownName("device", name, ("cpu", "cuda", "mps"), do="Set TLCOURSE_DEVICE to one of them, or unset it.")
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there[kind]:
        raise CourseError(
            f"TLCOURSE_DEVICE asks for {name!r}, which this machine does not offer to torch.",
            do="Unset TLCOURSE_DEVICE, or set it to cpu.",
        )
    return torch.device(name)


@dataclass
class Cost:
    """What a block of code cost: wall seconds and the peak memory of this process, in MB.

    On a GPU `memory` is the peak that torch allocated there; otherwise it is resident memory.
    """

    seconds: float = 0.0
    memory: float = 0.0


@contextmanager
def measured(on=None, interval: float = 0.02):
    """Measure a block; the yielded `Cost` is complete when the block ends, also when it raises.

    >>> with measured() as cost:
    ...     total = sum(range(1000))
    >>> cost.seconds >= 0 and cost.memory > 0
    True
    """
    cost, process, done = Cost(), psutil.Process(), threading.Event()
    cuda = on is not None and on.type == "cuda"
    if cuda:
        import torch

        torch.cuda.reset_peak_memory_stats(on)

    def watch():
        while not done.wait(interval):
            cost.memory = max(cost.memory, process.memory_info().rss / 1e6)

    watcher = threading.Thread(target=watch, daemon=True)
    cost.memory = process.memory_info().rss / 1e6
    start = time.perf_counter()
    try:
        watcher.start()
        yield cost
    finally:
        done.set()  # first: an interrupt in the lines below must not leave the watcher running
        if cuda:
            torch.cuda.synchronize(on)
        cost.seconds = time.perf_counter() - start
        if watcher.is_alive():
            watcher.join()
        cost.memory = max(cost.memory, process.memory_info().rss / 1e6)
        if cuda:
            cost.memory = torch.cuda.max_memory_allocated(on) / 1e6


def threads() -> int:
    """How many threads a computation should use: the cores that this process may have, a container's share included.

    >>> threads() >= 1
    True
    """
    import torch

    may = [torch.get_num_threads()]
    with suppress(AttributeError, OSError):  # only Linux tells
        may.append(len(os.sched_getaffinity(0)))
    with suppress(OSError, ValueError):  # Binder shows all cores of a big machine and grants about two
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        may.append(max(1, round(int(quota) / int(period))))
    return max(1, min(may))


@contextmanager
def one_thread(wanted: bool = True):
    """Torch on one thread inside the block: two that share a tiny product only wait for each other.

    On a busy machine they wait so long that training a head takes twenty times as long.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1 if wanted else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def one_blas_thread():
    """A context in which numpy, scipy and scikit-learn compute on one thread.

    `threadpoolctl.threadpool_limits(1)` does the same, and looks for the libraries anew each time: five milliseconds,
    as long as a small fit. Here they are looked for when something was imported since the last time.

    >>> with one_blas_thread():
    ...     pass
    """
    global _libraries
    if _libraries is None or _libraries[0] != len(sys.modules):
        from threadpoolctl import ThreadpoolController

        found = ThreadpoolController()
        _libraries = len(sys.modules), found
    return _libraries[1].limit(limits=1)


@contextmanager
def reused_memory():
    """Large blocks of memory are used again inside the block, and given back to the system when it ends.

    Left alone, the C library of Linux (glibc) returns each large block at once, and the system fills it with zeros
    when the next layer asks for it: a forward pass of a CNN then takes half as long again. It may be told not to.

    >>> with reused_memory():
    ...     pass
    """
    global _inside
    libc = _glibc()
    if libc is None:
        yield
        return
    _inside += 1
    libc.mallopt(_M_MMAP_THRESHOLD, 1 << 30)
    libc.mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)
    try:
        yield
    finally:
        _inside -= 1
        if not _inside:  # what is large from now on, a model or a data set, goes back to the system when it is dropped
            libc.mallopt(_M_MMAP_THRESHOLD, 1 << 18)
            libc.mallopt(_M_TRIM_THRESHOLD, 1 << 19)
        libc.malloc_trim(0)


def reusing_memory(function):
    """The function with `reused_memory` around it; what its own variables held is given back at the end as well.

    Not `@reused_memory()`: its frame would be contextlib's, and an error would show a learner that line, not their own.

    >>> reusing_memory(len)("abc")
    3
    """

    @wraps(function)
    def inner(*args, **kwargs):
        with reused_memory():
            return function(*args, **kwargs)

    return inner


_libraries = None  # how many modules there were when they were looked for, and what was found
_inside = 0
_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD = -3, -1  # from its malloc.h


def _glibc():
    if platform.libc_ver()[0] != "glibc" or any(name.startswith("MALLOC_") for name in os.environ):
        return None  # another C library, or somebody's own choice
    try:
        return ctypes.CDLL("libc.so.6")
    except OSError:
        return None


def free_memory() -> tuple[int, int]:
    """Bytes of memory that are free for this process, and in all; a container's limit (Binder's) included.

    >>> free, total = free_memory()
    >>> 0 < free <= total
    True
    """
    memory = psutil.virtual_memory()
    free, total = memory.available, memory.total
    cgroup = Path("/sys/fs/cgroup")
    with suppress(OSError, ValueError):  # no container, or one without a limit
        limit, used = (int((cgroup / f"memory.{name}").read_text()) for name in ("max", "current"))
        cached = dict(line.split() for line in (cgroup / "memory.stat").read_text().splitlines())["file"]
        if limit < total:
            free, total = min(free, limit - used + int(cached)), limit  # file caches are given back when asked for
    return free, total


def progress_bar(items, label: str, show: bool | None = None, **more):
    """`items` behind a tqdm bar with the time left; by default shown in a terminal or a notebook only.

    >>> list(progress_bar([1, 2], "counting", show=False))
    [1, 2]
    """
    from tqdm import tqdm

    notebook = in_notebook()
    if show is None:
        show = notebook or (sys.stderr is not None and sys.stderr.isatty())
    if show and notebook:
        more["file"] = _Cell()
    return tqdm(items, desc=label, leave=False, disable=not show, delay=0.2, **more)


def in_notebook() -> bool:
    """Whether this is the kernel of a notebook (or of a console beside it).

    >>> in_notebook()
    False
    """
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return hasattr(shell, "kernel")


class _Cell:
    """Where tqdm writes in a notebook: a line of text that is replaced in place.

    tqdm's own notebook bar is a widget; what a saved notebook keeps of it is a line that says 0 % for ever.
    """

    encoding = "utf-8"

    def __init__(self):
        self.handle = None

    def write(self, text: str) -> None:
        from IPython.display import display

        line = {"text/plain": text.strip()}
        if self.handle is None and not text.strip():
            return
        if self.handle is None:
            self.handle = display(line, raw=True, display_id=True)
        elif text.strip() or text.endswith(" "):  # tqdm's lone carriage returns say nothing
            self.handle.update(line, raw=True)

    def flush(self) -> None:
        pass
