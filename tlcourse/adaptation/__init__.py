"""From one domain to another: what the distance costs, and what target data without labels can mend."""

from tlcourse.adaptation.alignment import align
from tlcourse.adaptation.shift import DISTANCES, Gain, Pair, gain, gains, pair

__all__ = ["DISTANCES", "Gain", "Pair", "align", "gain", "gains", "pair"]
