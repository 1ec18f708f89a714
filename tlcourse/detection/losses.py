"""The two losses of a detector: is there something here, and how well does the box fit?"""

from __future__ import annotations

import torch
from torch.nn import functional as F

PRIOR = 0.01  # a share of points as large as that is an object, says the head before it has learned anything


def focal_loss(logits: torch.Tensor, targets: torch.Tensor, alpha: float = 0.25, gamma: float = 2.0) -> torch.Tensor:
    """Cross-entropy of yes and no, in which what is easy hardly counts; summed.

    Arguments:
        logits: any shape.
        targets: 0 or 1, of the same shape.
        alpha: weight of the ones; the noughts have 1 - alpha.
        gamma: how much less an easy answer counts; with 0 all count alike.

    An answer that gives the share p to what is right counts (1 - p) ** gamma: with a p of .99 a ten-thousandth. A few
    hundred points that are clearly background would else outvote the few that are not.

    >>> easy, hard = (focal_loss(torch.tensor([z]), torch.tensor([1.0])) for z in (5.0, -1.0))
    >>> bool(hard > 10_000 * easy)
    True

    Lin et al. 2017 (RetinaNet); chapter 06-2. The same as torchvision's `sigmoid_focal_loss`.
    """
    p = logits.sigmoid()
    right = p * targets + (1 - p) * (1 - targets)
    weight = alpha * targets + (1 - alpha) * (1 - targets)
    return (weight * (1 - right) ** gamma * F.binary_cross_entropy_with_logits(logits, targets, reduction="none")).sum()


def giou_loss(predicted: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    """1 minus the generalised IoU of boxes, pair by pair; summed.

    Arguments:
        predicted, true: boxes `[n, 4]`: left, top, right, bottom.

    The IoU of two boxes that do not touch is 0 wherever they lie, and tells a step no direction. The generalised IoU
    takes off the share of their common frame (the smallest box around both) that neither covers.

    >>> giou_loss(torch.tensor([[0.0, 0, 1, 1]]), torch.tensor([[3.0, 0, 4, 1]])).item()
    1.5

    Rezatofighi et al. 2019; chapter 06-2. The same as torchvision's `generalized_box_iou_loss`.
    """
    shared = _area(torch.maximum(predicted[:, :2], true[:, :2]), torch.minimum(predicted[:, 2:], true[:, 2:]))
    frame = _area(torch.minimum(predicted[:, :2], true[:, :2]), torch.maximum(predicted[:, 2:], true[:, 2:]))
    union = _area(predicted[:, :2], predicted[:, 2:]) + _area(true[:, :2], true[:, 2:]) - shared
    giou = shared / union.clamp(min=1e-7) - (frame - union) / frame.clamp(min=1e-7)
    return (1 - giou).sum()


def _area(corner: torch.Tensor, opposite: torch.Tensor) -> torch.Tensor:
    return (opposite - corner).clamp(min=0).prod(1)
