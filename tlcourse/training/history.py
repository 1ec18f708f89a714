"""`History`: what happened in a training run, epoch by epoch, and what it cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape

_interrupts = 0


def interrupts() -> int:
    """How often `fit` was interrupted in this process: a loop around it can tell that its turn has come to end."""
    return _interrupts


def note_interrupt() -> None:
    """Count an interrupt."""
    global _interrupts
    _interrupts += 1


@dataclass
class History:
    """The figures of a run; `fit` returns it, also when the run was interrupted.

    Arguments:
        rows: a dict an epoch: `epoch`, `loss`, `accuracy`, with validation data also `valid_loss` and
            `valid_accuracy`, and `seconds`. Training figures are means over the epoch's batches, as it went.
        seconds: wall time of the whole run.
        memory: peak MB of the process (on a GPU: what torch allocated there).
        interrupted: whether the run was stopped from outside before its last epoch.
        note: what a reader should know, e.g. where it stopped.
        keeping: one line that says what was computed once and kept, or why nothing was.
        resumed: after which epoch the run went on from a checkpoint; 0 for a run from the start.

    >>> History([{"epoch": 1, "loss": 0.7, "accuracy": 0.5, "seconds": 0.1}], seconds=0.1)
    History of 1 epoch in 0.1 s
      epoch 1: loss 0.700, accuracy 0.500
    """

    rows: list[dict] = field(default_factory=list)
    seconds: float = 0.0
    memory: float = 0.0
    interrupted: bool = False
    note: str = ""
    keeping: str = ""
    resumed: int = 0

    def to_frame(self):
        """The rows as a pandas table, an epoch a row."""
        import pandas as pd

        names = list(self.rows[0]) if self.rows else ["epoch", "loss", "accuracy"]
        return pd.DataFrame(self.rows, columns=pd.Index(names, dtype=object))  # a task may be called anything

    def then(self, later: History, phase: str) -> History:
        """This run and a later one as one; the later one's rows get a `phase`."""
        rows = [{"epoch": len(self) + i, "phase": phase, **_without(row)} for i, row in enumerate(later.rows, 1)]
        return History(
            rows=[*self.rows, *rows],
            seconds=self.seconds + later.seconds,
            memory=max(self.memory, later.memory),
            interrupted=later.interrupted,
            note=" ".join(dict.fromkeys(filter(None, [self.note, later.note]))),
            keeping=" ".join(filter(None, [self.keeping, later.keeping and f"{phase}: {later.keeping}"])),
            resumed=self.resumed + later.resumed,
        )

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        lines = [f"History of {len(self)} epoch{'' if len(self) == 1 else 's'} in {self.seconds:.1f} s"]
        shown = self.rows if len(self) <= 4 else [*self.rows[:2], None, self.rows[-1]]
        for row in shown:
            if row is None:
                lines.append("  ...")
                continue
            figures = [
                f"{name.replace('_', ' ')} {_shown(value)}"
                for name, value in row.items()
                if name not in ("epoch", "seconds")
            ]
            lines.append(f"  epoch {row['epoch']}: {', '.join(figures)}")
        return "\n".join([*lines, *(f"  {line}" for line in self._said())])

    def _said(self) -> list[str]:
        again = f"Went on from a checkpoint after epoch {self.resumed}." if self.resumed else ""
        if self.resumed and self.resumed == len(self):
            again = "The checkpoint held the whole run already."
        return [line for line in (self.keeping, again, self.note) if line]

    def _repr_html_(self) -> str:
        names = list(self.rows[0]) if self.rows else []
        head = "".join(f"<th scope='col'>{escape(name.replace('_', ' '))}</th>" for name in names)
        body = ""
        for row in self.rows:
            cells = "".join(f"<td>{escape(_shown(row[n]))}</td>" for n in names)
            body += f"<tr>{cells}</tr>"
        foot = f"{self.seconds:.1f} s in all, at most {self.memory:.0f} MB of memory. {escape(' '.join(self._said()))}"
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><p>{foot}</p>"


def _without(row: dict) -> dict:
    return {name: value for name, value in row.items() if name != "epoch"}


def _shown(value) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
