"""Training the stages that are not frozen, and scoring a model."""

from tlcourse.training.evaluation import evaluate
from tlcourse.training.history import History
from tlcourse.training.loop import Diverged, fit

__all__ = ["Diverged", "History", "evaluate", "fit"]
