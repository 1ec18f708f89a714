"""Questions of chapter 01: which kind of transfer, alignment without labels, and what is a gain."""

from __future__ import annotations

from tlcourse.exercises import judges_01, judges_01_alignment
from tlcourse.exercises.core import Choice, Exercise, Quiz


def _kind(*lines: str) -> str:
    return "def kind(source, target):\n" + "".join(f"    {line}\n" for line in lines)


def _moved(*lines: str) -> str:
    return "import torch\n\ndef to_source(source, target, new):\n" + "".join(f"    {line}\n" for line in lines)


def _said(*lines: str) -> str:
    return "import numpy as np\nfrom tlcourse.features import interval\n\ndef verdict(alone, both):\n" + "".join(
        f"    {line}\n" for line in lines
    )


_NO_LABELS = 'if not source.labels and not target.labels: return "unsupervised"'
_TASK = 'if source.task != target.task: return "inductive"'
_DOMAIN = 'if source.domain != target.domain: return "transductive"'
_NONE = 'return "none"'

KIND = Exercise(
    name="01.1",
    title="Which kind of transfer?",
    task="Write `kind(source, target)`. Each side has a `.domain` and a `.task` (words) and `.labels` (True or False). "
    "Return `'unsupervised'` if neither side has labels; else `'inductive'` if the tasks differ; else `'transductive'` "
    "if the domains differ, whether or not the target has labels as well; and `'none'` if there is nothing to transfer "
    "between. "
    '`exercise("01.1").material()` is a list of such pairs.',
    stub="def kind(source, target):\n    ...",
    answers=("kind",),
    judge=judges_01.told_kind,
    make=judges_01.cases,
    why="Labels come first: without any, only the structure of the inputs can move. Then the task: a new one has to be "
    "learned from labels of the target, whether or not the domain differs too. What is left, the same task in another "
    "domain, is transductive.",
    hints=(
        "Three questions, in an order that matters: labels, task, domain.",
        "`if not source.labels and not target.labels:` comes first. What do ImageNet and faces share, domain or task?",
        "Then `source.task != target.task` is inductive, and after it `source.domain != target.domain` transductive.",
    ),
    code=_kind(_NO_LABELS, _TASK, _DOMAIN, _NONE),
    wrong={
        "swapped": (
            _kind(
                _NO_LABELS,
                _TASK.replace("inductive", "transductive"),
                _DOMAIN.replace("transductive", "inductive"),
                _NONE,
            ),
            "are swapped",
        ),
        "labels not asked": (_kind(_TASK, _DOMAIN, _NONE), "never says unsupervised"),
        "labels of the target only": (
            _kind('if not target.labels: return "unsupervised"', _TASK, _DOMAIN, _NONE),
            "neither side has any",
        ),
        "labels of the source only": (
            _kind('if not source.labels: return "unsupervised"', _TASK, _DOMAIN, _NONE),
            "A source without labels",
        ),
        "the domain first": (_kind(_NO_LABELS, _DOMAIN, _TASK, _NONE), "the domain before the task"),
        "inductive needs the same domain": (
            _kind(
                _NO_LABELS,
                'if source.task != target.task and source.domain == target.domain: return "inductive"',
                'if source.domain != target.domain and source.task == target.task: return "transductive"',
                _NONE,
            ),
            "not for the same domain",
        ),
        "always something": (_kind(_NO_LABELS, _TASK, 'return "transductive"'), "ordinary learning"),
        "another word": (_kind('return "supervised"'), "One of these words"),
        "only these words": (
            _kind(_NO_LABELS, 'if target.task == "which topic": return "inductive"', _DOMAIN, _NONE),
            "for the words",
        ),
        "the task asked last": (
            _kind(
                _NO_LABELS,
                'if source.domain != target.domain and not target.labels: return "transductive"',
                _TASK,
                _DOMAIN,
                _NONE,
            ),
            "Ask in this order",
        ),
    },
)

_FORMULA = "return (new - target.mean(0)) / (target.std(0) + 1e-8) * source.std(0) + source.mean(0)"

ALIGN = Exercise(
    name="01.2",
    title="Align without labels",
    task="Write `to_source(source, target, new)`. All three are features, tensors `[n, d]`; `source` was used to train "
    "a rule, `target` are items of the other domain without labels, and `new` are items of that domain to be judged. "
    "Return `new`, moved: each feature so that the target's mean and spread become the source's. A feature that never "
    'changes must not end as NaN. `source, target, new = exercise("01.2").material()` lends you some.',
    stub="def to_source(source, target, new):\n    ...",
    answers=("to_source",),
    judge=judges_01_alignment.aligned,
    make=judges_01_alignment.domains,
    why="The target's own mean and spread are taken off, and the source's put on, so the source's rule finds the items "
    "where it has learned to look. No label was needed. It is right only if the classes have about the same shares in "
    "both domains. `tlcourse.adaptation.align` does the same for features.",
    hints=(
        "Two steps: take off what is the target's, then put on what is the source's. Each has a mean and a spread.",
        "`(new - target.mean(0)) / target.std(0)` has mean 0 and spread 1, as far as `new` is like `target`.",
        "Multiply by `source.std(0)` and add `source.mean(0)`. Add `1e-8` to what you divide by.",
    ),
    code=_moved(
        "# off with the target's mean and spread ...",
        "plain = (new - target.mean(0)) / (target.std(0) + 1e-8)",
        "# ... and on with the source's",
        "return plain * source.std(0) + source.mean(0)",
    ),
    wrong={
        "only the mean": (_moved("return new - target.mean(0) + source.mean(0)"), "the spreads do not"),
        "made standard": (_moved("return (new - target.mean(0)) / (target.std(0) + 1e-8)"), "mean 0 and spread 1"),
        "without the source's mean": (
            _moved("return (new - target.mean(0)) / (target.std(0) + 1e-8) * source.std(0)"),
            "the middle is zero",
        ),
        "by the new items": (_moved(_FORMULA.replace("target", "new")), "from `new` itself"),
        "the other way": (
            _moved("return (new - source.mean(0)) / (source.std(0) + 1e-8) * target.std(0) + target.mean(0)"),
            "from the source to the target",
        ),
        "as in training": (_moved("return (new - source.mean(0)) / (source.std(0) + 1e-8)"), "the shift between them"),
        "mixed": (_moved("both = torch.cat([source, target])", _FORMULA.replace("target", "both")), "mixed"),
        "over all features": (_moved(_FORMULA.replace("(0)", "()")), "Each feature has its own"),
        "no care for zero": (_moved(_FORMULA.replace(" + 1e-8", "")), "spread 0"),
        "upside down": (
            _moved("return (new - target.mean(0)) * target.std(0) / (source.std(0) + 1e-8) + source.mean(0)"),
            "upside down",
        ),
        "in place": (_moved("new -= target.mean(0)", "return new"), "changes the tensors"),
        "not moved": (_moved("return new.clone()"), "as they were"),
        "two things": (_moved("return source, new"), "One tensor"),
    },
)

_DIFFERENCES = "gains = [b - a for a, b in zip(alone, both)]"
_SAY = (
    'if low > 0: return "gain"',
    'if high < 0: return "negative transfer"',
    'return "no clear gain"',
)

VERDICT = Exercise(
    name="01.3",
    title="Gain, or chance?",
    task="Write `verdict(alone, both)`. Both are lists of accuracies, one a seed, in the same order: learned from the "
    "target's labels alone, and from source and target together. Return `'gain'`, `'negative transfer'`, or `'no clear "
    "gain'` where the 95 % interval of the mean gain holds zero. `interval(values)` of `tlcourse.features` gives "
    '(mean, low, high). `exercise("01.3").material()` is a dict of experiments to try.',
    stub="def verdict(alone, both):\n    ...",
    answers=("verdict",),
    judge=judges_01.judged_gain,
    make=lambda: {name: (list(a), list(b)) for name, (a, b) in judges_01.EXPERIMENTS.items()},
    why="The runs of a seed share their draw, so subtracting seed by seed takes away what both owe to it. What is left "
    "is the gain, a number a seed, and the interval of its mean says whether it can be told from zero.",
    hints=(
        "One number a seed: how much did this seed gain? Which sign has a gain?",
        "`gains = [b - a for a, b in zip(alone, both)]`, then `mean, low, high = interval(gains)`.",
        "A gain if `low > 0`, negative transfer if `high < 0`, and no clear gain between.",
    ),
    code=_said(_DIFFERENCES, "mean, low, high = interval(gains)", *_SAY),
    wrong={
        "the sign of the mean": (
            _said('return "gain" if np.mean(both) > np.mean(alone) else "negative transfer"'),
            "The sign of the mean is not enough",
        ),
        "two intervals": (
            _said(
                "a, b = interval(alone), interval(both)",
                "low, high = b[1] - a[2], b[2] - a[1]",
                *_SAY,
            ),
            "subtract seed by seed",
        ),
        "backwards": (
            _said(_DIFFERENCES.replace("b - a", "a - b"), "mean, low, high = interval(gains)", *_SAY),
            "the wrong way round",
        ),
        "every run": (
            _said(_DIFFERENCES, "low, high = min(gains), max(gains)", *_SAY),
            "not every run has to gain",
        ),
        "the spread of the runs": (
            _said(
                _DIFFERENCES,
                "low, high = np.mean(gains) - 2 * np.std(gains, ddof=1), np.mean(gains) + 2 * np.std(gains, ddof=1)",
                *_SAY,
            ),
            "root of the number",
        ),
        "two standard errors": (
            _said(
                _DIFFERENCES,
                "half = 1.96 * np.std(gains, ddof=1) / len(gains) ** 0.5",
                "low, high = np.mean(gains) - half, np.mean(gains) + half",
                *_SAY,
            ),
            "Student's t",
        ),
        "sorted first": (
            _said(
                "alone, both = sorted(alone), sorted(both)", _DIFFERENCES, "mean, low, high = interval(gains)", *_SAY
            ),
            "sort nothing",
        ),
        "an interval of 90 %": (
            _said(
                _DIFFERENCES,
                "mean, low, high = interval(gains)",
                "low, high = mean + (low - mean) * 2.132 / 2.776, mean + (high - mean) * 2.132 / 2.776",
                *_SAY,
            ),
            "just holds zero",
        ),
        "never sure": (_said('return "no clear gain"'), "that is a gain"),
        "never harm": (
            _said(_DIFFERENCES, "mean, low, high = interval(gains)", 'return "gain" if low > 0 else "no clear gain"'),
            "that is negative transfer",
        ),
        "another word": (_said('return "better"'), "One of these"),
    },
)

QUESTIONS = (
    KIND,
    ALIGN,
    VERDICT,
    Quiz(
        "01.a",
        "A network that reads X-rays of adults is to read X-rays of children: the same finding, but nobody has "
        "labelled the children's. Which kind of transfer is this?",
        (
            Choice(
                "Inductive, because the children are new.",
                "What is new is the domain. Inductive asks for a new *task*, whose rule is learned from labels of the "
                "target; here the finding is the same, and there are no such labels.",
            ),
            Choice(
                "Unsupervised, because the target has no labels.",
                "The source has labels, and they are what is transferred. It would be unsupervised if neither side "
                "had any.",
            ),
            Choice(
                "Transductive: the task is the same, the domain differs, and only the source has labels.",
                "And the children's pictures are of use without labels: they tell where the new domain lies. Whether "
                "it worked can only be told with some labels, kept for the test.",
                right=True,
            ),
            Choice(
                "None: the same task needs no transfer.",
                "If that were so, the numbers beside the diagonal of this chapter's matrix would be as large as those "
                "on it.",
            ),
        ),
    ),
    Quiz(
        "01.b",
        "Adding a source's labels to your own few made the accuracy worse. Which of these would most likely make the "
        "same source useful?",
        (
            Choice(
                "Collect more labels of the source.",
                "The source already says what it has to say, and louder: more of it pulls the rule further to the "
                "source's task.",
            ),
            Choice(
                "Have fewer labels of the target.",
                "It would turn the sign, since your own rule would be worse. But both results would be worse than "
                "what you have now.",
            ),
            Choice(
                "Repeat the experiment with more seeds.",
                "That tells how sure you may be of the harm. It does not undo it.",
            ),
            Choice(
                "Let the source count less, or come closer to it: weigh it down, align the features, or keep only its "
                "representation.",
                "A weight between the two losses is the subject of chapter 02; alignment was in this chapter and comes "
                "back in chapter 09; keeping only the representation is feature extraction, chapter 03.",
                right=True,
            ),
        ),
    ),
)
