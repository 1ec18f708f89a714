"""This package: `freeze`, then `fit`, which sends the data through the frozen stages once and keeps the result."""

from __future__ import annotations

import math

import onnx  # noqa: F401 (before the clock runs, as all that is imported)
import onnxruntime  # noqa: F401
import torch
import torch.onnx.utils
from tasks import BATCH, Run

from tlcourse import fit, freeze

PACKAGES = ("tlcourse", "onnxruntime")
VARIANTS = ("cold", "cold without ORT", "warm")  # the environment that compare.py sets is what differs


def train(run: Run, variant: str = "") -> None:
    """Freeze and fit; the optimizer counts its steps, so that the model is scored after each epoch."""
    if run.task.until is not None:
        freeze(run.model, until=run.task.until)
    steps, count = math.ceil(len(run.train) / BATCH), 0

    def after_step(*_) -> None:
        nonlocal count
        count += 1
        if count % steps == 0:
            run.epoch_end()

    def counting(groups):
        made = torch.optim.AdamW(groups, lr=run.task.lr, weight_decay=0.0, fused=True)  # as fit makes it by itself
        made.register_step_post_hook(after_step)
        return made

    history = fit(
        run.model,
        run.train,
        epochs=run.task.epochs,
        lr=run.task.lr,
        batch=BATCH,
        seed=run.seed,
        progress=False,
        optimizer=counting,
    )
    run.note = " ".join(filter(None, [history.keeping, history.note]))
