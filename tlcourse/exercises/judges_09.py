"""The checks of chapter 09: how far domains are apart, and classes named by their prototypes."""

from __future__ import annotations

from math import isclose

from tlcourse.exercises.answers import NotYet, brief, call


def answers():
    """What a domain classifier said of 8 new items of the source and 24 of the target, and where they come from."""
    import torch

    true = torch.tensor([0] * 8 + [1] * 24)
    said = true.clone()
    said[[0, 3, 9]] = 1 - said[[0, 3, 9]]  # wrong on two of 8, and on one of 24
    mixed = torch.randperm(32, generator=torch.Generator().manual_seed(1))
    return said[mixed], true[mixed]


def distance(a_distance) -> None:
    """09.1: 2 (1 - 2 e), e the mean of both domains' error rates, and never below zero."""
    import torch

    cases, found = (((8, 24), (2, 1)), ((30, 10), (3, 4)), ((12, 12), (0, 0))), []
    for sizes, wrong in cases:
        said, true = _told(sizes, wrong)
        found.append((_number(call(a_distance, said.clone(), true.clone())), _distances(said, true)))
    if not _all(found, "right"):
        raise NotYet(next((words for name, words in _DISTANCE.items() if _all(found, name)), _elsewhere(cases, found)))
    said, true = _told((10, 10), (7, 6))
    value = _number(call(a_distance, said, true))
    if value < -1e-6:
        raise NotYet(
            f"A classifier that is wrong on 13 of 20 gets {value:.2f}. Worse than guessing is chance, and no distance "
            "lies below zero: take `max(0, ...)`."
        )
    if not isclose(value, 0, abs_tol=1e-4):
        raise NotYet(
            f"A classifier that is wrong on 13 of 20 gets {value:.2f}. One that does worse than guessing has found "
            "nothing that tells the domains apart: the distance is 0."
        )
    value = _number(call(a_distance, *_told((20, 20), (14, 2))))
    if not isclose(value, 0.4, abs_tol=1e-4):
        raise NotYet(
            f"With 14 of 20 source items and 2 of 20 target items wrong your distance is {value:.2f}; it should be "
            "0.40. First the mean of both rates, whatever they are, and only then nothing below zero."
        )
    order = torch.randperm(20, generator=torch.Generator().manual_seed(2))
    if not isclose(_number(call(a_distance, *(part[order] for part in _told((10, 10), (1, 3))))), 1.2, abs_tol=1e-4):
        raise NotYet("The order of the items changes your result. Look for each domain's items by `true == 0`.")


def _told(sizes, wrong):
    import torch

    true = torch.tensor([0] * sizes[0] + [1] * sizes[1])
    said = true.clone()
    for start, many in ((0, wrong[0]), (sizes[0], wrong[1])):
        said[start : start + many] = 1 - said[start : start + many]
    return said, true


def _number(value) -> float:
    import numpy as np

    if value is None:
        raise NotYet("Your function returns nothing. Return the distance.")
    try:
        found = np.asarray(value.detach() if hasattr(value, "detach") else value, dtype=float).reshape(-1)
    except (TypeError, ValueError):
        raise NotYet(f"A number is wanted, not {brief(repr(value))}") from None
    if len(found) != 1:
        raise NotYet("One number is wanted: the distance of the two domains.")
    return float(found[0])


def _distances(said, true) -> dict[str, float]:
    """The right distance, and those of the usual mistakes."""
    wrong = (said != true).float()
    both = [float(wrong[true == d].mean()) for d in (0, 1)]
    by_answer = [float(wrong[said == d].mean()) for d in (0, 1)]
    e, plain = sum(both) / 2, float(wrong.mean())
    return {
        "right": 2 * (1 - 2 * e),
        "all in one": 2 * (1 - 2 * plain),
        "accuracy": max(0.0, 2 * (1 - 2 * (1 - e))),
        "accuracy, unclipped": 2 * (1 - 2 * (1 - e)),
        "once": 2 * (1 - e),
        "error": e,
        "plain error": plain,
        "half": 1 - 2 * e,
        "sum": 2 * (1 - 2 * sum(both)),
        "sum, clipped": max(0.0, 2 * (1 - 2 * sum(both))),
        "first": 2 * (1 - 2 * both[0]),
        "second": 2 * (1 - 2 * both[1]),
        "worst": 2 * (1 - 2 * max(both)),
        "by answer": 2 * (1 - 2 * sum(by_answer) / 2),
    }


def _all(found, name: str) -> bool:
    return all(isclose(value, ways[name], abs_tol=1e-4) for value, ways in found)


def _elsewhere(cases, found) -> str:
    i = next((i for i, one in enumerate(found) if not _all([one], "right")), 0)
    (sizes, wrong), (value, ways) = cases[i], found[i]
    return (
        f"With {wrong[0]} of {sizes[0]} source items and {wrong[1]} of {sizes[1]} target items wrong your distance is "
        f"{value:.3f}; it should be {ways['right']:.3f}. First the error rate of each domain, then their mean e, then "
        "2 · (1 - 2 e)."
    )


_DISTANCE = {
    "all in one": "You took one error rate over all items, so the domain with more items decides: a classifier that "
    "always says the larger one would seem to know something. Take each domain's rate, then their mean.",
    "accuracy": "You put the share of *right* answers where the share of wrong ones belongs: a classifier that is "
    "always right would give 0, as if the domains were the same.",
    "accuracy, unclipped": "You put the share of *right* answers where the share of wrong ones belongs, so easy "
    "domains come out below zero.",
    "once": "e is taken once: 2 · (1 - e) gives 1 for a classifier that only guesses (e = 0.5). Guessing has to give "
    "0: it is 2 · (1 - 2 e).",
    "error": "That is the error rate itself: it *falls* when the domains are further apart. Make a distance of it.",
    "plain error": "That is the error rate itself: it *falls* when the domains are further apart. Make a distance of "
    "it, from each domain's own rate.",
    "half": "Your distance runs from 0 to 1. The A-distance runs from 0 to 2: the factor 2 in front is missing.",
    "sum": "You added both error rates. e is their mean, so that guessing gives 0.5.",
    "sum, clipped": "You added both error rates. e is their mean, so that guessing gives 0.5.",
    "first": "Only the source's items count in your error. A classifier that always says source would seem perfect.",
    "second": "Only the target's items count in your error. A classifier that always says target would seem perfect.",
    "worst": "You took the larger of both error rates. e is their mean.",
    "by answer": "You grouped the items by what the classifier *said*. Each domain's error rate is the share of wrong "
    "answers among the items that truly are of it.",
}


def features(seed: int = 0):
    """Features of a few labelled items and of items to name: `few, labels, new`, `[13, 6]`, `[13]` and `[9, 6]`."""
    import torch

    g = torch.Generator().manual_seed(seed)
    middles = 3 * torch.randn(3, 6, generator=g)
    which = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2])[torch.randperm(13, generator=g)]
    few = middles[which] + 1.5 * torch.randn(13, 6, generator=g)
    new = middles[torch.arange(9) % 3] + 1.5 * torch.randn(9, 6, generator=g)
    return few, torch.tensor([7, 2, 4])[which], new


def prototypes(nearest_prototype) -> None:
    """09.2: each new item gets the class whose mean is nearest."""
    import torch

    with torch.no_grad():
        told = [(_named(nearest_prototype, *given), _names(*given)) for given in map(features, range(12))]
    if all(torch.equal(mine, ways["right"]) for mine, ways in told):
        few, labels, new = features(3)
        alone = torch.cat([_named(nearest_prototype, few, labels, one[None]) for one in new])
        if not torch.equal(alone, _named(nearest_prototype, few, labels, new)):
            raise NotYet("An item alone gets another name than in company. Prototypes are made of the labelled items.")
        if not torch.equal(_named(nearest_prototype, few, labels + 10, new), told[3][0] + 10):
            raise NotYet("The classes may be called otherwise than 2, 4 and 7: take them from `labels`.")
        return
    for name, words in _PROTOTYPES.items():
        if all(torch.equal(mine, ways[name]) for mine, ways in told):
            raise NotYet(words)
    given = next(i for i, (mine, ways) in enumerate(told) if not torch.equal(mine, ways["right"]))
    mine, ways = told[given]
    if strangers := sorted(set(mine.tolist()) - set(ways["right"].tolist()) - set(features(given)[1].tolist())):
        raise NotYet(
            f"Your names hold {strangers[0]}, and no labelled item is of that class. The mean of no items is NaN: make "
            "one mean for each of `labels.unique()`, and return the class, not its place."
        )
    raise NotYet(
        f"Your names are {mine.tolist()}, where the nearest prototypes say {ways['right'].tolist()}. One mean a class, "
        "then for each new item the distances to all means, and the class of the smallest."
    )


def _named(function, few, labels, new):
    import numpy as np
    import torch

    given = [t.clone() for t in (few, labels, new)]
    result = call(function, *given)
    if result is None:
        raise NotYet("Your function returns nothing. Return a class for each new item.")
    if any(not torch.equal(a, b) for a, b in zip(given, (few, labels, new), strict=True)):
        raise NotYet("Your function changes the tensors it was given. Make new ones.")
    try:
        found = torch.as_tensor(np.asarray(result.detach() if hasattr(result, "detach") else result, dtype=float))
    except (TypeError, ValueError):
        raise NotYet("A tensor of class numbers is wanted, one a new item.") from None
    if found.ndim == 2 and len(found) == len(new):
        raise NotYet("You returned a row of numbers an item. Choose: the class of the smallest distance.")
    if found.shape != (len(new),):
        raise NotYet(f"The result has the shape {list(found.shape)}. One class an item is wanted: [{len(new)}].")
    return found.long()


def _names(few, labels, new) -> dict:
    """What the right rule says, and what other rules say."""
    import torch

    classes = labels.unique()
    means = torch.stack([few[labels == c].mean(0) for c in classes])
    sums = torch.stack([few[labels == c].sum(0) for c in classes])
    first = torch.stack([few[labels == c][0] for c in classes])
    far = torch.cdist(new, means)
    near = classes[far.argmin(1)]
    return {
        "right": near,
        "places": far.argmin(1),
        "farthest": classes[far.argmax(1)],
        "neighbour": labels[torch.cdist(new, few).argmin(1)],
        "sums": classes[torch.cdist(new, sums).argmin(1)],
        "product": classes[(new @ means.T).argmax(1)],
        "first": classes[torch.cdist(new, first).argmin(1)],
        "largest": labels.mode().values.expand(len(new)).clone(),
        "middle": classes[far.mean(0).argmin()].expand(len(new)).clone(),
    }


_PROTOTYPES = {
    "places": "You return the place of the nearest mean, 0 to 2. The classes are called as in `labels`, here 2, 4 and "
    "7: return `classes[place]`.",
    "farthest": "You take the largest distance: every item gets the class that it is least like.",
    "neighbour": "That is the nearest single item: one odd example then speaks for its class. A prototype is the mean "
    "of all labelled items of a class.",
    "sums": "You added the items of a class up. A class with more items then lies further out: take the mean.",
    "product": "You took the largest product with a mean. A long mean wins whatever it points at; the *distance* is "
    "asked for.",
    "first": "You took the first item of each class. With more than one, the mean is the better guess.",
    "largest": "All items get the class with the most labels. Look at the new items' features.",
    "middle": "All items get one class. Each new item has distances of its own: take the smallest along the classes, "
    "`argmin(1)`.",
}
