"""`from_folder`: a learner's own images."""

from __future__ import annotations

import os
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
import psutil
import torch

from tlcourse.datasets.listing import SIDES, Listing, list_images, printable
from tlcourse.datasets.partition import checked_shares, partition
from tlcourse.datasets.reading import Unreadable, read_pixels
from tlcourse.datasets.split import Dataset, Split
from tlcourse.errors import CourseError
from tlcourse.hardware import progress_bar


def from_folder(
    path: str | os.PathLike,
    *,
    size: int = 256,
    splits: Sequence[float] = (0.6, 0.2, 0.2),
    seed: int = 0,
    skip_unreadable: bool = False,
    progress: bool | None = None,
) -> Dataset:
    """A data set from a folder of images with one folder for each class.

    Arguments:
        path: the folder. It may also hold `train`, `valid` (or `val`) and `test`, each with a folder for each class.
        size: side in pixels; the middle square of each image is scaled to it.
        splits: shares of train, valid and test, where the folder does not say.
        seed: of the split; another one chooses other images.
        skip_unreadable: leave out damaged files, and list them in the notes, instead of stopping.
        progress: whether to show a bar; by default where someone looks.

    Returns a `Dataset` of uint8 `[n, 3, size, size]`; equal images are all in one split. Raises `CourseError`, with
    what to change, when the folder holds no classes, too few images, or files that cannot be read.

    >>> import tempfile
    >>> from PIL import Image
    >>> root = Path(tempfile.mkdtemp())
    >>> for name in ("dark", "light"):
    ...     (root / name).mkdir()
    ...     for i in range(5):
    ...         Image.new("L", (40, 30), 200 * (name == "light") + i).save(root / name / f"{i}.png")
    >>> from_folder(root, size=32).train.counts()
    {'dark': 3, 'light': 3}

    Shown in the README, "Outside the notebooks".
    """
    shares = checked_shares(splits)
    if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= 4096:
        raise CourseError(f"size={size!r} is not a number of pixels.", do="Choose a whole number, e.g. size=224.")
    root = Path(path).expanduser()
    listing = list_images(root)
    _enough_memory(len(listing.files), size)
    x, kept, hashes, notes = _read_all(root, listing, size, skip_unreadable, progress)
    y = np.array([listing.labels[i] for i in kept], dtype=np.int64)
    _enough(y, hashes, listing.classes)
    given = None if listing.sides is None else np.array([listing.sides[i] for i in kept])
    sides, more = _sides(y, hashes, given, shares, seed)
    ids = [
        f"{printable(listing.files[i].relative_to(root).as_posix())}#{h[:12]}"
        for i, h in zip(kept, hashes, strict=True)
    ]
    notes = [*listing.notes, *notes, *more, *_conflicts(y, hashes, listing.classes, ids)]

    order = np.concatenate([*sides, np.setdiff1d(np.arange(len(y)), np.concatenate(sides))])
    _reorder(x, order)  # then each split is a piece of one array, and nothing is in memory twice
    tensor, ends = torch.from_numpy(x), np.cumsum([0, *map(len, sides)])
    made = [
        Split(
            name, "image", tensor[a:b], torch.from_numpy(y[chosen]), listing.classes, tuple(ids[i] for i in chosen)
        )
        for name, chosen, a, b in zip(SIDES, sides, ends[:-1], ends[1:], strict=True)
    ]  # fmt: skip
    for split in made:
        missing = [name for name, n in split.counts().items() if not n]
        if missing and len(split):
            notes.append(f"No image of {', '.join(missing)} is in {split.name}.")
    return Dataset(
        name=printable(root.resolve().name) or "folder",
        title=f"{sum(map(len, made))} images of {len(listing.classes)} classes, {size}x{size} pixels",
        kind="image",
        train=made[0],
        valid=made[1],
        test=made[2],
        classes=listing.classes,
        licence="as the owner of the images says",
        source=printable(str(root)),
        notes=tuple(notes),
    )


def _enough_memory(n: int, size: int) -> None:
    need, free = n * 3 * size * size, psutil.virtual_memory().available
    if need > 0.7 * free:
        smaller = next((s for s in (192, 160, 128, 96, 64, 32) if s < size and n * 3 * s * s < 0.5 * free), None)
        raise CourseError(
            f"{n:,} images of {size}x{size} pixels take {need / 1e9:.1f} GB of memory; {free / 1e9:.1f} GB are free.",
            do=f"Read them smaller: size={smaller}." if smaller else "Use a part of the images.",
        )


def _read_all(root, listing: Listing, size, skip_unreadable, progress):
    """All readable images `[n, 3, size, size]`, their places in the listing, their hashes, and notes."""
    x = np.empty((len(listing.files), 3, size, size), dtype=np.uint8)
    kept, hashes, done, broken = [], [], {}, []
    for i, file in enumerate(progress_bar(listing.files, "reading images", progress)):
        name = printable(file.relative_to(root).as_posix())
        try:
            pixels, remarks = read_pixels(file, size)
        except Unreadable as reason:
            broken.append(f"{name}: {reason}")
            continue
        row = x[len(kept)]
        row[:] = pixels.transpose(2, 0, 1)
        kept.append(i)
        hashes.append(sha256(row.data).hexdigest())
        for remark in remarks:
            done.setdefault(remark, []).append(name)
    notes = [f"{_some(names)}: {remark}." for remark, names in done.items()]
    if broken and not (skip_unreadable and kept):
        raise CourseError(
            f"{len(broken)} of {len(listing.files)} images cannot be read.",
            why=_some(broken, 5, "; "),
            do="Replace them."
            if not kept
            else f"Mend or remove them, or type from_folder({printable(str(root))!r}, skip_unreadable=True).",
        )
    if broken:
        notes.append(f"{len(broken)} unreadable files were left out: {_some(broken, 20, '; ')}.")
    return x[: len(kept)], kept, hashes, notes


def _enough(y, hashes, classes) -> None:
    """Every class can be in train and in test."""
    different = {(c, h) for c, h in zip(y.tolist(), hashes, strict=True)}
    counts = np.bincount([c for c, _ in different], minlength=len(classes))
    few = [f"{name!r} has {n}" for name, n in zip(classes, counts.tolist(), strict=True) if n < 2]
    if few:
        raise CourseError(
            "Every class needs at least two different images: one to learn from and one to test on.",
            why=f"{_some(few)}.",
            do="Add images (twenty a class are a good start), or remove these folders.",
        )


def _sides(y, hashes, given, shares, seed) -> tuple[list[np.ndarray], list[str]]:
    """Places of train, valid and test, and notes."""
    if given is None:
        return list(partition(y, hashes, shares, seed)), []
    notes, side = [], given.copy()
    for missing, share in ((2, shares[2]), (1, shares[1])):
        if not (side == missing).any() and share:
            own = np.flatnonzero(side == 0)
            _, _, cut = partition(y[own], [hashes[i] for i in own], (1 - share, 0, share), seed)
            side[own[cut]] = missing
            notes.append(f"There is no {SIDES[missing]} folder: {len(cut)} images of train became {SIDES[missing]}.")
    seen: dict[str, int] = {}
    for i, h in enumerate(hashes):
        seen[h] = max(seen.get(h, 0), side[i])
    twice = np.array([side[i] < seen[h] for i, h in enumerate(hashes)], dtype=bool)
    if twice.any():
        notes.append(f"{twice.sum()} images stood in two of train, valid and test, and are kept in the later one only.")
    sides = [np.flatnonzero((side == s) & ~twice) for s in range(3)]
    if not len(sides[0]) or len(np.unique(y[sides[0]])) < y.max() + 1:
        raise CourseError(
            "The train folder does not hold images of every class that could be learned from.",
            why="A class is missing there, or all its images are in the test folder as well.",
            do="Give every class images of its own in train.",
        )
    return sides, notes


def _conflicts(y, hashes, classes, ids) -> list[str]:
    labels: dict[str, dict[int, int]] = {}
    for i, h in enumerate(hashes):
        labels.setdefault(h, {})[int(y[i])] = i
    both = [", ".join(ids[i].rpartition("#")[0] for i in where.values()) for where in labels.values() if len(where) > 1]
    return [f"{len(both)} images stand in more than one class: {_some(both, 3, '; ')}."] if both else []


def _reorder(x: np.ndarray, order: np.ndarray) -> None:
    """`x[:] = x[order]` with the memory of one row."""
    done = np.zeros(len(order), dtype=bool)
    for start in range(len(order)):
        if done[start]:
            continue
        spare, i = x[start].copy(), start
        while not done[i]:
            done[i] = True
            x[i] = x[order[i]] if order[i] != start else spare
            i = order[i]


def _some(names: list[str], n: int = 4, between: str = ", ") -> str:
    return between.join(names[:n]) + (f" and {len(names) - n} more" if len(names) > n else "")
