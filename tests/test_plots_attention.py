"""The figure of attention: what it says in words, and what it refuses."""

from __future__ import annotations

import pytest
import torch

from tlcourse import CourseError, plots

WEIGHTS = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]])


def test_the_words_name_where_each_piece_looked():
    plot = plots.attention(WEIGHTS, ["open", "a", "file"], ["ouvrir", "⏹"], title="open a file")
    assert "2 pieces over 3 words" in plot.alt and "“ouvrir” looked most at “open” (0.700)" in plot.alt
    assert "“(end)” at “file” (0.800)" in plot.alt and plot.alt.startswith("open a file: ")
    axes = plot.figure.axes[0]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["ouvrir", "(end)"]
    assert axes.lines[0].get_xdata().tolist() == [0, 2], "a dot marks the strongest place, not colour alone"


@pytest.mark.parametrize(
    ("weights", "source", "written", "message"),
    [
        (WEIGHTS, ["a"], ["b", "c"], "the shape"),
        (WEIGHTS[0], ["a", "b", "c"], ["d"], "the shape"),
        (WEIGHTS * 2, ["a", "b", "c"], ["d", "e"], "no attention weights"),
        (WEIGHTS * float("nan"), ["a", "b", "c"], ["d", "e"], "no attention weights"),
        (torch.full((1, 50), 0.02), ["a"] * 50, ["b"], "More than 40"),
        ([], [], [], "no weights to draw"),
    ],
)
def test_what_cannot_be_drawn_is_told(weights, source, written, message):
    with pytest.raises(CourseError, match=message):
        plots.attention(weights, source, written)


def test_names_with_markup_and_dollars_are_shown_as_they_are():
    plot = plots.attention(WEIGHTS, ["<b>", "a_b", "$x$"], ["_", "%1"])
    assert "<b>" in plot.alt and "$x$" in plot.alt and "&lt;b&gt;" in plot._repr_html_()
