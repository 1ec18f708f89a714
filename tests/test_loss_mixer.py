"""The mixer of two losses without a browser: what it refuses, and odd data that it draws."""

from __future__ import annotations

import warnings
from dataclasses import replace

import pytest
import torch

from tlcourse import CourseError, LossMixer
from tlcourse.features import Features
from tlcourse.optimization import mix


def cloud(n=12, seed=0, width=3):
    g, y = torch.Generator().manual_seed(seed), torch.arange(n) % 2
    x = torch.randn(n, width, generator=g) + 2 * y[:, None]
    return Features(x, y, tuple(map(str, range(n))), ("bad", "good"), "pool")


def spoilt(part, value=float("nan")):
    x = part.x.clone()
    x[1, 0] = value
    return replace(part, x=x)


def mixer(source=None, target=None, shown=None, **options):
    shown = (cloud(seed=2), cloud(seed=3)) if shown is None else shown
    return LossMixer(source or cloud(), target or cloud(seed=1), shown, **{"shots": (2,), **options})


one_class = cloud()[torch.tensor([0, 2, 4])]
PARTS = {
    "NaN in the source": ({"source": spoilt(cloud())}, "Of 12 items to learn from, 1 has features that are no numbers"),
    "infinite in the target": ({"target": spoilt(cloud(), float("inf"))}, "no numbers"),
    "NaN in what is shown": ({"shown": (cloud(), spoilt(cloud()))}, "Of 12 items to show, 1 has features"),
    "nothing to show": ({"shown": (cloud(), cloud()[torch.tensor([], dtype=torch.long)])}, "no items to show"),
    "one part to show": ({"shown": (cloud(),)}, "Two parts are shown"),
    "no part to show": ({"shown": cloud()}, "Two parts are shown"),
    "another width to show": ({"shown": (cloud(), cloud(width=5))}, "the shown items"),
    "a target of one class": ({"target": one_class}, "no item of 'good' to learn from"),
}
OPTIONS = [
    *({"shots": shots} for shots in ((), 2, None, "44", (0,), (1.5,), ("a",))),
    *({"names": names} for names in (None, "ab", ("a",), ("a", "a"), ("", ""), ("a", " "), 7)),
    *({"decay": decay} for decay in ("x", 0, -1, None, float("nan"), True)),
    *({"seed": seed} for seed in (-1, "x", 0.5)),
]


@pytest.mark.parametrize("name", PARTS)
def test_parts_that_do_not_go_together_are_refused(name):
    parts, message = PARTS[name]
    with pytest.raises(CourseError, match=message):
        mixer(**parts)


@pytest.mark.parametrize("option", OPTIONS, ids=str)
def test_options_that_will_not_do_are_refused_by_name(option):
    with pytest.raises(CourseError, match=f"{next(iter(option))}=.* will not do") as refused:
        mixer(**option)
    assert refused.value.do


def test_more_shots_than_there_are_names_a_number_that_will_do():
    with pytest.raises(CourseError, match=r"only 6 target items a class(.|\n)*shots=\(6,\)"):
        mixer(shots=(20,))
    assert mixer(shots=(6,)).amount == 6


def test_mix_refuses_features_that_are_no_numbers():
    with pytest.raises(CourseError, match="1 has features that are no numbers"):
        mix(cloud(), spoilt(cloud()))


def test_features_that_are_all_the_same_are_drawn_without_a_warning():
    same = replace(cloud(), x=torch.ones(12, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = mixer(same, same, (same, same))
        assert "right on 6 of 12" in made.static().alt and made.static()._repr_html_()
