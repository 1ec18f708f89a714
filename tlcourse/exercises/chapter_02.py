"""Questions of chapter 02: what is minimised, and how a step moves it."""

from __future__ import annotations

from tlcourse.exercises import judges_02, judges_02_gradient, judges_02_wrong
from tlcourse.exercises.core import Choice, Exercise, Quiz

MIXED = Exercise(
    name="02.1",
    title="Two losses in one",
    task="Write `mixed_loss(source_scores, source_y, target_scores, target_y, weight)`. The scores are tensors "
    "`[items, classes]`, the labels class numbers `[items]`, and `weight` is λ, from 0 to 1. Return one number from "
    "which a step can be made: λ times the mean cross-entropy on the source, plus 1 - λ times that on the target.",
    stub="def mixed_loss(source_scores, source_y, target_scores, target_y, weight):\n    ...",
    answers=("mixed_loss",),
    judge=judges_02.mixed,
    why="Each domain gets its mean first and its weight second, so λ alone says who counts, however many items there "
    "are of each. The result is still a tensor with a graph behind it, so `.backward()` finds the way to both.",
    hints=(
        "Two losses, each of one domain. Which function gives the mean cross-entropy of scores and labels?",
        "`F.cross_entropy(scores, y)` does, from `torch.nn.functional`; it takes scores, without a softmax.",
        "`weight * (the source's) + (1 - weight) * (the target's)`, returned as it is.",
    ),
    code="""
from torch.nn import functional as F

def mixed_loss(source_scores, source_y, target_scores, target_y, weight):
    source = F.cross_entropy(source_scores, source_y)   # a mean over the source's items
    target = F.cross_entropy(target_scores, target_y)   # a mean over the target's items
    return weight * source + (1 - weight) * target
""",
    wrong=judges_02_wrong.MIXED,
)

STEP = Exercise(
    name="02.2",
    title="A step with momentum",
    task="Write `step(theta, velocity, slope, lr, momentum)`, one step of gradient descent with momentum. All three "
    "tensors have one shape; the velocity is zero before the first step. Return the new `theta` and the new "
    "`velocity`.",
    stub="def step(theta, velocity, slope, lr, momentum):\n    ...",
    answers=("step",),
    judge=judges_02.momentum_step,
    why="The velocity keeps a share of itself and takes up the new slope; the point then moves against it, `lr` times "
    'as far. `torch.optim.SGD(..., momentum=0.9)` and `descend(..., optimizer="momentum")` take the same steps.',
    hints=(
        "Two lines: first the velocity, then the point.",
        "The new velocity is `momentum` times the old one, plus the slope.",
        "The new point is `theta - lr * velocity`, with the *new* velocity. Return both.",
    ),
    code="""
def step(theta, velocity, slope, lr, momentum):
    velocity = momentum * velocity + slope    # what is left of the old pushes, and the new one
    theta = theta - lr * velocity             # against the slope: downhill
    return theta, velocity
""",
    wrong=judges_02_wrong.STEP,
)

GAP = Exercise(
    name="02.3",
    title="Find the mistake in a gradient",
    task="Somebody wrote a gradient by hand. Write `largest_gap(loss, slopes, W)`: it measures the slope of each "
    "weight by nudging that weight up and down, and returns the largest absolute difference from `slopes`. `loss(W)` "
    "gives one number; `W` and `slopes` are float64 tensors of one shape. A right gradient must come out below 1e-6. "
    'Then try it: `loss, slopes, W = exercise("02.3").material()` has a mistake. By which factor is it off?',
    stub="def largest_gap(loss, slopes, W):\n    ...",
    answers=("largest_gap",),
    judge=judges_02_gradient.measured,
    make=judges_02_gradient.material,
    why="Central differences need nothing but the loss itself, so they can judge a formula and autograd alike. In the "
    "material the slopes are six times too large: they were summed over six items, and the loss is a mean.",
    hints=(
        "One weight at a time: copy `W`, change one entry by a small number, and ask for the loss.",
        "`(loss(up) - loss(down)) / (2 * nudge)` with a nudge of 1e-5. `W.view(-1)[i]` is entry `i` of any shape.",
        "Collect `abs(measured - slopes.view(-1)[i])` for all `i` in `range(W.numel())`, and return the largest.",
    ),
    code="""
def largest_gap(loss, slopes, W):
    nudge, largest = 1e-5, 0.0
    for i in range(W.numel()):
        up, down = W.clone(), W.clone()      # copies: W itself stays as it is
        up.view(-1)[i] += nudge
        down.view(-1)[i] -= nudge
        measured = (loss(up) - loss(down)) / (2 * nudge)
        largest = max(largest, abs(float(measured - slopes.view(-1)[i])))
    return largest
""",
    wrong=judges_02_wrong.GAP,
)

QUESTIONS = (
    MIXED,
    STEP,
    GAP,
    Quiz(
        "02.a",
        "You have 2,000 labelled reviews of films, and 20 labelled tweets. A colleague trains one head on all 2,020 "
        "texts poured together, and says: that is the mixture, without any λ to choose. What is true?",
        (
            Choice(
                "There is no λ in it, so nothing was weighed.",
                "There is: each text counts the same, so the films have 2,000 of 2,020 votes. That is λ = 0.99.",
            ),
            Choice(
                "It has λ = 2,000 / 2,020: the films count a hundred times as much as the tweets. With so few tweets "
                "that may do quite well.",
                "Pouring together is one choice of λ, and it leans to the source. With few target labels the best λ is "
                "large as well, so it was near the chosen one in this chapter; with many labels it is too large.",
                right=True,
            ),
            Choice(
                "It has λ = 0.5, because both domains are used.",
                "That would need two means, each with half the weight. In one bag the larger domain has more weight.",
            ),
            Choice(
                "It must be worse than training on the 20 tweets alone, as films are another domain.",
                "In the chapter, tweets alone were 14 points behind the bag with 4 of each class.",
            ),
        ),
    ),
    Quiz(
        "02.b",
        "A linear head is trained on 32 target texts until its loss cannot fall any further, once from the source's "
        "head and once from zero. What do the two have in common in the end?",
        (
            Choice(
                "Nothing: the head that began at the source still knows the source.",
                "It did on the way. But the loss of a linear head, with its penalty, has one lowest point, and the "
                "target's loss does not care where the path began.",
            ),
            Choice(
                "Both are the same head, and it is the best one for new target texts.",
                "They are the same, but the lowest loss on 32 texts is not the best head for others: the path from the "
                "source passed better ones.",
            ),
            Choice(
                "Both are the same head. What the start bought was better heads on the way, so one must stop early, or "
                "mix the losses.",
                "The loss is convex: one lowest point, whichever way. The source can enter by the start and an early "
                "stop, or by λ, which moves the lowest point itself.",
                right=True,
            ),
            Choice(
                "The head from the source arrives first, as it starts nearer.",
                "It began lower, and came later than zero: what it knew of the source wears off slowly.",
            ),
        ),
    ),
)
