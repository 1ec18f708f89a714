"""Every figure says its numbers in words, stands on its own, and leaves no trace in matplotlib."""

from __future__ import annotations

import re
import warnings
from html.parser import HTMLParser
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.text import Text

from tlcourse import plots, repeat
from tlcourse.explain import Embedding, Prediction, TokenAttribution
from tlcourse.multitask import TaskHistory

NASTY = '<img src=x onerror="alert(1)">'
STRANGE = ["شكرا جزيلا", "🙂 smile", "$x_{1}$ costs 5$", "深度学习", NASTY, "a\nb\x07\ud800", "", "w" * 80]


class Tags(HTMLParser):
    """The tags of a page with their attributes."""

    def __init__(self, page):
        super().__init__()
        self.seen = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))


def epochs(n, **more):
    falling = np.linspace(2.0, 0.5, n)
    return pd.DataFrame({"epoch": range(1, n + 1), "loss": falling, "accuracy": 1 - falling / 4, **more})


def audited():
    rows = [("stem", 928, "no", 0, True), ("stage1", 90_000, "no", 6, False), ("pool", 0, "-", 0, True)]
    rows += [("head", 2562, "yes", 0, False)]
    columns = ["stage", "parameters", "requires grad", "buffers that move", "frozen"]
    return pd.DataFrame(rows, columns=columns).set_index("stage")


def cloud(k, n=6, d=5):
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(k), n)
    return torch.tensor(rng.normal(size=(k, d))[y] * 6 + rng.normal(size=(k * n, d))), torch.tensor(y)


def labels(names):
    """Half a character is no string for Arrow, which pandas uses where it is installed."""
    return pd.Index(list(names), dtype=object)


def priced(names, accuracies):
    """A table as `strategies` takes it: dearer from row to row, with intervals."""
    seconds, accuracies = np.geomspace(0.4, 40, len(names)), np.array(list(accuracies))
    rows = {"seconds": seconds, "accuracy": accuracies, "low": accuracies - 0.05, "high": accuracies + 0.05}
    return pd.DataFrame(rows, index=labels(names))


def several(names, epochs=4, valid=True, metric="accuracy", **more):
    """A history of a task a name, whose losses lie far apart."""
    rows = [{"epoch": e, "seconds": 0.1} for e in range(1, epochs + 1)]
    for row in rows:
        for i, name in enumerate(names):
            row |= {f"{name}_loss": 4.0**i / row["epoch"], f"{name}_{metric}": 1 - 0.5 / row["epoch"]}
            row |= {f"{name}_weight": 1 + 0.1 * i * row["epoch"]}
            row |= {f"valid_{name}_loss": 4.1**i, f"valid_{name}_{metric}": 0.5} if valid else {}
    return TaskHistory(rows, tasks=tuple(names), metrics=dict.fromkeys(names, metric), **more)


def embedded(x, y, names):
    """An embedding with these names for its classes, its stages and its two domains."""
    points = np.tile(x[:, :2] / np.abs(x).max(), (len(names), 1, 1))
    scores = dict.fromkeys(("class", "domain", "class across domains"), np.linspace(0.1, 0.9, len(names)).tolist())
    return Embedding(
        stages=tuple(names), points=points, held=np.full(len(names), 0.5), widths=(8,) * len(names), agree=scores,
        usual={"class": 0.5}, y=y, domain=np.arange(len(y)) % 2, classes=tuple(names), domains=("one", names[0]),
        kind="text", x=["text"] * len(y), ids=tuple(map(str, y)), of=len(y),
    )  # fmt: skip


def every_plot(names):
    """One figure of each kind, with these names in it."""
    k = len(names)
    x, y = cloud(k)
    values = dict(zip(names, np.linspace(0.3, 0.9, k), strict=True))
    few = dict(list(values.items())[:10])
    table = audited().iloc[np.arange(k) % 4].set_axis(labels(names)).rename_axis("stage")
    pictures = torch.zeros(k, 3, 8, 8, dtype=torch.uint8)
    sure = {"names": tuple(names), "shares": tuple(np.linspace(0.9, 0.001, k)), "classes": k}
    seen = {"picture": np.zeros((40, 60, 3), "uint8"), "where": np.tile(np.linspace(0, 1, 6).reshape(2, 3), (k, 1, 1))}
    text, spans = " ".join([*names, "the end"] * 3), []
    for word in (*names, "the", "end") * 3:
        spans.append((text.index(word, spans[-1][1] if spans else 0),) * 2)
        spans[-1] = (spans[-1][0], spans[-1][0] + len(word))
    weights = np.tile(np.linspace(-0.5, 0.5, len(spans)), (k, 1))
    return {
        "images": plots.images(pictures, names),
        "guesses": plots.images(pictures, labels=range(k), predictions=[0] * k, classes=names),
        "boxes": plots.boxes(
            pictures, [[1, 1, 5, 5]] * k, [[2, 2, 6, 6]] * k, labels=range(k), predictions=[0] * k, classes=names
        ),
        "masks": plots.masks(
            pictures,
            np.tile(np.arange(k)[:, None, None], (1, 8, 8)),
            np.zeros((k, 8, 8), int),
            classes=names,
            columns=3,
        ),
        "objects": plots.masks(
            pictures, np.tile(np.repeat([0, 5, 2, 2], 2)[None], (k, 8, 1)), np.zeros((k, 8, 8), int), objects=True
        ),
        "history": plots.history(*[epochs(4, valid_loss=[3, 2, 1, 2])] * k, labels=names),
        "label_efficiency": plots.label_efficiency({n: {2: [0.5], 40: [v]} for n, v in values.items()}),
        "depth": plots.depth(values, baseline={names[0]: 0.5}),
        "stages": plots.stages(table),
        "confusion": plots.confusion(y, y.flip(0), names),
        "embedding": plots.embedding(x, y, names),
        "bars": plots.bars(values, xlabel=names[0], unit=names[0]),
        "embeddings": plots.embeddings(embedded(x.numpy(), y.numpy(), names)),
        "image prediction": plots.prediction(Prediction("image", **sure, **seen)),
        "text prediction": plots.prediction(Prediction("text", **sure, text=text, spans=tuple(spans), weights=weights)),
        "tokens": plots.tokens(TokenAttribution(text, tuple(spans), tuple(weights[0]), names[0], 1.0, 0.5, 0.0, 50)),
        "attention": plots.attention(np.full((k, k), 1 / k), names, names, title=names[0]),
        "strategies": plots.strategies(priced(names, values.values())),
        "gain": plots.gain(
            {n: {2: (v - 0.5, v - 0.6, v - 0.4), 9: (0.1, 0.0, 0.2)} for n, v in values.items()}, log=True
        ),
        "matrix": plots.matrix(
            {a: {b: v - w for b, w in few.items()} for a, v in few.items()}, xlabel=names[0], ylabel="b"
        ),
        "tasks": plots.tasks(several(few)),
        "transfer": plots.transfer({n: ((n, "name it", "150"), (n, n, "none")) for n in few}),
    }


def drawn_texts(plot, monkeypatch):
    """The texts that are really drawn: a tick beyond the axes has one that is not."""
    seen, draw = [], Text.draw
    with monkeypatch.context() as patch:
        patch.setattr(Text, "draw", lambda self, renderer: (seen.append(self), draw(self, renderer)))
        plot._png(96)
    return [text for text in dict.fromkeys(seen) if text.get_text().strip()]


def test_images_are_told_in_reading_order():
    alt = plots.images(torch.zeros(3, 1, 25, 20, dtype=torch.uint8), ["cat", "dog", "cow"]).alt
    assert alt == "3 images, 20 by 25 pixels, grey. In reading order: cat, dog, cow."


def test_wrong_predictions_are_marked_by_a_sign_and_told():
    plot = plots.images(np.zeros((3, 1, 8, 8), "uint8"), labels=[0, 1, 1], predictions=[0, 0, 1], classes=["a", "b"])
    assert "2 of 3 predictions are right. Wrong: image 2 is b, predicted a." in plot.alt
    drawn = [t.get_text() for t in plot.figure.findobj(Text)]
    assert sum(t.startswith("✓") for t in drawn) == 2 and sum(t.startswith("✗") for t in drawn) == 1


def test_a_split_brings_its_names_and_only_the_first_images_are_drawn():
    class Split:
        x, y = torch.zeros(90, 3, 8, 8, dtype=torch.uint8), torch.arange(90) % 2
        name, kind, classes = "tiny", "image", ("cat", "dog")
        __len__ = lambda self: 90  # noqa: E731

    plot = plots.images(Split(), limit=10)
    assert plot.alt.startswith("10 images of 90, 8 by 8 pixels, in colour. In reading order: cat, dog, cat")
    assert len(plot.figure.axes) == 10


def test_images_of_different_sizes_and_one_image():
    photographs = [np.zeros((3, 40, 60), "uint8"), np.zeros((1, 30, 30), "uint8")]
    assert plots.images(photographs).alt == "2 images, of different sizes, grey and in colour."
    assert plots.images(torch.zeros(3, 40, 60, dtype=torch.uint8)).alt.startswith("1 image, 60 by 40 pixels")


def test_history_tells_start_end_and_best():
    alt = plots.history(epochs(4, valid_loss=[1.5, 0.9, 0.7, 0.8], valid_accuracy=[0.4, 0.5, 0.6, 0.625])).alt
    assert "over 4 epochs" in alt and "Training loss: 2 to 0.500" in alt
    assert "validation loss: 1.50 to 0.800, best 0.700 at epoch 3" in alt
    assert "validation accuracy: 0.400 to 0.625." in alt


@pytest.mark.parametrize("valid", [{}, {"valid_loss": [np.nan], "valid_accuracy": [None]}])
def test_history_of_one_epoch_without_validation(valid):
    plot = plots.history(epochs(1, **valid))
    assert plot.alt == "Loss and accuracy over 1 epoch. Training loss: 2. Training accuracy: 0.500."
    assert "valid" not in [t.get_text() for t in plot.figure.findobj(Text)]
    assert plot._repr_html_()


def test_a_run_that_diverged_is_drawn_as_far_as_it_went():
    alt = plots.history(epochs(3).assign(loss=[1.0, 9.0, np.nan])).alt
    assert "1 to 9; not a number at epoch 3" in alt


def test_several_histories_differ_in_more_than_colour():
    plot = plots.history(epochs(3), epochs(3), labels=["scratch", "tuned"])
    lines = plot.figure.axes[0].lines
    assert len({line.get_marker() for line in lines}) == 2
    assert "scratch: Training loss" in plot.alt and "tuned: Training loss" in plot.alt


def test_anything_with_a_to_frame_is_a_history():
    class History:
        to_frame = staticmethod(lambda: epochs(2))

    assert plots.history(History()).alt == plots.history(epochs(2)).alt


def test_tasks_are_told_one_by_one_with_their_weights():
    plot = plots.tasks(several(["digit", "box"], weighting="dwa"))
    assert plot.alt.startswith(
        "2 tasks over 4 epochs, weighting dwa. digit: training loss 1 to 0.250; validation loss 1;"
    )
    assert "validation accuracy 0.500; weight 1. box: training loss 4 to 1;" in plot.alt
    assert plot.alt.endswith("weight 1.10 to 1.40.")
    loss, score, weight = plot.figure.axes
    assert [ax.get_title(loc="left") for ax in (loss, score, weight)] == ["Loss", "Score", "Weight of the loss"]
    assert len({line.get_marker() for line in loss.lines}) == 2 and len(loss.lines) == 4 and len(weight.lines) == 2


def test_losses_far_apart_share_a_log_scale_and_one_epoch_without_validation_is_drawn():
    plot = plots.tasks(several("abcd", epochs=1, valid=False, metric="iou"))
    assert plot.figure.axes[0].get_yscale() == "log" and plot.figure.axes[1].get_yscale() == "linear"
    assert plot.figure.axes[0].get_title(loc="left") == "Loss (log scale)"
    assert "a: training loss 1; training iou 0.500; weight 1." in plot.alt and "valid" not in plot.alt
    told = [text.get_text() for text in plot.figure.findobj(Text)]
    assert "a iou" in told and not any("validation" in text for text in told)


def test_label_efficiency_from_seeds_has_the_interval_of_student():
    plot = plots.label_efficiency({"probe": {2: [0.8, 0.9, 0.85], 10: [0.9, 0.92, 0.94]}}, baseline={"chance": 0.5})
    assert "0.850 (0.726 to 0.974) at 2" in plot.alt and "The level of chance is 0.500." in plot.alt


def test_label_efficiency_takes_tables_in_any_order_and_names_the_widest_gap():
    a = pd.DataFrame({"shots": [40, 2], "mean": [0.9, 0.8], "low": [0.88, 0.7], "high": [0.92, 0.9]})
    b = [{"shots": 2, "accuracy": 0.5}, {"shots": 40, "accuracy": 0.85}]
    plot = plots.label_efficiency({"features": a, "scratch": b})
    assert "features: 0.800 (0.700 to 0.900) at 2, 0.900 (0.880 to 0.920) at 40." in plot.alt
    assert plot.alt.endswith("The gap is widest at 2: features is 0.300 above scratch.")
    assert plot.figure.axes[0].get_xscale() == "log"
    lines = [line for line in plot.figure.axes[0].lines if len(line.get_xdata()) == 2 and line.get_marker() in "os"]
    assert len({(line.get_marker(), line.get_linestyle()) for line in lines}) == 2


def test_depth_takes_probe_results():
    class Result:
        def __init__(self, accuracy):
            self.accuracy, self.low, self.high = accuracy, accuracy - 0.1, accuracy + 0.1

    alt = plots.depth({"stem": Result(0.5), "stage1": Result(0.75)}, baseline={"raw pixels": 0.625}).alt
    assert "stem 0.500 (0.400 to 0.600), stage1 0.750 (0.650 to 0.850)" in alt
    assert "highest at stage1" in alt and "level of raw pixels is 0.625" in alt


def test_stages_tell_what_is_frozen_in_hatch_and_words():
    plot = plots.stages(audited())
    assert plot.alt.startswith("4 stages with 93,490 parameters; 2,562 of them (2.7 %) train, and part of others.")
    assert "stage1: 90,000, no gradients, but 6 buffers still move" in plot.alt
    assert "pool: no parameters" in plot.alt
    hatches = [bar.get_hatch() for bar in plot.figure.axes[0].patches]
    assert hatches[0] and hatches[1] and hatches[0] != hatches[1] and not hatches[3]


def test_stages_of_a_model_are_audited():
    from tlcourse.freezing import freeze

    net = torch.nn.Sequential(torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 2))
    assert "0: 8, trains; 1: 10, trains" in plots.stages(net).alt
    assert "0: 8, frozen; 1: 10, trains" in plots.stages(freeze(net)).alt


def test_confusion_rows_add_to_one_and_a_class_without_items_is_said():
    plot = plots.confusion([0, 0, 0, 0, 1], [0, 0, 0, 1, 1], ["cat", "dog", "cow"])
    drawn = {t.get_text() for t in plot.figure.axes[0].texts}
    assert {"0.75", "0.25", "1.00", "–"} <= drawn
    assert "4 are right (0.800)" in plot.alt and "cat 3 of 4" in plot.alt and "1 class has no item" in plot.alt


def test_confusion_takes_a_result():
    class Result:
        labels, predictions, classes = [0, 1], [0, 1], ("a", "b")

    assert plots.confusion(Result()).alt.startswith("Of 2 predictions, 2 are right (1.000).")


def test_embedding_of_forty_classes_gives_each_a_mark_of_its_own():
    plot = plots.embedding(*cloud(40), [f"class {i}" for i in range(40)])
    looks = {(str(c.get_facecolor()), c.get_paths()[0].vertices.tobytes()) for c in plot.figure.axes[0].collections}
    assert len(looks) == 40 and "240 items of 40 classes" in plot.alt


@pytest.mark.parametrize("x", [[[1.0, 2]], [[1.0], [2.0]], [[3.0, 3], [3, 3]], torch.zeros(2, 3, dtype=torch.bfloat16)])
def test_embedding_of_almost_nothing(x):
    plot = plots.embedding(x, [0] * len(x), ["only"])
    assert "All are only." in plot.alt and plot._repr_html_()


def test_bars_compare_two_by_their_ratio():
    alt = plots.bars({"kept": (0.5, 0.4, 0.6), "naive": 60}, xlabel="Seconds", unit="s").alt
    assert alt == "Seconds: kept 0.500 s (0.400 to 0.600), naive 60 s. naive is 120 times kept."
    assert "a −2, b 0" in plots.bars({"a": -2, "b": 0}).alt
    for values, marks in (({"a": 1, "b": 2}, 0), ({"a": 1, "b": (2, 1, 3)}, 1)):
        with_interval = [c for c in plots.bars(values).figure.axes[0].collections for _ in c.get_segments()]
        assert len(with_interval) == marks  # a value without an interval gets no mark of one


def test_bars_take_what_repeat_returned_and_shares_stay_within_0_and_1():
    sure, wild = repeat(lambda seed: 0.5, seeds=2), repeat(lambda seed: (0.6, 1.0)[seed], seeds=2)
    assert wild.low < 0 and wild.high > 1
    assert plots.bars({"a": sure, "b": wild}).alt.startswith("Values: a 0.500, b 0.800 (0 to 1).")
    assert "b 3 (-9.71 to 15.7)" in plots.bars({"b": repeat(lambda seed: 2 + 2 * seed, seeds=2)}).alt.replace("−", "-")


def test_strategies_tell_price_and_worth():
    plot = plots.strategies(priced(["head", "all"], [0.7, 0.99]), baseline={"guessing": 0.5})
    assert plot.alt == (
        "Accuracy against seconds of training. head: 0.700 (0.650 to 0.750) at 0.400. "
        "all: 0.990 (0.940 to 1) at 40. Quickest is head, best is all. The level of guessing is 0.500."
    )
    without = plots.strategies({"head": {"seconds": 1, "accuracy": 0.7}})
    assert without.alt == "Accuracy against seconds of training. head: 0.700 at 1."


def test_a_gain_is_told_by_shape_and_word():
    points = {2: (0.1, 0.05, 0.15), 10: (0.01, -0.02, 0.04), 50: (-0.1, -0.15, -0.05)}
    plot = plots.gain({"movie to tweet": points}, xlabel="labels", log=True)
    assert "0.100 (0.050 to 0.150) at 2, gain; 0.010 (−0.020 to 0.040) at 10, no clear gain" in plot.alt
    assert plot.alt.endswith("−0.100 (−0.150 to −0.050) at 50, negative transfer.")
    marked = {line.get_marker() for line in plot.figure.axes[0].lines if len(line.get_xdata()) == 1}
    assert {"^", "o", "v"} <= marked


def test_of_a_long_curve_the_changes_are_told():
    from tlcourse.adaptation import gains

    alt = plots.gain({"ten": {g.distance: g for g in gains(np.linspace(0, 1, 11).round(1), 10)}}).alt
    assert "gain from 0, no clear gain from 0.400, negative transfer from 0.500" in alt and alt.count("(") == 2


def test_gains_may_be_differences_of_repeats_and_are_not_cut_at_zero():
    a, b = repeat(lambda seed: 0.6 + 0.01 * seed, seeds=3), repeat(lambda seed: 0.59 - 0.01 * seed, seeds=3)
    assert "0.030 (−0.020 to 0.080) at 5, no clear gain" in plots.gain({"x": {5: a - b}}).alt


def test_a_matrix_frames_its_diagonal_and_tells_its_mean():
    table = pd.DataFrame([[0.9, 0.6], [0.5, 0.8]], ["movie", "tweet"], ["movie", "tweet"])
    plot = plots.matrix(table, ylabel="learned on", xlabel="tested on", title="Accuracy")
    assert plot.alt == (
        "Accuracy: 2 by 2 numbers, learned on by tested on. movie: movie 0.900, tweet 0.600. tweet: movie 0.500, "
        "tweet 0.800. On the diagonal the mean is 0.850, beside it 0.550."
    )
    assert len(plot.figure.axes[0].patches) == 2
    assert not plots.matrix(table.set_axis(["a", "b"])).figure.axes[0].patches
    assert "−0.100" in plots.matrix({"a": {"b": -0.1, "c": 0.2}}).alt


def test_transfer_tells_what_is_the_same_and_what_is_not():
    plot = plots.transfer({"transductive": (("films", "pleased?", "150"), ("tweets", "pleased?", "none"))})
    assert 'the target has another domain, "tweets", the same task, and labels: none.' in plot.alt
    signs = [t.get_text() for t in plot.figure.axes[0].texts if t.get_text() in "=≠"]
    assert signs == ["≠", "="]


def test_distance_draws_the_point_that_is_dialled():
    from tlcourse.adaptation import gains, pair

    rows = gains([0, 0.5, 1], labels=20)
    plot = plots.distance(pair(1, n=10), rows, 2)
    assert plot.alt.startswith("Distance 1, 20 target labels a class.") and "negative transfer, −" in plot.alt
    assert "Now: negative transfer." in plot.figure.get_supxlabel()


@pytest.mark.parametrize("names", [["one"], ["cat", "dog"], STRANGE, [f"class {i}" for i in range(40)]], ids=len)
def test_every_figure_shows_itself_as_one_image_with_its_words(names):
    for kind, plot in every_plot(names).items():
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            bundle = plot._repr_mimebundle_()
        assert bundle["text/plain"] == repr(plot) == plot.alt and plot.alt.endswith("."), kind
        ((tag, attributes),) = Tags(bundle["text/html"]).seen
        assert tag == "img" and attributes["alt"] == plot.alt and "max-width:100%" in attributes["style"], kind
        assert attributes["src"].startswith("data:image/png;base64,") and "onerror" not in attributes
        assert re.search(r"\d", plot.alt), kind


@pytest.mark.parametrize(
    "names", [["one"], ["cat", "dog"], STRANGE[:3] + STRANGE[-1:], [f"class {i}" for i in range(10)]], ids=len
)
@pytest.mark.filterwarnings("ignore:Glyph")
def test_no_text_is_clipped_tiny_or_on_top_of_another(names, monkeypatch):
    for kind, plot in every_plot(names).items():
        texts = drawn_texts(plot, monkeypatch)
        page = plot.figure.bbox
        # of an annotation the text alone: its thin leader line may pass by a neighbour
        boxes = {t: Text.get_window_extent(t) for t in texts if t.get_rotation() == 0}
        assert len(boxes) >= len(names) or kind == "guesses"
        for text, box in boxes.items():
            inside = page.x0 - 1 <= box.x0 and box.x1 <= page.x1 + 1 and page.y0 - 1 <= box.y0 and box.y1 <= page.y1 + 1
            assert inside, f"{kind}: {text.get_text()!r} is cut off"
            assert text.get_fontsize() >= 7.5, kind
        for a, b in combinations(boxes, 2):
            wide = min(boxes[a].x1, boxes[b].x1) - max(boxes[a].x0, boxes[b].x0)
            tall = min(boxes[a].y1, boxes[b].y1) - max(boxes[a].y0, boxes[b].y0)
            assert wide < 3 or tall < 3, f"{kind}: {a.get_text()!r} lies on {b.get_text()!r}"
