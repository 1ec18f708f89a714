"""Paths down a loss of two numbers: how they end; and the explorer of them without a browser."""

from __future__ import annotations

import pytest

from tlcourse import CourseError, DescentExplorer
from tlcourse.optimization import OPTIMIZERS, SURFACES, Surface, descend


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("lr", [0, 1e-30, 1e-12])
def test_a_path_of_steps_too_small_to_be_seen_stands_still(optimizer, lr):
    assert descend("valley", optimizer=optimizer, lr=lr).ended == "standing still"


def test_a_path_that_jumps_from_side_to_side_goes_to_and_fro():
    assert descend("bowl", lr=2.0).ended == "to and fro"
    assert descend("bowl", (0.05, 0.0), lr=2.0).ended == "to and fro", "also close to the middle"


def test_a_slow_path_is_on_its_way():
    assert descend("valley", lr=1e-4).ended == "on its way"


@pytest.mark.parametrize("start", [(100, 100), (-2.1, 0), (0, 1.2)])
def test_a_start_outside_of_the_picture_is_refused(start):
    explorer = DescentExplorer("valley")
    before, path = explorer.start, explorer.path
    with pytest.raises(CourseError, match=r"outside of the picture of 'valley'(.|\n)*from -2 to 2.* from -1 to 1"):
        explorer.start = start
    assert explorer.start == before and explorer.path == path
    with pytest.raises(CourseError, match="outside of the picture"):
        DescentExplorer("valley", start=start)


def test_a_start_on_the_edge_will_do_and_another_surface_brings_its_own():
    explorer = DescentExplorer("bowl", "valley", start=(2, 2))
    explorer.surface = "valley"
    assert tuple(explorer.start) == SURFACES["valley"].start


def test_a_surface_whose_own_start_cannot_be_seen_is_refused_at_once():
    far = Surface("far", SURFACES["bowl"].loss, (-1, 1, -1, 1), (5, 5))
    with pytest.raises(CourseError, match="picture of 'far'"):
        DescentExplorer("bowl", far)
