"""Every notebook in a real JupyterLab: all cells run, without an error, a console message, or a request elsewhere."""

from __future__ import annotations

import pytest
from lab import REPOSITORY

# from the last to the first: nbval, which may run beside this, begins with the first; features are then kept once
NOTEBOOKS = sorted((path.name for path in (REPOSITORY / "notebooks").glob("*.ipynb")), reverse=True)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_all_cells_run(lab, name):
    lab.open(name)
    lab.run_all(seconds=900)
    assert lab.errors() == []
    assert lab.problems == []
    lab.page.evaluate("window.jupyterapp.shell.currentWidget.content.widgets.forEach(w => w.node.scrollIntoView())")
    lab.shot(lab.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)"), f"notebook-{name.removesuffix('.ipynb')}")
    lab.close()
