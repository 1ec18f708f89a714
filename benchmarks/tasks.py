"""What is compared: two models, three tasks, and one scorer for all."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace

import torch
from clock import Clock
from torch import nn

from tlcourse import changed, load, load_dataset, snapshot, stages

BATCH = 32


@dataclass(frozen=True)
class Task:
    """One kind of training.

    Arguments:
        until: the last stage that is frozen; None when everything trains.
        epochs: passes over the data.
        lr: the constant learning rate of AdamW; chosen once on the validation split, the same for everybody.
    """

    until: str | None
    epochs: int
    lr: float


CNN, TEXT = "efficientnet-lite0", "minilm"
DATA = {CNN: "surfaces", TEXT: "sentiment"}
SHARE = {CNN: None, TEXT: 1000}  # items of train and of test that are used; None: all
LOADING = {CNN: {"size": 128}, TEXT: {}}
TASKS = {
    (CNN, "head"): Task("pool", 10, 1e-2),
    (CNN, "last"): Task("stage6", 5, 3e-4),
    (CNN, "all"): Task(None, 3, 1e-3),
    (TEXT, "head"): Task("pool", 10, 3e-3),
    (TEXT, "last"): Task("layer4", 5, 3e-4),
    (TEXT, "all"): Task(None, 3, 5e-5),
}


@dataclass
class Run:
    """One training run: what a peer gets, and where it tells that an epoch is over.

    Arguments:
        name, task: of the model and the kind of training.
        seed: of the new head and of the order of the items.
        model: as loaded, in evaluation mode, nothing frozen.
        train, test: `Split`s.
        workers: processes that prepare batches, where the peer uses torch's loader.
    """

    name: str
    task: Task
    seed: int
    model: nn.Module
    train: object
    test: object
    workers: int = 0
    clock: Clock = field(default_factory=Clock)
    epochs: list[dict] = field(default_factory=list)
    note: str = ""

    def __post_init__(self):
        self.before = snapshot(self.model)
        self.scorer = Scorer(self)

    @property
    def text(self) -> bool:
        """Whether the data are texts."""
        return self.train.kind == "text"

    def epoch_end(self) -> None:
        """Score the model on the test set with the clock paused; every peer calls this after each epoch."""
        with self.clock.paused():
            row = {"epoch": len(self.epochs) + 1, "accuracy": self.scorer()}
            self.epochs.append(row | self.clock.read())

    def frozen_stages(self) -> list[nn.Module]:
        """The modules that a peer freezes in its own way; empty when everything trains."""
        return split_chain(self.model, self.task.until)[0]

    def training_stages(self) -> list[nn.Module]:
        """The modules behind the frozen ones."""
        return split_chain(self.model, self.task.until)[1]

    def moved(self) -> dict[str, float]:
        """How many tensors of the stages that should be frozen moved after all, and by how much at most."""
        names = [name for name, _ in stages(self.model).named_children()]
        count = 0 if self.task.until is None else names.index(self.task.until) + 1
        table = changed(self.model, since=self.before).iloc[:count]
        return {
            "parameters": int(table["parameters moved"].sum()),
            "buffers": int(table["buffers moved"].sum()),
            "of_parameters": int(table["parameters"].sum()),
            "of_buffers": int(table["buffers"].sum()),
            "largest": float(table["largest change"].max()) if count else 0.0,
        }


class Scorer:
    """Accuracy on the test set by plain torch, in evaluation mode, with the same code for every peer.

    While no tensor of the frozen stages has moved, their output for the test set is computed once and kept. This
    saves time that does not count anyway; where a "frozen" stage has moved, everything is computed anew.
    """

    def __init__(self, run: Run):
        self.run, self._kept = run, None
        split = run.test
        order = torch.arange(len(split))
        if run.text:  # texts of a length together: little padding
            order = torch.tensor([len(text) for text in split.x]).argsort(stable=True)
        self._chunks = order.split(BATCH)

    @torch.no_grad()
    def __call__(self) -> float:
        run = self.run
        modes = [(module, module.training) for module in run.model.modules()]
        run.model.eval()
        try:
            front, back = (nn.Sequential(*part).eval() for part in split_chain(run.model, run.task.until))
            now = dict((*front.named_parameters(), *front.named_buffers()))
            if self._kept is None or any(not torch.equal(now[name], then) for name, then in self._kept[0].items()):
                features = [front(self._input(chunk)) for chunk in self._chunks]
                self._kept = ({name: tensor.detach().clone() for name, tensor in now.items()}, features)
                if not len(front):
                    self._kept = None
            else:
                features = self._kept[1]
            right = sum(
                int((back(x).argmax(1) == run.test.y[chunk]).sum())
                for x, chunk in zip(features, self._chunks, strict=True)
            )
        finally:
            for module, mode in modes:
                module.training = mode
        return right / len(run.test)

    def _input(self, chunk: torch.Tensor):
        split = self.run.test
        return self.run.model.transform([split.x[i] for i in chunk.tolist()] if self.run.text else split.x[chunk])


def split_chain(model: nn.Module, until: str | None) -> tuple[list[nn.Module], list[nn.Module]]:
    """The model's stages up to `until`, and those behind it."""
    chain = dict(stages(model).named_children())
    place = 0 if until is None else list(chain).index(until) + 1
    return list(chain.values())[:place], list(chain.values())[place:]


def make_run(
    name: str, task: str, seed: int, quick: bool = False, workers: int = 0, cap: int | None = None, **changes
) -> Run:
    """Load model and data of a run; `quick` takes few items and two epochs, only to see that everything works.

    Arguments:
        cap: how many items of train and of test are used at most.
        changes: fields of `Task` with another value, e.g. `lr=1e-3`.
    """
    data = load_dataset(DATA[name])
    count = min(filter(None, (SHARE[name], cap, 160 if quick else None)), default=None)
    train, test = (drawn(split, count) for split in (data.train, data.test))
    changes = ({"epochs": 2} if quick else {}) | changes
    model = load(name, classes=data.classes, seed=seed, **LOADING[name])
    return Run(name, replace(TASKS[name, task], **changes), seed, model, train, test, workers)


def drawn(split, count: int | None):
    """`count` items of a split, always the same ones, drawn at random: the texts come sorted by rating."""
    return split if count is None or count >= len(split) else split[random.Random(0).sample(range(len(split)), count)]
