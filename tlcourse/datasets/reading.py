"""Any image file to 8-bit RGB pixels, safely: what is broken or far too large is refused with a reason."""

from __future__ import annotations

import os
import stat
import warnings
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from tlcourse.errors import CourseError

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".avif")
# Only formats that hold plain pixels: Pillow would hand some others (EPS) to an outside program.
FORMATS = ("PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "AVIF")
PIXEL_LIMIT = 64_000_000  # pixels that are decoded at once, about 256 MB
JPEG_LIMIT = 1_000_000_000  # pixels of a JPEG file, which is decoded at a fraction of its size
PROGRESSIVE_LIMIT = 150_000_000  # a progressive one is held whole while it is decoded
# 16 bits to 8, with one scale for all files, so that dark ones stay darker than bright ones
LEVELS = np.rint(np.arange(65536) / 257).astype(np.uint8)


class Unreadable(Exception):
    """An image that cannot be used; the message is the reason, without the file's name."""


def read_image(path: str | os.PathLike, size: int | None = None) -> torch.Tensor:
    """An image file as a model's transform takes it.

    Arguments:
        path: a JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF or PPM file.
        size: side in pixels of the square that is cut from the middle and scaled; None leaves the image as it is.

    Returns uint8 `[3, h, w]`: turned as the camera says, transparent parts white, 16 bits scaled to 8, of an
    animation the first picture. Raises `CourseError` with the reason if the file is no image or is damaged.

    >>> from tlcourse import assets
    >>> read_image(assets.file("photographs", "chelsea.png"), size=128).shape
    torch.Size([3, 128, 128])

    Shown in the README, "Outside the notebooks".
    """
    try:
        return torch.from_numpy(read_pixels(Path(path).expanduser(), size)[0].copy()).permute(2, 0, 1).contiguous()
    except Unreadable as reason:
        raise CourseError(
            f"The image {str(path)!r} cannot be read.", why=f"{reason}.", do=_what_next(Path(path).expanduser())
        ) from None


def _what_next(path: Path) -> str:
    if path.exists():
        return "Try another file, or open this one in an image viewer and save it anew as PNG."
    return f"The file was looked for as {path.absolute()}: put it there, or give its whole path."


def read_pixels(path: Path, size: int | None) -> tuple[np.ndarray, list[str]]:
    """Pixels, uint8 `[h, w, 3]`, and what had to be done to get them; raises `Unreadable`."""
    try:
        facts = os.stat(path)
        if not stat.S_ISREG(facts.st_mode):  # a pipe would never end
            raise Unreadable("it is not a file")
        file = open(path, "rb")  # noqa: SIM115
    except FileNotFoundError:
        raise Unreadable("there is no such file, or it is a link that leads nowhere") from None
    except PermissionError:
        raise Unreadable("you may not read this file") from None
    except (OSError, ValueError) as error:
        raise Unreadable(_damaged(error)) from None
    with file:
        return decode(file, size)


def decode(file: BinaryIO, size: int | None = None) -> tuple[np.ndarray, list[str]]:
    """Pixels of an open image file, uint8 `[h, w, 3]`, and what had to be done to get them; raises `Unreadable`."""
    start = b""
    try:
        start = file.read(64)
        if not start:
            raise Unreadable("the file is empty (0 bytes)")
        file.seek(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's remarks on odd metadata; its size limit is replaced by ours
            return _decoded(file, size)
    except Unreadable:
        raise
    except UnidentifiedImageError:
        raise Unreadable(_what_it_is(start)) from None
    except Image.DecompressionBombError:
        raise Unreadable(f"it has more than {PIXEL_LIMIT / 1e6:.0f} million pixels; scale it down first") from None
    except Exception as error:  # Pillow's readers raise many kinds on damaged files
        raise Unreadable(_damaged(error)) from None


def _damaged(error: Exception) -> str:
    return f"the file is damaged ({error or type(error).__name__})".replace("\n", " ")[:200]


def _decoded(file, size: int | None) -> tuple[np.ndarray, list[str]]:
    start = file.read(3)
    file.seek(0)
    done: list[str] = []
    if start == b"\xff\xd8\xff":
        image = _jpeg(file, size)
    else:
        image = Image.open(file, formats=FORMATS)
        if getattr(image, "is_animated", False):
            image.seek(0)
            done.append("several pictures in one file: the first is used")
        if image.format == "TIFF" and image.tag_v2.get(284) == 2 and max(image.tag_v2.get(258, (8,))) > 8:
            # Pillow reads these wrongly without saying so
            raise Unreadable("its 16-bit colours lie in separate planes; save it as PNG")
    with image:
        _within(image.width * image.height, PIXEL_LIMIT)
        image.load()
        image = _eight_bits(image, done)
        if image.has_transparency_data:
            image = _on_white(image, size)
            done.append("transparent parts laid on white")
        turned = ImageOps.exif_transpose(image)
        return np.asarray(_square(turned, size, done).convert("RGB")), done


def _jpeg(file, size: int | None) -> JpegImageFile:
    image = JpegImageFile(file)  # not by Image.open: it refuses large ones before they can be reduced
    limit = PROGRESSIVE_LIMIT if image.info.get("progressive") else JPEG_LIMIT
    _within(image.width * image.height, limit)
    if size is not None:
        # decode at 1/2, 1/4 or 1/8, not below twice the wanted size
        scale = 2 * size / min(image.size)
        if scale < 1:
            image.draft(None, (round(image.width * scale), round(image.height * scale)))
    return image


def _within(pixels: int, limit: int) -> None:
    if pixels > limit:
        raise Unreadable(
            f"it has {pixels / 1e6:.0f} million pixels, more than {limit / 1e6:.0f} million; scale it down first"
        )


def _eight_bits(image: Image.Image, done: list[str]) -> Image.Image:
    """Grey levels of 16 or 32 bits as 8 bits, scaled rather than cut off; anything else as it is."""
    if not image.mode.startswith(("I", "F")):
        return image
    if image.mode.startswith("I;16"):
        values = np.asarray(image)
        scaled = LEVELS[values.astype(np.uint16, copy=False)]
        return _finished(image, scaled, int(values.max()) < 4096, done)
    values = np.nan_to_num(np.asarray(image).astype(np.float32), posinf=0, neginf=0)
    low, high = float(values.min()), float(values.max())
    if image.mode == "F" and low >= 0 and high <= 1:
        bottom, top = 0.0, 1.0
    elif image.mode.startswith("I") and low >= 0 and high <= 65535:
        bottom, top = 0.0, 65535.0
    elif image.mode == "F" and low >= 0 and high <= 255:
        bottom, top = 0.0, 255.0
    else:
        bottom, top = low, max(high, low + 1e-6)
    scaled = np.rint((values - bottom) * (255 / (top - bottom))).astype(np.uint8)
    return _finished(image, scaled, top == 65535 and high < 4096, done)


def _finished(image: Image.Image, scaled: np.ndarray, dark: bool, done: list[str]) -> Image.Image:
    done.append("grey levels of more than 8 bits scaled to 8")
    if dark:
        done.append("16-bit images that use only the darkest 12 bits, and so are very dark")
    made = Image.fromarray(scaled)
    made.info.update({key: value for key, value in image.info.items() if key == "exif"})
    return made


def _on_white(image: Image.Image, size: int | None) -> Image.Image:
    image = image if image.mode == "RGBA" else image.convert("RGBA")
    factor = 1 if size is None else min(image.size) // (2 * size)
    if factor > 1:  # a large one first to twice the size, colours weighted by how opaque they are: it takes less memory
        image = image.convert("RGBa").reduce(factor).convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)


def _square(image: Image.Image, size: int | None, done: list[str]) -> Image.Image:
    if size is None:
        return image
    if image.mode not in ("L", "RGB", "CMYK"):
        image = image.convert("RGB")
    side = min(image.size)
    if side < size:
        done.append(f"smaller than {size} pixels, enlarged")
    left, top = (image.width - side) / 2, (image.height - side) / 2
    # The middle square is scaled alone: a picture of 30,000 x 10 pixels is never made 256 pixels high.
    return image.resize((size, size), Image.Resampling.BICUBIC, (left, top, left + side, top + side), reducing_gap=3.0)


def _what_it_is(start: bytes) -> str:
    if start[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypmsf1", b"ftyphevc"):
        return "it is a HEIC image of a telephone; save it as JPEG"
    if start.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml", b"<svg")):
        return "it is a web page or a drawing, not an image of pixels"
    if all(byte >= 32 or byte in (9, 10, 13) for byte in start):
        return f"it is text, not an image: it begins with {start[:20].decode('utf-8', 'replace')!r}"
    return "it is not an image in a format that can be read, or its beginning is damaged"
