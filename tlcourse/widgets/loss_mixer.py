"""`LossMixer`: a slider for λ between the loss of a source and that of a target, and what it does to both."""

from __future__ import annotations

import traitlets

from tlcourse import plots
from tlcourse.errors import CourseError
from tlcourse.optimization.mixer import lines
from tlcourse.optimization.surfaces import fraction
from tlcourse.plots import Plot
from tlcourse.widgets.view import View, script, style


class LossMixer(View):
    """Move λ, and see the line between two classes turn, with the accuracy on the source and on the target.

    All heads are trained when it is made, so the slider answers at once, also where there is no kernel. What is drawn
    and counted are the items of `shown`; one chooses λ while looking at them, so keep the test items out of it.

    Arguments:
        source, target: features of the training items, of two classes.
        shown: features of other items of the source and of the target.
        shots: how many target items a class are learned from; each is one choice.
        names: of source and target.
        seed: of the draw of the target's items.
        decay: as in `mix`.

    `weight` is λ and `amount` the number of target items a class; both can be read and set.

    >>> import torch
    >>> from tlcourse.features import Features
    >>> x, y = torch.tensor([[0.0, 1], [1, 0], [2, 1], [3, 0]]), torch.tensor([0, 0, 1, 1])
    >>> one = Features(x, y, tuple("abcd"), ("low", "high"), "pool")
    >>> two = Features(x - 2, y, tuple("efgh"), ("low", "high"), "pool")
    >>> mixer = LossMixer(one, two, (one, two), shots=(2,), names=("old", "new"))
    >>> mixer.weight = 1.0
    >>> mixer.right
    (4, 2)

    Chapter 02.
    """

    _esm, _css = script("loss_mixer"), style("loss_mixer")
    state = traitlets.Dict().tag(sync=True)
    weight = traitlets.Float(0.5).tag(sync=True)
    amount = traitlets.Int().tag(sync=True)

    def __init__(self, source, target, shown, *, shots=(4, 16, 64, 256), names=("source", "target"), seed=0, decay=0.5):
        state = lines(source, target, shown, shots=shots, names=names, seed=seed, decay=decay)
        super().__init__(state=state, amount=state["amounts"][0]["shots"])

    @property
    def right(self) -> tuple[int, int]:
        """How many of the shown items of source and target the line judges rightly now."""
        chosen = next(each for each in self.state["amounts"] if each["shots"] == self.amount)
        lambdas = self.state["lambdas"]
        return tuple(chosen["right"][min(range(len(lambdas)), key=lambda i: abs(lambdas[i] - self.weight))])

    @traitlets.validate("weight")
    def _a_share(self, proposal):
        return fraction("weight", proposal["value"])

    @traitlets.validate("amount")
    def _one_of(self, proposal):
        known = [each["shots"] for each in self.state["amounts"]]
        if proposal["value"] not in known:
            raise CourseError(
                f"There are no heads for {proposal['value']} target items a class.",
                do=f"Choose one of {', '.join(map(str, known))}.",
            )
        return proposal["value"]

    def static(self) -> Plot:
        return plots.parting(self.state, self.weight, self.amount)
