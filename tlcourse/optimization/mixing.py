"""`mix`: heads that are trained for λ of a source's loss and 1 - λ of a target's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch

from tlcourse.errors import CourseError
from tlcourse.features import Features, Result
from tlcourse.optimization.heads import Head, best_head, scaling
from tlcourse.optimization.surfaces import fraction

LAMBDAS = tuple(i / 10 for i in range(11))


@dataclass(frozen=True, eq=False)
class Mixture:
    """The best heads for a range of λ.

    Arguments:
        lambdas: weights of the source's loss, rising.
        heads: one `Head` for each.
        source_losses, target_losses: mean cross-entropy of each head on the items it was trained on.

    >>> mixture = Mixture((0.0, 1.0), (None, None), (0.9, 0.2), (0.1, 0.8))
    >>> mixture.to_frame()["target loss"].tolist()
    [0.1, 0.8]
    """

    lambdas: tuple[float, ...]
    heads: tuple[Head, ...] = field(repr=False)
    source_losses: tuple[float, ...] = field(repr=False)
    target_losses: tuple[float, ...] = field(repr=False)

    def head(self, weight: float) -> Head:
        """The head for one of the λ."""
        for at, head in zip(self.lambdas, self.heads, strict=True):
            if abs(at - weight) < 1e-9:
                return head
        raise CourseError(
            f"There is no head for λ = {weight!r}.", do=f"The λ are: {', '.join(f'{at:g}' for at in self.lambdas)}."
        )

    def score(self, data: Features) -> tuple[Result, ...]:
        """Accuracy and loss of each head on features, in the order of the λ."""
        return tuple(head.score(data) for head in self.heads)

    def choose(self, valid: Features) -> float:
        """The λ whose head is right most often on validation items; of equals the one with the lower loss there."""
        results = self.score(valid)
        best = max(range(len(results)), key=lambda i: (results[i].accuracy, -results[i].loss))
        return self.lambdas[best]

    def to_frame(self):
        """A row a λ: `λ`, `source loss`, `target loss`."""
        import pandas as pd

        return pd.DataFrame({"λ": self.lambdas, "source loss": self.source_losses, "target loss": self.target_losses})


def mix(source: Features, target: Features, lambdas: Sequence[float] = LAMBDAS, *, decay: float = 0.5) -> Mixture:
    """Train a head for λ · (mean loss on the source) + (1 - λ) · (mean loss on the target), for each λ.

    An item of the source counts λ / (number of source items), one of the target (1 - λ) / (number of target items). The
    features are centred and scaled as the source's are, and `decay / 2` times the sum of squared weights is added.

    Arguments:
        source, target: features of one stage, with the same classes.
        lambdas: numbers from 0 to 1.
        decay: how strongly large weights are held back, above 0.

    Returns a `Mixture`. Raises `CourseError` when the two do not go together.

    >>> x, y = torch.tensor([[0.0], [1.0], [2.0], [3.0]]), torch.tensor([0, 0, 1, 1])
    >>> source = Features(x, y, tuple("abcd"), ("low", "high"), "pool")
    >>> target = Features(x - 2, y, tuple("efgh"), ("low", "high"), "pool")
    >>> [round(result.accuracy, 2) for result in mix(source, target, (0, 1)).score(target)]
    [1.0, 0.5]

    Chapter 02. Ben-David et al. 2010 (how far the best λ is from either end).
    """
    check_parts(source, target)
    try:
        chosen = sorted({fraction("λ", value) for value in lambdas})
    except TypeError:
        chosen = []
    if not chosen:
        raise CourseError(f"lambdas={lambdas!r} will not do.", do="Give numbers from 0 to 1, e.g. (0, 0.5, 1).")
    (xs, ys), (xt, yt) = source.flat(), target.flat()
    both = replace(
        source, x=torch.cat([xs, xt]), y=torch.cat([ys, yt]), ids=source.ids + target.ids, views=1, lengths=None
    )
    heads = []
    for weight in chosen:
        each = torch.cat([torch.full((len(ys),), weight / len(ys)), torch.full((len(yt),), (1 - weight) / len(yt))])
        heads.append(best_head(both, each, decay=decay, scaled=scaling(source)))
    losses = [[head.score(part).loss for head in heads] for part in (source, target)]
    return Mixture(tuple(chosen), tuple(heads), tuple(losses[0]), tuple(losses[1]))


def readable(part: Features, what: str = "learn from") -> None:
    """Features of at least one item, all of them numbers; or the error that says so."""
    if not isinstance(part, Features):
        raise CourseError(
            f"mix reads features, not a {type(part).__name__}.", do="Extract them first: extract(model, data)."
        )
    if not len(part):
        raise CourseError(f"There are no items to {what}.", do="Check how the features were selected.")
    odd = int((~part.flat()[0].isfinite().all(1)).sum())
    if odd:
        raise CourseError(
            f"Of {len(part)} items to {what}, {odd} {'has' if odd == 1 else 'have'} features that are no numbers.",
            why="NaN or infinite values: the model's weights or its input hold some.",
            do="Extract the features with a model loaded anew, and with its own transform.",
        )


def fitting(source: Features, other: Features, whose: str = "the target") -> None:
    """Features of the same classes and of one stage; or the error that says so."""
    if tuple(source.classes) != tuple(other.classes):
        raise CourseError(
            f"The source's classes are {', '.join(source.classes)}, those of {whose} {', '.join(other.classes)}.",
            why="Two losses can be mixed when the same head is meant to do both.",
            do="Take two data sets with the same classes.",
        )
    if source.stage != other.stage or source.flat()[0].shape[1] != other.flat()[0].shape[1]:
        raise CourseError(
            f"The source's features are of stage {source.stage!r}, those of {whose} of {other.stage!r}.",
            do="Extract both with the same model at the same stage.",
        )


def check_parts(source: Features, target: Features) -> None:
    """Features that two losses can be computed on and mixed; or the error that says what does not fit."""
    for part in (source, target):
        readable(part)
        for name, n in zip(part.classes, torch.bincount(part.y, minlength=len(part.classes)).tolist(), strict=True):
            if not n:
                raise CourseError(f"There is no item of {name!r} to learn from.", do="Take some of every class.")
    fitting(source, target)
