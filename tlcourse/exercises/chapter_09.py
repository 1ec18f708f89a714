"""Questions of chapter 09: how far domains are apart, prototypes, pseudo-labels, and what to trust."""

from __future__ import annotations

from tlcourse.exercises import judges_09, judges_09_pseudo, judges_09_wrong
from tlcourse.exercises.core import Choice, Exercise, Quiz

DISTANCE = Exercise(
    name="09.1",
    title="How far apart?",
    task="A classifier was trained to tell two domains apart, and asked about items that it had not seen: `said` is "
    "what it answered, `true` where they come from, both tensors of 0 (source) and 1 (target). Write "
    "`a_distance(said, true)`: 2 · (1 - 2 e), where e is the mean of both domains' error rates, and 0 where it did "
    'worse than guessing. The domains may have different numbers of items. `said, true = exercise("09.1").material()` '
    "lends you some.",
    stub="def a_distance(said, true):\n    ...",
    answers=("a_distance",),
    judge=judges_09.distance,
    make=judges_09.answers,
    why="A classifier that can only guess is wrong half of the time, e = 0.5: no distance. One that is never wrong "
    "gives 2. The error has to be measured on items that it has not learned from, or any two domains look far apart. "
    "`tlcourse.domain_gap` does so with five folds.",
    hints=(
        "How often is the classifier wrong on the source's items, and how often on the target's?",
        "`wrong = (said != true).float()`, then `wrong[true == 0].mean()` for the source.",
        "e is the mean of the two rates; return `max(0.0, float(2 * (1 - 2 * e)))`.",
    ),
    code="""
def a_distance(said, true):
    wrong = (said != true).float()
    # each domain counts the same, however many items it has
    e = (wrong[true == 0].mean() + wrong[true == 1].mean()) / 2
    return max(0.0, float(2 * (1 - 2 * e)))
""",
    wrong=judges_09_wrong.DISTANCE,
)

PROTOTYPES = Exercise(
    name="09.2",
    title="A class is its mean",
    task="Write `nearest_prototype(few, labels, new)`. `few` are features `[n, d]` of a few labelled items, `labels` "
    "their classes `[n]` (any whole numbers, and not equally many of each), `new` features `[m, d]` of items to name. "
    "The prototype of a class is the mean of its items. Return for each new item the class of the prototype with the "
    'smallest Euclidean distance, `[m]`. `few, labels, new = exercise("09.2").material()` lends you some.',
    stub="def nearest_prototype(few, labels, new):\n    ...",
    answers=("nearest_prototype",),
    judge=judges_09.prototypes,
    make=judges_09.features,
    why="A mean has no setting to choose, and one odd example cannot pull it far: with one or two labels a class "
    "little else can be learned. With many labels a rule that can weigh its features, such as a linear probe, "
    "overtakes it.",
    hints=(
        "Which classes are there? `labels.unique()` tells. One mean for each.",
        "`means = torch.stack([few[labels == c].mean(0) for c in classes])`, and `torch.cdist(new, means)` has a row "
        "of distances for each new item.",
        "`argmin(1)` is the place of the nearest mean; the class there is `classes[place]`.",
    ),
    code="""
import torch

def nearest_prototype(few, labels, new):
    classes = labels.unique()
    means = torch.stack([few[labels == c].mean(0) for c in classes])
    # a row a new item, a column a class
    far = torch.cdist(new, means)
    return classes[far.argmin(1)]
""",
    wrong=judges_09_wrong.PROTOTYPES,
)

PSEUDO = Exercise(
    name="09.3",
    title="Labels of one's own",
    task="Write `surest(model, items, threshold)`. `model` turns `items.x`, `[n, 4]`, into scores `[n, 3]`. "
    "Return two tensors: the rows of `items.x` whose answer is sure, its largest share (softmax) at least `threshold`, "
    "in their order; and the classes that the model gives them. `items.y` is for the test: do not read it. Do not "
    'change the model\'s weights. `model, items = exercise("09.3").material()` lends you both.',
    stub="def surest(model, items, threshold):\n    ...",
    answers=("surest",),
    judge=judges_09_pseudo.sure_answers,
    make=judges_09_pseudo.model_and_items,
    why="What the model is sure of is right more often than the rest, so it may teach. The price: what it is surely "
    "wrong about is taught as well, and no label tells. `tlcourse.pseudo_label(model, data, confidence=0.9)` does the "
    "same, and takes a share of each class besides, so that an easy class does not push out the others.",
    hints=(
        "Ask the model without gradients and in evaluation mode. Scores are no shares yet.",
        "`shares = scores.softmax(1)`; how sure an answer is, `shares.max(1).values` tells.",
        "With `sure = shares.max(1).values >= threshold` the answer is `items.x[sure], scores.argmax(1)[sure]`.",
    ),
    code="""
import torch

def surest(model, items, threshold):
    # only asked, not trained: no gradients, no dropout
    with torch.no_grad():
        scores = model.eval()(items.x)
    sure = scores.softmax(1).max(1).values >= threshold
    return items.x[sure], scores.argmax(1)[sure]
""",
    wrong=judges_09_wrong.PSEUDO,
)

QUESTIONS = (
    DISTANCE,
    PROTOTYPES,
    PSEUDO,
    Quiz(
        "09.a",
        "You adapt to a target without labels, and have tried five weights of the alignment. Some labelled items of "
        "the target exist, but they are your test. Which weight do you take?",
        (
            Choice(
                "The one with the best accuracy on the target's test items: that is what counts in the end.",
                "Then the test has chosen, and its number is the best of five draws of luck. It also assumes labels "
                "that you would not have in earnest.",
            ),
            Choice(
                "The one that makes the domains most alike, measured by the A-distance.",
                "The largest weight always wins that: features that say nothing any more are alike everywhere. The "
                "domains come together, and so do the classes.",
            ),
            Choice(
                "One that was chosen before, on another pair of domains where target labels may be used, and that is "
                "now left as it is.",
                "Nothing of this target has chosen. The price is honest as well: if the pairs differ much, the weight "
                "may not suit, and the number will say so.",
                right=True,
            ),
            Choice(
                "The one with the best accuracy on new items of the source.",
                "That hardly depends on the weight, and mostly falls a little with it: it would choose no alignment at "
                "all. It is good for noticing that a weight is far too large.",
            ),
        ),
    ),
    Quiz(
        "09.b",
        "A network names 99 of 100 validation images right. Its heat maps light up a stamp in the corner. What now?",
        (
            Choice(
                "Nothing: 99 of 100 on images that it has not seen is proof enough.",
                "They were drawn like the training images, so they have the stamp as well. What they prove holds for "
                "images with the stamp.",
            ),
            Choice(
                "Cover, move or swap the stamp on validation images and measure again. If the accuracy falls, collect "
                "or make training images in which the stamp says nothing.",
                "The map gave the suspicion, the measurement decides, and data mend it: where the stamp goes with all "
                "classes, there is nothing to be learned from it.",
                right=True,
            ),
            Choice(
                "Train longer, until the map lights up the object.",
                "The loss is small already: the stamp explains the labels. More of the same data hold no reason to "
                "look elsewhere.",
            ),
            Choice(
                "The map proves that the network uses nothing but the stamp, so it is of no use at all.",
                "A map shows what speaks for a class in one image, by one method. Whether the rest would do alone, "
                "only a test without the stamp can tell.",
            ),
        ),
    ),
)
