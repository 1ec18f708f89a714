"""What the training monitor knows of its runs: curves of at most so many points, names that tell them apart, words."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tlcourse.plots.curves import tame
from tlcourse.plots.words import counted

POINTS = 120
"""So many points of a curve are kept; when there are more, two neighbours become their mean."""


@dataclass
class Curve:
    """One run: what it was made with, its batches as points, its epochs as rows.

    Arguments:
        settings: what `fit` was called with, for a name.
        epochs, steps: how many passes, of how many batches.
        done: batches so far, those before a checkpoint included.
        rows: figures of the epochs so far.
        state: `"running"`, `"done"`, `"stopped"` or `"broke off"`.
        points: (epochs, loss, share right), means over `group` batches each.

    >>> curve = Curve({}, epochs=1, steps=300)
    >>> for batch in range(300):
    ...     curve.add(loss=1.0, accuracy=0.5)
    >>> curve.done, len(curve.points) <= POINTS, curve.points[0]
    (300, True, (0.013333, 1.0, 0.5))
    """

    settings: Mapping
    epochs: int
    steps: int
    done: int = 0
    rows: list[dict] = field(default_factory=list)
    state: str = "running"
    points: list[tuple[float, float, float]] = field(default_factory=list)
    group: int = 1
    began: float = field(default_factory=time.monotonic)
    seconds: float = 0.0
    error: str = ""
    _open: list[tuple[float, float]] = field(default_factory=list)
    _before: int = 0

    def __post_init__(self):
        self._before = self.done

    def add(self, loss: float, accuracy: float) -> None:
        """A batch was trained on."""
        self.done += 1
        self._open.append((loss, accuracy))
        if len(self._open) < self.group:
            return
        loss, accuracy = (sum(values) / len(values) for values in zip(*self._open, strict=True))
        self._open.clear()
        self.points.append((round(self.done / self.steps, 6), round(loss, 6), round(accuracy, 6)))
        if len(self.points) > POINTS:
            pairs = zip(self.points[::2], self.points[1::2], strict=False)
            self.points = [(b[0], (a[1] + b[1]) / 2, (a[2] + b[2]) / 2) for a, b in pairs]
            self.group *= 2

    def end(self, error: BaseException | None = None) -> None:
        """The run is over: complete, ended early by `patience`, stopped by an interrupt, or broken off by an error."""
        self.seconds = time.monotonic() - self.began
        if error is None:
            self.state = "done"
        elif isinstance(error, KeyboardInterrupt):
            self.state = "stopped"
        else:
            self.state, self.error = "broke off", type(error).__name__

    def left(self, now: float) -> float | None:
        """Seconds that remain, as fast as it went so far; None before the first batch."""
        made = self.done - self._before
        if not made or self.state != "running":
            return None
        return (now - self.began) / made * (self.epochs * self.steps - self.done)

    def words(self, now: float | None = None) -> str:
        """Where the run stands.

        >>> Curve({}, 2, 10, done=10, rows=[{"epoch": 1, "loss": 0.5, "accuracy": 0.8}], state="stopped").words()
        'stopped after 1 of 2 epochs: loss 0.500, accuracy 0.800'
        """
        figures = ""
        if self.rows:
            shown = (n for n in ("loss", "accuracy", "valid_loss", "valid_accuracy") if n in self.rows[-1])
            figures = ": " + ", ".join(f"{n.replace('_', 'ation ')} {short(self.rows[-1][n])}" for n in shown)
        whole = len(self.rows)
        if self.state == "running":
            left = None if now is None else self.left(now)
            rest = "" if left is None else f", about {clock(left)} left"
            return f"epoch {min(whole + 1, self.epochs)} of {self.epochs}{rest}{figures}"
        if self.state in ("stopped", "broke off"):
            error = f" ({self.error})" if self.error else ""
            return f"{self.state}{error} after {whole} of {counted(self.epochs, 'epoch')}{figures}"
        return f"{counted(whole, 'epoch')} in {clock(self.seconds)}{figures}"


def short(value: float) -> str:
    """A loss or an accuracy, also of a run that has left for infinity.

    >>> short(0.51234), short(1933201696.0)
    ('0.512', '1.9e+09')
    """
    return f"{value:.3f}" if abs(value) < 1e4 else f"{value:.1e}"


def top(curves: Sequence[Curve]) -> float | None:
    """How high the picture of the losses should reach, so that a run that diverged does not press the others flat.

    >>> top([Curve({}, 1, 9, points=[(1, 0.7, 0.5), (2, loss, 0.5)]) for loss in (0.6, 0.9, 1e10)])
    0.9
    """
    losses = [[p[1] for p in c.points] + [r["valid_loss"] for r in c.rows if "valid_loss" in r] for c in curves]
    highest = [max(values) for values in losses if values]
    return tame(highest) if highest else None


def clock(seconds: float) -> str:
    """Seconds for a reader.

    >>> clock(4.2), clock(75)
    ('4 s', '1 min 15 s')
    """
    seconds = max(0, round(seconds))
    return f"{seconds} s" if seconds < 60 else f"{seconds // 60} min {seconds % 60} s"


def names(runs: Sequence[Mapping]) -> list[str]:
    """A name for each run: the settings in which the runs differ, or else its number.

    Arguments:
        runs: the settings of each.

    >>> names([{"lr": 0.1, "seed": 0}, {"lr": 0.01, "seed": 0}])
    ['lr 0.1', 'lr 0.01']
    >>> names([{"lr": 0.1}, {"lr": 0.1}])
    ['run 1', 'run 2']
    >>> names([{"trains": "head"}, {"trains": "layer2, layer3, layer4, head"}])
    ['trains head', 'trains layer2 ... head (4)']
    """
    every = dict.fromkeys(key for settings in runs for key in settings)
    differ = [key for key in every if len({_brief(settings.get(key)) for settings in runs}) > 1]
    made = []
    for number, settings in enumerate(runs, 1):
        told = ", ".join(f"{key.replace('_', ' ')} {_brief(settings.get(key))}" for key in differ[:3])
        name = told or f"run {number}"
        made.append(f"{name} ({number})" if name in made else name)
    return made


def _brief(value) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    text = value if isinstance(value, str) else getattr(value, "__name__", None) or repr(value)
    several = text.split(", ")
    if isinstance(value, str) and len(several) > 3:  # the stages that train
        text = f"{several[0]} ... {several[-1]} ({len(several)})"
    return text if len(text) <= 40 else f"{text[:37]}..."


def drawn(curve: Curve, name: str, now: float | None = None) -> dict:
    """What the page needs of a run; numbers and text only.

    >>> drawn(Curve({}, epochs=3, steps=10), "run 1")["words"]
    'epoch 1 of 3'
    """
    return {
        "name": name,
        "epochs": curve.epochs,
        "share": curve.done / max(1, curve.epochs * curve.steps),
        "state": curve.state,
        "points": curve.points,
        "rows": [
            {key: row[key] for key in ("epoch", "loss", "accuracy", "valid_loss", "valid_accuracy") if key in row}
            for row in curve.rows
        ],
        "words": curve.words(now),
    }
