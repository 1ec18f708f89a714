"""Probes, results and intervals; and what `measured` measures."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats
from small_nets import image_net, images
from torchvision.transforms import v2

from tlcourse import CourseError, extract, hardware, knn_probe, linear_probe
from tlcourse.features import Features, Result, interval, wilson
from tlcourse.hardware import measured, one_blas_thread, progress_bar

CLASSES = ("low", "high")


def cloud(n=40, gap=1.5, seed=0, d=3, views=1) -> Features:
    """Two clouds of points, `gap` apart."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % 2
    x = torch.randn(n, views, d, generator=generator) + gap * (y[:, None, None] - 0.5)
    ids = tuple(map(str, range(n)))
    return Features(x if views > 1 else x[:, 0], y, ids, CLASSES, "pool", views=views, weights="w")


@pytest.mark.parametrize("probe", [linear_probe, knn_probe])
def test_a_probe_tells_apart_what_can_be_told_apart(probe):
    easy, hard = (probe(cloud(gap=g), cloud(gap=g, seed=1)) for g in (6, 0))
    assert easy.accuracy == 1 and 0.2 < hard.accuracy < 0.8
    assert easy.n == 40 and easy.predictions.tolist() == easy.labels.tolist()
    assert easy.classes == CLASSES and easy.low < 1 == easy.high and "on 40 items" in str(easy)


def test_scaling_is_learned_from_training_items_alone():
    train, test = cloud(), cloud(seed=1)
    before = linear_probe(train, test).predictions
    x = test.x.clone()
    x[0] = 1e6  # would move the mean and the spread of the test items
    after = linear_probe(train, replace(test, x=x)).predictions
    assert (before[1:] == after[1:]).all()
    alone = [linear_probe(train, test[i]).predictions[0] for i in range(5)]
    assert alone == before[:5].tolist()


def test_the_scale_of_the_features_does_not_matter_to_the_linear_probe():
    train, test = cloud(), cloud(seed=1)
    scale = 1000.0
    scaled = linear_probe(replace(train, x=train.x * scale), replace(test, x=test.x * scale))
    assert scaled.predictions.tolist() == linear_probe(train, test).predictions.tolist()


def test_c_none_chooses_on_the_training_items():
    train, test = cloud(gap=0.7, d=30), cloud(gap=0.7, d=30, seed=1)
    chosen = linear_probe(train, test, C=None, seed=0)
    each = {c: linear_probe(train, test, C=c).predictions.tolist() for c in (0.01, 0.1, 1.0, 10.0)}
    c = float(chosen.note.removeprefix("C = "))
    assert chosen.predictions.tolist() == each[c]
    assert linear_probe(train, test[:7], C=None, seed=0).note == chosen.note
    few = linear_probe(train[[0, 1]], test, C=None)
    assert "too few to choose" in few.note


def test_the_views_of_an_item_go_into_one_fold(monkeypatch):
    from sklearn.linear_model import LogisticRegression

    seen = []
    fit = LogisticRegression.fit

    def watching(self, x, y, *more, **named):
        seen.append(x)
        return fit(self, x, y, *more, **named)

    monkeypatch.setattr(LogisticRegression, "fit", watching)
    train = cloud(n=10, views=3)
    assert train.flat()[0].shape == (30, 3)
    result = linear_probe(train, cloud(), C=None)
    assert result.n == 40 and all(len(x) % 3 == 0 for x in seen) and len(seen) == 4 * 5 + 1
    with pytest.raises(CourseError, match="independent"):
        linear_probe(train, train)


def test_more_neighbours_than_items_are_all_of_them():
    train, test = cloud(6, gap=6), cloud(gap=6, seed=1)
    assert knn_probe(train, test, k=100).note == "k = 6"
    assert knn_probe(train, test, k=1).accuracy == 1


@pytest.mark.parametrize("probe", [linear_probe, knn_probe])
@pytest.mark.parametrize(
    ("train", "test", "says"),
    [
        (cloud()[cloud().y == 0], cloud(), "at least two classes"),
        (cloud(), replace(cloud(), stage="neck"), "same model at the same stage"),
        (cloud(), cloud(d=5), "same model at the same stage"),
        (cloud(), replace(cloud(), weights="other"), "other weights"),
        (cloud(), replace(cloud(), classes=("high", "low")), "classes differ"),
        (replace(cloud(), x=cloud().x * torch.nan), cloud(), "NaN"),
        (cloud(), replace(cloud(), x=cloud().x / 0), "NaN or infinite"),
        (cloud(), cloud()[[]], "no items"),
        (images(), cloud(), "not a Split"),
        (replace(cloud(), x=torch.zeros(40, 3, 2, 2)), cloud(), "pooled=True"),
    ],
)
def test_features_that_do_not_go_together(probe, train, test, says):
    with pytest.raises(CourseError, match=says):
        probe(train, test)


def test_settings_that_make_no_sense():
    for wrong in (
        lambda f: linear_probe(f, f, C=0),
        lambda f: linear_probe(f, f, C=-1),
        lambda f: knn_probe(f, f, k=0),
    ):
        with pytest.raises(CourseError, match="Choose"):
            wrong(cloud())


def test_probes_on_extracted_features(tmp_path, monkeypatch):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path))
    net = image_net()
    train, test = extract(net, images(40), "body", pooled=True), extract(net, images(30, seed=1), "body", pooled=True)
    assert linear_probe(train, test).accuracy > 0.6 and knn_probe(train, test).accuracy > 0.6
    views = extract(net, images(40), "body", pooled=True, augment=v2.RandomHorizontalFlip(), views=2)
    assert linear_probe(views, test, C=None).accuracy > 0.6
    with pytest.raises(CourseError, match=r"pooled=True"):
        linear_probe(extract(net, images(40), "body"), test)


# intervals ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("right", "n"), [(0, 1), (1, 1), (0, 10), (10, 10), (7, 10), (95, 100), (1, 3000)])
def test_the_interval_of_an_accuracy_is_wilsons(right, n):
    expected = stats.binomtest(right, n).proportion_ci(method="wilson")
    assert wilson(right, n) == pytest.approx((expected.low, expected.high), abs=1e-6)
    result = Result.of([1] * n, [1] * right + [0] * (n - right), CLASSES)
    assert (result.low, result.high) == wilson(right, n) and result.accuracy == right / n
    assert 0 <= result.low <= result.accuracy <= result.high <= 1


def test_the_interval_over_seeds_is_students():
    values = [0.81, 0.87, 0.84, 0.9]
    mean, low, high = interval(values)
    expected = stats.t.interval(0.95, 3, loc=np.mean(values), scale=stats.sem(values))
    assert (low, high) == pytest.approx(expected) and mean == pytest.approx(np.mean(values))
    with pytest.raises(CourseError, match="two runs"):
        interval([0.5])
    with pytest.raises(CourseError, match="at least one item"):
        Result.of([], [], CLASSES)


def test_a_result_says_all_and_escapes_it():
    result = Result.of([0, 1], [0, 0], CLASSES, loss=0.5, note="<i>")
    assert "0.500" in str(result) and "loss 0.500" in str(result) and "(<i>)" in repr(result)
    assert "<i>" not in result._repr_html_() and "&lt;i&gt;" in result._repr_html_()


# cost --------------------------------------------------------------------------------------------


def test_memory_grows_with_what_is_allocated():
    def peak(megabytes):
        code = "from tlcourse.hardware import measured; import time\n"
        code += (
            "with measured() as cost: x = bytearray(b'1') * int(1e6 * %d); time.sleep(.1); del x\nprint(cost.memory)"
        )
        return float(subprocess.run([sys.executable, "-c", code % megabytes], capture_output=True, text=True).stdout)

    assert 180 < peak(210) - peak(10) < 220


def test_a_cost_is_complete_after_an_exception_which_goes_on():
    with pytest.raises(ZeroDivisionError), measured() as cost:
        1 / 0  # noqa: B018
    assert cost.seconds > 0 and cost.memory > 1
    with measured() as outer, measured() as inner:
        pass
    assert outer.seconds >= inner.seconds


def test_no_watcher_is_left_running():
    import threading

    before = threading.active_count()
    for error in (ValueError, KeyboardInterrupt):
        with pytest.raises(error), measured():
            raise error
    assert threading.active_count() == before


def test_a_bar_is_silent_where_nobody_looks(capsys, monkeypatch):
    assert list(progress_bar(range(3), "counting")) == [0, 1, 2]
    monkeypatch.setattr(sys, "stderr", None)  # as under pythonw
    assert list(progress_bar(range(3), "counting")) == [0, 1, 2]
    monkeypatch.undo()
    assert capsys.readouterr() == ("", "")
    bar = progress_bar(range(300), "counting", show=True, mininterval=0, miniters=1)
    bar.delay = 0
    list(bar)
    assert "counting: " in capsys.readouterr().err


def test_one_thread_for_the_linear_algebra_and_as_many_as_before_behind_it(monkeypatch):
    from threadpoolctl import threadpool_info, threadpool_limits

    def most():
        return max(pool["num_threads"] for pool in threadpool_info())

    with threadpool_limits(2):
        before = most()
        with pytest.raises(ZeroDivisionError), one_blas_thread():
            assert most() == 1
            raise ZeroDivisionError
        assert most() == before
    looked = hardware._libraries[1]
    one_blas_thread().__exit__(None, None, None)
    assert hardware._libraries[1] is looked, "looked for once, as long as nothing is imported"
    monkeypatch.setitem(sys.modules, "a_library_more", sys)
    one_blas_thread().__exit__(None, None, None)
    assert hardware._libraries[1] is not looked
