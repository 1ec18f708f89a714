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
    lab.anew("panel.ipynb", MAKE, "unfreeze(model)", "freeze(model, 'stem')")
    shown = lab.page.locator(".tlc-panel").first
    shown.wait_for()
    yield shown
    assert lab.errors() == [] and lab.problems == []


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


BUSY = "The kernel is busy; this follows when it is free."


def test_while_a_cell_runs_the_panel_says_that_it_waits(lab, panel):
    handle, status = panel.get_by_role("slider"), panel.get_by_role("status")
    lab.rewrite(1, "import time\ntime.sleep(3)\nheld = list(frozen(model))")
    for _ in range(2):  # the second time the kernel may hear it in a thread of its own
        lab.ask("unfreeze(model)")
        panel.locator("tr[data-state=frozen]").first.wait_for(state="detached")
        lab.page.evaluate(
            """() => {
                window.jupyterapp.shell.currentWidget.content.activeCellIndex = 1;
                window.jupyterapp.commands.execute('notebook:run-cell') && null;
            }"""
        )
        handle.focus()
        for _press in range(3):
            handle.press("ArrowDown")
        status.filter(has_text=BUSY).wait_for(timeout=2500)
        assert handle.get_attribute("aria-valuenow") == "3", "the line stays where it was put"
        lab.until(FROZEN, f"['stem', '{ODD}', 'body']")
        assert lab.ask("print(held)") == "[]", "the cell's model was left alone"
        status.filter(has_text="Frozen up to body.").wait_for()


def test_after_a_restart_no_key_and_no_click_is_taken(lab, panel):
    handle = panel.get_by_role("slider")
    handle.focus()
    lab.do(
        """async () => {
            const context = window.jupyterapp.shell.currentWidget.sessionContext;
            await context.restartKernel();
            await context.session.kernel.info;
        }"""
    )
    lab.page.locator(".tlc-panel.tlc-ended").wait_for()
    lab.page.keyboard.press("ArrowDown")
    handle.evaluate("node => node.focus()")
    assert not handle.evaluate("node => node === document.activeElement")
    handle.dispatch_event("keydown", {"key": "ArrowDown"})  # one that was on its way
    panel.locator(".tlc-up").last.dispatch_event("click")
    assert "has ended. Run the cell again." in panel.get_by_role("status").inner_text()
    lab.run_all()
    lab.page.locator(".tlc-panel.tlc-ended").wait_for(state="detached")
    handle.press("ArrowDown")
    lab.until(FROZEN, f"['stem', '{ODD}']")


@pytest.fixture
def long(lab):
    stages = "model = nn.Sequential(*(nn.Linear(2, 2) for _ in range(200)))"
    make = MAKE.replace("model = nn.Sequential()", stages).replace("nn.Linear(3, 3)", "nn.ReLU()")
    lab.anew("long.ipynb", make)
    shown = lab.page.locator(".tlc-panel").first
    shown.wait_for()
    yield shown
    assert lab.errors() == [] and lab.problems == []


COUNT = "print(len(frozen(model)), panel.state['boundary'])"
IN_SIGHT = """handle => {
    const box = handle.closest('.tlc-chain').getBoundingClientRect(), line = handle.getBoundingClientRect();
    return line.top >= box.top && line.bottom <= box.bottom;
}"""


def test_no_key_is_lost_however_fast_they_come_and_the_line_stays_in_sight(lab, long):
    handle = long.get_by_role("slider")
    handle.focus()
    for _ in range(30):
        lab.page.keyboard.press("ArrowDown", delay=5)
        lab.page.wait_for_timeout(30)
    lab.until(COUNT, "30 30", seconds=30)
    assert handle.get_attribute("aria-valuenow") == "30"
    for key, place in (("End", 204), ("PageUp", 199), ("Home", 0)):
        handle.press(key)
        lab.until(COUNT, f"{place} {place}", seconds=30)
        lab.page.wait_for_timeout(150)  # it glides
        assert handle.evaluate(IN_SIGHT), key


def test_the_chain_scrolls_under_a_line_that_is_dragged_and_news_does_not_take_it_away(lab, long):
    handle, chain = long.get_by_role("slider"), long.locator(".tlc-chain")
    handle.hover(position={"x": 60, "y": 4})
    lab.page.mouse.down()
    box = chain.bounding_box()
    lab.page.mouse.move(box["x"] + 60, box["y"] + box["height"] - 4, steps=5)
    lab.page.wait_for_function("chain => chain.scrollTop > 700", arg=chain.element_handle())
    lab.page.mouse.move(box["x"] + 60, box["y"] + box["height"] / 2, steps=5)
    lab.page.wait_for_timeout(100)
    held = int(handle.get_attribute("aria-valuenow"))
    assert held > 20 and handle.evaluate(IN_SIGHT)
    lab.ask("freeze(model, until='5')")
    long.locator("tr[data-state=frozen]").nth(5).wait_for()
    assert int(handle.get_attribute("aria-valuenow")) == held
    lab.page.mouse.up()
    lab.until(COUNT, f"{held} {held}", seconds=30)
