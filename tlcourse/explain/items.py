"""One image or one sentence, in whatever form a learner hands it over."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from torch import nn

from tlcourse.chain import texts
from tlcourse.chain.core import unwrapped
from tlcourse.datasets import reading
from tlcourse.errors import CourseError
from tlcourse.models import ImageTransform, TextTransform

LARGE = 4_000_000
"""Pixels from which on an image file is read at a smaller size: no model sees more of it."""


def kind_of(model: nn.Module, transform, item=None) -> str:
    """Whether a model takes `"image"` or `"text"`; where model and transform do not tell, the item does.

    >>> kind_of(nn.Identity(), ImageTransform(size=32))
    'image'
    """
    if isinstance(transform, ImageTransform):
        return "image"
    if isinstance(transform, TextTransform) or hasattr(model, "tokenizer") or texts.parts(unwrapped(model)):
        return "text"
    item = getattr(item, "x", item)
    one = item[0] if isinstance(item, tuple) and item else item
    return "text" if isinstance(one, str) and not one.lower().endswith(reading.SUFFIXES) else "image"


def picture(item, transform=None) -> tuple[torch.Tensor, list[str]]:
    """An image as uint8 `[3, h, w]`, and what had to be done to get it.

    Arguments:
        item: a path, the bytes of an image file, a PIL image, an array `[h, w]`, `[h, w, 3]` or `[3, h, w]` (uint8, or
            shares 0..1), or a split of one image.
        transform: the model's; a file of more than 4 million pixels is read at a size that suits it.

    Raises `CourseError` for what is no image, is damaged, or is too large.

    >>> picture(np.zeros((4, 5, 3), "uint8"))[0].shape
    torch.Size([3, 4, 5])
    """
    if isinstance(item, bytes | bytearray | memoryview):
        return _file(io.BytesIO(item), "The file", transform)
    if isinstance(item, str | os.PathLike):
        path = Path(item).expanduser()
        try:
            if not path.is_file():
                return _tensor(reading.read_image(path)), []  # says why it cannot be read
            with open(path, "rb") as file:
                return _file(file, f"The image {str(item)!r}", transform)
        except (OSError, ValueError) as error:
            raise CourseError(f"The image {str(item)[:100]!r} cannot be read.", why=f"{error}.") from None
    if isinstance(item, Image.Image):
        return _file(_saved(item), "The image", transform)
    if getattr(item, "kind", None) == "image":
        item = item.x
    return _tensor(_pixels(item)), []


def sentence(item) -> str:
    """A text as it is, or of a split of one text; raises `CourseError` for what is no text, or empty.

    >>> sentence("Well done.")
    'Well done.'
    """
    if getattr(item, "kind", None) == "text":
        item = item.x
    if isinstance(item, Sequence) and not isinstance(item, str | bytes):
        item = _only(item, "texts")
    if not isinstance(item, str):
        raise CourseError(f"A text is needed, not a {type(item).__name__}.", do='Pass one sentence, e.g. "Well done."')
    if not item.strip():
        raise CourseError("The text is empty.", do="Write at least one word.")
    return item.encode("utf-8", "replace").decode()  # half of a character that was cut in two


def _file(file, name: str, transform) -> tuple[torch.Tensor, list[str]]:
    try:
        size = None
        if isinstance(transform, ImageTransform) and not transform.squash and _pixels_of(file) > LARGE:
            # twice the side that the model's square is cut from
            size = max(512, 2 * round(transform.size / transform.crop))
        file.seek(0)
        made, done = reading.decode(file, size)
    except reading.Unreadable as reason:
        raise CourseError(
            f"{name} cannot be read.",
            why=f"{reason}.",
            do="Try another file, or open this one in an image viewer and save it anew as PNG.",
        ) from None
    return _tensor(np.ascontiguousarray(made)), [note for note in done if "enlarged" not in note]


def _saved(image: Image.Image) -> io.BytesIO:
    """An image as the file that it could have come from, so that there is one way to read one."""
    made = io.BytesIO()
    try:
        exif = image.getexif()
        if image.mode not in ("1", "L", "LA", "P", "RGB", "RGBA", "F") and not image.mode.startswith("I"):
            image = image.convert({"PA": "RGBA", "RGBa": "RGBA", "La": "LA"}.get(image.mode, "RGB"))
        image.save(made, "TIFF" if image.mode.startswith(("I", "F")) else "PNG", exif=exif)
    except Exception as error:  # a damaged file is read only when its pixels are asked for
        raise CourseError("The image cannot be read.", why=f"{error or type(error).__name__}.") from None
    made.seek(0)
    return made


def _pixels_of(file) -> int:
    """How many pixels a file says that it has; 0 if it does not say."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if file.read(3) == b"\xff\xd8\xff":
                file.seek(0)
                image = JpegImageFile(file)  # Image.open refuses large ones
            else:
                file.seek(0)
                image = Image.open(file, formats=reading.FORMATS)
        return image.width * image.height
    except Exception:  # decoding it will say what is wrong
        return 0


def _pixels(item) -> np.ndarray:
    if isinstance(item, torch.Tensor):
        item = item.detach().cpu().numpy()
    if isinstance(item, list | tuple):
        item = _only(item, "images")
        return _pixels(item) if isinstance(item, torch.Tensor) else _pixels(np.asarray(item))
    x = item if isinstance(item, np.ndarray) else None
    if x is None or x.dtype.kind not in "fiub":
        raise CourseError(
            f"A {type(item).__name__} is not an image." if x is None else f"An array of {x.dtype} is not an image.",
            do="Pass a path, the bytes of an image file, a PIL image, or an array [height, width, 3] of uint8.",
        )
    if x.ndim == 4:
        x = _only(x, "images")
    x = x[..., None] if x.ndim == 2 else x
    if x.ndim == 3 and x.shape[0] in (1, 3) and x.shape[2] not in (1, 3, 4):  # of both, the colours stand last
        x = x.transpose(1, 2, 0)
    if x.ndim != 3 or x.shape[2] not in (1, 3, 4) or 0 in x.shape:
        raise CourseError(
            f"An image needs the shape [height, width, 3] or [3, height, width], this one has {list(x.shape)}.",
            do="Bring the colours to the end or to the front.",
        )
    if x.dtype != np.uint8:
        x = _levels(x)
    if x.shape[2] == 4:
        white = Image.new("RGBA", (x.shape[1], x.shape[0]), "white")
        x = np.asarray(Image.alpha_composite(white, Image.fromarray(np.ascontiguousarray(x))).convert("RGB"))
    return x


def _levels(x: np.ndarray) -> np.ndarray:
    low, high = float(np.min(x)), float(np.max(x))
    if x.dtype.kind in "fb" and 0 <= low <= high <= 1:
        return np.rint(x.astype(np.float64) * 255).astype(np.uint8)
    if x.dtype.kind in "iu" and 0 <= low <= high <= 255:
        return x.astype(np.uint8)
    raise CourseError(
        f"These are not pixels: {x.dtype} from {low:.3g} to {high:.3g}.",
        why="They look like a network's input, already normalised." if x.dtype.kind == "f" else "",
        do="Pass the image as it was before the transform: uint8, 0 to 255.",
    )


def _only(items, what: str):
    if len(items) != 1:
        raise CourseError(f"One is needed, not {len(items)} {what}.", do="Pass them one at a time, e.g. data.test[3].")
    return items[0]


def _tensor(pixels) -> torch.Tensor:
    if isinstance(pixels, torch.Tensor):
        return pixels
    made = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)).copy())
    return made.expand(3, -1, -1)
