"""Training the stages that are not frozen, and scoring a model."""

from tlcourse.training.costs import Prediction, cost
from tlcourse.training.diagnosis import Diverged
from tlcourse.training.evaluation import evaluate
from tlcourse.training.fine_tuning import fine_tune
from tlcourse.training.history import History
from tlcourse.training.loop import fit
from tlcourse.training.objective import l2_sp
from tlcourse.training.repeats import Repeats, repeat

__all__ = [
    "Diverged",
    "History",
    "Prediction",
    "Repeats",
    "cost",
    "evaluate",
    "fine_tune",
    "fit",
    "l2_sp",
    "repeat",
]
