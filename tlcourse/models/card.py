"""What one should know of a model before using it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from html import escape


@dataclass(frozen=True)
class Card:
    """Where a model's weights come from.

    Arguments:
        name: the name that `load` takes.
        title: what it is, in words.
        pretrained: whether the weights were learned, or are random (the from-scratch twin).
        data: what the weights were learned from.
        licence: licence of the weights.
        source: where they are published.
        parameters: number of parameters, the new head included.
        size: bytes of the weights' file.

    >>> Card("tiny", "A tiny network", False, "nothing", "BSD-3-Clause", "this course", 3).title
    'A tiny network'
    """

    name: str
    title: str
    pretrained: bool
    data: str
    licence: str
    source: str
    parameters: int
    size: int = 0

    def _rows(self):
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "pretrained":
                value = "yes" if value else "no: random weights"
            elif field.name == "parameters":
                value = f"{value:,}"
            elif field.name == "size":
                value = f"{value / 1e6:.0f} MB" if value else "unknown"
            yield field.name, str(value)

    def __str__(self) -> str:
        return "\n".join(f"{name:>10}: {value}" for name, value in self._rows())

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><th scope='row'>{escape(n)}</th><td>{escape(v)}</td></tr>" for n, v in self._rows())
        return f"<table><caption>Model card</caption><tbody>{rows}</tbody></table>"
