"""Questions of chapter 06-1: what an alarm is worth, tests that are tests, and which classes are mixed up."""

from __future__ import annotations

from tlcourse.exercises import judges_06_1, judges_06_1_confusion, judges_06_1_wrong
from tlcourse.exercises.core import Choice, Exercise, Quiz

ALARM = Exercise(
    name="06-1.1",
    title="What is an alarm worth?",
    task="A test set has as many ill as healthy people, the world has not. Write "
    "`worth(scores, true, threshold, prevalence)`: `scores` and `true` (1 = ill, 0 = healthy) are tensors over the "
    "test "
    "set, and an alarm is a score above `threshold`. Return the share of the alarms that will be right where a share "
    "`prevalence` of all people is ill: the positive predictive value. Take sensitivity and specificity from the test "
    'set. `scores, true = exercise("06-1.1").material()` lends you some.',
    stub="def worth(scores, true, threshold, prevalence):\n    ...",
    answers=("worth",),
    judge=judges_06_1.alarm,
    make=judges_06_1.people,
    why="Sensitivity and specificity are rates within the ill and within the healthy, so they can move to another "
    "population; the share of right alarms cannot. With 1 ill person in 1,000, a test that is right in 99 of 100 "
    "raises "
    "ten false alarms for a true one.",
    hints=(
        "How often does the alarm ring for the ill (sensitivity), and how often for the healthy (1 - specificity)?",
        "Of all people, `prevalence * sensitivity` are ill with an alarm, and `(1 - prevalence) * (1 - specificity)` "
        "are "
        "healthy with one.",
        "Return the first divided by the sum of both.",
    ),
    code="""
def worth(scores, true, threshold, prevalence):
    alarm = (scores > threshold).float()
    ill, healthy = alarm[true == 1].mean(), alarm[true == 0].mean()
    right, wrong = prevalence * ill, (1 - prevalence) * healthy
    return float(right / (right + wrong))
""",
    wrong=judges_06_1_wrong.ALARM,
)

DIVIDE = Exercise(
    name="06-1.2",
    title="A test that is one",
    task="Several pictures come from one patient, and pictures of a patient are alike. Write `divide(patients, "
    "share)`: "
    "`patients` has a patient's number for each picture, a tensor `[n]`, in any order. Return a tensor of `[n]` True "
    "(test) and False (training): no patient on both sides, both sides with somebody, and about `share` of the "
    '*patients* in the test, drawn at random. `patients = exercise("06-1.2").material()` lends you some.',
    stub="def divide(patients, share):\n    ...",
    answers=("divide",),
    judge=judges_06_1.division,
    make=judges_06_1.patients,
    why="The test now asks about patients that were never seen, which is what the network will meet. Drawn by picture, "
    "it would ask about patients that it knows, and the score would be too good by as much as pictures of one patient "
    "are alike.",
    hints=(
        "What has to be drawn at random: pictures, or patients?",
        "`who = patients.unique()`, then `who[torch.randperm(len(who))]` is their random order; the first ones are the "
        "test's.",
        "`torch.isin(patients, tested)` says for each picture whether its patient is one of them. Take at least one.",
    ),
    code="""
import torch

def divide(patients, share):
    who = patients.unique()
    many = min(max(1, round(share * len(who))), len(who) - 1)
    tested = who[torch.randperm(len(who))[:many]]
    return torch.isin(patients, tested)
""",
    wrong=judges_06_1_wrong.DIVIDE,
)

MIXED = Exercise(
    name="06-1.3",
    title="Who is taken for whom?",
    task="Write `mixed_up(true, said, n)`: `true` and `said` are class numbers 0 to n - 1, tensors over the test set. "
    "Return the pair of two *different* classes `(i, j)` for which the share of class i's items that were taken for j "
    "is "
    "the largest. Classes may have very different numbers of items, and some may have none. "
    '`true, said, n = exercise("06-1.3").material()` lends you some.',
    stub="def mixed_up(true, said, n):\n    ...",
    answers=("mixed_up",),
    judge=judges_06_1_confusion.confusion,
    make=judges_06_1_confusion.confused,
    why="A row of the confusion matrix, divided by its sum, is what happens to the items of one class. Counts would "
    "point "
    "at whatever class is frequent.",
    hints=(
        "Count first: a table `[n, n]` with a row for each true class and a column for each answer.",
        "`counts.index_put_((true, said), torch.ones(len(true)), accumulate=True)` counts in a line; "
        "`counts.fill_diagonal_(0)` afterwards forgets what was right, so take the rows' sums before.",
        "`divmod(int(shares.argmax()), n)` is the place of the largest; keep empty rows from dividing by zero.",
    ),
    code="""
import torch

def mixed_up(true, said, n):
    counts = torch.zeros(n, n)
    counts.index_put_((true, said), torch.ones(len(true)), accumulate=True)
    shares = counts / counts.sum(1, keepdim=True).clamp(min=1)
    return divmod(int(shares.fill_diagonal_(0).argmax()), n)
""",
    wrong=judges_06_1_wrong.MIXED,
)

SCANNER = Quiz(
    name="06-1.a",
    question="A network reaches AUC .99 in a new hospital, but only 62 of 100 of its answers are right there; at home "
    "it "
    "was 97. What is the most likely reason, and what would you do first?",
    choices=(
        Choice(
            "It has learned nothing that holds elsewhere: train it anew there.",
            "Then its ranking would be lost too. An AUC of .99 says that nearly every ill picture still gets a higher "
            "score than every healthy one.",
        ),
        Choice(
            "All scores have moved: choose the threshold anew, on labelled pictures from there.",
            "The ranking holds and the threshold does not. A few dozen labelled pictures of each kind are enough to "
            "move "
            "one number.",
            right=True,
        ),
        Choice(
            "AUC is the wrong score: report accuracy only.",
            "They answer different questions, and it is the pair of them that tells what went wrong.",
        ),
        Choice(
            "The classes have other frequencies there, so nothing is wrong.",
            "Frequencies change accuracy somewhat. With an AUC of .99 and a good threshold, 62 of 100 cannot come of "
            "them.",
        ),
    ),
)

RULE = Quiz(
    name="06-1.b",
    question="Your fine-tuned network and a rule on the mean colour both name 99 of 100 test patches rightly. What do "
    "you "
    "conclude?",
    choices=(
        Choice(
            "The network is as good, so it is safer to use: it also sees shapes.",
            "Nothing here shows that it uses them, and a thing of a million weights can break in ways that a rule of "
            "four "
            "cannot.",
        ),
        Choice(
            "The test set is too small to tell them apart; without more data, nothing.",
            "More data could tell 99.1 from 99.3. That a rule of four numbers does the job is already known.",
        ),
        Choice(
            "The network must have learned the colour rule, so both will fail alike elsewhere.",
            "Equal scores do not mean equal rules. In this chapter they failed differently under another scanner.",
        ),
        Choice(
            "The labels follow from colour, as far as this test can see: use the rule, and do not sell the task as a "
            "success of transfer.",
            "The rule is cheaper, can be explained, and needs few labels. The network would have to win on a test "
            "where "
            "colour alone cannot.",
            right=True,
        ),
    ),
)

QUESTIONS = (ALARM, DIVIDE, MIXED, SCANNER, RULE)
