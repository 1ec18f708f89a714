"""What every training run is wrapped in: it is seeded and measured, and an interrupt is written down."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import torch

from tlcourse.features.modes import seeded
from tlcourse.hardware import Cost, measured, one_thread
from tlcourse.training.history import History, note_interrupt
from tlcourse.training.run import Run


class Recorder:
    """Starts the run, and knows how far it came."""

    run: Run | None = None

    def go(self, run: Run) -> None:
        """Train to the end, or to a stop."""
        self.run = run
        with one_thread(run.source.light(-(-len(run.source) // run.steps))):
            run.go()


@contextmanager
def recorded(history: History, epochs: int, device: torch.device, seed: int) -> Iterator[Recorder]:
    """Draw from `seed` in the block, and write its cost into the history, and where it stopped if it was interrupted.

    A keyboard interrupt ends the block and goes no further.

    >>> history = History()
    >>> with recorded(history, 1, torch.device("cpu"), seed=0):
    ...     raise KeyboardInterrupt
    Interrupted before the first step, while the frozen stages were computed. The model is as it was.
    >>> history.interrupted
    True
    """
    cost, recorder = Cost(), Recorder()
    try:
        with measured(device) as cost, seeded(seed, device):
            yield recorder
    except KeyboardInterrupt:
        history.interrupted, history.note = True, _where_stopped(history, epochs, recorder.run)
        note_interrupt()
        with suppress(Exception):  # in a thread whose way to the page is gone, see TrainingMonitor.send_state
            print(history.note)
    finally:
        history.seconds, history.memory = history.seconds + cost.seconds, cost.memory


def _where_stopped(history: History, epochs: int, run: Run | None) -> str:
    if run is None:
        return "Interrupted before the first step, while the frozen stages were computed. The model is as it was."
    where = f"in epoch {len(history) + 1} of {epochs}, after {run.done} of its {run.steps} batches"
    if len(history) == epochs:
        where = "after the last epoch"
    return f"Interrupted {where}. The model keeps what it has learned so far."
