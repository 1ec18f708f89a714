"""Questions of chapter 07-2: machine translation."""

from __future__ import annotations

from tlcourse.exercises import judges_07_2, judges_07_2_leaks, judges_07_2_wrong
from tlcourse.exercises.core import Choice, Exercise, Quiz

FORCING = Exercise(
    name="07-2.1",
    title="Teacher forcing",
    task="`model(tokens, ids)` gives scores `[n, t, pieces]`: at each place for the piece that comes *next*. `ids` "
    "`[n, t]` are the pieces of the true translations: 1 is the start, 2 the end, and what follows the end is padding, "
    "0. Write `loss(model, tokens, ids)`: the mean cross-entropy of the next piece, over all places whose next piece "
    'is no padding. `model, tokens, ids = exercise("07-2.1").material()` lends you three translations.',
    stub="def loss(model, tokens, ids):\n    ...",
    answers=("loss",),
    judge=judges_07_2.forced,
    make=judges_07_2.lesson,
    why="What goes in lacks the last place, what is wanted lacks the first, and so each piece is asked for when only "
    "those before it were seen. The end is wanted too: without it nothing would ever stop.",
    hints=(
        "Two slices of the same tensor: `ids[:, :-1]` goes in, `ids[:, 1:]` is wanted.",
        "`F.cross_entropy` takes `[m, pieces]` and `[m]`: flatten the first two axes of the scores, and the wanted "
        "pieces.",
        "`ignore_index=0` leaves padding out of the sum and out of the number that it is divided by.",
    ),
    code="""
from torch.nn import functional as F

def loss(model, tokens, ids):
    # at each place: all pieces up to here go in, the next one is wanted
    scores, wanted = model(tokens, ids[:, :-1]), ids[:, 1:]
    return F.cross_entropy(scores.flatten(0, 1), wanted.flatten(), ignore_index=0)
""",
    wrong=judges_07_2_wrong.FORCING,
)

LOOK = Exercise(
    name="07-2.2",
    title="Attention",
    task="Write `attend(q, k, v, mask)`: scaled dot-product attention. `q` `[n, t, d]` are the queries of the pieces, "
    "`k` and `v` `[n, s, d]` keys and values of the source's words, and `mask` `[n, s]` is 1 for a word and 0 for "
    "padding. Return what each piece saw, `[n, t, d]`. Padding gets no weight, and the weights of each piece sum to "
    'one. `exercise("07-2.2").material()` makes the four.',
    stub="def attend(q, k, v, mask):\n    ...",
    answers=("attend",),
    judge=judges_07_2.looked,
    make=judges_07_2.glances,
    why="A product says how well a query and a key match, the softmax makes shares of it, and the values are mixed in "
    "these shares. Minus infinity before the softmax is a share of nought after it.",
    hints=(
        "Scores `[n, t, s]`: `q @ k.transpose(1, 2)`, divided by the root of d.",
        "`scores.masked_fill(mask[:, None] == 0, float('-inf'))`: the new axis stands for the pieces that look.",
        "`softmax(2)` runs over the words; then `@ v`.",
    ),
    code="""
def attend(q, k, v, mask):
    scores = q @ k.transpose(1, 2) / q.shape[2] ** 0.5
    # no word, no weight
    scores = scores.masked_fill(mask[:, None] == 0, float("-inf"))
    return scores.softmax(2) @ v
""",
    wrong=judges_07_2_wrong.LOOK,
)

LEAKS = Exercise(
    name="07-2.3",
    title="What has been seen before",
    task="Write `leaks(train, test)`: the places in `test`, a list of numbers, of strings whose template is in "
    "`train`. A template is what is left of a string without placeholders (`%1`, `{name}`), tags (`<b>`), and all "
    "that is no letter; capitals do not count. A string of which no letter is left is like nothing. "
    '`train, test = exercise("07-2.3").material()` lends you two lists.',
    stub="def leaks(train, test):\n    ...",
    answers=("leaks",),
    judge=judges_07_2_leaks.leaking,
    make=judges_07_2_leaks.sides,
    why="`Close %1` in training answers `Close` in the test. A score on such strings measures memory. The course's own "
    "splits keep each template on one side, in every language.",
    hints=(
        "Write a helper `key(s)` first. `re.sub(r'%\\d|\\{[^{}]*\\}|<[^<>]*>', '', s)` takes placeholders and tags "
        "out whole.",
        "Then small letters, and `''.join(c for c in s if c.isalpha())`.",
        "A set of the keys of `train`; then the places `i` whose key is not empty and in the set.",
    ),
    code="""
import re

def leaks(train, test):
    def key(text):
        text = re.sub(r"%\\d|\\{[^{}]*\\}|<[^<>]*>", "", text.lower())
        return "".join(c for c in text if c.isalpha())
    seen = {key(text) for text in train} - {""}
    return [i for i, text in enumerate(test) if key(text) in seen]
""",
    wrong=judges_07_2_wrong.LEAKS,
)

QUESTIONS = (
    FORCING,
    LOOK,
    LEAKS,
    Quiz(
        "07-2.a",
        "A translator reaches chrF 45 on held-out strings. Copying the translation of the most similar training string "
        "reaches 43. What do you conclude?",
        (
            Choice(
                "The translator works: 45 of 100 strings are right.",
                "chrF is no share of right strings. It compares runs of letters, and unrelated strings of one language "
                "already have some in common.",
            ),
            Choice(
                "Most of the 45 is what any string of this domain gives. What was learned beyond that is small, and "
                "needs an interval before anybody believes it.",
                "The baseline tells where the scale begins. Look at the translations as well: a copy is fluent and "
                "says something else, a network's mistakes are of another kind.",
                right=True,
            ),
            Choice(
                "chrF is a bad score, BLEU would show the difference.",
                "On strings of three words BLEU hardly has a run of four words to count. It is the less steady one "
                "here.",
            ),
            Choice(
                "The test strings must have leaked into training.",
                "A leak would lift the copy most of all: it would return the right translation. Here templates are "
                "kept apart.",
            ),
        ),
    ),
    Quiz(
        "07-2.b",
        "A child for a new language starts from the English-French decoder. Which of these can it *not* inherit, "
        "whatever the language is?",
        (
            Choice(
                "Where to look: which source words a piece depends on.",
                "The attention reads the states of the same English encoder. That can serve any language, as far as "
                "its pieces come in a like order.",
            ),
            Choice(
                "When to stop, and how long a translation is for its source.",
                "The end is a piece like any other; a like language has translations of like length.",
            ),
            Choice(
                "What words that it has never seen mean in the new language.",
                "No weight of the parent knows that. Pieces that both languages share can help to guess, and only the "
                "new pairs can teach it; with fifty pairs most words of the test were in none.",
                right=True,
            ),
            Choice(
                "How to read English.",
                "That lies in the encoder, which is the same and frozen for both.",
            ),
        ),
    ),
)
