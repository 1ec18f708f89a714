"""Wrong answers to chapter 06-3's exercises, and words of the message that each must get: the tests run them."""

from __future__ import annotations


def _function(signature: str, *lines: str) -> str:
    start = "import torch\nimport numpy as np\nfrom skimage.measure import label\n"
    start += "from skimage.segmentation import watershed\n"
    return f"{start}\ndef {signature}:\n" + "".join(f"    {line}\n" for line in lines)


def _scores(*lines: str) -> str:
    return _function(
        "agreement(predicted, true)", "both = (predicted & true).sum().item()",
        "either = (predicted | true).sum().item()", "sizes = predicted.sum().item() + true.sum().item()", *lines,
    )  # fmt: skip


_NONE = "if not either: return float('nan'), float('nan')"

SCORES = {
    "no thought of empty masks": (_scores("return both / either, 2 * both / sizes"), "you divide by zero"),
    "one for empty masks": (
        _scores("if not either: return 1.0, 1.0", "return both / either, 2 * both / sizes"),
        "NaN was asked for",
    ),
    "changed places": (_scores(_NONE, "return 2 * both / sizes, both / either"), "changed places"),
    "right pixels": (
        _scores(_NONE, "return (predicted == true).float().mean().item(), 2 * both / sizes"),
        "share of right pixels",
    ),
    "the sum for the union": (_scores(_NONE, "return both / sizes, 2 * both / sizes"), "counted what both cover twice"),
    "no two": (_scores(_NONE, "return both / either, both / sizes"), "The 2 in front"),
    "the union below Dice": (_scores(_NONE, "return both / either, 2 * both / either"), "*sum of the two sizes*"),
    "recall": (_scores(_NONE, "return both / true.sum().item(), 2 * both / sizes"), "one mask alone"),
    "a mean over pictures": (
        _scores(
            _NONE, "i = [(p & t).sum().item() / max(1, (p | t).sum().item()) for p, t in zip(predicted, true)]",
            "d = [2 * (p & t).sum().item() / max(1, (p.sum() + t.sum()).item()) for p, t in zip(predicted, true)]",
            "return sum(i) / len(i), sum(d) / len(d)",
        ),
        "averaged over the pictures",
    ),
    "IoU alone": (_scores(_NONE, "return both / either"), "two numbers"),
    "in place": (_scores(_NONE, "predicted &= true", "return both / either, 2 * both / sizes"), "changed the masks"),
    "NaN without an overlap": (
        _scores("if not both: return float('nan'), float('nan')", "return both / either, 2 * both / sizes"),
        "two *empty* masks only",
    ),
}  # fmt: skip


def _loss(*lines: str) -> str:
    return _function("soft_dice(logits, masks)", "p = logits.sigmoid()", *lines)


_LOSS = "1 - (2 * (p * masks).sum() + 1) / (p.sum() + masks.sum() + 1)"

LOSS = {
    "the score": (_loss("return (2 * (p * masks).sum() + 1) / (p.sum() + masks.sum() + 1)"), "the score, not the loss"),
    "minus the score": (_loss("return -(2 * (p * masks).sum() + 1) / (p.sum() + masks.sum() + 1)"), "sign is turned"),
    "yes and no": (_loss("p = (p > 0.5).float()", f"return {_LOSS} + 0 * logits.sum()"), "no slope"),
    "logits": (_loss("p = logits", f"return {_LOSS}"), "logits themselves"),
    "a softmax": (
        _loss("p = logits.flatten(1).softmax(1).reshape(logits.shape)", f"return {_LOSS}"),
        "compete for one",
    ),
    "a mean over pictures": (
        _loss("both, sizes = (p * masks).sum((1, 2)), (p + masks).sum((1, 2))",
              "return (1 - (2 * both + 1) / (sizes + 1)).mean()"),
        "Sum over the batch",
    ),
    "nothing added": (
        _loss("return 1 - 2 * (p * masks).sum() / (p.sum() + masks.sum())"),
        "added 1 is missing above and below",
    ),
    "nothing added above": (_loss("return 1 - 2 * (p * masks).sum() / (p.sum() + masks.sum() + 1)"), "missing above."),
    "no two": (_loss("return 1 - ((p * masks).sum() + 1) / (p.sum() + masks.sum() + 1)"), "The 2 in front"),
    "IoU": (
        _loss("both = (p * masks).sum()", "return 1 - (both + 1) / (p.sum() + masks.sum() - both + 1)"),
        "the IoU loss",
    ),
    "squares": (_loss("return 1 - (2 * (p * masks).sum() + 1) / ((p ** 2).sum() + masks.sum() + 1)"), "squared"),
    "the ground": (_loss("p = 1 - p", f"return {_LOSS}"), "probability of the ground"),
    "a float": (_loss(f"return ({_LOSS}).item()"), "no gradient flows"),
    "detached sizes": (
        _loss("return 1 - (2 * (p * masks).sum() + 1) / (p.detach().sum() + masks.sum() + 1)"),
        "a part of it was detached",
    ),
    "its own step": (_loss(f"loss = {_LOSS}", "loss.backward()", "return loss"), "calls `backward`"),
    "one a picture": (_loss("return 1 - p.sum((1, 2))"), "one number"),
}  # fmt: skip


def _objects(*lines: str) -> str:
    return _function("split_objects(foreground, depth)", *lines)


OBJECTS = {
    "connected parts": (_objects("return label(foreground)"), "discs that touch are one"),
    "seeds alone": (_objects("return label(foreground & (depth > 0.5))"), "the seeds alone"),
    "deep parts alone": (_objects("return label(depth > 0.5)"), "the deep parts alone"),
    "the wrong way up": (
        _objects("return watershed(depth, label(foreground & (depth > 0.5)), mask=foreground)"),
        "upside down",
    ),
    "the ground flooded": (
        _objects("return watershed(-depth, label(foreground & (depth > 0.5)))"),
        "ground was flooded",
    ),
    "seeds outside": (
        _objects("seeds = label(depth > 0.5)", "return watershed(-depth, seeds, mask=foreground | (seeds > 0))"),
        "outside the foreground",
    ),
    "a line between": (
        _objects("seeds = label(foreground & (depth > 0.5))",
                 "return watershed(-depth, seeds, mask=foreground, watershed_line=True)"),
        "belong to no object",
    ),
    "too deep": (
        _objects("return watershed(-depth, label(foreground & (depth > 0.1)), mask=foreground)"),
        "The seeds are what is deeper than 0.5",
    ),
    "deeper than more": (
        _objects("return watershed(-depth, label(foreground & (depth > 0.6)), mask=foreground)"),
        "are others than",
    ),
    "the outline's own depth": (
        _objects("from scipy.ndimage import distance_transform_edt as far",
                 "return watershed(-far(foreground), label(foreground & (depth > 0.5)), mask=foreground)"),
        "distance to the outline",
    ),
    "how many": (_objects("return label(foreground & (depth > 0.5)).max()"), "how many objects"),
    "true and false": (
        _objects("return watershed(-depth, label(foreground & (depth > 0.5)), mask=foreground) > 0"),
        "cannot tell objects apart",
    ),
    "two things": (
        _objects("from scipy import ndimage", "return ndimage.label(foreground & (depth > 0.5))"),
        "several things",
    ),
    "in place": (
        _objects("depth *= foreground", "return watershed(-depth, label(depth > 0.5), mask=foreground)"),
        "changed what it was given",
    ),
    "flat water": (
        _objects("seeds = label(foreground & (depth > 0.5))", "return watershed(depth * 0, seeds, mask=foreground)"),
        "upside down",
    ),
}  # fmt: skip
