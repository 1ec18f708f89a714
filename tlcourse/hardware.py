"""Where to compute, and what a computation cost."""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass

import psutil


def device():
    """The `torch.device` to use: CUDA, else Apple's MPS, else the CPU; `TLCOURSE_DEVICE` overrides.

    >>> str(device()) in ("cuda", "mps", "cpu")
    True
    """
    import torch

    chosen = os.environ.get("TLCOURSE_DEVICE")
    if chosen:
        return torch.device(chosen)
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


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
    watcher.start()
    start = time.perf_counter()
    try:
        yield cost
    finally:
        if cuda:
            torch.cuda.synchronize(on)
        cost.seconds = time.perf_counter() - start
        done.set()
        watcher.join()
        cost.memory = max(cost.memory, process.memory_info().rss / 1e6)
        if cuda:
            cost.memory = torch.cuda.max_memory_allocated(on) / 1e6


def progress_bar(items, label: str, show: bool | None = None, **more):
    """`items` behind a tqdm bar with the time left; by default shown in a terminal or a notebook only.

    >>> list(progress_bar([1, 2], "counting", show=False))
    [1, 2]
    """
    from tqdm.auto import tqdm

    if show is None:
        show = sys.stderr.isatty() or "ipykernel" in sys.modules
    return tqdm(items, desc=label, leave=False, disable=not show, **more)
