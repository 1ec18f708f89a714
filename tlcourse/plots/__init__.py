"""Every figure of the course: one style, readable without colour, and told in words by its `alt` text."""

from tlcourse.plots.bars import bars, depth, stages
from tlcourse.plots.clouds import confusion, embedding
from tlcourse.plots.curves import history, label_efficiency
from tlcourse.plots.gains import distance, gain
from tlcourse.plots.kinds import transfer
from tlcourse.plots.matrices import matrix
from tlcourse.plots.pictures import images
from tlcourse.plots.plot import Plot
from tlcourse.plots.prices import strategies

__all__ = [
    "Plot",
    "bars",
    "confusion",
    "depth",
    "distance",
    "embedding",
    "gain",
    "history",
    "images",
    "label_efficiency",
    "matrix",
    "stages",
    "strategies",
    "transfer",
]
