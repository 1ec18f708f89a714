"""The check of chapter 04's two phases: it lends the learner a `train`, and writes down what moved in each call."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from tlcourse.exercises.answers import NotYet, call
from tlcourse.exercises.judges_04 import is_statistic, moved, network, stage_of, stages_of, state, still_whole


@dataclass(frozen=True, eq=False)
class Phase:
    """One call of `train`: its rate, and the network before and after it."""

    lr: float
    before: dict
    after: dict

    @property
    def weights(self) -> list[str]:
        return [name for name in moved(self.before, self.after) if not is_statistic(name)]

    @property
    def statistics(self) -> list[str]:
        return [name for name in moved(self.before, self.after) if is_statistic(name)]

    @property
    def head_alone(self) -> bool:
        return stages_of(self.weights) == ["head"]

    def __str__(self) -> str:
        kept = stages_of(self.statistics)
        also = f"; BatchNorm's statistics of: {', '.join(kept)}" if kept else ""
        return f"train({self.lr:g}) moved the weights of: {', '.join(stages_of(self.weights)) or 'nothing'}{also}"


def model_and_train():
    """A network with a fresh head, and a `train(lr)` that says what it moved."""
    model = network()
    return model, trainer(model, lambda phase: print(phase))


def trainer(model, tell):
    """A `train(lr)`: two steps of Adam with whatever trains now, in the loop that everybody writes."""
    import torch

    generator = torch.Generator().manual_seed(1)
    images, labels = torch.randn(12, 3, 8, 8, generator=generator), torch.arange(12) % 3

    def train(lr):
        try:
            rate = float(lr)
        except (TypeError, ValueError):
            raise TypeError(f"train takes one number, the learning rate, not a {type(lr).__name__}.") from None
        if not isfinite(rate) or rate < 0:
            raise ValueError(f"A learning rate is 0 or more, and finite; {rate:g} is not.")
        before, free = state(model), [p for p in model.parameters() if p.requires_grad]
        optimizer = torch.optim.Adam(free, lr=rate) if free else None
        for _ in range(2):
            model.train()
            loss = torch.nn.functional.cross_entropy(model(images), labels)
            if optimizer:
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        model.zero_grad(set_to_none=True)
        tell(Phase(rate, before, state(model)))
        return loss.item()

    return train


def two_phases(head_then_all) -> None:
    """04.3: first the head alone, then everything with a smaller rate."""
    import torch

    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(0)
        model, phases = network(), []
        start = state(model)
        call(head_then_all, model, trainer(model, phases.append))
        still_whole(model, start)
        if not phases:
            raise NotYet("`train` was never called: nothing was learned. Call it once in each phase.")
        for phase in phases:
            if not phase.weights:
                raise NotYet(
                    f"`train({phase.lr:g})` moved no weight at all: "
                    + ("the whole network was frozen, or the rate is too small." if phase.lr else "its rate is zero.")
                )
        _judge_first(phases)
        _judge_between(start, phases, state(model))
        _judge_last(phases)


def _judge_first(phases) -> None:
    first, later = phases[0], phases[1:]
    if "head" not in stages_of(first.weights):
        raise NotYet(
            "In the first phase the head stood still and the backbone moved: the wrong part was frozen. The head is "
            "the one that knows nothing yet."
        )
    if not first.head_alone:
        if not later:
            raise NotYet(
                "There was one phase only, with everything in it: the random head's errors went straight into the "
                "pretrained stages. Train the head alone first, with the rest frozen."
            )
        if any(phase.head_alone for phase in later):
            raise NotYet(
                "The order is reversed: everything moved first, and the head alone afterwards. By then the random "
                "head has already pulled the pretrained stages away."
            )
        raise NotYet(
            f"In the first phase `{stage_of(first.weights[0])}` moved as well. Freeze all but the head before you call "
            "`train` for the first time."
        )
    if first.statistics:
        raise NotYet(
            f"In the first phase the weights stood still, but BatchNorm's statistics moved (`{first.statistics[0]}`), "
            "so the head learned from features that shift. `requires_grad` does not hold them: see exercise 03.2."
        )


def _judge_between(start, phases, end) -> None:
    """What one call of `train` left is what the next one finds."""
    names = ("before", *["between"] * (len(phases) - 1), "after")
    for when, a, b in zip(names, [start, *(p.after for p in phases)], [*(p.before for p in phases), end], strict=True):
        if any(name not in b or b[name].shape != a[name].shape for name in a):
            raise NotYet("The network became another one between the phases. Keep its parts, and only freeze them.")
        touched = moved(a, b)
        if when == "before":  # a fresh head may be made afresh
            touched = [name for name in touched if stage_of(name) != "head"]
        if touched and stages_of(touched) == ["head"]:
            raise NotYet(
                f"The head was changed {when} the phases, outside `train`: what it had learned in the first one is "
                "thrown away. Go on with the same head."
            )
        if touched:
            raise NotYet(
                f"`{touched[0]}` was changed outside `train`, {when} the phases. Go on from the pretrained weights: "
                "freezing and unfreezing touch no value."
            )


def _judge_last(phases) -> None:
    last = phases[-1]
    learned = stages_of(last.weights)
    if last.head_alone:
        if len(phases) == 1:
            raise NotYet("Only the head was trained: that is feature extraction. The second phase is missing.")
        raise NotYet("In the last phase only the head moved again. Unfreeze the rest before you call `train`.")
    if "head" not in learned:
        raise NotYet("In the last phase the head stood still. It has to follow the features that now move.")
    still = [name for name in last.after if not is_statistic(name) and name not in last.weights]
    if still:
        raise NotYet(f"In the last phase `{still[0]}` did not move. Everything should: unfreeze the whole network.")
    kept = [name for name in last.after if is_statistic(name) and name not in last.statistics]
    if kept:
        raise NotYet(
            f"In the last phase the weights move, but `{stage_of(kept[0])}` is still held in evaluation mode: "
            "BatchNorm keeps the old data's statistics. Undo both locks of the freezing, as `unfreeze` does."
        )
    head, rest = (max(p.lr for p in phases if p.head_alone is alone) for alone in (True, False))
    if rest == head:
        raise NotYet(
            f"Both phases have the rate {head:g}. It suits a head that starts from nothing; pretrained stages need "
            "small steps, or they forget: choose e.g. a tenth of it for the second phase."
        )
    if rest > head:
        raise NotYet(
            f"The second phase has the larger rate, {rest:g} after {head:g}. Large steps would wash out what "
            "pretraining has left: the rate goes down when pretrained stages move."
        )
