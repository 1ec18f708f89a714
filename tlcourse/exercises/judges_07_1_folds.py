"""The check of exercise 07-1.2: folds in which each class is spread evenly, at random."""

from __future__ import annotations

from itertools import islice, permutations

from tlcourse.exercises.answers import NotYet, brief, call


def topics(seed: int = 0):
    """Class numbers of 100 items, three classes, one of them rare, and 5: `y, k`."""
    return _classes((64, 27, 9), seed), 5


def _classes(sizes, seed: int):
    import torch

    y = torch.cat([torch.full((n,), c) for c, n in enumerate(sizes)])
    return y[torch.randperm(len(y), generator=torch.Generator().manual_seed(seed))]


def division(folds) -> None:
    """07-1.2: a fold for each item, each class spread evenly, another draw each time."""
    import torch

    found = []
    for seed, (sizes, k) in enumerate((((64, 27, 9), 5), ((40, 41, 7, 12), 4), ((30, 3), 5))):
        y = _classes(sizes, seed)
        kept = y.clone()
        fold = _numbers(call(folds, y, k), len(y), k)
        if not torch.equal(y, kept):
            raise NotYet("Your function changes the tensor that it was given.")
        found.append((y, k, fold))
    for y, k, fold in found:
        _look(y, k, fold)
    y, k, first = found[0]
    draws = [_numbers(call(folds, y.clone(), k), len(y), k) for _ in range(3)]
    for draw in draws:
        _look(y, k, draw)
    if all(torch.equal(draw, first) for draw in draws):
        raise NotYet(
            "The folds are the same at each call, so the order of the file decides. Shuffle the places of each class: "
            "`torch.randperm`."
        )
    if all(torch.equal(_together(draw[y == 0]), _together(first[y == 0])) for draw in draws):
        raise NotYet(
            "The same items share a fold at each call, only its number is drawn: the order of the file decides still. "
            "Shuffle the places of each class: `torch.randperm`."
        )


def _together(fold):
    return fold[:, None] == fold


def _counts(y, k: int, fold):
    """How many items of each class each fold has `[classes, k]`."""
    import torch

    return torch.stack([torch.bincount(fold[y == c], minlength=k) for c in range(int(y.max()) + 1)])


def _even(counts) -> bool:
    return bool((counts.max(1).values - counts.min(1).values <= 1).all())


def _look(y, k: int, fold) -> None:
    import torch

    n = len(y)
    counts = _counts(y, k, fold)
    if _even(counts):
        return
    if torch.equal(fold, y % k):
        raise NotYet("You put each class into a fold of its own: it is then tested by a reader that never saw it.")
    if (fold.diff() >= 0).all():
        raise NotYet("Your folds are runs of neighbours in the file. Look at the classes, and deal each of them out.")
    if torch.equal(fold, torch.arange(n) % k):
        raise NotYet("You deal out the items in the order of the file, whatever their class. Deal out each class.")
    sizes = torch.bincount(fold, minlength=k)
    if (sizes == 0).any():
        raise NotYet(f"With k = {k} only {int((sizes > 0).sum())} folds have items: all of them should.")
    parts = [y[y == c] for c in y.unique()]
    if any(_even(_counts(torch.cat(order), k, fold)) for order in permutations(parts)):
        raise NotYet(
            "The classes would be spread evenly if the items lay class by class, but they do not: a fold number for "
            "each item, in the order of `y`. Write each number to its item's place: `fold[places] = ...`."
        )
    dealt = sum((torch.arange(k) < len(part) % k).long() + len(part) // k for part in parts)
    if torch.equal(sizes.sort().values, dealt.sort().values) and sizes.max() - sizes.min() > 1:
        raise NotYet(
            "Your folds have the sizes that they should have, but hold other items: a fold number for each item, in "
            "the order of `y`. If you shuffled the items first, put the numbers back: `fold[order] = ...`."
        )
    c = next(i for i, row in enumerate(counts) if row.max() - row.min() > 1)
    told = f"class {c} has {', '.join(map(str, counts[c].tolist()))} items in the {k} folds"
    if sizes.max() - sizes.min() <= 1:
        raise NotYet(
            f"Your folds are of equal size, but the classes are not spread evenly: {told}. Deal out each class on its "
            "own, and give the numbers in the order of `y`, also if you shuffled before."
        )
    raise NotYet(f"The classes are not spread evenly, nor are the folds of equal size: {told}. Deal out each class.")


def _numbers(value, n: int, k: int):
    import torch

    if value is None:
        raise NotYet("Your function returns nothing. Return a fold number for each item.")
    if hasattr(value, "__next__"):  # a generator, or map(...)
        value = _listed(value, n)
    if isinstance(value, (list, tuple)) and any(_pair(v) for v in value):
        raise NotYet(
            "Pairs of places came back, as `split` gives them: what to learn from, and what to test. Turn them into a "
            "fold number for each item: `for i, (_, test) in enumerate(...): fold[test] = i`."
        )
    if isinstance(value, (list, tuple)) and any(hasattr(v, "__len__") and getattr(v, "ndim", 1) for v in value):
        raise NotYet("Lists of items came back. A fold number for each *item* is wanted: `[n]`, in the order of `y`.")
    try:
        fold = torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError):
        raise NotYet(f"A tensor of fold numbers is wanted, not {brief(repr(value), 60)}") from None
    if fold.dtype == torch.bool:
        raise NotYet("True and False came back, which is one fold and the rest. Number the folds from 0 to k - 1.")
    if fold.shape != (n,):
        raise NotYet(f"{n} items came in, and {list(fold.shape)} came back: a fold number for each item.")
    if not torch.equal(fold.float(), fold.float().round()):
        raise NotYet("A fold has a whole number, from 0 to k - 1.")
    fold = fold.long()
    if n > k and torch.equal(fold.sort().values, torch.arange(n)):
        raise NotYet("Places of items came back, each of them once. A fold number for each item is wanted.")
    if int(fold.min()) < 0 or int(fold.max()) >= k:
        raise NotYet(
            f"The folds go from {int(fold.min())} to {int(fold.max())}: number them from 0 to k - 1 = {k - 1}."
        )
    return fold


def _listed(value, n: int) -> list:
    try:
        return list(islice(value, n + 1))
    except Exception as error:
        raise NotYet(
            f"A generator came back, and stopped with {brief(error)} Return a fold number for each item, `[n]`."
        ) from None


def _pair(value) -> bool:
    return isinstance(value, (list, tuple)) and len(value) == 2 and all(hasattr(v, "__len__") for v in value)
