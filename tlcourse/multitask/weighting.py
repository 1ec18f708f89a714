"""How the losses of several tasks become one step: equal weights, uncertainty, and dynamic weight averaging."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from tlcourse.errors import CourseError, real_number


class Equal:
    """The plain sum of the losses: every weight is 1. The baseline that every other weighting has to beat.

    Every weighting has these methods. `start` is called once, `backward` for each batch (it fills the gradients of the
    network), `ended` after each epoch; `weights` holds what each task's loss counts now.

    >>> weighting = Equal()
    >>> weighting.start(("digit", "box"))
    >>> weighting.weights
    {'digit': 1.0, 'box': 1.0}

    Chapter 05.
    """

    name = "equal"
    needs_shared = False  # whether it looks at gradients of what the tasks share

    def start(
        self,
        tasks: Sequence[str],
        shared: Sequence[nn.Parameter] = (),
        last: Sequence[nn.Parameter] = (),
        own: Sequence[nn.Parameter] = (),
        device: torch.device | None = None,
    ) -> None:
        """Begin a run.

        Arguments:
            tasks: their names.
            shared, last, own: the parameters that train: shared by the tasks; of the last shared stage; of one task.
            device: where the losses are.
        """
        self.tasks, self.shared, self.last, self.own = tuple(tasks), list(shared), list(last), list(own)
        self.device = device

    @property
    def weights(self) -> dict[str, float]:
        """What each task's loss counts now."""
        return dict.fromkeys(self.tasks, 1.0)

    def total(self, losses: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The weighted sum of the losses of the tasks that have labels in a batch."""
        return sum(losses.values())

    def backward(self, losses: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Fill the gradients of the network; returns the total."""
        total = self.total(losses)
        if total.requires_grad:  # not where a batch has labels of frozen heads only
            total.backward()
        return total.detach()

    def ended(self, losses: Mapping[str, float]) -> None:
        """An epoch has ended, with these mean losses."""


def check_paces(losses: Mapping[str, float], weighting: str) -> None:
    """Say so when a loss lies below zero: how fast it falls is told by a ratio, which would be turned around."""
    for task, loss in losses.items():
        if loss < 0:
            raise CourseError(
                f"The loss of task {task!r} is {float(loss):.3g}, below zero.",
                why=f"{weighting!r} compares the tasks' losses now with those before, as ratios.",
                do='Use a loss that ends at zero, or another weighting, e.g. weighting="equal".',
            )


class Uncertainty(Equal):
    """Each task's loss is divided by a noise that is learned: sum of `exp(-s) L + s / 2`, with `s = log sigma^2`.

    A task that stays wrong is taken for noisy and counts less. The term `s / 2` keeps the noise from growing for ever;
    for a small loss it becomes negative, so the total may well go below zero. For a fixed loss `s` settles at
    `log 2 L`, where `exp(-s) L` is one half: in the end every task has the same say, whatever its loss is measured in.

    Arguments:
        lr: learning rate of `s`; it has an Adam of its own, so that the scale of a loss does not matter.

    >>> weighting = Uncertainty()
    >>> weighting.start(("digit", "box"))
    >>> weighting.total({"digit": torch.tensor(2.0), "box": torch.tensor(3.0)}).item()
    5.0

    Kendall, Gal and Cipolla 2018, their form for classes; chapter 05.
    """

    name = "uncertainty"

    def __init__(self, lr: float = 1e-2):
        self.lr = real_number("lr", lr)

    def start(self, tasks, shared=(), last=(), own=(), device=None):
        super().start(tasks, shared, last, own, device)
        # a parameter a task: one that has no label in a batch then gets no gradient, and Adam leaves it alone
        self.s = {task: nn.Parameter(torch.zeros((), device=device)) for task in self.tasks}
        self.optimizer = torch.optim.Adam(self.s.values(), lr=self.lr)

    @property
    def weights(self):
        return {task: s.detach().neg().exp().item() for task, s in self.s.items()}

    def total(self, losses):
        return sum((-self.s[task]).exp() * loss + self.s[task] / 2 for task, loss in losses.items())

    def backward(self, losses):
        self.optimizer.zero_grad(set_to_none=True)
        total = super().backward(losses)
        self.optimizer.step()
        return total


class DWA(Equal):
    """Dynamic weight averaging: a task whose loss falls slowly counts more in the next epoch.

    With `r = L(t-1) / L(t-2)` of the mean losses of the two epochs before, the weights are the number of tasks times
    the softmax of `r / temperature`; in the first two epochs they are 1.

    Arguments:
        temperature: the larger, the more equal the weights.

    >>> weighting = DWA()
    >>> weighting.start(("digit", "box"))
    >>> weighting.ended({"digit": 1.0, "box": 1.0}), weighting.ended({"digit": 0.5, "box": 1.0})
    (None, None)
    >>> weighting.weights["box"] > 1 > weighting.weights["digit"]
    True

    Liu, Johns and Davison 2019; chapter 05.
    """

    name = "dwa"

    def __init__(self, temperature: float = 2.0):
        self.temperature = real_number("temperature", temperature, low=1e-6)

    def start(self, tasks, shared=(), last=(), own=(), device=None):
        super().start(tasks, shared, last, own, device)
        self.before, self._weights = [], dict.fromkeys(self.tasks, 1.0)

    @property
    def weights(self):
        return dict(self._weights)

    def total(self, losses):
        return sum(self._weights[task] * loss for task, loss in losses.items())

    def ended(self, losses):
        check_paces(losses, self.name)
        self.before = [*self.before[-1:], dict(losses)]
        if len(self.before) == 2:
            older, newer = self.before
            # a loss that was zero cannot fall: nothing was gained and nothing lost
            rates = [newer[task] / older[task] if older[task] else 1.0 for task in self.tasks]
            shares = torch.softmax(torch.tensor(rates, dtype=torch.float64) / self.temperature, 0)
            self._weights = dict(zip(self.tasks, (len(self.tasks) * shares).tolist(), strict=True))
