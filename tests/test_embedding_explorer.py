"""The embedding explorer without a page: what is sent, what may be set, and what stands for it where it is dead."""

from __future__ import annotations

import io
import json
import re

import numpy as np
import pytest
from PIL import Image
from small_nets import image_net, images, text_net, texts
from torch import nn

from tlcourse import CourseError, EmbeddingExplorer, UnknownName
from tlcourse.datasets import Split
from tlcourse.explain import embed
from tlcourse.widgets.embedding_explorer_state import LETTERS, packed, sheet, shown

ODD = "<img src=x onerror=alert(1)>"


@pytest.fixture(autouse=True)
def empty_home(tmp_path, monkeypatch):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path))


def odd_texts():
    data = texts(6)
    x = ("", "a\nb\tc", "שלום 🙂", ODD, "w" * 5000, "half \ud83d")
    return Split("train", "text", x, data.y, (ODD, "b" * 300), data.ids)


def test_places_are_packed_stage_by_stage():
    made = embed(image_net(), images(20))
    back = np.frombuffer(packed(made.framed()), "<i2").reshape(5, 20, 2) / 32767
    assert np.abs(back - made.framed()).max() < 2e-5


def test_state_is_plain_and_small():
    made = embed(image_net(), {"here": images(20), "there": images(10, seed=1)})
    state = shown(made)
    assert json.loads(json.dumps(state)) == state
    assert [stage["name"] for stage in state["stages"]] == ["stem", "body", "neck", "pool", "head"]
    assert len(state["y"]) == len(state["domain"]) == len(state["names"]) == 30
    assert set(state["stages"][0]["agree"]) == {"class", "domain", "class across domains"}
    assert state["drawn"] == ""
    assert shown(embed(image_net(), images(20), most=10))["drawn"] == "10 of 20 items, drawn at random"


def test_texts_are_cut_and_lie_on_one_line():
    state = shown(embed(text_net(), odd_texts(), cache=False))
    assert max(map(len, state["names"])) == LETTERS and state["names"][1] == "a b c" and state["names"][3] == ODD
    json.dumps(state).encode()  # also the half of a character


def test_a_score_that_there_is_not_is_none_and_no_nan():
    made = embed(image_net(), {"a": images(8), "b": images(1, seed=1)[:1]})
    assert "NaN" not in json.dumps(shown(made))


def test_each_image_stands_in_its_square():
    pictures = [np.full((3, 20, 20), 10 * i, "uint8") for i in range(7)]
    data, columns = sheet(pictures, 16)
    page = np.asarray(Image.open(io.BytesIO(data)))
    for i in range(7):
        square = page[(i // columns) * 16 :, (i % columns) * 16 :][4:12, 4:12]
        assert np.abs(square.astype(int) - 10 * i).max() < 8


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 500, 2), (1, 3, 900), (3, 48, 48)])
def test_images_of_any_shape_fit(shape):
    data, _ = sheet([np.zeros(shape, "uint8")], 32)
    assert Image.open(io.BytesIO(data)).size == (32, 32)


def test_thumbnails_of_hundreds_are_small():
    noise = np.random.default_rng(0).integers(0, 255, (640, 1, 48, 48)).astype("uint8")
    assert len(sheet(list(noise), 32)[0]) < 1_500_000


def test_what_it_shows_may_be_read_and_set():
    explorer = EmbeddingExplorer(image_net(), {"a": images(8), "b": images(6, seed=1)}, ["stem", "pool"])
    assert (explorer.stage, explorer.by, explorer.chosen) == ("pool", "class", -1)
    explorer.stage, explorer.by, explorer.chosen = "stem", "domain", 3
    with pytest.raises(UnknownName, match="stem"):
        explorer.stage = "steam"
    with pytest.raises(UnknownName, match="class"):
        explorer.by = "colour"
    with pytest.raises(CourseError, match="no item 14"):
        explorer.chosen = 14
    assert (explorer.stage, explorer.by, explorer.chosen) == ("stem", "domain", 3)


def test_it_takes_an_embedding_that_was_made_before():
    made = embed(text_net(), texts(12))
    explorer = EmbeddingExplorer(made)
    assert explorer.embedding is made and explorer.pictures == b""


@pytest.mark.parametrize("options", [{"by": "colour"}, {"side": 4}, {"side": True}, {"side": 2000}, {"k": 0}])
def test_settings_that_will_not_do(options):
    with pytest.raises(CourseError):
        EmbeddingExplorer(image_net(), images(8), **options)


def test_without_data_it_says_what_is_missing():
    with pytest.raises(CourseError, match="A split of data is needed"):
        EmbeddingExplorer(image_net())


def test_where_it_is_dead_a_figure_and_words_stand_for_it():
    explorer = EmbeddingExplorer(text_net(), odd_texts(), cache=False)
    bundle, _ = explorer._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert bundle["text/plain"] == repr(explorer) and "at 7 stages from embeddings" in repr(explorer)
    assert "<img src=x" not in bundle["text/html"].replace("&lt;", "")
    assert re.search(r'<img alt="6 items of 2 classes', bundle["text/html"])


def test_two_hundred_stages_are_told_shortly():
    layers = [nn.Sequential(nn.Linear(8, 8), nn.Tanh()) for _ in range(198)]
    net = nn.Sequential(nn.Flatten(), nn.Linear(192, 8), *layers)
    net.transform = image_net().transform
    explorer = EmbeddingExplorer(net, images(60), cache=False)
    assert len(explorer.places) == 200 * 60 * 4 and len(repr(explorer)) < 1500
