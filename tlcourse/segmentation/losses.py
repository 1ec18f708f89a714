"""What a decoder makes small: masks of classes by cross-entropy and Dice, objects by foreground and distance."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from tlcourse.errors import CourseError
from tlcourse.segmentation.checks import check_fit, class_masks, object_masks


def dice_loss(outputs: torch.Tensor, masks: torch.Tensor, smooth: float = 1.0) -> torch.Tensor:
    """One minus the Dice coefficient of soft masks, averaged over the classes.

    Dice is twice what two masks share, divided by the sum of their sizes. Here the predicted mask is soft: each pixel
    counts by its probability. Sizes are summed over the whole batch, so a picture without the class does no harm.

    Arguments:
        outputs: logits `[n, classes, h, w]`.
        masks: class numbers `[n, h, w]`.
        smooth: pixels added above and below the fraction; they decide where a class is absent from the batch.

    Returns one number from 0 to 1. Raises `CourseError` for masks of another size, or classes out of range.

    >>> masks = torch.tensor([[[0, 1], [1, 1]]])
    >>> dice_loss(20 * F.one_hot(masks).permute(0, 3, 1, 2), masks).item() < 1e-4
    True

    Milletari et al. 2016 (V-Net); chapter 06.
    """
    masks = class_masks(outputs, masks)
    share = outputs.float().softmax(1)
    true = F.one_hot(masks, outputs.shape[1]).movedim(-1, 1).to(share.dtype)
    both = (share * true).sum((0, 2, 3))
    sizes = share.sum((0, 2, 3)) + true.sum((0, 2, 3))
    return 1 - ((2 * both + smooth) / (sizes + smooth)).mean()


def mask_loss(outputs: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Cross-entropy a pixel plus Dice loss: the one knows each pixel, the other the whole mask.

    Arguments:
        outputs: logits `[n, classes, h, w]`.
        masks: class numbers `[n, h, w]`.

    >>> mask_loss(torch.zeros(1, 2, 4, 4), torch.zeros(1, 4, 4, dtype=torch.uint8)).item() > 0.69
    True

    Chapter 06.
    """
    return F.cross_entropy(outputs.float(), class_masks(outputs, masks)) + dice_loss(outputs, masks)


def instance_targets(masks: torch.Tensor) -> torch.Tensor:
    """What a network learns to tell objects apart by: where there are any, and how deep inside its object a pixel lies.

    The depth is the distance to the nearest pixel that is not of the same object, divided by the largest such distance
    in that object: 1 in the middle of each, large or small, and low along every border, also where two objects touch.

    Arguments:
        masks: object numbers `[n, h, w]`, 0 where there is none.

    Returns float32 `[n, 2, h, w]`: foreground (0 or 1) and depth (0..1). Raises `CourseError` where no image has an
    object.

    >>> instance_targets(torch.tensor([[[0, 1, 1, 1, 0], [0, 1, 1, 1, 0], [0, 1, 1, 1, 0]]]))[0, 1, 1]
    tensor([0.0000, 0.5000, 1.0000, 0.5000, 0.0000])

    Chapter 06. Bai and Urtasun 2017 (deep watershed); Naylor et al. 2019 (distance maps).
    """
    from scipy.ndimage import distance_transform_edt, find_objects

    masks = object_masks(masks)
    if not masks.any():
        raise CourseError(
            "None of these masks holds an object, so there is nothing to learn them from.",
            why="0 means that a pixel belongs to no object, and all of them are 0.",
            do="Check that the masks were read, and not only their file's alpha channel.",
        )
    depth = np.zeros(masks.shape, np.float32)
    for image, numbers in enumerate(masks):
        if numbers.max() > numbers.size:  # a list as long as the largest number is made
            names, places = np.unique(numbers, return_inverse=True)
            numbers = places.reshape(numbers.shape) + int(names[0] > 0)
        for number, at in enumerate(find_objects(numbers), start=1):
            if at is not None:
                inside = np.pad(numbers[at] == number, 1)
                far = distance_transform_edt(inside)[1:-1, 1:-1]
                depth[image][at] += far / far.max()
    return torch.from_numpy(np.stack([masks > 0, depth], 1).astype(np.float32))


def instance_loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy of the foreground, plus the absolute error of the depth inside it.

    Arguments:
        outputs: `[n, 2, h, w]`: logits of the foreground, and of the depth.
        targets: `instance_targets(masks)`, of the same shape.

    Returns one number. A batch without any object has no error of depth.

    >>> instance_loss(torch.zeros(1, 2, 4, 4), torch.zeros(1, 2, 4, 4)).item() < 0.7
    True

    Chapter 06.
    """
    check_fit(outputs, targets, "outputs and targets", channels=True)
    if not ((targets >= 0) & (targets <= 1)).all():
        raise CourseError(
            "Targets of foreground and depth lie between 0 and 1; these do not.",
            do="Make them: instance_targets(masks).",
        )
    foreground, depth = targets[:, 0].to(outputs.dtype), targets[:, 1].to(outputs.dtype)
    error = (outputs[:, 1].sigmoid() - depth).abs() * foreground
    return F.binary_cross_entropy_with_logits(outputs[:, 0], foreground) + 4 * error.sum() / foreground.sum().clamp(1)
