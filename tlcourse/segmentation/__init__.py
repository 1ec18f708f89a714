"""Masks on a frozen backbone: a decoder over its stages, classes and objects, their scores, and simpler ways."""

from tlcourse.segmentation.colours import pixel_baseline
from tlcourse.segmentation.decoder import MaskDecoder
from tlcourse.segmentation.losses import dice_loss, instance_loss, instance_targets, mask_loss
from tlcourse.segmentation.scores import instance_scores, mask_scores
from tlcourse.segmentation.training import fit_masks, segment
from tlcourse.segmentation.watershed import classical_instances, instances

__all__ = [
    "MaskDecoder",
    "classical_instances",
    "dice_loss",
    "fit_masks",
    "instance_loss",
    "instance_scores",
    "instance_targets",
    "instances",
    "mask_loss",
    "mask_scores",
    "pixel_baseline",
    "segment",
]
