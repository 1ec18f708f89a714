"""The check of exercise 07-1.3: is a classifier as sure as it is right?"""

from __future__ import annotations

from math import isfinite

from tlcourse.exercises.answers import NotYet, Stopped, brief, call


def answers(seed: int = 0):
    """How sure a classifier was of 200 answers, and whether it was right: `confidence, right`."""
    import torch

    draw = torch.Generator().manual_seed(seed)
    confidence = 0.5 + 0.5 * torch.rand(200, generator=draw).sqrt()
    right = (torch.rand(200, generator=draw) < 0.5 + 0.8 * (confidence - 0.5)).long()
    return confidence, right


def wavy(n: int, low: float, seed: int):
    """Confidences from `low` up that are too high here and too low a little further, so that each border matters."""
    import torch

    draw = torch.Generator().manual_seed(seed)
    confidence = low + (0.99 - low) * torch.rand(n, generator=draw)
    share = confidence + 0.45 * (41 * confidence + seed).sin()
    return confidence, (torch.rand(n, generator=draw) < share).long()


def cases():
    """`(confidence, right, bins)`: twice each material, so that an answer which ignores `bins` shows it."""
    import torch

    edge = torch.tensor([0.5, 0.5, 0.75, 0.9, 1.0, 1.0, 0.6]), torch.tensor([1, 0, 1, 0, 1, 0, 1])
    many, few = wavy(240, 0.2, 130), wavy(90, 0.45, 107)  # each usual mistake is off by .001 or more
    return [(*many, 10), (*few, 4), (*edge, 4), (*many, 6), (*few, 9), (*edge, 2)]


def calibration(calibration_error) -> None:
    """07-1.3: the mean over items of |confidence - share of right answers| of their part."""
    import torch

    given, found = cases(), []
    for confidence, right, bins in given:
        kept = confidence.clone(), right.clone()
        try:
            value = _number(call(calibration_error, confidence, right, bins))
        except Stopped as stopped:
            raise Stopped(f"{stopped}{_dtype(str(stopped))}") from None
        if not (torch.equal(confidence, kept[0]) and torch.equal(right, kept[1])):
            raise NotYet("Your function changes the tensors that it was given.")
        found.append((value, {**errors(*kept, bins), **cut_otherwise(*kept, bins)}))
    if any(value != value for value, _ in found):
        raise NotYet("NaN came back: the mean of a part without items is no number. Leave such parts out.")
    first = [i for i, (confidence, _, _) in enumerate(given) if len(confidence) > 10]  # nothing lies on a border there
    for places in (range(len(found)), first):
        for name, words in _CALIBRATION.items():
            if all(_close(found[i][0], found[i][1][name]) for i in places):
                if name != "right":
                    raise NotYet(words)
                if places is first:
                    raise NotYet(_BORDER)
                return
    if all(_close(found[i][0], found[i + 3][0]) for i in range(3)):
        raise NotYet("With other `bins` your number stays the same. Cut 0 to 1 into `bins` parts, however many.")
    value, made = next((v, m) for v, m in found if not _close(v, m["right"]))
    raise NotYet(
        f"In one of six cases yours gives {value:.4f}, it should be {made['right']:.4f}: for each part the distance "
        "of mean confidence and share of right answers, weighted by its items, divided by all items."
    )


def _close(a: float, b: float) -> bool:
    return abs(a - b) < 1e-4 * max(1, abs(b))


def _dtype(said: str) -> str:
    if "could not infer output dtype" not in said and "must be either a floating point" not in said:
        return ""
    return " `right` holds whole numbers, and torch takes a mean of floats only: write `right.float()` first."


def by_part(confidence, right, part) -> float:
    """The mean over items of the distances in the parts; items whose part is negative are left out."""
    total = 0.0
    for i in part[part >= 0].unique():
        inside = part == i
        total += float(inside.sum() * (confidence[inside].mean() - right[inside].float().mean()).abs())
    return total / len(confidence)


def errors(confidence, right, bins: int) -> dict[str, float]:
    """The right value, and those of usual mistakes behind a right cut."""
    import torch

    right, n = right.float(), len(confidence)
    part = (confidence * bins).long().clamp(max=bins - 1)
    own = [part == i for i in range(bins) if (part == i).any()]
    held = torch.stack([inside.sum() for inside in own]).float()
    gaps = torch.stack([confidence[inside].mean() - right[inside].mean() for inside in own])
    middles = torch.stack([(i + 0.5) / bins - right[part == i].mean() for i in part.unique()])
    made = {
        "right": (held * gaps.abs()).sum() / n,
        "parts": gaps.abs().mean(),
        "all parts": gaps.abs().sum() / bins,
        "signed": (held * gaps).sum() / n,
        "turned": -(held * gaps).sum() / n,
        "squares": (held * gaps**2).sum() / n,
        "root": ((held * gaps**2).sum() / n).sqrt(),
        "largest": gaps.abs().max(),
        "middles": (held * middles.abs()).sum() / n,
        "each": (confidence - right).abs().mean(),
        "brier": ((confidence - right) ** 2).mean(),
        "whole": (confidence.mean() - right.mean()).abs(),
        "sum": (held * gaps.abs()).sum(),
        "percent": 100 * (held * gaps.abs()).sum() / n,
        "accuracy": right.mean(),
    }
    return {name: float(value) for name, value in made.items()}


def cut_otherwise(confidence, right, bins: int) -> dict[str, float]:
    """What comes out where the parts are others than the `bins` equal ones from 0 to 1."""
    import torch

    x, n, last = confidence, len(confidence), bins - 1
    low, high = x.min(), x.max()

    def parts(k: int):
        return (x * k).long().clamp(max=k - 1)

    rank = x.argsort().argsort()
    rounded, up = (x * bins).round().long(), (x * bins).ceil().long()
    made = {
        "round": rounded,
        "round, last": rounded.clamp(max=last),
        "round, lost": torch.where(rounded > last, -1, rounded),
        "ceil": up.clamp(max=last),
        "ceil, lost": torch.where(up > last, -1, up),
        "less": parts(max(1, bins - 1)),
        "last two": (x * bins).long().clamp(max=max(0, bins - 2)),
        "more": parts(bins + 1),
        "twice": parts(2 * bins),
        "half": ((x - 0.5) * 2 * bins).long().clamp(0, last),
        "half, lost": torch.where(x < 0.5, -1, ((x - 0.5) * 2 * bins).long().clamp(max=last)),
        "range": ((x - low) / (high - low) * bins).long().clamp(max=last),
        "equal": torch.bucketize(rank, torch.tensor([i * n // bins for i in range(1, bins)]), right=True),
        "equal, whole": (rank // max(1, n // bins)).clamp(max=last),
        **{f"shift {s}": (x * bins + s / 20).floor().long() for s in range(1, 20)},
        **{f"shift {s}, last": (x * bins + s / 20).floor().long().clamp(max=last) for s in range(1, 20)},
        **{f"shift -{s}, last": (x * bins - s / 20).floor().long().clamp(0, last) for s in range(1, 20)},
    }
    return {name: by_part(x, right, part) for name, part in made.items()}


_ROUND = "You round to the nearest border. The part is the whole number *below*: `(confidence * bins).long()`."
_LAST = "Your two last parts are one. Number the parts from 0 to bins - 1, by rounding down; rounding up begins with 1."
_HALF = "Your parts go from 0.5 to 1. With more than two classes a confidence can be lower: cut 0 to 1."
_EQUAL = "Your parts hold equally many items. Asked for are parts of equal *width*, from 0 to 1."
_SHIFT = "Your borders are moved: they lie at 0, 1 / bins, 2 / bins and so on, up to 1."
_BORDER = (
    "Right for most, but not where a confidence is exactly on a border, or exactly 1: a border belongs to the part "
    "above it, and 1 to the last part."
)
_CALIBRATION = {
    "right": "",
    "parts": "You took the mean over the parts: three items would count as much as a hundred. Weigh each part by its "
    "items.",
    "all parts": "You took the mean over all parts, the empty ones too. Weigh each part by its items, and divide by "
    "the number of items.",
    "signed": "Without the absolute value too sure in one part makes up for too modest in another: take the distance "
    "in *each part*.",
    "turned": "Without the absolute value too sure in one part makes up for too modest in another, and yours is share "
    "minus confidence: take the distance in each part.",
    "squares": "You squared the distances. Asked for are the distances themselves.",
    "root": "That is the root of the mean squared distance. Asked for is the mean of the distances themselves.",
    "largest": "That is the largest distance of any part. Asked for is the mean over all items.",
    "middles": "You compared with the middle of each part. Take the mean confidence of the items in it.",
    "each": "You took the distance for each *item*: an answer given with .8 is then wrong by .2 even when it is right. "
    "Take the means of a part first, then their distance.",
    "brier": "You squared the distance of each item, which is called the Brier score. Take the means of a part first, "
    "then their distance.",
    "whole": "You compared the means of everything. Too sure here and too modest there then cancel out: go part by "
    "part.",
    "sum": "You did not divide by the number of items.",
    "percent": "That is in percent. Leave it as a share, from 0 to 1.",
    "accuracy": "That is the share of right answers. The confidence plays no part in it.",
    "equal": _EQUAL,
    "equal, whole": _EQUAL,
    "round": _ROUND,
    "round, last": _ROUND,
    "round, lost": _ROUND,
    "ceil": _LAST,
    "ceil, lost": "By rounding up you number the parts from 1, and the last one is lost. Round down: 0 to bins - 1.",
    "less": "You cut into bins - 1 parts. `bins` parts have bins + 1 borders: `torch.linspace(0, 1, bins + 1)`.",
    "last two": _LAST,
    "more": "You cut into bins + 1 parts. `bins` parts have bins + 1 borders, 0 and 1 among them.",
    "twice": "You cut into twice as many parts: each should be 1 / bins wide.",
    "half": _HALF,
    "half, lost": _HALF,
    "range": "Your parts go from the lowest to the highest confidence. Cut 0 to 1, whatever confidences there are, or "
    "two classifiers are measured with different parts.",
    **{f"shift {s}": _SHIFT for s in range(1, 20)},
    **{f"shift {s}, last": _SHIFT for s in range(1, 20)},
    **{f"shift -{s}, last": _SHIFT for s in range(1, 20)},
}


def _number(value) -> float:
    if value is None:
        raise NotYet("Your function returns nothing. Return one number.")
    try:
        if isinstance(value, (str, bool)):
            raise TypeError
        found = float(value)
    except (TypeError, ValueError, RuntimeError):
        raise NotYet(f"One number is wanted, not {brief(repr(value), 60)}") from None
    if not isfinite(found) and found == found:
        raise NotYet("The number is infinite: a part without items has to be left out.")
    return found
