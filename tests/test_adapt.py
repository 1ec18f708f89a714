"""`adapt`: labels of the source train, unlabelled items of the target pull; nothing of the target's labels is read."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from small_nets import CLASSES, image_net, images, text_net, texts
from torch import nn

from tlcourse import (
    CourseError,
    DomainAdversarial,
    UnknownName,
    adapt,
    adapt_batch_norm,
    changed,
    domain_gap,
    evaluate,
    extract,
    fit,
    freeze,
    mmd,
    snapshot,
    unfreeze,
)
from tlcourse.adaptation import reversal_weight
from tlcourse.features import Features
from tlcourse.training import Diverged

METHODS = ("mmd", "coral", "dann")


@pytest.fixture(autouse=True)
def empty_home(tmp_path, monkeypatch):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path))


def dim(n=24, seed=1):
    """The same task in the dark."""
    there = images(n, seed)
    return replace(there, x=there.x // 3, ids=tuple(f"dim{i}" for i in range(n)))


def chain(width=6, seed=0):
    """pool -> neck -> head over vectors; no BatchNorm."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = nn.Sequential()
        net.add_module("pool", nn.Identity())
        net.add_module("neck", nn.Sequential(nn.Linear(width, 8), nn.ReLU()))
        net.add_module("head", nn.Linear(8, 2))
    return freeze(net, "pool")


def vectors(n=60, seed=0, shift=0.0, width=6):
    y = torch.arange(n) % 2
    x = torch.randn(n, width, generator=torch.Generator().manual_seed(seed))
    x[:, 0] += 3.0 * (2 * y - 1)
    return Features(x + shift, y, tuple(map(str, range(n))), CLASSES, "pool")


def state(net):
    return {name: tensor.clone() for name, tensor in net.state_dict().items()}


def same(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)


def prefixed(net):
    """The net with its first stage frozen, so that what it gives is kept."""
    return freeze(net, "stem")


# what it does


@pytest.mark.parametrize("method", METHODS)
def test_the_history_tells_the_sources_figures_and_how_far_apart_the_domains_are(method):
    net = image_net()
    history = adapt(net, images(), dim(), epochs=3, batch=8, method=method)
    assert list(history.rows[0]) == ["epoch", "loss", "accuracy", "apart", "seconds"] and len(history) == 3
    assert history.seconds > 0 and history.memory > 0 and not net.training
    assert all(row["apart"] >= 0 for row in history.rows)


@pytest.mark.parametrize("method", ["mmd", "coral"])
def test_the_domains_come_nearer_than_without(method):
    def apart(weight):
        net = chain()
        adapt(net, vectors(), vectors(seed=1, shift=1.0), epochs=10, lr=0.01, batch=20, method=method, weight=weight)
        x, y = (net.neck(part.x).detach() for part in (vectors(), vectors(seed=1, shift=1.0)))
        return mmd(x, y).item()

    assert apart(5.0) < apart(0.0)


def test_an_adversary_brings_the_domains_nearer_too():
    source, target, gaps = vectors(100), vectors(100, seed=1, shift=torch.tensor([0.0, 1, 1, 1, 1, 1])), []
    for weight in (0.0, 1.0):
        net = chain()
        adapt(net, source, target, epochs=30, lr=0.01, batch=20, method="dann", weight=weight)
        gaps.append(domain_gap(net.neck(source.x), net.neck(target.x)).distance)
    assert gaps[1] < gaps[0] - 0.3 and evaluate(net, source).accuracy > 0.95


def test_adaptation_mends_a_shift_and_the_task_is_learned_meanwhile():
    source, target, test = vectors(200), vectors(200, seed=1, shift=2.0), vectors(400, seed=2, shift=2.0)
    plain, net = chain(), chain()
    fit(plain, source, epochs=10, lr=0.01)
    adapt(net, source, target, epochs=10, lr=0.01)
    assert evaluate(net, source).accuracy > 0.95
    assert evaluate(net, test).accuracy > evaluate(plain, test).accuracy + 0.03


def test_without_weight_and_norms_it_is_fit():
    one, two = chain(), chain()
    fit(one, vectors(), epochs=2, batch=20, seed=3)
    adapt(two, vectors(), vectors(seed=1), epochs=2, batch=20, seed=3, weight=0.0)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(one.parameters(), two.parameters(), strict=True))


def test_one_seed_one_result():
    runs = [state(_trained(seed)) for seed in (0, 0, 1)]
    assert same(runs[0], runs[1]) and not same(runs[0], runs[2])
    torch.manual_seed(5)
    before = torch.get_rng_state()
    _trained(0)
    assert torch.equal(torch.get_rng_state(), before)


def _trained(seed):
    net = image_net(dropout=0.2)
    adapt(net, images(), dim(), epochs=2, batch=8, method="dann", seed=seed)
    return net


def test_a_function_and_a_domain_head_of_ones_own():
    seen = []

    def means(x, y):
        seen.append((x.shape, y.shape))
        return (x.mean(0) - y.mean(0)).pow(2).sum()

    history = adapt(image_net(), images(24), dim(10), epochs=2, batch=8, method=means)
    assert len(seen) == 6 and seen[0][0] == (8, 8) and history.rows[0]["apart"] > 0
    adversary = DomainAdversarial(8, hidden=4)
    before = state(adversary)
    adapt(image_net(), images(), dim(), epochs=1, method=adversary)
    assert not same(before, adversary.state_dict())


def test_the_reversal_grows_over_the_whole_run(monkeypatch):
    asked = []

    class Watched(DomainAdversarial):
        def forward(self, x, y, progress=1.0):
            asked.append(progress)
            return super().forward(x, y, progress)

    adapt(image_net(), images(24), dim(), epochs=4, batch=12, method=Watched(8))
    assert asked == [i / 8 for i in range(8)] and reversal_weight(asked[0]) == 0


def test_domains_of_other_sizes_and_a_stage_in_the_middle():
    for n in (2, 7, 60):
        net = image_net()
        assert len(adapt(net, images(24), dim(n), epochs=2, batch=8, stage="body")) == 2


def test_texts_of_many_lengths():
    far = replace(texts(10), ids=tuple(f"far{i}" for i in range(10)))
    net = freeze(text_net(), until="layer2")
    history = adapt(net, texts(), far, epochs=2, batch=8)
    assert len(history) == 2 and "layer2" in history.keeping


# labels


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("prepare", [lambda net: net, prefixed])
def test_the_targets_labels_are_not_read(method, prepare):
    poisoned = dim()
    object.__setattr__(poisoned, "y", None)
    runs = []
    for target in (dim(), replace(dim(), y=1 - dim().y), replace(dim(), y=torch.zeros(24).long()), poisoned):
        net = prepare(image_net())
        history = adapt(net, images(), target, epochs=2, batch=8, method=method)
        runs.append((state(net), [{k: v for k, v in row.items() if k != "seconds"} for row in history.rows]))
    assert all(same(runs[0][0], other) and rows == runs[0][1] for other, rows in runs[1:])


@pytest.mark.parametrize("y", [None, torch.full((60,), 99), "poison" * 10])
def test_features_without_labels_will_do(y):
    wanted, found = chain(), chain()
    target = vectors(seed=1, shift=1.0)
    adapt(wanted, vectors(), target, epochs=2)
    adapt(found, vectors(), replace(target, y=y, classes=()), epochs=2)
    assert same(state(wanted), state(found))


# frozen stages and norms


def test_frozen_stages_do_not_move_and_what_they_give_is_kept():
    net = freeze(image_net(), until="body")
    before = snapshot(net)
    history = adapt(net, images(), dim(), epochs=2, batch=8)
    moved = changed(net, before)
    assert not moved.loc[["stem", "body"], ["parameters moved", "buffers moved"]].to_numpy().any(), (
        "not even their norms' statistics"
    )
    assert moved.loc["neck", "parameters moved"] and moved.loc["neck", "buffers moved"]
    assert "Kept at 'body'" in history.keeping or "Nothing was kept" in history.keeping


def test_kept_or_not_the_result_is_the_same():
    def run(near, far):
        net = freeze(image_net(), until="body")
        adapt(net, near(net), far(net), epochs=2, batch=8)
        return net

    whole = run(lambda net: images(), lambda net: dim())
    kept = run(lambda net: extract(net, images(), "body"), lambda net: extract(net, dim(), "body"))
    pairs = zip(whole.state_dict().values(), kept.state_dict().values(), strict=True)
    assert all(torch.allclose(a.float(), b.float(), atol=1e-5) for a, b in pairs)


def test_the_norms_that_train_end_with_the_targets_statistics():
    net = image_net()
    adapt(net, images(), dim(), epochs=2, batch=8)
    after = state(net)
    adapt_batch_norm(net, dim())
    assert all(
        torch.allclose(a.float(), b.float(), atol=1e-5)
        for a, b in zip(after.values(), state(net).values(), strict=True)
    )


# bad input


def test_a_loss_that_is_not_a_number_is_told_with_the_history():
    calls = []

    def method(x, y):
        calls.append(1)
        return x.sum() * (torch.nan if len(calls) == 5 else 0)

    net = image_net()
    with pytest.raises(Diverged) as caught:
        adapt(net, images(), dim(), epochs=3, batch=8, method=method)
    assert len(caught.value.history) == 1 and all(t.isfinite().all() for t in net.state_dict().values())
    with pytest.raises(CourseError, match="learning rate"):
        adapt(chain(), vectors(), vectors(seed=1), epochs=3, lr=1e30, optimizer=torch.optim.SGD)


def test_a_source_of_nan_is_told():
    with pytest.raises(CourseError, match="NaN"):
        adapt(chain(), replace(vectors(), x=vectors().x * torch.nan), vectors(), epochs=1)


def test_an_interrupt_leaves_a_history():
    def method(x, y):
        raise KeyboardInterrupt

    net = image_net()
    history = adapt(net, images(), dim(), epochs=2, method=method)
    assert history.interrupted and "Interrupted" in history.note and not net.training
    after = state(net)
    adapt_batch_norm(net, dim())
    assert all(
        torch.allclose(a.float(), b.float(), atol=1e-5)
        for a, b in zip(after.values(), state(net).values(), strict=True)
    )


def test_duplicated_rows_and_features_without_spread_train():
    same_rows = replace(vectors(), x=vectors().x[:1].expand(60, 6).clone())
    for method in METHODS:
        net = chain()
        adapt(net, vectors(), same_rows, epochs=2, method=method)
        assert all(p.isfinite().all() for p in net.parameters())


def test_more_classes_than_items():
    net = image_net(classes=10)
    few = replace(images(4), classes=tuple("0123456789"))
    assert len(adapt(net, few, dim(6), epochs=1)) == 1


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: adapt(image_net(), images(), dim(), epochs=0), CourseError, "epochs=0"),
        (lambda: adapt(image_net(), images(), dim(), epochs=1, batch=1), CourseError, "batch=1"),
        (lambda: adapt(image_net(), images(), dim(), epochs=1, weight=-1), CourseError, "weight=-1"),
        (lambda: adapt(image_net(), images(), dim(), epochs=1, weight=torch.nan), CourseError, "weight=nan"),
        (lambda: adapt(image_net(), images(), dim(), epochs=1, method="mdm"), UnknownName, "Did you mean 'mmd'"),
        (lambda: adapt(image_net(), images(), dim(), epochs=1, method=3), CourseError, "method=3"),
        (lambda: adapt(image_net(), images(), dim(), epochs=1, method=lambda x, y: x), CourseError, "one number"),
        (lambda: adapt(image_net(), images(), dim(), epochs=1, method=DomainAdversarial(3)), CourseError, "8 numbers"),
        (lambda: adapt(image_net(), images(), dim(), epochs=1, stage="pol"), UnknownName, "Did you mean 'pool'"),
        (lambda: adapt(image_net(), images(), dim(), epochs=1, stage="head"), CourseError, "no head any more"),
        (lambda: adapt(image_net(), images(), dim(), epochs=1, schedule="up"), CourseError, "no schedule"),
        (lambda: adapt(image_net(), images(), dim(), epochs=1, optimizer="adam"), CourseError, "not a torch optimizer"),
        (lambda: adapt(freeze(image_net()), images(), dim(), epochs=1), CourseError, "Nothing up to stage 'pool'"),
        (lambda: adapt(image_net(), images(), dim()[:0], epochs=1), CourseError, "no items"),
        (lambda: adapt(image_net(), images()[:0], dim(), epochs=1), CourseError, "empty"),
        (lambda: adapt(image_net(), images(), dim()[:1], epochs=1), CourseError, "target has one item"),
        (lambda: adapt(image_net(), images()[::2], dim(), epochs=1), CourseError, "one class only"),
        (lambda: adapt(image_net(), images(), [1, 2], epochs=1), CourseError, "not a list"),
        (lambda: adapt(image_net(), images(), texts(), epochs=1), CourseError, "source holds images, the target texts"),
        (lambda: adapt(chain(), vectors(), images(), epochs=1), CourseError, "as Features"),
        (lambda: adapt(chain(), vectors(), replace(vectors(), stage="neck"), epochs=1), CourseError, "'neck'"),
        (lambda: adapt(chain(), vectors(), vectors(width=4), epochs=1), CourseError, "6 numbers an item"),
        (
            lambda: adapt(chain(), vectors(), replace(vectors(), x=vectors().x * torch.inf), epochs=1),
            CourseError,
            "NaN or infinite",
        ),
        (lambda: adapt(image_net(classes=3), images(), dim(), epochs=1), CourseError, "3"),
    ],
)
def test_what_cannot_be_adapted_is_told(call, kind, words):
    with pytest.raises(kind, match=words):
        call()


def test_a_head_alone_cannot_move_the_features_until_more_is_unfrozen():
    net = freeze(image_net())
    with pytest.raises(CourseError, match=r"unfreeze\(model, last=2\)"):
        adapt(net, images(), dim(), epochs=1)
    unfreeze(net, last=2)
    assert len(adapt(net, images(), dim(), epochs=1)) == 1
