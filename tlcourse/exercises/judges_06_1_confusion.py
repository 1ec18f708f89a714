"""The check of exercise 06-1.3: which two classes are confused most."""

from __future__ import annotations

from tlcourse.exercises.answers import NotYet, brief, call


def confused(seed: int = 0):
    """True classes and answers of 300 items, four classes of very different size, and 4: `true, said, n`."""
    return *_confused((200, 60, 30, 10), (0.1, 0.15, 0.3, 0.5), seed), 4


def _confused(sizes, wrong, seed: int):
    """Class i is taken for the next one in a share wrong[i] of its items, and in a tenth of these for the one after."""
    import torch

    n, true, said = len(sizes), [], []
    for c, (size, share) in enumerate(zip(sizes, wrong, strict=True)):
        away = round(size * share)
        far = away // 10
        true += [c] * size
        said += [(c + 1) % n] * (away - far) + [(c + 2) % n] * far + [c] * (size - away)
    order = torch.randperm(len(true), generator=torch.Generator().manual_seed(seed))
    return torch.tensor(true)[order], torch.tensor(said)[order]


def _scattered():
    """A test set whose worst class is taken for many others, and another class mostly for one: `true, said`."""
    import torch

    counts = torch.tensor([[20, 7, 7, 6], [0, 70, 0, 30], [1, 1, 38, 0], [2, 0, 0, 8]])
    places = torch.arange(16).repeat_interleave(counts.flatten())
    places = places[torch.randperm(len(places), generator=torch.Generator().manual_seed(0))]
    return places // 4, places % 4


def confusion(mixed_up) -> None:
    """06-1.3: the largest share of a row beside the diagonal."""
    cases = [
        ((200, 60, 30, 10), (0.1, 0.15, 0.3, 0.5)),
        ((20, 300, 50), (0.55, 0.2, 0.05)),
        ((90, 0, 40, 8, 30), (0.3, 0, 0.1, 0.9, 0.6)),
    ]
    sets = [(*_confused(sizes, wrong, seed), len(sizes)) for seed, (sizes, wrong) in enumerate(cases)]
    found = []
    for true, said, n in [*sets, (*_scattered(), 4)]:
        found.append((_pair(call(mixed_up, true.clone(), said.clone(), n)), _pairs(true, said, n)))
    if all(pair == ways["right"] for pair, ways in found):
        return
    for name, words in _MIXED.items():
        if all(pair == ways[name] for pair, ways in found):
            raise NotYet(words)
    at, (pair, ways) = next((at, one) for at, one in enumerate(found) if one[0] != one[1]["right"])
    if at < len(cases) and 0 <= pair[0] < len(cases[at][0]) and not cases[at][0][pair[0]]:
        raise NotYet(
            f"You say {pair}, but class {pair[0]} has no items in that test set, so nothing of it was taken "
            f"for {pair[1]}. A row of zeros divided by its sum is NaN, and `argmax` takes NaN for the largest: "
            "divide by `sums.clamp(min=1)`."
        )
    raise NotYet(f"In one of four test sets you say {pair}, and it is {ways['right']}: the largest share of a row.")


def _pairs(true, said, n: int) -> dict[str, tuple[int, int]]:
    """The right pair, and those of the usual mistakes."""
    import torch

    counts = torch.zeros(n, n).index_put_((true, said), torch.ones(len(true)), accumulate=True)
    off = counts.clone().fill_diagonal_(0)
    rows, columns = counts.sum(1, keepdim=True).clamp(min=1), counts.sum(0, keepdim=True).clamp(min=1)

    def top(table):
        return divmod(int(table.argmax()), n)

    right = top(off / rows)
    worst = int(torch.where(counts.sum(1) > 0, off.sum(1) / rows[:, 0], -1).argmax())
    return {
        "right": right,
        "turned": right[::-1],
        "counts": top(off),
        "counts turned": top(off)[::-1],
        "by answer": top(off / columns),
        "diagonal": top(counts),
        "diagonal shares": top(counts / rows),
        "worst class": (worst, int(off[worst].argmax())),
        "of the mistakes": top(off / off.sum(1, keepdim=True).clamp(min=1)),
    }


_MIXED = {
    "turned": "The right two classes, the wrong way round: (i, j) says that items *of* i were *taken for* j.",
    "counts": "You took the largest *count*, so a frequent class wins whatever happens to it. Divide each row by the "
    "number of items of that class.",
    "counts turned": "You took the largest *count*, and the wrong way round: divide each row by the number of items of "
    "its class, and return (true, answer).",
    "by answer": "You divided by how often each class was *said*. Asked for is the share of the *true* class's items.",
    "diagonal": "That is the most frequent right answer: i and j have to be different. Set the diagonal to zero.",
    "diagonal shares": "That is the class that is named best: i and j have to be different. Set the diagonal to zero.",
    "worst class": "You took the class with the most mistakes, and what it was most taken for. Its mistakes may go to "
    "many classes: compare single shares, of all rows at once.",
    "of the mistakes": "You divided by the class's *mistakes*, so a class with a single mistake gets 1. Divide by all "
    "of its items: take the rows' sums before you clear the diagonal.",
}


def _pair(value) -> tuple[int, int]:
    try:
        pair = tuple(int(v) for v in value)
    except (TypeError, ValueError, RuntimeError):
        raise NotYet(f"Two class numbers are wanted, (i, j), not {brief(repr(value))}") from None
    if len(pair) != 2:
        raise NotYet(f"Two class numbers are wanted, (i, j); {len(pair)} came back.")
    return pair
