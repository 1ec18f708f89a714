"""From one domain to another: what the distance costs, and what target data without labels can mend."""

from tlcourse.adaptation.adapting import adapt
from tlcourse.adaptation.adversary import DomainAdversarial, reversal_weight, reverse
from tlcourse.adaptation.alignment import align
from tlcourse.adaptation.batch_norm import adapt_batch_norm
from tlcourse.adaptation.coral import coral
from tlcourse.adaptation.gap import DomainGap, domain_gap
from tlcourse.adaptation.mixed import mixed_loss
from tlcourse.adaptation.mmd import mmd
from tlcourse.adaptation.self_training import pseudo_label, self_train
from tlcourse.adaptation.shift import DISTANCES, Gain, Pair, gain, gains, pair

__all__ = [
    "DISTANCES",
    "DomainAdversarial",
    "DomainGap",
    "Gain",
    "Pair",
    "adapt",
    "adapt_batch_norm",
    "align",
    "coral",
    "domain_gap",
    "gain",
    "gains",
    "mixed_loss",
    "mmd",
    "pair",
    "pseudo_label",
    "reversal_weight",
    "reverse",
    "self_train",
]
