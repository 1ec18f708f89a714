"""The picture of each stage: right planes, points that move little, honest scores, and any data that may come."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_nets import Scale, image_net, images, text_net, texts
from torch import nn

from tlcourse import CourseError, UnknownName, extract
from tlcourse.datasets import Split
from tlcourse.explain import embed
from tlcourse.explain.plane import plane, turned
from tlcourse.explain.separation import neighbours_agree

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def empty_home(tmp_path, monkeypatch):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path))


def renamed(split, classes, name="other"):
    return Split(name, split.kind, split.x, split.y, classes, split.ids)


@pytest.mark.parametrize("shape", [(6, 3), (90, 50), (50, 90), (300, 1280)])
def test_the_plane_is_that_of_the_principal_components(shape):
    x = RNG.normal(size=shape) * np.linspace(3, 1, shape[1]) + 7
    places, held = plane(x)
    u, s, _ = np.linalg.svd(x - x.mean(0), full_matrices=False)
    assert np.allclose(np.abs(places), np.abs(u[:, :2] * s[:2]), atol=1e-6 * s[0])
    assert np.allclose(held, (s**2 / (s**2).sum())[:2])


@pytest.mark.parametrize(
    "x",
    [np.ones((5, 3)), np.full((5, 3), 0.1, "float32"), np.zeros((60, 60)), np.ones((1, 4)), np.arange(4)[:, None]],
    ids=["ones", "rounded", "zeros", "one item", "one dimension"],
)
def test_what_has_no_second_direction_still_has_a_picture(x):
    places, held = plane(x)
    assert places.shape == (len(x), 2) and np.isfinite(places).all() and np.isfinite(held).all()
    assert not places[:, 1].any() and held[1] == 0


def test_many_items_on_one_line():
    places, held = plane(np.outer(np.arange(80.0), np.ones(90)))
    assert np.allclose(held, [1, 0], atol=1e-6) and np.allclose(places[:, 1], 0, atol=1e-5)


@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_the_scale_of_features_does_not_matter(size):
    x = RNG.normal(size=(50, 60))
    assert np.allclose(np.abs(plane(x * size)[0]), np.abs(plane(x)[0]) * size, rtol=1e-5, atol=1e-5 * size)


def test_turning_takes_back_a_turn_and_a_mirror():
    points = RNG.normal(size=(30, 2))
    angle = np.array([[0.6, -0.8], [0.8, 0.6]])
    for change in (angle, angle @ np.diag([1, -1]), np.array([[0.0, 1], [1, 0]])):
        assert np.allclose(turned(points @ change, points), points)


def test_neighbours_never_include_the_item_itself():
    x = np.array([[1.0, 0], [0, 1]])  # alone, each would name itself
    assert neighbours_agree(x, [0, 1], k=1) == 0
    assert neighbours_agree([[1.0, 0], [1, 0], [0, 1], [0, 1]], [0, 0, 1, 1], k=1) == 1


def test_neighbours_are_as_many_as_there_are():
    assert neighbours_agree([[1.0, 0], [1, 0.1], [1, 0.2], [0, 1]], [0, 0, 0, 1], k=99) == 0.75
    assert np.isnan(neighbours_agree([[1.0, 0]], [0]))


def test_the_vote_is_that_of_scikit_learn():
    from sklearn.model_selection import LeaveOneOut, cross_val_score
    from sklearn.neighbors import KNeighborsClassifier

    x, y = RNG.normal(size=(40, 5)), RNG.integers(0, 3, 40)
    x += y[:, None]
    judge = KNeighborsClassifier(5, weights="distance", metric="cosine")
    assert neighbours_agree(x, y) == pytest.approx(cross_val_score(judge, x, y, cv=LeaveOneOut()).mean())


def test_across_domains_a_near_copy_in_the_own_domain_does_not_help():
    # each item has its twin in its own domain; in the other domain the classes stand the other way round
    x = np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1]] * 2, dtype=float)
    y, domain = np.array([0, 0, 1, 1, 1, 1, 0, 0]), np.array([0] * 4 + [1] * 4)
    assert neighbours_agree(x[:4], y[:4], k=1) == 1
    assert neighbours_agree(x, y, k=1, apart=domain) == 0
    assert np.isnan(neighbours_agree(x, domain, k=1, apart=domain))  # nobody of the own group is elsewhere


def test_each_stage_is_the_plane_of_its_features():
    net, data = image_net(), images(40)
    made = embed(net, data)
    assert made.stages == ("stem", "body", "neck", "pool", "head") and made.points.shape == (5, 40, 2)
    for i, name in enumerate(made.stages):
        x = extract(net, data, name, pooled=True).x.numpy()
        places, held = plane(x)
        distances = np.linalg.norm(places[:, None] - places[None], axis=2)
        ours = np.linalg.norm(made.points[i][:, None] - made.points[i][None], axis=2)
        assert np.allclose(
            ours * np.linalg.norm(places, axis=1).max(), distances, rtol=1e-3, atol=1e-4 * distances.max()
        )
        assert made.held[i] == pytest.approx(held.sum()) and made.widths[i] == x.shape[1]
        assert made.agree["class"][i] == pytest.approx(neighbours_agree(x, data.y))
        assert np.linalg.norm(made.points[i], axis=1).max() == pytest.approx(1)


def test_a_picture_is_filled_and_keeps_its_proportions():
    made = embed(image_net(), images(40))
    framed = made.framed()
    for there, here in zip(framed, made.points, strict=True):
        assert np.abs(there).max() == pytest.approx(1, abs=1e-5)
        assert np.allclose(there.min(0) + there.max(0), 0, atol=1e-5)
        scale = (there[1] - there[0]) / (here[1] - here[0])
        assert scale[0] == pytest.approx(scale[1], rel=1e-3)


def test_a_picture_of_one_place():
    net = image_net()
    torch.nn.init.zeros_(net.head[1].weight)
    assert not embed(net, images(6), "head").framed().any()


def test_no_turn_of_a_stage_brings_it_nearer_to_the_next():
    made = embed(image_net(), images(40))
    for here, there in zip(made.points, made.points[1:], strict=False):
        near = np.linalg.norm(here - there)
        for angle in np.linspace(0, 2 * np.pi, 13):
            turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
            for mirror in (1, -1):
                assert near <= np.linalg.norm(here @ turn @ np.diag([1, mirror]) - there) + 1e-4


def test_features_that_were_kept_are_read_back(monkeypatch):
    net, data = image_net(), images(40)
    extract(net, data, list(dict(net.named_children())), pooled=True)
    monkeypatch.setattr("tlcourse.features.extraction._run", lambda *a, **k: pytest.fail("it computed them anew"))
    embed(net, data)


def test_all_stages_come_from_one_pass():
    net, passes = image_net(), []
    net.stem.register_forward_hook(lambda *_: passes.append(1))
    embed(net, images(20), cache=False, batch=100)
    assert len(passes) == 1


def test_stages_may_be_chosen():
    assert embed(image_net(), images(6), "body").stages == ("body",)
    assert embed(image_net(), images(6), ["[np]*", "stem"]).stages == ("stem", "neck", "pool")
    with pytest.raises(UnknownName, match="stem"):
        embed(image_net(), images(6), "stam")


def test_domains_are_shown_together_and_classes_go_by_their_names():
    here, there = images(20), renamed(images(10, seed=1), ("light", "dark"))
    made = embed(image_net(), {"here": here, "there": there}, "pool")
    assert made.domains == ("here", "there") and made.classes == ("dark", "light")
    assert made.domain.tolist() == [0] * 20 + [1] * 10
    assert made.y[20:].tolist() == [1 - y for y in there.y.tolist()]
    assert set(made.agree) == {"class", "domain", "class across domains"}
    assert made.usual["domain"] == pytest.approx(2 / 3) and "here, there" in repr(made)


def test_domains_without_a_class_in_common_have_no_score_across():
    made = embed(image_net(), {"a": images(10), "b": renamed(images(10), ("cat", "dog"))}, "pool")
    assert set(made.agree) == {"class", "domain"} and len(made.classes) == 4


def test_texts_are_averaged_over_their_tokens():
    net, data = text_net(), texts()
    made = embed(net, data)
    assert made.stages[0] == "embeddings" and made.kind == "text" and made.x == list(data.x)
    pooled = extract(net, data, "layer3", pooled=True).x
    assert torch.allclose(pooled, extract(net, data, "pool").x, atol=1e-5)  # so the last layer and the pool look alike
    assert np.allclose(made.points[made.stages.index("layer3")], made.points[made.stages.index("pool")], atol=1e-3)


def test_too_many_items_are_drawn_from_class_by_class():
    many, few = images(300), images(30, seed=1)
    made = embed(image_net(), {"many": many, "few": few}, "stem", most=33, cache=False)
    assert len(made) == 33 and made.of == 330 and "drawn from 330" in repr(made)
    assert abs(int((made.domain == 1).sum()) - 3) <= 1
    assert abs(int((made.y == 0).sum()) - 16.5) <= 2
    again = embed(image_net(), {"many": many, "few": few}, "stem", most=33, cache=False)
    assert again.ids == made.ids
    assert embed(image_net(), {"many": many, "few": few}, "stem", most=33, seed=1, cache=False).ids != made.ids


def test_a_rare_class_is_not_drawn_away():
    data = images(200)
    y = torch.zeros(200, dtype=torch.long)
    y[-1] = 1
    made = embed(image_net(), Split("train", "image", data.x, y, data.classes, data.ids), "stem", most=10, cache=False)
    assert (made.y == 1).sum() == 1


def test_two_hundred_stages_and_stages_that_say_nothing():
    net = nn.Sequential(
        nn.Flatten(), nn.Linear(192, 8), *(nn.Sequential(nn.Linear(8, 8), nn.ReLU()) for _ in range(198))
    )
    net.transform = Scale()
    made = embed(net, images(100), cache=False)
    assert made.points.shape == (200, 100, 2) and np.isfinite(made.points).all()
    assert np.isfinite(made.agree["class"]).all()


def test_one_class_has_no_score():
    data = images(10)[[0, 2, 4]]
    made = embed(image_net(), data, "stem")
    assert made.agree == {} and made.usual["class"] == 1 and repr(made)


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (None, "not a NoneType"),
        ({"a": 3}, "as 'a', not a int"),
        ({}, "at least two"),
        (images(1), "at least two"),
        ({"a": images(4), "b": texts(4)}, "cannot be shown together"),
    ],
)
def test_data_that_cannot_be_shown(data, match):
    with pytest.raises(CourseError, match=match):
        embed(image_net(), data)


def test_features_that_are_no_numbers_are_told():
    net = image_net()
    nn.init.constant_(net.neck[1].weight, float("nan"))
    with pytest.raises(CourseError, match="at stage 'neck' are not numbers"):
        embed(net, images(10))


@pytest.mark.parametrize("options", [{"most": 1}, {"k": 0}, {"stage": []}])
def test_settings_that_will_not_do(options):
    with pytest.raises(CourseError):
        embed(image_net(), images(10), **options)
