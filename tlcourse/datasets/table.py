"""`from_csv`: a learner's own texts."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch

from tlcourse.datasets.delimited import read_columns
from tlcourse.datasets.listing import natural, printable
from tlcourse.datasets.partition import checked_shares, partition
from tlcourse.datasets.split import Dataset, Split
from tlcourse.errors import CourseError

LONG = 300  # words; a text model reads a few hundred tokens at most


def from_csv(
    path: str | os.PathLike,
    *,
    text: str,
    label: str,
    splits: Sequence[float] = (0.6, 0.2, 0.2),
    seed: int = 0,
    encoding: str = "utf-8",
    delimiter: str | None = None,
    drop_missing: bool = False,
) -> Dataset:
    """A data set from a table of texts with a label each.

    Arguments:
        path: a CSV file with a header line.
        text, label: the names of the two columns.
        splits: shares of train, valid and test.
        seed: of the split; another one chooses other rows.
        encoding: of the file; a byte order mark at its beginning wins.
        delimiter: `","`, `";"`, `"\\t"` or `"|"`; by default the one that the header shows.
        drop_missing: leave out rows without a text or a label, instead of stopping.

    Returns a `Dataset`; equal texts are all in one split. Raises `CourseError`, with what to change, for a missing
    column, missing values, a wrong encoding, a single class, or a class with a single text.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "mail.csv"
    >>> rows = [f"Letter {i},{kind}" for i, kind in enumerate(["spam", "ham"] * 5)]
    >>> size = file.write_text("\\n".join(["message,kind", *rows]))
    >>> from_csv(file, text="message", label="kind").train.counts()
    {'ham': 3, 'spam': 3}

    Shown in the README, "Outside the notebooks".
    """
    shares = checked_shares(splits)
    file = Path(path).expanduser()
    rows, texts, labels, notes = read_columns(file, text, label, encoding, delimiter)
    rows, texts, labels, more = _complete(rows, texts, labels, text, label, drop_missing)
    _no_swallowed_rows(rows, texts, labels)
    labels = _whole_numbers(labels)
    classes = tuple(sorted(set(labels), key=natural))
    keys = [" ".join(t.casefold().split()) for t in texts]
    _check_classes(classes, labels, keys, label, text)
    number = {name: i for i, name in enumerate(classes)}
    y = np.array([number[name] for name in labels], dtype=np.int64)
    ids = [
        f"row {row}#{sha256(t.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"
        for row, t in zip(rows, texts, strict=True)
    ]
    notes = [*notes, *more, *_remarks(rows, texts, labels, keys, classes)]

    def split(name: str, chosen: np.ndarray) -> Split:
        x = tuple(texts[i] for i in chosen)
        return Split(name, "text", x, torch.from_numpy(y[chosen]), classes, tuple(ids[i] for i in chosen))

    sides = partition(y, keys, shares, seed)
    made = [split(name, chosen) for name, chosen in zip(("train", "valid", "test"), sides, strict=True)]
    for part in made:
        missing = [name for name, n in part.counts().items() if not n]
        if missing and len(part):
            notes.append(f"No text of {', '.join(missing[:10])} is in {part.name}.")
    return Dataset(
        name=printable(file.stem),
        title=f"{len(texts)} texts of {len(classes)} classes ({label})",
        kind="text",
        train=made[0],
        valid=made[1],
        test=made[2],
        classes=classes,
        licence="as the owner of the texts says",
        source=printable(str(file)),
        notes=tuple(notes),
    )


def _complete(rows, texts, labels, text, label, drop_missing):
    """The rows that have a text and a label, and a note on the others."""
    no_text = [row for row, t in zip(rows, texts, strict=True) if not t.strip()]
    no_label = [row for row, name in zip(rows, labels, strict=True) if not name.strip()]
    missing = set(no_text) | set(no_label)
    if len(missing) == len(rows):
        raise CourseError(
            f"No row has both a {text!r} and a {label!r}.",
            do="Open the file and look whether the columns are filled.",
        )
    if missing and not drop_missing:
        found = [
            f"no {column!r} in {_rows(where)}" for column, where in ((text, no_text), (label, no_label)) if where
        ]  # fmt: skip
        raise CourseError(
            f"{len(missing)} of {len(rows)} rows are incomplete.",
            why=f"There is {'; '.join(found)} (as a spreadsheet counts: the header is row 1).",
            do="Fill them in, or leave these rows out with from_csv(..., drop_missing=True).",
        )
    keep = [i for i, row in enumerate(rows) if row not in missing]
    notes = [f"{len(missing)} incomplete rows were left out: {_rows(sorted(missing))}."] if missing else []
    return [rows[i] for i in keep], [texts[i] for i in keep], [labels[i].strip() for i in keep], notes


def _whole_numbers(labels: list[str]) -> list[str]:
    """`1.0` as `1`, where all labels are whole numbers: a table with a gap once turns them into decimals."""
    try:
        values = [float(name) for name in labels]
    except ValueError:
        return labels
    if not all(v.is_integer() and abs(v) < 1e15 for v in values) or not any("." in name for name in labels):
        return labels
    return [str(int(v)) for v in values]


def _check_classes(classes, labels, keys, label, text) -> None:
    if len(classes) < 2:
        raise CourseError(
            f"There is only one class: every {label!r} is {classes[0]!r}.",
            why="A classifier learns to tell at least two classes apart.",
            do="Add rows of another class, or choose another label column.",
        )
    if len(classes) > 20 and len(classes) > len(labels) / 3:
        raise CourseError(
            f"The column {label!r} has {len(classes)} different values in {len(labels)} rows.",
            why=f"That looks like texts, names or measurements, not classes: {', '.join(map(repr, classes[:3]))}, ...",
            do=f"Choose the column that holds the class; are text={text!r} and label={label!r} the wrong way round?",
        )
    different = dict.fromkeys(classes, 0)
    for name, _ in set(zip(labels, keys, strict=True)):
        different[name] += 1
    few = [f"{name!r}" for name, n in different.items() if n < 2]
    if few:
        raise CourseError(
            "Every class needs at least two different texts: one to learn from and one to test on.",
            why=f"There is one only of {', '.join(few[:6])}{f' and {len(few) - 6} more' if len(few) > 6 else ''}.",
            do="Add rows, join small classes into one, or remove them.",
        )


def _no_swallowed_rows(rows, texts, labels) -> None:
    """A quote that is opened and not closed makes one text of many rows, and nobody is told."""
    known = set(labels)
    for row, text in zip(rows, texts, strict=True):
        inside = [line for line in text.splitlines() if re.split(r"[,;\t]", line)[-1].strip() in known]
        if len(inside) >= 2:
            raise CourseError(
                f"The text of row {row} holds {len(inside)} lines that look like rows of their own.",
                why='A quotation mark (") is opened in that row and not closed.',
                do='Close it, or double it where it is part of the text ("").',
            )


def _remarks(rows, texts, labels, keys, classes) -> list[str]:
    notes = []
    where: dict[str, dict[str, int]] = {}
    for row, name, key in zip(rows, labels, keys, strict=True):
        where.setdefault(key, {}).setdefault(name, row)
    if len(where) < len(texts):
        notes.append(f"{len(texts) - len(where)} rows repeat a text; equal texts are all in one split.")
    both = [found for found in where.values() if len(found) > 1]
    if both:
        shown = "; ".join(", ".join(f"row {row} {name}" for name, row in found.items()) for found in both[:3])
        notes.append(f"{len(both)} texts have two labels, which no model can get right: {shown}.")
    long = [row for row, t in zip(rows, texts, strict=True) if len(t.split()) > LONG]
    if long:
        notes.append(
            f"{len(long)} texts have more than {LONG} words ({_rows(long)}): a model reads their beginning only."
        )
    folded: dict[str, list[str]] = {}
    for name in classes:
        folded.setdefault(name.casefold(), []).append(name)
    notes += [
        f"Classes that differ by upper and lower case only: {', '.join(n)}." for n in folded.values() if len(n) > 1
    ]
    counts = [labels.count(name) for name in classes] if len(classes) <= 200 else []
    if counts and max(counts) > 9 * (len(labels) - max(counts)):
        often = classes[counts.index(max(counts))]
        notes.append(
            f"{max(counts) / len(labels):.0%} of the texts are {often!r}: always saying so is right that often."
        )
    return notes


def _rows(rows: list[int]) -> str:
    shown = ", ".join(map(str, rows[:8])) + (f" and {len(rows) - 8} more" if len(rows) > 8 else "")
    return f"row{'s' if len(rows) > 1 else ''} {shown}"
