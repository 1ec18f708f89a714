"""A network with several heads is a chain; a task without a label adds nothing; one loop trains all tasks."""

from __future__ import annotations

import copy
import math
import os
import signal

import pandas as pd
import pytest
import torch
from small_nets import Letters, Scale, image_net, images, text_net, texts
from torch import nn
from torch.nn import functional as F

from tlcourse import (
    MultiTask,
    TaskData,
    audit,
    changed,
    evaluate_tasks,
    extract,
    fit,
    fit_tasks,
    freeze,
    frozen,
    gradient_similarity,
    parameter_groups,
    set_stages,
    shared_cost,
    snapshot,
    stages,
    unfreeze,
)
from tlcourse.multitask import WEIGHTINGS, cosines, task_outputs
from tlcourse.multitask.network import shared_parameters
from tlcourse.training.schedules import batches


@pytest.fixture(autouse=True)
def empty_home(tmp_path, monkeypatch):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path))


def data(n=24, missing=False):
    """Dark or light, and how light: both can be learned from the images."""
    split = images(n)
    kind, mean = split.y.clone(), split.x.float().mean((1, 2, 3))[:, None] / 255
    if missing:
        kind[::3], mean[1::3] = -1, torch.nan
    return TaskData(split, {"kind": kind, "mean": mean})


def made(until="body", **more):
    model = MultiTask(image_net(), {"kind": 2, "mean": 1}, **more)
    return freeze(model, until=until) if until else model


# the network --------------------------------------------------------------------------------------


def test_the_network_is_a_chain_over_the_backbones_own_modules():
    body = image_net()
    model = MultiTask(body, {"kind": 2, "mean": 1})
    names = [name for name, _ in stages(model).named_children()]
    assert names == ["stem", "body", "neck", "pool", "heads"] and model.tasks == ("kind", "mean")
    assert {id(p) for p in body[:4].parameters()} <= {id(p) for p in model.parameters()}
    x = body.transform(images(4).x)
    vectors = body[:4](x)
    outputs = model(x)
    assert all(torch.equal(outputs[task], model.heads[task](vectors)) for task in model.tasks)
    assert torch.equal(outputs["mean"], stages(model)(x)["mean"])
    assert list(audit(model).index) == names
    assert [group["lr"] for group in parameter_groups(model, 1.0, decay=0.5)] == [0.125, 0.25, 0.5, 1.0]


@pytest.mark.parametrize(("at", "names"), [("neck", 4), ("body", 3), ("stem", 2)])
def test_a_fork_before_the_pool_gives_linear_heads_a_pool_and_other_heads_the_map(at, names):
    class Count(nn.Module):
        def forward(self, x):
            return torch.full((len(x), 1), float(x.ndim))

    model = MultiTask(image_net(), {"kind": 2, "axes": Count()}, at=at)
    outputs = model(model.transform(images(3).x))
    assert outputs["kind"].shape == (3, 2) and outputs["axes"].tolist() == [[4.0]] * 3
    assert len(stages(model)) == names


def test_a_trunk_is_a_shared_stage_that_trains():
    trunk = nn.Sequential(nn.Conv2d(6, 5, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    model = freeze(MultiTask(image_net(), {"kind": 2, "mean": 1}, at="body", trunk=trunk), until="body")
    assert [name for name, _ in stages(model).named_children()] == ["stem", "body", "trunk", "heads"]
    assert {id(p) for p in shared_parameters(model)} == {id(p) for p in trunk.parameters()}
    before = snapshot(model)
    fit_tasks(model, data(), epochs=1)
    moved = changed(model, before)["parameters moved"]
    assert [name for name, n in moved.items() if n] == ["trunk", "heads"]


def test_texts_fork_behind_the_pool_or_behind_a_layer():
    for at, kind in ((None, nn.Linear), ("layer1", nn.Sequential)):
        model = MultiTask(text_net(), {"tone": 2, "topic": 4}, at=at)
        outputs = model(model.transform(texts(5).x))
        assert {task: tuple(y.shape) for task, y in outputs.items()} == {"tone": (5, 2), "topic": (5, 4)}
        assert type(model.heads["tone"]) is kind


def test_what_is_frozen_stays_frozen_and_freezing_the_network_freezes_the_backbone():
    body = freeze(image_net(), until="body")
    model = MultiTask(body, {"kind": 2})
    assert frozen(model) == ("stem", "body")
    freeze(model)
    assert frozen(model) == ("stem", "body", "neck", "pool") and frozen(body) == frozen(model)
    assert frozen(unfreeze(model)) == ()
    again = copy.deepcopy(freeze(model, "stem")).train()
    assert frozen(again) == ("stem",) and again.neck.training and not again.stem.training


def test_a_module_that_stands_between_follows_the_networks_mode():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.head = nn.Linear(3, 4), nn.Linear(4, 2)

        def forward(self, x):
            return self.head(self.body(x))

    net = Net().eval()
    set_stages(net, {"body": [net.body, nn.Dropout(0.5)], "head": net.head})
    model = MultiTask(net, {"a": nn.Identity()})
    x = torch.ones(64, 3)
    assert torch.equal(model(x)["a"], net.body(x))
    assert (model.train()(x)["a"] == 0).any() and (model.eval()(x)["a"] != 0).all()


def test_a_part_of_the_network_is_a_plain_chain():
    model = made()
    assert type(model[:2]) is nn.Sequential and model[:2](torch.zeros(1, 3, 8, 8)).shape[1] == 6
    assert model[-1] is model.heads


def test_the_linear_heads_depend_on_the_seed_alone():
    one, same, other = (MultiTask(image_net(), {"kind": 2}, seed=s).heads["kind"].weight for s in (3, 3, 4))
    assert torch.equal(one, same) and not torch.equal(one, other)


# labels -------------------------------------------------------------------------------------------


def test_labels_may_be_missing_and_are_chosen_with_their_items():
    tasks = data(24, missing=True)
    assert tasks.counts() == {"kind": 16, "mean": 16} and tasks.has("kind").sum() == 16
    part = tasks[[5, 1]]
    assert part.data.ids == ("image5", "image1")
    assert torch.equal(part.labels["kind"], tasks.labels["kind"][[5, 1]]) and part.labels["mean"].isnan().tolist()[1]
    assert len(tasks[tasks.has("mean")]) == 16 and len(tasks[[]]) == 0 and len(tasks[3]) == 1
    assert TaskData(images(2), {"seen": [True, False]}).labels["seen"].tolist() == [1, 0]


# training -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("weighting", WEIGHTINGS)
@pytest.mark.parametrize("missing", [False, True])
def test_the_kept_prefix_gives_the_same_network_as_running_it_each_time(weighting, missing):
    ends = []
    for keep in (True, False):
        model = made()
        history = fit_tasks(
            model, data(missing=missing), data(), epochs=3, batch=8, lr=0.1, optimizer=torch.optim.SGD,
            weighting=weighting, keep=keep,
        )  # fmt: skip
        ends.append((model.state_dict(), history))
    assert ends[0][1].keeping.startswith("Kept at 'body'") and "keep=False" in ends[1][1].keeping
    for name, tensor in ends[0][0].items():
        torch.testing.assert_close(tensor, ends[1][0][name], rtol=1e-4, atol=1e-5, msg=name)
    for one, other in zip(ends[0][1].rows, ends[1][1].rows, strict=True):
        assert {k: v for k, v in one.items() if k != "seconds"} == pytest.approx(
            {k: v for k, v in other.items() if k != "seconds"}, rel=1e-3, abs=1e-5
        )


def test_texts_train_from_kept_states_to_the_same_result():
    split, ends = texts(24), []
    topic = torch.arange(24) % 3
    topic[:5] = -1
    for keep in (True, False):
        model = freeze(MultiTask(text_net(dropout=0.0), {"tone": 2, "topic": 3}), until="layer1")
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        tasks = TaskData(split, {"tone": split.y, "topic": topic})
        fit_tasks(model, tasks, epochs=2, batch=8, lr=0.1, optimizer=torch.optim.SGD, weighting="pcgrad", keep=keep)
        ends.append(model.state_dict())
    for name, tensor in ends[0].items():
        torch.testing.assert_close(tensor, ends[1][name], rtol=1e-4, atol=1e-5, msg=name)


def test_a_step_by_hand_and_a_step_of_fit_tasks_are_the_same():
    tasks, model = data(12, missing=True), made()
    other = copy.deepcopy(model)
    fit_tasks(model, tasks, epochs=1, batch=12, lr=0.5, optimizer=torch.optim.SGD, keep=False)
    other.train()
    x = Scale()(tasks.data.x)
    order = batches(12, 1, torch.Generator().manual_seed(0))[0]
    outputs, has = other(x[order]), {task: tasks.has(task)[order] for task in tasks.tasks}
    kind = F.cross_entropy(outputs["kind"][has["kind"]], tasks.labels["kind"][order][has["kind"]])
    mean = F.mse_loss(outputs["mean"][has["mean"]], tasks.labels["mean"][order][has["mean"]])
    (kind + mean).backward()
    for p, q in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(p, q if q.grad is None else q - 0.5 * q.grad)


def test_each_parameter_trains_at_its_rate_and_decay_and_once():
    """The optimizer has as few groups as there are rates and decays."""
    model, seen = made(until=None), []

    def told(groups):
        return [(id(p), group["lr"], group["weight_decay"]) for group in groups for p in group["params"]]

    def optimizer(groups):
        seen.append((told(groups), len(groups)))
        return torch.optim.AdamW(groups)

    for how, groups in (({"decay": 0.5}, 4), ({}, 1), ({"weight_decay": 0.1}, 2)):
        fit_tasks(model, data(8), epochs=1, lr=1e-3, optimizer=optimizer, **how)
        rates, found = seen[-1]
        assert found == groups
        assert sorted(rates) == sorted(told(parameter_groups(model, 1e-3, **how)))


def test_one_task_trains_as_fit_trains_it():
    body = image_net()
    model = freeze(MultiTask(body, {"kind": body.head}), until="neck")
    twin = freeze(image_net(), until="neck")
    tasks = TaskData(images(20), {"kind": images(20).y})
    ours = fit_tasks(model, tasks, tasks, epochs=3, lr=0.05, batch=8)
    theirs = fit(twin, images(20), images(20), epochs=3, lr=0.05, batch=8)
    torch.testing.assert_close(model.heads["kind"][1].weight, twin.head[1].weight)
    assert ours.to_frame()["kind_accuracy"].tolist() == pytest.approx(theirs.to_frame()["accuracy"].tolist())
    assert ours.to_frame()["valid_loss"].tolist() == pytest.approx(theirs.to_frame()["valid_loss"].tolist(), rel=1e-4)


def test_the_tasks_are_learned_and_the_history_tells_how():
    model = made(until="stem")
    history = fit_tasks(model, data(48), data(24), epochs=25, lr=0.02, batch=16, weighting="uncertainty")
    last = history.rows[-1]
    assert last["valid_kind_accuracy"] > 0.9 and last["valid_mean_error"] < 0.1
    assert last["valid_loss"] == pytest.approx(last["valid_kind_loss"] + last["valid_mean_loss"])
    assert history.tasks == ("kind", "mean") and history.metrics == {"kind": "accuracy", "mean": "error"}
    assert history.seconds > 0 and history.memory > 0 and not history.interrupted and not model.training
    assert last["mean_weight"] > last["kind_weight"], "the smaller loss is taken for the less noisy one"
    table = evaluate_tasks(model, data(24))
    assert table.loc["kind", "score"] == pytest.approx(last["valid_kind_accuracy"])
    assert table.loc["mean", "loss"] == pytest.approx(last["valid_mean_loss"], rel=1e-4)


def test_own_losses_and_metrics_see_the_labelled_items_alone():
    seen = []

    def loss(outputs, labels):
        seen.append((len(outputs), bool(labels.isnan().any())))
        return F.l1_loss(outputs, labels)

    def near(outputs, labels):
        return ((outputs - labels).abs() < 0.2).float().mean()

    history = fit_tasks(
        made(), data(24, missing=True), epochs=1, batch=24, losses={"mean": loss}, metrics={"mean": near}
    )
    assert seen == [(16, False)] and 0 <= history.rows[0]["mean_near"] <= 1


def test_a_task_without_labels_in_a_batch_moves_nothing_and_gives_no_nan():
    tasks = data(24)
    tasks.labels["mean"][1:] = torch.nan  # one label: most batches have none
    model = made()
    history = fit_tasks(model, tasks, epochs=2, batch=4, lr=0.05)
    assert all(t.isfinite().all() for t in model.state_dict().values())
    assert all(math.isfinite(v) for v in history.rows[-1].values())
    head = copy.deepcopy(made().heads["mean"].state_dict())
    only = TaskData(images(24), {"kind": images(24).y, "mean": torch.full((24, 1), torch.nan)})
    only.labels["mean"][0] = 0.5
    model = made()
    step = {"epochs": 1, "batch": 4, "lr": 0.05, "optimizer": torch.optim.SGD}
    fit_tasks(model, only, **step)
    again = made()
    fit_tasks(again, only, **step, losses={"mean": lambda y, t: 0.0 * y.sum()})
    assert torch.equal(again.heads["mean"].weight, head["weight"])
    assert not torch.equal(model.heads["mean"].weight, head["weight"])


def test_items_without_any_label_are_left_out_and_told_of():
    tasks = data(24)
    tasks.labels["kind"][:3], tasks.labels["mean"][:3] = -1, torch.nan
    history = fit_tasks(made(), tasks, epochs=1, batch=4)
    assert "3 items have no label of any task" in history.note


def test_the_same_seed_gives_the_same_network_whatever_was_drawn_before():
    ends = []
    for _ in range(2):
        model = made(until="stem")
        torch.rand(3)
        fit_tasks(model, data(), epochs=2, batch=8, weighting="pcgrad", seed=5)
        ends.append(model.heads["kind"].weight.detach())
    assert torch.equal(*ends)


def test_patience_goes_back_to_the_best_epoch():
    model = made(until="stem")
    history = fit_tasks(model, data(12), data(24), epochs=60, lr=0.3, batch=6, patience=2)
    losses = history.to_frame()["valid_loss"]
    assert len(history) < 60 and "lowest" in history.note
    assert evaluate_tasks(model, data(24))["loss"].sum() == pytest.approx(losses.min(), rel=1e-3)


def test_the_stop_button_ends_after_a_batch_and_keeps_what_was_learned(capsys):
    calls = []

    def loss(outputs, labels):
        calls.append(1)
        if len(calls) == 8:
            os.kill(os.getpid(), signal.SIGINT)
        return F.mse_loss(outputs, labels)

    model = made()
    before = snapshot(model)
    history = fit_tasks(model, data(), epochs=9, batch=4, losses={"mean": loss})
    assert history.interrupted and len(history) == 1 and "epoch 2 of 9, after 2 of its 6 batches" in history.note
    assert history.note in capsys.readouterr().out
    assert changed(model, before).loc["heads", "parameters moved"] and not model.training
    assert not changed(model, before).loc["stem", "parameters moved"]
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_losses_a_million_apart_train_without_nan(weighting):
    model = made()
    losses = {"mean": lambda y, t: 1e6 * F.mse_loss(y, t)}
    history = fit_tasks(model, data(), epochs=4, batch=8, lr=0.01, weighting=weighting, losses=losses)
    assert all(t.isfinite().all() for t in model.state_dict().values())
    assert all(math.isfinite(v) for row in history.rows for v in row.values())
    table = history.to_frame()
    assert table["mean_loss"].iloc[-1] < table["mean_loss"].iloc[0]
    if weighting == "equal":
        assert table["loss"].iloc[0] == pytest.approx(table["mean_loss"].iloc[0], rel=1e-3), "it is nearly the sum"


def test_features_of_the_backbone_serve_the_network_too():
    body, tasks = image_net(), data()
    features = extract(body, tasks.data, "neck")
    model = freeze(MultiTask(body, {"kind": 2, "mean": 1}), until="neck")
    assert torch.equal(extract(model, tasks.data, "neck").x, features.x)
    assert extract(model, tasks.data, "neck").key == features.key
    other = copy.deepcopy(model)
    fit_tasks(model, TaskData(features, tasks.labels), epochs=2, batch=8)
    fit_tasks(other, tasks, epochs=2, batch=8)
    torch.testing.assert_close(model.heads["kind"].weight, other.heads["kind"].weight, rtol=1e-4, atol=1e-5)


def test_outputs_come_in_the_order_of_the_items():
    split = texts(30)
    model = freeze(MultiTask(text_net(), {"tone": 2, "topic": 4}))
    whole = task_outputs(model, split, batch=7)
    with torch.no_grad():
        for i in (0, 13, 29):
            one = model(Letters()([split.x[i]]))
            torch.testing.assert_close(whole["topic"][i], one["topic"][0], rtol=1e-4, atol=1e-5)


# gradients and cost -------------------------------------------------------------------------------


def test_similarity_is_the_cosine_of_the_tasks_gradients():
    model, tasks = made(), data(20, missing=True)
    table = gradient_similarity(model, tasks, batch=6)
    outputs, has = model(Scale()(tasks.data.x)), {task: tasks.has(task) for task in tasks.tasks}
    losses = {
        "kind": F.cross_entropy(outputs["kind"][has["kind"]], tasks.labels["kind"][has["kind"]]),
        "mean": F.mse_loss(outputs["mean"][has["mean"]], tasks.labels["mean"][has["mean"]]),
    }
    shared = [p for name in ("neck",) for p in model.get_submodule(name).parameters()]
    a, b = (
        torch.cat([g.flatten() for g in torch.autograd.grad(v, shared, retain_graph=True)]) for v in losses.values()
    )
    assert table.loc["kind", "mean"] == pytest.approx(float(F.cosine_similarity(a, b, dim=0)), abs=1e-4)
    pd.testing.assert_frame_equal(table, cosines(losses, shared), atol=1e-4)
    assert table.loc["kind", "kind"] == pytest.approx(1) and table.loc["mean", "kind"] == table.loc["kind", "mean"]
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize(("factor", "cosine"), [(1.0, 1.0), (1e-6, 1.0), (-1.0, -1.0), (-1e6, -1.0)])
def test_similarity_looks_at_directions_alone(factor, cosine):
    split = images(12)
    model = freeze(MultiTask(image_net(), {"a": nn.Linear(8, 2), "b": nn.Linear(8, 2)}), until="body")
    model.heads["b"].load_state_dict(model.heads["a"].state_dict())
    tasks = TaskData(split, {"a": split.y, "b": split.y})
    table = gradient_similarity(model, tasks, {"b": lambda y, t: factor * F.cross_entropy(y, t)})
    assert table.loc["a", "b"] == pytest.approx(cosine, abs=1e-5)


def test_one_network_costs_what_its_parts_cost():
    model = MultiTask(image_net(), {"kind": 2, "mean": 1, "more": 8})
    table = shared_cost(freeze(model, until="body"), data(4))
    assert list(table.index) == ["shared", "kind alone", "mean alone", "more alone", "separate"]
    # each convolution: 2 x outputs x inputs x kernel x places; the head: 2 x 8 x outputs
    stem, body, neck = 2 * 4 * 3 * 9 * 9, 2 * 6 * 4 * 9 * 9, 2 * 8 * 6 * 9
    assert table.loc["shared", "MFLOPs"] * 1e6 == pytest.approx(stem + body + neck + 2 * 8 * (2 + 1 + 8))
    assert table.loc["mean alone", "MFLOPs"] * 1e6 == pytest.approx(stem + body + neck + 16)
    assert table.loc["shared", "frozen MFLOPs"] * 1e6 == pytest.approx(stem + body)
    assert table.loc["shared", "parameters"] == sum(p.numel() for p in model.parameters())
    assert table.loc["separate", "parameters"] == table["parameters"].iloc[1:4].sum()
    assert table.loc["shared", "share"] == pytest.approx(1 / 3, abs=0.02)
