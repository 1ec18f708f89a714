"""Pixels to model input, as the weights expect them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torchvision.transforms.v2 import InterpolationMode, functional

from tlcourse.errors import CourseError


@dataclass(frozen=True)
class ImageTransform:
    """Resize, crop the centre, scale to 0..1 and normalise, with the numbers of the checkpoint.

    Arguments:
        size: side of the square that the model sees, in pixels.
        crop: which part of the resized short side is kept, 0..1; the border is cut off.
        interpolation: `"bicubic"` or `"bilinear"`.
        mean, std: one number a channel, in the scale 0..1.
        squash: resize to a square, as some checkpoints were trained; else the proportions are kept.

    Call it with images in uint8: a tensor `[n, c, h, w]` or `[c, h, w]` (`c` is 1 or 3), a PIL image,
    or a list of these, of any sizes. Returns float32 `[n, 3, size, size]`.

    >>> import torch
    >>> transform = ImageTransform(size=8, crop=1.0, mean=(0.5,) * 3, std=(0.5,) * 3)
    >>> transform(torch.zeros(2, 1, 4, 4, dtype=torch.uint8)).shape
    torch.Size([2, 3, 8, 8])

    Introduced in chapter 03.
    """

    size: int
    crop: float = 0.875
    interpolation: str = "bicubic"
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    squash: bool = False

    def __call__(self, images) -> torch.Tensor:
        if isinstance(images, torch.Tensor) and images.ndim == 4:
            return self._prepared(images)
        if isinstance(images, Sequence):
            if not images:
                raise CourseError("There are no images to transform.", do="Pass at least one.")
            return torch.cat([self._prepared(_pixels(image)[None]) for image in images])
        return self._prepared(_pixels(images)[None])

    def _prepared(self, x: torch.Tensor) -> torch.Tensor:
        if x.dtype != torch.uint8:
            raise CourseError(
                f"Images must be uint8 (0 to 255), these are {x.dtype}.",
                why="The mean and the spread of the checkpoint hold for one scale only.",
                do="Pass the pixels as they were loaded: transform once, not twice.",
            )
        if x.ndim != 4 or x.shape[1] not in (1, 3) or 0 in x.shape:
            raise CourseError(
                f"Images must have the shape [n, 1 or 3, height, width], these have {list(x.shape)}.",
                do="Move the channels to the front, e.g. x.permute(0, 3, 1, 2), and drop an alpha channel.",
            )
        x = x.expand(-1, 3, -1, -1)
        if not self.squash and max(x.shape[-2:]) > 3 * min(x.shape[-2:]):
            # only the centre is kept in the end: the rest of a long strip is not worth resizing
            x = functional.center_crop(x, [min(side, 3 * min(x.shape[-2:])) for side in x.shape[-2:]])
        short = math.floor(self.size / self.crop + 1e-6)  # as timm rounds; the rest is for 256 = 224 / (224 / 256)
        to = [short, short] if self.squash else [short]
        if min(x.shape[-2:]) != short or self.squash:
            x = functional.resize(x, to, InterpolationMode(self.interpolation), antialias=True)
        x = functional.center_crop(x, [self.size, self.size])
        x = functional.to_dtype(x, torch.float32, scale=True)
        return functional.normalize(x, self.mean, self.std, inplace=True)

    def inverse(self, x: torch.Tensor) -> torch.Tensor:
        """Model input `[n, 3, s, s]` back to uint8 pixels, for showing what the model saw."""
        mean, std = (torch.tensor(v, device=x.device)[:, None, None] for v in (self.mean, self.std))
        return ((x * std + mean).clamp(0, 1) * 255).round().to(torch.uint8)


def _pixels(image) -> torch.Tensor:
    if isinstance(image, torch.Tensor):
        return image[None] if image.ndim == 2 else image
    from PIL import Image

    if isinstance(image, Image.Image):
        return functional.pil_to_tensor(image.convert("RGB"))
    raise CourseError(
        f"A {type(image).__name__} is not an image that can be transformed.",
        do="Pass a uint8 tensor [channels, height, width] or a PIL image.",
    )
