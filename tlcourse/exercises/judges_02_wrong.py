"""Wrong answers to chapter 02's exercises, and words of the message that each must get: the tests run them."""

from __future__ import annotations


def _mixed(*lines: str) -> str:
    head = "from torch.nn import functional as F\n\n"
    head += "def mixed_loss(source_scores, source_y, target_scores, target_y, weight):\n"
    return head + "".join(f"    {line}\n" for line in (*_LOSSES, *lines))


def _step(*lines: str) -> str:
    return "def step(theta, velocity, slope, lr, momentum):\n" + "".join(f"    {line}\n" for line in lines)


def _gap(inside: str = "up, down = W.clone(), W.clone()", by: str = "2 * h", end: str = "", h: str = "1e-5") -> str:
    return f"""
import torch

def largest_gap(loss, slopes, W):
    h, gaps = {h}, []
    for i in range(W.numel()):
        {inside}
        up.view(-1)[i] += h
        down.view(-1)[i] -= h
        gaps.append(abs((loss(up) - loss(down)) / ({by}) - slopes.view(-1)[i]))
    {end or "return max(gaps)"}
"""


_LOSSES = ("source = F.cross_entropy(source_scores, source_y)", "target = F.cross_entropy(target_scores, target_y)")

MIXED = {
    "swapped": (_mixed("return (1 - weight) * source + weight * target"), "weights are swapped"),
    "sums": (
        _mixed("return weight * source * len(source_y) + (1 - weight) * target * len(target_y)"),
        "You weigh sums",
    ),
    "one bag": (
        _mixed("import torch", "return F.cross_entropy(torch.cat([source_scores, target_scores]), "
               "torch.cat([source_y, target_y]))"),
        "one bag",
    ),
    "items weighed, then one mean": (
        _mixed(
            "import torch",
            'a = weight * F.cross_entropy(source_scores, source_y, reduction="none")',
            'b = (1 - weight) * F.cross_entropy(target_scores, target_y, reduction="none")',
            "return torch.cat([a, b]).mean()",
        ),
        "divided by all items",
    ),
    "added": (_mixed("return source + target"), "did not use `weight`"),
    "averaged": (_mixed("return (source + target) / 2"), "always 0.5"),
    "one weight for both": (_mixed("return weight * (source + target)"), "target's is 1 - λ"),
    "the target whole": (_mixed("return weight * source + target"), "target's loss has no weight"),
    "the source alone": (_mixed("return weight * source"), "target is missing"),
    "subtracted": (_mixed("return weight * source - (1 - weight) * target"), "rewarded for being wrong"),
    "softmax twice": (
        _mixed(
            "source = F.cross_entropy(source_scores.softmax(1), source_y)",
            "target = F.cross_entropy(target_scores.softmax(1), target_y)",
            "return weight * source + (1 - weight) * target",
        ),
        "softmax was taken twice",
    ),
    "no gradient left": (
        _mixed("return (weight * source + (1 - weight) * target).item()"),
        "lost its gradient",
    ),
    "two numbers": (_mixed("return weight * source, (1 - weight) * target"), "several numbers"),
    "no mean": (
        _mixed('return weight * F.cross_entropy(source_scores, source_y, reduction="none")'),
        "You returned 10 losses",
    ),
}  # fmt: skip

_NEW = "velocity = momentum * velocity + slope"
_OUT = "return theta - lr * velocity, velocity"

STEP = {
    "uphill": (_step(_NEW, "return theta + lr * velocity, velocity"), "walk uphill"),
    "plain descent": (_step("return theta - lr * slope, velocity"), "never used"),
    "the old velocity": (_step("theta = theta - lr * velocity", _NEW, "return theta, velocity"), "*old* velocity"),
    "an average": (_step("velocity = momentum * velocity + (1 - momentum) * slope", _OUT), "You averaged"),
    "no friction": (_step("velocity = velocity + slope", _OUT), "Nothing slows"),
    "momentum at the slope": (_step("velocity = velocity + momentum * slope", _OUT), "`momentum` is at the slope"),
    "the rate twice": (_step("velocity = momentum * velocity + lr * slope", _OUT), "counts twice"),
    "without the rate": (_step(_NEW, "return theta - velocity, velocity"), "learning rate is missing"),
    "Nesterov": (_step(_NEW, "return theta - lr * (slope + momentum * velocity), velocity"), "Nesterov"),
    "the slope handed on": (_step(_NEW, "return theta - lr * velocity, slope"), "hand on the slope"),
    "two signs": (_step("velocity = momentum * velocity - slope", _OUT), "subtracted twice"),
    "only the point": (_step(_NEW, "return theta - lr * velocity"), "Return two things"),
    "standing still": (_step(_NEW, "return theta, velocity"), "stands still"),
}

GAP = {
    "one side": (_gap(by="h").replace("down.view(-1)[i] -= h", "pass").replace("1e-5", "1e-4"), "one side only"),
    "the first and the last": (_gap().replace("range(W.numel())", "(0, W.numel() - 1)"), "in the middle was not seen"),
    "not twice": (_gap(by="h"), "divide by `2 * nudge`"),
    "too large a nudge": (_gap(h="0.1"), "Your nudge is 0.1"),
    "too small a nudge": (_gap(h="1e-14"), "less than rounding"),
    "the mean": (_gap(end="return sum(gaps) / len(gaps)"), "took the mean"),
    "the sign kept": (_gap().replace("abs((", "((").replace("- slopes.view(-1)[i]))", "- slopes.view(-1)[i]) * -1)"),
                      "may be negative"),
    "the first row": (_gap().replace("W.numel()", "W.shape[1] - 1"), "look at every entry"),
    "squares": (_gap(end="return max(gap**2 for gap in gaps)"), "You squared"),
    "nudges that stay": (_gap(inside="up, down = (W, W.clone()) if i < 0 else (W, W.clone())"), "left `W` nudged"),
    "all at once": (_gap().replace("up.view(-1)[i] += h", "up += h").replace("down.view(-1)[i] -= h", "down -= h"),
                    "More than one weight"),
    "autograd": (
        "import torch\n\ndef largest_gap(loss, slopes, W):\n    W = W.clone().requires_grad_()\n"
        "    (auto,) = torch.autograd.grad(loss(W), W)\n    return (auto - slopes).abs().max()\n",
        "You asked autograd",
    ),
    "yes or no": (_gap(end="return bool(max(gaps) < 1e-6)"), "largest difference itself"),
    "all of them": (_gap(end="return torch.stack(gaps)"), "as one number"),
    "nothing measured": ("def largest_gap(loss, slopes, W):\n    return abs(slopes - slopes).max()\n", "never asked"),
}  # fmt: skip
