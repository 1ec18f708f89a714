"""Wrong answers to chapter 04's exercises, and words of the message that each must get: the tests run them."""

from __future__ import annotations


def _last(*lines: str) -> str:
    return "import torch\n\ndef unfreeze_last(model):\n" + "".join(f"    {line}\n" for line in lines)


def _rates(*lines: str) -> str:
    return "def rates(model, lr, decay):\n" + "".join(f"    {line}\n" for line in lines)


def _phases(*lines: str) -> str:
    return "from tlcourse import freeze, unfreeze\n\ndef head_then_all(model, train):\n" + "".join(
        f"    {line}\n" for line in lines
    )


_GRADIENTS = "model.stage2.requires_grad_(True)"
_FREE = "for module in model.stage2.modules(): del module.train"
_MADE = "return torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.01)"
_CHAIN = "chain = [stage for stage in model.children() if list(stage.parameters())]"
_POWERS = 'return [{"params": list(s.parameters()), "lr": lr * decay**d} for d, s in enumerate(reversed(chain))]'

UNFREEZE = {
    "the optimizer made first": (
        _last(
            "optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.01)",
            _GRADIENTS,
            _FREE,
            "return optimizer",
        ),
        "made before the unfreezing",
    ),
    "the last two children": (_last("model[-2:].requires_grad_(True)", _MADE), "not `pool`"),
    "everything": (
        _last("from tlcourse import unfreeze", "unfreeze(model)", _MADE),
        "Too much is unfrozen: `stem`, `stage1`",
    ),
    "one stage too many": (
        _last("from tlcourse import unfreeze", "unfreeze(model, last=3)", _MADE),
        "Too much is unfrozen: `stage1` moved",
    ),
    "the wrong end": (_last("from tlcourse import unfreeze", 'unfreeze(model, "stem")', _MADE), "input's end"),
    "gradients only": (_last(_GRADIENTS, "model.stage2.train()", _MADE), "unfrozen by half"),
    "all follow train": (
        _last(
            "from tlcourse import unfreeze",
            "unfreeze(model)",
            "model.stem.requires_grad_(False)",
            "model.stage1.requires_grad_(False)",
            _MADE,
        ),
        "`stem` is no longer frozen",
    ),
    "only the optimizer chooses": (
        _last(
            "model.requires_grad_(True)",
            _FREE,
            "return torch.optim.SGD([*model.stage2.parameters(), *model.head.parameters()], lr=0.01)",
        ),
        "works them out for nothing",
    ),
    "without the head": (
        _last(_GRADIENTS, _FREE, "return torch.optim.SGD(model.stage2.parameters(), lr=0.01)"),
        "head was left out",
    ),
    "the head frozen": (_last(_GRADIENTS, _FREE, "model.head.requires_grad_(False)", _MADE), "`head` is frozen"),
    "a part of the stage": (_last("model.stage2[0].requires_grad_(True)", _FREE, _MADE), "Only a part"),
    "a rate of zero": (
        _last(_GRADIENTS, _FREE, "return torch.optim.SGD(model.parameters(), lr=0.0)"),
        "no weight moved at all",
    ),
    "a rate of zero for the stage": (
        _last(
            _GRADIENTS,
            _FREE,
            'groups = [{"params": model.stage2.parameters(), "lr": 0.0}, {"params": model.head.parameters()}]',
            "return torch.optim.SGD(groups, lr=0.01)",
        ),
        "rate is zero there",
    ),
    "a stage made new": (
        _last(_GRADIENTS, _FREE, "model.stage2[0].reset_parameters()", _MADE),
        "Your function itself changed",
    ),
    "on a copy": (_last("import copy", "model = copy.deepcopy(model)", _GRADIENTS, _FREE, _MADE), "a copy"),
    "the model returned": (_last(_GRADIENTS, _FREE, "return model"), "You returned the model"),
}

RATES = {
    "the other way round": (_rates(_CHAIN, _POWERS.replace("reversed(chain)", "chain")), "upside down"),
    "one rate for all": (_rates('return [{"params": list(model.parameters()), "lr": lr}]'), "the rate of the head"),
    "pool counted": (_rates("chain = list(model.children())", _POWERS), "`pool` was counted"),
    "two rates": (
        _rates(
            'body = {"params": list(model[:-1].parameters()), "lr": lr * decay}',
            'return [body, {"params": list(model.head.parameters()), "lr": lr}]',
        ),
        "share one rate",
    ),
    "counted from one": (_rates(_CHAIN, _POWERS.replace("**d", "**(d + 1)")), "start counting at 0"),
    "divided": (_rates(_CHAIN, _POWERS.replace("lr * decay", "lr / decay")), "you divide"),
    "times instead of power": (_rates(_CHAIN, _POWERS.replace("**d", " * (d or 1 / decay)")), "are powers"),
    "the head forgotten": (_rates(_CHAIN, "chain = chain[:-1]", _POWERS), "`head.weight` is in no group"),
    "a parameter twice": (
        _rates(_CHAIN, _POWERS + ' + [{"params": list(model.head.parameters()), "lr": lr}]'),
        "listed twice",
    ),
    "a rate a parameter": (
        _rates(
            "ps = list(model.parameters())[::-1]",
            'return [{"params": [p], "lr": lr * decay**d} for d, p in enumerate(ps)]',
        ),
        "have different rates",
    ),
    "frozen stages not counted": (
        _rates(
            "chain = [s for s in model.children() if any(p.requires_grad for p in s.parameters())]",
            _POWERS,
        ),
        "count frozen stages too",
    ),
    "frozen stages unfrozen": (_rates("model.requires_grad_(True)", _CHAIN, _POWERS), "your function unfroze it"),
    "numbers instead of arguments": (
        _rates("lr = 0.001", _CHAIN, _POWERS),
        "do not depend on it. Use `lr`",
    ),
    "decay as a number": (_rates("decay = 0.5", _CHAIN, _POWERS), "Use the argument `decay`"),
    "an optimizer": (
        _rates("import torch", _CHAIN, _POWERS.replace("return ", "return torch.optim.SGD(") + ")"),
        "You returned an optimizer",
    ),
    "only the rates": (_rates(_CHAIN, "return [lr * decay**d for d in range(len(chain))]"), "list of dicts"),
}

PHASES = {
    "reversed": (_phases("train(0.001)", "freeze(model)", "train(0.01)"), "order is reversed"),
    "one phase": (_phases("train(0.001)"), "one phase only"),
    "never frozen": (_phases("train(0.01)", "train(0.001)"), "Freeze all but the head before"),
    "the head only": (_phases("freeze(model)", "train(0.01)"), "second phase is missing"),
    "never unfrozen": (_phases("freeze(model)", "train(0.01)", "train(0.001)"), "Unfreeze the rest"),
    "the same rate": (
        _phases("freeze(model)", "train(0.01)", "unfreeze(model)", "train(0.01)"),
        "Both phases have the rate 0.01",
    ),
    "a larger rate": (
        _phases("freeze(model)", "train(0.001)", "unfreeze(model)", "train(0.01)"),
        "the larger rate",
    ),
    "a rate of zero": (_phases("freeze(model)", "train(0.01)", "unfreeze(model)", "train(0)"), "rate is zero"),
    "BatchNorm moves": (
        _phases("model[:-1].requires_grad_(False)", "train(0.01)", "model.requires_grad_(True)", "train(0.001)"),
        "the head learned from features that shift",
    ),
    "one lock left": (
        _phases("freeze(model)", "train(0.01)", "model.requires_grad_(True)", "train(0.001)"),
        "still held in evaluation mode",
    ),
    "a new head in between": (
        _phases("freeze(model)", "train(0.01)", "unfreeze(model)", "model.head.reset_parameters()", "train(0.001)"),
        "thrown away",
    ),
    "a backbone made new": (
        _phases("model.stem[0].reset_parameters()", "freeze(model)", "train(0.01)", "unfreeze(model)", "train(0.001)"),
        "Go on from the pretrained weights",
    ),
    "the head frozen": (
        _phases('freeze(model, "head")', "train(0.01)", "unfreeze(model)", "train(0.001)"),
        "wrong part was frozen",
    ),
    "the head frozen afterwards": (
        _phases("freeze(model)", "train(0.01)", "unfreeze(model)", 'freeze(model, "head")', "train(0.001)"),
        "follow the features",
    ),
    "only the last stage follows": (
        _phases("freeze(model)", "train(0.01)", 'unfreeze(model, "stage2")', "train(0.001)"),
        "Everything should",
    ),
    "nothing trained": (_phases("freeze(model)", "unfreeze(model)"), "never called"),
    "all frozen": (_phases('freeze(model, "*")', "train(0.01)"), "the whole network was frozen"),
}
