"""Training the stages that are not frozen, and scoring a model."""

from tlcourse.training.diagnosis import Diverged
from tlcourse.training.evaluation import evaluate
from tlcourse.training.history import History
from tlcourse.training.loop import fit
from tlcourse.training.objective import l2_sp

__all__ = ["Diverged", "History", "evaluate", "fit", "l2_sp"]
