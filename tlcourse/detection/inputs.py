"""What detectors read: maps of a frozen backbone by stage, and the true boxes of each image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from tlcourse.datasets.boxes import check_inside
from tlcourse.errors import CourseError
from tlcourse.features import Features

_MAPS = 'Keep them: maps = extract(body, data.train, ["stage3", "stage5"]).'


def as_maps(maps: Mapping) -> dict[str, torch.Tensor]:
    """Maps by stage as tensors `[n, c, h, w]`; raises `CourseError` for anything else.

    >>> {stage: list(x.shape) for stage, x in as_maps({"stage3": torch.zeros(2, 40, 4, 4)}).items()}
    {'stage3': [2, 40, 4, 4]}
    """
    if isinstance(maps, Features):
        maps = {maps.stage: maps}
    if not isinstance(maps, Mapping) or not maps:
        raise CourseError(f"A detector reads maps by stage, not a {type(maps).__name__}.", do=_MAPS)
    found = {}
    for stage, values in maps.items():
        x = values.x if isinstance(values, Features) else values
        if not isinstance(x, torch.Tensor) or x.ndim != 4 or 0 in x.shape[1:] or getattr(values, "views", 1) > 1:
            shape = list(x.shape[1:]) if isinstance(x, torch.Tensor) else type(x).__name__
            raise CourseError(
                f"What is kept of stage {stage!r} is no map: each item has the shape {shape}.",
                why="To say where something is, a detector needs places: channels, height and width.",
                do=_MAPS,
            )
        found[stage] = x
    if len({len(x) for x in found.values()}) > 1:
        counts = ", ".join(f"{stage} {len(x)}" for stage, x in found.items())
        raise CourseError(f"The stages hold maps of different numbers of images: {counts}.", do=_MAPS)
    return found


def read_maps(detector, maps) -> dict[str, torch.Tensor]:
    """The maps that a detector reads, in its order; raises `CourseError` where one is missing, or another's.

    Arguments:
        detector: has `stages`, and `channels` of their maps.
        maps: by stage, perhaps of more stages.
    """
    maps = as_maps(maps)
    missing = [stage for stage in detector.stages if stage not in maps]
    if missing:
        raise CourseError(
            f"The detector reads maps of {', '.join(detector.stages)}; {', '.join(missing)} is not among them.",
            do=f"Keep them: extract(body, data, {list(detector.stages)}).",
        )
    maps = {stage: maps[stage] for stage in detector.stages}
    for (stage, x), channels in zip(maps.items(), getattr(detector, "channels", ()), strict=False):
        if x.shape[1] != channels:
            raise CourseError(
                f"The maps of {stage!r} have {x.shape[1]} channels; the detector was made for {channels}.",
                why="They are another stage's, or another backbone's.",
                do=f"Keep them with the backbone that it was made for: extract(body, data, {list(detector.stages)}).",
            )
    return maps


def as_boxes(boxes, n: int, height: int, width: int) -> list[torch.Tensor]:
    """The boxes of each of `n` images, `[k, 4]` in pixels; `k` is 0 where there is nothing.

    Arguments:
        boxes: a tensor `[n, k, 4]`, rows of NaN where an image has fewer; or a list of `n` tensors `[k, 4]`.
        n: how many images there are.
        height, width: of the images, in pixels.

    Raises `CourseError` for boxes that are empty, inverted, or not all inside their image.

    >>> [len(b) for b in as_boxes([[], [[0, 0, 4, 4]]], n=2, height=8, width=8)]
    [0, 1]
    """
    boxes = torch.from_numpy(boxes) if isinstance(boxes, np.ndarray) else boxes
    if boxes is None or isinstance(boxes, str) or not isinstance(boxes, torch.Tensor | Sequence):
        raise CourseError(
            f"The boxes of images are needed, not {'none' if boxes is None else f'a {type(boxes).__name__}'}.",
            do="Pass split.boxes, or a list with one tensor [k, 4] for each image.",
        )
    if isinstance(boxes, torch.Tensor) and not boxes.ndim:
        raise CourseError("One number is no box.", do="Pass split.boxes, or a list with one tensor [k, 4] an image.")
    if len(boxes) != n:
        raise CourseError(f"There are {n} images, and boxes of {len(boxes)}.", do="Pass both of one split.")
    found = []
    for i, rows in enumerate(boxes):
        try:
            rows = torch.as_tensor(rows, dtype=torch.float32).detach().cpu()
        except (TypeError, ValueError, RuntimeError):
            raise CourseError(
                f"The boxes of image {i} are not numbers of the shape [k, 4].",
                do="Pass left, top, right and bottom in pixels for each; [] for an image with nothing in it.",
            ) from None
        rows = rows.reshape(-1, 4) if rows.numel() == 0 else rows[None] if rows.ndim == 1 else rows
        if rows.ndim != 2 or rows.shape[1] != 4:
            raise CourseError(
                f"Image {i} has boxes of the shape {list(rows.shape)}; each needs four numbers.",
                do="Pass left, top, right and bottom in pixels: [k, 4] an image.",
            )
        found.append(rows)
    most = max([len(rows) for rows in found], default=0)
    padded = torch.full((n, most, 4), torch.nan)
    for i, rows in enumerate(found):
        padded[i, : len(rows)] = rows
    known = ~padded.isnan().all(2)
    if known.any() and padded[known].nan_to_num().abs().max() <= 1:
        raise CourseError(
            "All boxes lie within a single pixel.",
            why="They look like shares of the image's width and height.",
            do=f"Multiply them by the image's size, {width}x{height} pixels.",
        )
    check_inside(padded, height, width)
    return [rows[k] for rows, k in zip(padded, known, strict=True)]
