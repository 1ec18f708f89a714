"""Several tasks, and something is wrong: each message says what happened and what to do next."""

from __future__ import annotations

import pandas as pd
import pytest
import torch
from small_nets import image_net, images
from torch import nn
from torch.nn import functional as F

from tlcourse import (
    CourseError,
    MultiTask,
    TaskData,
    evaluate,
    evaluate_tasks,
    extract,
    fit,
    fit_tasks,
    freeze,
    gradient_similarity,
    shared_cost,
)
from tlcourse.errors import UnknownName
from tlcourse.multitask import cosines, task_outputs
from tlcourse.training import Diverged

SPLIT = images(12)
VALUES = SPLIT.x.float().mean((1, 2, 3))[:, None] / 255


@pytest.fixture(autouse=True)
def empty_home(tmp_path, monkeypatch):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path))


def network(heads=None, **more):
    return freeze(MultiTask(image_net(), heads or {"kind": 2, "mean": 1}, **more), until="body")


def tasks(**labels):
    return TaskData(SPLIT, labels or {"kind": SPLIT.y, "mean": VALUES})


# the network --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "kind", "words"),
    [
        (lambda: MultiTask(image_net(), {"kind": 2}, at="bdoy"), UnknownName, "Did you mean 'body'"),
        (lambda: MultiTask(image_net(), {}), CourseError, "a head for each task"),
        (lambda: MultiTask(image_net(), 3), CourseError, "a head for each task"),
        (lambda: MultiTask(image_net(), {"kind": 0}), CourseError, "whole number from 1"),
        (lambda: MultiTask(image_net(), {"kind": "two"}), CourseError, "whole number from 1"),
        (lambda: MultiTask(image_net(), {"a.b": 2}), CourseError, '"a_b_task"'),
        (lambda: MultiTask(image_net(), {"keys": 2}), CourseError, "cannot be the name of a task"),
        (lambda: MultiTask(image_net(), {"valid": 2}), CourseError, "valid_loss is the sum"),
        (lambda: MultiTask(image_net(), {"kind": 2}, seed=None), CourseError, "seed=None"),
        (lambda: MultiTask(image_net(), {"kind": 2}, trunk=64), CourseError, "is no module"),
        (lambda: MultiTask("efficientnet-lite0", {"kind": 2}), CourseError, "A model is needed"),
        (lambda: MultiTask(nn.Sequential(nn.Linear(2, 2)), {"kind": 2}), CourseError, "one stage only"),
        (lambda: MultiTask(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), {"kind": 2}), CourseError, "no transform"),
        (lambda: MultiTask(network(), {"again": 2}, at="heads"), CourseError, "called 'heads' already"),
        (
            lambda: MultiTask(image_net(), {"kind": 2}, at="body", trunk=nn.Conv2d(6, 5, 1)),
            CourseError,
            r"has the shape \[5, 4, 4\]|has the shape \[5, ",
        ),
    ],
)
def test_a_network_that_cannot_be_is_told(bad, kind, words):
    with pytest.raises(kind, match=words):
        bad()


def test_a_network_on_a_network_forks_before_the_first_ones_heads():
    assert list(dict(MultiTask(network(), {"again": 2}).named_children()))[-2:] == ["pool", "heads"]


# labels -------------------------------------------------------------------------------------------

HALF = torch.tensor([[0.1, torch.nan], *[[0.1, 0.2]] * 11])


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (lambda: TaskData(SPLIT, {}), "no tasks"),
        (lambda: TaskData(SPLIT.x, {"kind": SPLIT.y}), "a split of data or to features"),
        (lambda: TaskData(SPLIT, {"kind": SPLIT.y[:5]}), r"shape \[5\], and there are 12 items"),
        (lambda: TaskData(SPLIT, {"kind": torch.tensor(1)}), r"shape \[\]"),
        (lambda: TaskData(SPLIT, {"kind": ["dark"] * 12}), "are not numbers"),
        (lambda: TaskData(SPLIT, {"kind": SPLIT.y - 3}), "class number -3"),
        (lambda: TaskData(SPLIT, {"box": SPLIT.y[:, None]}), r"labels.float\(\)"),
        (lambda: TaskData(SPLIT, {"box": HALF}), "1 items have some of their numbers"),
        (lambda: TaskData(SPLIT, {"box": VALUES / 0}), "infinite"),
        (lambda: TaskData(SPLIT, {"kind": [1, None] * 6}), "text or None(.|\n)*-1 for a missing"),
        (lambda: tasks()[99], "99 does not choose among 12"),
        (lambda: tasks()["kind"], "'kind' does not choose(.|\n)*labels"),
    ],
)
def test_labels_that_do_not_fit_are_told(bad, words):
    with pytest.raises(CourseError, match=words):
        bad()


def test_an_unknown_task_is_told():
    with pytest.raises(UnknownName, match="Did you mean 'kind'"):
        tasks().has("kinds")


# training -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "data", "more", "kind", "words"),
    [
        (network, lambda: tasks(kind=SPLIT.y), {}, CourseError, "'mean' has a head and no labels"),
        (network, lambda: tasks(kind=SPLIT.y, maen=VALUES), {}, UnknownName, "Did you mean 'mean'"),
        (network, lambda: tasks(kind=SPLIT.y, mean=VALUES * torch.nan), {}, CourseError, "has a label of task 'm"),
        (network, lambda: tasks(kind=0 * SPLIT.y - 1, mean=VALUES), {}, CourseError, "has a label of task 'k"),
        (network, lambda: SPLIT, {}, CourseError, "labels of the tasks are needed"),
        (image_net, tasks, {}, CourseError, "multi-task network is needed"),
        (network, tasks, {"losses": {"box": F.mse_loss}}, UnknownName, "same names"),
        (network, tasks, {"losses": F.mse_loss}, CourseError, "a function each"),
        (network, tasks, {"metrics": {"kind": "accuracy"}}, CourseError, "a function each"),
        (network, tasks, {"losses": {"mean": lambda y, t: (y - t) ** 2}}, CourseError, "'mean' must be one number"),
        (network, tasks, {"losses": {"mean": lambda y, t: 0.5}}, CourseError, "'mean' must be one number"),
        (network, tasks, {"metrics": {"mean": lambda y, t: y - t}}, CourseError, "metric of task 'mean' gives 12"),
        (network, tasks, {"weighting": "gradnrom"}, UnknownName, "Did you mean 'gradnorm'"),
        (network, tasks, {"weighting": None}, UnknownName, "'equal', 'uncertainty', 'dwa', 'gradnorm', 'pcgrad'"),
        (network, tasks, {"epochs": 0}, CourseError, "whole number"),
        (network, tasks, {"patience": 2}, CourseError, "validation data"),
        (network, tasks, {"keep": "yes"}, CourseError, "keep=True"),
        (network, tasks, {"progress": "bar"}, CourseError, "progress='bar'"),
        (network, tasks, {"optimizer": "adam"}, CourseError, "Pass the class"),
        (network, tasks, {"schedule": "sine"}, CourseError, "no schedule"),
        (network, tasks, {"lr": -1.0}, CourseError, "Choose a number"),
        (lambda: freeze(network(), "*"), tasks, {}, CourseError, "Nothing trains"),
        (lambda: freeze(network()), tasks, {"weighting": "gradnorm"}, CourseError, "'gradnorm' looks at(.|\n)*trunk="),
        (lambda: freeze(network()), tasks, {"weighting": "pcgrad"}, CourseError, "All shared stages are frozen"),
        (lambda: network({"kind": 1, "mean": 1}), tasks, {}, CourseError, "labels go up to class 1"),
        (lambda: network({"kind": 2, "mean": 3}), tasks, {}, CourseError, r"gives \[3\] numbers an item, its"),
        (network, lambda: tasks(kind=SPLIT.y, mean=VALUES[:, 0]), {}, CourseError, r"labels\[:, None\]"),
        (network, lambda: tasks(kind=SPLIT.y.float(), mean=VALUES), {}, CourseError, r"labels.long\(\)"),
        (lambda: network({"kind": 2, "mean": Lost()}), tasks, {}, CourseError, "head of task 'mean' gives no tensor"),
        (lambda: network({"kind": 2, "mean": Summed()}), tasks, {}, CourseError, r"gives \[1\] for a batch of 12"),
    ],
)  # fmt: skip
def test_training_that_cannot_be_is_told(model, data, more, kind, words):
    with pytest.raises(kind, match=words):
        fit_tasks(model(), data(), **{"epochs": 1} | more)


class Lost(nn.Module):
    def forward(self, x):
        return None


class Summed(nn.Module):
    def forward(self, x):
        return x.sum((0, 1))[None]


def test_validation_data_without_a_task_are_told():
    with pytest.raises(CourseError, match="'mean' has a head and no labels"):
        fit_tasks(network(), tasks(), tasks(kind=SPLIT.y), epochs=1)


@pytest.mark.parametrize("weighting", ["equal", "uncertainty", "dwa", "gradnorm", "pcgrad"])
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_loss_that_is_not_a_number_names_its_task_and_spoils_nothing(weighting, value):
    calls = []

    def loss(outputs, labels):
        calls.append(1)
        return F.mse_loss(outputs, labels) * (value if len(calls) == 4 else 1)

    model = network()
    words = r"loss of task 'mean'(.|\n)*epoch 2, after 1(.|\n)*Look into the loss"
    with pytest.raises(Diverged, match=words) as caught:
        fit_tasks(model, tasks(), epochs=3, batch=6, weighting=weighting, losses={"mean": loss})
    assert len(caught.value.history) == 1 and caught.value.history.tasks == ("kind", "mean")
    assert all(t.isfinite().all() for t in model.state_dict().values()) and not model.training


def test_nan_in_features_is_named():
    model = network()
    features = extract(model, SPLIT, "body")
    features.x[3] = torch.nan
    with pytest.raises(Diverged, match="input of this batch holds NaN"):
        fit_tasks(model, TaskData(features, tasks().labels), epochs=1)


def test_an_absurd_rate_ends_in_a_sentence_and_not_in_nan():
    model = MultiTask(image_net(), {"kind": 2, "mean": 1})
    with pytest.raises(Diverged, match="learning rate"):
        fit_tasks(model, tasks(), epochs=40, lr=1e12, optimizer=torch.optim.SGD)


# scoring and looking ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (lambda: evaluate_tasks(network(), SPLIT), "labels of the tasks are needed"),
        (lambda: evaluate_tasks(image_net(), tasks()), "multi-task network is needed"),
        (lambda: evaluate_tasks(network(), tasks(kind=0 * SPLIT.y - 1)), "No item has a label"),
        (lambda: task_outputs(network(), SPLIT.x), "a split of data or on features"),
        (lambda: shared_cost(image_net(), SPLIT), "multi-task network is needed"),
        (lambda: evaluate(network(), SPLIT), "evaluate_tasks"),
        (lambda: fit(network(), SPLIT, epochs=1), "fit_tasks"),
        (lambda: gradient_similarity(freeze(network()), tasks()), "nothing of that trains"),
        (lambda: gradient_similarity(network({"kind": 2}), tasks(kind=SPLIT.y)), "one only"),
        (lambda: gradient_similarity(network(), tasks(), {"mean": lambda y, t: 0 * y.sum()}), "'mean' is zero"),
        (lambda: gradient_similarity(network(), tasks(), {"mean": lambda y, t: y.sum() / 0}), "NaN or infinite"),
        (lambda: cosines({"a": torch.tensor(1.0), "b": torch.tensor(2.0)}, [nn.Parameter(torch.ones(1))]), "is zero"),
        (lambda: cosines({"a": torch.tensor(1.0)}, []), "nothing of that trains"),
    ],
)
def test_what_cannot_be_scored_or_compared_is_told(bad, words):
    with pytest.raises(CourseError, match=words):
        bad()


def test_outputs_that_are_no_numbers_are_not_scored():
    model = network()
    with torch.no_grad():
        model.heads["kind"].weight.fill_(torch.nan)
    with pytest.raises(CourseError, match="outputs of task 'kind' are not numbers"):
        evaluate_tasks(model, tasks())


def test_a_task_may_be_scored_alone():
    assert list(evaluate_tasks(network(), tasks(kind=SPLIT.y)).index) == ["kind"]


def test_a_metric_called_loss_does_not_hide_the_loss():
    def loss(outputs, labels):
        return (outputs - labels).abs().mean()

    row = fit_tasks(network(), tasks(), tasks(), metrics={"mean": loss}, epochs=1).rows[0]
    assert row["mean_loss"] != row["mean_score"] and row["valid_mean_loss"] != row["valid_mean_score"]


@pytest.mark.parametrize("weighting", ["gradnorm", "dwa"])
def test_a_loss_below_zero_has_no_pace(weighting):
    below = {"mean": lambda outputs, labels: F.mse_loss(outputs, labels) - 1}
    with pytest.raises(CourseError, match=r"'mean' is -(.|\n)*as ratios"):
        fit_tasks(network(), tasks(), losses=below, epochs=2, weighting=weighting)


@pytest.mark.parametrize(
    "labels",
    [
        pd.Series(SPLIT.y.numpy(), index=range(50, 62)),
        SPLIT.y.numpy().astype(">i4"),
        SPLIT.y.numpy()[::-1].copy()[::-1],
        SPLIT.y.tolist(),
        list(SPLIT.y),
    ],
    ids=["a table's column", "another byte order", "backwards", "a list", "a list of tensors"],
)
def test_class_numbers_in_any_container(labels):
    assert torch.equal(TaskData(SPLIT, {"kind": labels}).labels["kind"], SPLIT.y)


def test_boxes_in_a_table_or_a_list():
    boxes = VALUES.expand(-1, 4)
    for given in (pd.DataFrame(boxes.numpy(), index=range(50, 62)), list(boxes), boxes.numpy()[::-1].copy()[::-1]):
        assert torch.equal(TaskData(SPLIT, {"box": given}).labels["box"], boxes)
