"""Chapter 04's exercises take every right answer, and their material shows what it is about."""

from __future__ import annotations

import pytest
import torch

from tlcourse import audit, frozen
from tlcourse.exercises import exercise


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path))
    return tmp_path


def check(name, *lines, start="import torch\nimport tlcourse as tl\n"):
    signatures = {
        "04.1": "unfreeze_last(model)",
        "04.2": "rates(model, lr, decay)",
        "04.3": "head_then_all(model, train)",
    }
    cell = {}
    exec(f"{start}def {signatures[name]}:\n" + "".join(f"    {line}\n" for line in lines), cell)
    return exercise(name).check(cell[exercise(name).answers[0]])


@pytest.mark.parametrize(
    "lines",
    [
        ['tl.unfreeze(model, "stage2")', "return torch.optim.AdamW(tl.parameter_groups(model, 1e-6))"],
        ["tl.unfreeze(model, last=2)", "return torch.optim.SGD(tl.parameter_groups(model, 1e-3, decay=0.1))"],
        ["tl.unfreeze(model)", 'tl.freeze(model, until="stage1")', "return torch.optim.Adam(model.parameters())"],
        # the optimizer holds everything: without gradients the frozen parameters stay
        [
            "optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=0.1)",
            'tl.unfreeze(model, "stage2")',
            "return optimizer",
        ],
        # added to an optimizer of the head
        [
            "optimizer = torch.optim.RMSprop(model.head.parameters(), lr=0.01)",
            'tl.unfreeze(model, "stage2")',
            'optimizer.add_param_group({"params": model.stage2.parameters(), "lr": 0.001})',
            "return optimizer",
        ],
        # by hand
        [
            "for p in model.stage2.parameters(): p.requires_grad = True",
            'for module in model.stage2.modules(): vars(module).pop("train", None)',
            "model.stage2.train()",
            "return torch.optim.SGD([*model.head.parameters(), *model.stage2.parameters()], lr=0.1)",
        ],
    ],
)
def test_other_ways_to_unfreeze_the_last_stage_are_right(lines):
    reply = check("04.1", *lines)
    assert reply.state == "right", reply


@pytest.mark.parametrize(
    "lines",
    [
        ["return tl.parameter_groups(model, lr, decay=decay)"],
        ["return tuple(tl.parameter_groups(model, lr, decay=decay, weight_decay=0.1))"],
        # from the input on, a generator a group, and an empty group for what has no parameters
        [
            "deep = sum(1 for s in model if list(s.parameters())) - 1",
            "for stage in model:",
            '    yield {"params": stage.parameters(), "lr": lr * decay**deep}',
            "    deep -= bool(list(stage.parameters()))",
        ],
        # a group a parameter, frozen ones left out
        [
            "groups, rate = [], lr",
            "for stage in reversed(list(model.children())):",
            "    ps = list(stage.parameters())",
            '    groups += [{"params": p, "lr": rate} for p in ps if p.requires_grad]',
            "    rate = rate * decay if ps else rate",
            "return groups",
        ],
        # parameters with their names
        [
            "chain = [s for s in tl.stages(model).children() if list(s.parameters())][::-1]",
            'return [{"params": list(s.named_parameters()), "lr": lr * decay**d} for d, s in enumerate(chain)]',
        ],
    ],
)
def test_other_ways_to_give_rates_are_right(lines):
    reply = check("04.2", *lines)
    assert reply.state == "right", reply


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (['return [{"params": model.parameters()}]'], 'no `"lr"`'),
        (['return [{"params": [torch.zeros(3)], "lr": lr}]'], "no parameter of the model"),
        (['return {"params": model.parameters(), "lr": lr}'], "list of dicts"),
        (['return [{"params": 3, "lr": lr}]'], "list of dicts"),
        (['return [{"params": list(model.parameters()), "lr": "fast"}]'], "No optimizer can be made"),
        (
            [
                'chain = {"stem": 3, "stage1": 2, "stage2": 1, "head": 0}',
                'return [{"params": getattr(model, n).parameters(), "lr": lr * decay**d} for n, d in chain.items()]',
            ],
            "`stage3.0.weight` is in no group",
        ),
        (
            [
                "rates = [lr, lr * decay, lr * decay**2, lr * decay**3, lr * decay**3]",
                "chain = [s for s in model if list(s.parameters())][::-1]",
                'return [{"params": s.parameters(), "lr": r} for s, r in zip(chain, rates)]',
            ],
            "In a longer chain",
        ),
        (
            [
                'groups = [{"params": s.parameters(), "lr": lr * decay**d} for d, s in enumerate(model.children())]',
                "return groups",
            ],
            "upside down",
        ),
        (["del model.pool", "return tl.parameter_groups(model, lr)"], "rate of the head"),
        (["del model.head", "return tl.parameter_groups(model, lr)"], "gone"),
    ],
)
def test_odd_groups_are_told(lines, words):
    reply = check("04.2", *lines)
    assert reply.state == "not yet" and words in reply.text, reply


@pytest.mark.parametrize(
    "lines",
    [
        ["tl.freeze(model)", "train(1e-5)", "tl.unfreeze(model)", "train(lr=1e-6)", "return model"],
        # many calls in each phase
        [
            "for step, lr in ((tl.freeze, 0.1), (tl.unfreeze, 0.01)):",
            "    step(model)",
            "    for _ in range(3): train(lr)",
        ],
        # gradual unfreezing, with a falling rate
        [
            "tl.freeze(model)",
            "train(0.01)",
            "for last in (2, 3, 4):",
            "    tl.unfreeze(model, last=last)",
            "    train(0.01 * 0.5 ** last)",
        ],
        # by hand, with a head made afresh before
        [
            "model.head.reset_parameters()",
            "body = model[:-1].requires_grad_(False).eval()",
            "for m in body: m.train = lambda mode=True, m=m: m",
            "train(0.01)",
            "body.requires_grad_(True)",
            "for m in body: del m.train",
            "train(0.001)",
        ],
    ],
)
def test_other_ways_to_train_the_head_first_are_right(lines):
    reply = check("04.3", *lines)
    assert reply.state == "right", reply


@pytest.mark.parametrize("odd", ["fast", None, -1, float("nan"), float("inf"), [1, 2], torch.zeros(2)])
def test_a_rate_that_is_none_is_told_with_the_line(odd):
    def head_then_all(model, train):
        train(odd)

    reply = exercise("04.3").check(head_then_all)
    assert reply.state == "error" and "rate" in reply.text and "Line" in reply.text, reply


def test_a_rate_beyond_all_numbers_ends_in_a_message():
    reply = check("04.3", "tl.freeze(model)", "train(1e36)", "tl.unfreeze(model)", "train(1e35)")
    assert reply.state in ("right", "not yet"), reply


def test_the_material_is_what_the_tasks_say():
    model = exercise("04.1").material()
    assert frozen(model) == ("stem", "stage1", "stage2", "pool")
    assert audit(model)["requires grad"].to_dict()["head"] == "yes"
    free = exercise("04.2").material()
    assert frozen(free) == () and all(p.requires_grad for p in free.parameters())
    again = exercise("04.2").material()
    assert all(torch.equal(a, b) for a, b in zip(free.state_dict().values(), again.state_dict().values(), strict=True))


def test_the_lent_train_says_what_it_moved(capsys):
    from tlcourse import freeze

    model, train = exercise("04.3").material()
    assert train(0.01) > 0
    model[:-1].requires_grad_(False)
    train(0.01)
    freeze(model)
    train(0.01)
    freeze(model, "*")
    train(0.01)
    assert capsys.readouterr().out.splitlines() == [
        "train(0.01) moved the weights of: stem, stage1, stage2, head; BatchNorm's statistics of: stem, stage1, stage2",
        "train(0.01) moved the weights of: head; BatchNorm's statistics of: stem, stage1, stage2",
        "train(0.01) moved the weights of: head",
        "train(0.01) moved the weights of: nothing",
    ]
