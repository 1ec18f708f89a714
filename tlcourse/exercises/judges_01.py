"""Checks of chapter 01's words: which kind of transfer a case is, and what repeated runs allow to say."""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

from tlcourse.exercises.answers import NotYet, brief, call

KINDS = ("inductive", "transductive", "unsupervised", "none")
VERDICTS = ("gain", "no clear gain", "negative transfer")


class Side(NamedTuple):
    """One side of a transfer: the domain, the task, and whether there are labels."""

    domain: str
    task: str
    labels: bool


def cases() -> list[tuple[Side, Side]]:
    """Sources and targets to tell apart: domain and task the same or not, labels on both sides, on either, or none."""
    made = []
    for same_domain, same_task, labels in product((True, False), (True, False), ((1, 1), (1, 0), (0, 1), (0, 0))):
        source = Side("film reviews", "pleased or not", bool(labels[0]))
        domain, task = "film reviews" if same_domain else "tweets", "pleased or not" if same_task else "which topic"
        made.append((source, Side(domain, task, bool(labels[1]))))
    return made


def told_kind(kind) -> None:
    """01.1: labels first, then the task, then the domain."""
    found = []
    for source, target in cases():
        said = call(kind, source, target)
        if not isinstance(said, str) or said not in KINDS:
            raise NotYet(f"Your function said {brief(repr(said))} One of these words is wanted: {', '.join(KINDS)}.")
        found.append(said)
    if found == _by(_right):
        # the same rule must hold for any words, and when the sides have other names than here
        other = Side("X rays", "broken or not", True), Side("photographs", "cat or dog", True)
        if call(kind, *other) != "inductive":
            raise NotYet("It works for the words `film reviews` and `tweets` only. Compare source and target instead.")
        return
    for rule, words in _MISTAKES:
        if found == _by(rule):
            raise NotYet(words)
    source, target = next(c for c, said, right in zip(cases(), found, _by(_right), strict=True) if said != right)
    raise NotYet(
        f"For {_words(source)} to {_words(target)} your function says {found[cases().index((source, target))]!r}. "
        "Ask in this order: has any side labels? Do the tasks differ? Do the domains differ?"
    )


def _right(same_domain, same_task, source, target):
    if not source and not target:
        return "unsupervised"
    return "inductive" if not same_task else "transductive" if not same_domain else "none"


def _by(rule) -> list[str]:
    return [rule(a.domain == b.domain, a.task == b.task, a.labels, b.labels) for a, b in cases()]


def _words(side: Side) -> str:
    return f"({side.domain}, {side.task}, {'labels' if side.labels else 'no labels'})"


def _supervised(same_domain, same_task, source, target):
    return _right(same_domain, same_task, True, True)


_SWAP = {"inductive": "transductive", "transductive": "inductive"}
_MISTAKES = (
    (
        lambda d, t, a, b: _SWAP.get(_right(d, t, a, b), _right(d, t, a, b)),
        "Inductive and transductive are swapped. Inductive: the task is another one, so labels of the target have to "
        "*induce* a new rule. Transductive: the same task is carried over to another domain.",
    ),
    (
        _supervised,
        "Your function never says unsupervised. Where neither side has labels, no task can be learned from labels, "
        "whatever else is the same: ask for that first.",
    ),
    (
        lambda d, t, a, b: "unsupervised" if not b else _supervised(d, t, a, b),
        "A target without labels is not yet unsupervised transfer: the source may have labels, as film reviews have "
        "for tweets. It is unsupervised only when neither side has any.",
    ),
    (
        lambda d, t, a, b: "unsupervised" if not a else _supervised(d, t, a, b),
        "A source without labels is not yet unsupervised transfer: the target may have labels, as where a network "
        "first learned from unlabelled pictures. It is unsupervised only when neither side has any.",
    ),
    (
        lambda d, t, a, b: "unsupervised" if not a or not b else _supervised(d, t, a, b),
        "Labels on one side are labels. It is unsupervised only when source *and* target have none: `and`, not `or`.",
    ),
    (
        lambda d, t, a, b: "unsupervised" if not a and not b else "transductive" if not d else _supervised(d, t, a, b),
        "You ask for the domain before the task. From ImageNet to faces both differ, and that is inductive: a new task "
        "needs labels of its own. Only when the task is the same does the domain decide.",
    ),
    (
        lambda d, t, a, b: _right(d, t, a, b) if d or t or not (a or b) else "none",
        "Where domain and task both differ, your function says none. That is the most usual case, and it is inductive: "
        "inductive asks for another task, not for the same domain.",
    ),
    (
        lambda d, t, a, b: "transductive" if _right(d, t, a, b) == "none" else _right(d, t, a, b),
        "Where domain and task are both the same, nothing has to be transferred: that is ordinary learning. Say none.",
    ),
)


def judged_gain(verdict) -> None:
    """01.3: the interval of the paired difference decides."""
    for name, (alone, both) in EXPERIMENTS.items():
        said = call(verdict, list(alone), list(both))
        if not isinstance(said, str) or said not in VERDICTS:
            raise NotYet(f"Your function said {brief(repr(said))} One of these is wanted: {', '.join(VERDICTS)}.")
        right = _paired(alone, both)
        if said == right:
            continue
        if {said, right} == {"gain", "negative transfer"}:
            raise NotYet(
                "The sign is the wrong way round: the gain is the accuracy *with* the source minus that without, "
                "`both - alone`. Above zero it is a gain."
            )
        raise NotYet(_WHY[name])


def _paired(alone, both) -> str:
    from tlcourse.adaptation.shift import verdict
    from tlcourse.features import interval

    return verdict(*interval([b - a for a, b in zip(alone, both, strict=True)])[1:])


# each experiment is one that a wrong rule judges wrongly
EXPERIMENTS = {
    "clear": ([0.60, 0.62, 0.61, 0.59, 0.60], [0.70, 0.71, 0.72, 0.70, 0.69]),
    "harm": ([0.80, 0.82, 0.81, 0.79, 0.80], [0.70, 0.72, 0.71, 0.70, 0.69]),
    "chance": ([0.60, 0.70, 0.65, 0.55, 0.62], [0.66, 0.64, 0.70, 0.52, 0.66]),
    "paired": ([0.50, 0.60, 0.70, 0.80, 0.90], [0.52, 0.63, 0.72, 0.83, 0.92]),
    "one bad seed": ([0.60] * 16, [*[0.65, 0.64, 0.66] * 5, 0.599]),
    "many seeds": ([0.60] * 16, [0.59, 0.67] * 8),
    "few seeds": ([0.60, 0.60, 0.60], [0.605, 0.65, 0.63]),
    "just not": ([0.60] * 5, [0.61, 0.63, 0.65, 0.597, 0.64]),
    "other order": ([0.50, 0.90, 0.60, 0.80, 0.70], [0.92, 0.52, 0.72, 0.62, 0.82]),
    "perhaps harm": ([0.70, 0.60, 0.66, 0.72, 0.62], [0.50, 0.66, 0.57, 0.55, 0.63]),
    "mostly harm": ([*[0.65, 0.64, 0.66] * 5, 0.599], [0.60] * 16),
}
_WHY = {
    "clear": "Here every one of five runs gained about 0.10: that is a gain.",
    "harm": "Here every one of five runs lost about 0.10: that is negative transfer.",
    "chance": "In one experiment the mean rose by 0.01, while single runs rose and fell by six times as much: that may "
    "be chance. The sign of the mean is not enough; say `no clear gain` where the interval holds zero.",
    "paired": "In one experiment the five runs differ a lot from each other, but each gained 0.02 to 0.03. The runs of "
    "a seed share their draw: subtract seed by seed first, then take the interval of the differences. Two intervals of "
    "their own overlap here, and hide it.",
    "one bad seed": "In one experiment fifteen of sixteen runs gained about 0.05, and one lost 0.001. A gain is a "
    "statement about the mean: not every run has to gain, but the interval of the mean must lie above zero.",
    "many seeds": "In one experiment of sixteen runs the gains lie between −0.01 and 0.07, yet their *mean* is known "
    "much better than a single run. The interval of the mean is the spread divided by the root of the number of runs.",
    "few seeds": "In one experiment there are only three runs. With so few, the interval is 4.3 standard errors wide "
    "on each side, not 2: Student's t knows it. `interval` of tlcourse.features uses it.",
    "just not": "In one experiment of five runs the 95 % interval just holds zero. One of 90 %, or a spread that is "
    "divided by n instead of n - 1, is too narrow: `interval` of tlcourse.features does it right.",
    "other order": "In one experiment the accuracies without and with the source are the same but for 0.02, in another "
    "order: the gains of the seeds go from −0.38 to 0.42. Subtract seed by seed, and sort nothing.",
    "perhaps harm": "In one experiment the mean fell by 0.08, while single runs fell by 0.20 or rose by 0.06. Harm, "
    "too, is claimed only where the whole interval lies below zero; else say `no clear gain`.",
    "mostly harm": "In one experiment fifteen of sixteen runs lost about 0.05, and one gained 0.001. Not every run has "
    "to lose: negative transfer is where the interval of the mean lies below zero.",
}
