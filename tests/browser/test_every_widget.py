"""What holds for every widget: usable by all, in both themes, on a phone; shown twice, closed, without its kernel."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

SERIOUS = ("serious", "critical")


@dataclass(frozen=True)
class Kind:
    """A widget, made by a cell whose last line shows `widget`."""

    css: str
    make: str


KINDS = {
    "freeze-panel": Kind(
        ".tlc-panel",
        "from tlcourse import FreezePanel, load, load_dataset\n"
        'model = load("efficientnet-lite0", classes=2, pretrained=False, size=32)\n'
        'widget = FreezePanel(model, load_dataset("faces").train[:32])\n'
        "widget.act({'do': 'preset', 'what': 'last'})\nwidget.step()\nwidget",
    ),
    "training-monitor": Kind(
        ".tlc-monitor",
        "from tlcourse import TrainingMonitor, fit, freeze, load, load_dataset\n"
        "data, widget = load_dataset('faces'), TrainingMonitor()\n"
        "for lr in (0.1, 0.01):\n"
        "    model = freeze(load('efficientnet-lite0', classes=2, size=64))\n"
        "    fit(model, data.train[:40], data.valid, epochs=4, lr=lr, batch=8, progress=widget)\n"
        "widget",
    ),
    "embedding-explorer": Kind(
        ".tlc-explorer",
        "from tlcourse import EmbeddingExplorer, load, load_dataset\n"
        "data = load_dataset('surfaces')\n"
        "model = load('efficientnet-lite0', size=64)\n"
        "widget = EmbeddingExplorer(model, {'train': data.train.shots(10), 'test': data.test.shots(10)})\n"
        "widget.stage, widget.chosen = 'stage5', 3\nwidget",
    ),
    "predict-image": Kind(
        ".tlc-of-image",
        "from tlcourse import Predict, load\nwidget = Predict(load('efficientnet-lite0'))\nwidget",
    ),
    "predict-text": Kind(
        ".tlc-of-text",
        "from tlcourse import Predict, load\n"
        "widget = Predict(load('minilm', classes=['negative', 'positive']), 'A sharp lens, but the battery died.')\n"
        "widget",
    ),
    "chat": Kind(
        ".tlc-chat",
        "from tlcourse import AnswerBot, Chat, load, support_faq\n"
        "widget = Chat(AnswerBot(support_faq(), load('minilm'), threshold=0.5), ['My mouse does not move any more.'])\n"
        "for question in ('My mouse does not move any more.', 'How do I clean my keyboard?', 'Esqueci minha senha.'):\n"
        "    widget.ask(question)\n"
        "widget",
    ),
    "loss-mixer": Kind(
        ".tlc-mixer",
        "import torch\nfrom tlcourse import LossMixer\nfrom tlcourse.features import Features\n"
        "def cloud(n, turned, seed):\n"
        "    g, y = torch.Generator().manual_seed(seed), torch.arange(n) % 2\n"
        "    x = torch.randn(n, 3, generator=g) + 1.5 * (2 * y - 1)[:, None] * torch.tensor(turned)\n"
        "    return Features(x, y, tuple(map(str, range(n))), ('negative', 'positive'), 'pool')\n"
        "old, new = (1.0, 0.0, 0.2), (0.0, 1.0, 0.2)\n"
        "widget = LossMixer(cloud(60, old, 0), cloud(40, new, 1), (cloud(50, old, 2), cloud(50, new, 3)),\n"
        "                   shots=(2, 8), names=('movie', 'tweet'))\n"
        "widget",
    ),
    "distance-dial": Kind(
        ".tlc-dial",
        "from tlcourse import DistanceDial\nwidget = DistanceDial(distance=0.7, labels=10)\nwidget",
    ),
    "descent-explorer": Kind(
        ".tlc-descent",
        "from tlcourse import DescentExplorer\n"
        "widget = DescentExplorer('valley', optimizer='momentum', momentum=0.8, lr=0.03)\n"
        "widget",
    ),
}


@pytest.fixture(params=KINDS, ids=str, scope="module")
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def shown(lab, kind):
    """Both views of a widget; the tests below take it one after the other, as a person would."""
    lab.open(lab.server.write(f"{kind}.ipynb", KINDS[kind].make, "widget"))
    lab.run_all()
    views = lab.page.locator(KINDS[kind].css)
    views.nth(1).wait_for()
    yield views
    assert lab.errors() == [] and lab.problems == []
    lab.close()


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_no_serious_fault_for_those_who_see_or_hear_or_type(lab, shown, kind, theme):
    from axe_playwright_python.sync_playwright import Axe

    lab.theme(theme)
    found = Axe().run(lab.page, context=KINDS[kind].css)
    lab.shot(shown.first, f"{kind}-{theme.split()[-1].lower()}")
    lab.theme("JupyterLab Light")
    bad = [
        f"{fault['id']}: {fault['help']} in {node['html'][:120]}: {node.get('failureSummary', '')}"
        for fault in found.response["violations"]
        for node in fault["nodes"]
        if fault["impact"] in SERIOUS
    ]
    assert not bad, "\n".join(bad)


def test_on_a_phone_nothing_runs_out_of_the_window(lab, shown, kind):
    lab.page.set_viewport_size({"width": 390, "height": 844})
    lab.page.evaluate("window.jupyterapp.shell.collapseLeft()")
    lab.page.wait_for_timeout(500)
    lab.shot(shown.first, f"{kind}-phone")
    wide = shown.first.evaluate("node => [node.scrollWidth, node.clientWidth]")
    lab.page.set_viewport_size({"width": 1280, "height": 1000})
    assert wide[0] <= wide[1] + 1


def test_keys_pressed_in_it_do_nothing_to_the_notebook(lab, shown):
    cells, active = (
        f"() => window.jupyterapp.shell.currentWidget.content.{what}" for what in ("widgets.length", "activeCellIndex")
    )
    controls = shown.first.locator("button:visible, input:visible, select:visible, textarea:visible, [tabindex='0']")
    enabled = [one for one in controls.all() if one.is_enabled()][:4]
    assert enabled
    for control in enabled:
        control.focus()
        before = lab.page.evaluate(cells), lab.page.evaluate(active)
        for key in ("b", "ArrowUp"):
            control.press(key)
        lab.page.wait_for_timeout(100)
        assert (lab.page.evaluate(cells), lab.page.evaluate(active)) == before


def test_a_kernel_that_ends_is_told(lab, shown, kind):
    lab.do(
        """async () => {
            const context = window.jupyterapp.shell.currentWidget.sessionContext;
            await context.restartKernel();
            await context.session.kernel.info;
        }"""
    )
    ended = lab.page.locator(f"{KINDS[kind].css}.tlc-ended")
    ended.nth(1).wait_for()
    assert "has ended. Run the cell again." in ended.first.inner_text()
    reached = ended.first.evaluate(
        """box => [...box.querySelectorAll('button, input, select, textarea, [tabindex]')]
            .filter(node => !node.closest('[inert]')).length"""
    )
    assert (reached > 0) == (kind == "loss-mixer"), "only the mixer needs no kernel"
    lab.run_all()
    ended.first.wait_for(state="detached")
    assert shown.count() == 2


def test_in_two_cells_both_are_alive_and_closing_ends_both(lab, shown):
    assert shown.count() == 2
    lab.ask("widget.close()")
    shown.first.wait_for(state="detached")
    assert lab.ask("print(repr(widget)[:3] != '')") == "True"
