"""Questions of chapter 07-3: words that answers share, the best span, and what a bot handles rightly."""

from __future__ import annotations

from tlcourse.exercises import judges_07_3, judges_07_3_span, judges_07_3_wrong
from tlcourse.exercises.core import Choice, Exercise, Quiz

F1 = Exercise(
    name="07-3.1",
    title="A part of the answer",
    task="Write `word_f1(said, true)`. Both are lists of words, already normalised; a word may stand more than once. "
    "Return F1: 2 · shared / (words said + true words), where a word is shared as often as both lists hold it. If a "
    "list is empty, the text does not tell: 1 if both are empty, else 0.",
    stub="def word_f1(said, true):\n    ...",
    answers=("word_f1",),
    judge=judges_07_3.words_shared,
    why="Exact match gives nothing for *Kenyan* where *Kenyan shilling* was wanted; F1 gives two thirds. Precision "
    "alone would praise short answers, recall alone an answer that copies the text. `tlcourse.answer_f1` normalises as "
    "SQuAD does, then computes this.",
    hints=(
        "How often does each list hold a word? The shared count is the smaller of both numbers.",
        "`Counter(said) & Counter(true)` keeps the smaller counts; add up its `.values()`.",
        "First `if not said or not true: return float(said == true)`; then twice the sum, divided by both lengths.",
    ),
    code="""
from collections import Counter

def word_f1(said, true):
    # nothing said is right where nothing was to be said
    if not said or not true:
        return float(said == true)
    shared = sum((Counter(said) & Counter(true)).values())
    return 2 * shared / (len(said) + len(true))
""",
    wrong=judges_07_3_wrong.F1,
)

SPAN = Exercise(
    name="07-3.2",
    title="The best span",
    task="A head has scored ten tokens: `start[i]` for being the first of the answer, `end[j]` for being the last. "
    "Write `best_span(start, end, longest)`: the pair (i, j) with the largest start[i] + end[j], where i ≤ j and the "
    'answer has at most `longest` tokens. `start, end = exercise("07-3.2").material()` lends you scores.',
    stub="def best_span(start, end, longest):\n    ...",
    answers=("best_span",),
    judge=judges_07_3_span.span,
    make=judges_07_3_span.span_scores,
    why="The best first and the best last token, each by itself, need not belong together. All pairs are few for a "
    "short text; what is not allowed is left out before the best is taken. `tlcourse.answering.best_spans` does so for "
    "a whole batch.",
    hints=(
        "Which pairs are allowed? Go through i, and for each i through the few j from i on.",
        "j runs from i to i + longest - 1, and stays below `len(start)`.",
        "Collect the allowed pairs, and return `max(pairs, key=lambda p: start[p[0]] + end[p[1]])`.",
    ),
    code="""
def best_span(start, end, longest):
    t = len(start)
    # at most `longest` tokens, none behind the end
    pairs = [(i, j) for i in range(t) for j in range(i, min(t, i + longest))]
    return max(pairs, key=lambda p: float(start[p[0]] + end[p[1]]))
""",
    wrong=judges_07_3_wrong.SPAN,
)

HANDLED = Exercise(
    name="07-3.3",
    title="Handled rightly",
    task="Write `rightly(similarity, true, threshold)`. `similarity` `[n, entries]` holds cosines of questions with a "
    "FAQ's entries, `true` `[n]` the place of the right entry, or -1 where there is none. The bot answers with the "
    "nearest entry if its cosine is at least `threshold`; else it refuses. Return the share of all questions that it "
    'handles rightly. `similarity, true = exercise("07-3.3").material()` lends you some.',
    stub="def rightly(similarity, true, threshold):\n    ...",
    answers=("rightly",),
    judge=judges_07_3.handled,
    make=judges_07_3.similarities,
    why="There are three ways to fail: the wrong entry, a refusal where there was an answer, and an answer where there "
    "was none. A threshold trades the last two for each other, so it has to be chosen on questions of both sorts, and "
    "measured on others.",
    hints=(
        "`best, nearest = similarity.max(1)` gives each question's largest cosine, and where it stands.",
        "Right are: an entry that is the true one, with a cosine at or above the threshold; and a refusal where "
        "`true < 0`.",
        "`good = (nearest == true) & (best >= threshold) | (true < 0) & (best < threshold)`; return its mean.",
    ),
    code="""
def rightly(similarity, true, threshold):
    best, nearest = similarity.max(1)
    sure = best >= threshold
    # nearest is never -1, so this is False out of scope
    good = (nearest == true) & sure | (true < 0) & ~sure
    return good.float().mean()
""",
    wrong=judges_07_3_wrong.HANDLED,
)

QUESTIONS = (
    F1,
    SPAN,
    HANDLED,
    Quiz(
        "07-3.a",
        "Your bot answers too many questions that the FAQ does not cover. You have some real questions of last month, "
        "with what should have been said, and a test set. What do you do?",
        (
            Choice(
                "Raise the threshold until no out-of-scope question of the test set is answered.",
                "Then the test set has chosen, and its number is no measurement any more. And a bot that never answers "
                "makes no such mistake either: look at both sorts.",
            ),
            Choice(
                "Choose the threshold anew on last month's questions, of both sorts, then measure once on the test.",
                "They are nearer to what people ask than made-up ones, and the test stays a test. The right answers "
                "that a higher threshold costs are part of the choice.",
                right=True,
            ),
            Choice(
                "Set the threshold to 0.5: a cosine above one half means that two texts say the same.",
                "A cosine has no such meaning by itself. It depends on the encoder, the FAQ and the questions.",
            ),
            Choice(
                "Train the encoder on the FAQ's questions until they are far from everything else.",
                "It has never seen what else people ask: far from what? The threshold would have to be chosen anew.",
            ),
        ),
    ),
    Quiz(
        "07-3.b",
        "A reader of short texts finds nine of ten answers on countries that it never saw, asked in the words of its "
        "training. With other words it finds seven of ten. What does it say?",
        (
            Choice(
                "Some of what it learned is how the training questions are worded. What users will write is nearer to "
                "the second number.",
                "A generated training set has few wordings, and a head fits them closely. More wordings help more than "
                "more countries; the score on held-out wordings is the one to report.",
                right=True,
            ),
            Choice(
                "The reader has learned the countries by heart.",
                "Then new countries would have been hard. They are not: the texts tell what it has to copy.",
            ),
            Choice(
                "The second test is unfair and should be left out, since nobody trained for it.",
                "Users do not know the training's wordings either. A test that looks like the training flatters.",
            ),
            Choice(
                "The encoder's weights are random: a pretrained one would not mind the words.",
                "A random encoder finds far less in both. Pretraining narrows the gap; it does not close it.",
            ),
        ),
    ),
)
