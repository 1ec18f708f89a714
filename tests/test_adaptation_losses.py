"""The losses of adaptation: their formulas, their gradients in float64, their properties, and what they refuse."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from torch.nn import functional as F

from tlcourse import CourseError, DomainAdversarial, coral, mixed_loss, mmd
from tlcourse.adaptation import reversal_weight, reverse

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def cloud(n, d=3, seed=0, shift=0.0, dtype=torch.float64):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=dtype) + shift


@some.composite
def samples(draw, least=2):
    """Two samples of one width, of any sizes and scales, some of their rows alike."""
    d, n, m = draw(some.integers(1, 5)), draw(some.integers(least, 7)), draw(some.integers(least, 7))
    scale = 10.0 ** draw(some.integers(-3, 3))
    x, y = (cloud(k, d, draw(some.integers(0, 99))) * scale for k in (n, m))
    if draw(some.booleans()):
        x[0], y[-1] = x[-1], x[-1]
    return x, y + draw(some.integers(-2, 2)) * scale


# mmd


def slow_mmd(x, y, bandwidth, factors, unbiased=False):
    """The sum as it is written in the paper, pair by pair."""

    def k(a, b, f):
        return math.exp(-float(((a - b) ** 2).sum()) / (2 * bandwidth**2 * f))

    def mean(a, b, f, same):
        found = [k(p, q, f) for i, p in enumerate(a) for j, q in enumerate(b) if not (same and unbiased and i == j)]
        return sum(found) / len(found)

    each = [mean(x, x, f, True) + mean(y, y, f, True) - 2 * mean(x, y, f, False) for f in factors]
    return sum(each) / len(each)


@pytest.mark.parametrize("unbiased", [False, True])
def test_mmd_is_the_papers_sum(unbiased):
    x, y = cloud(5), cloud(7, seed=1, shift=0.5)
    wanted = slow_mmd(x, y, 1.3, (0.5, 2.0), unbiased)
    found = mmd(x, y, bandwidth=1.3, factors=(0.5, 2.0), unbiased=unbiased)
    assert found.item() == pytest.approx(wanted, abs=1e-12)


def test_the_bandwidth_is_the_median_heuristic():
    x, y = cloud(6), cloud(5, seed=1)
    both = torch.cat([x, y])
    median = torch.stack([((both[i] - both[j]) ** 2).sum() for i in range(11) for j in range(i)]).median()
    assert mmd(x, y).item() == pytest.approx(mmd(x, y, bandwidth=(median / 2).sqrt().item()).item(), abs=1e-12)


@given(samples())
def test_properties_of_mmd(given):
    x, y = given
    value = mmd(x, y).item()
    assert mmd(x, x).item() == 0 and 0 <= value <= 2
    assert mmd(y, x).item() == pytest.approx(value, abs=1e-9)
    assert mmd(x.flip(0), y.roll(1, 0)).item() == pytest.approx(value, abs=1e-9)
    assert mmd(x * 8, y * 8).item() == pytest.approx(value, abs=1e-9), "the median goes with the scale"
    assert mmd(x + 5, y + 5).item() == pytest.approx(value, abs=1e-6), "only differences count"


def test_the_unbiased_estimate_is_zero_on_average_and_the_biased_is_not():
    pairs = [(cloud(10, seed=2 * i), cloud(10, seed=2 * i + 1)) for i in range(200)]
    unbiased = torch.stack([mmd(x, y, bandwidth=1.0, unbiased=True) for x, y in pairs])
    biased = torch.stack([mmd(x, y, bandwidth=1.0) for x, y in pairs])
    assert abs(unbiased.mean()) < 3 * unbiased.std() / math.sqrt(200) and (unbiased < 0).any()
    assert biased.mean() > 0.05 and (biased >= 0).all()


@pytest.mark.parametrize("unbiased", [False, True])
def test_the_gradient_of_mmd(unbiased):
    x, y = cloud(4).requires_grad_(), cloud(5, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: mmd(a, b, bandwidth=1.2, unbiased=unbiased), (x, y))


def test_a_step_along_the_gradient_brings_the_clouds_together_and_the_bandwidth_is_a_constant():
    x, y = cloud(20).requires_grad_(), cloud(20, seed=1, shift=2.0)
    before = mmd(x, y)
    (slope,) = torch.autograd.grad(before, x)
    assert mmd(x - 0.5 * slope, y) < before
    pooled = torch.cat([x, y]).detach()
    wide = torch.pdist(pooled).pow(2).sort().values
    (fixed,) = torch.autograd.grad(mmd(x, y, bandwidth=(wide[(len(wide) - 1) // 2] / 2).sqrt().item()), x)
    assert torch.allclose(slope, fixed, atol=1e-9)


# coral


def test_coral_is_the_papers_formula():
    x, y = cloud(5, 4), cloud(9, 4, seed=1) * 2
    wanted = ((x.T.cov() - y.T.cov()) ** 2).sum() / (4 * 16)
    assert coral(x, y).item() == pytest.approx(wanted.item(), abs=1e-12)


@given(samples())
def test_properties_of_coral(given):
    x, y = given
    value = coral(x, y).item()
    assert coral(x, x).item() == 0 and value >= 0
    assert coral(y, x).item() == pytest.approx(value, rel=1e-6, abs=1e-12)
    assert coral(x.flip(0), y.roll(1, 0)).item() == pytest.approx(value, rel=1e-6, abs=1e-12)
    assert coral(x + 3, y - 4).item() == pytest.approx(value, rel=1e-6, abs=1e-9), "means are not looked at"


def test_the_gradient_of_coral():
    x, y = cloud(4).requires_grad_(), cloud(5, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(coral, (x, y))


# the mixture


def test_the_mixture_is_that_of_two_means():
    a, b = cloud(10, 3), cloud(4, 3, seed=1)
    ya, yb = torch.arange(10) % 3, torch.tensor([2, 0, 0, 1])
    for weight in (0, 0.25, 1):
        wanted = weight * F.cross_entropy(a, ya) + (1 - weight) * F.cross_entropy(b, yb)
        assert mixed_loss(a, ya, b, yb, weight).item() == pytest.approx(wanted.item())


def test_the_gradient_of_the_mixture():
    a, b = cloud(5).requires_grad_(), cloud(4, seed=1).requires_grad_()
    ya, yb = torch.arange(5) % 3, torch.arange(4) % 3
    assert torch.autograd.gradcheck(lambda p, q: mixed_loss(p, ya, q, yb, 0.3), (a, b))


def test_what_has_no_weight_may_be_missing():
    scores, y = cloud(4), torch.arange(4) % 3
    wanted, none = F.cross_entropy(scores, y).item(), (torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64))
    assert mixed_loss(scores, y, *none, 1).item() == mixed_loss(*none, scores, y, 0).item() == pytest.approx(wanted)


def test_the_exercise_accepts_the_packages_own():
    from tlcourse import exercise

    assert "right" in str(exercise("02.1").check(mixed_loss)).lower()


# the reversal, and the domain head


@given(some.floats(0, 1))
def test_the_schedule_is_the_papers_formula(p):
    assert reversal_weight(p) == pytest.approx(2 / (1 + math.exp(-10 * p)) - 1)


def test_the_reversal_is_the_identity_forward_and_turns_the_gradient_back():
    x, coming = cloud(4).requires_grad_(), cloud(4, seed=1)
    y = reverse(x, 0.7)
    y.backward(coming)
    assert torch.equal(y, x) and torch.equal(x.grad, -0.7 * coming)


@pytest.mark.parametrize("progress", [0.1, 0.5, 1.0])
def test_the_head_learns_to_tell_and_the_features_learn_not_to(progress):
    torch.manual_seed(0)
    x, y = cloud(8, dtype=torch.float32).requires_grad_(), cloud(6, seed=1, shift=1.0, dtype=torch.float32)
    adversary = DomainAdversarial(3)
    adversary(x, y, progress).backward()
    straight = x.detach().clone().requires_grad_()  # the same loss without a reversal
    scores = [adversary.head(part)[:, 0] for part in (straight, y)]
    loss = sum(
        F.binary_cross_entropy_with_logits(s, torch.full_like(s, label)) / 2
        for s, label in zip(scores, (1.0, 0.0), strict=True)
    )
    found = torch.autograd.grad(loss, [straight, *adversary.head.parameters()])
    assert adversary(x, y, progress).item() == pytest.approx(loss.item(), abs=1e-6)
    assert torch.allclose(x.grad, -reversal_weight(progress) * found[0], atol=1e-7)
    for parameter, slope in zip(adversary.head.parameters(), found[1:], strict=True):
        assert torch.allclose(parameter.grad, slope, atol=1e-7)


def test_the_domain_head_learns_and_says_how_often_it_is_right():
    torch.manual_seed(0)
    x, y = cloud(60, dtype=torch.float32), cloud(40, seed=1, shift=2.0, dtype=torch.float32)
    adversary = DomainAdversarial(3)
    optimizer = torch.optim.Adam(adversary.parameters(), 0.02)
    for _ in range(60):
        optimizer.zero_grad()
        adversary(x, y).backward()
        optimizer.step()
    assert adversary.accuracy(x, y) > 0.9
    assert 1 - adversary.accuracy(y, x) == pytest.approx(adversary.accuracy(x, y), abs=1e-6)


# all of them


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("loss", [mmd, coral])
def test_any_precision_and_device(loss, dtype, device):
    x, y = cloud(6, seed=2), cloud(8, seed=3, shift=1.0)
    x, y = x.to(device, dtype).requires_grad_(), y.to(device, dtype)
    value = loss(x, y)
    value.backward()
    assert value.item() == pytest.approx(loss(x.double(), y.double()).item(), rel=1e-3)
    assert value.device.type == device and x.grad.isfinite().all() and x.grad.abs().sum() > 0


def test_autocast_does_not_cost_digits():
    x, y = cloud(20, 8, dtype=torch.float32) + 30, cloud(20, 8, seed=1, dtype=torch.float32) + 30
    for loss in (mmd, coral):
        with torch.autocast("cpu", torch.bfloat16):
            inside = loss(x, y)
        assert inside.item() == loss(x, y).item()


@pytest.mark.parametrize("loss", [mmd, coral])
def test_features_without_spread_and_more_numbers_than_items(loss):
    flat = torch.ones(4, 3, requires_grad=True)
    value = loss(flat, torch.ones(5, 3))
    value.backward()
    assert value.item() == 0 and flat.grad.isfinite().all()
    wide = cloud(3, 200).requires_grad_()
    loss(wide, cloud(2, 200, seed=1)).backward()
    assert wide.grad.isfinite().all()


def test_rows_that_are_mostly_the_same_still_have_a_bandwidth():
    x = torch.zeros(9, 2)
    y = torch.cat([torch.zeros(8, 2), torch.ones(1, 2)])
    assert 0 < mmd(x, y).item() < 1


@pytest.mark.parametrize("loss", [mmd, coral, lambda x, y: DomainAdversarial(3)(x, y)])
@pytest.mark.parametrize(
    ("x", "words"),
    [
        (torch.full((4, 3), torch.nan), "NaN"),
        (torch.full((4, 3), torch.inf), "infinite"),
        (torch.zeros(4, 5), "5 numbers an item, the target's 3"),
        (torch.zeros(0, 3), "0 items"),
        (torch.zeros(4, 3, 2, 2), r"\[4, 3, 2, 2\](.|\n)*Average a map"),
        (torch.zeros(4), r"\[4\]"),
        (torch.zeros(4, 3, dtype=torch.int64), "int64"),
        ([[1.0, 2.0, 3.0]], "not as a list"),
    ],
)
def test_what_cannot_be_compared_is_told(loss, x, words):
    with pytest.raises(CourseError, match=words):
        loss(x, torch.zeros(4, 3))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x: coral(x[:1], x), "1 item; at least 2(.|\n)*spread"),
        (lambda x: mmd(x[:1], x, unbiased=True), "1 item; at least 2"),
        (lambda x: mmd(x, x, bandwidth=0), "bandwidth=0"),
        (lambda x: mmd(x, x, bandwidth=-1), "bandwidth=-1"),
        (lambda x: mmd(x, x, factors=()), "factors="),
        (lambda x: mmd(x, x, factors=(1, 0)), "factors="),
        (lambda x: mmd(x, x, factors=2), "factors=2"),
        (lambda x: reverse(x, -1), "weight=-1"),
        (lambda x: reversal_weight(1.1), "progress=1.1"),
        (lambda x: reversal_weight(torch.nan), "progress=nan"),
        (lambda x: DomainAdversarial(4)(x.float(), x.float()), r"3 numbers(.|\n)*DomainAdversarial\(3\)"),
        (lambda x: DomainAdversarial(0), "width=0"),
        (lambda x: DomainAdversarial(3, hidden=0), "hidden=0"),
        (lambda x: mixed_loss(x, torch.zeros(4).long(), x, torch.zeros(4).long(), 1.5), "weight=1.5"),
        (lambda x: mixed_loss(x, torch.zeros(4).long(), x, torch.zeros(4).long(), torch.nan), "weight=nan"),
        (lambda x: mixed_loss(x, torch.zeros(3).long(), x, torch.zeros(4).long(), 0.5), "source has scores"),
        (lambda x: mixed_loss(x, torch.zeros(4).long(), x, torch.full((4,), 3), 0.5), "target's labels do not"),
        (lambda x: mixed_loss(x, torch.zeros(4), x, torch.zeros(4).long(), 0.5), "source's labels do not"),
        (lambda x: mixed_loss(x[:0], torch.zeros(0).long(), x, torch.zeros(4).long(), 0.5), "no items of the source"),
        (lambda x: mixed_loss(x, [0, 1], x, torch.zeros(4).long(), 0.5), "are tensors"),
    ],
)
def test_other_bad_input_is_told(call, words):
    with pytest.raises(CourseError, match=words):
        call(cloud(4))


def test_one_item_a_domain_is_enough_for_the_biased_estimate():
    assert mmd(torch.zeros(1, 2), torch.ones(1, 2)).item() > 0


@settings(max_examples=20)
@given(samples(least=1))
def test_nothing_that_was_given_is_changed(given):
    x, y = given
    before = x.clone(), y.clone()
    mmd(x, y)
    assert torch.equal(x, before[0]) and torch.equal(y, before[1])


def test_labels_of_any_whole_numbers_are_class_numbers():
    scores, y = torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 1])
    wanted = mixed_loss(scores, y, scores, y, 0.5)
    for kind in (torch.int32, torch.uint8, torch.bool):
        assert torch.equal(mixed_loss(scores, y.to(kind), scores, y, 0.5), wanted)
    with pytest.raises(CourseError, match=r"scores are torch\.int64"):
        mixed_loss(scores.long(), y, scores, y, 0.5)
