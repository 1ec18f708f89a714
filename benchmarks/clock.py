"""Time that counts, with pauses, and the memory of this process."""

from __future__ import annotations

import os
import resource
import sys
import time
from contextlib import contextmanager

import psutil


class Clock:
    """Wall seconds, and processor seconds of this process and its children, while the clock runs.

    >>> clock = Clock()
    >>> clock.start()
    >>> with clock.paused():
    ...     time.sleep(0.01)
    >>> clock.stop()
    >>> clock.read()["wall"] < 0.01
    True
    """

    def __init__(self):
        self._wall = self._cpu = 0.0
        self._since: tuple[float, float] | None = None

    def start(self) -> None:
        """Let the clock run (on)."""
        spent = processor_seconds()  # asking takes a millisecond, which is not the peer's
        self._since = (time.perf_counter(), spent)

    def stop(self) -> None:
        """Halt the clock; what it has counted stays."""
        now = (time.perf_counter(), processor_seconds())
        self._wall += now[0] - self._since[0]
        self._cpu += now[1] - self._since[1]
        self._since = None

    def read(self) -> dict[str, float]:
        """`wall` and `cpu` seconds so far; the clock must stand still."""
        return {"wall": round(self._wall, 4), "cpu": round(self._cpu, 4)}

    @contextmanager
    def paused(self):
        """What happens inside the block does not count."""
        self.stop()
        try:
            yield self
        finally:
            self.start()


def processor_seconds() -> float:
    """User and system seconds of this process, its finished children and its living ones (loader workers)."""
    spent = sum(os.times()[:4])
    for child in psutil.Process().children(recursive=True):
        try:
            times = child.cpu_times()
            spent += times.user + times.system
        except psutil.Error:  # it ended just now
            continue
    return spent


def peak_mb() -> float:
    """The most memory that this process has held so far, in MB (`ru_maxrss`)."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 1e6 if sys.platform == "darwin" else most * 1024 / 1e6
