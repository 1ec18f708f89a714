"""What a learner is told when training goes wrong, or ends oddly."""

from __future__ import annotations

import math

from tlcourse.errors import CourseError


class Diverged(CourseError):
    """The loss became NaN or infinite; `.history` holds the epochs before."""


def diverged(epoch, done, finite_logits, source, index, lr, history, task="") -> Diverged:
    """Why the loss is not a number, in the order in which causes can be told apart."""
    moved = epoch > 1 or done > 0
    clean = source.finite(index)  # None where nobody can look
    unseen = "" if clean is not None else " Or the data of this batch hold NaN."
    if clean is False:
        why = "The input of this batch holds NaN or infinite values."
        do = "Look for them in the data, and use the model's own transform."
    elif finite_logits:
        why = "The outputs are finite but the loss is not: it may divide by zero, or take the logarithm of zero."
        do = "Look into the loss function."
    elif not moved and not all(t.isfinite().all() for t in source.model.state_dict().values()):
        why = "The weights held NaN or infinite values before the first step: an earlier run may have diverged."
        do = "Load the model anew."
    elif moved:
        why = f"The weights or outputs have grown beyond all numbers: the learning rate ({lr:g}) is too large.{unseen}"
        do = f"Load the model anew (this one is spoilt) and try lr={lr / 10:g}."
    else:
        why = f"The outputs overflow at the first step: the input has another scale than the weights expect.{unseen}"
        do = (
            "Use the model's own transform." if clean else "Look into the data: their scale, and whether they hold NaN."
        )
    whose = f" of task {task!r}" if task else ""
    error = Diverged(
        f"The loss{whose} is not a number in epoch {epoch}, after {done} batches; training stopped.",
        why=why,
        do=f"{do} The epochs so far are in the error's .history.",
    )
    error.history = history
    return error


def remarks(source, history, lr: float, usual_loss: bool) -> list[str]:
    """What a reader of the history should know of the data and of how the run ended."""
    said, data = [], source.data
    most = getattr(getattr(source.model, "transform", None), "max_length", None)
    cut = 0 if source.lengths is None or most is None else int((source.lengths >= most).sum())
    if cut:
        said.append(f"{cut} of {len(data)} texts fill all {most} tokens: what is longer was cut off.")
    missing = [name for name, n in zip(data.classes, data.y.bincount(minlength=len(data.classes)).tolist(), strict=True)
               if not n]  # fmt: skip
    if missing:
        shown = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        said.append(f"No item of {shown} was there to learn from: the model will hardly ever answer so.")
    guess = math.log(max(2, len(data.classes)))
    if usual_loss and history.rows and history.rows[-1]["loss"] > 1.5 * guess:
        said.append(
            f"The loss ends at {history.rows[-1]['loss']:.2f}; guessing gives {guess:.2f}. "
            f"The learning rate ({lr:g}) is probably too large: try {lr / 10:g} with a model loaded anew."
        )
    return said
