"""What a learner plays with: a widget is one class beside one `.js` and one `.css`, and a figure where it is dead."""

from tlcourse.widgets.distance_dial import DistanceDial
from tlcourse.widgets.freeze_panel import FreezePanel
from tlcourse.widgets.training_monitor import TrainingMonitor

__all__ = ["DistanceDial", "FreezePanel", "TrainingMonitor"]
