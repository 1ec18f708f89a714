"""MedMNIST of the full profile: many small sets of medical images, each a download of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from tlcourse import assets
from tlcourse.assets.catalogue import megabytes, say
from tlcourse.assets.hubs import from_hub
from tlcourse.datasets.hub import check_memory, kept
from tlcourse.datasets.split import Dataset, Split
from tlcourse.errors import CourseError, UnknownName

SIZES = (28, 64, 128, 224)


def medmnist_folder(which: str = "pathmnist", size: int = 28) -> Path:
    """Where a set of MedMNIST lies; the package medmnist fetches it."""
    made, pixels = _known(which, size)

    def bring(root: Path) -> None:
        say(f"medmnist: fetching {which}, {size}x{size} pixels (at most {megabytes(pixels)}, once)")
        made("val", download=True, root=str(root), size=size)

    return kept("medmnist", bring, part=f"{which}-{size}", size=pixels)


def medmnist(which: str = "pathmnist", size: int = 28) -> Dataset:
    """A set of MedMNIST: small medical images in its own three parts."""
    made, pixels = _known(which, size)
    check_memory(f"{which} of MedMNIST at {size=}", pixels)
    root, splits = medmnist_folder(which, size), []
    for name, theirs in (("train", "train"), ("valid", "val"), ("test", "test")):
        part = from_hub("medmnist", lambda theirs=theirs: made(theirs, root=str(root), size=size), copy=lambda: root)
        images = part.imgs[..., None] if part.imgs.ndim == 3 else part.imgs
        x = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
        y = torch.from_numpy(part.labels.astype(np.int64)).flatten()
        classes = tuple(part.info["label"][str(i)] for i in range(len(part.info["label"])))
        splits.append(Split(name, "image", x, y, classes, tuple(f"{theirs}/{i}" for i in range(len(y)))))
    info = part.info
    return Dataset(
        "medmnist", f"{which} of MedMNIST: {info['task']}, {size}x{size} pixels", "image", *splits, classes,
        f"{info['license']} (as the package medmnist says)", assets.registry()["medmnist"].home, (info["description"],),
    )  # fmt: skip


def _known(which: str, size: int):
    """The package's class for a set, and the bytes of all its pixels; its file is compressed, and no larger."""
    if size not in SIZES:
        raise CourseError(f"size={size!r} is not a size of MedMNIST.", do="Choose 28, 64, 128 or 224.")

    def find():
        from medmnist import INFO, dataset

        known = [name for name, info in INFO.items() if "multi-label" not in info["task"] and "3d" not in name]
        if which not in known:
            raise UnknownName("set of MedMNIST with one label an image", which, known)
        info = INFO[which]
        count = sum(info["n_samples"].values()) * info["n_channels"]
        return getattr(dataset, info["python_class"]), count * size**2

    return from_hub("medmnist", find)
