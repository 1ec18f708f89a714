"""Questions of chapter 05: several tasks on one network."""

from __future__ import annotations

from tlcourse.exercises import judges_05, judges_05_surgery, judges_05_wrong
from tlcourse.exercises.core import Choice, Exercise, Quiz

LOSS = Exercise(
    name="05.1",
    title="Labels that are missing",
    task="A batch has scenes with a digit's class, scenes with a box, and scenes with both. Write `task_loss(outputs, "
    'y, boxes)`. `outputs["digit"]` are scores `[n, 10]` and `outputs["box"]` boxes `[n, 4]`; `y` holds class '
    "numbers, -1 where nobody knows, and `boxes` rows of NaN where nobody knows. Return the mean cross-entropy of the "
    "scenes that have a class, plus the mean squared error of the boxes of those that have a box. A batch may have no "
    'label at all of one task. `exercise("05.1").material()` makes outputs and labels.',
    stub="def task_loss(outputs, y, boxes):\n    ...",
    answers=("task_loss",),
    judge=judges_05.masked,
    make=judges_05.batch,
    why="Each task's loss is a mean over the items that have its label: chosen before anything is computed, so that no "
    "NaN gets into the loss or into its gradient. A task without labels in a batch has nothing to say in that step. "
    "`fit_tasks` does the same.",
    hints=(
        "Two masks: `y >= 0`, and `~boxes.isnan().any(1)`. What does `outputs[...][mask]` give?",
        '`F.cross_entropy(outputs["digit"][named], y[named])` is the first part. The mean of nothing is NaN: ask '
        "`named.any()` first.",
        "Collect the parts in a list, and return their `sum(...)`. Do not multiply NaN by nought, and do not hide it "
        "by `torch.where`.",
    ),
    code="""
from torch.nn import functional as F

def task_loss(outputs, y, boxes):
    parts = []
    # choose first, compute afterwards: no NaN gets in
    named = y >= 0
    if named.any():
        parts.append(F.cross_entropy(outputs["digit"][named], y[named]))
    framed = ~boxes.isnan().any(1)
    if framed.any():
        parts.append(F.mse_loss(outputs["box"][framed], boxes[framed]))
    return sum(parts)
""",
    wrong=judges_05_wrong.LOSS,
)

WEIGHTS = Exercise(
    name="05.2",
    title="Weights that learn",
    task="Uncertainty weighting gives each task a number $s = \\log \\sigma^2$ that learns, and makes this small: the "
    "sum over the tasks of exp(-s) L + s / 2. Write `weighted(losses, s)`: both are tensors with a number a task, and "
    "one number comes back, with gradients to the losses and to `s`.",
    stub="def weighted(losses, s):\n    ...",
    answers=("weighted",),
    judge=judges_05.uncertain,
    why="exp(-s) is the weight, and always positive. The term s / 2 is the price of calling a task noisy. For a loss "
    "that stays at L, s settles where the slope 1/2 - exp(-s) L is zero, at s = log 2L.",
    hints=(
        "Which s would make `(-s).exp() * losses` small all by itself? The second term forbids it.",
        "Tensors compute entry by entry: `(-s).exp() * losses + s / 2` has a number for each task.",
        "Add them up with `.sum()`, and detach nothing.",
    ),
    code="""
def weighted(losses, s):
    # the weight exp(-s), and the price of noise
    return ((-s).exp() * losses + s / 2).sum()
""",
    wrong=judges_05_wrong.WEIGHTS,
)

SURGERY = Exercise(
    name="05.3",
    title="Gradient surgery",
    task="Two tasks have the gradients `a` and `b` (vectors) on what they share. Write `surgery(a, b)`, as PCGrad "
    "does it. Where the two do not disagree (their product `a @ b` is not negative) return their sum. Where they do, "
    "take from each the part that points against the other, and return the sum of what is left. Both are projected "
    'off the *original* of the other, and neither is changed. `a, b = exercise("05.3").material()` lends you two that '
    "disagree.",
    stub="def surgery(a, b):\n    ...",
    answers=("surgery",),
    judge=judges_05_surgery.operated,
    make=judges_05_surgery.gradients,
    why="What is left of each gradient stands at a right angle to the other, so to first order neither task's step "
    "harms the other. Yu et al. 2020 call it projecting conflicting gradients.",
    hints=(
        "The part of `a` along `b` is `(a @ b) / (b @ b) * b`. At a right angle to `b` is what remains of `a` without "
        "it.",
        "Ask first: `if a @ b >= 0: return a + b`. That also keeps you from dividing by zero.",
        "`x = a - (a @ b) / (b @ b) * b`; the same for `y` with the two exchanged, from the original `a`; then `x + "
        "y`.",
    ),
    code="""
def surgery(a, b):
    dot = a @ b
    # nothing to repair
    if dot >= 0:
        return a + b
    # each without what it has against the other's original
    return (a - dot / (b @ b) * b) + (b - dot / (a @ a) * a)
""",
    wrong=judges_05_wrong.SURGERY,
)

QUESTIONS = (
    LOSS,
    WEIGHTS,
    SURGERY,
    Quiz(
        "05.a",
        "Two losses with equal weights: one is a cross-entropy near 1, the other a squared error of boxes in pixels, "
        "near 400. Someone measures boxes as shares of the picture's width instead, and nothing else changes. What "
        "happens to the shared stages?",
        (
            Choice(
                "Nothing: equal weights stay equal.",
                "The weights stay 1, but what they multiply has changed by a factor of ten thousand. Equal weights "
                "are a choice of units.",
            ),
            Choice(
                "They now mostly follow the classes, where before they mostly followed the boxes.",
                "The step is the sum of two gradients, and the one of the boxes has become tiny. Equal weighting means "
                "that you choose the scale of each loss with care.",
                right=True,
            ),
            Choice(
                "They learn faster, because smaller numbers are easier for a network.",
                "The size of a loss does not make it easier. What changes is whose gradient is heard.",
            ),
            Choice(
                "Adam divides by the size of the gradient, so the scale of a loss never matters.",
                "Adam divides the *sum* of both gradients. A scale common to all tasks drops out; that of one against "
                "the other stays.",
            ),
        ),
    ),
    Quiz(
        "05.b",
        "You train a shared network for two tasks, and the cosine of their gradients is about zero throughout. What "
        "does it say?",
        (
            Choice(
                "The tasks help each other, since nothing conflicts.",
                "A step for one does, to first order, nothing for the other. Help would show as a positive cosine, and "
                "even then only the score on held-out data tells.",
            ),
            Choice(
                "The tasks harm each other, so separate networks will be better.",
                "Harm would show as a negative cosine, and not even that settles it. They share what the network can "
                "hold, and that may cost or not: measure it.",
            ),
            Choice(
                "At this point a small step for one task hardly changes the loss of the other. Whether sharing helps, "
                "only a comparison with separate networks tells.",
                "In many dimensions two directions are nearly always near a right angle. The cosine describes a step; "
                "the gain is measured on held-out items, over seeds.",
                right=True,
            ),
            Choice(
                "There is a mistake: two tasks on one network must have correlated gradients.",
                "They need not. Different tasks may ask for different directions of the same weights.",
            ),
        ),
    ),
)
