"""What a slider of λ shows: for each λ the line that parts two classes, and how many items it judges rightly."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from tlcourse.errors import CourseError, whole_number
from tlcourse.features import Features
from tlcourse.optimization.descent import minimum
from tlcourse.optimization.mixing import check_parts, fitting, mix, readable
from tlcourse.optimization.planes import Plane
from tlcourse.optimization.surfaces import blend

STEPS = 20
"""λ goes from 0 to 1 in so many steps."""


def lines(
    source: Features,
    target: Features,
    shown: Sequence[Features],
    *,
    shots: Sequence[int] = (4, 16, 64, 256),
    names: Sequence[str] = ("source", "target"),
    seed: int = 0,
    decay: float = 0.5,
) -> dict:
    """Everything that a page needs to show λ at work, as plain numbers and words.

    Each item has two coordinates: what a head trained on the source alone says of it, and what one trained on the
    target alone says. For each λ the heads that are so much of the one and so much of the other are searched for the
    lowest λ · (loss on the source) + (1 - λ) · (loss on the target), and that head's line and accuracies are noted.
    What is noted is rounded first, so that a page which counts the items on either side of the line finds the same.

    Arguments:
        source, target: features of the training items, of two classes.
        shown: features of other items of the source and of the target, to be drawn and counted.
        shots: how many target items a class are learned from; those of which there are not enough are left out.
        names: of source and target.
        seed: of the draw of the target's items.
        decay: as in `mix`.

    Returns a dict with `names`, `classes`, `lambdas`, `labels` of the shown items, and `amounts`: for each number of
    shots `points` `[2][n][2]`, `heads` `[λ][2]`, `right` `[λ][2]` (how many items), `losses` `[λ][2]` (on the training
    items), and `box`. Raises `CourseError` when the parts do not go together.

    Chapter 02.
    """
    names = _names(names)
    if not isinstance(shown, Sequence) or len(shown) != 2:
        raise CourseError(
            "Two parts are shown: items of the source, and items of the target.", do="Pass both: (source, target)."
        )
    for part in (source, target, *shown):
        if not isinstance(part, Features) or len(part.classes) != 2:
            raise CourseError(
                "A line parts two classes, in features.", do="Extract the features of a task with two classes first."
            )
    check_parts(source, target)
    for part in shown:
        readable(part, "show")
        fitting(source, part, "the shown items")
    amounts, seed = _amounts(target, shots), whole_number("seed", seed, 0)
    lambdas = [round(i / STEPS, 4) for i in range(STEPS + 1)]
    return {
        "names": names,
        "classes": list(source.classes),
        "sizes": [len(part) for part in shown],
        "learned": len(source),
        "lambdas": lambdas,
        "labels": [part.y.tolist() for part in shown],
        "amounts": [_amount(source, target.shots(n, seed), shown, lambdas, n, decay) for n in amounts],
    }


def _names(names) -> list[str]:
    made = [str(name).strip() for name in names] if isinstance(names, Sequence) and not isinstance(names, str) else []
    if len(made) != 2 or not all(made) or made[0] == made[1]:
        raise CourseError(
            f"names={names!r} will not do.", do='Pass two different names, e.g. names=("movie", "tweet").'
        )
    return made


def _amounts(target, shots) -> list[int]:
    if not isinstance(shots, Sequence) or isinstance(shots, str) or not len(shots):
        raise CourseError(f"shots={shots!r} will not do.", do="Pass numbers of items a class, e.g. shots=(4, 16).")
    most = min(torch.bincount(target.y, minlength=2).tolist())
    amounts = sorted({n for n in (whole_number("shots", n) for n in shots) if n <= most})
    if not amounts:
        raise CourseError(f"There are only {most} target items a class.", do=f"Pass e.g. shots=({most},).")
    return amounts


def _amount(source, few, shown, lambdas, n, decay) -> dict:
    ends = mix(source, few, (0, 1), decay=decay)
    plane = Plane(ends.head(1), ends.head(0), decay)
    losses = plane.surface(source, "source"), plane.surface(few, "target")
    points = [plane.scores(part).mul(1000).round() / 1000 for part in shown]
    heads, right, values, at = [], [], [], (0.0, 1.0)
    for weight in lambdas:
        at = minimum(blend(weight, *losses), at)
        heads.append([round(value, 4) for value in at])
        head = torch.tensor(heads[-1], dtype=torch.float64)
        says = [(each @ head > 0).long() for each in points]
        right.append([int((s == part.y).sum()) for s, part in zip(says, shown, strict=True)])
        values.append([round(float(plane.head(at).score(part).loss), 4) for part in (source, few)])
    both = torch.cat(points)
    low, high = both.min(0).values, both.max(0).values
    room = (0.04 * (high - low)).clamp(min=0.01)  # features that are all the same have no width of their own
    box = torch.stack([low - room, high + room], -1).flatten().mul(1000).round().div(1000)
    return {
        "shots": n,
        "box": box.tolist(),
        "points": [each.tolist() for each in points],
        "heads": heads,
        "right": right,
        "losses": values,
    }
