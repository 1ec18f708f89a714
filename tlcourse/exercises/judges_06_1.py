"""The checks of chapter 06-1: the worth of an alarm, and divisions by patient."""

from __future__ import annotations

from math import isclose, isfinite

from tlcourse.exercises.answers import NotYet, brief, call


def people(seed: int = 0):
    """Scores of 60 ill and 60 healthy people, mixed: `scores, true`."""
    return _people(60, 60, seed)


def _people(ill: int, healthy: int, seed: int):
    import torch

    draw = torch.Generator().manual_seed(seed)
    scores = torch.cat([torch.randn(ill, generator=draw) + 1.5, torch.randn(healthy, generator=draw)]).sigmoid()
    true = torch.tensor([1] * ill + [0] * healthy)
    order = torch.randperm(len(true), generator=draw)
    return scores[order], true[order]


def alarm(worth) -> None:
    """06-1.1: prevalence · sensitivity over all alarms of that population."""
    cases = [(80, 50, 0.5, 0.01), (30, 90, 0.7, 0.2), (60, 60, 0.4, 0.6)]
    found = []
    for seed, (ill, healthy, threshold, prevalence) in enumerate(cases):
        scores, true = _people(ill, healthy, seed)
        value = _number(call(worth, scores.clone(), true.clone(), threshold, prevalence))
        found.append((value, _worths(scores, true, threshold, prevalence)))
    if not _all(found, "right"):
        for name, words in _ALARM.items():
            if _all(found, name):
                raise NotYet(words)
        value, ways = next(one for one in found if not _all([one], "right"))
        raise NotYet(
            f"On one of three test sets the worth is {ways['right']:.4f}, and yours {value:.4f}. Of all people, "
            "prevalence · sensitivity are ill with an alarm, (1 - prevalence) · (1 - specificity) healthy with one."
        )
    scores, true = _people(20, 20, 9)
    edge = float(scores[true == 0].sort().values[-2])
    if not isclose(
        _number(call(worth, scores, true, edge, 0.3)), _worths(scores, true, edge, 0.3)["right"], abs_tol=1e-5
    ):
        raise NotYet("A score *equal* to the threshold is no alarm: an alarm is a score above it.")


def _worths(scores, true, threshold, prevalence) -> dict[str, float]:
    """The right worth, and those of the usual mistakes."""
    ring = (scores > threshold).float()
    a, b = float(ring[true == 1].mean()), float(ring[true == 0].mean())
    among, p = float(true.float().mean()), prevalence

    def share(x, y):
        return x / (x + y) if x + y else 0.0

    return {
        "right": share(p * a, (1 - p) * b),
        "this test": share(among * a, (1 - among) * b),
        "alike": share(a, b),
        "sensitivity": a,
        "joint": p * a,
        "alarms": p * a + (1 - p) * b,
        "specificity": share(p * a, (1 - p) * (1 - b)),
        "no complement": share(p * a, p * b),
        "swapped": share((1 - p) * a, p * b),
        "wrong ones": 1 - share(p * a, (1 - p) * b),
        "below": share(p * (1 - a), (1 - p) * (1 - b)),
    }


_ALARM = {
    "this test": "That is the share of right alarms *in this test set*, where far more people are ill than in the "
    "world. Weigh the ill by `prevalence` and the healthy by `1 - prevalence`.",
    "alike": "Ill and healthy count the same in yours, as if half of the world were ill. Weigh them by the prevalence.",
    "sensitivity": "That is the sensitivity: of the *ill*, the share with an alarm. Asked for is, of the *alarms*, the "
    "share that is ill.",
    "joint": "That is the share of *all people* who are ill and have an alarm. Divide it by the share of all people "
    "who have an alarm.",
    "alarms": "That is how many people will have an alarm at all. How many of these alarms are right?",
    "specificity": "You added the healthy *without* an alarm. The false alarms are (1 - prevalence) · (1 - "
    "specificity).",
    "no complement": "The healthy are weighed by `prevalence` too; their share is `1 - prevalence`.",
    "swapped": "The weights are the wrong way round: a share `prevalence` is ill, the others are healthy.",
    "wrong ones": "That is the share of *false* alarms among all alarms.",
    "below": "You count those *below* the threshold as alarms.",
}


def patients(seed: int = 0):
    """A patient's number for each of 90 pictures; some patients have many pictures, some have one."""
    return _patients(20, 90, seed)


def _patients(many: int, pictures: int, seed: int):
    import torch

    draw = torch.Generator().manual_seed(seed)
    numbers = torch.randperm(1000, generator=draw)[:many]
    weights = torch.rand(many, generator=draw) ** 3 + 0.02
    more = torch.multinomial(weights, pictures - many, replacement=True, generator=draw)
    whole = torch.cat([numbers, numbers[more]])
    return whole[torch.randperm(pictures, generator=draw)]


def division(divide) -> None:
    """06-1.2: whole patients, about the share of them, at random, and somebody on each side."""
    import torch

    sides = []
    for seed in range(6):
        who = _patients(20, 120, seed)
        sides.append(_mask(call(divide, who.clone(), 0.3), who))
    for side, who in ((side, _patients(20, 120, seed)) for seed, side in enumerate(sides)):
        both = [int(p) for p in who.unique() if side[who == p].any() and not side[who == p].all()]
        if both:
            raise NotYet(
                f"Of patient {both[0]} some pictures are in the test and some in training, and so it is with "
                f"{len(both)} of 20 patients. Draw patients, and let all pictures of one go to the same side."
            )
        if not side.any():
            raise NotYet("Nobody is in the test. True means test.")
        if side.all():
            raise NotYet("Nobody is left to learn from. False means training.")
    who = _patients(20, 120, 0)
    again = [_mask(call(divide, who.clone(), 0.3), who) for _ in range(6)]
    if all(torch.equal(again[0], one) for one in again):
        raise NotYet("The same patients are in the test each time. Draw them at random: `torch.randperm`.")
    if _prefers_many_pictures(divide):
        raise NotYet(
            "Who has many pictures is nearly always in the test. Draw patients, not pictures: `patients` names a "
            "patient once for each picture, `patients.unique()` once only."
        )
    shares = [len(_patients(20, 120, seed)[side].unique()) / 20 for seed, side in enumerate(sides)]
    if all(abs(share - 0.7) < 0.11 for share in shares):
        raise NotYet("With share=0.3, seven of ten patients are in the test. True means test, False training.")
    if any(abs(share - 0.3) > 0.06 for share in shares):
        raise NotYet(
            f"With share=0.3, {', '.join(f'{round(20 * share)}' for share in shares)} of 20 patients are in the test, "
            "in six trials; about 6 are wanted each time."
        )
    many = len(who[_mask(call(divide, who.clone(), 0.6), who)].unique())
    if abs(many - 12) > 1:
        raise NotYet(f"With share=0.6, {many} of 20 patients are in the test; about 12 are wanted. Use `share`.")
    two = torch.tensor([7, 7, 7, 9])
    small = _mask(call(divide, two.clone(), 0.1), two)
    if not small.any() or small.all():
        raise NotYet(
            "Of two patients and share=0.1, one has to be in the test all the same: a side with nobody tests nothing."
        )
    small = _mask(call(divide, two.clone(), 0.95), two)
    if not small.any() or small.all():
        raise NotYet("Of two patients and share=0.95, one has to be left to learn from.")


def _prefers_many_pictures(divide) -> bool:
    """Whether patients with 30 pictures are drawn far more often than patients with one, in 16 trials of 20."""
    import torch

    more = 0
    for seed in range(16):
        draw = torch.Generator().manual_seed(seed)
        numbers = torch.randperm(1000, generator=draw)[:20]
        who = torch.cat([numbers[:10].repeat(30), numbers[10:]])[torch.randperm(310, generator=draw)]
        side = _mask(call(divide, who.clone(), 0.3), who)
        more += len(who[side & torch.isin(who, numbers[:10])].unique())
        more -= int((side & torch.isin(who, numbers[10:])).sum())
    return more > 45  # about 0 among patients drawn alike (a standard deviation of 8), 70 to 110 among pictures


def _mask(value, who):
    import torch

    if value is None:
        raise NotYet("Your function returns nothing. Return a True or False for each picture.")
    try:
        found = torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError):
        raise NotYet(f"A tensor of True and False is wanted, not {brief(repr(value))}") from None
    if found.dtype != torch.bool and found.shape == who.shape and set(found.unique().tolist()) <= {0, 1}:
        found = found.bool()
    if found.dtype != torch.bool:
        raise NotYet("Numbers came back. A True or False for each picture is wanted: is it in the test?")
    if found.shape != who.shape:
        raise NotYet(f"{len(who)} pictures came in, and {list(found.shape)} came back: one True or False a *picture*.")
    return found


def _number(value) -> float:
    import numpy as np

    if value is None:
        raise NotYet("Your function returns nothing. Return a share between 0 and 1.")
    try:
        found = np.asarray(value.detach() if hasattr(value, "detach") else value, dtype=float).reshape(-1)
    except (TypeError, ValueError):
        raise NotYet(f"A number is wanted, not {brief(repr(value))}") from None
    if len(found) != 1 or not isfinite(found[0]):
        raise NotYet("One number is wanted: the share of the alarms that are right.")
    return float(found[0])


def _all(found, name: str) -> bool:
    return all(isclose(value, ways[name], abs_tol=1e-4) for value, ways in found)
