"""Chapter 07-1's exercises take every right answer, and their material shows what it is about."""

from __future__ import annotations

import pytest
import torch

from tlcourse.exercises import exercise

SIGNATURES = {
    "07-1.1": "tfidf(train, texts)",
    "07-1.2": "folds(y, k)",
    "07-1.3": "calibration_error(confidence, right, bins)",
}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path))


def check(name, *lines):
    cell = {}
    body = "".join(f"    {line}\n" for line in lines)
    exec(f"import numpy as np\nimport torch\ndef {SIGNATURES[name]}:\n{body}", cell)
    return exercise(name).check(cell[exercise(name).answers[0]])


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        (  # scikit-learn counts, numpy weighs
            "07-1.1",
            [
                "from sklearn.feature_extraction.text import CountVectorizer",
                "count = CountVectorizer(token_pattern=r'\\S+').fit(train)",
                "n = (count.transform(train).toarray() > 0).sum(0)",
                "return count.transform(texts).toarray() * np.log(len(train) / n)",
            ],
        ),
        (  # plain lists, and Counter
            "07-1.1",
            [
                "import math",
                "from collections import Counter",
                "n = Counter(w for t in train for w in set(t.lower().split()))",
                "made = []",
                "for t in texts:",
                "    c = Counter(t.lower().split())",
                "    made.append([c[w] * (math.log(len(train)) - math.log(n[w])) for w in sorted(n)])",
                "return made",
            ],
        ),
        (  # scikit-learn's own folds
            "07-1.2",
            [
                "from sklearn.model_selection import StratifiedKFold",
                "import warnings",
                "warnings.simplefilter('ignore')",
                "if y.bincount().min() < k:",
                "    few = [((y == c).nonzero().flatten()) for c in y.unique()]",
                "    fold = torch.zeros(len(y), dtype=torch.long)",
                "    for p in few: fold[p] = torch.randperm(k).repeat(len(p) // k + 1)[: len(p)]",
                "    return fold",
                "fold = np.zeros(len(y), int)",
                "for i, (_, test) in enumerate(StratifiedKFold(k, shuffle=True).split(y, y)): fold[test] = i",
                "return fold",
            ],
        ),
        (  # plain Python
            "07-1.2",
            [
                "import random",
                "fold = [0] * len(y)",
                "for c in set(y.tolist()):",
                "    places = [i for i, v in enumerate(y.tolist()) if v == c]",
                "    random.shuffle(places)",
                "    for j, i in enumerate(places): fold[i] = j % k",
                "return fold",
            ],
        ),
        (  # numpy, with a loop over borders
            "07-1.3",
            [
                "c, r, total = confidence.numpy(), right.numpy(), 0",
                "for i in range(bins):",
                "    m = (c >= i / bins) & ((c < (i + 1) / bins) | (i == bins - 1))",
                "    if m.any(): total += abs(c[m].sum() - r[m].sum())",
                "return total / len(c)",
            ],
        ),
        (  # sums of each part at once
            "07-1.3",
            [
                "part = torch.floor(confidence * bins).clamp(max=bins - 1).long()",
                "gap = torch.zeros(bins).index_add_(0, part, confidence - right.float())",
                "return gap.abs().sum() / len(part)",
            ],
        ),
        (  # scikit-learn's weights, less the one it adds
            "07-1.1",
            [
                "from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer",
                "many = CountVectorizer(token_pattern=r'\\S+').fit(train)",
                "more = TfidfVectorizer(token_pattern=r'\\S+', norm=None, smooth_idf=False).fit(train)",
                "return more.transform(texts) - many.transform(texts)",
            ],
        ),
        (  # torch, a matrix times a row
            "07-1.1",
            [
                "def table(t): return torch.tensor([[x.lower().split().count(w) for w in words] for x in t]).double()",
                "words = sorted(set(' '.join(train).lower().split()))",
                "return table(texts) * (len(train) / (table(train) > 0).sum(0)).log()",
            ],
        ),
        (  # an iterator of floats
            "07-1.2",
            [
                "import pandas as pd",
                "order = torch.randperm(len(y))",
                "dealt = pd.Series(y[order].numpy()).groupby(y[order].numpy()).cumcount() % k",
                "fold = np.zeros(len(y))",
                "fold[order.numpy()] = dealt",
                "return iter(fold)",
            ],
        ),
        (  # each class dealt from where the one before stopped: the folds are of equal size
            "07-1.2",
            [
                "order = torch.randperm(len(y))",
                "order = order[y[order].argsort(stable=True)]",
                "fold = torch.zeros(len(y), dtype=torch.int32)",
                "fold[order] = torch.arange(len(y), dtype=torch.int32) % k",
                "return [int(f) for f in fold]",
            ],
        ),
        (  # numpy's digitize, and bincount with weights
            "07-1.3",
            [
                "part = np.digitize(confidence.numpy(), np.linspace(0, 1, bins + 1)[1:-1])",
                "gap = np.bincount(part, (confidence - right).numpy(), bins)",
                "return np.abs(gap).sum() / len(right)",
            ],
        ),
        (  # pandas
            "07-1.3",
            [
                "import pandas as pd",
                "table = pd.DataFrame({'c': confidence.tolist(), 'r': right.tolist()})",
                "each = table.groupby((table.c * bins).astype(int).clip(upper=bins - 1))",
                "return ((each.c.mean() - each.r.mean()).abs() * each.size()).sum() / len(table)",
            ],
        ),
        (  # plain Python, and a share instead of a mean
            "07-1.3",
            [
                "parts = [[] for _ in range(bins)]",
                "for c, r in zip(confidence.tolist(), right.tolist()):",
                "    parts[min(int(c * bins), bins - 1)].append((c, r))",
                "far = lambda p: abs(sum(c for c, _ in p) / len(p) - sum(r == 1 for _, r in p) / len(p))",
                "return sum(len(p) / len(right) * far(p) for p in parts if p)",
            ],
        ),
        (  # torch's bucketize, in double
            "07-1.3",
            [
                "c = confidence.double()",
                "part = torch.bucketize(c, torch.linspace(0, 1, bins + 1).double()[1:-1], right=True)",
                "found = [(c[part == i].mean() - right[part == i].double().mean()).abs() for i in range(bins)]",
                "n = part.bincount(minlength=bins)",
                "return (torch.stack(found).nan_to_num() * n / n.sum()).sum().reshape(1)",
            ],
        ),
    ],
)
def test_other_ways_are_right(name, lines):
    reply = check(name, *lines)
    assert reply.state == "right", reply


@pytest.mark.parametrize(
    ("name", "lines", "words"),
    [
        ("07-1.1", ["return 'words'"], "tensor of numbers"),
        ("07-1.1", ["return [1.0, 2.0]"], "table is wanted"),
        ("07-1.1", ["return torch.zeros(4, 2)"], "is wanted: a row for each"),
        ("07-1.1", ["train.append('more')", "return torch.zeros(4, 10)"], "changes the lists"),
        ("07-1.1", ["print(end='')"], "returns nothing"),
        ("07-1.2", ["return 'folds'"], "fold numbers is wanted"),
        ("07-1.2", ["return torch.rand(len(y)) * k"], "whole number"),
        ("07-1.2", ["return y.zero_()"], "changes the tensor"),
        ("07-1.2", ["print(end='')"], "returns nothing"),
        ("07-1.3", ["return 'little'"], "One number is wanted"),
        ("07-1.3", ["return float('inf')"], "infinite"),
        ("07-1.3", ["return 0.123"], "other `bins`"),
        ("07-1.3", ["return 0.123 / bins"], "it should be"),
        ("07-1.2", ["return iter([])"], "came back: a fold"),
        ("07-1.2", ["return (1 // 0 for _ in y)"], "A generator came back, and stopped"),
        ("07-1.3", ["confidence.zero_()", "return 0.0"], "changes the tensors"),
        ("07-1.3", ["print(end='')"], "returns nothing"),
    ],
)
def test_what_is_no_answer_is_told(name, lines, words):
    reply = check(name, *lines)
    assert reply.state == "not yet" and words in reply.text, reply


def test_the_material_shows_what_the_tasks_are_about():
    train, texts = exercise("07-1.1").material()
    assert not set(train) & set(texts) and any(t != t.lower() for t in train)
    y, k = exercise("07-1.2").material()
    assert y.bincount().tolist() == [64, 27, 9] and k == 5
    confidence, right = exercise("07-1.3").material()
    assert confidence.shape == right.shape and confidence.min() >= 0.5 and set(right.tolist()) == {0, 1}
    assert torch.is_tensor(right)
