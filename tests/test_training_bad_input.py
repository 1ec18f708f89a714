"""Training on what is wrong: each message says what happened and what to do next."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch
import transformers
from small_nets import Letters, Scale, image_net, images, text_net, texts
from torch import nn
from torch.nn import functional as F

from tlcourse import CourseError, evaluate, extract, fine_tune, fit, freeze, frozen
from tlcourse.models import TextClassifier
from tlcourse.training import Diverged


@pytest.fixture(autouse=True)
def empty_home(tmp_path, monkeypatch):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path))


# losses that are not numbers ---------------------------------------------------------------------


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("until", [None, "pool"])
def test_a_loss_that_is_not_a_number_stops_before_the_weights_are_spoilt(value, until):
    calls = []

    def loss(logits, labels):
        calls.append(1)
        return F.cross_entropy(logits, labels) * (value if len(calls) == 4 else 1)

    net = image_net()
    if until:
        freeze(net, until=until)
    with pytest.raises(Diverged, match=r"epoch 2, after 1 batches(.|\n)*Look into the loss(.|\n)*\.history") as caught:
        fit(net, images(20), images(6), epochs=3, batch=10, loss=loss)
    assert len(caught.value.history) == 1 and caught.value.history.rows[0]["valid_loss"] > 0
    assert all(t.isfinite().all() for t in net.state_dict().values()) and not net.training
    assert len(fit(net, images(20), epochs=1)) == 1


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.AdamW])
@pytest.mark.parametrize("make", [image_net, lambda: freeze(image_net()), lambda: freeze(image_net(), until="body")])
def test_an_absurd_rate_is_named(optimizer, make):
    net, held = make(), frozen(make())
    try:
        history = fit(net, images(20), images(6), epochs=2, batch=10, lr=1e4, optimizer=optimizer)
        assert "learning rate (10000) is probably too large: try 1000" in history.note
    except CourseError as error:
        assert "smaller learning rate" in str(error) or r"learning rate (10000) is too large" in str(error)
    assert frozen(net) == held and not net.training


def test_a_usual_rate_is_not_remarked_upon():
    assert fit(image_net(), images(20), epochs=3, lr=0.01).note == ""
    assert fit(image_net(), images(20), epochs=1, loss=lambda a, b: 100 * F.cross_entropy(a, b)).note == ""


@dataclass(frozen=True)
class Spoilt(Scale):
    """NaN for images that are all white."""

    def __call__(self, x):
        return super().__call__(x).where(~(x == 255).flatten(1).all(1)[:, None, None, None], torch.nan)


@pytest.mark.parametrize("keep", [True, False])
def test_nan_in_the_input_is_found_before_and_behind_frozen_stages(keep):
    net, data = freeze(image_net(), until="body"), images()
    net.transform = Spoilt()
    data.x[4] = 255
    with pytest.raises(Diverged, match="input of this batch holds NaN"):
        fit(net, data, epochs=2, keep=keep)
    with pytest.raises(CourseError, match=r"outputs are not numbers"):
        evaluate(net, data, keep=keep)
    with pytest.raises(CourseError, match=r"outputs are not numbers"):
        fit(net, images(), data, epochs=2, keep=keep)


# too few items -----------------------------------------------------------------------------------


@pytest.mark.parametrize("until", [None, "body"])
def test_batchnorm_and_a_batch_of_one(until):
    net = nn.Sequential(nn.Flatten(), nn.Linear(192, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    net.transform = Scale()
    for data, batch in ((images(6), 1), (images(1), 32)):
        with pytest.raises(CourseError, match=r"BatchNorm cannot train on a batch of one(.|\n)*batch=2 or more"):
            fit(net, data, epochs=1, batch=batch)
    assert len(fit(freeze(net, "2"), images(1), epochs=2)) == 2


def test_an_error_of_ones_own_is_not_taken_for_batchnorms():
    def loss(logits, labels):
        raise ValueError("my own mistake")

    with pytest.raises(ValueError, match="my own mistake"):
        fit(image_net(), images(4), epochs=1, loss=loss)


def test_a_class_that_is_missing_from_training_is_told():
    data = replace(images(12), classes=("dark", "light", "red", "blue"))
    history = fit(image_net(classes=4), data, epochs=1)
    assert "No item of red, blue was there to learn from" in history.note and history.note in repr(history)
    many = replace(images(12), classes=tuple("abcdefghij"))
    assert "c, d, e, f, g and 3 more" in fit(image_net(classes=10), many, epochs=1).note
    features = extract(image_net(classes=4), data)
    assert "red, blue" in fit(freeze(image_net(classes=4)), features, epochs=1).note
    # fine_tune says it once
    assert fine_tune(image_net(classes=4), data, epochs=1).note.count("red, blue") == 1


@pytest.mark.parametrize("what", ["train", "valid", "evaluate"])
@pytest.mark.parametrize("wrong", [lambda y: y + 1, lambda y: y - 1, lambda y: y.masked_fill(y == 1, -100)])
def test_labels_out_of_range_in_features(what, wrong):
    net = freeze(image_net())
    features = extract(net, images(8))
    spoilt = replace(features, y=wrong(features.y))
    with pytest.raises(CourseError, match=r"labels go from (.|\n)*there are 2 classes(.|\n)*Number the classes from 0"):
        if what == "evaluate":
            evaluate(net, spoilt)
        else:
            fit(net, **{"train": features, "valid": features, what: spoilt}, epochs=1)


# texts that are too long -------------------------------------------------------------------------


def roberta(until=None):
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    config = transformers.RobertaConfig(vocab_size=40, max_position_embeddings=24, pad_token_id=1, **shape)
    net = TextClassifier(transformers.RobertaModel(config, add_pooling_layer=False), 2).eval()
    return freeze(net, until=until) if until else net


def of_length(n):
    data = texts(4)
    return replace(data, x=("a" * n, *data.x[1:]))


class Long(Letters):
    def __init__(self):
        super().__init__(longest=100)


@pytest.mark.parametrize(("make", "most"), [(text_net, 32), (roberta, 22)])
@pytest.mark.parametrize("until", [None, "pool", "layer0"])
def test_texts_longer_than_the_models_positions(make, most, until):
    net = freeze(make(), until=until) if until else make()
    net.transform = Long()
    assert len(fit(net, of_length(most), epochs=1)) == 1 and evaluate(net, of_length(most)).n == 4
    says = rf"{most + 1} tokens; this model has positions for {most}(.|\n)*max_length={most}"
    for ask in (
        lambda: fit(net, of_length(most + 1), epochs=2),
        lambda: fit(net, of_length(3), of_length(most + 1), epochs=2),
        lambda: evaluate(net, of_length(most + 1)),
    ):
        with pytest.raises(CourseError, match=says):
            ask()


# wrong types and values --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"model": "resnet"}, "A model is needed here, not a str"),
        ({"model": None}, "A model is needed"),
        ({"train": "faces"}, "on a split of data or on features, not on a str"),
        ({"train": None}, "not on a NoneType"),
        ({"train": (images().x, images().y)}, "not on a tuple"),
        ({"train": images()[:0]}, "data are empty"),
        ({"valid": 3}, "not on a int"),
        ({"valid": images()[:0]}, "data are empty"),
        ({"valid": replace(images(), classes=("a", "b"))}, "classes differ"),
        ({"epochs": 0}, "epochs=0"),
        ({"epochs": 2.0}, r"epochs=2\.0"),
        ({"epochs": "3"}, "epochs='3'"),
        ({"epochs": True}, "epochs=True"),
        ({"batch": -3}, "batch=-3"),
        ({"seed": -1}, "seed=-1"),
        ({"seed": 0.5}, r"seed=0\.5"),
        ({"lr": "fast"}, "lr='fast' will not do"),
        ({"lr": float("nan")}, "lr=nan"),
        ({"lr": -1e-3}, "lr=-0.001"),
        ({"decay": -0.5}, "decay=-0.5"),
        ({"head_lr": float("inf")}, "head_lr=inf"),
        ({"weight_decay": None}, "weight_decay=None"),
        ({"optimizer": "adam"}, r"optimizer=torch\.optim\.SGD"),
        ({"optimizer": torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1)}, "Pass the class"),
        ({"schedule": "step"}, "Choose one of: constant, cosine, linear"),
        ({"warmup": 2}, "warmup=2"),
        ({"augment": "flip"}, r"augment='flip' is no function"),
        ({"augment": lambda x: x, "train": texts(), "model": text_net()}, "Only raw images can be augmented"),
        ({"views": 4}, "Pass augment= as well"),
        ({"views": 0, "augment": lambda x: x}, "views=0"),
        ({"patience": 0, "valid": images()}, "patience=0"),
        ({"patience": 1.5, "valid": images()}, r"patience=1\.5"),
        ({"keep": 2}, "keep=2"),
        ({"keep": "auto"}, "keep=True or keep=False"),
        ({"checkpoint": 7}, r'checkpoint="run\.ckpt"'),
        ({"precision": "double"}, "The precisions are"),
        ({"model": image_net(classes=3)}, r"3\] numbers an item; the data have 2 classes"),
    ],
)
def test_wrong_calls_say_what_to_do(more, says):
    with pytest.raises(CourseError, match=says):
        fit(**{"model": image_net(), "train": images(), "epochs": 1, **more})


def test_a_model_without_a_transform():
    net = image_net()
    del net.transform
    for ask in (lambda: fit(net, images(), epochs=1), lambda: evaluate(net, images())):
        with pytest.raises(CourseError, match=r"no transform of its own(.|\n)*model\.transform ="):
            ask()


def test_a_model_whose_stages_nobody_knows():
    class Mine(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(192, 2)

        def forward(self, x):
            return self.fc(x.flatten(1))

    net = Mine()
    net.transform = Scale()
    for ask in (lambda: fit(net, images(), epochs=1), lambda: evaluate(net, images())):
        with pytest.raises(CourseError, match="stages of Mine are not known"):
            ask()
