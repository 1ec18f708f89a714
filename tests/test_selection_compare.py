"""`compare`: one row a model, from items that are there for learning, and never from the test split."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_nets import CLASSES, image_net, images, text_net, texts
from torch import nn

from tlcourse import CourseError, UnknownName, compare, extract, h_score, knn_probe, leep, linear_probe, logme
from tlcourse.datasets import Dataset, Split

COLUMNS = ["logme", "leep", "h_score", "linear probe", "knn", "seconds", "parameters"]
SOURCE = ("a cat", "a dog", "a tree")


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path))


def sourced(seed=0) -> nn.Module:
    """A net with the head of its source."""
    net = image_net(seed, classes=3)
    net.classes = SOURCE
    return net


def test_a_row_holds_what_the_single_functions_give():
    data, net = images(30), sourced()
    row = compare({"ours": net}, data).loc["ours"]
    features = extract(net, data)
    shares = extract(net, data, "head").x.softmax(1)
    assert row.index.tolist() == COLUMNS
    assert row["logme"] == pytest.approx(logme(features)) and row["h_score"] == pytest.approx(h_score(features))
    assert row["leep"] == pytest.approx(leep(shares, data.y), abs=1e-5) and row["leep"] < 0
    assert row["parameters"] == sum(
        p.numel() for p in [*net.stem.parameters(), *net.body.parameters(), *net.neck.parameters()]
    )
    assert row["seconds"] > 0


def test_each_item_is_told_by_a_probe_that_has_not_seen_it():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(40, 200, generator=generator)  # noise: told perfectly by a probe that has seen it
    data = images(40)
    features = replace(extract(image_net(), data), x=x, weights="")
    table = compare({"noise": features}, data)
    assert linear_probe(features, features).accuracy == knn_probe(features, features, k=1).accuracy == 1
    assert table.loc["noise", "linear probe"] < 0.75 and table.loc["noise", "knn"] < 0.75


def test_the_same_items_and_seed_give_the_same_table_and_order_of_rows_is_kept():
    data = images(24)
    models = {"b": image_net(1), "a": image_net(0), "kept": extract(image_net(0), data)}
    first, again = (compare(models, data, folds=3, seed=1).drop(columns="seconds") for _ in range(2))
    assert first.equals(again) and first.index.tolist() == ["b", "a", "kept"] and first.index.name == "model"
    same = [name for name in COLUMNS if name not in ("seconds", "parameters", "leep")]
    assert first.loc["a", same].tolist() == first.loc["kept", same].tolist()
    assert first["parameters"].isna().tolist() == [False, False, True]


@pytest.mark.parametrize(
    ("classes", "known"),
    [(SOURCE, True), (("0", "1", "2"), False), ((), False), (None, False)],
)
def test_leep_needs_the_head_of_a_source(classes, known):
    net = image_net(classes=3)
    if classes is not None:
        net.classes = classes
    assert np.isfinite(compare({"net": net}, images()).loc["net", "leep"]) == known


def test_a_head_for_the_targets_own_classes_is_none_of_a_source():
    net = image_net()
    net.classes = CLASSES
    table = compare([net], images())
    assert (
        np.isnan(table["leep"].iloc[0])
        and np.isnan(table.loc["model 0"]["leep"])
        and table.index.tolist() == ["model 0"]
    )


def test_texts_and_a_model_without_a_head():
    from tlcourse.models import TextClassifier

    bare = TextClassifier(text_net().encoder)
    bare.transform = text_net().transform
    table = compare({"bare": bare, "with a head": text_net()}, texts())
    assert table["leep"].isna().all() and table["logme"].notna().all() and table["linear probe"].between(0, 1).all()


def test_of_a_dataset_the_training_items_are_taken():
    valid, test = (replace(images(8, seed=s), name=name) for s, name in ((1, "valid"), (2, "test")))
    whole = Dataset("toy", "a toy", "image", images(20), valid, test, CLASSES, "none", "none")
    features = extract(image_net(), whole.train)
    assert compare({"f": features}, whole)["logme"].equals(compare({"f": features}, whole.train)["logme"])
    assert len(compare({"f": extract(image_net(), valid)}, valid)) == 1


def test_the_model_stays_as_it_was():
    net = sourced().train()
    before = {name: t.clone() for name, t in net.state_dict().items()}
    compare({"net": net}, images())
    assert net.training and all(torch.equal(t, before[name]) for name, t in net.state_dict().items())


def test_names_of_a_list_are_those_of_the_cards():
    data = images(8)
    kept = extract(image_net(), data)
    assert compare([kept, image_net()], data).index.tolist() == ["model 0", "model 1"]
    assert compare(kept, data).index.tolist() == ["model 0"]


def renamed(split: Split, name: str) -> Split:
    return replace(split, name=name)


@pytest.mark.parametrize(
    ("models", "data", "options", "says"),
    [
        (lambda d: image_net(), renamed(images(), "test"), {}, "not chosen on the test split"),
        (lambda d: image_net(), images()[images().y == 0], {}, "at least two classes"),
        (lambda d: image_net(), images()[0], {}, r"1 items have 1"),
        (lambda d: image_net(), images()[[]], {}, "have 0"),
        (lambda d: image_net(), images()[:3], {}, "A class has one item"),
        (lambda d: image_net(), images()[:2], {}, r"one item[\s\S]*2 items of 2 classes"),
        (lambda d: image_net(), [1, 2], {}, "not on a list"),
        (lambda d: image_net(), images(), {"folds": 1}, "folds=1"),
        (lambda d: image_net(), images(), {"seed": -1}, "seed=-1"),
        (lambda d: {}, images(), {}, "no models"),
        (lambda d: [], images(), {}, "no models"),
        (lambda d: 3, images(), {}, "no models"),
        (lambda d: {"f": extract(image_net(), images(8))}, images(), {}, "'f' are of other items"),
        (lambda d: {"f": replace(extract(image_net(), d), views=2)}, images(), {}, "views"),
    ],
)
def test_what_it_refuses(models, data, options, says):
    with pytest.raises(CourseError, match=says):
        compare(models(data), data, **options)


def test_names_that_do_not_exist_or_exist_twice():
    with pytest.raises(UnknownName, match="'pool'"):
        compare({"net": image_net()}, images(), stage="pol")
    with pytest.raises(UnknownName, match="efficientnet-lite0"):
        compare(["efficientnet-lite"], images())
    with pytest.raises(CourseError, match="Two of the models are called 'efficientnet-lite0'"):
        compare(["efficientnet-lite0"] * 2, images())


def test_of_several_models_the_broken_one_is_named():
    broken = image_net()
    with torch.no_grad():
        broken.neck[1].weight.fill_(torch.nan)
    with pytest.raises(CourseError, match=r"'second' cannot be compared\. The features hold NaN"):
        compare({"first": image_net(), "second": broken}, images())
    with pytest.raises(UnknownName, match=r"'first' cannot be compared\. There is no stage called 'poool'"):
        compare({"first": image_net()}, images(), stage="poool")
