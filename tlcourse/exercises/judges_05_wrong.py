"""Wrong answers to chapter 05's exercises, and words of the message that each must get: the tests run them."""

from __future__ import annotations


def _function(signature: str, *lines: str, start: str = "import torch\nfrom torch.nn import functional as F\n") -> str:
    return f"{start}\ndef {signature}:\n" + "".join(f"    {line}\n" for line in lines)


def _loss(*lines: str) -> str:
    return _function("task_loss(outputs, y, boxes)", *lines)


def _weighted(*lines: str) -> str:
    return _function("weighted(losses, s)", *lines)


def _surgery(*lines: str) -> str:
    return _function("surgery(a, b)", *lines)


_MASKS = ("named, framed = y >= 0, ~boxes.isnan().any(1)", "loss = outputs['digit'].sum() * 0")
_DIGIT = "if named.any(): loss = loss + F.cross_entropy(outputs['digit'][named], y[named])"
_BOX = "if framed.any(): loss = loss + F.mse_loss(outputs['box'][framed], boxes[framed])"
_OVER_ALL = "square = ((outputs['box'][framed] - boxes[framed]) ** 2).sum() / (4 * len(y))"

LOSS = {
    "as if nothing were missing": (
        _loss(
            "return F.cross_entropy(outputs['digit'], y, ignore_index=-1) + F.mse_loss(outputs['box'], boxes)",
        ),
        "NaN went into it",
    ),
    "a mask of nought and one": (
        _loss(*_MASKS, _DIGIT, "square = ((outputs['box'] - boxes) ** 2).mean(1) * framed",
              "return loss + square.sum() / framed.sum()"),
        "nought times NaN is NaN",
    ),
    "zeros instead of missing boxes": (
        _loss(*_MASKS, _DIGIT, "return loss + F.mse_loss(outputs['box'], boxes.nan_to_num(0.0))"),
        "taken for the box (0, 0, 0, 0)",
    ),
    "the class nought instead of missing digits": (
        _loss(*_MASKS, _BOX, "return loss + F.cross_entropy(outputs['digit'], y.clamp(min=0))"),
        "taken for the digit 0",
    ),
    "a class of -1": (
        _loss(*_MASKS, _BOX, "return loss - outputs['digit'].log_softmax(1).gather(1, y[:, None]).mean()"),
        "-1 is no class",
    ),
    "only scenes with both": (
        _loss("both = (y >= 0) & ~boxes.isnan().any(1)", "if not both.any(): return outputs['digit'].sum() * 0",
              "return F.cross_entropy(outputs['digit'][both], y[both]) + F.mse_loss(outputs['box'][both], "
              "boxes[both])"),
        "*both* labels",
    ),
    "divided by all": (_loss(*_MASKS, _DIGIT, _OVER_ALL, "return loss + square"), "divided by all items"),
    "no thought of an empty batch": (
        _loss(*_MASKS, _DIGIT, "return loss + F.mse_loss(outputs['box'][framed], boxes[framed])"),
        "no item has a box",
    ),
    "hidden afterwards": (
        _loss(*_MASKS, _DIGIT, "square = ((outputs['box'] - boxes) ** 2).mean(1)",
              "return loss + torch.where(framed, square, 0.0).sum() / framed.sum().clamp(min=1)"),
        "its gradient is NaN",
    ),
    "the distance of the chapter": (
        _loss(*_MASKS, _DIGIT, _BOX.replace("mse_loss", "l1_loss"), "return loss"),
        "F.mse_loss",
    ),
    "no boxes": (_loss(*_MASKS, _DIGIT, "return loss"), "The boxes do not count"),
    "no digits": (_loss(*_MASKS, _BOX, "return loss"), "The digits do not count"),
    "the mean of the tasks": (_loss(*_MASKS, _DIGIT, _BOX, "return loss / 2"), "half of it"),
    "sums": (
        _loss(*_MASKS, _DIGIT.replace("y[named])", "y[named], reduction='sum')"),
              "return loss + ((outputs['box'] - boxes)[framed] ** 2).sum()"),
        "summed over the items",
    ),
    "a float": (_loss(*_MASKS, _DIGIT, _BOX, "return loss.item()"), "no gradient flows"),
    "labels filled in": (
        _loss(*_MASKS, "boxes[~framed] = outputs['box'].detach()[~framed]", _DIGIT, _BOX, "return loss"),
        "changed the labels",
    ),
    "one for each task": (_loss("return torch.zeros(2)"), "Add the tasks up"),
}  # fmt: skip

WEIGHTS = {
    "no price for noise": (_weighted("return ((-s).exp() * losses).sum()"), "`s / 2` is missing"),
    "plus": (_weighted("return (s.exp() * losses + s / 2).sum()"), "the other way round"),
    "the wrong sign": (_weighted("return ((-s).exp() * losses - s / 2).sum()"), "*rewards* noise"),
    "a whole s": (_weighted("return ((-s).exp() * losses + s).sum()"), "costs `s / 2`"),
    "sigma": (_weighted("return ((-s / 2).exp() * losses + s / 2).sum()"), "divided by sigma"),
    "s for log sigma": (_weighted("return ((-2 * s).exp() * losses + s).sum()"), "logarithm of sigma. Here"),
    "s as the weight": (_weighted("return (s * losses).sum()"), "`s` is not the weight itself"),
    "a softmax": (_weighted("return (torch.softmax(-s, 0) * losses).sum() + s.sum() / 2"), "tasks compete"),
    "a mean": (_weighted("return ((-s).exp() * losses + s / 2).mean()"), "averaged over the tasks"),
    "half of the loss": (_weighted("return ((-s).exp() * losses / 2 + s / 2).sum()"), "The half belongs to `s`"),
    "detached weights": (_weighted("return ((-s).exp().detach() * losses + s / 2).sum()"), "weights do not learn"),
    "detached losses": (_weighted("return ((-s).exp() * losses.detach() + s / 2).sum()"), "would not learn"),
    "a float": (_weighted("return ((-s).exp() * losses + s / 2).sum().item()"), "no gradient flows"),
    "not added up": (_weighted("return (-s).exp() * losses + s / 2"), "a number for each task"),
}

_A = "x = a - (a @ b) / (b @ b) * b"
_B = "y = b - (a @ b) / (a @ a) * a"
_AGREE = "if a @ b >= 0: return a + b"

SURGERY = {
    "always": (_surgery("if not a.any() or not b.any(): return a + b", _A, _B, "return x + y"), "was thrown away"),
    "where they disagree much": (
        _surgery("if F.cosine_similarity(a, b, 0) > -0.5: return a + b", _A, _B, "return x + y"),
        "even a little",
    ),
    "never": (_surgery("return a + b"), "only added them up"),
    "the first only": (_surgery(_AGREE, _A, "return x + b"), "Only the first gradient gave way"),
    "the second only": (_surgery(_AGREE, _B, "return a + y"), "Only the second gradient gave way"),
    "one after the other": (
        _surgery(_AGREE, _A, "return x + b - (x @ b) / (x @ x) * x"),
        "as it was *after*",
    ),
    "the length": (
        _surgery(_AGREE, "return a - (a @ b) / b.norm() * b + b - (a @ b) / a.norm() * a"),
        "length *squared*",
    ),
    "no division": (_surgery(_AGREE, "return a - (a @ b) * b + b - (a @ b) * a"), "division is missing"),
    "its own length": (
        _surgery(_AGREE, "return a - (a @ b) / (a @ a) * b + b - (a @ b) / (b @ b) * a"),
        "the *other* one",
    ),
    "plus": (_surgery(_AGREE, "return a + (a @ b) / (b @ b) * b + b + (a @ b) / (a @ a) * a"), "once more"),
    "the conflict kept": (
        _surgery(_AGREE, "return (a @ b) / (b @ b) * b + (a @ b) / (a @ a) * a"),
        "only the parts that conflict",
    ),
    "standing still": (_surgery(_AGREE, "return a * 0"), "stand still"),
    "the mean": (_surgery("if a @ b >= 0: return (a + b) / 2", _A, _B, "return (x + y) / 2"), "You averaged"),
    "in place": (_surgery(_AGREE, "dot = a @ b", "a -= dot / (b @ b) * b", _B, "return a + y"), "works in place"),
    "two of them": (_surgery(_AGREE, _A, _B, "return x, y"), "You return two gradients"),
    "a vanishing one": (
        _surgery("if a @ b > 0: return a + b", _A, _B, "return x + y"),
        "you divide by zero",
    ),
}
