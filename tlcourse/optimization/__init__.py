"""What is minimised, and how a step moves it: losses of two numbers, paths down them, and mixtures of two losses."""

from tlcourse.optimization.descent import OPTIMIZERS, Descent, descend, minimum
from tlcourse.optimization.heads import Head, best_head
from tlcourse.optimization.mixing import Mixture, mix
from tlcourse.optimization.planes import Plane
from tlcourse.optimization.range_test import RangeTest, range_test
from tlcourse.optimization.surfaces import SURFACES, Surface, blend

__all__ = [
    "OPTIMIZERS",
    "SURFACES",
    "Descent",
    "Head",
    "Mixture",
    "Plane",
    "RangeTest",
    "Surface",
    "best_head",
    "blend",
    "descend",
    "minimum",
    "mix",
    "range_test",
]
