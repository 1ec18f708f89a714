"""What a learner plays with: a widget is one class beside one `.js` and one `.css`, and a figure where it is dead."""

from tlcourse.widgets.chat import Chat
from tlcourse.widgets.descent_explorer import DescentExplorer
from tlcourse.widgets.distance_dial import DistanceDial
from tlcourse.widgets.embedding_explorer import EmbeddingExplorer
from tlcourse.widgets.freeze_panel import FreezePanel
from tlcourse.widgets.loss_mixer import LossMixer
from tlcourse.widgets.predict import Predict
from tlcourse.widgets.training_monitor import TrainingMonitor

__all__ = [
    "Chat",
    "DescentExplorer",
    "DistanceDial",
    "EmbeddingExplorer",
    "FreezePanel",
    "LossMixer",
    "Predict",
    "TrainingMonitor",
]
