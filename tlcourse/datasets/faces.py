"""Small faces, and pieces of background that are none."""

from __future__ import annotations

import numpy as np
import torch

from tlcourse import assets
from tlcourse.datasets.partition import partition
from tlcourse.datasets.split import Dataset, Split

CLASSES = ("not a face", "face")


def faces() -> Dataset:
    """100 faces and 100 other pieces of Labeled Faces in the Wild, grey, 25x25 pixels."""
    values = np.load(assets.file("photographs", "lfw_subset.npy"), allow_pickle=False)  # [200, 25, 25] in 0..1
    x = np.rint(values * 255).astype(np.uint8)[:, None]
    y = np.repeat([1, 0], 100)  # the first half are the faces

    def split(name, chosen):
        ids = tuple(f"{CLASSES[y[i]].replace(' ', '-')}/{i:03d}" for i in chosen)
        return Split(name, "image", torch.from_numpy(x[chosen]), torch.from_numpy(y[chosen]), CLASSES, ids)

    groups = [image.tobytes() for image in x]  # should two pieces be the same, they stay together
    places = partition(y, groups, (0.4, 0.1, 0.5), seed=0)
    train, valid, test = (split(n, p) for n, p in zip(("train", "valid", "test"), places, strict=True))
    entry = assets.registry()["photographs"]
    return Dataset(
        "faces",
        "small faces, and pieces of background that are none",
        "image",
        train,
        valid,
        test,
        CLASSES,
        "a subset of Labeled Faces in the Wild (Huang et al. 2007), for research and teaching",
        entry.home,
        (
            "100 faces and 100 pieces cut from the background of the same collection, grey, 25x25 pixels.",
            "Cut at random within each class; who is shown is not known, so one person may be on both sides.",
        ),
    )
