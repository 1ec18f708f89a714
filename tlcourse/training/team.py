"""The processes that train one model together: one alone, or several under Hugging Face Accelerate."""

from __future__ import annotations

import os
from contextlib import nullcontext

import torch
from torch import nn

from tlcourse.errors import CourseError


class Team:
    """Several processes, each with a copy of the model and a share of each batch.

    Started by `accelerate launch script.py` or by `accelerate.notebook_launcher`; a process by itself is a team of
    one, and needs nothing installed.

    >>> Team(torch.device("cpu")).size
    1
    """

    def __init__(self, device: torch.device):
        self.size, self.rank, self._accelerator = 1, 0, None
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            try:
                from accelerate import Accelerator
            except ImportError:
                raise CourseError(
                    "Several processes were started, and accelerate, which lets them work together, is not installed.",
                    do="pip install accelerate, or start one process only.",
                ) from None
            self._accelerator = Accelerator(cpu=device.type == "cpu")
            self.size, self.rank = self._accelerator.num_processes, self._accelerator.process_index

    @property
    def leads(self) -> bool:
        """Whether this process writes files and shows progress for all."""
        return self.rank == 0

    def share(self, index: torch.Tensor) -> torch.Tensor:
        """This process's items of a batch."""
        return index.tensor_split(self.size)[self.rank]

    def wrap(self, module: nn.Module) -> nn.Module:
        """The module, with gradients that are averaged over the processes."""
        return module if self._accelerator is None else self._accelerator.prepare(module)

    def agree(self, module: nn.Module) -> None:
        """Give all processes the statistics of the leading one: each BatchNorm has seen its own share only."""
        if self._accelerator is not None:
            from accelerate.utils import broadcast

            with torch.no_grad():
                for buffer in module.buffers():
                    buffer.copy_(broadcast(buffer.clone()))

    def total(self, *values: torch.Tensor) -> list[float]:
        """Sums over the processes, of one number each."""
        if self._accelerator is None and values[0].device.type == "cpu":
            return [float(value) for value in values]
        together = torch.stack([value.detach().double() if value.device.type != "mps" else value.detach().float()
                                for value in values])  # fmt: skip
        if self._accelerator is not None:
            together = self._accelerator.reduce(together, "sum")
        return together.tolist()  # one wait for the device instead of one for each number

    def first(self):
        """A context that the leading process of each machine enters before the others."""
        return nullcontext() if self._accelerator is None else self._accelerator.local_main_process_first()
