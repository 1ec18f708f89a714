"""Detection: where things are in an image, by a small head that can be read and by torchvision's detectors."""

from tlcourse.detection.head import Found, PointDetector, side_by_side
from tlcourse.detection.hub import HubDetector, load_detector
from tlcourse.detection.inputs import as_boxes, as_maps
from tlcourse.detection.losses import focal_loss, giou_loss
from tlcourse.detection.points import assign, grid_points, to_boxes, to_distances
from tlcourse.detection.pyramid import PyramidDetector
from tlcourse.detection.scoring import average_precision, matched
from tlcourse.detection.training import detect, fit_detector

__all__ = [
    "Found",
    "HubDetector",
    "PointDetector",
    "PyramidDetector",
    "as_boxes",
    "as_maps",
    "assign",
    "average_precision",
    "detect",
    "fit_detector",
    "focal_loss",
    "giou_loss",
    "grid_points",
    "load_detector",
    "matched",
    "side_by_side",
    "to_boxes",
    "to_distances",
]
