"""`fit_detector`: train a detector from kept maps."""

from __future__ import annotations

import math
import time

import torch
from torch.optim.lr_scheduler import LambdaLR

from tlcourse.detection.head import Found, finest
from tlcourse.detection.inputs import as_boxes, as_maps
from tlcourse.errors import CourseError, real_number, whole_number
from tlcourse.features.modes import evaluating, model_device, seeded
from tlcourse.hardware import measured, reusing_memory
from tlcourse.training import Diverged, History
from tlcourse.training.history import note_interrupt
from tlcourse.training.schedules import batches, check_schedule, share, steps_of
from tlcourse.training.watch import Bar, Watcher, stops_between_batches


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
    maps, device = _fitting(detector, maps), model_device(detector)
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
    steps, history = steps_of(n, batch), History()
    optimizer = torch.optim.AdamW(trained, lr=lr, weight_decay=weight_decay)
    rates = LambdaLR(optimizer, lambda step: share(step, epochs * steps, schedule, warmup))
    order, looks_on = torch.Generator().manual_seed(seed), Watcher() if progress is False else Bar(progress)
    looks_on.begin({"epochs": epochs, "lr": lr, "batch": batch, "seed": seed}, epochs, steps, [])
    try:
        with measured(device) as cost, seeded(seed, device), stops_between_batches(looks_on):
            for epoch in range(1, epochs + 1):
                start, sums = time.perf_counter(), {}
                detector.train()
                for index in batches(n, steps, order):
                    some = {stage: x[index].to(device).float() for stage, x in maps.items()}
                    losses = detector.losses(some, [boxes[i] for i in index.tolist()])
                    total = sum(losses.values())
                    if not math.isfinite(total.item()):
                        raise _diverged(epoch, some, lr, history)
                    optimizer.zero_grad(set_to_none=True)
                    total.backward()
                    optimizer.step(), rates.step()
                    for name, value in {"loss": total, **{f"{k}_loss": v for k, v in losses.items()}}.items():
                        sums[name] = sums.get(name, 0.0) + value.item() * len(index) / n
                    looks_on.batch(total.item(), math.nan)
                    if looks_on.stopped:
                        raise KeyboardInterrupt
                history.rows.append({"epoch": epoch, **sums, "seconds": time.perf_counter() - start})
                looks_on.epoch(history.rows[-1])
    except KeyboardInterrupt:
        history.interrupted = True
        history.note = f"Stopped after {len(history)} of {epochs} epochs; the detector has what it had learned by then."
        note_interrupt()
        print(history.note)
    finally:
        detector.eval()
        looks_on.end()
        history.seconds, history.memory = cost.seconds, cost.memory
    return history


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
            found = detector.found({stage: x[index].to(device).float() for stage, x in maps.items()})
            answers += [Found(f.boxes.cpu(), f.scores.cpu()) for f in found]
    return answers


def _fitting(detector, maps) -> dict[str, torch.Tensor]:
    """The maps that the detector reads; raises `CourseError` where one is missing or there is no image."""
    if not hasattr(detector, "losses") or not hasattr(detector, "stages"):
        raise CourseError(f"A {type(detector).__name__} is no detector.", do="Make one: PointDetector(maps, size=128).")
    maps = as_maps(maps)
    missing = [stage for stage in detector.stages if stage not in maps]
    if missing:
        raise CourseError(
            f"The detector reads maps of {', '.join(detector.stages)}; {', '.join(missing)} is not among them.",
            do=f"Keep them: extract(body, data, {list(detector.stages)}).",
        )
    maps = {stage: maps[stage] for stage in detector.stages}
    if not len(next(iter(maps.values()))):
        raise CourseError("There are no images.", do="Check how the data were selected.")
    return maps


def _diverged(epoch: int, maps, lr: float, history: History) -> Diverged:
    if not all(x.isfinite().all() for x in maps.values()):
        why, do = "The maps of this batch hold NaN or infinite values.", "Extract them in float32, and check the data."
    else:
        why, do = f"The learning rate ({lr:g}) is too large.", f"Make the detector anew, and try lr={lr / 10:g}."
    error = Diverged(f"The loss is not a number in epoch {epoch}; training stopped.", why=why, do=do)
    error.history = history
    return error
