"""A figure leaves matplotlib, the kernel's memory and the user's settings as they were."""

from __future__ import annotations

import re
import subprocess
import sys

import matplotlib

from tlcourse import plots


def test_the_users_matplotlib_is_left_alone():
    with matplotlib.rc_context({"text.color": "white", "font.size": 31.0, "axes.facecolor": "black"}):
        before = dict(matplotlib.rcParams)
        plot = plots.bars({"a": 1.0})
        plot._repr_html_()
        assert dict(matplotlib.rcParams) == before
    assert plot.figure.axes[0].texts[0].get_color() != "white"
    assert plot.figure.axes[0].get_facecolor() == (1, 1, 1, 1)


def test_pyplot_is_never_imported_and_no_figure_is_registered():
    code = """
import sys
from tlcourse import plots
plot = plots.history([{"epoch": 1, "loss": 2.0}])
plot._repr_mimebundle_(), plots.bars({"a": 1.0})._repr_html_()
assert "matplotlib.pyplot" not in sys.modules, "pyplot"
assert "torch" not in sys.modules, "torch"
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)


def test_a_figure_is_freed_with_its_plot():
    import gc
    import weakref

    plot = plots.bars({"a": 1.0})
    plot._repr_html_()
    figure = weakref.ref(plot.figure)
    del plot
    gc.collect()
    assert figure() is None


def test_the_image_is_twice_as_fine_as_it_is_shown(tmp_path):
    from PIL import Image

    plot = plots.bars({"a": 1.0})
    shown = int(re.search(r' width="(\d+)"', plot._repr_html_())[1])
    saved = plot.save(tmp_path / "new" / "bars.png")
    with Image.open(saved) as image:
        assert image.width == 2 * shown and image.text["Description"] == plot.alt
        assert image.convert("RGB").getpixel((0, 0)) == (255, 255, 255)
    assert plot.save(tmp_path / "bars.svg").read_text().startswith("<?xml")
    assert plot.save(tmp_path / "bare").name == "bare.png"


def test_colours_of_text_can_be_read_on_white():
    from tlcourse.plots.plot import COLOURS, _luminance, readable

    for colour in COLOURS:
        assert 1.05 / (_luminance(matplotlib.colors.to_rgb(readable(colour))) + 0.05) >= 4.4
