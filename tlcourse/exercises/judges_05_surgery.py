"""The check of chapter 05's gradient surgery, by pairs of gradients that agree, disagree, or vanish."""

from __future__ import annotations

from tlcourse.exercises.answers import NotYet, call
from tlcourse.exercises.judges_05 import CLOSE, told

CASES = {
    "agree": ([3.0, 1.0], [2.0, 2.0]),
    "at right angles": ([2.0, 0.0], [0.0, 0.5]),
    "disagree": ([3.0, 0.0], [-1.0, 1.0]),
    "disagree, in four numbers": ([1.0, 2.0, -1.0, 0.5], [-2.0, 0.0, 1.5, -1.0]),
    "disagree a little": ([3.0, 0.0], [-0.2, 1.0]),
    "vanish": ([0.0, 0.0, 0.0], [1.0, -2.0, 0.5]),
    "vanish, the other one": ([1.0, -2.0, 0.5], [0.0, 0.0, 0.0]),
}


def gradients():
    """Two gradients that disagree."""
    import torch

    return tuple(torch.tensor(g) for g in CASES["disagree"])


def operated(surgery) -> None:
    """05.3: the sum of two gradients, each without what it has against the other."""
    import torch

    for case, pair in CASES.items():
        a, b = (torch.tensor(g) for g in pair)
        got = call(surgery, a, b)
        if not (torch.equal(a, torch.tensor(pair[0])) and torch.equal(b, torch.tensor(pair[1]))):
            raise NotYet(
                "Your function changed the gradients that it was given (`-=` works in place). The second projection "
                "then starts from something else: make new tensors."
            )
        if isinstance(got, (tuple, list)) and all(isinstance(part, torch.Tensor) for part in got):
            raise NotYet("You return two gradients. The step takes one: add them up.")
        if not isinstance(got, torch.Tensor) or got.shape != a.shape:
            what = f"a tensor {list(got.shape)}" if isinstance(got, torch.Tensor) else type(got).__name__
            raise NotYet(f"One gradient of the shape {list(a.shape)} is wanted, not {what}.")
        if not got.isfinite().all():
            raise NotYet(
                "A gradient may vanish, where a task has nothing to learn; then you divide by zero. Project only where "
                "the two disagree."
            )
        right = _right(a, b)
        if not torch.allclose(got.float(), right, atol=CLOSE):
            raise _wrong(got.float(), a, b, right, case)


def _without(g, other, size=None):
    return g - (g @ other) / (other @ other if size is None else size) * other


def _right(a, b):
    return _without(a, b) + _without(b, a) if a @ b < 0 else a + b


def _wrong(got, a, b, right, case) -> NotYet:
    dot = a @ b
    if dot >= 0:
        mistakes = [
            (
                lambda: _without(a, b) + _without(b, a),
                "These two gradients agree (their product is not negative), and yet you projected: what helps both "
                "tasks was thrown away. Project only where they disagree.",
            ),
            (lambda: (a + b) / 2, "You averaged. Add the two gradients, as the sum of two losses does."),
            (lambda: a, "Only the first gradient is left. The step serves both tasks: add them up."),
        ]
        otherwise = f"The gradients {case}: nothing is to be projected, and the result is their sum, {right.tolist()}."
        return told(got, mistakes, f"{otherwise} Yours is {[round(v, 3) for v in got.tolist()]}.")
    cut = _without(a, b)
    mistakes = [
        (
            lambda: a + b,
            "These two disagree a little (their product is negative), and you only added them up: even a little is to "
            "be taken away."
            if case == "disagree a little"
            else "These two disagree (their product is negative), and you only added them up.",
        ),
        (
            lambda: cut + b,
            "Only the first gradient gave way. Either the second was not projected at all, or off the first as it was "
            "*after* its own projection, where the two no longer disagree. Project both, each off the original.",
        ),
        (lambda: a + _without(b, a), "Only the second gradient gave way. Project both."),
        (
            lambda: _without(a, b, b.norm()) + _without(b, a, a.norm()),
            "You divide by the length of the other gradient. To project, divide by its length *squared*, `b @ b`.",
        ),
        (
            lambda: _without(a, b, 1.0) + _without(b, a, 1.0),
            "The division is missing: divide by the square of the other's length, `b @ b`, or its size counts twice.",
        ),
        (
            lambda: _without(a, b, a @ a) + _without(b, a, b @ b),
            "You divide by the gradient's own length squared. It is the length of the *other* one, along which the "
            "part is taken away.",
        ),
        (
            lambda: a + dot / (b @ b) * b + b + dot / (a @ a) * a,
            "You added the conflicting part once more. It is to be taken away: minus.",
        ),
        (
            lambda: dot / (b @ b) * b + dot / (a @ a) * a,
            "You kept only the parts that conflict. Those are to be taken away.",
        ),
        (
            lambda: a * 0,
            "You stand still where tasks disagree. A part of each gradient does not hurt the other: keep that.",
        ),
        (lambda: (cut + _without(b, a)) / 2, "The projections are right; add them up instead of averaging."),
    ]
    otherwise = f"For {a.tolist()} and {b.tolist()} the result should be {[round(v, 3) for v in right.tolist()]}"
    return told(got, mistakes, f"{otherwise}; yours is {[round(v, 3) for v in got.tolist()]}.")
