"""Wrong answers to chapter 06-1's exercises, and words of the message that each must get: the tests run them."""

from __future__ import annotations


def _worth(*lines: str) -> str:
    head = (
        "def worth(scores, true, threshold, prevalence):\n    alarm = (scores > threshold).float()\n"
        "    a, b, p = alarm[true == 1].mean(), alarm[true == 0].mean(), prevalence\n"
    )
    return head + "".join(f"    {line}\n" for line in lines)


def _divide(*lines: str) -> str:
    head = "import torch\n\ndef divide(patients, share):\n    who = patients.unique()\n"
    return head + "".join(f"    {line}\n" for line in lines)


def _mixed(*lines: str) -> str:
    head = (
        "import torch\n\ndef mixed_up(true, said, n):\n"
        "    counts = torch.zeros(n, n).index_put_((true, said), torch.ones(len(true)), accumulate=True)\n"
        "    of = counts.sum(1, keepdim=True).clamp(min=1)\n    off = counts.clone().fill_diagonal_(0)\n"
    )
    return head + "".join(f"    {line}\n" for line in lines)


ALARM = {
    "in the test set": (_worth("return true[alarm == 1].float().mean()"), "in this test set"),
    "ill and healthy alike": (_worth("return a / (a + b)"), "half of the world"),
    "sensitivity": (_worth("return a"), "of the *ill*"),
    "not divided": (_worth("return p * a"), "Divide it"),
    "all alarms": (_worth("return p * a + (1 - p) * b"), "alarm at all"),
    "specificity for its rest": (_worth("return p * a / (p * a + (1 - p) * (1 - b))"), "*without* an alarm"),
    "weights swapped": (_worth("return (1 - p) * a / ((1 - p) * a + p * b)"), "wrong way round"),
    "false alarms": (_worth("return (1 - p) * b / (p * a + (1 - p) * b)"), "*false* alarms"),
    "at the threshold too": (
        _worth(
            "alarm = (scores >= threshold).float()",
            "a, b = alarm[true == 1].mean(), alarm[true == 0].mean()",
            "return p * a / (p * a + (1 - p) * b)",
        ),
        "*equal*",
    ),
    "below the threshold": (
        _worth("a, b = 1 - a, 1 - b", "return p * a / (p * a + (1 - p) * b)"),
        "*below*",
    ),
    "two numbers": (_worth("return p * a, (1 - p) * b"), "One number is wanted"),
}

DIVIDE = {
    "by picture": (_divide("return torch.rand(len(patients)) < share"), "Draw patients"),
    "the first pictures": (
        _divide(
            "side = torch.zeros(len(patients), dtype=torch.bool)",
            "side[: int(share * len(side))] = True",
            "return side",
        ),
        "Draw patients",
    ),
    "patients of drawn pictures": (
        _divide("some = patients[torch.rand(len(patients)) < share]", "return torch.isin(patients, some)"),
        "Draw patients, not pictures",
    ),
    "training for test": (
        _divide(
            "some = who[torch.randperm(len(who))[: round(share * len(who))]]", "return ~torch.isin(patients, some)"
        ),
        "seven of ten",
    ),
    "always the first": (
        _divide("return torch.isin(patients, who[: max(1, round(share * len(who)))])"),
        "The same patients",
    ),
    "half of them": (
        _divide("return torch.isin(patients, who[torch.randperm(len(who))[: len(who) // 2]])"),
        "about 6 are wanted",
    ),
    "nobody of two": (
        _divide("return torch.isin(patients, who[torch.randperm(len(who))[: int(share * len(who))]])"),
        "tests nothing",
    ),
    "both of two": (
        _divide("return torch.isin(patients, who[torch.randperm(len(who))[: max(1, round(share * len(who)))]])"),
        "left to learn from",
    ),
    "always three tenths": (
        _divide(
            "n = min(max(1, round(0.3 * len(who))), len(who) - 1)",
            "return torch.isin(patients, who[torch.randperm(len(who))[:n]])",
        ),
        "Use `share`",
    ),
    "nobody": (_divide("return torch.zeros(len(patients), dtype=torch.bool)"), "Nobody is in the test"),
    "everybody": (_divide("return torch.ones(len(patients), dtype=torch.bool)"), "Nobody is left"),
    "the patients": (_divide("return who[torch.randperm(len(who))[:6]]"), "Numbers came back"),
    "one a patient": (_divide("return torch.rand(len(who)) < share"), "a *picture*"),
}

MIXED = {
    "turned": (_mixed("i, j = divmod(int((off / of).argmax()), n)", "return j, i"), "wrong way round: (i, j)"),
    "counts": (_mixed("return divmod(int(off.argmax()), n)"), "largest *count*, so"),
    "counts turned": (_mixed("return divmod(int(off.T.argmax()), n)"), "largest *count*, and"),
    "by answer": (_mixed("return divmod(int((off / counts.sum(0).clamp(min=1)).argmax()), n)"), "was *said*"),
    "the diagonal": (_mixed("return divmod(int(counts.argmax()), n)"), "most frequent right"),
    "the diagonal of shares": (_mixed("return divmod(int((counts / of).argmax()), n)"), "named best"),
    "of the mistakes": (
        _mixed("return divmod(int((off / off.sum(1, keepdim=True).clamp(min=1)).argmax()), n)"),
        "the class's *mistakes*",
    ),
    "an empty class": (
        _mixed("return divmod(int((off / counts.sum(1, keepdim=True)).argmax()), n)"),
        "class 1 has no items",
    ),
    "the worst class": (
        _mixed("i = int((off.sum(1) / of.flatten()).argmax())", "return i, int(off[i].argmax())"),
        "single shares",
    ),
    "the table": (_mixed("return off / of"), "Two class numbers"),
    "a place": (_mixed("return int((off / of).argmax())"), "Two class numbers are wanted, (i, j), not"),
}
