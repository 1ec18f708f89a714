"""`fit_detector`: train a detector from kept maps."""

from __future__ import annotations

import torch

from tlcourse.detection.head import Found, finest
from tlcourse.detection.inputs import as_boxes, read_maps
from tlcourse.errors import CourseError, real_number, whole_number
from tlcourse.features.modes import evaluating, model_device
from tlcourse.hardware import reusing_memory
from tlcourse.training import History
from tlcourse.training.plain import MapSource, train_plain
from tlcourse.training.schedules import check_schedule
from tlcourse.training.watch import bar


@reusing_memory
def fit_detector(
    detector,
    maps,
    boxes,
    *,
    epochs: int,
    lr: float = 3e-3,
    batch: int = 16,
    weight_decay: float = 1e-2,
    schedule: str = "cosine",
    warmup: float | None = None,
    seed: int = 0,
    progress: bool | None = None,
) -> History:
    """Train a detector on kept maps of a frozen backbone, in place.

    Arguments:
        detector: a `PointDetector` or a `PyramidDetector`: anything with `losses(maps, boxes)`.
        maps: kept maps by stage, `extract(body, split, [stages])`; in float16 they take half of the room.
        boxes: the true boxes of each image, `split.boxes`: `[n, k, 4]` in pixels, rows of NaN where an image has fewer;
            or a list of tensors `[k, 4]`. Images without a box teach what is background.
        epochs, lr, batch, weight_decay, schedule, warmup, seed: as in `fit`; the optimizer is AdamW.
        progress: whether to show a bar; by default where someone looks.

    Returns a `History`: a row an epoch with the `loss`, which is the sum of the others, and each of them. An interrupt
    ends it after a batch. Raises `Diverged` when the loss is not finite, and `CourseError` for boxes that are empty,
    inverted, or outside the image, for data without any box, and for maps that are none.

    >>> from tlcourse import load, load_dataset, extract
    >>> scenes = load_dataset("face-scenes").train[:4]
    >>> body = load("efficientnet-lite0", pretrained=False, size=64)
    >>> maps = extract(body, scenes, ["stage3", "stage4"], cache=False)
    >>> from tlcourse.detection import PointDetector
    >>> history = fit_detector(PointDetector(maps, size=128), maps, scenes.boxes, epochs=1)
    >>> list(history.rows[0])
    ['epoch', 'loss', 'score_loss', 'box_loss', 'seconds']

    Chapter 06-2.
    """
    epochs, batch = whole_number("epochs", epochs), whole_number("batch", batch)
    seed, lr = whole_number("seed", seed, 0), real_number("lr", lr)
    warmup, weight_decay = check_schedule(schedule, warmup), real_number("weight_decay", weight_decay)
    looks_on, maps, device = bar(progress), _fitting(detector, maps), model_device(detector)
    n = len(next(iter(maps.values())))
    boxes = [b.to(device) for b in as_boxes(boxes, n, *(round(side * detector.stride) for side in finest(maps)))]
    if not any(map(len, boxes)):
        raise CourseError(
            "No image has a box.",
            why="From images without objects alone a detector learns only to be silent.",
            do="Add images with at least one box.",
        )
    trained = [p for p in detector.parameters() if p.requires_grad]
    if not trained:
        raise CourseError("Everything in the detector is frozen.", do="Unfreeze its head.")
    source = MapSource(detector, maps, n)

    def losses(index: torch.Tensor):
        parts = detector.losses(source.batch(index), [boxes[i] for i in index.tolist()])
        named = {f"{name}_loss": value for name, value in parts.items()}
        return {"loss": sum(parts.values()), **named}, False

    settings = {
        "epochs": epochs, "lr": lr, "batch": batch, "weight_decay": weight_decay, "schedule": schedule,
        "warmup": warmup, "seed": seed,
    }  # fmt: skip
    return train_plain(source, losses, torch.optim.AdamW(trained, lr=lr, weight_decay=weight_decay), settings, looks_on)


def detect(detector, maps, *, batch: int = 64) -> list[Found]:
    """What a detector finds in each image: boxes in pixels and scores, the surest first.

    Arguments:
        detector: a `PointDetector` or a `PyramidDetector`, trained.
        maps: kept maps by stage, `extract(body, split, [stages])`.
        batch: images at once.

    Returns a list with one `Found` an image; an image in which nothing was found has a `Found` of no box.

    >>> from tlcourse.detection import PointDetector
    >>> maps = {"stage3": torch.zeros(1, 8, 4, 4)}
    >>> detect(PointDetector(maps, size=32), maps)
    [Found: 0 boxes]

    Chapter 06-2.
    """
    maps, device, answers = _fitting(detector, maps), model_device(detector), []
    n = len(next(iter(maps.values())))
    with evaluating(detector):
        for index in torch.arange(n).split(whole_number("batch", batch)):
            part = {stage: x[index].to(device).float() for stage, x in maps.items()}
            if not all(x.isfinite().all() for x in part.values()):
                raise CourseError(
                    "The maps hold NaN or infinite values.",
                    why="A detector finds nothing in them, whatever the images show.",
                    do="Look for them in the maps, and keep them anew from a sound backbone.",
                )
            found = detector.found(part)
            answers += [Found(f.boxes.cpu(), f.scores.cpu()) for f in found]
    return answers


def _fitting(detector, maps) -> dict[str, torch.Tensor]:
    """The maps that the detector reads; raises `CourseError` where one is missing or there is no image."""
    if not hasattr(detector, "losses") or not hasattr(detector, "stages"):
        raise CourseError(f"A {type(detector).__name__} is no detector.", do="Make one: PointDetector(maps, size=128).")
    maps = read_maps(detector, maps)
    if not len(next(iter(maps.values()))):
        raise CourseError("There are no images.", do="Check how the data were selected.")
    return maps
