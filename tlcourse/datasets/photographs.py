"""The photographs that arrive inside pip packages."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from tlcourse import assets
from tlcourse.errors import UnknownName

# name -> asset and file
PHOTOGRAPHS = {
    "astronaut": ("photographs", "astronaut.png"),
    "brick": ("photographs", "brick.png"),
    "camera": ("photographs", "camera.png"),
    "cat": ("photographs", "chelsea.png"),
    "cell": ("photographs", "cell.png"),
    "clock": ("photographs", "clock_motion.png"),
    "coffee": ("photographs", "coffee.png"),
    "coins": ("photographs", "coins.png"),
    "flower": ("photographs-sklearn", "flower.jpg"),
    "galaxies": ("photographs", "hubble_deep_field.jpg"),
    "grass": ("photographs", "grass.png"),
    "gravel": ("photographs", "gravel.png"),
    "handwriting": ("photographs", "text.png"),
    "horse": ("photographs", "horse.png"),
    "moon": ("photographs", "moon.png"),
    "motorcycle": ("photographs", "motorcycle_left.png"),
    "motorcycle-right": ("photographs", "motorcycle_right.png"),
    "page": ("photographs", "page.png"),
    "retina": ("photographs", "retina.jpg"),
    "rocket": ("photographs", "rocket.jpg"),
    "temple": ("photographs-sklearn", "china.jpg"),
    "tissue": ("photographs", "ihc.png"),
}


def photograph(name: str) -> torch.Tensor:
    """A packaged photograph.

    Arguments:
        name: one of `PHOTOGRAPHS`, e.g. `"cat"`, `"coffee"` or `"astronaut"`.

    Returns uint8 `[3, h, w]`; grey pictures have three equal channels. Raises `UnknownName`.

    >>> photograph("cat").shape
    torch.Size([3, 300, 451])

    Introduced in chapter 00.
    """
    return torch.from_numpy(pixels(name)).permute(2, 0, 1).contiguous()


def pixels(name: str) -> np.ndarray:
    """A packaged photograph as an array, uint8 `[h, w, 3]`, transparent parts white."""
    if name not in PHOTOGRAPHS:
        raise UnknownName("photograph", name, sorted(PHOTOGRAPHS), do="tlcourse.datasets.PHOTOGRAPHS lists them all.")
    with Image.open(assets.file(*PHOTOGRAPHS[name])) as image:
        if image.has_transparency_data:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        return np.array(image.convert("RGB"))
