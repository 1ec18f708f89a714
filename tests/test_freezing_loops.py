"""Frozen is frozen under any training loop: ours, a learner's own, and Hugging Face's Trainer."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import pytest
import timm
import torch
import torchvision
import transformers
from torch import nn
from torch.nn import functional as F

from tlcourse import audit, changed, fit, freeze, frozen, parameter_groups, snapshot, stages, unfreeze
from tlcourse.models import TextClassifier, Tokens

CLASSES, SIDE = 3, 32


@dataclass(frozen=True)
class Data:
    """As much of a split as a loop needs."""

    x: object
    y: torch.Tensor
    kind: str
    classes: tuple[str, ...] = ("a", "b", "c")

    def __len__(self):
        return len(self.y)

    @cached_property
    def ids(self):
        return tuple(f"item{i}" for i in range(len(self)))

    @cached_property
    def fingerprint(self):
        return hashlib.sha256(repr((self.x, self.y)).encode()).hexdigest()


def images():
    g = torch.Generator().manual_seed(0)
    return Data(
        torch.randint(0, 256, (12, 3, SIDE, SIDE), generator=g, dtype=torch.uint8), torch.arange(12) % CLASSES, "image"
    )


def texts():
    g = torch.Generator().manual_seed(0)
    rows = [torch.randint(5, 40, (n,), generator=g).tolist() for n in (3, 7, 5, 4, 6, 2) * 2]
    return Data(tuple(" ".join(map(str, row)) for row in rows), torch.arange(12) % CLASSES, "text")


def pixels(x):
    """Of another mean and spread than running statistics start from, so that they would move far."""
    return x.float() / 64 + 1


def padded(rows):
    rows = [torch.tensor([int(word) for word in row.split()]) for row in rows]
    ids = nn.utils.rnn.pad_sequence(rows, batch_first=True)
    mask = nn.utils.rnn.pad_sequence([torch.ones_like(row) for row in rows], batch_first=True)
    return Tokens(ids, mask)


BERT = {
    "vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16,
    "num_labels": CLASSES, "hidden_dropout_prob": 0.3, "attention_probs_dropout_prob": 0.3,
}  # fmt: skip


def classifier():
    encoder = transformers.BertModel(transformers.BertConfig(**BERT), add_pooling_layer=False)
    return TextClassifier(encoder, CLASSES, dropout=0.3)


def bert():
    return transformers.BertForSequenceClassification(transformers.BertConfig(**BERT))


def roberta():
    return transformers.RobertaForSequenceClassification(
        transformers.RobertaConfig(**BERT, max_position_embeddings=20, pad_token_id=0)
    )


def distilbert():
    return transformers.DistilBertForSequenceClassification(
        transformers.DistilBertConfig(
            vocab_size=40, n_layers=2, dim=16, n_heads=2, hidden_dim=16, num_labels=CLASSES, dropout=0.3,
            attention_dropout=0.3,
        )
    )  # fmt: skip


def timm_model(name, **options):
    return lambda: timm.create_model(name, num_classes=CLASSES, **options)


IMAGE_MODELS = {  # name: (how it is made, the last frozen stage; the rest trains)
    "CNN with BatchNorm": (lambda: torchvision.models.resnet18(num_classes=CLASSES), "stage3"),
    "CNN with BatchNorm, dropout and drop path": (
        timm_model("tf_efficientnet_lite0", drop_rate=0.3, drop_path_rate=0.3),
        "stage6",
    ),
    "ConvNeXt with drop path": (timm_model("convnext_atto", drop_path_rate=0.5, drop_rate=0.3), "stage3"),
    "ViT with dropout and drop path": (
        timm_model(
            "vit_tiny_patch16_224", img_size=SIDE, depth=3, drop_rate=0.3, pos_drop_rate=0.3, proj_drop_rate=0.3,
            attn_drop_rate=0.3, drop_path_rate=0.3,
        ),
        "layer1",
    ),
    "torchvision's ViT with dropout": (
        lambda: torchvision.models.VisionTransformer(SIDE, 16, 3, 2, 32, 64, 0.3, 0.3, num_classes=CLASSES),
        "layer1",
    ),
}  # fmt: skip
TEXT_MODELS = {
    "classifier": (classifier, "layer0"),
    "BERT": (bert, "layer0"),
    "BERT, all but the head": (bert, "pool"),
    "DistilBERT": (distilbert, "layer0"),
    "RoBERTa": (roberta, "layer0"),
}
MODELS = {**IMAGE_MODELS, **TEXT_MODELS}


def made(case):
    make, until = MODELS[case]
    torch.manual_seed(0)
    model = make()
    model.transform = pixels if case in IMAGE_MODELS else padded
    return freeze(model, until=until), until


def logits(model, x):
    if isinstance(x, Tokens) and not isinstance(model, TextClassifier):
        return model(input_ids=x.x, attention_mask=x.mask).logits
    return model(x)


class Watch:
    """Sees what the last frozen stage gives out, batch after batch, while the model trains."""

    def __init__(self, model, until):
        stage = dict(stages(model).named_children())[until]
        own = set(model.modules())
        last = [m for m in stage.modules() if m in own][0 if stage in own else -1]
        self.model, self.seen, self.training = model, [], []
        last.register_forward_hook(self)

    def __call__(self, module, args, out):
        out = out[0] if isinstance(out, tuple) else out
        if self.model.training:  # not while it is scored
            self.seen.append(out.detach().clone())
            self.training.append(module.training)

    def assert_deterministic(self, steps):
        assert len(self.seen) >= steps
        assert not any(self.training)
        same = [s for s in self.seen if s.shape == self.seen[0].shape]
        assert len(same) >= 2
        assert all(torch.equal(s, same[0]) for s in same), "a frozen stage gave different features for the same input"


def assert_frozen_stood_still(model, until, before):
    table = changed(model, before)
    names = list(table.index)
    prefix, rest = names[: names.index(until) + 1], names[names.index(until) + 1 :]
    assert frozen(model) == tuple(prefix)
    assert (table.loc[prefix, ["parameters moved", "buffers moved", "largest change"]] == 0).all(axis=None)
    assert table.loc[prefix, "parameters"].sum() > 0
    weighty = [name for name in rest if table.loc[name, "parameters"]]
    assert weighty
    assert (table.loc[weighty, "parameters moved"] > 0).all(), "the rest should have trained"
    norms = [name for name in rest if audit(model).loc[name, "buffers that move"]]
    assert (table.loc[norms, "buffers moved"] > 0).all()


def assert_everything_moves(model, until, before):
    table = changed(model, before)
    weighty = table["parameters"] > 0
    assert (table.loc[weighty, "parameters moved"] > 0).all()
    for name, count in audit(model)["buffers that move"].items():
        assert table.loc[name, "buffers moved"] == count


# ours ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", [*IMAGE_MODELS, "classifier"])
def test_under_fit(case):
    model, until = made(case)
    data = images() if case in IMAGE_MODELS else texts()
    before = snapshot(model)
    fit(model, data, data, epochs=2, lr=0.01, batch=6, weight_decay=0.1, optimizer=sgd, progress=False)
    assert_frozen_stood_still(model, until, before)

    unfreeze(model)
    before = snapshot(model)
    fit(model, data, epochs=1, lr=0.01, batch=6, weight_decay=0.1, progress=False)
    assert frozen(model) == ()
    assert_everything_moves(model, until, before)


def sgd(groups):
    return torch.optim.SGD(groups, momentum=0.9)


@pytest.mark.parametrize("case", [*IMAGE_MODELS, "classifier"])
def test_frozen_features_are_deterministic_under_fit(case):
    model, until = made(case)
    data = images() if case in IMAGE_MODELS else texts()
    same = data.x[:1].repeat(4, 1, 1, 1) if case in IMAGE_MODELS else data.x[:1] * 4
    four = Data(same, data.y[:1].repeat(4), data.kind)
    watch = Watch(model, until)
    fit(model, four, epochs=3, lr=0.01, batch=4, keep=False, progress=False)
    watch.assert_deterministic(3)


# a learner's own ----------------------------------------------------------------------------------


def own_loop(model, data, optimizer, epochs=2):
    """As in a thousand tutorials: `model.train()` each epoch, every parameter in the optimizer."""
    for _ in range(epochs):
        model.train()
        for rows in torch.arange(len(data)).split(6):
            x = data.x[rows] if data.kind == "image" else [data.x[i] for i in rows]
            loss = F.cross_entropy(logits(model, model.transform(x)), data.y[rows])
            optimizer.zero_grad(set_to_none=False)
            loss.backward()
            optimizer.step()
        model.eval()
    return model


def everything(model):
    return torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=0.1)


@pytest.mark.parametrize("case", MODELS)
def test_under_a_hand_written_loop(case):
    model, until = made(case)
    data = images() if case in IMAGE_MODELS else texts()
    before = snapshot(model)
    own_loop(model, data, everything(model))
    assert_frozen_stood_still(model, until, before)

    unfreeze(model)
    before = snapshot(model)
    own_loop(model, data, everything(model), epochs=1)
    assert_everything_moves(model, until, before)


@pytest.mark.parametrize("case", ["CNN with BatchNorm", "classifier"])
def test_frozen_in_the_middle_of_a_hand_written_loop(case):
    model, until = made(case)
    data = images() if case in IMAGE_MODELS else texts()
    unfreeze(model)
    optimizer = everything(model)  # it goes on holding the momentum of what will be frozen
    own_loop(model, data, optimizer)
    freeze(model, until=until)
    before = snapshot(model)
    own_loop(model, data, optimizer, epochs=3)
    assert_frozen_stood_still(model, until, before)


def test_requires_grad_alone_does_not_freeze():
    """The mistake that all of this is about: without it, the tests above could not fail."""
    model = unfreeze(made("CNN with BatchNorm")[0])
    for stage in list(stages(model).children())[:-1]:
        stage.requires_grad_(False)
    before = snapshot(model)
    own_loop(model, images(), everything(model))
    moved = changed(model, before)
    assert moved["parameters moved"].sum() == 2
    assert (moved.loc[["stem", "stage1", "stage2", "stage3"], "buffers moved"] > 0).all()
    assert moved.loc["stem", "largest change"] > 0.01


def test_a_loop_over_the_chain_is_a_loop_over_the_model():
    model, until = made("CNN with BatchNorm")
    chain, data = stages(model), images()
    before = snapshot(model)
    optimizer = torch.optim.AdamW(parameter_groups(model, lr=0.01, weight_decay=0.1))
    for _ in range(2):
        chain.train()
        F.cross_entropy(chain(pixels(data.x)), data.y).backward()
        optimizer.step()
        optimizer.zero_grad()
    assert_frozen_stood_still(model, until, before)


# Hugging Face's Trainer ---------------------------------------------------------------------------


class ForTrainer(nn.Module):
    """An image model in the form that the Trainer asks for."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, pixel_values, labels=None):
        out = self.model(pixel_values)
        return {"loss": F.cross_entropy(out, labels), "logits": out}


def rows_of(case, same=False):
    data = images() if case in IMAGE_MODELS else texts()
    rows = []
    for i, label in enumerate(data.y.tolist()):
        i = 0 if same else i
        if case in IMAGE_MODELS:
            rows.append({"pixel_values": pixels(data.x[i]), "labels": label})
        else:
            ids = [int(word) for word in data.x[i].split()]
            gap = 8 - len(ids)
            rows.append({"input_ids": ids + [0] * gap, "attention_mask": [1] * len(ids) + [0] * gap, "labels": label})
    return rows


def under_trainer(model, case, folder, *, same=False, epochs=2, **options):
    pytest.importorskip("accelerate")
    given = {
        "per_device_train_batch_size": 6, "num_train_epochs": epochs, "learning_rate": 0.01, "weight_decay": 0.1,
        "save_strategy": "no", "report_to": [], "use_cpu": True, "disable_tqdm": True, "logging_strategy": "no",
    }  # fmt: skip
    args = transformers.TrainingArguments(str(folder), **{**given, **options})
    rows = rows_of(case, same)
    wrapped = ForTrainer(model) if case in IMAGE_MODELS else model
    trainer = transformers.Trainer(wrapped, args, train_dataset=rows, eval_dataset=rows[:6])
    trainer.train()
    return trainer


TRAINED = [*IMAGE_MODELS, *(case for case in TEXT_MODELS if case != "classifier")]


@pytest.mark.parametrize("case", TRAINED)
def test_under_the_trainer(case, tmp_path):
    model, until = made(case)
    before = snapshot(model)
    trainer = under_trainer(model, case, tmp_path, eval_strategy="epoch")
    assert trainer.state.global_step == 4
    assert_frozen_stood_still(model, until, before)

    unfreeze(model)
    before = snapshot(model)
    under_trainer(model, case, tmp_path, epochs=1)
    assert_everything_moves(model, until, before)


@pytest.mark.parametrize("case", TRAINED)
def test_frozen_features_are_deterministic_under_the_trainer(case, tmp_path):
    model, until = made(case)
    watch = Watch(model, until)
    under_trainer(model, case, tmp_path, same=True)
    watch.assert_deterministic(4)


def test_features_that_are_not_frozen_are_not_deterministic_under_the_trainer(tmp_path):
    """Else the test above would prove nothing."""
    model, until = made("BERT")
    unfreeze(model)
    watch = Watch(model, until)
    under_trainer(model, "BERT", tmp_path, same=True, learning_rate=0.0)
    assert all(watch.training)
    assert not torch.equal(watch.seen[0], watch.seen[1])


def test_the_trainers_checkpoints_load_again(tmp_path):
    model, _ = made("BERT")
    before = snapshot(model)
    under_trainer(model, "BERT", tmp_path, save_strategy="epoch", eval_strategy="epoch", load_best_model_at_end=True)
    table = changed(model, before)
    assert frozen(model) == ("embeddings", "layer0")
    assert table.loc[["embeddings", "layer0"], "parameters moved"].sum() == 0
    model.save_pretrained(tmp_path / "saved")
    back = transformers.BertForSequenceClassification.from_pretrained(tmp_path / "saved")
    assert frozen(back) == ()
    assert changed(back, snapshot(model))["parameters moved"].sum() == 0
