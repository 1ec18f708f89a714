"""`fine_tune`: the head first, then more of the chain."""

from __future__ import annotations

import os
from collections.abc import Sequence

from torch import nn

from tlcourse import freezing
from tlcourse.chain import pick, stages
from tlcourse.errors import CourseError, whole_number
from tlcourse.training.history import History
from tlcourse.training.loop import fit


def fine_tune(
    model: nn.Module,
    train,
    valid=None,
    *,
    epochs: int,
    lr: float = 1e-4,
    head_epochs: int = 1,
    head_lr: float = 1e-2,
    unfreeze: str | int | Sequence[str] = "all",
    decay: float = 1.0,
    patience: int | None = None,
    checkpoint: str | os.PathLike | None = None,
    **options,
) -> History:
    """Train the head alone, then it and more of the chain at a smaller rate.

    A random head sends large, meaningless gradients into the body; it learns first, so that the body is moved for a
    reason. While the head learns, what the body gives is kept, so that this phase costs little.

    Arguments:
        model: a pretrained classifier; which of its stages are frozen now does not matter.
        train, valid: as in `fit`.
        epochs, lr: passes and learning rate of the second phase.
        head_epochs, head_lr: of the first; 0 epochs leave it out.
        unfreeze: `"all"`; a number of last stages with parameters, the head counted; names or globs of stages, the
            head always trains; or `"gradual"`: one stage more each epoch, from the head towards the input.
        decay: each stage further from the head learns slower by this factor.
        patience, checkpoint: as in `fit`; each phase has a file of its own, patience is for the last.
        options: anything else that `fit` takes.

    Returns one `History` of all phases. Raises what `fit` raises.

    >>> from tlcourse import load, load_dataset
    >>> model = load("efficientnet-lite0", classes=2, pretrained=False, size=32)
    >>> fine_tune(model, load_dataset("faces").train[:8], epochs=1, unfreeze=2).to_frame()["phase"].tolist()
    ['head', '2 stages']

    Howard and Ruder 2018 (gradual unfreezing); Kumar et al. 2022 (LP-FT); chapter 04.
    """
    whole_number("epochs", epochs), whole_number("head_epochs", head_epochs, 0)
    # wrong rates of the second phase are told before the first one; any network shows them
    freezing.parameter_groups(nn.Sequential(nn.Linear(1, 1)), lr, decay=decay, head_lr=head_lr)
    phases = _phases(model, unfreeze, epochs)
    whole = History()
    if head_epochs:
        phases = [("head", pick(model, last=1), head_epochs), *phases]
    for number, (name, names, passes) in enumerate(phases):
        first = bool(head_epochs) and number == 0
        freezing.freeze(model)
        freezing.unfreeze(model, *names)
        history = fit(
            model, train, valid, epochs=passes, lr=head_lr if first else lr, decay=1.0 if first else decay,
            patience=patience if number == len(phases) - 1 else None,
            checkpoint=None if checkpoint is None else f"{os.fspath(checkpoint)}.{number}", **options,
        )  # fmt: skip
        whole = whole.then(history, name)
        if history.interrupted:
            break
    return whole


def _phases(model: nn.Module, choice, epochs: int) -> list[tuple[str, list[str], int]]:
    """For each phase behind the head's: its name, the stages that train, and its epochs."""
    chain = dict(stages(model).named_children())
    with_parameters = [name for name, stage in chain.items() if any(True for _ in stage.parameters())]
    most = len(with_parameters)
    if choice == "all" or (choice == "gradual" and most == 1):
        return [("all", list(chain), epochs)]
    if choice == "gradual":
        last = min(epochs, most - 1)  # the whole chain trains in what is left
        counts = [k + 2 for k in range(last)]
        passes = [1] * (last - 1) + [epochs - last + 1]
        return [(f"{k} stages", pick(model, last=k), n) for k, n in zip(counts, passes, strict=True)]
    if isinstance(choice, int) and not isinstance(choice, bool):
        if not 1 <= choice <= most:
            raise CourseError(
                f"unfreeze={choice} is not a number of stages.",
                why=f"{most} of this model's stages have parameters: {', '.join(with_parameters)}.",
                do=f"Choose a whole number from 1 (the head alone) to {most}.",
            )
        return [(f"{choice} stage{'s' if choice > 1 else ''}", pick(model, last=choice), epochs)]
    if not isinstance(choice, (str, Sequence)) or not choice:
        raise CourseError(
            f"unfreeze={choice!r} chooses no stages.",
            do='Choose "all", "gradual", a number of last stages, or names, e.g. ["stage6", "stage7"].',
        )
    chosen = pick(model, *([choice] if isinstance(choice, str) else choice))
    # a dropout that stands by itself behind a stage that trains is on
    behind = [name for name in list(chain)[list(chain).index(chosen[0]) :] if name not in with_parameters]
    return [(", ".join(chosen), [*chosen, *behind, *pick(model, last=1)], epochs)]
