"""Every figure of the course: one style, readable without colour, and told in words by its `alt` text."""

from tlcourse.plots.bars import bars, depth, stages
from tlcourse.plots.clouds import confusion, embedding
from tlcourse.plots.contours import contours
from tlcourse.plots.curves import history, label_efficiency
from tlcourse.plots.depths import embeddings
from tlcourse.plots.parting import parting
from tlcourse.plots.pictures import images
from tlcourse.plots.plot import Plot
from tlcourse.plots.predictions import prediction
from tlcourse.plots.prices import strategies
from tlcourse.plots.sweeps import rates, sweep

__all__ = [
    "Plot",
    "bars",
    "confusion",
    "contours",
    "depth",
    "embedding",
    "embeddings",
    "history",
    "images",
    "label_efficiency",
    "prediction",
    "parting",
    "rates",
    "stages",
    "strategies",
    "sweep",
]
