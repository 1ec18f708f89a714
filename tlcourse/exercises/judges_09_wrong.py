"""Wrong answers to chapter 09's exercises, and words of the message that each must get: the tests run them."""

from __future__ import annotations


def _apart(*lines: str) -> str:
    return "def a_distance(said, true):\n    wrong = (said != true).float()\n" + "".join(f"    {s}\n" for s in lines)


def _named(*lines: str) -> str:
    head = "import torch\n\ndef nearest_prototype(few, labels, new):\n    classes = labels.unique()\n"
    return head + "".join(f"    {line}\n" for line in lines)


def _sure(*lines: str) -> str:
    return "import torch\n\ndef surest(model, items, threshold):\n" + "".join(f"    {line}\n" for line in lines)


_RATES = "e = (wrong[true == 0].mean() + wrong[true == 1].mean()) / 2"

DISTANCE = {
    "all items in one": (_apart("return max(0.0, 2 * (1 - 2 * float(wrong.mean())))"), "with more items decides"),
    "accuracy for error": (_apart(_RATES, "return max(0.0, 2 * (1 - 2 * float(1 - e)))"), "always right would give 0"),
    "accuracy, below zero": (_apart(_RATES, "return 2 * (1 - 2 * (1 - e))"), "come out below zero"),
    "e once": (_apart(_RATES, "return 2 * (1 - e)"), "only guesses"),
    "the error": (_apart(_RATES, "return e"), "error rate itself"),
    "half of it": (_apart(_RATES, "return max(0.0, float(1 - 2 * e))"), "factor 2 in front"),
    "both added": (_apart(_RATES.replace(" / 2", ""), "return max(0.0, float(2 * (1 - 2 * e)))"), "added both"),
    "the source only": (_apart("e = wrong[true == 0].mean()", "return 2 * (1 - 2 * e)"), "always says source"),
    "the target only": (_apart("e = wrong[true == 1].mean()", "return 2 * (1 - 2 * e)"), "always says target"),
    "the worse of both": (
        _apart("e = max(wrong[true == 0].mean(), wrong[true == 1].mean())", "return max(0.0, float(2 * (1 - 2 * e)))"),
        "the larger of both",
    ),
    "by what was said": (
        _apart(_RATES.replace("true == ", "said == "), "return max(0.0, float(2 * (1 - 2 * e)))"),
        "what the classifier *said*",
    ),
    "below zero": (_apart(_RATES, "return 2 * (1 - 2 * e)"), "no distance lies below zero"),
    "a size": (_apart(_RATES, "return abs(2 * (1 - 2 * e))"), "the distance is 0"),
    "two numbers": (_apart("return wrong[true == 0].mean(), wrong[true == 1].mean()"), "One number is wanted"),
}

_MEANS = "means = torch.stack([few[labels == c].mean(0) for c in classes])"
_FAR = "far = torch.cdist(new, means)"

PROTOTYPES = {
    "ten classes, as in the chapter": (
        _named("means = torch.stack([few[labels == c].mean(0) for c in range(10)])", _FAR, "return far.argmin(1)"),
        "no labelled item is of that class",
    ),
    "the place": (_named(_MEANS, _FAR, "return far.argmin(1)"), "the place of the nearest mean"),
    "the farthest": (_named(_MEANS, _FAR, "return classes[far.argmax(1)]"), "least like"),
    "the nearest item": (_named("return labels[torch.cdist(new, few).argmin(1)]"), "nearest single item"),
    "sums": (
        _named(_MEANS.replace(".mean(0)", ".sum(0)"), _FAR, "return classes[far.argmin(1)]"),
        "added the items",
    ),
    "the product": (_named(_MEANS, "return classes[(new @ means.T).argmax(1)]"), "largest product"),
    "the first item": (_named(_MEANS.replace(".mean(0)", "[0]"), _FAR, "return classes[far.argmin(1)]"),
                       "the first item of each class"),
    "the most frequent class": (_named("return labels.mode().values.repeat(len(new))"), "the most labels"),
    "one class for all": (_named(_MEANS, _FAR, "return classes[far.mean(0).argmin()].repeat(len(new))"), "`argmin(1)`"),
    "the distances": (_named(_MEANS, "return torch.cdist(new, means)"), "row of numbers an item"),
    "along the items": (_named(_MEANS, _FAR, "return classes[far.argmin(0) % 3]"), "has the shape [3]"),
    "in place": (_named("few -= few.mean(0)", "return classes[:1].repeat(len(new))"), "changes the tensors"),
    "one mean for all": (
        _named("means = few.mean(0).repeat(len(classes), 1)", "return classes[torch.cdist(new, means).argmin(1)]"),
        "One mean a class",
    ),
}  # fmt: skip

_ASK = "with torch.no_grad(): scores = model.eval()(items.x)"
_KEEP = "return items.x[sure], scores.argmax(1)[sure]"

PSEUDO = {
    "the labels read": (_sure(_ASK, "sure = scores.softmax(1).max(1).values >= threshold",
                              "return items.x[sure], items.y[sure]"), "reads `items.y`"),
    "checked by the labels": (_sure(_ASK, "sure = scores.argmax(1) == items.y", _KEEP), "reads `items.y`"),
    "the unsure": (_sure(_ASK, "sure = scores.softmax(1).max(1).values < threshold", _KEEP), "*unsure* of"),
    "all": (_sure(_ASK, "return items.x, scores.argmax(1)"), "keep every item"),
    "more than": (_sure(_ASK, "sure = scores.softmax(1).max(1).values > threshold", _KEEP), "*at least* `threshold`"),
    "scores": (_sure(_ASK, "sure = scores.max(1).values >= threshold", _KEEP), "compare scores"),
    "sigmoid": (_sure(_ASK, "sure = scores.sigmoid().max(1).values >= threshold", _KEEP), "sure of two classes"),
    "over the items": (_sure(_ASK, "sure = scores.softmax(0).max(1).values >= threshold", _KEEP),
                       "Softmax over the items"),
    "the smallest score": (_sure(_ASK, "sure = scores.softmax(1).max(1).values >= threshold",
                                 "return items.x[sure], scores.argmin(1)[sure]"), "*smallest* score"),
    "a share of the items": (_sure(_ASK, "most = scores.softmax(1).max(1).values.argsort(descending=True)",
                                   "sure = most[: round((1 - threshold) * len(most))].sort().values", _KEEP),
                             "a fixed number"),
    "labels of all": (_sure(_ASK, "sure = scores.softmax(1).max(1).values >= threshold",
                            "return items.x[sure], scores.argmax(1)"), "The same choice"),
    "the confidence": (_sure(_ASK, "best = scores.softmax(1).max(1).values", "sure = best >= threshold",
                             "return items.x[sure], best[sure]"), "class numbers"),
    "the mask": (_sure(_ASK, "return scores.softmax(1).max(1).values >= threshold"), "Return two things"),
    "with dropout on": (_sure(_ASK.replace(".eval()", ""), "sure = scores.softmax(1).max(1).values >= threshold",
                              _KEEP), "training mode"),
    "trained at once": (_sure(_ASK, "sure = scores.softmax(1).max(1).values >= threshold",
                              "model[0].weight.data.mul_(0.9)", _KEEP), "trains the model"),
}  # fmt: skip
