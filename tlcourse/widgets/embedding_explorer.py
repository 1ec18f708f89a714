"""`EmbeddingExplorer`: what a chain makes of some items, to walk through stage by stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import traitlets
from torch import nn

from tlcourse import plots
from tlcourse.datasets import Split
from tlcourse.errors import CourseError, UnknownName
from tlcourse.explain import Embedding, embed
from tlcourse.plots import Plot
from tlcourse.widgets.embedding_explorer_state import packed, sheet, shown
from tlcourse.widgets.view import View, script, style

GROUPS = ("class", "domain")


class EmbeddingExplorer(View):
    """Items as points in the plane, at each stage of a chain: move the slider, and see where groups come apart.

    Point at an item, or walk with the arrow keys, to see its image or text. All places are sent once, so that the
    slider answers at once, also while a cell runs.

    Arguments:
        model: any model whose `stages` are known; or what `tlcourse.explain.embed` returned.
        data: a `Split`, or several by name: domains.
        stage: names or globs of stages; by default all.
        by: `"class"` or `"domain"`, which colours and shapes the points at first.
        side: of the small images, in pixels.
        options: passed on to `embed`, e.g. `most=`, `k=`, `transform=`.

    `stage`, `by` and `chosen` (the number of the item that is looked at, -1 for none) tell what the page shows, and may
    be set; `embedding` holds the numbers.

    >>> from tlcourse import load, load_dataset
    >>> net = load("efficientnet-lite0", pretrained=False, size=32)
    >>> EmbeddingExplorer(net, load_dataset("faces").test, ["stem", "pool"], cache=False)
    100 items of 2 classes as points in the plane, at 2 stages from stem to pool. ...

    Chapter 03.
    """

    _esm, _css = script("embedding_cloud", "embedding_explorer"), style("embedding_explorer")
    state = traitlets.Dict().tag(sync=True)
    places = traitlets.Bytes().tag(sync=True)
    pictures = traitlets.Bytes().tag(sync=True)
    stage = traitlets.Unicode().tag(sync=True)
    by = traitlets.Unicode().tag(sync=True)
    chosen = traitlets.Int(-1).tag(sync=True)

    def __init__(
        self,
        model: nn.Module | Embedding,
        data: Split | Mapping[str, Split] | None = None,
        stage: str | Sequence[str] | None = None,
        *,
        by: str = "class",
        side: int = 32,
        **options,
    ):
        if isinstance(side, bool) or not isinstance(side, int) or not 8 <= side <= 128:
            raise CourseError(f"side={side!r} will not do.", do="Choose a whole number of pixels from 8 to 128.")
        if by not in GROUPS:
            raise UnknownName("group", by, GROUPS)
        self.embedding = made = model if isinstance(model, Embedding) else embed(model, data, stage, **options)
        pictures, columns = sheet(made.x, side) if made.kind == "image" else (b"", 1)
        super().__init__(
            state={**shown(made), "side": side, "columns": columns},
            places=packed(made.framed()),
            pictures=pictures,
            stage=made.stages[-1],
            by=by,
        )

    @traitlets.validate("stage")
    def _stage_is_known(self, proposal):
        if proposal.value not in self.embedding.stages:
            raise UnknownName("stage", proposal.value, self.embedding.stages)
        return proposal.value

    @traitlets.validate("by")
    def _group_is_known(self, proposal):
        if proposal.value not in GROUPS:
            raise UnknownName("group", proposal.value, GROUPS)
        return proposal.value

    @traitlets.validate("chosen")
    def _item_is_there(self, proposal):
        if not -1 <= proposal.value < len(self.embedding):
            raise CourseError(
                f"There is no item {proposal.value}.", do=f"Choose a number from 0 to {len(self.embedding) - 1}, or -1."
            )
        return proposal.value

    def static(self) -> Plot:
        return plots.embeddings(self.embedding, by=self.by)
