"""The prediction widget without a page: what a click asks for, what is sent, and what stays if it is refused."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
import torch
from PIL import Image
from small_nets import CLASSES, image_net, text_net

from tlcourse import CourseError, Predict, freeze, load, photograph, predict
from tlcourse.explain import Prediction
from tlcourse.models import ImageTransform
from tlcourse.widgets.predict_state import says, shown

ODD = "<img src=x onerror=alert(1)>"


def small(classes=CLASSES):
    net = image_net()
    net.transform, net.classes = ImageTransform(size=32, crop=1.0), classes
    return net


def reader():
    net = text_net()
    net.classes = (ODD, "good")
    return net


def file(kind="PNG"):
    out = io.BytesIO()
    Image.fromarray(photograph("cat").permute(1, 2, 0).numpy()).save(out, kind)
    return out.getvalue()


def test_no_file_is_offered_that_is_then_refused():
    asking, kinds = (
        Predict(small()),
        {".ppm": "PPM", ".pgm": "PPM", ".tif": "TIFF", ".jpg": "JPEG", ".jpe": "JPEG", ".jfif": "JPEG"},
    )
    assert {".png", ".jpg", ".webp"} <= set(asking.files) and ".ico" not in asking.files
    for suffix in asking.files:
        asking.act({"do": "file", "name": f"cat{suffix}", "bytes": file(kinds.get(suffix, suffix[1:]))})
        assert asking.state["source"] == f"cat{suffix}" and asking.status == ""


def test_it_begins_with_a_photograph_and_a_text_model_with_nothing():
    widget = Predict(small())
    assert widget.kind == "image" and widget.state["source"] == "coffee" and "cat" in widget.photographs
    rows, columns = widget.state["grid"]
    assert len(widget.picture) == 32 * 32 * 3 and widget.prediction.where.shape == (2, rows, columns)
    assert len(widget.maps) == 2 * rows * columns and max(widget.maps) == 255
    empty = Predict(reader())
    assert empty.kind == "text" and empty.prediction is None and empty.photographs == []
    assert repr(empty) == "Nothing was asked yet." and empty._repr_mimebundle_()[0]["text/plain"] == repr(empty)


def test_state_is_plain():
    widget = Predict(small((ODD, "ok")))
    assert json.loads(json.dumps(widget.state)) == widget.state
    text = Predict(reader(), f"aa {ODD} \ud83d")
    assert json.loads(json.dumps(text.state)) == text.state
    json.dumps(text.state).encode()


def test_the_parts_and_the_gaps_make_the_text():
    text = "  So  good,\nיפה 真好! "
    state, _, _ = shown(predict(reader(), text), "")
    words = [word["text"] for word in state["words"]]
    assert words == ["So", "good,", "יפה", "真", "好", "!"]
    assert "".join(g + w for g, w in zip(state["gaps"], [*words, ""], strict=True)) == text
    assert max(abs(w["strength"][0]) for w in state["words"]) <= 1


def test_a_dropped_file_is_asked_about():
    widget = Predict(small())
    widget.act({"do": "file", "name": "my cat.png", "bytes": file()})
    assert widget.state["source"] == "my cat.png" and widget.state["turn"] == 2 and widget.status == ""
    expected = predict(small(), photograph("cat"))
    assert widget.prediction.names == expected.names and np.allclose(widget.prediction.shares, expected.shares)


def test_photographs_sentences_and_code():
    widget = Predict(small(), photograph("cat"))
    widget.act({"do": "photograph", "what": "rocket"})
    assert widget.state["source"] == "rocket"
    assert widget.ask(photograph("cat")).shares == widget.prediction.shares and widget.state["turn"] == 3
    text = Predict(reader())
    text.act({"do": "text", "what": "well done"})
    assert text.prediction.parts == ("well", "done") and [w["text"] for w in text.state["words"]] == ["well", "done"]


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ({"do": "file", "name": "diary.txt", "bytes": b"Dear diary"}, "'diary.txt' cannot be read"),
        ({"do": "file", "name": ODD, "bytes": file("JPEG")[:900]}, f"'{ODD}' cannot be read"),
        ({"do": "file", "name": "nothing"}, "cannot do 'file'"),
        ({"do": "photograph", "what": "coffe"}, "no photograph called 'coffe'"),
        ({"do": "photograph", "what": None}, "no photograph called 'None'"),
        ({"do": "text", "what": 3}, "cannot do 'text'"),
        ({}, "cannot do None"),
    ],
)
def test_what_cannot_be_done_is_told_and_changes_nothing(message, told):
    widget = Predict(small())
    state, picture, prediction = dict(widget.state), widget.picture, widget.prediction
    with pytest.raises(CourseError) as error:
        widget.act(message)
    assert told in str(error.value)
    assert widget.state == state and widget.picture == picture and widget.prediction is prediction


def test_a_model_without_a_head_is_told_at_once():
    with pytest.raises(CourseError, match="no head"):
        Predict(load("minilm"))


def test_without_fetched_photographs_a_file_can_still_be_dropped(monkeypatch):
    def missing(name):
        raise CourseError("The photographs are not here.", do="tlcourse fetch")

    monkeypatch.setattr("tlcourse.widgets.predict.photograph", missing)
    widget = Predict(small())
    assert "not here" in widget.status and widget.prediction is None
    widget.act({"do": "file", "name": "a", "bytes": file()})
    assert widget.status == "" and widget.prediction is not None


def test_it_notices_that_the_model_has_changed():
    net = small()
    widget = Predict(net)
    widget.refresh()
    freeze(net)
    widget.refresh()
    assert widget.status == ""
    with torch.no_grad():
        net.head[1].weight.mul_(2)
    widget.refresh()
    assert "has changed since this answer" in widget.status
    widget.ask(photograph("cat"))
    assert widget.status == ""


def test_a_vision_transformer_and_a_model_without_names():
    import timm

    net = timm.create_model("vit_tiny_patch16_224", img_size=32, num_classes=3, depth=2)
    net.transform = ImageTransform(size=32)
    widget = Predict(net)
    assert widget.state["grid"] == [7, 7] and "49 squares were covered" in widget.state["how"]
    assert widget.state["notes"] == ["The model has no names for its classes, so their numbers are shown."]


def test_an_answer_without_what_counted():
    state, _, maps = shown(Prediction("text", ("a",), (1.0,), 1, text="so it is"), "")
    assert state["gaps"] == ["so it is"] and state["words"] == [] and maps == b""


@pytest.mark.parametrize(
    ("share", "told"), [(0.0, "under 0.1 %"), (1.2, "100 %"), (0.99951, "100 %"), (0.9994, "99.9 %"), (0.5, "50.0 %")]
)
def test_shares_in_words(share, told):
    assert says(share) == told


def test_where_it_is_dead_a_figure_and_words_stand_for_it():
    bundle, _ = Predict(small((ODD, "ok")))._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert ODD in bundle["text/plain"] and ODD not in bundle["text/html"]
