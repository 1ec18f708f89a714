"""Keras's ResNet50 of chapter 03, with the weights that Keras fetches."""

from __future__ import annotations

import os
from pathlib import Path

from tlcourse import assets, settings
from tlcourse.assets.hubs import check_profile, from_hub
from tlcourse.errors import CourseError, whole_number

NAME = "keras:resnet50"


def cache() -> Path:
    """The folder in which Keras keeps what it fetches; it need not exist."""
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")


def kept_file() -> Path | None:
    """The file with the weights in Keras's cache, or None where it is not on this machine."""
    file = cache() / "models" / assets.registry()[NAME].version
    return file if file.is_file() else None


def keras_resnet50(size: int = 64):
    """Keras's ResNet50 with the weights it learned on ImageNet, without its top: images -> maps of 2,048 channels.

    Arguments:
        size: side of the images in pixels, from 32.

    Raises `CourseError` in the small profile, and when the weights cannot be had.

    >>> keras_resnet50().output_shape  # doctest: +SKIP
    (None, 2, 2, 2048)
    """
    check_profile(NAME)
    size = whole_number("size", size, 32)
    if settings.offline() and not kept_file():
        raise CourseError(
            f"{NAME} is not on this machine, and TLCOURSE_OFFLINE forbids downloads.",
            do=f"Unset TLCOURSE_OFFLINE, and run `tlcourse fetch --profile full {NAME}` where there is a network.",
        )
    os.environ.setdefault("KERAS_BACKEND", "torch")

    def make():
        import keras

        # by the file's name Keras asks nobody; by the set's name it fetches, also what it finds damaged
        weights = str(kept_file()) if settings.offline() else "imagenet"
        return keras.applications.ResNet50(weights=weights, include_top=False, input_shape=(size, size, 3))

    return from_hub(NAME, make, copy=kept_file)
