"""True freezing: no parameter and no buffer of a frozen stage moves, under any training loop."""

from tlcourse.freezing.freeze import freeze, frozen, unfreeze
from tlcourse.freezing.groups import parameter_groups
from tlcourse.freezing.lora import lora
from tlcourse.freezing.proof import audit, changed, snapshot
from tlcourse.freezing.still import still

__all__ = ["audit", "changed", "freeze", "frozen", "lora", "parameter_groups", "snapshot", "still", "unfreeze"]
