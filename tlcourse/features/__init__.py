"""Features: the image of the data at one stage of the chain, computed once and kept."""

from tlcourse.features.extraction import extract
from tlcourse.features.kept import Features
from tlcourse.features.probes import knn_probe, linear_probe
from tlcourse.features.results import Result, interval, wilson

__all__ = ["Features", "Result", "extract", "interval", "knn_probe", "linear_probe", "wilson"]
