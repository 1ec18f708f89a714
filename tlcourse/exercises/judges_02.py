"""The checks of chapter 02: two losses in one, a step with momentum, and a gradient that is measured."""

from __future__ import annotations

from math import isclose, isfinite

from tlcourse.exercises.answers import NotYet, brief, call


def mixed(mixed_loss) -> None:
    """02.1: λ times the mean loss on the source, and 1 - λ times the mean loss on the target."""
    import torch

    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        for weight in (0.25, 0.7):
            given = _scores()
            value = _one_number(call(mixed_loss, *given, weight))
            wanted = _mixtures(*given, weight)
            if not isclose(value.item(), wanted["right"], rel_tol=1e-5):
                raise NotYet(_which(value.item(), wanted, weight))
            if not value.requires_grad:
                raise NotYet(
                    "The number is right, but it has lost its gradient, so no step can be made from it. Leave out "
                    "`.item()`, `.detach()`, `float(...)` and `no_grad`: return the tensor itself."
                )
        for weight, place, other in ((1.0, 2, "target"), (0.0, 0, "source")):
            given = _scores()
            given[place].data.mul_(3)  # what has no weight may be anything
            if not isclose(_one_number(call(mixed_loss, *given, weight)).item(), _mixtures(*given, weight)["right"],
                           rel_tol=1e-5):  # fmt: skip
                raise NotYet(f"With `weight` = {weight:g} the {other} should not count at all, but it does.")


def _scores():
    """Scores and labels of ten items of a source and three of a target, in three classes."""
    import torch

    generator = torch.Generator().manual_seed(2)
    source, target = (torch.randn(n, 3, generator=generator).mul(2).requires_grad_() for n in (10, 3))
    return source, torch.arange(10) % 3, target, torch.tensor([2, 0, 0])


def _one_number(value):
    import torch

    if isinstance(value, (tuple, list)):
        raise NotYet("You returned several numbers. A step needs one: add them up, each with its weight.")
    if isinstance(value, (int, float)):
        value = torch.tensor(float(value))
    if not isinstance(value, torch.Tensor):
        raise NotYet(f"A tensor with one number is wanted, not a {type(value).__name__}.")
    if value.numel() != 1:
        raise NotYet(
            f"You returned {value.numel()} losses. Take the mean over the items of each domain, then one is left."
        )
    return value.reshape(())


def _mixtures(source, y, target, z, weight) -> dict[str, float]:
    """The right number, and those of the usual mistakes."""
    import torch
    from torch.nn.functional import cross_entropy as loss

    with torch.no_grad():
        a, b = loss(source, y), loss(target, z)
        bag = loss(torch.cat([source, target]), torch.cat([y, z]))
        found = {
            "right": weight * a + (1 - weight) * b,
            "swapped": (1 - weight) * a + weight * b,
            "sums": weight * len(y) * a + (1 - weight) * len(z) * b,
            "bag": bag,
            "bag of weights": (weight * len(y) * a + (1 - weight) * len(z) * b) / (len(y) + len(z)),
            "plain sum": a + b,
            "average": (a + b) / 2,
            "both weight": weight * (a + b),
            "target whole": weight * a + b,
            "source whole": a + (1 - weight) * b,
            "half": weight * a,
            "difference": weight * a - (1 - weight) * b,
            "softmax": weight * loss(source.softmax(1), y) + (1 - weight) * loss(target.softmax(1), z),
            "crossed": weight * loss(source[:3], z) + (1 - weight) * loss(target, y[:3]),
        }
    return {name: float(value) for name, value in found.items()}


def _which(value: float, wanted: dict[str, float], weight: float) -> str:
    for name, number in wanted.items():
        if isclose(value, number, rel_tol=1e-4):
            return _MISTAKES[name]
    why = "It is no number at all. " if not isfinite(value) else ""
    return (
        f"With `weight` = {weight:g} your loss is {value:.4f}; it should be {wanted['right']:.4f}. {why}Compute the "
        "mean cross-entropy of each domain by itself first, then weigh the two."
    )


_MISTAKES = {
    "swapped": "The weights are swapped: `weight` is λ and belongs to the *source*, 1 - λ to the target.",
    "sums": "You weigh sums, so the domain with more items outvotes the other whatever λ says. Take the mean over the "
    'items of each, which is what `F.cross_entropy` does unless told `reduction="sum"`.',
    "bag": "You poured all items into one bag: their mean depends on how many there are of each, and not on `weight`. "
    "Take the mean of each domain by itself.",
    "bag of weights": "You weighed each item and then divided by all items: so many source items still outvote the few "
    "of the target. Take the mean of each domain by itself.",
    "plain sum": "You added the two losses and did not use `weight`.",
    "average": "This is the average of the two losses: `weight` is not used, as if it were always 0.5.",
    "both weight": "Both losses have the weight λ. The target's is 1 - λ.",
    "target whole": "The target's loss has no weight. It should count 1 - λ.",
    "source whole": "The source's loss has no weight. It should count λ.",
    "half": "The target is missing: that is the source's share alone.",
    "difference": "You subtract the target's share: a head would be rewarded for being wrong there. Add it.",
    "softmax": "`F.cross_entropy` takes scores and makes shares of them itself; you gave it shares, so softmax was "
    "taken twice. Leave yours out.",
    "crossed": "Scores of one domain met the labels of the other.",
}


def momentum_step(step) -> None:
    """02.2: the velocity takes up the slope, and the point moves against the velocity."""
    import torch

    with torch.random.fork_rng(devices=[]), torch.no_grad():
        generator = torch.Generator().manual_seed(3)
        slopes = torch.randn(6, 3, generator=generator, dtype=torch.float64)
        for lr, momentum in ((0.2, 0.9), (0.3, 0.6)):
            points = _walk(step, slopes, lr, momentum)
            if not torch.allclose(points, _ways(slopes, lr, momentum)["right"], atol=1e-8):
                raise NotYet(_which_way(points, slopes, lr, momentum))


def _walk(step, slopes, lr, momentum):
    """Where the learner's steps lead, from (1, 1, 1) and at rest."""
    import torch

    theta, velocity, points = torch.ones(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64), []
    for slope in slopes:
        returned = call(step, theta.clone(), velocity.clone(), slope.clone(), lr, momentum)
        if not isinstance(returned, (tuple, list)) or len(returned) != 2:
            raise NotYet(
                "Return two things, `theta, velocity`: the next step needs the velocity as well, or it starts anew."
            )
        for name, value in zip(("theta", "velocity"), returned, strict=True):
            if not isinstance(value, torch.Tensor) or value.shape != slope.shape:
                raise NotYet(
                    f"The returned `{name}` should be a tensor of the shape of the slope, {list(slope.shape)}."
                )
        theta, velocity = (value.detach().clone() for value in returned)
        points.append(theta)
    return torch.stack(points)


def _ways(slopes, lr, momentum) -> dict:
    """The right path, and those of the usual mistakes."""
    import torch

    rules = {
        "right": lambda x, v, g: (x - lr * (momentum * v + g), momentum * v + g),
        "uphill": lambda x, v, g: (x + lr * (momentum * v + g), momentum * v + g),
        "no momentum": lambda x, v, g: (x - lr * g, v),
        "late": lambda x, v, g: (x - lr * v, momentum * v + g),
        "damped": lambda x, v, g: (x - lr * (momentum * v + (1 - momentum) * g), momentum * v + (1 - momentum) * g),
        "no friction": lambda x, v, g: (x - lr * (v + g), v + g),
        "swapped": lambda x, v, g: (x - lr * (v + momentum * g), v + momentum * g),
        "rate twice": lambda x, v, g: (x - lr * (momentum * v + lr * g), momentum * v + lr * g),
        "no rate": lambda x, v, g: (x - (momentum * v + g), momentum * v + g),
        "ahead": lambda x, v, g: (x - lr * (g + momentum * (momentum * v + g)), momentum * v + g),
        "one pull": lambda x, v, g: (x - lr * (momentum * v + g), g),
        "rest": lambda x, v, g: (x, momentum * v + g),
    }
    found = {}
    for name, rule in rules.items():
        x, v, points = torch.ones_like(slopes[0]), torch.zeros_like(slopes[0]), []
        for g in slopes:
            x, v = rule(x, v, g)
            points.append(x)
        found[name] = torch.stack(points)
    return found


def _which_way(points, slopes, lr, momentum) -> str:
    import torch

    for name, way in _ways(slopes, lr, momentum).items():
        if torch.allclose(points, way, atol=1e-8):
            return _WRONG_STEPS[name]
    first = points[0] - (1 - lr * slopes[0])
    if first.abs().max() > 1e-8:
        return (
            "The very first step, from rest, is wrong already: with no velocity yet it is a plain step, "
            "`theta - lr * slope`."
        )
    return (
        "The first step is right, later ones are not. Before each step the velocity becomes `momentum * velocity + "
        "slope`, and that new velocity is handed on."
    )


_WRONG_STEPS = {
    "uphill": "You walk uphill: the slope points to larger losses, so `theta` moves *against* the velocity. (Or you "
    "subtracted twice, the slope from the velocity and that from `theta`.)",
    "no momentum": "This is plain gradient descent: the velocity is carried along, and never used.",
    "late": "You move by the *old* velocity, so each slope counts a step too late and the first step stands still. "
    "Update the velocity first.",
    "damped": "You averaged: the slope got the weight 1 - momentum, which makes all steps smaller. Here the slope is "
    "added whole, as `torch.optim.SGD` does.",
    "no friction": "Nothing slows the velocity down: it should keep only the share `momentum` of itself in each step.",
    "swapped": "`momentum` is at the slope. It belongs to the old velocity: that is what fades.",
    "rate twice": "The learning rate counts twice, in the velocity and in the step. Once is enough.",
    "no rate": "The learning rate is missing: the step is `lr` times the velocity.",
    "ahead": "That is Nesterov's momentum, which looks a step ahead: a fine rule, but another one. Move by the new "
    "velocity itself.",
    "one pull": "You hand on the slope instead of the velocity, so the step before the last is forgotten.",
    "rest": "`theta` stands still: the velocity is right, and nothing moves by it.",
}


def worst(value) -> float:
    """A number that the learner returned, or what is wrong with it."""
    import torch

    if isinstance(value, torch.Tensor) and value.numel() > 1:
        raise NotYet(f"You returned {value.numel()} differences. The largest one is asked for, as one number.")
    if isinstance(value, (tuple, list)):
        raise NotYet("Return one number: the largest difference.")
    try:
        number = float(value)
    except (TypeError, ValueError, RuntimeError):
        raise NotYet(f"A number is wanted, not {brief(value)}") from None
    if isinstance(value, bool):
        raise NotYet("Return the largest difference itself: who reads it may decide what is too much.")
    return number
