"""Questions of chapter 06-2: where something is in an image."""

from __future__ import annotations

from tlcourse.exercises import judges_06_2, judges_06_2_wrong
from tlcourse.exercises.core import Choice, Exercise, Quiz

DECODE = Exercise(
    name="06-2.1",
    title="From distances to boxes",
    task="A head gives for each point (x, y), in pixels, how far it is to the left, top, right and bottom edge of a "
    "box, in *places* of its map. Write `decode(points, distances, stride, size)`: `points` is `[p, 2]`, `distances` "
    "`[p, 4]`, a place is `stride` pixels wide, and the image `size` pixels high and wide. Return the boxes `[p, 4]` "
    'in pixels (left, top, right, bottom), cut off at the edges of the image. `exercise("06-2.1").material()` lends '
    "you points and distances.",
    stub="def decode(points, distances, stride, size):\n    ...",
    answers=("decode",),
    judge=judges_06_2.decoded,
    make=judges_06_2.places,
    why="Left and top lie before the point, right and bottom behind it. A distance in places is of about the same size "
    "for all layers of a pyramid, which is why heads are trained on it. Nothing is outside of the image.",
    hints=(
        "First pixels: `distances * stride`. Which two of the four are taken off the point, which two are added?",
        "`points - d[:, :2]` are the corners at the top left. `torch.cat([...], 1)` puts two corners side by side.",
        "`.clamp(0, size)` cuts off at all four edges, since the image is a square.",
    ),
    code="""
import torch

def decode(points, distances, stride, size):
    d = distances * stride
    # the corner before the point, and the one behind it
    boxes = torch.cat([points - d[:, :2], points + d[:, 2:]], 1)
    return boxes.clamp(0, size)
""",
    wrong=judges_06_2_wrong.DECODE,
)

SUPPRESS = Exercise(
    name="06-2.2",
    title="Non-maximum suppression",
    task="Many points see the same face, and each gives a box. Write `suppress(boxes, scores, overlap)`: go from the "
    "surest box to the least sure, and keep a box unless it overlaps one that you have *kept* by an IoU of more than "
    "`overlap`. Return the places of those that stay, the surest first. `torchvision.ops.box_iou(boxes, boxes)` gives "
    "all IoUs `[k, k]`; the `box_iou` that the notebook imports from tlcourse compares box by box, and gives `[k]`. "
    '`exercise("06-2.2").material()` lends you boxes and scores.',
    stub="def suppress(boxes, scores, overlap):\n    ...",
    answers=("suppress",),
    judge=judges_06_2.suppressed,
    make=judges_06_2.crowd,
    why="It is greedy: the surest box of a crowd stays and speaks for it. A box that has gone suppresses nobody, or a "
    "chain of overlapping boxes would swallow a neighbour that is another object. `torchvision.ops.nms` does the same.",
    hints=(
        "`scores.argsort(descending=True)` is the order. Keep a list of places that stay, empty at first.",
        "For each place of that order: does it overlap one that is already in the list by more than `overlap`?",
        "`if all(ious[i, j] <= overlap for j in stay): stay.append(i)`; an empty list lets the first one in.",
    ),
    code="""
from torchvision.ops import box_iou

def suppress(boxes, scores, overlap):
    ious, stay = box_iou(boxes, boxes), []
    for i in scores.argsort(descending=True).tolist():
        # only those that stay have a say
        if all(ious[i, j] <= overlap for j in stay):
            stay.append(i)
    return stay
""",
    wrong=judges_06_2_wrong.SUPPRESS,
)

AVERAGE = Exercise(
    name="06-2.3",
    title="Average precision",
    task="Sort all boxes of a test set by score, the surest first, and say of each whether it found an object that "
    "none before it had found. Write `precision_area(hits, objects)`: `hits` is that list, a bool tensor `[k]` "
    "(perhaps empty), and `objects` is how many there are. At the place of each hit, precision is the share of hits so "
    "far; as it may rise again later, take the best from there on. Add these up over the hits and divide by `objects`. "
    '`exercise("06-2.3").material()` lends you a list.',
    stub="def precision_area(hits, objects):\n    ...",
    answers=("precision_area",),
    judge=judges_06_2.averaged,
    make=judges_06_2.sorted_answers,
    why="It is the area under precision over recall, made not to rise, and needs no threshold: only the order of the "
    "scores counts. Each object that was never found adds nought. COCO reads the same curve at 101 recalls.",
    hints=(
        "`hits.cumsum(0)` counts hits so far; divided by 1, 2, 3, ... it is the precision at each place.",
        "The best from there on: turn the list round, `cummax(0).values`, and turn it back.",
        "`(best * hits).sum() / objects`. Without any box the average precision is 0.",
    ),
    code="""
import torch

def precision_area(hits, objects):
    if not len(hits):
        return 0.0
    precision = hits.cumsum(0) / torch.arange(1, len(hits) + 1)
    # never higher further down
    best = precision.flip(0).cummax(0).values.flip(0)
    return (best * hits).sum() / objects
""",
    wrong=judges_06_2_wrong.AVERAGE,
)

QUESTIONS = (
    DECODE,
    SUPPRESS,
    AVERAGE,
    Quiz(
        "06-2.a",
        "A detector has an AP at .5 of .96 and an AP at .75 of .60. What does that say?",
        (
            Choice(
                "It misses four faces of ten.",
                "A face that is missed is missed at both. Nearly all are found; what falls is how many boxes fit well.",
            ),
            Choice(
                "Its scores are badly calibrated.",
                "Average precision looks at the order of the scores only. They could all be halved without a change.",
            ),
            Choice(
                "With a higher score threshold the AP at .75 would rise.",
                "Leaving out unsure boxes can only cut off the end of the curve. AP never gains by it.",
            ),
            Choice(
                "It finds nearly all faces, and many of its boxes fit only roughly.",
                "The same boxes are judged twice. From an IoU of .75 on, a box may be off by about a seventh of its "
                "side in one direction.",
                right=True,
            ),
        ),
    ),
    Quiz(
        "06-2.b",
        "In a scene with one face about nine of the 256 points answer for it. Why does the loss of the scores "
        "need care, such as the focal loss?",
        (
            Choice(
                "Because cross-entropy is not defined for so few positives.",
                "It is defined for any number. The trouble is whose gradient is heard.",
            ),
            Choice(
                "Because faces are small, and small objects have small losses.",
                "A point's loss does not know how large its object is.",
            ),
            Choice(
                "Because some 250 points that are easily told to be background would together outvote the few others.",
                "Each of them adds little, and all of them together much. The focal loss lets an answer count the less "
                "the surer and righter it is.",
                right=True,
            ),
            Choice(
                "Because the points near a face's rim have wrong labels.",
                "That is what the reach around the middle is for. The loss would be needed without any such point.",
            ),
        ),
    ),
)
