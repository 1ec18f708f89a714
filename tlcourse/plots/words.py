"""Names and numbers as they stand in a figure and in its alt text."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence


def plain(text: object) -> str:
    """Any name as one line of text that can be drawn and encoded."""
    text = " ".join(str(text).split()).encode("utf-8", "replace").decode()
    return "".join(c for c in text if unicodedata.category(c) != "Cc")


def units(text: str) -> float:
    """About how wide a text is, in letters of the usual width."""
    return sum(_wide(c) for c in text)


def _wide(c: str) -> float:
    if unicodedata.combining(c):
        return 0.0
    if c in "mwMW@%✓✗" or unicodedata.east_asian_width(c) in "WF":
        return 1.65
    return 0.6 if c in "fijlrt.,:;!|'() -" else 1.25 if c.isupper() else 1.05


def shorten(text: object, limit: float = 24) -> str:
    """A name cut to about so many letters; the alt text keeps it whole."""
    text = plain(text)
    if units(text) <= limit:
        return text
    while text and units(text) > limit - 1:
        text = text[:-1]
    return text.rstrip() + "…"


def number(value: float) -> str:
    """A number as a reader wants it: three figures that matter."""
    value = float(value)
    if value == int(value) and abs(value) < 1e15:
        return f"{value + 0.0:,.0f}".replace("-", "−")  # + 0.0 makes -0 a plain 0
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    text = f"{value:,.{digits}f}" if abs(value) >= 0.001 else f"{value:.2g}"
    return text.replace("-", "−")


def listed(parts: Sequence[str]) -> str:
    """`a, b and c`."""
    parts = list(parts)
    return ", ".join(parts[:-1]) + f" and {parts[-1]}" if len(parts) > 1 else "".join(parts)


def counted(n: int, noun: str, plural: str = "") -> str:
    """`1 image`, `2 images`."""
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"


def percent(share: float) -> str:
    """A share as percent."""
    text = f"{100 * share:.1f}" if 0 < share < 0.0995 else f"{100 * share:.0f}"
    return "under 0.1 %" if text == "0.0" else f"{text.removesuffix('.0')} %"
