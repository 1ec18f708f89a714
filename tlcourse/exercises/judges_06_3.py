"""Checks of chapter 06-3's first two exercises: scores of masks, and a loss for the whole mask."""

from __future__ import annotations

import math

from tlcourse.exercises.answers import NotYet, Stopped, call
from tlcourse.exercises.judges_05 import number, told, unmoved

CLOSE = 1e-4


# --- 06-3.1: IoU and Dice


def pairs():
    """Masks to score: some that differ, one without overlap, the same ones, an empty prediction, and two empty ones."""
    import torch

    true = torch.zeros(2, 6, 6, dtype=torch.bool)
    true[0, 1:5, 1:4] = True
    true[1, 2, 2] = True
    guess = torch.zeros_like(true)
    guess[0, 2:6, 2:6] = True
    guess[1, 2, 2:4] = True
    none = torch.zeros_like(true)
    return (guess, true), (true.roll(3, 2), true), (true, true), (none, true), (none, none)


def scored(agreement) -> None:
    """06-3.1: two shares, over all pixels together; NaN for two empty masks."""
    for guess, true in pairs():
        _scored(agreement, guess, true)


def _scored(agreement, guess, true) -> None:
    import torch

    kept = guess.clone(), true.clone()
    empty = not (guess | true).any()
    try:
        got = call(agreement, guess, true)
    except Stopped as stopped:
        if empty and "ZeroDivision" in str(stopped):
            raise NotYet("Two empty masks: you divide by zero. Ask for it first, and return NaN twice.") from None
        raise
    if not (torch.equal(guess, kept[0]) and torch.equal(true, kept[1])):
        raise NotYet("Your function changed the masks that it was given. Make new ones: `a & b` does.")
    got = _two(got)
    both, either = int((guess & true).sum()), int((guess | true).sum())
    sizes = int(guess.sum()) + int(true.sum())
    if empty:
        if not all(map(math.isnan, got)):
            raise NotYet(f"Two empty masks: yours are {got[0]:.3g} and {got[1]:.3g}, and NaN was asked for, twice.")
        return
    wanted = both / either, 2 * both / sizes
    if all(abs(a - b) < CLOSE for a, b in zip(got, wanted, strict=True)):
        return
    raise NotYet(_why_scores(got, wanted, guess, true))


def _two(got) -> tuple[float, float]:
    if got is None:
        raise NotYet("Your function returns nothing. Return the pair `(iou, dice)`.")
    try:
        first, second = (float(value) for value in got)
    except (TypeError, ValueError, RuntimeError):
        raise NotYet("Return two numbers: `iou, dice`.") from None
    return first, second


def _why_scores(got, wanted, guess, true) -> str:
    both, either = int((guess & true).sum()), int((guess | true).sum())
    sizes, right = int(guess.sum()) + int(true.sum()), float((guess == true).float().mean())
    each = [[int((a & b).sum()) / max(1, int((a | b).sum())), 2 * int((a & b).sum()) / max(1, int(a.sum() + b.sum()))]
            for a, b in zip(guess, true, strict=True)]  # fmt: skip
    means = [sum(column) / len(column) for column in zip(*each, strict=True)]

    def is_(value, of):
        return abs(value - of) < CLOSE

    if math.isnan(got[0]) or math.isnan(got[1]):
        return "A score is NaN where there is something to compare. NaN is for two *empty* masks only."
    if is_(got[0], wanted[1]) and is_(got[1], wanted[0]):
        return "The two have changed places: IoU comes first, then Dice."
    if is_(got[0], right) or is_(got[1], right):
        return "That is the share of right pixels. It counts the ground that both leave out; IoU and Dice do not."
    if is_(got[0], means[0]) and is_(got[1], means[1]):
        return "You averaged over the pictures. Count the pixels of *all* pictures together, then divide once."
    if is_(got[0], both / sizes):
        return "IoU divides by what *either* covers. You added the two sizes, and counted what both cover twice."
    if is_(got[1], both / sizes):
        return "The 2 in front of what both cover is missing in Dice: two equal masks should have 1."
    if is_(got[1], 2 * both / either):
        return "Dice divides by the *sum of the two sizes*, not by what either covers. Two equal masks should have 1."
    if is_(got[0], both / max(1, int(true.sum()))) or is_(got[0], both / max(1, int(guess.sum()))):
        return "You divide by one mask alone: then a mask that covers everything, or one pixel, looks perfect."
    if is_(got[0], wanted[0]):
        return f"IoU is right. Dice should be {wanted[1]:.3f} for one of the pairs, yours is {got[1]:.3f}."
    return (
        f"For one of the pairs IoU should be {wanted[0]:.3f} and Dice {wanted[1]:.3f}; "
        f"yours are {got[0]:.3f} and {got[1]:.3f}."
    )


# --- 06-3.2: Dice as a loss


def batch(empty: bool = False):
    """Logits and masks of three pictures, the last of which is empty; or all of them."""
    import torch

    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(3, 5, 6, generator=generator)
    masks = torch.zeros(3, 5, 6, dtype=torch.long)
    if not empty:
        masks[0, 1:4, 1:5], masks[1, 2, 3] = 1, 1
    return logits, masks


def softly(soft_dice) -> None:
    """06-3.2: the loss itself, its gradient, and a batch without the class."""
    for empty in (False, True):
        _softly(soft_dice, empty)


def _softly(soft_dice, empty: bool) -> None:
    import torch

    logits, masks = batch(empty)
    leaf, kept = logits.clone().requires_grad_(True), masks.clone()
    got = number(call(soft_dice, leaf, masks), "the loss")
    if not torch.equal(masks, kept):
        raise NotYet("Your function changed the masks that it was given. Leave them alone.")
    p, t = logits.sigmoid(), masks.float()
    both, sizes = (p * t).sum(), p.sum() + t.sum()
    right = 1 - (2 * both + 1) / (sizes + 1)
    if not torch.isfinite(got):
        raise NotYet("The loss is no number. The added 1 above and below keeps it one, also without the class.")
    if abs(float(got.detach()) - float(right)) > CLOSE:
        raise _why_loss(got, logits, p, t, right)
    unmoved([leaf])
    if not got.requires_grad:
        raise NotYet("The loss is right, but no gradient flows through it. Keep it a tensor: no `.item()`.")
    got.backward()
    leaf_again = logits.clone().requires_grad_(True)
    q = leaf_again.sigmoid()
    (1 - (2 * (q * t).sum() + 1) / (q.sum() + t.sum() + 1)).backward()
    if leaf.grad is None or not torch.allclose(leaf.grad, leaf_again.grad, atol=1e-5):
        raise NotYet("The loss is right and its gradient is not: a part of it was detached. All of it needs a slope.")


def _why_loss(got, logits, p, t, right) -> NotYet:
    hard = (logits > 0).float()

    def loss(p, t=t, dims=(0, 1, 2), smooth=1.0, two=2.0, power=1):
        both, sizes = (p * t).sum(dims), (p**power).sum(dims) + t.sum(dims)
        return 1 - ((two * both + smooth) / (sizes + smooth)).mean()

    union = p.sum() + t.sum() - (p * t).sum()
    return told(
        got,
        [
            (lambda: 1 - right, "That is the score, not the loss: a perfect mask would cost 1. Take it from 1."),
            (lambda: right - 1, "The sign is turned, and the 1 is missing. The loss goes from 1 (nothing) to 0."),
            (lambda: loss(hard), "You made yes and no of the logits. A threshold has no slope: use the probability."),
            (lambda: loss(logits), "These are the logits themselves. Turn them into probabilities: `.sigmoid()`."),
            (lambda: loss(logits.flatten(1).softmax(1).reshape(p.shape)),
             "A softmax over the pixels makes them compete for one. Each pixel has its own probability: `.sigmoid()`."),
            (lambda: loss(p, dims=(1, 2)),
             "You averaged over the pictures: one without the class then counts as much as one full of it. Sum over "
             "the batch."),
            (lambda: loss(p, smooth=0.0), "The added 1 is missing above and below; without it a batch of empty masks "
             "has no value of its own."),
            (lambda: 1 - 2 * (p * t).sum() / (p.sum() + t.sum() + 1), "The added 1 is missing above."),
            (lambda: 1 - (2 * (p * t).sum() + 1) / (p.sum() + t.sum()), "The added 1 is missing below."),
            (lambda: loss(p, two=1.0), "The 2 in front of what both cover is missing: the best loss would be .5."),
            (lambda: 1 - ((p * t).sum() + 1) / (union + 1), "That is the IoU loss: it divides by what either covers. "
             "Dice divides by the sum of the two sizes."),
            (lambda: loss(p, power=2), "You squared the probabilities below. Some papers do; here the sum is plain."),
            (lambda: loss(1 - p), "That is the probability of the ground: the sign of the logits is turned."),
            (lambda: loss(p, t=1 - t), "You score the ground in place of the class: `masks` is 1 where the class is."),
        ],
        f"The loss of this batch should be {float(right):.4f}, yours is {float(got.detach()):.4f}.",
    )  # fmt: skip
