"""The freezing panel, driven by mouse and by keys; the kernel is asked what is frozen."""

from __future__ import annotations

import pytest

MAKE = """
from torch import nn
from tlcourse import freeze, frozen, unfreeze
from tlcourse.widgets import FreezePanel
model = nn.Sequential()
for name in ("stem", "<img src=x onerror=alert(1)>", "body", "head"):
    model.add_module(name, nn.Linear(3, 3))
panel = FreezePanel(model)
panel
"""
FROZEN = "print(list(frozen(model)))"
GRADS = "print([p.requires_grad for p in model.parameters()][::2])"
ODD = "<img src=x onerror=alert(1)>"


@pytest.fixture
def panel(lab):
    lab.open(lab.server.write("panel.ipynb", MAKE, "unfreeze(model)", "freeze(model, 'stem')"))
    lab.run_all()
    shown = lab.page.locator(".tlc-panel").first
    shown.wait_for()
    yield shown
    assert lab.errors() == [] and lab.problems == []
    lab.close()


def test_code_that_freezes_shows_in_the_panel(lab, panel):
    assert panel.locator("tr[data-state=frozen]").count() == 1
    assert panel.get_by_role("slider").get_attribute("aria-valuetext") == "frozen up to stem"
    assert panel.locator(".tlc-code code").inner_text() == 'freeze(unfreeze(model), until="stem")'
    lab.ask("freeze(model)")
    panel.locator(".tlc-code code", has_text="freeze(unfreeze(model))").wait_for()


def test_a_click_on_a_stage_freezes_the_real_model_up_to_it(lab, panel):
    panel.get_by_role("button", name="body, trains").click()
    lab.until(GRADS, "[False, False, False, True]")
    assert lab.ask(FROZEN) == f"['stem', '{ODD}', 'body']"


def test_a_lock_toggles_one_stage_and_the_wrong_end_is_told(lab, panel):
    panel.get_by_role("button", name="Freeze body").click()
    lab.until(FROZEN, "['stem', 'body']")
    panel.get_by_role("button", name="Freeze stem").click()
    lab.until(FROZEN, "['body']")
    panel.get_by_text("the wrong end").wait_for()


def test_keys_move_the_line(lab, panel):
    handle = panel.get_by_role("slider")
    handle.focus()
    handle.press("ArrowDown")
    lab.until(FROZEN, f"['stem', '{ODD}']")
    handle.press("End")
    lab.until(FROZEN, f"['stem', '{ODD}', 'body', 'head']")
    panel.get_by_text("Nothing trains").wait_for()
    handle.press("Home")
    lab.until(FROZEN, "[]")


def test_the_line_is_dragged(lab, panel):
    panel.get_by_role("slider").hover(position={"x": 60, "y": 4})  # waits until it stands still
    lab.page.mouse.down()
    target = panel.locator("tbody tr").nth(2).bounding_box()
    lab.page.mouse.move(target["x"] + 60, target["y"] + target["height"], steps=8)
    lab.page.mouse.up()
    lab.until(FROZEN, f"['stem', '{ODD}', 'body']")


@pytest.mark.parametrize(
    ("preset", "expected"),
    [("probe", f"['stem', '{ODD}', 'body']"), ("last", f"['stem', '{ODD}']"), ("all", "[]")],
)
def test_presets(lab, panel, preset, expected):
    panel.get_by_role("button", name=preset, exact=True).click()
    lab.until(FROZEN, expected)


def test_a_stage_may_be_called_anything(lab, panel):
    assert panel.locator("img").count() == 0
    assert panel.locator(".tlc-name").nth(1).inner_text() == ODD


def test_it_is_seen_in_the_dark(lab, panel):
    lab.shot(panel, "freeze-panel-light")
    lab.theme("JupyterLab Dark")
    lab.shot(panel, "freeze-panel-dark")
    lab.theme("JupyterLab Light")


def test_two_views_and_a_closed_panel(lab, panel):
    lab.ask("from IPython.display import display")
    lab.ask("panel.close()")
    lab.ask("freeze(model)")
    assert "True" in lab.ask("print(panel.comm is None)")
