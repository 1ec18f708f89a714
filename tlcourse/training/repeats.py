"""`repeat`: the same run with several seeds, and what may be said of the difference of two."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from html import escape
from numbers import Real

from tlcourse.errors import CourseError, whole_number
from tlcourse.features import Result, interval
from tlcourse.hardware import measured
from tlcourse.training import history


@dataclass(frozen=True)
class Repeats:
    """What a run gave with each seed, and what it cost.

    Arguments:
        values: a figure a seed, e.g. an accuracy.
        seeds: the seeds, in the same order.
        seconds: wall seconds a run.
        memory: the highest peak of the runs, in MB.
        note: what a reader should know.

    `mean`, `low` and `high` are the mean and its 95 % interval over the seeds (Student's t). It says how much the
    result hangs on chance in training; that of a test set's size is a `Result`'s own interval.

    >>> a, b = Repeats((0.80, 0.84, 0.82), (0, 1, 2)), Repeats((0.78, 0.81, 0.80), (0, 1, 2))
    >>> a - b
    0.023 (0.009 to 0.038), 3 seeds
    """

    values: tuple[float, ...]
    seeds: tuple[int, ...]
    seconds: tuple[float, ...] = ()
    memory: float = 0.0
    note: str = ""

    @property
    def mean(self) -> float:
        """The mean over the seeds."""
        return sum(self.values) / len(self.values)

    @property
    def low(self) -> float:
        """Lower end of the 95 % interval of the mean."""
        return interval(self.values)[1]

    @property
    def high(self) -> float:
        """Upper end of the 95 % interval of the mean."""
        return interval(self.values)[2]

    def __sub__(self, other: Repeats) -> Repeats:
        """Differences seed by seed: what both owe to the same split or head cancels out."""
        if self.seeds != other.seeds:
            raise CourseError(
                f"The seeds differ: {list(self.seeds)} and {list(other.seeds)}.",
                why="A paired difference compares runs that share their seed.",
                do="Repeat both with the same seeds.",
            )
        return Repeats(tuple(a - b for a, b in zip(self.values, other.values, strict=True)), self.seeds)

    def to_frame(self):
        """A row a seed: `seed`, `value`, and `seconds` where they were measured."""
        import pandas as pd

        table = pd.DataFrame({"seed": self.seeds, "value": self.values})
        return table.assign(seconds=self.seconds) if self.seconds else table

    def __repr__(self) -> str:
        n = len(self.seeds)
        spread = f" ({self.low:.3f} to {self.high:.3f})" if n > 1 else ""
        cost = f", {max(sum(self.seconds) / n, 0.01):.2g} s a run" if self.seconds else ""
        return f"{self.mean:.3f}{spread}, {n} seed{'s' if n > 1 else ''}{cost}{f' ({self.note})' if self.note else ''}"

    def _repr_html_(self) -> str:
        return f"<p>{escape(repr(self))}</p>"


def repeat(run: Callable[[int], float | Result], seeds: int | Iterable[int] = 5) -> Repeats:
    """Run something with several seeds: one run is an anecdote.

    Arguments:
        run: seed -> a number, or a `Result` (its accuracy is taken). It should use its seed for everything that is
            random: the draw of the data, the new head, the order of the items.
        seeds: how many, from 0; or the seeds themselves.

    Returns `Repeats`; `a - b` of two gives their paired difference. An interrupt ends it after the seeds that are
    complete.

    >>> repeat(lambda seed: 0.5 + 0.1 * seed, seeds=3).mean
    0.6

    Chapter 04. Bouthillier et al. 2021 (variance in benchmarks).
    """
    many = isinstance(seeds, Iterable) and not isinstance(seeds, str)
    chosen = list(seeds) if many else list(range(whole_number("seeds", seeds)))
    if not chosen or len(set(chosen)) < len(chosen):
        raise CourseError(f"seeds={seeds!r} will not do.", do="Give a number, or different seeds, e.g. [0, 1, 2].")
    values, seconds, memory, note = [], [], 0.0, ""
    for seed in chosen:
        stops = history.interrupts()
        try:
            with measured() as cost:
                value = run(seed)
        except KeyboardInterrupt:
            stops -= 1
        if history.interrupts() > stops:  # a run that `fit` ended early is no run to count
            note = f"interrupted in the run with seed {seed}"
            break
        value = value.accuracy if isinstance(value, Result) else value
        if isinstance(value, bool) or not isinstance(value, Real):
            raise CourseError(
                f"The run returned a {type(value).__name__}.",
                do="Let it return a number, or what evaluate(...) returns.",
            )
        values.append(float(value)), seconds.append(cost.seconds)
        memory = max(memory, cost.memory)
    if not values:
        raise KeyboardInterrupt
    return Repeats(tuple(values), tuple(chosen[: len(values)]), tuple(seconds), memory, note)
