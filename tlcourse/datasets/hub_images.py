"""Images of the full profile: EuroSAT and the pets' masks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from tlcourse import assets
from tlcourse.assets.hubs import from_hub
from tlcourse.datasets.hub import check_memory, kept
from tlcourse.datasets.partition import partition
from tlcourse.datasets.split import Dataset, Split
from tlcourse.errors import whole_number

SHARES = (0.6, 0.2, 0.2)
PETS = 7_349
MASK_CLASSES = ("pet", "ground", "border")


def eurosat_folder() -> Path:
    """Where EuroSAT lies; torchvision fetches it."""
    from torchvision.datasets import EuroSAT

    return kept("eurosat", lambda root: EuroSAT(root, download=True), unpacked=["eurosat/2750"])


def eurosat() -> Dataset:
    """Satellite images of 64x64 pixels, of ten kinds of land."""
    from torchvision.datasets import EuroSAT

    root = eurosat_folder()
    found = _read("eurosat", root, lambda: EuroSAT(root))
    y = torch.tensor(found.targets)
    x = torch.empty(len(y), 3, 64, 64, dtype=torch.uint8)

    def read():
        for i, (path, _) in enumerate(found.samples):
            x[i] = _pixels(found.loader(path), 64)

    _read("eurosat", root, read)
    ids = [Path(path).stem for path, _ in found.samples]
    return _dataset(
        "eurosat", "satellite images of ten kinds of land, colour, 64x64 pixels", x, y, tuple(found.classes), ids,
        "EuroSAT has one part only; it is divided here at random, each class in its share. Neighbouring pieces of one "
        "satellite image can lie on both sides, so the test is easier than a new region would be.",
    )  # fmt: skip


def pets_folder() -> Path:
    """Where the pets lie; torchvision fetches them."""
    from torchvision.datasets import OxfordIIITPet

    unpacked = ["oxford-iiit-pet/images", "oxford-iiit-pet/annotations"]
    return kept("pet-masks", lambda root: OxfordIIITPet(root, download=True), unpacked)


def pet_masks(size: int = 128) -> Dataset:
    """Photographs of cats and dogs, with the class of each pixel: 0 pet, 1 ground, 2 a border that nobody judged."""
    from torchvision.datasets import OxfordIIITPet

    size = whole_number("size", size, 32)
    check_memory(f"pet-masks at {size=}", PETS * 4 * size**2)  # colours and mask
    root = pets_folder()

    def read(part: str):
        found = OxfordIIITPet(root, part, target_types=["category", "segmentation"])
        x = torch.empty(len(found), 3, size, size, dtype=torch.uint8)
        masks, y = torch.empty(len(found), size, size, dtype=torch.uint8), torch.empty(len(found), dtype=torch.int64)
        for i in range(len(found)):
            image, (number, mask) = found[i]
            x[i], y[i], masks[i] = _pixels(image, size), number, _pixels(mask, size, nearest=True)[0] - 1
        return x, y, masks, [path.stem for path in found._images], tuple(found.classes)

    x, y, masks, ids, classes = _read("pet-masks", root, lambda: read("trainval"))
    train, *fifth = partition(y.tolist(), range(len(y)), (0.8, 0.1, 0.1))
    valid = np.sort(np.concatenate(fifth))
    rest = _read("pet-masks", root, lambda: read("test"))

    def split(name, where):
        return Split(name, "image", x[where], y[where], classes, tuple(ids[i] for i in where), masks=masks[where])

    asset = assets.registry()["pet-masks"]
    return Dataset(
        "pet-masks",
        f"photographs of cats and dogs of 37 breeds with a mask, colour, {size}x{size} pixels",
        "image",
        split("train", train),
        split("valid", valid),
        Split("test", "image", rest[0], rest[1], classes, tuple(rest[3]), masks=rest[2]),
        classes,
        asset.licence,
        asset.home,
        (
            "split.masks holds 0 for the pet, 1 for the ground, and 2 for a border of some pixels that nobody judged.",
            "Each photograph is resized to a square; its proportions are lost.",
            "The test part is the published one; a fifth of the published training part is kept for choosing.",
        ),
    )


def _read(name: str, root: Path, make: Callable):
    """What `make()` reads from a kept folder; if it cannot, the folder is named."""
    return from_hub(name, make, copy=lambda: root)


def _pixels(image, size: int, nearest: bool = False) -> torch.Tensor:
    from PIL import Image

    if image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.NEAREST if nearest else Image.Resampling.BICUBIC)
    pixels = np.asarray(image)
    return torch.from_numpy(np.array(pixels if pixels.ndim == 3 else pixels[..., None])).permute(2, 0, 1)


def _dataset(name, title, x, y, classes, ids, note) -> Dataset:
    asset = assets.registry()[name]
    splits = [
        Split(part, "image", x[where], y[where], classes, tuple(ids[i] for i in where))
        for part, where in zip(("train", "valid", "test"), partition(y.tolist(), range(len(y)), SHARES), strict=True)
    ]
    return Dataset(name, title, "image", *splits, classes, asset.licence, asset.home, (note,))
