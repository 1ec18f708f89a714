"""Checks of chapter 05's exercises: what an answer gives is compared with the right value, and with known mistakes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tlcourse.exercises.answers import NotYet, Stopped, call

CLOSE = 1e-4


def number(value, what: str):
    """A tensor of one number, from what a learner returned."""
    import torch

    if value is None:
        raise NotYet("Your function returns nothing. Return the loss.")
    if isinstance(value, (bool, str)) or not isinstance(value, (int, float, torch.Tensor)):
        raise NotYet(f"Return {what}: one number as a tensor, not {type(value).__name__}.")
    value = value if isinstance(value, torch.Tensor) else torch.tensor(float(value))
    if value.numel() != 1:
        raise NotYet(f"Return {what} as one number; yours has the shape {list(value.shape)}. Add the tasks up.")
    return value.reshape(())


def unmoved(leaves) -> None:
    """Say so when the answer has called `backward` itself: its graph is gone then."""
    if any(leaf.grad is not None for leaf in leaves):
        raise NotYet("Your function calls `backward` itself. It only computes the loss; return it, graph and all.")


def told(got, mistakes: Sequence[tuple[Callable, str]], otherwise: str) -> NotYet:
    """The message of the first mistake that gives what the learner's answer gave."""
    import torch

    for made, message in mistakes:
        value = torch.as_tensor(made(), dtype=torch.float32)
        if value.shape == got.shape and torch.allclose(value, got.detach().float(), rtol=CLOSE, atol=CLOSE):
            return NotYet(message)
    return NotYet(otherwise)


# --- 05.1: labels that are missing


def batch(missing: str = "some"):
    """Outputs of two heads and labels of six scenes, of which some are missing, or all of one task."""
    import torch

    generator = torch.Generator().manual_seed(5)
    outputs = {"digit": torch.randn(6, 10, generator=generator), "box": torch.rand(6, 4, generator=generator)}
    y, boxes = torch.tensor([3, 0, 7, 1, 9, 4]), torch.rand(6, 4, generator=generator)
    if missing in ("some", "all boxes"):
        boxes[[0, 2, 3, 5] if missing == "some" else slice(None)] = torch.nan
    if missing in ("some", "all digits"):
        y[[4] if missing == "some" else slice(None)] = -1
    return outputs, y, boxes


def masked(task_loss) -> None:
    """05.1: the sum of two means, each over the items that have the label."""
    for missing in ("none", "some", "all boxes", "all digits"):
        _masked(task_loss, missing)


def _masked(task_loss, missing: str) -> None:
    import torch
    from torch.nn.functional import cross_entropy, mse_loss

    outputs, y, boxes = batch(missing)
    leaves = {task: output.clone().requires_grad_(True) for task, output in outputs.items()}
    kept = y.clone(), boxes.clone()
    try:
        # the dict is a copy: an answer may put something else there, and the gradients are still looked at
        got = number(call(task_loss, dict(leaves), y, boxes), "the loss")
    except Stopped as stopped:
        if "out of bounds" in str(stopped):
            raise NotYet("-1 is no class: choose the items that have a class before you ask for their loss.") from None
        raise
    if not (torch.equal(y, kept[0]) and torch.allclose(boxes, kept[1], equal_nan=True)):
        raise NotYet("Your function changed the labels that it was given. Choose items, and leave the labels alone.")
    named, framed = y >= 0, ~boxes.isnan().any(1)
    digit = cross_entropy(outputs["digit"][named], y[named]) if named.any() else torch.tensor(0.0)
    box = mse_loss(outputs["box"][framed], boxes[framed]) if framed.any() else torch.tensor(0.0)
    if not torch.isfinite(got):
        raise NotYet(_no_number(missing))
    if abs(float(got.detach()) - float(digit + box)) > CLOSE:
        raise _wrong_masked(got.detach(), outputs, y, boxes, digit, box)
    unmoved(leaves.values())
    if not got.requires_grad:
        raise NotYet("The loss is right, but no gradient flows through it. Keep it a tensor: no `.item()`, no `float`.")
    got.backward()
    slopes = [output.grad for output in leaves.values() if output.grad is not None]
    if not all(slope.isfinite().all() for slope in slopes):
        raise NotYet(
            "The loss is right and its gradient is NaN: the missing boxes were still computed with, and hidden "
            "afterwards (`torch.where`). Nought times NaN is NaN. Choose the labelled items *before* the loss."
        )


def _no_number(missing: str) -> str:
    if missing in ("all boxes", "all digits"):
        what = "box" if missing == "all boxes" else "digit"
        return (
            f"In a batch in which no item has a {what} the loss is not a number: the mean of nothing is NaN. Then this "
            "task has nothing to say; leave it out of the sum."
        )
    return (
        "The loss is not a number although there are labels: NaN went into it. Multiplying by a mask of 0 and 1 does "
        "not help, as nought times NaN is NaN. Choose the items: `outputs[mask]`, `labels[mask]`."
    )


def _wrong_masked(got, outputs, y, boxes, digit, box) -> NotYet:
    from torch.nn.functional import cross_entropy, mse_loss

    named, framed = y >= 0, ~boxes.isnan().any(1)
    both, n = named & framed, len(y)
    errors = cross_entropy(outputs["digit"], y.clamp(min=0), reduction="none"), (outputs["box"] - boxes) ** 2
    zeros = boxes.nan_to_num(0.0)
    parts = {
        "digit over all": lambda: errors[0][named].sum() / n + box,
        "box over all": lambda: digit + errors[1][framed].sum() / (4 * n),
        "both over all": lambda: errors[0][named].sum() / n + errors[1][framed].sum() / (4 * n),
    }
    return told(
        got,
        [
            (lambda: digit, "The boxes do not count at all: add their loss to that of the digits."),
            (lambda: box, "The digits do not count at all: add their loss to that of the boxes."),
            (lambda: (digit + box) / 2, "That is half of it: *add* the two means; do not average them."),
            (
                lambda: digit + mse_loss(outputs["box"], zeros),
                "A missing box was taken for the box (0, 0, 0, 0), and the network learns to put boxes there. NaN "
                "means that nobody knows: leave the item out.",
            ),
            (
                lambda: cross_entropy(outputs["digit"], y.clamp(min=0)) + box,
                "A missing digit was taken for the digit 0. -1 means that nobody knows: leave the item out.",
            ),
            (
                lambda: (
                    (cross_entropy(outputs["digit"][both], y[both]) if both.any() else 0.0)
                    + (mse_loss(outputs["box"][both], boxes[both]) if both.any() else 0.0)
                ),
                "You kept only the items that have *both* labels. An item with one of them still teaches one task.",
            ),
            *(
                (
                    made,
                    "You divided by all items, also by those without the label: a task with few labels then counts "
                    "little. Take the mean over the items that have it.",
                )
                for made in parts.values()
            ),
            (
                lambda: digit + ((outputs["box"] - boxes)[framed].abs().mean() if framed.any() else 0.0),
                "You took the mean distance of the boxes (`F.l1_loss`), as the chapter does. Here the mean *squared* "
                "error is asked for: `F.mse_loss`.",
            ),
            (
                lambda: digit + errors[1][framed].sum(1).mean() if framed.any() else digit,
                "The four errors of a box were added up. Take the mean of all numbers, as `F.mse_loss` does.",
            ),
            (
                lambda: errors[0][named].sum() + errors[1][framed].sum(),
                "You summed over the items. The step would then grow with the batch: take the means.",
            ),
        ],
        f"For a batch with {int(named.sum())} digits and {int(framed.sum())} boxes of {n} the loss should be "
        f"{float(digit + box):.4f}; yours is {float(got):.4f}.",
    )


# --- 05.2: weights from uncertainty


def uncertain(weighted) -> None:
    """05.2: sum of exp(-s) L + s / 2, and gradients to the losses and to s."""
    import torch

    answers = []
    for L, s in (([2.0, 0.5], [1.2, -0.7]), ([0.3, 1.0, 4.0], [0.5, -1.0, 2.0]), ([2.0, 0.5, 1.0], [0.0, 0.0, 0.0])):
        losses, noise = torch.tensor(L, requires_grad=True), torch.tensor(s, requires_grad=True)
        before = noise.detach().clone()
        got = call(weighted, losses, noise)
        if isinstance(got, torch.Tensor) and got.shape == losses.shape:
            raise NotYet("You return a number for each task. Their sum is what is made small: add them up.")
        got = number(got, "the weighted sum")
        if not torch.equal(noise.detach(), before):
            raise NotYet("Your function changed `s`. The optimizer moves it; the function only computes the loss.")
        right = ((-noise).exp() * losses + noise / 2).sum().detach()
        if abs(float(got.detach()) - float(right)) > CLOSE:
            raise _wrong_weights(got.detach(), losses.detach(), noise.detach(), right)
        unmoved((losses, noise))
        answers.append((got, losses, noise))
    for got, losses, noise in answers:
        if not got.requires_grad:
            raise NotYet("The value is right, but no gradient flows: keep tensors, no `.item()` and no `float`.")
        slopes = torch.autograd.grad(got, (losses, noise), allow_unused=True)
        if slopes[0] is None:
            raise NotYet("No gradient reaches the losses, so the network would not learn. Do not detach them.")
        if not torch.allclose(slopes[0], (-noise).exp().detach(), atol=CLOSE):
            raise NotYet("The value is right, but the gradient of a loss is not its weight exp(-s): detach nothing.")
        wanted = 0.5 - (-noise).exp() * losses
        if slopes[1] is None or not torch.allclose(slopes[1], wanted.detach(), atol=CLOSE):
            raise NotYet(
                "The value is right, but the weights do not learn: the gradient of `s` is not that of the formula. "
                "`exp(-s)` must not be detached; with L it pulls `s` up, and `s / 2` pulls it down."
            )


def _wrong_weights(got, losses, s, right) -> NotYet:
    import torch

    half = s.sum() / 2
    mistakes = [
        (
            lambda: ((-s).exp() * losses).sum(),
            "The term `s / 2` is missing. Without it the cheapest thing is to let every noise grow for ever: all "
            "weights go to zero, and nothing is learned.",
        ),
        (
            lambda: (s.exp() * losses).sum() + half,
            "Your weight is exp(+s): the *more* noise, the more a task would count. It is the other way round.",
        ),
        (
            lambda: (s.exp() * losses).sum(),
            "Your weight is exp(+s), and the term `s / 2` is missing: the loss falls as `s` goes to minus infinity.",
        ),
        (
            lambda: ((-s).exp() * losses).sum() - half,
            "The sign of `s / 2` is turned: it then *rewards* noise instead of making it cost something.",
        ),
        (
            lambda: ((-s).exp() * losses + s).sum(),
            "The noise costs `s / 2`, as s is the logarithm of sigma *squared*; you took a whole `s`.",
        ),
        (
            lambda: ((-s / 2).exp() * losses).sum() + half,
            "You divided by sigma. The loss is divided by sigma squared, and s is the logarithm of that: exp(-s).",
        ),
        (
            lambda: ((-2 * s).exp() * losses + s).sum(),
            "You took `s` for the logarithm of sigma. Here it is that of sigma *squared*: exp(-s), and s / 2.",
        ),
        (
            lambda: (s * losses).sum(),
            "`s` is not the weight itself, but the logarithm of a noise, and may be negative. The weight is exp(-s).",
        ),
        (
            lambda: (torch.softmax(-s, 0) * losses).sum() + half,
            "A softmax makes the weights sum to 1, and tasks compete. Here each has its own: exp(-s).",
        ),
        (lambda: right / len(s), "You averaged over the tasks. Add them up."),
        (
            lambda: ((-s).exp() * losses / 2).sum() + half,
            "The half belongs to `s`, not to the losses: exp(-s) L + s / 2.",
        ),
        (lambda: losses.sum(), "That is the plain sum of the losses: equal weights. `s` does not count at all."),
    ]
    otherwise = f"The result should be {float(right):.4f}; yours is {float(got):.4f}. For each task: exp(-s) L + s / 2."
    return told(got, mistakes, otherwise)
