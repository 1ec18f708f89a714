"""The one idea of the course: a network is a chain of named stages.

image -> stem -> stage1 -> ... -> stage7 -> neck -> pool -> head -> logits
text  -> embeddings -> layer0 -> ... -> layer5 -> pool -> head -> logits
"""

from tlcourse.chain.core import pick, set_stages, stages

__all__ = ["pick", "set_stages", "stages"]
