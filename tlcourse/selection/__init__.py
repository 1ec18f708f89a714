"""Choosing a pretrained model before fine-tuning any: scores that cost one pass over the labelled items."""

from tlcourse.selection.comparison import compare
from tlcourse.selection.hscore import h_score
from tlcourse.selection.leep import leep
from tlcourse.selection.logme import logme

__all__ = ["compare", "h_score", "leep", "logme"]
