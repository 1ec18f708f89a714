"""ONNX Runtime runs the frozen stages of a CNN where that pays; it gives what torch gives, or torch runs."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
import torch
from small_nets import Scale, image_net, images, text_net, texts
from torch import nn

from tlcourse import CourseError, UnknownName, evaluate, extract, fit, freeze, load, snapshot, stages
from tlcourse.features import engine as engines
from tlcourse.features.engine import Engine, planned

there = pytest.mark.skipif(
    find_spec("onnxruntime") is None or find_spec("onnx") is None, reason="onnxruntime and onnx are not installed"
)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path))
    monkeypatch.delenv("TLCOURSE_ENGINE", raising=False)
    monkeypatch.setattr(engines, "_last", None)
    return tmp_path


@pytest.fixture
def runs(monkeypatch):
    """The batches that ONNX Runtime was given, and how many networks were translated."""
    seen, translated = [], engines._translated

    def watched(prefix, wanted, x):
        run = translated(prefix, wanted, x)

        def counting(batch):
            seen.append(len(batch))
            return run(batch)

        watched.times += 1
        return counting

    watched.times, watched.seen = 0, seen
    monkeypatch.setattr(engines, "_translated", watched)
    return watched


def plan(engine=None, net=None, kind="image", device="cpu", items=1000):
    return planned(engine, dict(stages(net or image_net()).named_children()), kind, device, items)


# when --------------------------------------------------------------------------------------------


@there
def test_it_runs_a_cnn_on_a_processor_from_128_images_on(monkeypatch):
    assert plan(items=127) == "torch" and plan(items=128).startswith("onnxruntime 1.")
    assert plan("onnxruntime", items=1).startswith("onnxruntime ")
    assert plan("torch") == "torch"
    monkeypatch.setenv("TLCOURSE_ENGINE", "torch")
    assert plan() == "torch" and plan("auto").startswith("onnxruntime")
    monkeypatch.setenv("TLCOURSE_ENGINE", "")
    assert plan().startswith("onnxruntime")


@there
@pytest.mark.parametrize("engine", [None, "auto", "onnxruntime"])
def test_it_does_not_run_what_it_is_not_for(engine):
    assert plan(engine, kind="text", net=text_net()) == "torch"
    assert plan(engine, device="cuda") == plan(engine, device="mps") == "torch"
    assert plan(engine, net=image_net().double()) == plan(engine, net=image_net().bfloat16()) == "torch"
    with torch.autocast("cpu", torch.bfloat16):
        assert plan(engine) == "torch"


@there
def test_a_transformer_gains_nothing_by_it_unless_asked():
    net = nn.Sequential(nn.Sequential(nn.Conv2d(3, 8, 4), nn.Flatten(), nn.Linear(200, 4), nn.Linear(4, 4)))
    assert plan(net=net) == "torch" and plan("onnxruntime", net=net).startswith("onnxruntime")


@pytest.mark.parametrize("missing", ["onnxruntime", "onnx"])
def test_without_it_torch_runs_and_asking_for_it_says_what_to_install(monkeypatch, missing):
    monkeypatch.setattr(engines, "find_spec", lambda name: None if name == missing else find_spec(name))
    assert plan() == "torch"
    for ask in (lambda: plan("onnxruntime"), lambda: extract(image_net(), images(4), engine="onnxruntime")):
        with pytest.raises(CourseError, match="pip install onnxruntime onnx"):
            ask()
    assert extract(image_net(), images(140)).engine == "torch"


def test_wrong_names_are_explained(monkeypatch):
    with pytest.raises(UnknownName, match="Did you mean 'onnxruntime'"):
        extract(image_net(), images(4), engine="onnx")
    monkeypatch.setenv("TLCOURSE_ENGINE", "pytorch")
    with pytest.raises(UnknownName, match=r"'pytorch'(.|\n)*Did you mean 'torch'"):
        fit(freeze(image_net()), images(4), epochs=1)


# what it gives -----------------------------------------------------------------------------------


@there
@pytest.mark.parametrize("n", [128, 130, 193])
def test_it_gives_what_torch_gives_also_for_the_last_batch(n, runs):
    net, data = image_net().train(), images(n)
    features = extract(net, data, "neck")
    expected = extract(net, data, "neck", engine="torch")
    assert features.engine.startswith("onnxruntime") and expected.engine == "torch" and not expected.kept
    assert torch.allclose(features.x, expected.x, atol=1e-4) and features.x.std() > 0.01
    assert runs.times == 1 and runs.seen == [32] * -(-n // 32), "each batch is filled to the size that it knows"


@there
def test_several_stages_at_once(runs):
    net, data = image_net(), images(140)
    several = extract(net, data, ["pool", "stem", "body"])
    assert runs.times == 1 and list(several) == ["pool", "stem", "body"]
    for stage, features in several.items():
        expected = extract(net, data, stage, engine="torch", cache=False)
        # the body begins with a ReLU in place: it must not reach into what was taken at the stem
        assert torch.allclose(features.x, expected.x, atol=1e-4), stage
        assert features.engine.startswith("onnxruntime")


@there
def test_a_real_network_is_trained_and_scored_to_the_same_figures(runs):
    net = freeze(load("efficientnet-lite0", classes=2, pretrained=False, size=32))
    data, results = images(150), []
    for name in ("auto", "torch"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TLCOURSE_ENGINE", name)
            model = freeze(load("efficientnet-lite0", classes=2, pretrained=False, size=32))
            history = fit(model, data, epochs=2, optimizer=torch.optim.SGD)
            results.append(([row["loss"] for row in history.rows], evaluate(model, data).loss))
            assert f"computed once by {'torch' if name == 'torch' else 'onnxruntime'}" in history.keeping
    assert results[0][0] == pytest.approx(results[1][0], abs=1e-4) and results[0][1] == pytest.approx(
        results[1][1], abs=1e-4
    )
    assert runs.times == 1 and extract(net, data).engine.startswith("onnxruntime")


@there
def test_the_translated_network_is_used_again_for_the_same_weights_only(runs):
    net = image_net()
    for data in (images(140), images(150, seed=1), images(128, seed=2)):
        assert extract(net, data, ["pool", "stem"]).keys() == {"pool", "stem"}
    assert runs.times == 1
    with torch.no_grad():
        net.neck[1].weight += 1  # behind the stem, which is the last that was asked for
    found = extract(net, images(140), ["pool", "stem"], cache=False)
    expected = extract(net, images(140), ["pool", "stem"], engine="torch", cache=False)
    assert runs.times == 2 and torch.allclose(found["pool"].x, expected["pool"].x, atol=1e-4)
    assert found["pool"].engine.startswith("onnxruntime"), "another network's translation was tried"


@there
def test_nothing_of_the_model_changes():
    net = image_net(dropout=0.5).train()
    net.body.eval(), freeze(net, "stem")
    before, modes = snapshot(net), [m.training for m in net.modules()]
    grads = [p.requires_grad for p in net.parameters()]
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    assert extract(net, images(140)).engine.startswith("onnxruntime")
    assert torch.equal(torch.rand(2), expected)
    assert [m.training for m in net.modules()] == modes and [p.requires_grad for p in net.parameters()] == grads
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    net(Scale()(images(4).x)).sum().backward()
    assert net.head[1].weight.grad is not None and net.stem[0].weight.grad is None


@there
def test_each_engine_has_files_of_its_own(home):
    net, data = image_net(), images(140)
    for engine, kept in (("onnxruntime", False), ("torch", False), ("onnxruntime", True), ("torch", True)):
        features = extract(net, data, engine=engine)
        assert features.kept is kept and features.engine.startswith(engine)
    assert len(list(home.rglob("*.safetensors"))) == 2


# when it fails -----------------------------------------------------------------------------------


def failing(*_):
    raise RuntimeError("an operation nobody knows")


def failing_later(*_):
    return failing


def wrong(prefix, wanted, x):
    with torch.no_grad():
        y = nn.Sequential(*prefix.values())(x)
    return lambda batch: {wanted[0]: y + 1e-3}


def not_a_number(prefix, wanted, x):
    return lambda batch: {wanted[0]: torch.full((len(batch), 8), torch.nan)}


def another_shape(prefix, wanted, x):
    return lambda batch: {wanted[0]: torch.zeros(len(batch), 7)}


@there
@pytest.mark.parametrize(
    ("translated", "says"),
    [
        (failing, "could not: RuntimeError"),
        (failing_later, "could not: RuntimeError"),
        (wrong, "differs by 1e-03 at 'pool'"),
        (not_a_number, "differs by nan"),
        (another_shape, "differs by inf"),
    ],
)
def test_torch_runs_when_it_cannot_or_differs(monkeypatch, translated, says):
    monkeypatch.setattr(engines, "_translated", translated)
    data = images(140)
    features = extract(image_net(), data)
    assert features.engine.startswith("torch") and says in features.engine
    expected = extract(image_net(), data, engine="torch", cache=False)
    assert torch.allclose(features.x, expected.x, atol=1e-6)
    history = fit(freeze(image_net(seed=1)), data, epochs=1)
    assert "computed once by torch" in history.keeping


@there
def test_an_operation_that_has_no_translation():
    class Odd(nn.Module):
        def forward(self, x):
            return torch.linalg.matrix_exp(x.flatten(1)[:, :16].reshape(-1, 4, 4)).flatten(1)

    net = nn.Sequential(nn.Conv2d(3, 4, 3), Odd(), nn.Linear(16, 2))
    net.transform = Scale()
    features = extract(net, images(140), "1", engine="onnxruntime", cache=False)
    with torch.no_grad():
        assert torch.allclose(features.x, net[:2](Scale()(images(140).x)), atol=1e-5)
    assert "torch ran it, since ONNX Runtime could not" in features.engine


@there
def test_texts_run_by_torch_even_when_asked():
    features = extract(text_net(), texts(), engine="onnxruntime")
    assert features.engine == "torch" and features.x.shape == (24, 16)


@there
def test_images_of_another_size_within_one_run():
    prefix = {"conv": nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).eval()}
    run = Engine(prefix, ["conv"], "onnxruntime 1")
    for shape in ((4, 3, 8, 8), (4, 3, 9, 8), (2, 3, 8, 8), (6, 3, 8, 8), (4, 3, 8, 8)):
        x = torch.rand(shape)
        with torch.no_grad():
            assert torch.allclose(run(x)["conv"], prefix["conv"](x), atol=1e-5)
    assert run.session is not None and run.note == ""
