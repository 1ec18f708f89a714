"""Pseudo-labels: a model's own surest answers, taken for labels; and heads that learn from them in rounds."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import nn

from tlcourse.adaptation.clouds import blind, clouds, points
from tlcourse.errors import CourseError, real_number, whole_number
from tlcourse.features import Features
from tlcourse.hardware import one_thread, reusing_memory
from tlcourse.optimization.heads import Head, best_head
from tlcourse.training.evaluation import predicted
from tlcourse.training.source import Source


def pseudo_label(model, data, *, share: float = 0.5, confidence: float = 0.0):
    """The items of data that a model is surest of, with its answers in place of labels.

    The share is taken of each class that the model sees, so that an easy class does not push the others out. The data's
    own labels are not looked at.

    Arguments:
        model: a classifier; a `Head`, for features; or scores `[n, classes]`.
        data: a `Split` or `Features` without labels, or with labels that nobody reads.
        share: how much of each class to take, above 0, at most 1; at least one item of a class that is seen at all.
        confidence: leave out items whose answer has a probability below this.

    Returns data of the same kind, in the same order. Raises `CourseError` when nothing is left.

    >>> data = Features(torch.zeros(4, 1), None, tuple("abcd"), ("low", "high"), "pool")
    >>> scores = torch.tensor([[4.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 3.0]])
    >>> chosen = pseudo_label(scores, data)
    >>> chosen.ids, chosen.y.tolist()
    (('a', 'd'), [0, 1])

    Lee 2013 (pseudo-labels); Zou et al. 2018 (a share of each class); chapter 09.
    """
    if not 0 < real_number("share", share) <= 1:
        raise CourseError(f"share={share!r} will not do.", do="Choose a number above 0, at most 1.")
    if real_number("confidence", confidence) > 1:
        raise CourseError(f"confidence={confidence!r} will not do.", do="Choose a probability from 0 to 1.")
    hidden = blind(data, tuple(getattr(model, "classes", None) or ()) or None)
    classes = hidden.classes
    if isinstance(hidden, Features) and hidden.views > 1:
        raise CourseError("Views of one item would get labels of their own.", do="Extract the items without views=.")
    scores = _scores(model, hidden)
    if scores.ndim != 2 or scores.shape[0] != len(hidden) or scores.shape[1] != len(classes):
        raise CourseError(
            f"The scores have the shape {list(scores.shape)}, for {len(hidden)} items and {len(classes)} classes.",
            do="Pass one row of scores an item, one column a class.",
        )
    if not scores.isfinite().all():
        raise CourseError("The scores hold NaN or infinite values.", do="Check the data and the model's weights.")
    sure, y = scores.detach().double().cpu().softmax(1).max(1)
    chosen = torch.zeros(len(y), dtype=torch.bool)
    for number in y.unique():
        places = (y == number).nonzero()[:, 0]
        many = max(1, round(share * len(places)))
        chosen[places[sure[places].argsort(descending=True, stable=True)[:many]]] = True
    chosen &= sure >= confidence
    if not chosen.any():
        raise CourseError(
            f"No answer has a probability of {confidence:g}.",
            do=f"Choose at most {math.floor(1e6 * float(sure.max())) / 1e6:g}, which the surest one has.",
        )
    return replace(hidden, y=y)[chosen]


@reusing_memory
def self_train(
    labelled: Features, unlabelled: Features, *, rounds: int = 5, decay: float = 0.1, first: Head | None = None
) -> Head:
    """A head that learns from labelled items, then in rounds also from its own surest answers on unlabelled ones.

    In round r of R the surest r / R of each class that the last head saw join in; labelled and pseudo-labelled items
    have half of the say each. In the end every unlabelled item has a pseudo-label. Nothing is drawn, so there is no
    seed. A first head that is off for a whole domain believes its own errors more from round to round: where domains
    differ, `align` the unlabelled items before.

    Arguments:
        labelled: features with labels: a source domain, or the few labelled items of the same one.
        unlabelled: features whose labels are not looked at.
        rounds: how many; 0 gives the head of the labelled items alone.
        decay: how strongly large weights are held back, as in `mix`.
        first: the head of the labelled items alone, if it is there already, e.g. from `rounds=0`; it hangs on no
            target, so one does for several. By default it is learned here.

    Returns a `Head`; `head.score(test)` gives its accuracy. Raises `CourseError` when a class has no labelled item, or
    the two (or `first`) do not go together.

    >>> low = Features(torch.tensor([[0.0], [1.0]]), torch.tensor([0, 1]), ("a", "b"), ("low", "high"), "pool")
    >>> other = Features(torch.tensor([[0.2], [0.4], [1.6], [1.9]]), None, tuple("cdef"), ("low", "high"), "pool")
    >>> self_train(low, other).logits(other.x).argmax(1).tolist()
    [0, 0, 1, 1]

    Yarowsky 1995; Zou et al. 2018; chapter 09.
    """
    rounds = whole_number("rounds", rounds, 0)
    if not isinstance(labelled, Features) or not isinstance(unlabelled, Features):
        raise CourseError("Self-training here reads features.", do="Extract them first: extract(model, data).")
    if labelled.y is None:
        raise CourseError("The labelled items have no labels.", do="Pass the features with labels first.")
    clouds(*points(labelled, unlabelled))  # says so when the two do not go together
    if first is not None:
        _check_first(first, labelled)
    with one_thread():  # many small steps, in which two threads would mostly wait for each other
        head = best_head(labelled, decay=decay) if first is None else first
        for number in range(1, rounds + 1):
            guessed = pseudo_label(head, unlabelled, share=number / rounds)
            both = replace(
                labelled,
                x=torch.cat([labelled.x.float(), guessed.x.float()]),
                y=torch.cat([labelled.y, guessed.y]),
                ids=labelled.ids + guessed.ids,
                lengths=None,
            )
            weights = torch.cat([torch.full((len(part),), 0.5 / len(part)) for part in (labelled, guessed)])
            head = best_head(both, weights, decay=decay, start=head)
    return head


def _check_first(head, labelled: Features) -> None:
    if not isinstance(head, Head):
        raise CourseError(
            f"first= is a head, not a {type(head).__name__}.",
            do="Pass what self_train(labelled, unlabelled, rounds=0) returned, or leave first= out.",
        )
    if tuple(head.classes) != tuple(labelled.classes):
        raise CourseError(
            f"The first head tells {', '.join(head.classes)}; the labelled items are {', '.join(labelled.classes)}.",
            do="Pass the head of these labelled items, or leave first= out.",
        )


def _scores(model, data) -> torch.Tensor:
    if isinstance(model, torch.Tensor):
        return model
    if isinstance(model, Head):
        if not isinstance(data, Features):
            raise CourseError("A head reads features.", do="Extract them first: extract(model, data).")
        x = data.flat()[0]
        if x.shape[1] != len(model.centre):
            raise CourseError(
                f"The head reads {len(model.centre)} numbers an item; these features have {x.shape[1]}.",
                do="Extract them with the same model at the same stage.",
            )
        return model.logits(x)
    if isinstance(model, nn.Module):
        return predicted(Source(model, data))
    raise CourseError(
        f"Pseudo-labels come from a model, a head or scores, not from a {type(model).__name__}.",
        do="Pass the classifier itself.",
    )
