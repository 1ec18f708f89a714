"""What a learner plays with: each widget is one class beside one `.js` and one `.css`, with a figure for readers of paper."""

from tlcourse.widgets.freeze_panel import FreezePanel

__all__ = ["FreezePanel"]
