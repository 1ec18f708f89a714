"""Lines that bars and sweeps are read against, and the ticks of a sweep over a few whole numbers."""

from __future__ import annotations

import pytest

from tlcourse import CourseError, plots


def labels(plot):
    ax = plot.figure.axes[0]
    return [text.get_text() for text in (*ax.get_xticklabels(), *ax.texts)]


def test_bars_are_read_against_an_upright_line():
    plot = plots.bars({"a": 0.7, "b": 0.2}, baseline={"guessing": 0.5}, xlabel="accuracy")
    assert plot.alt.startswith("accuracy: a 0.700, b 0.200. The level of guessing is 0.500.")
    drawn = [line.get_xdata()[0] for line in plot.figure.axes[0].lines]
    assert 0.5 in drawn and "guessing, 0.500" in labels(plot)
    assert plots.bars({"a": 0.1}, baseline=0.9).figure.axes[0].get_xlim()[1] >= 0.9
    with pytest.raises(CourseError, match="not numbers"):
        plots.bars({"a": 0.1}, baseline={"guessing": "half"})


def test_a_diagonal_is_no_curve_among_the_others():
    curves = {"head": {0.6: 0.7, 0.8: 0.75, 0.9: 0.8}}
    plot = plots.sweep(curves, xlabel="confidence", ylabel="right", best=None, diagonal="as sure as right")
    assert plot.alt == (
        "Right against confidence. head: 0.700 at 0.600, 0.750 at 0.800, 0.800 at 0.900. "
        "On the dashed diagonal, as sure as right, both are equal."
    )
    line = plot.figure.axes[0].lines[-1]
    assert list(line.get_xdata()) == list(line.get_ydata()) == [0.6, 0.8, 0.9] and line.get_marker() == "None"
    low, high = plot.figure.axes[0].get_ylim()
    assert low < 0.6 and high > 0.9 and "as sure as right" in labels(plot)


def test_a_sweep_over_a_few_whole_numbers_names_just_these():
    assert labels(plots.sweep({"a": {1: 0.2, 3: 0.4, 5: 0.3}}, xlabel="layer"))[:3] == ["1", "3", "5"]
    for settings in ({0: 0.2, 1: 0.3, 100: 0.4}, {0: 0.2, 0.5: 0.3, 1: 0.4}):  # these would run into each other
        ticks = plots.sweep({"a": settings}, xlabel="layer").figure.axes[0].get_xticks()
        assert list(ticks) != list(settings)
    assert plots.sweep({"a": {3: 0.4}}, xlabel="layer").alt == "Accuracy against layer. a: 0.400 at 3."
