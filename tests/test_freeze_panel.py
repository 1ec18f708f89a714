"""The freezing panel without a browser: what a click does to the model, what the page is told, what a reader sees."""

from __future__ import annotations

import json

import pytest
import torch
from small_nets import image_net, images
from torch import nn

from tlcourse import CourseError, FreezePanel, audit, freeze, frozen, unfreeze
from tlcourse.widgets.view import script, style

ODD = "<img src=x onerror=alert(1)>"


def names_of(panel, state="frozen"):
    return [stage["name"] for stage in panel.state["stages"] if stage["state"] == state]


def test_the_panel_changes_the_model_and_code_changes_the_panel():
    net = image_net()
    panel = FreezePanel(net)
    panel.act({"do": "until", "what": 2})
    assert frozen(net) == ("stem", "body") and panel.state["boundary"] == 2
    unfreeze(net), freeze(net, "neck")
    panel.refresh()
    assert names_of(panel) == ["neck"] and panel.state["code"] == 'freeze(unfreeze(model), "neck")'
    assert "wrong end" in panel.state["cautions"][0]


def test_the_three_facts_are_those_of_audit():
    net = image_net()
    net.body.requires_grad_(False)
    panel = FreezePanel(net)
    shown = {s["name"]: (s["grad"], s["optimizer"], s["buffers"]) for s in panel.state["stages"]}
    table = audit(net)[["requires grad", "in optimizer", "buffers that move"]]
    assert shown == {name: tuple(row) for name, row in table.iterrows()}
    assert names_of(panel, "loose") == ["body"]


def test_a_stage_without_parameters_can_be_locked_and_is_drawn_as_such():
    panel = FreezePanel(image_net())
    assert "pool" in names_of(panel, "none")
    panel.act({"do": "toggle", "what": "pool"})
    assert frozen(panel.model) == ("pool",)


def test_a_step_shows_what_moved_until_something_else_is_frozen():
    panel = FreezePanel(freeze(image_net()), images())
    moved = panel.step()
    assert panel.state["tried"] and "1 of" in panel.status and moved.loc["head", "parameters moved"] == 2
    panel.act({"do": "preset", "what": "all"})
    assert not panel.state["tried"]


@pytest.mark.parametrize(
    "message",
    [{}, {"do": "explode"}, {"do": "until", "what": 99}, {"do": "until", "what": "stem"}, {"do": "toggle", "what": 3}],
)
def test_a_message_that_makes_no_sense_is_told_and_changes_nothing(message):
    panel = FreezePanel(image_net())
    with pytest.raises(CourseError):
        panel.act(message)
    assert frozen(panel.model) == ()


def test_a_model_whose_stages_are_not_known_says_how_to_name_them():
    with pytest.raises(CourseError, match="set_stages"):
        FreezePanel(nn.Linear(2, 2))


def test_the_status_tells_what_happened_not_what_was_asked():
    panel = FreezePanel(image_net())
    for name, told in (
        ("all", "Everything trains."),
        ("gradual", "Only head trains."),
        ("gradual", "neck, head train."),
        ("probe", "Only head trains."),
    ):
        panel.act({"do": "preset", "what": name})
        assert panel.status == told


def test_something_else_than_an_optimizer_is_refused():
    with pytest.raises(CourseError, match="'adam' is not an optimizer"):
        FreezePanel(image_net(), optimizer="adam")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("data", [None, images()])
def test_a_model_of_another_precision(dtype, data):
    panel = FreezePanel(image_net().to(dtype), data)
    panel.act({"do": "step"})
    assert "4 of 5 stages moved" in panel.status
    assert ("an epoch" in panel.state["totals"]) == (data is not None)


def test_one_item_has_a_price_but_batchnorm_cannot_take_a_step_with_it():
    net = image_net()
    net.neck.append(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(8)))
    panel = FreezePanel(net, images()[:1])
    assert "an epoch" in panel.state["totals"]
    with pytest.raises(CourseError, match="a batch of one item"):
        panel.act({"do": "step"})
    panel.act({"do": "preset", "what": "probe"})
    panel.act({"do": "step"})
    assert "1 of 5" in panel.status


def test_odd_names_and_two_hundred_stages():
    net = nn.Sequential()
    for name in (ODD, "😀", "مرحلة", "long " * 40, *(f"s{i}" for i in range(196))):
        net.add_module(name, nn.Linear(2, 2))
    panel = FreezePanel(net)
    panel.act({"do": "until", "what": 100})
    assert len(frozen(net)) == 100 and len(names_of(panel)) == 100
    assert len(json.dumps(panel.state)) < 100_000
    assert ODD in repr(panel)
    bundle = panel._repr_mimebundle_()[0]
    assert "<img src=x" not in bundle["text/html"] and bundle["text/plain"].startswith("200 stages")


def test_nothing_is_loaded_from_elsewhere():
    for name in ("freeze_panel", "training_monitor"):
        assert "http" not in script(name).replace("http://www.w3.org/2000/svg", "") + style(name)
        assert "innerHTML" not in script(name)
