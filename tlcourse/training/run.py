"""The loop itself, from a data set or from kept features, to be gone on with after a stop."""

from __future__ import annotations

import math
import time
from contextlib import nullcontext
from dataclasses import dataclass, field

import torch
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR

from tlcourse.training.best import Best
from tlcourse.training.checkpoint import Checkpoint
from tlcourse.training.diagnosis import diverged
from tlcourse.training.evaluation import predicted
from tlcourse.training.history import History
from tlcourse.training.schedules import batches, share
from tlcourse.training.small_maps import quick_slopes
from tlcourse.training.source import Source
from tlcourse.training.step import Step
from tlcourse.training.watch import Watcher, stops_between_batches


@dataclass
class Run:
    """One training run; `go` trains until its last epoch, and fills the history as it goes.

    Arguments:
        source, held_out: what is trained on, and what is scored after each epoch (or None).
        step: trains on one batch.
        steps: how many batches a pass has.
        history, best, checkpoint: what is written down.
        watcher: is told how it goes, and may ask for a stop after a batch.
        settings: what the run is made with. `epochs`, `lr`, `schedule`, `warmup` and `seed` are read here; the watcher
            sees them all.
        writes: whether this process writes the checkpoint.
    """

    source: Source
    held_out: Source | None
    step: Step
    steps: int
    history: History
    best: Best
    watcher: Watcher
    settings: dict
    checkpoint: Checkpoint | None = None
    writes: bool = True
    done: int = 0
    began: float = field(default_factory=time.perf_counter)

    def __post_init__(self):
        self.epochs, self.lr = self.settings["epochs"], self.settings["lr"]
        self.order = torch.Generator().manual_seed(self.settings["seed"])
        whole, (kind, warmup) = self.epochs * self.steps, (self.settings[name] for name in ("schedule", "warmup"))
        self.schedule = LambdaLR(self.step.optimizer, lambda step: share(step, whole, kind, warmup))

    def go(self) -> None:
        """Train to the end, or to a stop, from where the history stands."""
        first, error = len(self.history) + 1, None
        try:
            self.watcher.begin(self.settings, self.epochs, self.steps, self.history.rows)
            stops = stops_between_batches(self.watcher, alone=self.step.team.size == 1)
            plain = getattr(self.step, "run", self.source.run) is self.source.run  # compiled, it has ways of its own
            with stops, quick_slopes(self.source.run) if plain else nullcontext():
                for epoch in range(first, self.epochs + 1):
                    if self.best.stop:
                        break
                    self._whole(epoch)
        except BaseException as raised:
            error = raised
            raise
        finally:
            self.source.train(False)
            self.step.optimizer.zero_grad(set_to_none=True)
            self.watcher.end(error)
            del error  # its traceback holds this frame, and so the optimizer, until the garbage is collected

    def _whole(self, epoch: int) -> None:
        start = time.perf_counter()
        row = self._epoch(epoch)
        if self.held_out:
            row |= self._scored()
            self.best.see(epoch, row["valid_loss"])
        self.history.rows.append(row | {"seconds": time.perf_counter() - start})
        self.watcher.epoch(self.history.rows[-1])
        if self.checkpoint and self.writes:
            self.checkpoint.write(self._state())
        if self.watcher.stopped and epoch < self.epochs:
            self.done = 0
            raise KeyboardInterrupt

    def _epoch(self, epoch: int) -> dict:
        total, right, self.done = 0.0, 0.0, 0
        self.source.train(True)
        for index in batches(len(self.source), self.steps, self.order, self.source.lengths):
            value, hits, finite = self.step(index, epoch - 1)
            if not math.isfinite(value):
                raise diverged(epoch, self.done, finite, self.source, index, self.lr, self.history)
            self.schedule.step()
            total, right, self.done = total + value, right + hits, self.done + 1
            self.watcher.batch(value / len(index), hits / len(index))
            if self.watcher.stopped and self.done < self.steps:
                raise KeyboardInterrupt
        self.step.team.agree(self.source.run)
        self._check_weights(epoch, index)
        return {"epoch": epoch, "loss": total / len(self.source), "accuracy": right / len(self.source)}

    def _check_weights(self, epoch: int, index: torch.Tensor) -> None:
        """Say so when the last step of an epoch has spoilt the weights: no loss after it would tell."""
        trained = [p for group in self.step.optimizer.param_groups for p in group["params"]]
        if not all(p.isfinite().all() for p in trained):
            raise diverged(epoch, self.done, False, self.source, index, self.lr, self.history)

    def _scored(self) -> dict[str, float]:
        logits, labels = predicted(self.held_out), self.held_out.data.y
        accuracy = float((logits.argmax(1) == labels).double().mean())
        return {"valid_loss": float(F.cross_entropy(logits, labels)), "valid_accuracy": accuracy}

    # what a checkpoint holds besides the model --------------------------------------------------------

    def _state(self) -> dict:
        device = self.source.device
        return {
            "rows": self.history.rows,
            "seconds": self.history.seconds + time.perf_counter() - self.began,
            "optimizer": self.step.optimizer.state_dict(),
            "schedule": {"last_epoch": self.schedule.last_epoch},
            "scaler": self.step.precision.state_dict(),
            "best": self.best.state_dict(),
            "order": self.order.get_state(),
            "numbers": torch.get_rng_state(),
            "device numbers": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
        }

    def resume(self) -> None:
        """Go back to where the checkpoint's file stands, if there is one."""
        state = self.checkpoint.read() if self.checkpoint else None
        if state is None:
            return
        self.history.rows, self.history.seconds = state["rows"], state["seconds"]
        self.history.resumed = len(self.history)
        self.step.optimizer.load_state_dict(state["optimizer"])
        self.schedule.last_epoch = state["schedule"]["last_epoch"]  # the rates themselves are the optimizer's
        self.step.precision.load_state_dict(state["scaler"])
        self.best.load_state_dict(state["best"])
        self.order.set_state(state["order"])
        torch.set_rng_state(state["numbers"])
        if state["device numbers"] is not None:
            torch.cuda.set_rng_state(state["device numbers"], self.source.device)
