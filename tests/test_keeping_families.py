"""Keeping what the frozen stages give changes no result, in any family of networks."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import timm
import torch
import torchvision
import transformers
from small_nets import Letters, images, texts

from tlcourse import evaluate, fit, freeze, load, stages
from tlcourse.models import TextClassifier

SMALL = {"vocab_size": 40, "max_position_embeddings": 32}
BERT = {"hidden_size": 24, "num_attention_heads": 2, "intermediate_size": 48, **SMALL}
DROPS = {"drop_rate": 0.2, "drop_path_rate": 0.2}


@dataclass(frozen=True)
class Pixels:
    """uint8 images -> float input of some size around zero."""

    def __call__(self, x):
        return x.float() / 100 - 1.2


def timm_model(name, **more):
    return timm.create_model(name, num_classes=2, **more)


def encoder(kind, config, **more):
    return getattr(transformers, kind)(getattr(transformers, config)(**more))


def text_classifier(encoder):
    return TextClassifier(encoder, 2, dropout=0.2)


def bert():
    return encoder("BertModel", "BertConfig", num_hidden_layers=6, **BERT | {"num_attention_heads": 12})


def distilbert(kind="DistilBertModel"):
    return encoder(kind, "DistilBertConfig", n_layers=2, dim=16, n_heads=2, hidden_dim=32, **SMALL)


def roberta(kind="RobertaModel"):
    return encoder(kind, "RobertaConfig", num_hidden_layers=2, pad_token_id=0, **BERT)


FAMILIES = {
    # name: (how it is made, an inner stage, the last one before the head)
    "EfficientNet-Lite0": (
        lambda: load("efficientnet-lite0", classes=2, pretrained=False, size=32),
        "stage6",
        "pool",
    ),
    "torchvision resnet18": (
        lambda: torchvision.models.get_model("resnet18", weights=None, num_classes=2),
        "stage3",
        "pool",
    ),
    "timm vit": (
        lambda: timm_model("vit_tiny_patch16_224", img_size=32, depth=2, attn_drop_rate=0.1, **DROPS),
        "layer0",
        "pool",
    ),
    "timm convnext": (lambda: timm_model("convnext_atto", **DROPS), "stage2", "pool"),
    "timm regnet": (lambda: timm_model("regnetx_002", drop_rate=0.2), "stage3", "pool"),
    "timm mobilenetv3": (lambda: timm_model("mobilenetv3_small_050", drop_rate=0.2), "stage5", "neck"),
    "MiniLM": (lambda: text_classifier(bert()), "layer3", "pool"),
    "classifier over DistilBERT": (lambda: text_classifier(distilbert()), "layer0", "pool"),
    "classifier over RoBERTa": (lambda: text_classifier(roberta()), "layer0", "pool"),
    "DistilBERT": (lambda: distilbert("DistilBertForSequenceClassification"), "layer0", "pool"),
    "RoBERTa": (lambda: roberta("RobertaForSequenceClassification"), "layer0", "pool"),
}
TEXTS = ("MiniLM", "classifier over DistilBERT", "classifier over RoBERTa", "DistilBERT", "RoBERTa")


@pytest.fixture(autouse=True)
def empty_home(tmp_path, monkeypatch):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path))
    monkeypatch.setenv("TLCOURSE_ENGINE", "torch")


def made(family):
    torch.manual_seed(0)
    model = FAMILIES[family][0]().eval()
    if not hasattr(model, "transform"):
        model.transform = Letters() if family in TEXTS else Pixels()
    with torch.no_grad():  # fresh heads of zeros, and blocks that do nothing yet, would prove nothing
        for p in model.parameters():
            if p.ndim < 2 or not p.any():
                p.add_(0.05 * torch.randn_like(p))
    return model


@pytest.mark.parametrize(("where", "keep"), [("an inner stage", True), ("before the head", None)])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_result_is_that_of_running_the_frozen_stages_in_each_epoch(family, where, keep):
    boundary = FAMILIES[family][1 if where == "an inner stage" else 2]
    # batches of 10: over few values in 1x1 maps BatchNorm would blow up the last bit to a thousandth
    data = texts(17) if family in TEXTS else images(28, size=32)
    train, valid, batch = (data[:11], data[11:], 5) if family in TEXTS else (data[:20], data[20:], 10)
    calls, runs = [], []
    for kept in (False, keep):
        model = freeze(made(family), until=boundary)
        first = next(m for m in next(stages(model).children()).modules() if not [*m.children()])
        first.register_forward_hook(lambda *_: calls.append(1))
        history = fit(
            model, train, valid, epochs=3 if family in TEXTS else 2, batch=batch, lr=0.01, keep=kept,
            optimizer=torch.optim.SGD, weight_decay=0.01, head_lr=0.02,
        )  # fmt: skip
        runs.append((history, model, len(calls)))
        calls.clear()
    (plain, expected, often), (fast, model, seldom) = runs
    assert fast.keeping.startswith(f"Kept at {boundary!r}") and "keep=False" in plain.keeping
    assert "\n" not in fast.keeping
    assert seldom < often, "the frozen stages ran in each epoch"
    for row, same in zip(plain.rows, fast.rows, strict=True):
        assert row.keys() == same.keys()
        for figure in row.keys() - {"seconds"}:
            assert row[figure] == pytest.approx(same[figure], abs=1e-5), figure
    assert plain.rows[0]["loss"] != plain.rows[-1]["loss"]
    for (name, ours), theirs in zip(model.state_dict().items(), expected.state_dict().values(), strict=True):
        assert torch.allclose(ours.float(), theirs.float(), atol=1e-5), name
    results = [evaluate(model, data, keep=kept, batch=4) for kept in (None, False)]
    assert results[0].loss == pytest.approx(results[1].loss, abs=1e-5)
    assert results[0].predictions.tolist() == results[1].predictions.tolist()


def test_the_trained_part_draws_its_dropout():
    """Else the equality above would prove less than it says."""
    for family in ("timm vit", "RoBERTa"):
        model = made(family)
        data = texts(6) if family in TEXTS else images(6, size=32)
        x, chain = model.transform(data.x), stages(model)
        with torch.no_grad():
            still = chain(x)
            assert not torch.allclose(chain.train()(x), still, atol=1e-4), family


def test_texts_of_no_token_and_of_many_go_together():
    data = replace(texts(6), x=("", "abc", "", "a" * 20, "", "zz"))
    runs = [
        fit(freeze(made("MiniLM"), until="layer3"), data, epochs=2, batch=2, keep=keep, optimizer=torch.optim.SGD)
        for keep in (False, True)
    ]
    assert [r["loss"] for r in runs[0].rows] == pytest.approx([r["loss"] for r in runs[1].rows], abs=1e-5)
