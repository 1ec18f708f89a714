"""Each weighting against its paper, written out anew on two parameters."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tlcourse import CourseError
from tlcourse.multitask import DWA, WEIGHTINGS, Equal, GradNorm, PCGrad, Uncertainty
from tlcourse.multitask.pcgrad import deconflicted

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else []), "meta"]
TASKS = ("a", "b")


def problem(scale=(1.0, 1.0), device="cpu", start=(1.0, -2.0)):
    """Two parameters that are shared, a head of one number for each task, and their two losses."""
    shared = nn.Parameter(torch.tensor(start, device=device))
    heads = {task: nn.Parameter(torch.tensor(value, device=device)) for task, value in (("a", 0.5), ("b", 1.5))}

    def losses():
        x, y = shared
        return {
            "a": scale[0] * ((x - 3 * heads["a"]) ** 2 + 0.5 * y**2),
            "b": scale[1] * ((x + heads["b"]) ** 2 + (y - 1) ** 2),
        }

    return shared, heads, losses


def started(weighting, shared, heads):
    weighting.start(TASKS, [shared], [shared], list(heads.values()), shared.device)
    return weighting


# equal --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [(1.0, 1.0), (1e6, 1.0), (1.0, 1e-6)])
def test_equal_is_the_plain_sum(scale):
    shared, heads, losses = problem(scale)
    total = started(Equal(), shared, heads).backward(losses())
    x, y, a, b = 1.0, -2.0, 0.5, 1.5
    assert total == pytest.approx(scale[0] * ((x - 3 * a) ** 2 + y * y / 2) + scale[1] * ((x + b) ** 2 + (y - 1) ** 2))
    by_hand = [scale[0] * 2 * (x - 3 * a) + scale[1] * 2 * (x + b), scale[0] * y + scale[1] * 2 * (y - 1)]
    torch.testing.assert_close(shared.grad, torch.tensor(by_hand))
    assert heads["a"].grad == pytest.approx(scale[0] * 2 * (x - 3 * a) * -3)


# uncertainty --------------------------------------------------------------------------------------


def test_uncertainty_is_the_likelihood_of_the_paper():
    """Kendall et al. 2018: 1 / sigma^2 L + log sigma, task by task; its gradients in the network and in s."""
    shared, heads, losses = problem()
    weighting = started(Uncertainty(), shared, heads)
    with torch.no_grad():
        weighting.s["a"].fill_(0.7), weighting.s["b"].fill_(-1.2)
    sigma = {"a": math.exp(0.7) ** 0.5, "b": math.exp(-1.2) ** 0.5}
    values = {task: value.item() for task, value in losses().items()}
    wanted = sum(values[t] / sigma[t] ** 2 + math.log(sigma[t]) for t in TASKS)
    assert weighting.total(losses()).item() == pytest.approx(wanted)
    weights = {"a": math.exp(-0.7), "b": math.exp(1.2)}
    assert weighting.weights == pytest.approx(weights)
    weighting.total(losses()).backward()
    for task in TASKS:  # d/ds of exp(-s) L + s / 2
        assert float(weighting.s[task].grad) == pytest.approx(-weights[task] * values[task] + 0.5, rel=1e-5)
    g = torch.autograd.grad(weights["a"] * losses()["a"] + weights["b"] * losses()["b"], shared)[0]
    torch.testing.assert_close(shared.grad, g)


@pytest.mark.parametrize("loss", [0.01, 2.0, 20.0])
def test_the_noise_settles_at_the_logarithm_of_twice_the_loss_and_the_total_may_be_negative(loss):
    weighting = Uncertainty(lr=0.05)
    weighting.start(("a",))
    for _ in range(2500):
        total = weighting.backward({"a": torch.tensor(loss)})
    assert weighting.s["a"].item() == pytest.approx(math.log(2 * loss), abs=0.02)
    assert float(total) == pytest.approx(0.5 + math.log(2 * loss) / 2, abs=0.02)
    assert (float(total) < 0) == (loss < 0.18)


# dynamic weight averaging -------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_dwa_is_the_formula_of_the_paper(temperature):
    weighting = DWA(temperature)
    weighting.start(TASKS)
    history = [{"a": 4.0, "b": 1.0}, {"a": 2.0, "b": 0.9}, {"a": 1.9, "b": 0.3}]
    for t, losses in enumerate(history):
        if t < 2:  # the first two epochs
            assert weighting.weights == {"a": 1.0, "b": 1.0}
        weighting.ended(losses)
        if t >= 1:
            w = {k: history[t][k] / history[t - 1][k] for k in TASKS}
            below = sum(math.exp(w[k] / temperature) for k in TASKS)
            assert weighting.weights == pytest.approx({k: 2 * math.exp(w[k] / temperature) / below for k in TASKS})
    assert weighting.total({"a": torch.tensor(1.0)}).item() == pytest.approx(weighting.weights["a"])


def test_dwa_outlives_a_loss_of_zero_and_one_that_explodes():
    weighting = DWA()
    weighting.start(TASKS)
    for losses in ({"a": 0.0, "b": 1e-9}, {"a": 0.0, "b": 1e3}, {"a": 1.0, "b": 0.0}):
        weighting.ended(losses)
        assert all(math.isfinite(w) and w >= 0 for w in weighting.weights.values())
        assert sum(weighting.weights.values()) == pytest.approx(2)


# GradNorm -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.5])
def test_gradnorm_is_the_algorithm_of_the_paper(alpha):
    """Chen et al. 2018, algorithm 1, with autograd through L_grad instead of its slope in closed form."""
    shared, heads, losses = problem((1.0, 20.0))
    weighting, lr = started(GradNorm(alpha, lr=0.025), shared, heads), 0.003
    theta, theirs, theirs_of = problem((1.0, 20.0))
    w = torch.ones(2, requires_grad=True)
    adam, first = torch.optim.Adam([w], lr=0.025), None
    for _ in range(12):
        step = losses()
        shared.grad = heads["a"].grad = heads["b"].grad = None
        weighting.backward(step)
        # the pseudo-code
        value = torch.stack(list(theirs_of().values()))
        first = value.detach() if first is None else first
        norms = torch.stack([torch.autograd.grad(w[i] * value[i], theta, create_graph=True)[0].norm() for i in (0, 1)])
        pace = value.detach() / first
        rate = pace / pace.mean()
        grad_loss = (norms - (norms.mean() * rate**alpha).detach()).abs().sum()
        by_network = torch.autograd.grad((w.detach() * value).sum(), [theta, *theirs.values()], retain_graph=True)
        adam.zero_grad()
        w.grad = torch.autograd.grad(grad_loss, w)[0]
        adam.step()
        with torch.no_grad():
            w *= 2 / w.sum()
            torch.testing.assert_close(shared.grad, by_network[0])
            shared -= lr * shared.grad
            theta -= lr * by_network[0]
            for task, g in zip(TASKS, by_network[1:], strict=True):
                torch.testing.assert_close(heads[task].grad, g)
                heads[task] -= lr * g
                theirs[task] -= lr * g
        assert list(weighting.weights.values()) == pytest.approx(w.tolist(), rel=1e-4)
    assert weighting.weights["a"] > 1 > weighting.weights["b"]


def test_gradnorm_leaves_the_weight_of_a_task_without_labels_to_the_others_pace():
    shared, heads, losses = problem((1.0, 20.0))
    weighting = started(GradNorm(), shared, heads)
    weighting.backward(losses())
    before = weighting.weights
    weighting.backward({"a": losses()["a"]})
    assert weighting.weights == pytest.approx(before)


# PCGrad -------------------------------------------------------------------------------------------


def published(gradients, orders):
    """Yu et al. 2020, algorithm 1, in plain Python."""
    result = []
    for i, order in enumerate(orders):
        g = list(gradients[i])
        for j in order:
            if j == i:
                continue
            dot = sum(p * q for p, q in zip(g, gradients[j], strict=True))
            if dot < 0:
                square = sum(q * q for q in gradients[j])
                g = [p - dot / square * q for p, q in zip(g, gradients[j], strict=True)]
        result.append(g)
    return result


NUMBERS = st.floats(-100, 100).map(lambda v: round(v, 3))


@given(
    st.lists(st.tuples(NUMBERS, NUMBERS), min_size=2, max_size=4).flatmap(
        lambda rows: st.tuples(st.just(rows), st.tuples(*(st.permutations(range(len(rows))) for _ in rows)))
    )
)
def test_pcgrad_is_the_published_algorithm(case):
    rows, orders = case
    found = deconflicted(torch.tensor(rows, dtype=torch.float64), orders)
    torch.testing.assert_close(found, torch.tensor(published(rows, orders), dtype=torch.float64), rtol=1e-6, atol=1e-6)


@given(st.tuples(NUMBERS, NUMBERS), st.tuples(NUMBERS, NUMBERS))
def test_of_two_tasks_no_projected_gradient_goes_against_the_other(a, b):
    found = deconflicted(torch.tensor([a, b], dtype=torch.float64), [[1], [0]])
    sizes = max(1.0, *map(abs, a), *map(abs, b)) ** 2
    assert float(found[0] @ torch.tensor(b, dtype=torch.float64)) >= -1e-9 * sizes
    if sum(p * q for p, q in zip(a, b, strict=True)) >= 0:
        torch.testing.assert_close(found, torch.tensor([a, b], dtype=torch.float64))


@pytest.mark.parametrize("start", [(1.0, -2.0), (0.2, 0.3), (-4.0, 0.5)])
def test_pcgrad_acts_on_what_is_shared_and_leaves_the_heads_their_own(start):
    shared, heads, losses = problem(start=start)
    started(PCGrad(), shared, heads).backward(losses())
    rows = [torch.autograd.grad(loss, shared, retain_graph=True)[0].tolist() for loss in losses().values()]
    wanted = torch.tensor(published(rows, [[0, 1], [1, 0]])).sum(0)
    torch.testing.assert_close(shared.grad, wanted)
    for task in TASKS:
        torch.testing.assert_close(heads[task].grad, torch.autograd.grad(losses()[task], heads[task])[0])


# all ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WEIGHTINGS)
@pytest.mark.parametrize("scale", [(1e6, 1.0), (1.0, 1e-6), (1e3, 1e-3)])
def test_scales_a_million_apart_give_finite_weights_and_parameters(name, scale):
    shared, heads, losses = problem(scale)
    weighting = started(WEIGHTINGS[name](), shared, heads)
    optimizer = torch.optim.Adam([shared, *heads.values()], lr=0.02)
    first = {task: loss.item() for task, loss in losses().items()}
    for _ in range(3):
        for _ in range(60):
            optimizer.zero_grad()
            weighting.backward(losses())
            optimizer.step()
        weighting.ended({task: loss.item() for task, loss in losses().items()})
    now = {task: loss.item() for task, loss in losses().items()}
    assert all(math.isfinite(v) for v in (*weighting.weights.values(), *shared.tolist(), *now.values()))
    assert now["a"] < 0.5 * first["a"], "the task with the large loss learns in any case"
    assert all(w > 0 for w in weighting.weights.values())


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_a_task_without_labels_in_a_batch_gets_no_gradient(name):
    shared, heads, losses = problem()
    weighting = started(WEIGHTINGS[name](), shared, heads)
    weighting.backward({"a": losses()["a"]})
    assert heads["b"].grad is None or not heads["b"].grad.any()
    g = torch.autograd.grad(losses()["a"], shared)[0]
    torch.testing.assert_close(shared.grad, g)  # at the start each weight is 1


@pytest.mark.parametrize("name", WEIGHTINGS)
@pytest.mark.parametrize("device", DEVICES)
def test_nothing_leaves_the_device_of_the_losses(name, device):
    """On a device without values ("meta") any look at a number on the way to the gradients would raise."""
    shared, heads, losses = problem(device=device)
    total = started(WEIGHTINGS[name](), shared, heads).backward(losses())
    assert total.device == shared.grad.device == shared.device
    assert all(head.grad.device == shared.device for head in heads.values())


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_one_task_alone_is_trained_as_it_is(name):
    shared, heads, losses = problem()
    weighting = WEIGHTINGS[name]()
    weighting.start(("a",), [shared], [shared], [heads["a"]])
    weighting.backward({"a": losses()["a"]})
    torch.testing.assert_close(shared.grad, torch.autograd.grad(losses()["a"], shared)[0])


@pytest.mark.parametrize(
    "bad",
    [
        lambda: Uncertainty(lr=-1),
        lambda: Uncertainty(lr="fast"),
        lambda: DWA(temperature=0),
        lambda: DWA(float("nan")),
        lambda: GradNorm(alpha=-0.1),
        lambda: GradNorm(lr=float("inf")),
    ],
)
def test_a_setting_that_is_no_number_is_told(bad):
    with pytest.raises(CourseError, match="Choose a number"):
        bad()
