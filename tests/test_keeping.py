"""When `fit` and `evaluate` keep what the frozen stages give, what they say of it, and when it is used again."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_nets import Scale, image_net, images, text_net, texts
from torch import nn
from torchvision.transforms import v2

from tlcourse import CourseError, evaluate, extract, fit, freeze, load, unfreeze
from tlcourse.training import keeping

TESTS = Path(__file__).resolve().parent
FLIP = v2.RandomHorizontalFlip()


@pytest.fixture(autouse=True)
def empty_home(tmp_path, monkeypatch):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path))
    monkeypatch.setenv("TLCOURSE_ENGINE", "torch")


class Counting:
    """How many items have passed a module while it computed."""

    def __init__(self, module):
        self.items = 0
        module.register_forward_pre_hook(self)

    def __call__(self, module, x):
        self.items += len(x[0])


SENT = []  # how many images were sent to a `Counted`; not on the class, whose values are a part of the key


class Counted(Scale):
    """A transform that counts batches; a look at up to four images tells whether it is random, and how large they get.

    A hook on a module would not do: it makes what the module gives nameless, so that nothing is kept on disk.
    """

    def __call__(self, x):
        SENT.extend([len(x)] * (len(x) > 4))
        return super().__call__(x)


def counted_net():
    net = image_net()
    net.transform = Counted()
    SENT.clear()
    return net


# used again --------------------------------------------------------------------------------------


def test_epochs_runs_and_heads_share_one_pass():
    data, net = images(24), freeze(counted_net(), until="neck")
    history = fit(net, data[:16], data[16:], epochs=5, batch=8)
    assert "computed once" in history.keeping and SENT == [16, 8]
    again = fit(net, data[:16], data[16:], epochs=2, lr=0.1)
    net.head[1] = nn.Linear(8, 2)
    third = fit(net, data[:16], data[16:], epochs=1)
    evaluate(net, data[16:])
    other = freeze(image_net(seed=0), until="neck")  # another model with the same weights in its frozen stages
    other.transform, other.head[1] = Counted(), nn.Linear(8, 2)
    assert all("read from the cache" in h.keeping for h in (again, third, fit(other, data[:16], epochs=1)))
    assert SENT == [16, 8]
    fit(net, data[:16], epochs=3, batch=8, keep=False)
    assert SENT == [16, 8] + 6 * [8]


OTHER_PROCESS = """
import sys
sys.path.insert(0, {here!r})
from small_nets import image_net, images
from tlcourse import fit, freeze
print(fit(freeze(image_net()), images(24), epochs=1).keeping)
"""


def test_another_process_reads_what_was_kept():
    assert "computed once" in fit(freeze(image_net()), images(24), epochs=1).keeping
    done = subprocess.run([sys.executable, "-c", OTHER_PROCESS.format(here=str(TESTS))], capture_output=True, text=True)
    assert "read from the cache" in done.stdout, done.stderr


def other_weights(net):
    net.stem[0].weight.data[0, 0, 0, 0] += 1e-6


def other_statistics(net):
    net.body[2].running_mean += 1e-3


def other_transform(net):
    net.transform = Scale(0.4)


@pytest.mark.parametrize("change", [other_weights, other_statistics, other_transform])
def test_it_is_not_used_when_the_model_is_another(change):
    data = images(24)
    fit(freeze(image_net()), data, epochs=1)
    net, plain = freeze(image_net()), freeze(image_net())
    change(net), change(plain)
    history, expected = fit(net, data, epochs=2), fit(plain, data, epochs=2, keep=False)
    assert "computed once" in history.keeping
    assert [r["loss"] for r in history.rows] == pytest.approx([r["loss"] for r in expected.rows], abs=1e-6)


def test_it_is_not_used_when_the_data_are_others():
    data = images(24)
    fit(freeze(image_net()), data, epochs=1)
    x = data.x.clone()
    x[3, 0, 0, 0] ^= 1
    for other in (replace(data, x=x), replace(data, y=data.y.flip(0)), data[1:]):
        assert "computed once" in fit(freeze(image_net()), other, epochs=1).keeping
    data.x[3, 0, 0, 0] ^= 1  # changed in place: the first of the others, whose key is known
    assert "read from the cache" in fit(freeze(image_net()), data, epochs=1).keeping


def test_unfreezing_between_two_runs_moves_the_boundary():
    net, plain, data, losses = freeze(image_net()), freeze(image_net()), images(24), []
    for model, keep in ((net, True), (plain, False)):
        rows, lines = [], []
        for names in ((), ("neck",), ("body",)):
            for name in names:
                unfreeze(model, name)
            history = fit(model, data, epochs=2, lr=0.01, keep=keep, optimizer=torch.optim.SGD)
            rows += [row["loss"] for row in history.rows]
            lines.append(history.keeping)
        losses.append(rows)
        if keep:
            assert [line.split("'")[1] for line in lines] == ["pool", "body", "stem"]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    unfreeze(net)
    assert fit(net, data, epochs=1).keeping == ""
    freeze(net)
    assert "computed once" in fit(net, data, epochs=1).keeping, "its weights are not those of the first run"


@pytest.mark.parametrize("until", ["pool", "body"])
def test_a_model_moved_to_another_precision_between_two_runs(until):
    data = images(24)
    net = freeze(image_net(), until=until)
    fit(net, data, epochs=1, keep=True)
    net.double()
    plain = freeze(image_net(), until=until)
    fit(plain, data, epochs=1, keep=True)
    plain.double()
    history, expected = (fit(m, data, data, epochs=2, keep=k) for m, k in ((net, True), (plain, False)))
    assert [r["loss"] for r in history.rows] == pytest.approx([r["loss"] for r in expected.rows], abs=1e-5)
    assert evaluate(net, data).loss == pytest.approx(evaluate(plain, data, keep=False).loss, abs=1e-5)
    assert "Kept at" in fit(net.float(), data, epochs=1).keeping
    with pytest.raises(CourseError, match=r"half precision.*\n.*model\.float\(\)"):
        fit(net.half(), data, epochs=1)


# why nothing was kept ----------------------------------------------------------------------------


def in_the_middle(net=None):
    return freeze(net or image_net(), until="body")


def test_a_history_says_why_nothing_was_kept():
    data, net = images(24), in_the_middle()
    assert fit(net, data, epochs=2, keep=False).keeping == "Nothing was kept: keep=False."
    line = fit(net, data, epochs=2, augment=FLIP).keeping
    assert "changed at random" in line and "views=4" in line
    assert "mixed with each other" in fit(net, data, epochs=2, mix="mixup").keeping
    assert "transform is random" in fit(in_the_middle(random_net()), data, epochs=2).keeping
    assert fit(unfreeze(image_net()), data, epochs=1).keeping == ""
    assert fit(net, extract(net, data, "body"), epochs=1).keeping == ""


def test_one_epoch_of_much_computes_it_once_anyway(monkeypatch):
    monkeypatch.setattr(keeping, "SMALL", 1000)
    assert "one epoch computes them once anyway" in fit(in_the_middle(), images(24), epochs=1).keeping
    assert "Kept at 'body'" in fit(in_the_middle(), images(24), epochs=2).keeping
    assert "Kept at 'pool'" in fit(freeze(image_net()), images(24), epochs=1).keeping, "a few vectors are always kept"


def test_more_than_the_limit_is_not_kept(monkeypatch, tmp_path):
    monkeypatch.setenv("TLCOURSE_FEATURES_LIMIT_MB", "0.001")
    monkeypatch.setenv("TLCOURSE_FEATURES_MEMORY_MB", "0.001")
    history = fit(in_the_middle(), images(24), epochs=2)
    assert "TLCOURSE_FEATURES_LIMIT_MB" in history.keeping and not list(tmp_path.rglob("*.safetensors"))


def test_a_prefix_of_little_work_is_not_kept(monkeypatch):
    monkeypatch.setattr(keeping, "LITTLE", 1.0)
    assert "% of the work" in fit(in_the_middle(), images(24), epochs=2).keeping
    assert "Kept at" in fit(in_the_middle(), images(24), epochs=2, keep=True).keeping


@pytest.mark.parametrize(
    ("prepare", "more", "says"),
    [
        (in_the_middle, {"augment": FLIP}, "changed at random"),
        (in_the_middle, {"mix": "cutmix"}, "mixed with each other"),
        (image_net, {}, "first stage trains"),
        (lambda: in_the_middle(random_net()), {}, "transform is random"),
        (in_the_middle, {"keep": "yes"}, "keep=True or keep=False"),
    ],
)
def test_keeping_is_refused_where_it_cannot_be_right(prepare, more, says):
    with pytest.raises(CourseError, match=says):
        fit(prepare(), images(24), **{"epochs": 2, "keep": True, **more})


def random_net():
    net = image_net()
    net.transform = lambda x: x.float() / 255 + 0.01 * torch.rand(1)
    return net


def test_evaluation_may_refuse_too():
    with pytest.raises(CourseError, match="first stage trains"):
        evaluate(image_net(), images(24), keep=True)


# random views ------------------------------------------------------------------------------------


def test_views_are_kept_and_take_turns():
    net, data, seen = in_the_middle(image_net(dropout=0.0)), images(24), []
    views = extract(net, data, "body", augment=FLIP, views=3)
    net.neck.register_forward_pre_hook(lambda _, x: seen.append(x[0]) if len(x[0]) > 4 else None)
    history = fit(net, data, epochs=4, batch=24, augment=FLIP, views=3)
    assert "in 3 random views" in history.keeping and len(seen) == 4
    for epoch, x in enumerate(seen):
        assert torch.equal(x.flatten(1).sort(0).values, views.x[:, epoch % 3].flatten(1).sort(0).values)
    assert len({round(float(x.sum()), 3) for x in seen}) == 3, "the views are alike"


@pytest.mark.parametrize("more", [{"keep": False}, {"mix": "mixup"}])
def test_views_that_are_not_kept_are_drawn_anew(more):
    draws = []

    def augment(x):
        draws.append(float(torch.rand(1)))
        return x

    history = fit(in_the_middle(), images(10), epochs=3, augment=augment, views=2, **more)
    assert "Nothing was kept" in history.keeping and len(draws) == len(set(draws)) == 30


# evaluation --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("make", "data"), [(image_net, images(30)), (text_net, texts(30))])
@pytest.mark.parametrize("until", ["pool", 1])
def test_evaluation_keeps_too_and_scores_the_same(make, data, until):
    names = [name for name, _ in make().named_children()] if make is image_net else ["embeddings", "layer0"]
    net = freeze(make(), until=names[1] if until == 1 else until)
    first, again, plain = (evaluate(net, data, keep=k, batch=b) for k, b in ((None, 7), (True, None), (False, 9)))
    for result in (first, again):
        assert result.loss == pytest.approx(plain.loss, abs=1e-5)
        assert result.predictions.tolist() == plain.predictions.tolist()
    net = freeze(make())
    counts = Counting(next(net.modules())) if make is image_net else None
    evaluate(net, data), evaluate(net, data)
    assert counts is None or counts.items == 0, "the whole model ran"


def test_a_real_network_is_kept_at_its_pool():
    net = freeze(load("efficientnet-lite0", classes=2, pretrained=False, size=32))
    history = fit(net, images(8), images(4), epochs=2)
    assert "Kept at 'pool'" in history.keeping and history.keeping in repr(history)
    assert history.keeping.split(":")[0] in history._repr_html_().replace("&#x27;", "'")
