"""How well masks and objects agree with the true ones."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
import torch

from tlcourse.errors import CourseError
from tlcourse.segmentation.checks import check_fit, in_range, object_masks

MATCH = 0.5  # IoU from which an object counts as found


def mask_scores(predicted: torch.Tensor, masks: torch.Tensor, classes) -> pd.DataFrame:
    """IoU and Dice of each class, over the pixels of all images together; computed by torchmetrics.

    Arguments:
        predicted: class numbers `[n, h, w]`, or logits `[n, classes, h, w]`.
        masks: the true class numbers `[n, h, w]`.
        classes: their names.

    Returns a table with a row a class: `pixels` of the true masks, `iou`, and `dice`; NaN where neither mask has the
    class. Raises `CourseError` for masks of another size, or class numbers out of range.

    >>> masks = torch.tensor([[[0, 0], [1, 1]]])
    >>> mask_scores(torch.tensor([[[0, 1], [1, 1]]]), masks, ["ground", "coin"]).round(2)
            pixels   iou  dice
    class
    ground       2  0.50  0.67
    coin         2  0.67  0.80

    Chapter 06. Everingham et al. 2010 (PASCAL VOC); Dice 1945.
    """
    from torchmetrics.functional.classification import multiclass_f1_score, multiclass_jaccard_index

    if not isinstance(classes, Iterable):
        raise CourseError("The names of the classes are needed.", do='Pass e.g. split.classes, or ["ground", "coin"].')
    classes = tuple(classes)
    predicted, masks = _numbers(predicted, "predicted"), _numbers(masks, "true")
    if predicted.ndim == 4:
        if predicted.shape[1] != len(classes):
            raise CourseError(
                f"The outputs tell {predicted.shape[1]} classes apart, and there are {len(classes)} names.",
                do="Pass the names of the classes that the decoder was made for, or class numbers [n, h, w].",
            )
        predicted = predicted.argmax(1)
    for one in (predicted, masks):
        if one.ndim == 3 and not (one.dtype == torch.bool or (one == one.round()).all()):
            raise CourseError(
                "Masks hold class numbers, and these hold fractions.",
                why="Probabilities are no classes, and a mask that was resized with a mean holds halves of classes.",
                do="Take outputs.argmax(1) of a network; resize masks with the nearest pixel.",
            )
        if one.ndim not in (3, 4):
            raise CourseError(f"Masks are [n, h, w]; these are {list(one.shape)}.", do="Pass one image as mask[None].")
    check_fit(predicted, masks, "predicted and true masks")
    for one in (predicted, masks):
        in_range(one, len(classes))
    if len(classes) < 2:
        raise CourseError("Masks are scored for two classes or more.", do='Name the ground too, as ["ground", "coin"].')
    pair = predicted.long().flatten(), masks.long().flatten()
    how = {"num_classes": len(classes), "average": "none"}
    table = pd.DataFrame(
        {
            "pixels": pair[1].bincount(minlength=len(classes)).numpy(),
            "iou": multiclass_jaccard_index(*pair, **how).numpy(),
            "dice": multiclass_f1_score(*pair, **how).numpy(),  # Dice of two masks is the F1 of their pixels
        },
        index=pd.Index(classes, name="class"),
    )
    absent = [not (part == number).any() for number in range(len(classes)) for part in (torch.cat(pair),)]
    table.loc[absent, ["iou", "dice"]] = np.nan
    return table


def _numbers(masks, what: str) -> torch.Tensor:
    try:
        masks = torch.as_tensor(masks).detach().cpu()
    except (TypeError, ValueError, RuntimeError) as error:
        raise CourseError(f"The {what} masks cannot be read as numbers.", why=str(error)) from None
    if masks.dtype.is_complex or not masks.isfinite().all():
        raise CourseError(
            f"The {what} masks hold NaN or infinite values.",
            why="Training may have diverged.",
            do="Look at the outputs, and train anew with a smaller learning rate.",
        )
    return masks


def instance_scores(predicted: torch.Tensor, masks: torch.Tensor) -> pd.DataFrame:
    """How many objects were found in each image, and how well they agree with the true ones.

    Objects are paired so that the sum of their IoU is largest, each with one at most.

    Arguments:
        predicted, masks: object numbers `[n, h, w]`, 0 where there is none.

    Returns a table with a row an image: `objects` (true), `found`, `error` (how far the two counts lie apart),
    `matched` (true objects whose partner has an IoU of .5 or more), and `iou`: the mean over the true objects, where
    one without a partner counts 0; NaN in an image without objects. Raises `CourseError` for masks of another size.

    >>> masks = torch.tensor([[[1, 1, 0, 2, 2]]])
    >>> instance_scores(torch.tensor([[[7, 7, 0, 0, 0]]]), masks)
           objects  found  error  matched  iou
    image
    0            2      1      1        1  0.5

    Chapter 06. Kuhn 1955 (pairing).
    """
    predicted, masks = object_masks(predicted), object_masks(masks)
    check_fit(torch.from_numpy(predicted), torch.from_numpy(masks), "predicted and true objects")
    rows = []
    for one, other in zip(predicted, masks, strict=True):
        table = overlaps(one, other)
        best = _paired(table)
        objects, found = table.shape
        rows.append(
            {
                "objects": objects,
                "found": found,
                "error": abs(found - objects),
                "matched": int((best >= MATCH).sum()),
                "iou": float(best.sum() / objects) if objects else np.nan,
            }
        )
    return pd.DataFrame(rows).rename_axis("image")


def overlaps(predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """IoU of each true object with each predicted one, of one image `[h, w]`: float `[true objects, predicted ones]`.

    >>> overlaps(np.array([[1, 1, 2]]), np.array([[5, 5, 5]])).round(2)
    array([[0.67, 0.33]])
    """
    (names, t), (guesses, p) = (np.unique(part, return_inverse=True) for part in (true, predicted))
    table = np.zeros((len(names), len(guesses)))
    np.add.at(table, (t.ravel(), p.ravel()), 1)
    sizes = table.sum(1, keepdims=True) + table.sum(0, keepdims=True) - table
    return (table / sizes)[names > 0][:, guesses > 0]


def _paired(table: np.ndarray) -> np.ndarray:
    from scipy.optimize import linear_sum_assignment

    return table[linear_sum_assignment(table, maximize=True)]
