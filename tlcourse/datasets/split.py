"""`Split` and `Dataset`: what every data set of the course looks like."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from html import escape

import numpy as np
import torch

from tlcourse.datasets.boxes import check_boxes
from tlcourse.datasets.masks import check_masks
from tlcourse.errors import CourseError

KINDS = ("image", "text")


@dataclass(frozen=True, eq=False)
class Split:
    """Labelled images or texts that are used together: for training, for choosing, or for the final test.

    Arguments:
        name: `"train"`, `"valid"` or `"test"`.
        kind: `"image"` or `"text"`.
        x: images, uint8 `[n, 1 or 3, h, w]`; or a tuple of `n` texts.
        y: class numbers, int64 `[n]`.
        classes: the names of the classes.
        ids: a stable name for each item.
        boxes: where something is in each image, float32 `[n, 4]`: left, top, right, bottom in pixels, right and bottom
            behind the last one; four NaN where nobody has said. Up to k an image: `[n, k, 4]`, rows of NaN where an
            image has fewer. None if the data have no boxes.
        masks: what each pixel shows, uint8 `[n, h, w]`: a class number, or the number of an object, from 1, with 0 for
            what belongs to none. None if the data have no masks.

    `split[i]`, `split[2:5]`, `split[[3, 1]]` and `split[mask]` are splits again.

    >>> split = Split("train", "text", ("Good.", "Bad."), torch.tensor([1, 0]), ("negative", "positive"), ("a", "b"))
    >>> split[1].x, split.counts()
    (('Bad.',), {'negative': 1, 'positive': 1})
    """

    name: str
    kind: str
    x: torch.Tensor | tuple[str, ...] = field(repr=False)
    y: torch.Tensor = field(repr=False)
    classes: tuple[str, ...]
    ids: tuple[str, ...] = field(repr=False)
    boxes: torch.Tensor | None = field(default=None, repr=False)
    masks: torch.Tensor | None = field(default=None, repr=False)

    def __post_init__(self):
        if self.kind not in KINDS:
            raise CourseError(
                f"A split holds images or texts, not {self.kind!r}.", do='Use kind="image" or kind="text".'
            )
        if self.kind == "image" and (
            not isinstance(self.x, torch.Tensor)
            or self.x.dtype != torch.uint8
            or self.x.ndim != 4
            or self.x.shape[1] not in (1, 3)
        ):
            raise CourseError("Images are kept as a uint8 tensor [n, 1 or 3, height, width].", do="Convert them first.")
        if self.kind == "text" and not (isinstance(self.x, tuple) and all(isinstance(t, str) for t in self.x)):
            raise CourseError("Texts are kept as a tuple of strings.", do="Pass tuple(texts).")
        if not (isinstance(self.y, torch.Tensor) and self.y.dtype == torch.int64 and self.y.ndim == 1):
            raise CourseError(
                "Labels are kept as an int64 tensor [n] of class numbers.", do="Pass torch.tensor(labels)."
            )
        if not len(self.x) == len(self.y) == len(self.ids):
            raise CourseError(
                f"There are {len(self.x)} items, {len(self.y)} labels and {len(self.ids)} ids.",
                do="Give one of each for every item.",
            )
        if len(self.y) and not 0 <= int(self.y.min()) <= int(self.y.max()) < len(self.classes):
            raise CourseError(
                f"Labels go from {int(self.y.min())} to {int(self.y.max())}; there are {len(self.classes)} classes.",
                do="Number the classes from 0.",
            )
        if self.boxes is not None:
            check_boxes(self)
        if self.masks is not None:
            check_masks(self)

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index) -> Split:
        chosen = _chosen(index, len(self))
        numbers = torch.from_numpy(chosen)
        return replace(
            self,
            x=tuple(self.x[i] for i in chosen) if self.kind == "text" else self.x[numbers],
            y=self.y[numbers],
            ids=tuple(self.ids[i] for i in chosen),
            boxes=None if self.boxes is None else self.boxes[numbers],
            masks=None if self.masks is None else self.masks[numbers],
        )

    def shots(self, k: int, seed: int = 0) -> Split:
        """`k` items of each class; the `k` of one seed are among the `k + 1` of the same seed.

        Raises `CourseError` if a class has fewer than `k` items.
        """
        return self[shot_indices(self.y, self.classes, k, seed)]

    def counts(self) -> dict[str, int]:
        """How many items each class has."""
        counted = torch.bincount(self.y, minlength=len(self.classes)).tolist()
        return dict(zip(self.classes, counted, strict=True))

    @property
    def fingerprint(self) -> str:
        """SHA-256 over kind, classes, ids, labels, boxes, masks and content: it changes when any of them does."""
        return _fingerprint(self)  # computed each time: pixels can be changed in ways that leave no trace

    def __repr__(self) -> str:
        what = f"{len(self)} {self.kind}s"
        if self.kind == "image":
            what += f" of {self.x.shape[3]}x{self.x.shape[2]} pixels, {'grey' if self.x.shape[1] == 1 else 'colour'}"
        counts = self.counts()
        shown = ", ".join(f"{name} {n}" for name, n in list(counts.items())[:20])
        more = f" and {len(counts) - 20} more classes" if len(counts) > 20 else ""
        return f"Split {self.name}: {what} ({shown}{more})"

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><th scope='row'>{escape(c)}</th><td>{n}</td></tr>" for c, n in self.counts().items())
        return (
            f"<table><caption>{escape(self.name)}: {len(self)} {escape(self.kind)}s</caption>"
            f"<tr><th scope='col'>class</th><th scope='col'>items</th></tr>{rows}</table>"
        )


@dataclass(frozen=True, eq=False)
class Dataset:
    """Three splits that share no item, with their licence and how they were made.

    Arguments:
        name, title: a short name, and one line that says what it is.
        kind: `"image"` or `"text"`.
        train, valid, test: for learning, for choosing between settings, and for the last measurement.
        classes: the names of the classes.
        licence, source: whose the data are and where they come from.
        notes: how they were made, and what a reader should know.
    """

    name: str
    title: str
    kind: str
    train: Split = field(repr=False)
    valid: Split = field(repr=False)
    test: Split = field(repr=False)
    classes: tuple[str, ...]
    licence: str
    source: str
    notes: tuple[str, ...] = ()

    @property
    def splits(self) -> tuple[Split, Split, Split]:
        """`(train, valid, test)`."""
        return self.train, self.valid, self.test

    def __repr__(self) -> str:
        sizes = ", ".join(f"{len(split)} {split.name}" for split in self.splits)
        names = ", ".join(self.classes[:20]) + (f" and {len(self.classes) - 20} more" if len(self.classes) > 20 else "")
        notes = "".join(f"\n  - {note}" for note in self.notes)
        return (
            f"{self.name}: {self.title}\n  {sizes}; {len(self.classes)} classes: {names}\n"
            f"  licence: {self.licence}\n  source: {self.source}{notes}"
        )

    def _repr_html_(self) -> str:
        head = "".join(f"<th scope='col'>{escape(split.name)}</th>" for split in self.splits)
        counts = [split.counts() for split in self.splits]
        rows = "".join(
            f"<tr><th scope='row'>{escape(c)}</th>{''.join(f'<td>{n[c]}</td>' for n in counts)}</tr>"
            for c in self.classes
        )
        total = "".join(f"<td><b>{len(split)}</b></td>" for split in self.splits)
        notes = "".join(f"<li>{escape(note)}</li>" for note in self.notes)
        return (
            f"<table><caption><b>{escape(self.name)}</b>: {escape(self.title)}</caption>"
            f"<tr><th scope='col'>class</th>{head}</tr>{rows}<tr><th scope='row'>all</th>{total}</tr></table>"
            f"<p>Licence: {escape(self.licence)}<br>Source: {escape(self.source)}</p>"
            + (f"<ul>{notes}</ul>" if notes else "")
        )


def shot_indices(y: torch.Tensor, classes: Sequence[str], k: int, seed: int = 0) -> torch.Tensor:
    """The places of `k` items of each class, class by class, chosen by the seed.

    Arguments:
        y: class numbers `[n]`.
        classes: the names of the classes.
        k: items a class, from 1.
        seed: another one chooses other items.

    Returns int64 `[k * classes]`. Raises `CourseError` if a class has fewer than `k` items.

    >>> shot_indices(torch.tensor([0, 1, 0, 1]), ("a", "b"), 2).sort().values
    tensor([0, 1, 2, 3])
    """
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
        raise CourseError(f"{k!r} is not a number of shots.", do="Choose a whole number from 1.")
    counts = torch.bincount(y, minlength=len(classes)).tolist()
    few = {name: n for name, n in zip(classes, counts, strict=True) if n < k}
    if few:
        shown = ", ".join(f"{name!r} has {n}" for name, n in list(few.items())[:6])
        raise CourseError(
            f"There are not {k} items of every class.",
            why=f"{shown}{' and so on' if len(few) > 6 else ''}.",
            do=f"Ask for at most {min(counts)} shots." if min(counts) else "Leave out the classes without items.",
        )
    chosen = []
    for number in range(len(classes)):
        places = torch.nonzero(y == number).flatten().numpy()
        # a generator for each class: its choice does not depend on the others, and k is a beginning of k + 1
        chosen.append(np.random.default_rng([int(seed), number]).permutation(places)[:k])
    return torch.from_numpy(np.concatenate(chosen))


def tensor_versions(split: Split) -> tuple[int, ...] | None:
    """How often torch has changed the split's tensors in place; None where torch does not count."""
    try:
        return tuple(t._version for t in (split.x, split.y, split.boxes, split.masks) if isinstance(t, torch.Tensor))
    except RuntimeError:  # tensors made in inference mode have no version
        return None


def _chosen(index, n: int) -> np.ndarray:
    if isinstance(index, torch.Tensor):
        index = index.detach().cpu().numpy()
    if isinstance(index, (list, tuple, range)) and not len(index):
        index = slice(0, 0)
    try:
        return np.array(np.arange(n)[index if isinstance(index, slice) else np.asarray(index)], ndmin=1)
    except IndexError:
        raise CourseError(
            f"{index!r} does not choose among {n} items.",
            do="Use a place below the length, a slice, a list of places, or a mask of the same length.",
        ) from None


def _fingerprint(split: Split) -> str:
    digest = hashlib.sha256()
    for part in (split.kind, len(split.classes), *split.classes, len(split.ids), *split.ids):
        _add(digest, str(part))
    digest.update(np.ascontiguousarray(split.y.numpy()).astype("<i8").data)
    if split.kind == "text":
        for text in split.x:
            _add(digest, text)
    else:
        _add(digest, str(tuple(split.x.shape)))
        digest.update(np.ascontiguousarray(split.x.numpy()).data)
    if split.boxes is not None:  # a split without boxes keeps the fingerprint that it had before there were any
        digest.update(b"boxes" + np.ascontiguousarray(split.boxes.numpy()).astype("<f4").tobytes())
    if split.masks is not None:
        digest.update(b"masks" + np.ascontiguousarray(split.masks.numpy()).tobytes())
    return digest.hexdigest()


def _add(digest, text: str) -> None:
    data = text.encode("utf-8", "surrogatepass")
    digest.update(len(data).to_bytes(8, "little") + data)  # with its length: ("ab", "c") is not ("a", "bc")
