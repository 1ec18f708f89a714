"""Handwritten digits: 28x28 pixels from MNIST, and 8x8 pixels from another source."""

from __future__ import annotations

import gzip

import numpy as np
import torch

from tlcourse import assets
from tlcourse.datasets.partition import partition
from tlcourse.datasets.split import Dataset, Split

CLASSES = tuple("0123456789")
SHARES = (0.6, 0.1, 0.3)


def digits() -> Dataset:
    """5,000 digits of MNIST, 28x28 pixels: 300 a class to train, 50 to choose, 150 to test."""
    table = _table("digits", "mnist_5k.csv.gz")
    x, y = table[:, :-1].reshape(-1, 1, 28, 28), table[:, -1].astype(np.int64)
    groups = [image.tobytes() for image in x]  # should two digits be the same, they stay together
    return _dataset(
        "digits",
        "handwritten digits of 28x28 pixels",
        "digits",
        x,
        y,
        partition(y, groups, SHARES, seed=0),
        ("A sample of MNIST (LeCun, Cortes, Burges), 500 a class, white on black.", "Cut at random within each class."),
    )


def digits_small() -> Dataset:
    """1,797 digits of 8x8 pixels, from other writers than MNIST's."""
    table = _table("digits-small", "digits.csv.gz")
    x, y = np.rint(table[:, :-1] * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8), table[:, -1].astype(np.int64)
    ends = np.rint(np.cumsum(SHARES) * len(y)).astype(int)
    places = np.split(np.arange(len(y)), ends[:2])
    return _dataset(
        "digits-small",
        "handwritten digits of 8x8 pixels",
        "digits-small",
        x,
        y,
        places,
        (
            "The 17 grey levels of the source are spread over 0 to 255.",
            "Cut in the order of the file, where one writer's digits stand together: "
            "a random cut would put the same hand on both sides.",
        ),
    )


def _table(asset: str, file: str) -> np.ndarray:
    with gzip.open(assets.file(asset, file), "rt", encoding="ascii") as lines:
        rows = lines.read().split()
    # whole numbers up to 255, read as such: four times as fast as by way of floats
    return np.fromstring(",".join(rows), sep=",", dtype=np.uint8).reshape(len(rows), -1)


def _dataset(name, title, asset, x, y, places, notes) -> Dataset:
    entry = assets.registry()[asset]

    def split(split_name, chosen):
        ids = tuple(f"{name}/{i:04d}" for i in chosen)
        return Split(split_name, "image", torch.from_numpy(x[chosen]), torch.from_numpy(y[chosen]), CLASSES, ids)

    train, valid, test = (split(n, p) for n, p in zip(("train", "valid", "test"), places, strict=True))
    return Dataset(name, title, "image", train, valid, test, CLASSES, entry.licence, entry.home, notes)
