"""Every figure of the course: one style, readable without colour, and told in words by its `alt` text."""

from tlcourse.plots.attention import attention
from tlcourse.plots.bars import bars, depth, stages
from tlcourse.plots.boxes import boxes
from tlcourse.plots.clouds import confusion, embedding
from tlcourse.plots.contours import contours
from tlcourse.plots.curves import history, label_efficiency
from tlcourse.plots.depths import embeddings
from tlcourse.plots.gains import distance, gain
from tlcourse.plots.kinds import transfer
from tlcourse.plots.masks import masks
from tlcourse.plots.matrices import matrix
from tlcourse.plots.parting import parting
from tlcourse.plots.pictures import images
from tlcourse.plots.plot import Plot
from tlcourse.plots.predictions import prediction
from tlcourse.plots.prices import strategies
from tlcourse.plots.sweeps import rates, sweep
from tlcourse.plots.tasks import tasks
from tlcourse.plots.tokens import tokens

__all__ = [
    "Plot",
    "attention",
    "bars",
    "boxes",
    "confusion",
    "contours",
    "depth",
    "distance",
    "embedding",
    "embeddings",
    "gain",
    "history",
    "images",
    "label_efficiency",
    "masks",
    "matrix",
    "parting",
    "prediction",
    "rates",
    "stages",
    "strategies",
    "sweep",
    "tasks",
    "tokens",
    "transfer",
]
