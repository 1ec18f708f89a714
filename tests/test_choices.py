"""What the freezing panel offers: presets, single stages, the line of code that says the same, and warnings."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from torch import nn

from tlcourse import UnknownName, audit, freeze, frozen, lora, unfreeze
from tlcourse.freezing.choices import PRESETS, cautions, choose, code_of, preset


def chain(names=("stem", "act", "body", "head")):
    net = nn.Sequential()
    for name in names:
        net.add_module(name, nn.ReLU() if name == "act" else nn.Linear(3, 3))
    return net


@pytest.mark.parametrize(
    ("name", "expected"),
    [("probe", ("stem", "act", "body")), ("last", ("stem", "act")), ("half", ("stem", "act")), ("all", ())],
)
def test_a_preset_names_what_it_would_freeze_and_changes_nothing(name, expected):
    net = chain()
    assert preset(net, name) == expected and frozen(net) == ()


def test_gradual_opens_one_stage_more_each_time_from_the_head():
    net, opened = choose(chain(), ["stem", "act", "body", "head"]), []
    for _ in range(4):
        choose(net, preset(net, "gradual"))
        opened.append(frozen(net))
    assert opened == [("stem", "act", "body"), ("stem", "act"), (), ()]


def test_an_unknown_preset_or_stage_names_the_nearest_and_changes_nothing():
    net = freeze(chain(), "stem")
    with pytest.raises(UnknownName, match="half"):
        preset(net, "hafl")
    with pytest.raises(UnknownName, match="body"):
        choose(net, ["head", "bodi"])
    assert frozen(net) == ("stem",)


@settings(max_examples=40, deadline=None)
@given(some.sets(some.sampled_from(["stem", "act", "body", "[odd]*", 'a "quote"', "head"])), some.booleans())
def test_the_line_of_code_freezes_the_same_from_any_start(held, all_before):
    names = ("stem", "act", "body", "[odd]*", 'a "quote"', "head")
    net, other = choose(chain(names), held), chain(names)
    if all_before:
        freeze(other, "*")
    exec(code_of(net, "other"), {"freeze": freeze, "unfreeze": unfreeze, "other": other})
    assert set(frozen(net)) == set(frozen(other)) == held


def test_a_detour_in_a_stage_that_stays_frozen_stays(tmp_path):
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(vocab_size=20, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=8)
    net = lora(BertForSequenceClassification(config), rank=2)
    detours = [name for name, p in net.named_parameters() if p.requires_grad]
    choose(net, frozen(net))
    assert [name for name, p in net.named_parameters() if p.requires_grad] == detours


def test_the_wrong_end_is_told():
    said = cautions(audit(freeze(chain(), "body")))
    assert len(said) == 1 and said[0].startswith("stem trains while body behind it is frozen: the wrong end.")
    assert cautions(audit(freeze(chain(), until="body"))) == []


def test_batchnorm_that_only_looks_frozen_is_told():
    net = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 2))
    net[0].requires_grad_(False)
    assert "0 looks frozen, but BatchNorm's statistics will move" in cautions(audit(net))[0]
    assert "batches of 16 or more" in cautions(audit(unfreeze(net)))[0]
    assert cautions(audit(freeze(net, "0"))) == []


def test_nothing_that_trains_and_an_old_optimizer_are_told():
    net = freeze(chain(), until="body")
    optimizer = torch.optim.SGD(net.head.parameters(), lr=0.1)
    assert "does not hold all that trains in body" in cautions(audit(unfreeze(net, "body"), optimizer))[0]
    assert "Nothing trains" in cautions(audit(freeze(net, "*")))[0]
    assert set(PRESETS) == {"probe", "last", "half", "all", "gradual"}
