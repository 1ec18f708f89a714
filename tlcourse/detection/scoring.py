"""`average_precision`: the score of detectors, from torchmetrics."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch

from tlcourse.detection.head import Found
from tlcourse.detection.inputs import as_boxes
from tlcourse.errors import CourseError, whole_number


def average_precision(found: Sequence[Found], boxes, *, size: int) -> dict[str, float]:
    """How good the boxes are that a detector found, whatever score one asks for.

    Arguments:
        found: what was found in each image: `detect(...)`.
        boxes: the true boxes of each image, `split.boxes` or a list of tensors `[k, 4]`.
        size: side of the images, in pixels.

    Returns `ap50`: average precision where a box counts as right from an IoU of .5 on, and each true box may be found
    once; `ap75`, the same from .75 on; `ap`, the mean over .5, .55, ..., .95, as COCO reports it; and `recall`, the
    share of true boxes that are found at .5 with any score. All are between 0 and 1. With one class the mean over the
    classes (mAP) is this. Raises `CourseError` where the two do not belong together, or no image has a true box.

    >>> true = [torch.tensor([[0.0, 0, 8, 8]]), torch.zeros(0, 4)]
    >>> right, wrong = Found(true[0], torch.tensor([0.9])), Found(true[0], torch.tensor([0.95]))
    >>> average_precision([right, right.above(1.0)], true, size=16)["ap50"]
    1.0
    >>> average_precision([right, wrong], true, size=16)["ap50"]  # a surer box where there is nothing
    0.5

    Everingham et al. 2010 (PASCAL VOC), Lin et al. 2014 (COCO); torchmetrics; chapter 06-2.
    """
    if not isinstance(found, Sequence) or not all(isinstance(f, Found) for f in found):
        raise CourseError("Scores need what was found in each image.", do="Pass detect(detector, maps).")
    size = whole_number("size", size)
    for i, one in enumerate(found):
        _check_found(i, one)
    true = as_boxes(boxes, len(found), size, size)
    if not any(map(len, true)):
        raise CourseError(
            "No image has a true box, so there is nothing to be found.", do="Score on images with at least one box."
        )
    scores = _scores([f for f in found], true)
    return {name: max(0.0, float(scores[theirs])) for name, theirs in
            (("ap50", "map_50"), ("ap75", "map_75"), ("ap", "map"))} | {"recall": _recall(found, true)}  # fmt: skip


def _check_found(i: int, one: Found) -> None:
    fits = isinstance(one.boxes, torch.Tensor) and isinstance(one.scores, torch.Tensor)
    if not fits or one.boxes.ndim != 2 or one.boxes.shape[1] != 4 or one.scores.shape != one.boxes.shape[:1]:
        raise CourseError(
            f"What was found in image {i} is no tensor of boxes [k, 4] with as many scores [k].",
            do="Pass detect(detector, maps).",
        )
    if not (one.boxes.isfinite().all() and one.scores.isfinite().all()):
        raise CourseError(
            f"A box or score found in image {i} is NaN or infinite.",
            why="The detector's weights or its maps are spoilt.",
            do="Look at the maps, make the detector anew, and train it with a smaller learning rate.",
        )
    if (one.boxes[:, 2:] < one.boxes[:, :2]).any():
        raise CourseError(
            f"A box found in image {i} is inverted.",
            why="Left must not be larger than right, nor top larger than bottom.",
            do="Check the order: left, top, right, bottom (not left, top, width, height).",
        )


def _scores(found, true):
    from torchmetrics.detection import MeanAveragePrecision

    logging.getLogger("faster_coco_eval").setLevel(logging.ERROR)
    metric = MeanAveragePrecision(iou_type="bbox", backend="pycocotools", max_detection_thresholds=[1, 10, 100])
    metric.warn_on_many_detections = False
    metric.update(
        [{"boxes": f.boxes, "scores": f.scores, "labels": torch.ones(len(f), dtype=torch.int64)} for f in found],
        [{"boxes": b, "labels": torch.ones(len(b), dtype=torch.int64)} for b in true],
    )
    return metric.compute()


def _recall(found, true) -> float:
    hits = sum(len(set(matched(f.boxes, b)) - {-1}) for f, b in zip(found, true, strict=True))
    return hits / sum(map(len, true))


def matched(boxes: torch.Tensor, true: torch.Tensor, least: float = 0.5) -> list[int]:
    """Which true box each found box is, the surest first; -1 for a false alarm. Each true box is found once.

    >>> matched(torch.tensor([[0.0, 0, 8, 8], [0, 0, 8, 7]]), torch.tensor([[0.0, 0, 8, 8]]))
    [0, -1]
    """
    from torchvision.ops import box_iou

    free, answers = torch.ones(len(true), dtype=torch.bool), []
    for overlaps in box_iou(boxes, true):
        best = int(torch.where(free, overlaps, -1.0).argmax()) if len(true) else -1
        hit = best >= 0 and bool(free[best]) and float(overlaps[best]) >= least
        answers.append(best if hit else -1)
        if hit:
            free[best] = False
    return answers
