"""What cannot be drawn is told in words a learner can act on."""

from __future__ import annotations

import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from tlcourse import plots
from tlcourse.adaptation import gains, pair
from tlcourse.errors import CourseError, UnknownName
from tlcourse.multitask import TaskHistory


def epochs(n):
    falling = np.linspace(2.0, 0.5, n)
    return pd.DataFrame({"epoch": range(1, n + 1), "loss": falling, "accuracy": 1 - falling / 4})


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (lambda: plots.images(torch.randn(2, 3, 8, 8)), "already normalised"),
        (lambda: plots.images(torch.zeros(2, 8, 8, 3)), "permute"),
        (lambda: plots.images(torch.zeros(0, 3, 8, 8)), "empty"),
        (lambda: plots.images([]), "empty"),
        (lambda: plots.images(np.zeros((2, 1, 4, 4), "uint8"), ["one"]), "2 images, 1 titles"),
        (lambda: plots.images(np.zeros((1, 1, 4, 4), "uint8"), predictions=["a"]), "labels="),
        (lambda: plots.history(epochs(0)), "no epoch"),
        (lambda: plots.history(epochs(2).assign(loss=np.nan)), "no loss"),
        (lambda: plots.history(epochs(2), epochs(2), labels=["one"]), "2 labels"),
        (lambda: plots.tasks(epochs(2)), "no history of several tasks"),
        (lambda: plots.tasks(SimpleNamespace(tasks=("digit",))), "no history of several tasks"),  # such as the network
        (lambda: plots.tasks(TaskHistory(tasks=("digit",))), "no epoch"),
        (lambda: plots.tasks(TaskHistory([{"epoch": 1}], tasks=tuple("abcdefghijklm"))), "13 tasks cannot"),
        (lambda: plots.label_efficiency({}), "no curves"),
        (lambda: plots.label_efficiency({"a": {0: [0.5]}}), "start at 1"),
        (lambda: plots.label_efficiency({"a": {2: [np.nan]}}), "not a number"),
        (lambda: plots.label_efficiency({"a": [{"shots": 2}]}), "columns"),
        (lambda: plots.label_efficiency({"a": [{"shots": 2, "mean": 0.5, "low": 0.6, "high": 0.7}]}), "outside"),
        (lambda: plots.depth(["a", "b"], [0.1]), "2 names, 1 accuracies"),
        (lambda: plots.depth(["a"], [float("nan")]), "not a number"),
        (lambda: plots.depth(["a"], [0.5], [0.6], [0.4]), "swapped"),
        (lambda: plots.depth(["a"], [0.5], low=[0.4]), "both"),
        (lambda: plots.depth({}), "empty"),
        (lambda: plots.stages(pd.DataFrame({"stage": ["a"]})), "audit"),
        (lambda: plots.confusion([0, 1], [0], ["a", "b"]), "2 labels, 1 predictions"),
        (lambda: plots.confusion([0, 2], [0, 1], ["a", "b"]), "class 2"),
        (lambda: plots.confusion([0], [0], []), "no classes"),
        (lambda: plots.confusion([0], [0], "ab"), "names of the classes"),
        (lambda: plots.confusion([], [], ["a"]), "empty"),
        (lambda: plots.embedding(torch.zeros(2, 3, 4, 4), [0, 0], ["a"]), "pooled"),
        (lambda: plots.embedding([[np.nan, 0.0]], [0], ["a"]), "not numbers"),
        (lambda: plots.embedding([[0.0, 1]], [0, 0], ["a"]), "1 features, 2 labels"),
        (lambda: plots.bars({}), "empty"),
        (lambda: plots.bars([1, 2]), "names"),
        (lambda: plots.bars({"a": "fast"}), "not numbers"),
        (lambda: plots.gain({}), "no curves"),
        (lambda: plots.gain({"a": {}}), "x -> gain"),
        (lambda: plots.gain({"a": {1: 0.5}}), "no gain with its interval"),
        (lambda: plots.gain({"a": {1: (0.1, 0.2, 0.3)}}), "outside its own interval"),
        (lambda: plots.gain({"a": {0: (0.1, 0.0, 0.2)}}, log=True), "above 0"),
        (lambda: plots.gain({"a": {1: (np.nan, 0.0, 0.2)}}), "not a number"),
        (lambda: plots.matrix({}), "empty"),
        (lambda: plots.matrix([[1]]), "needs names"),
        (lambda: plots.matrix({"a": [1, 2]}), "names for its columns"),
        (lambda: plots.matrix({"a": {"b": "high"}}), "not numbers"),
        (lambda: plots.matrix({"a": {"b": 1.0}, "c": {"d": 2.0}}), "not a number"),
        (lambda: plots.matrix({"a": {str(i): 1.0 for i in range(30)}}), "cannot be read"),
        (lambda: plots.matrix({"a": {"b": 1.0}}, digits="two"), "digits"),
        (lambda: plots.transfer({}), "no cases"),
        (lambda: plots.transfer({"a": ("source", "target")}), "a domain, a task and labels"),
        (lambda: plots.distance(pair(0.5, 5), gains([0.1]), 0), "do not belong together"),
        (lambda: plots.distance(pair(0.5, 5), [], 0), "do not belong together"),
        (lambda: plots.strategies({}), "columns"),
        (lambda: plots.strategies({"a": {"seconds": 1}}), "columns"),
        (lambda: plots.strategies({"a": {"seconds": 0, "accuracy": 0.5}}), "above 0"),
        (lambda: plots.strategies({"a": {"seconds": 1, "accuracy": np.nan}}), "not a number"),
        (lambda: plots.strategies({"a": {"seconds": 1, "accuracy": 0.5, "low": 0.4}}), "two ends"),
        (lambda: plots.strategies({"a": {"seconds": 1, "accuracy": 0.5, "low": 0.6, "high": 0.4}}), "swapped"),
    ],
)
def test_bad_input_is_told_in_words(bad, words):
    with pytest.raises(CourseError, match=re.escape(words)):
        bad()


def test_an_unknown_class_name_brings_the_nearest():
    with pytest.raises(UnknownName, match="Did you mean 'cat'"):
        plots.confusion(["cat", "cot"], ["cat", "cat"], ["cat", "dog"])
