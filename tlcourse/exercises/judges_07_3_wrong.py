"""Wrong answers to chapter 07-3's exercises, and words of the message that each must get: the tests run them."""

from __future__ import annotations


def _f1(*lines: str) -> str:
    head = "from collections import Counter\n\ndef word_f1(said, true):\n"
    return head + "".join(f"    {line}\n" for line in lines)


def _span(*lines: str) -> str:
    head = "import torch\n\ndef best_span(start, end, longest):\n    t = len(start)\n"
    return head + "".join(f"    {line}\n" for line in lines)


def _rightly(*lines: str) -> str:
    head = "def rightly(similarity, true, threshold):\n    best, nearest = similarity.max(1)\n"
    return head + "".join(f"    {line}\n" for line in lines)


_EMPTY = "if not said or not true: return float(said == true)"
_SHARED = "shared = sum((Counter(said) & Counter(true)).values())"

F1 = {
    "precision": (_f1(_EMPTY, _SHARED, "return shared / len(said)"), "That is precision"),
    "recall": (_f1(_EMPTY, _SHARED, "return shared / len(true)"), "That is recall"),
    "the plain mean": (_f1(_EMPTY, _SHARED, "return (shared / len(said) + shared / len(true)) / 2"), "plain mean"),
    "all words": (
        _f1(_EMPTY, "a, b = set(said), set(true)", "return len(a & b) / len(a | b)"),
        "of both answers",
    ),
    "sets": (_f1(_EMPTY, "return 2 * len(set(said) & set(true)) / (len(said) + len(true))"), "each word once"),
    "repeated": (
        _f1(_EMPTY, "return 2 * sum(w in true for w in said) / (len(said) + len(true))"),
        "the smaller of both",
    ),
    "repeated there": (
        _f1(_EMPTY, "return 2 * sum(w in said for w in true) / (len(said) + len(true))"),
        "of the true answer each time",
    ),
    "the same": (_f1("return float(said == true)"), "exact match"),
    "place by place": (
        _f1(_EMPTY, "return 2 * sum(a == b for a, b in zip(said, true)) / (len(said) + len(true))"),
        "place by place",
    ),
    "without two": (_f1(_EMPTY, _SHARED, "return shared / (len(said) + len(true))"), "factor 2"),
    "empty is wrong": (
        _f1("if not said or not true: return 0.0", _SHARED, "return 2 * shared / (len(said) + len(true))"),
        "Two empty answers",
    ),
    "empty is right": (
        _f1("if not said or not true: return 1.0", _SHARED, "return 2 * shared / (len(said) + len(true))"),
        "One answer is empty",
    ),
    "used up": (_f1("shared = sum(true.remove(w) is None for w in said if w in true)", "return shared"), "changes the"),
}

_PAIRS = "pairs = [(i, j) for i in range(t) for j in range({})]"
_MAX = "return max(pairs, key=lambda p: start[p[0]] + end[p[1]])"

SPAN = {
    "each by itself": (_span("return int(start.argmax()), int(end.argmax())"), "each by itself"),
    "any length": (_span("pairs = [(i, j) for i in range(t) for j in range(i, t)]", _MAX), "any number of tokens"),
    "one too many": (
        _span("pairs = [(i, j) for i in range(t) for j in range(i, min(t, i + longest + 1))]", _MAX),
        "One token too many",
    ),
    "two at least": (
        _span("pairs = [(i, j) for i in range(t) for j in range(i + 1, min(t, i + longest))] or [(0, 0)]", _MAX),
        "An answer of one token",
    ),
    "the first one first": (
        _span("i = int(start.argmax())", "return i, i + int(end[i : i + longest].argmax())"),
        "settle the first token",
    ),
    "the last one first": (
        _span("j = int(end.argmax())", "i = max(0, j - longest + 1)", "return i + int(start[i : j + 1].argmax()), j"),
        "settle the last token",
    ),
    "backwards": (
        _span("pairs = [(i, j) for i in range(t) for j in range(max(0, i - longest), i)] or [(0, 0)]", _MAX),
        "ends before it begins",
    ),
    "the smallest": (
        _span("pairs = [(i, j) for i in range(t) for j in range(i, min(t, i + longest))]", _MAX.replace("max", "min")),
        "There is a pair with",
    ),
    "without the first token": (
        _span("pairs = [(i, j) for i in range(1, t) for j in range(i, min(t, i + longest))]", _MAX),
        "with the sum 6.5. There is a pair with 8",
    ),
    "shares added": (
        _span(
            "start, end = start.softmax(0), end.softmax(0)",
            "pairs = [(i, j) for i in range(t) for j in range(i, min(t, i + longest))]",
            _MAX,
        ),
        "There is a pair with 8",
    ),
    "zero where forbidden": (
        _span("both = (start[:, None] + end[None]).triu().tril(longest - 1)", "return divmod(int(both.argmax()), t)"),
        "minus infinity, not zero: ",
    ),
    "a search from zero": (
        _span(
            "best, pair = 0.0, (0, 0)",
            "for i in range(t):",
            "    for j in range(i, min(t, i + longest)):",
            "        if start[i] + end[j] > best: best, pair = start[i] + end[j], (i, j)",
            "return pair",
        ),
        "begins at minus infinity",
    ),
    "a score": (_span("return (start[:, None] + end).max()"), "Return two places"),
    "in place": (_span("start += end", "return 0, 0"), "changes the scores"),
}

_GOOD = "good = (true >= 0) & (nearest == true) & (best >= threshold) | (true < 0) & (best < threshold)"

HANDLED = {
    "a count": (_rightly(_GOOD, "return good.sum()"), "Divide by all questions"),
    "answers only": (
        _rightly("return ((nearest == true) & (best >= threshold)).float().mean()"),
        "count answers only",
    ),
    "refusals only": (_rightly("return ((true < 0) & (best < threshold)).float().mean()"), "refusals only"),
    "below the threshold": (
        _rightly("return ((nearest == true) | (true < 0) & (best < threshold)).float().mean()"),
        "below the threshold is not answered",
    ),
    "which entry": (_rightly("return ((true >= 0) == (best >= threshold)).float().mean()"), "*which* entry"),
    "every refusal": (
        _rightly("return ((nearest == true) & (best >= threshold) | (best < threshold)).float().mean()"),
        "count every refusal",
    ),
    "of the answered": (
        _rightly("sure = best >= threshold", "return (nearest == true)[sure].float().mean()"),
        "divide by the answered",
    ),
    "of the faq": (
        _rightly("inside = true >= 0", "return ((nearest == true) & (best >= threshold))[inside].float().mean()"),
        "divide by the questions of the FAQ",
    ),
    "no threshold": (_rightly("return (nearest == true).float().mean()"), "leave out the threshold"),
    "mistakes": (_rightly(_GOOD, "return 1 - good.float().mean()"), "share of mistakes"),
    "above it": (
        _rightly(_GOOD.replace("best >= threshold", "best > threshold").replace("best < ", "best <= "),
                 "return good.float().mean()"),
        "equals the threshold",
    ),
    "each question": (_rightly(_GOOD, "return good"), "one number"),
}  # fmt: skip
