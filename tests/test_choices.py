"""What the freezing panel offers: presets, single stages, the line of code that says the same, and warnings."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from torch import nn

from tlcourse import UnknownName, audit, freeze, frozen, lora, unfreeze
from tlcourse.freezing.choices import PRESETS, cautions, choose, code_of, outcome, preset


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


@pytest.mark.parametrize("held", [["stem", "act", "body", "head"], []])
def test_gradual_opens_one_stage_more_each_time_from_the_head_and_begins_again(held):
    net, opened = choose(chain(), held), []
    for _ in range(4):
        choose(net, preset(net, "gradual"))
        opened.append(frozen(net))
    assert opened == [("stem", "act", "body"), ("stem", "act"), (), ("stem", "act", "body")]


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


@pytest.fixture
def detoured():
    """A text classifier with a detour in both layers, and the names of what trains in it."""
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(vocab_size=20, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=8)
    net = lora(BertForSequenceClassification(config), rank=2)
    return net, trains(net)


def trains(net):
    return [name for name, p in net.named_parameters() if p.requires_grad]


def test_a_detour_in_a_stage_that_stays_frozen_stays(detoured):
    net, detours = detoured
    choose(net, frozen(net))
    assert trains(net) == detours


def test_a_stage_that_is_frozen_and_opened_again_trains_its_detour_alone(detoured):
    net, detours = detoured
    before = frozen(net)
    choose(net, [*before, "layer0", "layer1"])
    assert not any("lora_" in name for name in trains(net))
    choose(net, before)
    assert trains(net) == detours and frozen(net) == before


@pytest.mark.parametrize("held", [(), ("embeddings",), ("embeddings", "layer0"), ("embeddings", "layer0", "layer1")])
def test_the_line_of_code_leaves_detours_alone(detoured, held):
    net, _ = detoured
    choose(net, held)
    now, code = trains(net), code_of(net)
    exec(code, {"freeze": freeze, "unfreeze": unfreeze, "model": net})
    assert trains(net) == now and frozen(net) == held
    freeze(net, "embeddings"), unfreeze(net, "head")
    exec(code, {"freeze": freeze, "unfreeze": unfreeze, "model": net})
    assert trains(net) == now, "from another start"


def test_a_stage_opened_in_part_by_hand_is_left_as_it_is():
    net = freeze(chain(), "stem")
    net.body.bias.requires_grad_(False)
    exec(code_of(net), {"freeze": freeze, "unfreeze": unfreeze, "model": net})
    assert not net.body.bias.requires_grad and net.body.weight.requires_grad and frozen(net) == ("stem",)


def test_what_trains_is_told_as_it_is(detoured):
    net, _ = detoured
    assert outcome(audit(net)) == "head trains; layer0, layer1 train in part."
    choose(net, preset(net, "all"))
    assert outcome(audit(net)).endswith("layer0, layer1 train in part.")
    assert outcome(audit(freeze(net, "*"))) == "Nothing trains."
    assert outcome(audit(freeze(chain(), until="stem"))) == "body, head train."


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
    said = cautions(audit(unfreeze(net, "act")))
    assert "every parameter is frozen" in said[0] and "every stage" not in said[0]
    assert set(PRESETS) == {"probe", "last", "half", "all", "gradual"}
