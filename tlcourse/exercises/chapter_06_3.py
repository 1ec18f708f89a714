"""Questions of chapter 06-3: masks."""

from __future__ import annotations

from tlcourse.exercises import judges_06_3, judges_06_3_objects, judges_06_3_wrong
from tlcourse.exercises.core import Choice, Exercise, Quiz

SCORES = Exercise(
    name="06-3.1",
    title="IoU and Dice",
    task="Write `agreement(predicted, true)`. Both are masks of True and False, `[n, h, w]`, of `n` pictures. Return "
    "the pair `(iou, dice)` as two numbers, over the pixels of all pictures together: what both cover divided by what "
    "either covers, and twice what both cover divided by the sum of the two sizes. Where both masks are empty there is "
    "nothing to disagree about: return NaN twice, `float('nan')`.",
    stub="def agreement(predicted, true):\n    ...",
    answers=("agreement",),
    judge=judges_06_3.scored,
    why="Both scores leave out the pixels that neither mask covers, so ground cannot make them look good. They rank "
    "masks alike, as Dice is 2 IoU / (1 + IoU). `mask_scores` does the same for each class.",
    hints=(
        "`predicted & true` is what both cover, `predicted | true` what either covers. `.sum()` counts.",
        "Dice is `2 * both / (predicted.sum() + true.sum())`: the pixels that both cover are in both sizes.",
        "Ask `if either == 0: return float('nan'), float('nan')` before you divide.",
    ),
    code="""
def agreement(predicted, true):
    both, either = (predicted & true).sum().item(), (predicted | true).sum().item()
    # two empty masks: nothing to say
    if either == 0:
        return float("nan"), float("nan")
    return both / either, 2 * both / (predicted.sum().item() + true.sum().item())
""",
    wrong=judges_06_3_wrong.SCORES,
)

LOSS = Exercise(
    name="06-3.2",
    title="A loss for the whole mask",
    task="Write `soft_dice(logits, masks)`, the Dice loss of one class. `logits` is `[n, h, w]`, one number a pixel; "
    "`masks` holds 0 and 1, of the same shape, as whole numbers. Turn the logits into probabilities p by a sigmoid. "
    "With sums over all pixels of the batch, return 1 - (2 sum(p t) + 1) / (sum(p) + sum(t) + 1), one number as a "
    'tensor with its gradient. `logits, masks = exercise("06-3.2").material()` lends you a batch.',
    stub="def soft_dice(logits, masks):\n    ...",
    answers=("soft_dice",),
    judge=judges_06_3.softly,
    make=judges_06_3.batch,
    why="A probability in place of yes or no gives the score a slope. Sums over the whole batch and the added one keep "
    "pictures without the class from deciding everything. `dice_loss` does it for several classes.",
    hints=(
        "`p = logits.sigmoid()`. A threshold has no slope, so nothing could be learned through it.",
        "`both = (p * masks).sum()` and `sizes = p.sum() + masks.sum()`: sums over all axes at once.",
        "`1 - (2 * both + 1) / (sizes + 1)`. It is a loss: small where the masks agree.",
    ),
    code="""
def soft_dice(logits, masks):
    p = logits.sigmoid()
    both, sizes = (p * masks).sum(), p.sum() + masks.sum()
    # the added one: also a batch without the class has a value
    return 1 - (2 * both + 1) / (sizes + 1)
""",
    wrong=judges_06_3_wrong.LOSS,
)

OBJECTS = Exercise(
    name="06-3.3",
    title="From depth to objects",
    task="Write `split_objects(foreground, depth)`. Both are numpy arrays `[h, w]`: `foreground` is True where "
    "there is an object, `depth` says how deep inside its object a pixel lies, 0..1. The connected parts of the "
    "foreground that "
    "are deeper than 0.5 are the seeds. Let water rise from them by `skimage.segmentation.watershed`, deepest first, "
    "inside the foreground only. Return whole numbers `[h, w]`: 0 for ground, and another number for each object. "
    '`foreground, depth = exercise("06-3.3").material()` lends you a heap.',
    stub="def split_objects(foreground, depth):\n    ...",
    answers=("split_objects",),
    judge=judges_06_3_objects.apart,
    make=judges_06_3_objects.heap,
    why="Along a border both depths are low, so each seed lies inside one object. Turned upside down, the depth is a "
    "landscape with a basin for each seed, and two floods meet on the ridge between. `instances` does the same.",
    hints=(
        "`seeds = label(foreground & (depth > 0.5))` with `label` of `skimage.measure` numbers the seeds.",
        "`watershed(landscape, seeds)` floods low places first. Where is a coin's middle to lie, high or low?",
        "`watershed(-depth, seeds, mask=foreground)`: without the mask the ground is flooded too.",
    ),
    code="""
from skimage.measure import label
from skimage.segmentation import watershed

def split_objects(foreground, depth):
    seeds = label(foreground & (depth > 0.5))
    # upside down: the middle of an object is its lowest place
    return watershed(-depth, seeds, mask=foreground)
""",
    wrong=judges_06_3_wrong.OBJECTS,
)

QUESTIONS = (
    SCORES,
    LOSS,
    OBJECTS,
    Quiz(
        "06-3.a",
        "A network finds cracks in photographs of concrete. Cracks cover 2 % of the pixels. It reports 98 % right "
        "pixels. What do you know?",
        (
            Choice(
                "It finds nearly all cracks.",
                "An answer without any crack has 98 % right pixels as well. Nothing about cracks is known yet.",
            ),
            Choice(
                "Its Dice is 98 % as well, as both count right pixels.",
                "Dice does not count the ground that both left out. For a network that finds nothing it is 0.",
            ),
            Choice(
                "Hardly anything: finding no crack at all has that score too. Ask for IoU or Dice of the class crack.",
                "The pixels that neither mask covers make up nearly all of the score. IoU and Dice leave them out.",
                right=True,
            ),
            Choice(
                "The masks must be wrong, as no network reaches 98 %.",
                "They may be right. With such a rare class 98 % is what doing nothing gives.",
            ),
        ),
    ),
    Quiz(
        "06-3.b",
        "On the tissue the pretrained decoder had a Dice of .95, and logistic regression on single pixels .995. Why?",
        (
            Choice(
                "The true mask is a function of the pixel's own colour. The simple model has just that form; the "
                "decoder sees the colour through maps that mix neighbours.",
                "Where the label comes from decides which model is right for it. For outlines of things in "
                "photographs no such function of one pixel exists.",
                right=True,
            ),
            Choice(
                "The decoder had too few numbers to train.",
                "Logistic regression had four. More numbers are not what was missing.",
            ),
            Choice(
                "The backbone knows photographs and not tissue, so its weights did harm.",
                "Random weights did about as well as pretrained ones, and lost to the single pixel too. "
                "So it is not these weights.",
            ),
            Choice(
                "Logistic regression was tuned on the test windows.",
                "It had no setting to tune, and its pixels came from the training windows only.",
            ),
        ),
    ),
)
