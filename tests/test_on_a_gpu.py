"""A GPU finds what the processor finds: all that computes, once on both. Skipped where there is no CUDA device."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import partial

import pytest
import torch
from small_nets import image_net, images, text_net, texts
from torch import nn

from tlcourse import (
    MaskDecoder,
    MultiTask,
    PointDetector,
    SpanReader,
    Subwords,
    TaskData,
    Translator,
    adapt,
    adapt_batch_norm,
    changed,
    cka,
    cost,
    country_questions,
    detect,
    evaluate,
    evaluate_tasks,
    extract,
    fine_tune,
    fit,
    fit_detector,
    fit_masks,
    fit_reader,
    fit_tasks,
    fit_translator,
    freeze,
    grad_cam,
    gradient_similarity,
    l2_sp,
    load,
    lora,
    predict,
    range_test,
    save,
    segment,
    snapshot,
    token_attribution,
    translate,
)
from tlcourse.answering import places
from tlcourse.features import Features
from tlcourse.models import Tokens

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
GPU = "cuda"
WEIGHTINGS = ("equal", "uncertainty", "dwa", "gradnorm", "pcgrad")
EXACT = {"optimizer": torch.optim.SGD, "precision": "float32"}


@pytest.fixture(autouse=True)
def on_the_gpu(monkeypatch, tmp_path):
    """Whole single precision, as on the processor; by default a GPU rounds what its convolutions multiply."""
    monkeypatch.setenv("TLCOURSE_DEVICE", GPU)
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path))
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def told(history, model):
    """The figures of a training, and the weights that it ended with."""
    rows = [
        value for row in history.rows for name, value in row.items() if isinstance(value, float) and name != "seconds"
    ]
    return [torch.tensor(rows), *(tensor.float() for tensor in model.state_dict().values())]


def trained(device, net=image_net, until=None, data=images, **more):
    model = freeze(net().to(device), until=until) if until else net().to(device)
    model_data = data(30)
    start = snapshot(model)
    history = fit(model, model_data[:24], model_data[24:], epochs=3, batch=8, lr=0.01, **EXACT, **more)
    if until:
        moved = changed(model, since=start)["parameters moved"].drop("pool")
        assert not moved[:until].any() and moved[until:][1:].all()
    return told(history, model)


def penalized(device):
    model = image_net().to(device)
    return told(
        fit(model, images(30), epochs=2, lr=0.01, penalty=l2_sp(model, 0.1), class_weights=[1.0, 2.0], **EXACT), model
    )


def gradually(device):
    model = image_net().to(device)
    return told(
        fine_tune(model, images(30), images(9, seed=1), epochs=3, unfreeze="gradual", decay=0.5, **EXACT), model
    )


def from_vectors(device):
    data = images(30)
    model = nn.Sequential()
    model.add_module("pool", nn.Identity())
    model.add_module("head", nn.Linear(8, 2))
    nn.init.zeros_(model.head.weight), nn.init.zeros_(model.head.bias)
    vectors = Features(
        torch.randn(30, 8, generator=torch.Generator().manual_seed(0)), data.y, data.ids, data.classes, "pool"
    )
    return told(fit(freeze(model.to(device), "pool"), vectors, epochs=3, lr=0.05, **EXACT), model)


def detoured(device):
    torch.manual_seed(0)
    model = lora(image_net().to(device), rank=2)
    return told(fit(model, images(30), epochs=2, lr=0.01, **EXACT), model)


def of_tasks(device, weighting):
    split = images(24)
    kind, mean = split.y.clone(), split.x.float().mean((1, 2, 3))[:, None] / 255
    kind[::3] = -1
    data = TaskData(split, {"kind": kind, "mean": mean})
    model = freeze(MultiTask(image_net(), {"kind": 2, "mean": 1}).to(device), until="body")
    history = fit_tasks(model, data, weighting=weighting, epochs=2, batch=8, lr=0.01, optimizer=torch.optim.SGD)
    similar = torch.tensor(gradient_similarity(model, data).to_numpy())
    scores = torch.tensor(evaluate_tasks(model, data)["score"].to_numpy(dtype=float))
    return [torch.tensor([row["loss"] for row in history.rows]), similar, scores]


def of_domains(device, method):
    source, target = images(24), images(24, seed=1)
    target = replace(target, x=target.x // 3, ids=tuple(f"dim{i}" for i in range(24)))
    model = freeze(image_net().to(device), until="stem")
    history = adapt(model, source, target, method=method, epochs=2, batch=8, lr=0.01, optimizer=torch.optim.SGD)
    adapt_batch_norm(model, target)
    return told(history, model)


def maps(channels=6, n=4):
    return {"stage3": torch.randn(n, channels, 8, 8, generator=torch.Generator().manual_seed(0))}


def of_masks(device):
    kept = {"stage3": Features(maps()["stage3"], None, tuple("abcd"), ("0", "1"), "stage3")}
    targets = torch.arange(4 * 32 * 32).reshape(4, 32, 32) // 512 % 2
    decoder = MaskDecoder({"stage3": 6}, outputs=2, width=8, upsample=4).to(device)
    history = fit_masks(decoder, kept, targets, (kept, targets), epochs=2, optimizer=torch.optim.SGD)
    return [*told(history, decoder), segment(decoder, kept)]


def of_boxes(device):
    boxes = [torch.tensor([[4.0, 4, 20, 20]]), torch.zeros(0, 4), torch.tensor([[30.0, 30, 50, 60]]), torch.zeros(0, 4)]
    detector = PointDetector(maps(), size=64).to(device)
    history = fit_detector(detector, maps(), boxes, epochs=3)
    return [*told(history, detector)[:1], *(one.scores[:1] for one in detect(detector, maps()))]


def of_translations(device):
    french = ["ouvrir le fichier", "fermer le fichier", "le document", "fermer"]
    words = Subwords(french * 3, size=300)
    states = Tokens(torch.rand(4, 5, 8, generator=torch.Generator().manual_seed(0)), torch.ones(4, 5))
    model = Translator(len(words), 16, 8, dropout=0.0).to(device)
    history = fit_translator(model, states, words.encode(french), epochs=40, lr=1e-2, smoothing=0.0, progress=False)
    assert translate(model, states, words).texts == translate(model, states, words, beam=3).texts
    return told(history, model)[:1]


CASES = {
    "whole": trained,
    "kept": partial(trained, until="body"),
    "not kept": partial(trained, until="body", keep=False),
    "texts": partial(trained, net=partial(text_net, dropout=0.0), until="layer1", data=texts),
    "penalty and weights": penalized,
    "phases": gradually,
    "from vectors": from_vectors,
    "LoRA": detoured,
    **{f"tasks, {name}": partial(of_tasks, weighting=name) for name in WEIGHTINGS},
    **{f"domains, {name}": partial(of_domains, method=name) for name in ("mmd", "coral", "dann")},
    "masks": of_masks,
    "boxes": of_boxes,
    "translations": of_translations,
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_training_finds_what_it_finds_on_the_processor(case, monkeypatch):
    expected = CASES[case]("cpu")
    found = CASES[case](GPU)
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours.cpu(), theirs.cpu(), atol=2e-3, rtol=2e-3, equal_nan=True)


@pytest.mark.parametrize(("net", "data"), [(image_net, images), (text_net, texts)], ids=["images", "texts"])
def test_features_of_each_stage_are_those_of_the_processor_and_come_back_to_it(net, data):
    names = ["stem", "body", "pool"] if net is image_net else ["layer0", "layer2", "pool"]
    ours, theirs = (extract(net().to(device), data(20), names, batch=6) for device in (GPU, "cpu"))
    for name in names:
        assert ours[name].x.device.type == "cpu" and ours[name].key != theirs[name].key
        torch.testing.assert_close(ours[name].x, theirs[name].x, atol=1e-4, rtol=1e-4)
    assert cka(ours["pool"], theirs["pool"]) == pytest.approx(1, abs=1e-4)
    assert extract(net().to(GPU), data(20), names, batch=6)["pool"].kept


def test_evaluation_and_explanations_are_those_of_the_processor():
    ours, theirs = image_net().to(GPU), image_net()
    data = images(10)
    assert evaluate(ours, data).loss == pytest.approx(evaluate(theirs, data).loss, abs=1e-4)
    where = [grad_cam(net, net.transform(data.x[:1]), 1, stage="neck").cpu() for net in (ours, theirs)]
    torch.testing.assert_close(*where, atol=1e-3, rtol=1e-3)
    said = [predict(net, data.x[0], top=1) for net in (ours, theirs)]
    assert said[0].names == said[1].names and said[0].shares[0] == pytest.approx(said[1].shares[0], abs=1e-4)
    first = [range_test(net, data, steps=10).losses[0] for net in (ours, theirs)]
    assert first[0] == pytest.approx(first[1], abs=1e-2), "on a GPU in bfloat16"
    assert cost(freeze(ours, "body"), data, epochs=2).seconds(epochs=2) > 0


def test_what_the_course_loads_computes_on_the_gpu_and_is_saved_for_any_machine(tmp_path, monkeypatch):
    model = load("efficientnet-lite0", ["a", "b"], pretrained=False, size=64)
    assert {p.device.type for p in model.parameters()} == {GPU}
    x = model.transform(images(3, size=32).x)
    with torch.no_grad():
        there = model(x.to(GPU)).cpu()
        save(model, tmp_path / "model.safetensors")
        monkeypatch.setenv("TLCOURSE_DEVICE", "cpu")
        here = load(str(tmp_path / "model.safetensors"))
        assert {p.device.type for p in here.parameters()} == {"cpu"}
        torch.testing.assert_close(here(x), there, atol=1e-3, rtol=1e-3)


def test_a_checkpoint_goes_on_where_it_was(tmp_path):
    def run(epochs):
        torch.manual_seed(3)
        model, path = image_net(dropout=0.2).to(GPU), tmp_path / f"{epochs}"
        return model, lambda: fit(model, images(24), epochs=epochs, lr=0.01, checkpoint=path)

    model, go = run(4)
    go()
    again = image_net(dropout=0.2).to(GPU)
    history = fit(again, images(24), epochs=4, lr=0.01, checkpoint=tmp_path / "4")
    assert len(history) == 4
    for ours, theirs in zip(again.state_dict().values(), model.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs) and ours.device.type == GPU


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_each_precision_learns(precision):
    model = image_net().to(GPU)
    history = fit(model, images(40), epochs=6, lr=0.02, precision=precision)
    assert history.rows[-1]["loss"] < history.rows[0]["loss"] and all(p.isfinite().all() for p in model.parameters())


def test_a_batch_that_the_memory_does_not_hold_goes_in_halves():
    model = load("efficientnet-lite0", 2, pretrained=False, size=96)
    data, total = images(256, size=96), torch.cuda.get_device_properties(0).total_memory
    expected = extract(model, data, "pool", batch=16, cache=False).x
    start = copy.deepcopy(model.state_dict())
    torch.cuda.empty_cache()
    try:
        torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 500e6) / total)
        found = extract(model, data, "pool", batch=256, cache=False).x
        torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-3)
        history = fit(freeze(model, "stage2"), data[:96], epochs=1, batch=48, keep=False, lr=1e-4)
        assert "two halves" in history.note or torch.cuda.max_memory_allocated() < 500e6
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert all(p.isfinite().all() for p in model.parameters()) and start.keys() == model.state_dict().keys()


@pytest.fixture
def assets(monkeypatch):
    monkeypatch.delenv("TLCOURSE_HOME")


@pytest.mark.assets
def test_words_are_weighed_as_on_the_processor(assets, monkeypatch):
    found = []
    for device in (GPU, "cpu"):
        monkeypatch.setenv("TLCOURSE_DEVICE", device)
        found.append(token_attribution(load("minilm", 2), "a good film, badly told", 1, steps=20))
    assert found[0].values == pytest.approx(found[1].values, abs=1e-3)


@pytest.mark.assets
def test_a_reader_learns_and_answers(assets):
    asked = country_questions().train[:24]
    reader = SpanReader(load("minilm"), at="layer4", train=("layer5",))
    losses = fit_reader(reader, asked, epochs=3)
    assert losses[-1] < losses[0] and {p.device.type for p in reader.parameters()} == {GPU}
    kept, where = reader.features(asked), places(reader.transform, asked)
    scores = reader.eval().scores(kept.batch(torch.arange(24)).to(GPU), where.inside.to(GPU))
    assert scores.shape[0] == 24 and scores[where.inside].isfinite().all()
