"""In which precision a batch is computed, and what happens when a device's memory does not suffice."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from small_nets import Scale, image_net, images, text_net, texts
from torch import nn
from torch.nn import functional as F

from tlcourse import CourseError, UnknownName, extract, fit, freeze
from tlcourse.training import precision as precisions
from tlcourse.training.precision import Precision, has_bfloat16

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def empty_home(tmp_path, monkeypatch):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path))


def plain_net():
    """Neither BatchNorm nor dropout: the mean over a batch is the mean over its halves."""
    torch.manual_seed(0)
    parts = {"stem": nn.Conv2d(3, 4, 3), "act": nn.Tanh(), "pool": nn.Flatten(), "head": nn.Linear(144, 2)}
    net = nn.Sequential(OrderedDict(parts))
    net.transform = Scale()
    return net.eval()


# precision ---------------------------------------------------------------------------------------


def test_a_processor_computes_in_single_precision_if_nobody_says_otherwise():
    seen, net = [], image_net()
    net.body[1].register_forward_hook(lambda _, x, y: seen.append(y.dtype))
    fit(net, images(8), epochs=1)
    assert set(seen) == {torch.float32} and Precision("auto", CPU).dtype is None


def test_a_processor_without_the_instructions_refuses_bfloat16(monkeypatch):
    monkeypatch.setattr(precisions, "has_bfloat16", lambda device: False)
    with pytest.raises(CourseError, match=r'no instructions for bfloat16(.|\n)*Leave out precision="bfloat16"'):
        fit(image_net(), images(8), epochs=1, precision="bfloat16")


@pytest.mark.parametrize("make", [image_net, lambda: freeze(image_net(), until="body")])
def test_where_it_has_them_matrix_products_are_in_bfloat16_and_weights_are_not(monkeypatch, make):
    monkeypatch.setattr(precisions, "has_bfloat16", lambda device: True)
    net, seen, plain = make(), [], make()
    net.neck[1].register_forward_hook(lambda module, x, y: seen.append(y.dtype) if module.training else None)
    history = fit(net, images(20), images(8), epochs=2, batch=10, lr=0.01, precision="bfloat16")
    assert set(seen) == {torch.bfloat16} and all(p.dtype == torch.float32 for p in net.parameters())
    expected = fit(plain, images(20), images(8), epochs=2, batch=10, lr=0.01)
    ours, theirs = ([row["loss"] for row in h.rows] for h in (history, expected))
    assert ours != theirs and ours == pytest.approx(theirs, abs=0.02)


@pytest.mark.parametrize(("flags", "has"), [({}, False), ({"amx_bf16": True}, True), ({"avx512_bf16": False}, False)])
def test_the_instructions_are_those_that_torch_has_found(monkeypatch, flags, has):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: flags, raising=False)
    assert has_bfloat16(CPU) is has and not has_bfloat16(torch.device("mps"))


def test_half_precision_is_for_gpus():
    with pytest.raises(CourseError, match="Processors train in float32"):
        fit(image_net(), images(8), epochs=1, precision="float16")


@pytest.mark.parametrize(("name", "near"), [("bfloat", "bfloat16"), ("float", "float32"), ("fp16", "float16")])
def test_unknown_names_get_the_nearest(name, near):
    with pytest.raises(UnknownName, match=f"Did you mean (.*)'{near}'"):
        fit(image_net(), images(8), epochs=1, precision=name)
    with pytest.raises(UnknownName, match="The precisions are"):
        fit(image_net(), images(8), epochs=1, precision=torch.float16)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_weights_in_half_precision_are_refused(dtype):
    with pytest.raises(CourseError, match=r"small updates are lost(.|\n)*model\.float\(\)"):
        fit(image_net().to(dtype), images(8), epochs=1)


@pytest.mark.parametrize(("make", "data"), [(image_net, images(12)), (text_net, texts(12))])
@pytest.mark.parametrize("until", [None, "pool"])
def test_double_precision_trains_in_double_precision(make, data, until):
    losses = []
    for double in (False, True):
        net = make(dropout=0.0).double() if double else make(dropout=0.0)
        for module in net.modules():  # of float32 and float64 other numbers are drawn
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        if until:
            freeze(net, until=until)
        history = fit(net, data, data, epochs=2, lr=0.01, optimizer=torch.optim.SGD)
        assert next(net.parameters()).dtype == (torch.float64 if double else torch.float32)
        losses.append([row[name] for row in history.rows for name in ("loss", "valid_loss")])
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)


# too little memory -------------------------------------------------------------------------------


class Full:
    """A loss for which the device's memory holds batches of so many items at most."""

    def __init__(self, most):
        self.most, self.sizes = most, []

    def __call__(self, logits, labels):
        self.sizes.append(len(labels))
        if len(labels) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return F.cross_entropy(logits, labels)


def trained(loss, **more):
    net = plain_net()
    history = fit(net, images(40), images(8), epochs=3, batch=10, lr=0.1, loss=loss, **more)
    return history, net.state_dict()


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.AdamW])
def test_a_batch_that_does_not_fit_goes_through_in_halves_with_the_same_result(optimizer):
    expected, weights = trained(F.cross_entropy, optimizer=optimizer)
    loss = Full(most=6)
    history, found = trained(loss, optimizer=optimizer)
    assert loss.sizes == [10] + [5, 5] * 12, "tried once with the whole batch"
    assert "each went through in two halves" in history.note and "halves" not in expected.note
    for row, same in zip(history.rows, expected.rows, strict=True):
        assert [row[k] for k in row if k != "seconds"] == pytest.approx(
            [same[k] for k in row if k != "seconds"], abs=1e-5
        )
    assert all(torch.allclose(found[name], tensor, atol=1e-5) for name, tensor in weights.items())


def test_odd_batches_and_a_penalty_are_weighed_right():
    def run(loss):
        net = plain_net()
        fit(
            net, images(33), epochs=2, batch=11, lr=0.1, optimizer=torch.optim.SGD, loss=loss,
            penalty=lambda: net.stem.weight.square().sum(),
        )  # fmt: skip
        return net.state_dict()

    expected, loss = run(F.cross_entropy), Full(most=6)
    found = run(loss)
    assert loss.sizes[:3] == [11, 6, 5]
    assert all(torch.allclose(found[name], tensor, atol=1e-5) for name, tensor in expected.items())


def test_it_may_happen_late_and_within_kept_features():
    loss, calls = Full(most=100), []

    def later(logits, labels):
        calls.append(1)
        loss.most = 100 if len(calls) < 6 else 6
        return loss(logits, labels)

    net, plain = freeze(plain_net(), until="act"), freeze(plain_net(), until="act")
    history = fit(net, images(40), epochs=3, batch=10, lr=0.1, loss=later, keep=True)
    expected = fit(plain, images(40), epochs=3, batch=10, lr=0.1, keep=True)
    assert "Kept at" in history.keeping and "two halves" in history.note
    assert [r["loss"] for r in history.rows] == pytest.approx([r["loss"] for r in expected.rows], abs=1e-5)


@pytest.mark.parametrize("most", [0, 3])
def test_if_half_a_batch_does_not_fit_either_it_says_what_to_do(most):
    net = plain_net()
    with pytest.raises(CourseError, match=r"even for half a batch(.|\n)*smaller batch=") as caught:
        fit(net, images(40), epochs=1, batch=10, loss=Full(most))
    assert caught.value.__cause__ is None and not net.training and all(p.grad is None for p in net.parameters())


def test_batches_of_few_are_not_halved():
    with pytest.raises(CourseError, match="memory does not suffice"):
        fit(plain_net(), images(6), epochs=1, batch=3, loss=Full(2))


def test_the_frozen_stages_go_in_pieces_too():
    data, sizes = images(40), []

    def full(module, x):
        sizes.append(len(x[0]))
        if len(x[0]) > 6:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    net = plain_net()
    expected = extract(net, data, "pool", batch=20, cache=False, engine="torch").x
    net.act.register_forward_pre_hook(full)
    found = extract(net, data, "pool", batch=20, cache=False, engine="torch")
    assert torch.allclose(found.x, expected, atol=1e-6) and sizes == [20, 10, 5, 5, 10, 5, 5] * 2
    net.act.register_forward_pre_hook(lambda *_: full(None, [range(7)]))
    with pytest.raises(CourseError, match="does not hold a single item"):
        extract(net, data, "pool", cache=False)
