"""The check of chapter 02's gradient check, by gradients with and without mistakes and a loss that notes who asks."""

from __future__ import annotations

from tlcourse.exercises.answers import NotYet, Stopped, call
from tlcourse.exercises.judges_02 import worst

CLOSE = 1e-6


def material():
    """A loss, a gradient of it with one mistake, and the weights at which it was computed."""
    import torch
    from torch.nn.functional import cross_entropy, one_hot

    generator = torch.Generator().manual_seed(5)
    x, y = torch.randn(6, 4, generator=generator, dtype=torch.float64), torch.tensor([0, 1, 1, 0, 1, 1])
    W = torch.randn(2, 4, generator=generator, dtype=torch.float64)
    slopes = ((x @ W.T).softmax(1) - one_hot(y, 2)).T @ x  # the mean's 1 / n was forgotten
    return (lambda W: cross_entropy(x @ W.T, y)), slopes, W


def measured(largest_gap) -> None:
    """02.3: the largest difference between a gradient and central differences."""
    import torch

    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        for shape, scale in (((2, 3), 1.0), ((1, 4), 30.0)):
            _case(largest_gap, shape, scale)


def _case(largest_gap, shape, scale) -> None:
    import torch

    W = torch.linspace(-0.5, 0.7, shape[0] * shape[1], dtype=torch.float64).reshape(shape)
    right = scale * (3 * W**2 + torch.cos(W))  # of the loss below
    asked = []

    def loss(V):
        asked.append(V.detach().clone())
        return scale * (V.detach() ** 3 + torch.sin(V.detach())).sum()  # no graph: autograd has nothing to say here

    got = _ask(largest_gap, loss, right, W, asked)
    if abs(got) > scale * CLOSE:
        raise NotYet(_too_large(got, asked, W, right, largest_gap, loss))
    for place, error, what in (
        (-1, 0.3, "the last entry"),
        (0, -0.4, "the first entry, which is too small,"),
        (right.numel() // 2, 0.2, "an entry in the middle"),
    ):
        wrong = right.clone()
        wrong.view(-1)[place] += error
        got = _ask(largest_gap, loss, wrong, W, asked)
        if abs(got - abs(error)) > max(1e-4, scale * CLOSE):
            raise NotYet(_missed(got, error, what, wrong.numel()))


def _ask(largest_gap, loss, slopes, W, asked) -> float:
    import torch

    asked.clear()
    lent = W.clone().requires_grad_(False)
    given = slopes.clone()
    try:
        got = worst(call(largest_gap, loss, given, lent))
    except Stopped as stopped:
        if "does not require grad" in str(stopped):
            raise NotYet(
                "You asked autograd. It would be the judge of itself: measure instead, with two losses for each weight."
            ) from None
        raise
    if not torch.equal(given, slopes):
        raise NotYet("Your check changed the slopes that it was given.")
    if not torch.allclose(lent, W, atol=1e-12):
        raise NotYet("Your check left `W` nudged: put each weight back, or nudge a copy, `W.clone()`.")
    if not asked:
        raise NotYet("The loss was never asked, so nothing was measured.")
    return got


def _too_large(got, asked, W, right, largest_gap, loss) -> str:
    nudges = [float((V - W).abs().max()) for V in asked]
    moved = [int(((V - W).abs() > 0).sum()) for V in asked]
    h = max(nudges)
    if max(moved) > 1:
        return (
            "More than one weight is nudged at once, so their slopes mix. One weight at a time: begin each time with a "
            "fresh copy of `W`."
        )
    if h == 0:
        return "No weight was nudged: the loss was asked at `W` alone. Change one weight of a copy first."
    if h > 1e-2:
        return f"Your nudge is {h:.1g}: so far away the slope is another one. Take a smaller one, such as 1e-5."
    if h < 1e-9:
        return f"Your nudge is {h:.1g}: the two losses differ by less than rounding. Take a larger one, such as 1e-5."
    signs = {1 if float((V - W).sum()) > 0 else -1 for V, n in zip(asked, moved, strict=True) if n}
    half = float(right.abs().max())
    if len(signs) == 2 and any(abs(got - factor * half) < 1e-3 * half for factor in (0.5, 1.0)):
        return (
            "A right gradient gets a large difference from you. From one nudge down to one up the weight moves *two* "
            "nudges: divide by `2 * nudge`."
        )
    if len(signs) < 2 and got < 0.05 * half:
        return (
            "You nudge to one side only. That is off by as much as the slope changes over the nudge, which is too "
            "coarse here: nudge up and down, and divide by twice the nudge."
        )
    return f"For a right gradient your largest difference is {got:.2g}; it should be below {CLOSE:g}."


def _missed(got, error, what, n) -> str:
    if abs(got - abs(error) / n) < 1e-3:
        return "You took the mean of the differences. A single wrong entry drowns in it: take the largest."
    if abs(got - error**2) < 1e-3 or abs(got - error**2 / n) < 1e-3:
        return "You squared the differences. Give the largest of them as it is, without squares."
    if abs(got) < 1e-3 and error < 0:
        return f"A mistake in {what} was not seen: a difference may be negative. Take absolute values first."
    if abs(got) < 1e-3:
        return f"A mistake in {what} was not seen: look at every entry of the gradient."
    if abs(got - error) < 1e-3:
        return "The difference has a sign. How far apart the two are is its absolute value."
    return (
        f"A gradient with a mistake of {abs(error):g} in {what} gets {got:.3g} from you. It should be {abs(error):g}."
    )
