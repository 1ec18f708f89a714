"""Questions of chapter 07-1: words as weights, folds for rare classes, and whether a confidence is true."""

from __future__ import annotations

from tlcourse.exercises import judges_07_1, judges_07_1_calibration, judges_07_1_folds, judges_07_1_wrong
from tlcourse.exercises.core import Choice, Exercise, Quiz

WEIGHTS = Exercise(
    name="07-1.1",
    title="TF-IDF by hand",
    task="Write `tfidf(train, texts)`: both are lists of texts. A word is what `text.lower().split()` gives. Return a "
    "tensor `[len(texts), words]` with a column for each word of `train`, in alphabetical order: how often the text "
    "holds the word, times log(N / n), where N is the number of training texts and n the number of those that hold "
    'the word. Words that `train` does not hold are left out. `train, texts = exercise("07-1.1").material()` lends '
    "you some.",
    stub="def tfidf(train, texts):\n    ...",
    answers=("tfidf",),
    judge=judges_07_1.weights,
    make=judges_07_1.reviews,
    why="A word of every text says nothing, so its weight is log 1 = 0; a rare one weighs much. Columns and weights "
    "come from the training texts alone: a test text must not change what a word is worth. `TfidfVectorizer` of "
    "scikit-learn adds smoothing and gives each text the length one.",
    hints=(
        "First the columns: `words = sorted({w for t in train for w in t.lower().split()})`.",
        "n counts *texts*, so make a set of each text's words before you count.",
        "For each text and each word: `text.lower().split().count(word) * math.log(len(train) / n[word])`.",
    ),
    code="""
import math
import torch

def tfidf(train, texts):
    known = [t.lower().split() for t in train]
    words = sorted({w for t in known for w in t})
    # what a word weighs follows from the training texts alone
    idf = [math.log(len(known) / sum(w in t for t in known)) for w in words]
    split = [t.lower().split() for t in texts]
    return torch.tensor([[t.count(w) * weight for w, weight in zip(words, idf)] for t in split])
""",
    wrong=judges_07_1_wrong.WEIGHTS,
)

FOLDS = Exercise(
    name="07-1.2",
    title="Folds for rare classes",
    task="Write `folds(y, k)`: `y` is a tensor `[n]` of class numbers, in any order. Return a fold number from 0 to "
    "k - 1 for each item, so that each class is spread over the folds as evenly as can be (its numbers in two folds "
    'differ by at most one), at random. `y, k = exercise("07-1.2").material()` lends you some.',
    stub="def folds(y, k):\n    ...",
    answers=("folds",),
    judge=judges_07_1_folds.division,
    make=judges_07_1_folds.topics,
    why="Each fold is the test once, for a reader that learned from all the others. A class of eight questions, dealt "
    "out without looking at it, can be missing from a fold altogether, and then its score there means nothing. "
    "scikit-learn calls this `StratifiedKFold`.",
    hints=(
        "Deal out one class after the other, as one deals cards.",
        "The places of a class are `(y == c).nonzero().flatten()`; shuffle them: `torch.randperm(len(places))`.",
        "The i-th of the shuffled places gets the fold `i % k`: `fold[places] = torch.arange(len(places)) % k`.",
    ),
    code="""
import torch

def folds(y, k):
    fold = torch.empty(len(y), dtype=torch.long)
    for c in y.unique():
        places = (y == c).nonzero().flatten()
        places = places[torch.randperm(len(places))]
        fold[places] = torch.arange(len(places)) % k
    return fold
""",
    wrong=judges_07_1_wrong.FOLDS,
)

CALIBRATION = Exercise(
    name="07-1.3",
    title="Is it as sure as it is right?",
    task="Write `calibration_error(confidence, right, bins)`: `confidence` `[n]` is how sure a classifier was of each "
    "answer, from 0 to 1, `right` `[n]` holds whole numbers, 1 where it was right and 0 where not. Cut 0 to 1 into "
    "`bins` parts of equal width; a confidence on a border belongs to the part above it, and 1 to the last part. For "
    "each part with items take the distance |mean confidence - share of right answers|, and return the mean of these "
    'distances over all *items*. `confidence, right = exercise("07-1.3").material()` lends you some.',
    stub="def calibration_error(confidence, right, bins):\n    ...",
    answers=("calibration_error",),
    judge=judges_07_1_calibration.calibration,
    make=judges_07_1_calibration.answers,
    why="Of answers given with 80 % confidence, 80 in 100 should be right. The mean over items counts a part by how "
    "often it is met. The measure is called the expected calibration error; it depends on the number of parts, so say "
    "how many there were.",
    hints=(
        "`part = (confidence * bins).long().clamp(max=bins - 1)` is the part of each item.",
        "For one part: `inside = part == i`; skip it if nothing is inside, or you divide by zero.",
        "Add up `inside.sum() * abs(confidence[inside].mean() - right[inside].float().mean())`, and divide by "
        "n at the end.",
    ),
    code="""
def calibration_error(confidence, right, bins):
    right = right.float()
    part = (confidence * bins).long().clamp(max=bins - 1)
    total = 0.0
    for i in part.unique():
        inside = part == i
        gap = confidence[inside].mean() - right[inside].mean()
        total += float(inside.sum() * gap.abs())
    return total / len(confidence)
""",
    wrong=judges_07_1_wrong.CALIBRATION,
)

LABELS = Quiz(
    name="07-1.a",
    question="You have 600 labelled reviews and can have 5,000 more labelled. A frozen encoder with a linear head is "
    "ahead of TF-IDF by ten points with the 600. What do you conclude?",
    choices=(
        Choice(
            "The encoder is the better choice, however many labels there are.",
            "The curves were compared at 600 only. In this chapter the word counts went on gaining from labels, and "
            "with all of them they were level with what the encoder had reached with a third.",
        ),
        Choice(
            "TF-IDF is out of date; leave it out of the comparison.",
            "It costs a second, and it is what tells a good result from an easy task. Here it caught up once it had "
            "three times the labels.",
        ),
        Choice(
            "Ten points on some hundred test reviews are chance.",
            "With 300 test reviews the interval is about five points to each side, and draws of other reviews to learn "
            "from agree. It would have to be measured, but ten points are not the usual size of chance here.",
        ),
        Choice(
            "With 600 the encoder. With more labels measure again: word counts, the frozen encoder, and one that "
            "moves, all with the same labels.",
            "Pretraining is worth most where labels are few. What a label is worth to each method is a curve, and only "
            "its own points say where it goes.",
            right=True,
        ),
    ),
)

RARE = Quiz(
    name="07-1.b",
    question="A sorter of questions names 95 of 100 rightly. 64 of 100 questions are trivia, and of 18 questions about "
    "computers or history it names 5. Which number do you report?",
    choices=(
        Choice(
            "Balanced accuracy beside the baseline of always saying trivia, and the row of each topic.",
            "Balanced accuracy gives each topic the same weight, so always saying the same gets one sixth; the rows "
            "say who pays for the mistakes.",
            right=True,
        ),
        Choice(
            "95 of 100: it is what a user meets on average.",
            "The average user asks trivia here. Whoever asks about history meets another sorter, and the number hides "
            "it.",
        ),
        Choice(
            "The share of right answers among the rare topics only.",
            "That hides what happens to all the others. A score should let every topic be seen.",
        ),
        Choice(
            "None: drop the rare topics, and measure again.",
            "The questions will come all the same, and be put under another topic. Better weights or more examples "
            "help; leaving them out does not.",
        ),
    ),
)

QUESTIONS = (WEIGHTS, FOLDS, CALIBRATION, LABELS, RARE)
