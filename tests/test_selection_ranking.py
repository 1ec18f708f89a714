"""The scores beside true fine-tuning: where they order two starts as it does, and where one does not."""

from __future__ import annotations

import pytest

from tlcourse import compare, evaluate, fit, load, load_dataset


@pytest.mark.slow
@pytest.mark.assets
def test_on_digits_most_scores_agree_with_fine_tuning_and_the_h_score_does_not(tmp_path, monkeypatch):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path))
    data = load_dataset("digits")
    few, test = data.train.shots(9), data.test[::6]
    pretrained, random = (load("efficientnet-lite0", data.classes, pretrained=p, size=48) for p in (True, False))
    table = compare({"pretrained": pretrained, "random": random}, few)
    tuned = {}
    for name, model in (("pretrained", pretrained), ("random", random)):
        fit(model, few, epochs=6, lr=1e-3, schedule="cosine", keep=False, progress=False)
        tuned[name] = evaluate(model, test).accuracy
    assert tuned["pretrained"] > tuned["random"] + 0.2
    better = table.loc["pretrained"] - table.loc["random"]
    assert better["logme"] > 0.05 and better["linear probe"] > 0.1 and better["knn"] > 0.05
    # random features lie along few directions, and most of them count as told apart when items are few
    assert better["h_score"] < 0
