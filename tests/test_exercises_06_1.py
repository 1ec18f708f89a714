"""Chapter 06-1's exercises take every right answer, and their material shows what it is about."""

from __future__ import annotations

import pytest

from tlcourse.exercises import exercise

SIGNATURES = {
    "06-1.1": "worth(scores, true, threshold, prevalence)",
    "06-1.2": "divide(patients, share)",
    "06-1.3": "mixed_up(true, said, n)",
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
        (  # numpy, and Bayes' rule by odds
            "06-1.1",
            [
                "s, t = scores.numpy(), true.numpy()",
                "a, b = (s[t == 1] > threshold).mean(), (s[t == 0] > threshold).mean()",
                "odds = prevalence / (1 - prevalence) * a / b",
                "return odds / (1 + odds)",
            ],
        ),
        (  # weights for each person
            "06-1.1",
            [
                "w = torch.where(true == 1, prevalence / (true == 1).sum(), (1 - prevalence) / (true == 0).sum())",
                "alarm = scores > threshold",
                "return (w * true)[alarm].sum() / w[alarm].sum()",
            ],
        ),
        (  # scikit-learn's own, which knows groups
            "06-1.2",
            [
                "from sklearn.model_selection import GroupShuffleSplit",
                "x = np.zeros(len(patients))",
                "n = len(np.unique(patients))",
                "many = min(max(1, round(share * n)), n - 1)",
                "_, test = next(GroupShuffleSplit(1, test_size=many).split(x, groups=patients.numpy()))",
                "side = torch.zeros(len(patients), dtype=torch.bool)",
                "side[test] = True",
                "return side",
            ],
        ),
        (  # plain Python, and zeros and ones
            "06-1.2",
            [
                "import random",
                "who = sorted(set(patients.tolist()))",
                "random.shuffle(who)",
                "tested = set(who[: min(max(1, round(share * len(who))), len(who) - 1)])",
                "return [int(p in tested) for p in patients.tolist()]",
            ],
        ),
        (  # scikit-learn's matrix
            "06-1.3",
            [
                "from sklearn.metrics import confusion_matrix",
                "table = confusion_matrix(true, said, labels=range(n)).astype(float)",
                "table /= np.maximum(table.sum(1, keepdims=True), 1)",
                "np.fill_diagonal(table, -1)",
                "return np.unravel_index(table.argmax(), table.shape)",
            ],
        ),
        (  # two loops
            "06-1.3",
            [
                "best = {}",
                "for i in range(n):",
                "    for j in range(n):",
                "        if i != j and (true == i).any():",
                "            best[i, j] = float((said[true == i] == j).float().mean())",
                "return max(best, key=best.get)",
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
        ("06-1.1", ["return 'much'"], "A number is wanted"),
        ("06-1.1", ["return float('nan')"], "One number is wanted"),
        ("06-1.2", ["return 'test'"], "True and False is wanted"),
        (  # as many pictures as patients are wanted
            "06-1.2",
            [
                "many = round(share * len(patients.unique()))",
                "return torch.isin(patients, patients[torch.randperm(len(patients))[:many]])",
            ],
            "Draw patients, not pictures",
        ),
        (  # pictures until there are patients enough
            "06-1.2",
            [
                "many = max(1, min(round(share * len(patients.unique())), len(patients.unique()) - 1))",
                "some = list(dict.fromkeys(patients[torch.randperm(len(patients))].tolist()))[:many]",
                "return torch.isin(patients, torch.tensor(some))",
            ],
            "Draw patients, not pictures",
        ),
        (
            "06-1.3",
            [
                "counts = torch.zeros(n, n)",
                "for i, j in zip(true, said): counts[i, j] += i != j",
                "with np.errstate(invalid='ignore'):",
                "    shares = counts.numpy() / true.bincount(minlength=n)[:, None].numpy()",
                "return divmod(int(shares.argmax()), n)",
            ],
            "class 1 has no items",
        ),
        ("06-1.3", ["return 1, 2, 3"], "3 came back"),
    ],
)
def test_what_is_no_answer_is_told(name, lines, words):
    reply = check(name, *lines)
    assert reply.state == "not yet" and words in reply.text, reply


def test_the_material_shows_what_the_tasks_are_about():
    scores, true = exercise("06-1.1").material()
    assert scores.shape == true.shape and true.sum() == 60
    patients = exercise("06-1.2").material()
    assert len(patients) == 90 and len(patients.unique()) == 20
    true, said, n = exercise("06-1.3").material()
    assert n == 4 and true.bincount().tolist() == [200, 60, 30, 10] and (said != true).any()
