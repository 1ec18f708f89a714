"""Chapter 09's exercises take every right answer, and their material shows what it is about."""

from __future__ import annotations

import pytest
import torch

from tlcourse.exercises import exercise

SIGNATURES = {
    "09.1": "a_distance(said, true)",
    "09.2": "nearest_prototype(few, labels, new)",
    "09.3": "surest(model, items, threshold)",
}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path))
    return tmp_path


def check(name, *lines, start="import numpy as np\nimport torch\n"):
    cell = {}
    exec(f"{start}def {SIGNATURES[name]}:\n" + "".join(f"    {line}\n" for line in lines), cell)
    return exercise(name).check(cell[exercise(name).answers[0]])


@pytest.mark.parametrize(
    "lines",
    [
        # with the helper of scikit-learn: the mean of both domains' rates of right answers
        [
            "from sklearn.metrics import balanced_accuracy_score",
            "return max(0, 2 * (2 * balanced_accuracy_score(true, said) - 1))",
        ],
        # a tensor, and a product of logic instead of a difference
        [
            "misses = ((said == 1) & (true == 0)).sum() / (true == 0).sum()",
            "alarms = ((said == 0) & (true == 1)).sum() / (true == 1).sum()",
            "return (2 - 2 * (misses + alarms)).clamp(min=0)",
        ],
        # numpy, an array of one number
        [
            "s, t = said.numpy(), true.numpy()",
            "e = np.mean([np.mean(s[t == d] != d) for d in np.unique(t)])",
            "return np.array([2 * (1 - 2 * min(e, 0.5))])",
        ],
    ],
)
def test_other_ways_to_measure_a_distance_are_right(lines):
    reply = check("09.1", *lines)
    assert reply.state == "right", reply


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["return 'far'"], "A number is wanted"),
        (["return said"], "One number is wanted"),
        (["print(end='')"], "returns nothing"),
        (
            [
                "rates = [min(0.5, float((said != true)[true == d].float().mean())) for d in (0, 1)]",
                "return 2 * (1 - 2 * sum(rates) / 2)",
            ],
            "First the mean of both rates",
        ),
        (["return float('nan')"], "First the error rate"),
        (["return 1.3"], "it should be"),
        (["half = len(true) // 2", "e = (said != true)[:half].float().mean()", "return 2 * (1 - 2 * e)"], "First the"),
    ],
)
def test_odd_distances_are_told(lines, words):
    reply = check("09.1", *lines)
    assert reply.state == "not yet" and words in reply.text, reply


@pytest.mark.parametrize(
    "lines",
    [
        # a loop, item by item
        [
            "means = {int(c): few[labels == c].mean(0) for c in labels.unique()}",
            "return [min(means, key=lambda c: float((x - means[c]).norm())) for x in new]",
        ],
        # by one product with the one-hot labels, squared distances without the part that all share
        [
            "classes = labels.unique()",
            "hot = (labels[:, None] == classes).float()",
            "means = hot.T @ few / hot.sum(0)[:, None]",
            "return classes[(new @ means.T - (means**2).sum(1) / 2).argmax(1)]",
        ],
        [
            "from sklearn.neighbors import NearestCentroid",
            "return NearestCentroid().fit(few, labels).predict(new)",
        ],
    ],
)
def test_other_ways_to_name_by_prototypes_are_right(lines):
    reply = check("09.2", *lines)
    assert reply.state == "right", reply


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["return 'two'"], "A tensor of class numbers"),
        (["return labels"], "One class an item"),
        (["print(end='')"], "returns nothing"),
        (
            [
                "classes = torch.tensor([2, 4, 7])",
                "means = torch.stack([few[labels == c].mean(0) for c in classes])",
                "return classes[torch.cdist(new, means).nan_to_num(9e9).argmin(1)]",
            ],
            "take them from `labels`",
        ),
        (["return labels[: len(new)]"], "Your names are"),
        (
            [
                "classes = labels.unique()",
                "mid = new.mean(0) * (len(new) > 1)",
                "means = torch.stack([few[labels == c].mean(0) for c in classes])",
                "far = torch.cdist(new - mid, means - mid)",
                "return classes[far.argmin(1)] if len(new) > 1 else classes[:1]",
            ],
            "An item alone",
        ),
    ],
)
def test_odd_names_are_told(lines, words):
    reply = check("09.2", *lines)
    assert reply.state == "not yet" and words in reply.text, reply


@pytest.mark.parametrize(
    "lines",
    [
        # by hand, from scores
        [
            "model.eval()",
            "z = model(items.x).detach()",
            "share = (z - z.logsumexp(1, keepdim=True)).exp()",
            "best, y = share.max(1)",
            "chosen = torch.nonzero(best >= threshold)[:, 0]",
            "return [items.x[chosen], y[chosen]]",
        ],
        # the course's own helper
        [
            "from tlcourse import pseudo_label as helper",
            "from tlcourse.features import Features",
            "with torch.no_grad(): scores = model.eval()(items.x)",
            "data = Features(items.x, None, tuple(map(str, range(len(items)))), ('a', 'b', 'c'), 'pool')",
            "made = helper(scores, data, share=1, confidence=threshold)",
            "return made.x, made.y",
        ],
        # put back into the mode that it had
        [
            "was = model.training",
            "with torch.inference_mode(): shares = model.eval()(items.x).softmax(-1)",
            "model.train(was)",
            "keep = (shares >= threshold).any(1)",
            "return items.x[keep], shares[keep].argmax(1)",
        ],
    ],
)
def test_other_ways_to_make_pseudo_labels_are_right(lines):
    reply = check("09.3", *lines)
    assert reply.state == "right", reply


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["return items.x"], "Return two things"),
        (["return list(items.x), [0] * len(items)"], "Two tensors"),
        (["return items.x[:, :2], torch.zeros(len(items), dtype=torch.long)"], "kept rows"),
        (["return items.x[:3], torch.zeros(3, dtype=torch.long)"], "your function keeps 3 of 40"),
        (
            [
                "with torch.no_grad(): shares = model.eval()(items.x).softmax(1)",
                "keep = shares.max(1).values >= threshold",
                "return items.x[keep], shares[keep].argmax(1) * 0",
            ],
            "their labels are not",
        ),
        (
            [
                "with torch.no_grad(): shares = model.eval()(items.x).softmax(1)",
                "keep = shares[:, 0] >= threshold",
                "return items.x[keep], shares[keep].argmax(1)",
            ],
            "one class only",
        ),
    ],
)
def test_odd_pseudo_labels_are_told(lines, words):
    reply = check("09.3", *lines)
    assert reply.state == "not yet" and words in reply.text, reply


def test_the_material_is_what_the_tasks_say():
    said, true = exercise("09.1").material()
    assert said.shape == true.shape == (32,) and true.bincount().tolist() == [8, 24]
    few, labels, new = exercise("09.2").material()
    assert few.shape == (13, 6) and new.shape == (9, 6) and len(labels.bincount().unique()) > 2
    model, items = exercise("09.3").material()
    sure = model(items.x).softmax(1).max(1)
    assert 5 < int((sure.values >= 0.9).sum()) < int((sure.values >= 0.7).sum()) < len(items) - 5
    assert not (sure.indices == items.y).any()  # who reads the labels gets none right


def test_the_model_that_is_lent_is_the_same_each_time():
    torch.manual_seed(9)
    first, _ = exercise("09.3").material()
    second, _ = exercise("09.3").material()
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["kept = items.x[sure]", "items.x.zero_()", "return kept, y[sure]"], "changes `items.x`"),
        (
            ["order = best.argsort(descending=True)[: int(sure.sum())]", "return items.x[order], y[order]"],
            "another order",
        ),
        (["model.double()", "return items.x[sure], y[sure]"], "its weights stay"),
    ],
)
def test_rows_and_weights_are_left_as_they_are(lines, words):
    ask = ["with torch.no_grad(): best, y = model.eval()(items.x).softmax(1).max(1)", "sure = best >= threshold"]
    reply = check("09.3", *ask, *lines)
    assert reply.state == "not yet" and words in reply.text, reply
