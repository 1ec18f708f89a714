"""Questions of chapter 04: which layers move, how fast, and when."""

from __future__ import annotations

from tlcourse.exercises import judges_04, judges_04_phases, judges_04_rates, judges_04_wrong
from tlcourse.exercises.core import Choice, Exercise, Quiz

UNFREEZE = Exercise(
    name="04.1",
    title="Unfreeze the last stage",
    task="After feature extraction only the head of a network trains. `stem`, `stage1`, `stage2` and `pool` are "
    "frozen truly: they have no gradients, and `freeze` gave each of their modules a `train` of its own that keeps it "
    "in evaluation mode. Write `unfreeze_last(model)`: it unfreezes `stage2`, wholly, and returns an optimizer. The "
    "usual loop, with `model.train()` in every step, must then move `stage2` and `head` and nothing else. "
    '`exercise("04.1").material()` makes such a network.',
    stub="def unfreeze_last(model):\n    ...",
    answers=("unfreeze_last",),
    judge=judges_04.unfrozen_last,
    make=judges_04.frozen_network,
    why="Three things make a stage move: its weights have gradients, its modules follow `model.train()`, and an "
    'optimizer holds its parameters, made after the unfreezing. `tlcourse.unfreeze(model, "stage2")` does the first '
    "two, and an optimizer made from `parameter_groups(model, lr)` is the third.",
    hints=(
        "Freezing put two locks on `stage2`, and both have to go. A third thing decides what a step moves.",
        "First lock: `requires_grad_(True)`. Second lock: each module in `model.stage2.modules()` has a `train` of its "
        "own. Once `del module.train` has removed it, the class's usual one is there again.",
        "Only then make the optimizer, of `[p for p in model.parameters() if p.requires_grad]`, and return it.",
    ),
    code="""
import torch

def unfreeze_last(model):
    # first lock: its weights get gradients again
    model.stage2.requires_grad_(True)
    # second lock: its modules follow model.train() again
    for module in model.stage2.modules():
        del module.train
    # what trains now: stage2 and the head
    return torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.01)
""",
    wrong=judges_04_wrong.UNFREEZE,
)

RATES = Exercise(
    name="04.2",
    title="Smaller steps towards the input",
    task="Write `rates(model, lr, decay)`. It returns parameter groups for any torch optimizer: a list of dicts with "
    "`params` and `lr`. The head gets `lr`, the stage before it `lr * decay`, the one before that `lr * decay ** 2`, "
    "down to the stem. The stages are `model.children()`; those without parameters, such as `pool`, do not count. A "
    'frozen stage does count, but stays frozen. Try it on `exercise("04.2").material()`.',
    stub="def rates(model, lr, decay):\n    ...",
    answers=("rates",),
    judge=judges_04_rates.discriminative,
    make=judges_04.network,
    why="Early stages are thought to be general and take small steps; late ones are special and take larger ones. "
    "A stage's rate follows from its place in the chain alone. `tlcourse.parameter_groups(model, lr, decay=decay)` "
    "makes the same groups, and `fit` uses them.",
    hints=(
        'One group is `{"params": list(stage.parameters()), "lr": ...}`. Which stages need one?',
        "Keep the stages with parameters: `[s for s in model.children() if list(s.parameters())]`. The last is the "
        "head.",
        "Go through them from the head: `for depth, stage in enumerate(reversed(chain))`. The rate is `lr * decay ** "
        "depth`.",
    ),
    code="""
def rates(model, lr, decay):
    # a stage without parameters, such as pool, is no step of depth
    chain = [stage for stage in model.children() if list(stage.parameters())]
    groups = []
    for depth, stage in enumerate(reversed(chain)):  # the head has depth 0
        groups.append({"params": list(stage.parameters()), "lr": lr * decay**depth})
    return groups
""",
    wrong=judges_04_wrong.RATES,
)

PHASES = Exercise(
    name="04.3",
    title="The head first, then all",
    task="A pretrained backbone has got a fresh random head. Write `head_then_all(model, train)`. You are given "
    "`train`: `train(lr)` trains for a few steps whatever is not frozen, in a loop that calls `model.train()`. Let "
    "first the head learn alone, with all else truly frozen; then everything, with a smaller rate. Try it: `model, "
    'train = exercise("04.3").material()`, where `train` prints what it moved.',
    stub="def head_then_all(model, train):\n    ...",
    answers=("head_then_all",),
    judge=judges_04_phases.two_phases,
    make=judges_04_phases.model_and_train,
    why="A random head sends large, meaningless errors down into the pretrained stages. Trained alone first, it sends "
    "errors that tell something, and small steps then move the features without washing them out (LP-FT: linear "
    "probe, then fine-tuning).",
    hints=(
        "`train` is called twice. Before each call you decide what is frozen.",
        "`freeze(model)` freezes truly all but the head, and `unfreeze(model)` frees the whole network again.",
        "Freeze, `train(0.01)`, unfreeze, `train(0.001)`.",
    ),
    code="""
from tlcourse import freeze, unfreeze

def head_then_all(model, train):
    # the backbone stands still, BatchNorm's statistics too
    freeze(model)
    train(0.01)
    # now everything moves, in small steps
    unfreeze(model)
    train(0.001)
""",
    wrong=judges_04_wrong.PHASES,
)

QUESTIONS = (
    UNFREEZE,
    RATES,
    PHASES,
    Quiz(
        "04.a",
        "A pretrained network gets a fresh random head, and you train everything at once, at the rate that suits the "
        "head. Why can this do harm?",
        (
            Choice(
                "A random head has more parameters than a trained one, so it overfits.",
                "It has exactly as many, whatever values they have. What differs is the errors that it sends back.",
            ),
            Choice(
                "While the head is random, the pretrained stages get no gradient, and time is lost.",
                "They do get one: the error passes through the head's weights, random or not. It moves them, only not "
                "in a useful direction.",
            ),
            Choice(
                "The random head's errors are large and say little, and the first steps drag the pretrained stages "
                "along, before the head knows anything.",
                "Features that took much data to learn are then changed for a head that is wrong anyway. Hence the "
                "two remedies: the head first, and smaller rates towards the input.",
                right=True,
            ),
            Choice(
                "The pretrained stages lie in a minimum of the loss, and a larger rate cannot move them out of it.",
                "It was a minimum of the old task's loss. The new task has another one, with a gradient there, and a "
                "large rate moves them far.",
            ),
        ),
    ),
    Quiz(
        "04.b",
        "Someone freezes the last stages and trains the stem, the first stage and the head. As many parameters are "
        "frozen as when someone else freezes the first stages. How much of a step's time does it save?",
        (
            Choice(
                "As much as freezing the first stages.",
                "What counts is how far the error has to travel back, not how many parameters are frozen. To the stem "
                "it is the whole way.",
            ),
            Choice(
                "Much less: only the weight gradients of the frozen stages. The error still travels back through "
                "every stage, and nothing can be kept.",
                "Freezing from the input on ends the way back early, and the frozen part's features are computed once. "
                "Here the forward pass, and the way back to the stem, stay as long as they were.",
                right=True,
            ),
            Choice(
                "More: early stages have few parameters, so they train fast.",
                "Few parameters, but the largest maps: much of a step's time is spent there. And the error reaches "
                "them last, through everything else.",
            ),
            Choice(
                "Nearly all of it: no gradient gets through the frozen stages, so nothing below them moves.",
                "`requires_grad=False` spares the gradient of a stage's own weights. The error still passes through "
                "the stage to what trains below it.",
            ),
        ),
    ),
)
