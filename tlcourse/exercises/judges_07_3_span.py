"""Checks of chapter 07-3's second exercise: the best span among the allowed ones."""

from __future__ import annotations

from tlcourse.exercises.answers import NotYet, call


def span_scores():
    """Scores of ten tokens for being the first and the last of an answer: `start, end`, each `[10]`."""
    import torch

    start = torch.tensor([0.0, 1.0, 4.0, 0.5, 0.0, 3.0, 0.0, 4.5, 0.2, 0.1])
    end = torch.tensor([0.0, 6.0, 0.5, 1.0, 2.5, 0.0, 3.0, 1.0, 0.5, 5.0])
    return start, end


def _best(start, end, allowed):
    found = [(float(start[i] + end[j]), -i, -j) for i in range(len(start)) for j in range(len(end)) if allowed(i, j)]
    _, i, j = max(found, default=(0.0, 0, 0))
    return -i, -j


def _allowed(name: str, s, e, n: int):
    """Which pairs a mistake lets be."""
    return {
        "right": lambda i, j: i <= j < i + n,
        "any": lambda i, j: i <= j,
        "more": lambda i, j: i <= j <= i + n,
        "fewer": lambda i, j: i <= j < i + max(n - 1, 1),
        "two": lambda i, j: i < j < i + n if n > 1 else i == j == 0,
        "start": lambda i, j: i == int(s.argmax()) and i <= j < i + n,
        "end": lambda i, j: j == int(e.argmax()) and i <= j < i + n,
        "each": lambda i, j: i == int(s.argmax()) and j == int(e.argmax()),
    }[name]


_SPAN = {
    "each": "You take the best first and the best last token each by itself. Then the answer may end before it begins: "
    "look at pairs, and add their scores.",
    "any": "Your answer may have any number of tokens. With `longest` it may have no more than that.",
    "more": "One token too many: from `first` to `last` there are last - first + 1 tokens.",
    "fewer": "One token too few: an answer may have `longest` tokens.",
    "two": "An answer of one token is an answer too: first ≤ last.",
    "start": "You settle the first token, then look for the last. The best pair need not hold the best first token.",
    "end": "You settle the last token, then look for the first. The best pair need not hold the best last token.",
}


def span(best_span) -> None:
    """07-3.2: the first and last token of the best span of at most `longest` tokens."""
    import torch

    start, end = span_scores()
    turned, cases, found = (start.flip(0).contiguous(), end.flip(0).contiguous()), [], []
    # the best pair begins with token 0; the largest score of each side lies elsewhere, alone
    apart = torch.tensor([4.0, 0, 0, 0, 6, 0, 0, 0, 0, 0]), torch.tensor([0.0, 4, 0, 0, 0.5, 0, 0, 0, 0, 6])
    for (s, e), longest in (
        ((start, end), 3),
        ((start, end), 2),
        (turned, 4),
        (turned, 2),
        ((start, end), 1),
        (turned, 10),
        (apart, 3),
    ):
        kept = s.clone(), e.clone()
        got = call(best_span, s, e, longest)
        if not (torch.equal(s, kept[0]) and torch.equal(e, kept[1])):
            raise NotYet("Your function changes the scores that it was given. Work on a copy, or mask a new matrix.")
        cases.append((s, e, longest)), found.append(_two(got))
    if all(pair == _best(s, e, _allowed("right", s, e, n)) for pair, (s, e, n) in zip(found, cases, strict=True)):
        return _all_below_zero(best_span, start - 10, end - 10, 3)
    for name, words in _SPAN.items():
        if all(pair == _best(s, e, _allowed(name, s, e, n)) for pair, (s, e, n) in zip(found, cases, strict=True)):
            raise NotYet(words)
    if any(first > last for first, last in found):
        raise NotYet("Your answer ends before it begins. Only pairs with first ≤ last are answers.")
    for (first, last), (s, e, n) in zip(found, cases, strict=True):
        if last - first >= n:
            raise NotYet(f"With `longest` = {n} your answer has {last - first + 1} tokens.")
        i, j = _best(s, e, _allowed("right", s, e, n))
        if (first, last) != (i, j):
            raise NotYet(
                f"With `longest` = {n} yours gives tokens {first} to {last}, with the sum "
                f"{float(s[first] + e[last]):g}. There is a pair with {float(s[i] + e[j]):g}."
            )


def _all_below_zero(best_span, start, end, longest) -> None:
    """Raises `NotYet` if the answer prefers a zero to scores that are all negative."""
    got = call(best_span, start, end, longest)
    if got is None:
        raise NotYet("Where all sums are negative your function returns nothing. Begin the search at minus infinity.")
    first, last = _two(got)
    right = _allowed("right", start, end, longest)
    i, j = _best(start, end, right)
    if not right(first, last):
        raise NotYet(
            f"With scores that are all negative yours gives tokens {first} to {last}, a pair that is forbidden: the "
            "zero there is more than any allowed sum. A forbidden pair must score minus infinity, not zero: "
            "`masked_fill(forbidden, float('-inf'))`."
        )
    if (first, last) != (i, j):
        raise NotYet(
            f"With scores that are all negative yours gives tokens {first} to {last}, with the sum "
            f"{float(start[first] + end[last]):g}; there is a pair with {float(start[i] + end[j]):g}. A search for the "
            "largest sum begins at minus infinity, not at zero."
        )


def _two(got) -> tuple[int, int]:
    import torch

    if got is None:
        raise NotYet("Your function returns nothing. Return the first and the last token.")
    if isinstance(got, torch.Tensor):
        got = got.tolist()
    if not isinstance(got, (tuple, list)) or len(got) != 2:
        raise NotYet("Return two places: the first and the last token.")
    try:
        first, last = (int(value) for value in got)
    except (TypeError, ValueError, RuntimeError):
        raise NotYet("The two places are whole numbers.") from None
    if not (0 <= first < 10 and 0 <= last < 10):
        raise NotYet(f"There are ten tokens, 0 to 9; yours are {first} and {last}.")
    return first, last
