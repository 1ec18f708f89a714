"""What all widgets share: at a cell's end each is brought up to date, or says why not, and what was clicked is done."""

from __future__ import annotations

import pytest
import traitlets
from small_nets import image_net
from torch import nn

from tlcourse import CourseError, FreezePanel, freeze, frozen
from tlcourse.widgets import view


@pytest.fixture(autouse=True)
def cell():
    """A cell runs; the widgets of other tests are none of its business."""
    before, view._alive[:] = list(view._alive), []
    view._cell_begins()
    yield
    view._busy = False
    view._waiting.clear()
    view._alive[:] = before


class Counter(view.View):
    """Counts what it is asked and how often it was brought up to date."""

    _esm = view.script()
    asked, seen = traitlets.List(), traitlets.Int()

    def act(self, message):
        if message.get("do") == "fail":
            raise message.get("error", RuntimeError("no such thing"))
        self.asked = [*self.asked, message["do"]]

    def refresh(self):
        self.seen += 1


def hears(widget, **message):
    view._heard(widget, message, [])


def tied(model):
    """Two stages that share a weight: the chain cannot be told any more."""
    model.add_module("tail", model.stem)
    return model


def test_a_model_that_changed_its_shape_is_told_in_its_panel_and_the_others_go_on():
    net, other = image_net(), image_net()
    broken, sound, last = FreezePanel(net), FreezePanel(other), Counter()
    tied(net), freeze(other)
    view._cell_ends()
    assert "'stem' and 'tail'" in broken.status
    assert sound.state["boundary"] == 4 and sound.status == "" and last.seen == 1


def test_a_chain_that_is_whole_again_takes_the_complaint_back_but_nothing_else():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    panel = FreezePanel(net)
    panel.say("Frozen up to 0.")
    view._cell_ends()
    assert panel.status == "Frozen up to 0."
    taken = [net.pop(1), net.pop(0)]
    view._cell_ends()
    assert "not known" in panel.status
    net.append(taken[1]), net.append(taken[0])
    view._cell_ends()
    assert panel.status == "" and len(panel.state["stages"]) == 2


@pytest.mark.parametrize("error", [RuntimeError("no such thing"), CourseError("No such thing."), KeyboardInterrupt()])
def test_a_waiting_click_that_fails_is_told_and_the_rest_is_done(error):
    first, second = Counter(), Counter()
    hears(first, do="fail", error=error), hears(second, do="b"), hears(first, do="c")
    assert first.asked == second.asked == []
    view._cell_ends()
    assert first.asked == ["c"] and second.asked == ["b"]
    assert any(word in first.status for word in ("such thing", "interrupted"))


def test_the_page_hears_which_question_was_dealt_with_and_not_before():
    panel = FreezePanel(image_net())
    hears(panel, do="until", what=2, turn="one")
    assert panel.answered == "" and frozen(panel.model) == ()
    view._cell_ends()
    assert panel.answered == "one" and frozen(panel.model) == ("stem", "body")
    hears(panel, do="explode", turn="two")
    assert panel.answered == "two" and "explode" in panel.status


def test_a_message_that_makes_no_sense_is_answered():
    panel = FreezePanel(image_net())
    view._cell_ends()
    view._heard(panel, "nonsense", [])
    assert "cannot do" in panel.status
    hears(panel, do="until", what=1, turn=["odd"])
    assert frozen(panel.model) == ("stem",) and panel.answered == ""


def test_a_closed_widget_is_left_alone():
    counter = Counter()
    hears(counter, do="a")
    counter.close()
    view._cell_ends()
    assert counter.asked == [] and counter.seen == 0


def test_two_panels_of_one_model_agree_at_once():
    net = image_net()
    one, two, other = FreezePanel(net), FreezePanel(net), FreezePanel(image_net())
    two.step()
    one.act({"do": "until", "what": 3})
    assert two.state["boundary"] == 3 and two.state["code"] == one.state["code"] and not two.state["tried"]
    assert other.state["boundary"] == 0
    two.freeze()
    assert one.state["boundary"] == 0
