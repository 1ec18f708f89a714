"""Checks of chapter 07-2's exercises: teacher forcing, and attention."""

from __future__ import annotations

from tlcourse.exercises.answers import NotYet, call
from tlcourse.exercises.judges_05 import CLOSE, number, told

PAD, START, END = 0, 1, 2


# --- 07-2.1: teacher forcing


def lesson():
    """A small decoder, states of three sources, and the pieces of their translations, padded."""
    import torch

    from tlcourse.models import Tokens
    from tlcourse.translation import Translator

    model = Translator(12, width=8, states=6, seed=3).eval()
    with torch.no_grad():
        model.table.weight.mul_(3)
    generator = torch.Generator().manual_seed(0)
    tokens = Tokens(torch.randn(3, 4, 6, generator=generator), torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [1, 1, 1, 0]]))
    ids = torch.tensor([[1, 5, 7, 9, 4, 2], [1, 8, 2, 0, 0, 0], [1, 3, 6, 2, 0, 0]])
    return model, tokens, ids


def forced(loss) -> None:
    """07-2.1: the mean cross-entropy of the next piece, over all that are no padding."""
    import torch
    from torch.nn.functional import cross_entropy

    model, tokens, ids = lesson()
    kept = ids.clone()
    got = number(call(loss, model, tokens, ids), "the loss")
    if not torch.equal(ids, kept):
        raise NotYet("Your function changed the pieces that it was given. Take slices of them, and leave them alone.")

    def over(scores, wanted, **more):
        return cross_entropy(scores.flatten(0, 1), wanted.flatten(), **more)

    right = over(model(tokens, ids[:, :-1]), ids[:, 1:], ignore_index=PAD)
    if abs(float(got.detach()) - float(right.detach())) > CLOSE:
        raise _wrong_lesson(got, model, tokens, ids, over, right)
    if not got.requires_grad:
        raise NotYet("The loss is right, but no gradient flows through it. Keep it a tensor: no `.item()`, no `float`.")


def _wrong_lesson(got, model, tokens, ids, over, right) -> NotYet:
    scores, wanted = model(tokens, ids[:, :-1]).detach(), ids[:, 1:]
    each = over(scores, wanted, reduction="none").view(wanted.shape)
    mask = (wanted != PAD).float()
    count = mask.sum()
    mistakes = [
        (
            lambda: over(model(tokens, ids).detach(), ids, ignore_index=PAD),
            "The decoder is asked for the very piece that it was just given, so it only has to copy. What goes in ends "
            "one piece earlier, `ids[:, :-1]`, and what is wanted begins one later, `ids[:, 1:]`.",
        ),
        (
            lambda: over(scores, ids[:, :-1], ignore_index=PAD),
            "What goes in is right. What is wanted has to be shifted: the *next* pieces, `ids[:, 1:]`.",
        ),
        (
            lambda: over(model(tokens, ids[:, 1:]).detach(), ids[:, :-1], ignore_index=PAD),
            "Turned round: the decoder is given the later pieces, and asked for the earlier ones.",
        ),
        (
            lambda: each.mean(),
            "Padding counts as if it were to be learned: short translations would mostly teach it. `ignore_index=0`.",
        ),
        (
            lambda: (each * mask).sum() / mask.numel(),
            "The padding's loss is nought, but it still counts in the number that you divide by.",
        ),
        (
            lambda: ((each * mask).sum(1) / mask.sum(1)).mean(),
            "You averaged within each translation first. Every *piece* counts the same: one mean over all of them.",
        ),
        (
            lambda: (each * mask * (wanted != END)).sum() / (mask * (wanted != END)).sum(),
            "The end is left out, so the decoder would never learn to stop. Only padding does not count.",
        ),
        (lambda: (each * mask).sum(), "That is the sum over the pieces. Divide by how many they are."),
        (lambda: (each * mask).sum() / len(ids), "You divided by the translations. Divide by their pieces."),
        (
            lambda: over(scores.softmax(2), wanted, ignore_index=PAD),
            "`cross_entropy` takes the scores themselves; it makes the softmax. You made it twice.",
        ),
        (lambda: -right, "The sign is turned: this loss would make the right piece less probable."),
    ]
    otherwise = (
        f"The loss should be {float(right.detach()):.4f}; yours is {float(got.detach()):.4f}. "
        f"It is a mean over {int(count)} next pieces."
    )
    return told(got, mistakes, otherwise)


# --- 07-2.2: attention


def glances(d: int = 4):
    """Queries `[2, 3, d]`, keys and values `[2, 5, d]`, and a mask `[2, 5]`."""
    import torch

    generator = torch.Generator().manual_seed(d)
    q, k, v = (2 * torch.randn(2, t, d, generator=generator) for t in (3, 5, 5))
    return q, k, v, torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])


def looked(attend) -> None:
    """07-2.2: softmax(q k / sqrt d) v, and no weight on padding."""
    import torch

    for d in (4, 9):
        q, k, v, mask = glances(d)
        kept = [x.clone() for x in (q, k, v, mask)]
        got = call(attend, q, k, v, mask)
        if got is None:
            raise NotYet("Your function returns nothing. Return what was seen, a tensor [n, t, d].")
        if isinstance(got, (tuple, list)):
            raise NotYet("Return one tensor, what was seen [n, t, d]; keep the weights to yourself.")
        if not isinstance(got, torch.Tensor):
            raise NotYet(f"Return a tensor [n, t, d], not {type(got).__name__}.")
        if not all(torch.equal(a, b) for a, b in zip((q, k, v, mask), kept, strict=True)):
            raise NotYet("Your function changed what it was given. Make new tensors: `masked_fill` without `_`.")
        scores, dead = q @ k.transpose(1, 2) / d**0.5, mask[:, None] == 0
        right = scores.masked_fill(dead, float("-inf")).softmax(2) @ v
        if got.shape == right.shape and torch.allclose(got, right, atol=1e-5):
            continue
        raise _wrong_glance(got, q, k, v, mask, scores, dead, right)


def _wrong_glance(got, q, k, v, mask, scores, dead, right) -> NotYet:
    d, gone = q.shape[2], float("-inf")
    after = scores.softmax(2) * mask[:, None]
    mistakes = [
        (
            lambda: (scores * d**0.5).masked_fill(dead, gone).softmax(2) @ v,
            "The division by the root of d is missing: long vectors would make the softmax nearly all or nothing.",
        ),
        (
            lambda: (scores / d**0.5).masked_fill(dead, gone).softmax(2) @ v,
            "You divided by d. Divide by its *root*: a product of d random numbers grows like the root of d.",
        ),
        (lambda: scores.softmax(2) @ v, "Padding is looked at as well: `mask` does nothing in your answer."),
        (
            lambda: after @ v,
            "The mask comes after the softmax, so the weights of a text with padding no longer sum to one. "
            "Set their *scores* to minus infinity before.",
        ),
        (
            lambda: scores.masked_fill(dead, 0.0).softmax(2) @ v,
            "A score of nought is not no weight: e to the power of 0 is 1. Use minus infinity.",
        ),
        (
            lambda: (scores * mask[:, None]).softmax(2) @ v,
            "A score of nought is not no weight: e to the power of 0 is 1. Use minus infinity.",
        ),
        (
            lambda: (scores + mask[:, None]).softmax(2) @ v,
            "The mask is *added* to the scores, as `scaled_dot_product_attention` does with a mask of numbers: 1 and 0 "
            "hide nothing. Give it True and False, `mask[:, None].bool()`, or add minus infinity where padding is.",
        ),
        (
            lambda: scores.masked_fill(~dead, gone).softmax(2).nan_to_num(0.0) @ v,
            "The mask is turned round: 1 stands for a word, 0 for padding.",
        ),
        (
            lambda: scores.masked_fill(dead, gone).softmax(2) @ k,
            "The weights are right; what is summed with them are the values `v`, not the keys.",
        ),
        (
            lambda: scores.masked_fill(dead, 0.0) @ v,
            "There is no softmax: these are scores, not shares that sum to one.",
        ),
        (
            lambda: scores.masked_fill(dead, gone).softmax(2),
            "These are the weights. Sum the values with them: `weights @ v`.",
        ),
    ]
    axis = _other_axis(got, v, scores, dead)
    if axis is not None:
        return NotYet(
            f"The softmax runs over {('the texts of the batch', 'the pieces that look')[axis]}, axis {axis}. The "
            "weights of each piece have to sum to one over the words that are looked at: the last axis, `softmax(2)`."
            + (" Where padding is alone, yours is NaN." if got.isnan().any() else "")
        )
    if got.shape == right.shape and not got.isfinite().all() and right.isfinite().all():
        return NotYet("Some of your numbers are NaN: somewhere a whole row has a score of minus infinity.")
    shape = (
        "" if got.shape == right.shape else f" Yours has the shape {list(got.shape)}, it should be {[*right.shape]}."
    )
    return told(got, mistakes, f"This is not softmax(q k / root of d) v, without padding.{shape}")


def _other_axis(got, v, scores, dead) -> int | None:
    """The wrong axis that a softmax ran over, with or without the root of d, whatever was done with the mask."""
    import torch

    got, root = got.detach().float(), v.shape[2] ** 0.5
    for axis in (0, 1):
        for masked in (scores.masked_fill(dead, float("-inf")), scores.masked_fill(dead, 0.0), scores):
            for weights in (masked.softmax(axis), (masked * root).softmax(axis)):
                for made in (weights, weights.nan_to_num(), weights.masked_fill(dead, 0.0)):
                    if got.shape == (made @ v).shape and torch.allclose(made @ v, got, atol=1e-5, equal_nan=True):
                        return axis
    return None
