"""Early stopping: train until the validation loss falls no more, then go back to where it was lowest."""

from __future__ import annotations

import torch
from torch import nn

from tlcourse.training.checkpoint import movable


class Best:
    """The weights of the epoch with the lowest validation loss; without a patience it remembers nothing.

    Arguments:
        model: what is trained.
        patience: how many epochs without a lower loss are waited for, or None.

    Prechelt 1998 (early stopping); chapter 04.
    """

    def __init__(self, model: nn.Module, patience: int | None):
        self.model, self.patience = model, patience
        self.epoch, self.loss, self.seen, self.tensors = 0, float("inf"), 0, {}

    def see(self, epoch: int, loss: float) -> None:
        """Note the validation loss of an epoch."""
        self.seen = epoch
        if self.patience is not None and loss < self.loss:
            self.epoch, self.loss, self.tensors = epoch, loss, self._kept()

    def _kept(self) -> dict[str, torch.Tensor]:
        return movable(self.model)

    @property
    def stop(self) -> bool:
        """Whether it is time to stop."""
        return self.patience is not None and self.seen - self.epoch >= self.patience

    def restore(self) -> list[str]:
        """Put the best weights back; returns a line that says so, or none."""
        if self.patience is None or not self.tensors:
            return []
        mine = dict(self.model.state_dict())
        with torch.no_grad():
            for name, tensor in self.tensors.items():
                mine[name].copy_(tensor)
        why = f"Stopped after epoch {self.seen}: " if self.stop else ""
        return [f"{why}The weights are those of epoch {self.epoch}, whose validation loss was lowest."]

    def state_dict(self) -> dict:
        return {"epoch": self.epoch, "loss": self.loss, "seen": self.seen, "tensors": self.tensors}

    def load_state_dict(self, state: dict) -> None:
        self.epoch, self.loss, self.seen, self.tensors = (state[k] for k in ("epoch", "loss", "seen", "tensors"))
