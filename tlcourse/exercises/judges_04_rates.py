"""The check of chapter 04's learning rates: all gradients are one, so a step moves each weight by its rate."""

from __future__ import annotations

from math import isclose

from tlcourse.exercises.answers import NotYet, brief, call
from tlcourse.exercises.judges_04 import network, stage_of, state, still_whole

_LR, _DECAY = 0.1, 0.3


def discriminative(rates) -> None:
    """04.2: the head moves by lr, and each stage towards the input by `decay` times less."""
    import torch

    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        steps = _steps(rates, network(), _LR, _DECAY)
        if not _agree(steps, _wanted(steps, _LR, _DECAY)):
            raise NotYet(_diagnosis(rates, steps))
        deep = _steps(rates, network(depth=3), 0.02, 0.6)
        if not _agree(deep, _wanted(deep, 0.02, 0.6)):
            raise NotYet(
                "In a longer chain, with another `lr` and `decay`, the rates are wrong: "
                + _first_wrong(deep, _wanted(deep, 0.02, 0.6))
                + " Use the arguments, and go through whatever stages the model has."
            )
        partly = network(depth=3)
        partly.stage3.requires_grad_(False)
        partly.stem[0].requires_grad_(False)
        wanted = _wanted(deep, _LR, _DECAY)
        steps = _steps(rates, partly, _LR, _DECAY)
        if not _agree(steps, {stage: wanted[stage] for stage in steps}):
            raise NotYet(
                "With `stage3` frozen, `stage2` and the stages below it got other rates than without. Depth is the "
                "place in the chain, so that freezing one stage changes no other's rate: count frozen stages too."
            )


def _steps(rates, model, lr, decay) -> dict[str, float]:
    """How far each stage that trains is moved by one step of SGD with gradients of ones."""
    import torch

    before = state(model)
    train = {name: p.requires_grad for name, p in model.named_parameters()}
    groups = _groups(call(rates, model, lr, decay), model)
    still_whole(model, before)
    held = {id(p) for group in groups for p in group["params"]}
    for p in model.parameters():
        p.detach().zero_()  # so that a rate is read without rounding
        p.grad = torch.ones_like(p) if p.requires_grad else None
    try:
        torch.optim.SGD(groups, lr=lr).step()
    except Exception as error:
        raise NotYet(f"No optimizer can be made from your groups: {brief(error)}") from None
    found: dict[str, float] = {}
    for name, p in model.named_parameters():
        values, stage = (-p.detach()).unique().tolist(), stage_of(name)
        if not train[name]:
            if any(values):
                raise NotYet(f"`{name}` was frozen, and moved: your function unfroze it. It should only set rates.")
            continue
        if id(p) not in held:
            raise NotYet(f"`{name}` is in no group, so no optimizer would move it. Take every parameter that trains.")
        if len(values) > 1 or not isclose(found.setdefault(stage, values[0]), values[0], rel_tol=1e-3):
            raise NotYet(
                f"The parameters of `{stage}` have different rates. A stage moves as one: raise the power of `decay` "
                "once a stage, not once a layer or parameter."
            )
    return found


def _groups(result, model) -> list[dict]:
    """The learner's groups with lists in them; whatever is wrong before a step can be made is told."""
    import torch

    if isinstance(result, torch.optim.Optimizer):
        raise NotYet("You returned an optimizer. Return the list it is made from: then any optimizer can use it.")
    wrong = (
        "A list of dicts is wanted, one a stage, as in "
        '`[{"params": list(stage.parameters()), "lr": 0.1}, ...]`, which every torch optimizer takes.'
    )
    try:
        groups = [dict(group) for group in result]
    except (TypeError, ValueError):
        raise NotYet(wrong) from None
    if isinstance(result, dict) or not groups or not all("params" in group for group in groups):
        raise NotYet(wrong)
    names, seen = {id(p): name for name, p in model.named_parameters()}, set()
    for group in groups:
        given = group["params"]
        try:
            given = [given] if isinstance(given, torch.Tensor) else list(given)
        except TypeError:
            raise NotYet(wrong) from None
        group["params"] = [p[1] if isinstance(p, tuple) and len(p) == 2 else p for p in given]  # with their names
        if "lr" not in group:
            raise NotYet('A group has no `"lr"`: it would get the optimizer\'s own rate. Give each group its rate.')
        for p in group["params"]:
            if id(p) not in names:
                raise NotYet("A group holds something that is no parameter of the model. Use `stage.parameters()`.")
            if id(p) in seen:
                raise NotYet(
                    f"`{names[id(p)]}` is listed twice, so it has no one rate, and torch refuses two groups with the "
                    "same parameter. Each belongs to one stage, and to one group."
                )
            seen.add(id(p))
    return groups


def _diagnosis(rates, steps) -> str:
    order = list(steps)[::-1]  # from the head to the input
    powers = {name: [power(depth) for depth in range(len(order))] for name, power in _POWERS.items()}
    powers["reversed"] = [3, 2, 1, 0]
    powers["reversed with pool"] = [4, 2, 1, 0]
    for name, each in powers.items():
        if _agree(steps, {stage: _LR * _DECAY**power for stage, power in zip(order, each, strict=True)}):
            return _MISTAKES[name]
    if _agree(steps, _steps(rates, network(), 2 * _LR, _DECAY)):
        return "With twice the `lr` every stage moves as far as before: your rates do not depend on it. Use `lr`."
    if _agree(steps, _steps(rates, network(), _LR, 2 * _DECAY)):
        return "Another `decay` changes nothing: your rates do not depend on it. Use the argument `decay`."
    return _first_wrong(steps, _wanted(steps, _LR, _DECAY)) + (
        " Towards the input each rate is the one before it times `decay`: the factors are powers, `decay ** depth`."
    )


def _wanted(steps, lr, decay) -> dict[str, float]:
    return {stage: lr * decay**depth for depth, stage in enumerate(reversed(steps))}


def _agree(steps, wanted) -> bool:
    return all(isclose(steps[stage], wanted[stage], rel_tol=1e-3) for stage in steps)


def _first_wrong(steps, wanted) -> str:
    stage = next(s for s in reversed(steps) if not isclose(steps[s], wanted[s], rel_tol=1e-3))
    return f"`{stage}` has the rate {steps[stage]:.3g} instead of {wanted[stage]:.3g}."


# which power of decay a stage gets, by its depth from the head; pool stands between head and stage2
_POWERS = {
    "same": lambda depth: 0,
    "pool": lambda depth: depth + (depth > 0),
    "two": lambda depth: min(depth, 1),
    "late": lambda depth: depth + 1,
    "late with pool": lambda depth: depth + 1 + (depth > 0),
    "grows": lambda depth: -depth,
}
_MISTAKES = {
    "same": "Every stage has the rate of the head. Multiply by `decay` once for each stage on the way to the input.",
    "reversed": "The order is upside down: the stem has the largest rate, and the head the smallest. Early stages are "
    "the most general and should move least. Count from the head.",
    "reversed with pool": "The order is upside down: the stem has the largest rate, and the head the smallest, for "
    "which `pool` was counted too. Count from the head, and only stages with parameters.",
    "pool": "`pool` was counted as a step of depth. It has no parameters, and nothing of it moves: `stage2` comes "
    "right after the head, with the rate `lr * decay`.",
    "two": "The head has `lr`, but all other stages share one rate. Each stage further from the head has a smaller "
    "one: `decay`, then `decay ** 2`, and so on.",
    "late": "The head has `lr * decay` already. Its rate is `lr` itself, `decay ** 0`: start counting at 0.",
    "late with pool": "The head has `lr * decay` already, and `pool` was counted as well. Start counting at 0, and "
    "leave out stages without parameters.",
    "grows": "The rates grow towards the input: you divide by `decay`. Multiply, so that early stages move least.",
}
