"""Detection: points and boxes, losses against torchvision's, both detectors, training from kept maps, scores."""

from __future__ import annotations

import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st

from tlcourse import (
    CourseError,
    PointDetector,
    PyramidDetector,
    average_precision,
    changed,
    detect,
    extract,
    fit_detector,
    freeze,
    load,
    load_dataset,
    snapshot,
)
from tlcourse.detection import (
    Found,
    assign,
    focal_loss,
    giou_loss,
    grid_points,
    matched,
    side_by_side,
    to_boxes,
    to_distances,
)

NAN = float("nan")
STAGES = ["stage3", "stage4"]


@pytest.fixture(scope="module")
def scenes():
    return load_dataset("face-scenes")


@pytest.fixture(scope="module")
def body():
    return freeze(load("efficientnet-lite0", size=128))


@pytest.fixture(scope="module")
def maps(body, scenes):
    return extract(body, scenes.train[:24], STAGES, cache=False)


# --- points and boxes


def test_points_are_the_middles_of_the_places_row_by_row():
    points = grid_points(2, 3, 8)
    assert points.tolist() == [[4, 4], [12, 4], [20, 4], [4, 12], [12, 12], [20, 12]]


boxes = st.lists(st.floats(0, 100, width=32), min_size=4, max_size=4)


@settings(max_examples=40)
@given(boxes, st.floats(0, 100, width=32), st.floats(0, 100, width=32))
def test_distances_and_back_is_the_same_box(box, x, y):
    points, box = torch.tensor([[x, y]]), torch.tensor([box])
    assert torch.allclose(to_boxes(points, to_distances(points, box)), box, atol=1e-3)


def test_a_point_answers_for_the_smallest_box_that_it_lies_well_inside():
    points = grid_points(8, 8, 8)
    large, small = [0.0, 0, 64, 64], [20.0, 20, 44, 44]
    answers = assign(points, torch.tensor([large, small]), reach=12).reshape(8, 8)
    assert (answers[3:5, 3:5] == 1).all() and not (answers == 0).any(), "both claim the middle"
    answers = assign(points, torch.tensor([large, [0.0, 0, 16, 16]]), reach=12).reshape(8, 8)
    assert (answers[:2, :2] == 1).all() and (answers[3:5, 3:5] == 0).all()
    assert answers[0, 7] == -1, "inside the large box, and too far from its middle"


def test_without_boxes_all_is_background():
    assert (assign(grid_points(4, 4, 8), torch.zeros(0, 4), reach=12) == -1).all()


# --- losses


def test_the_losses_are_torchvisions():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(50, generator=generator) * 4
    targets = (torch.rand(50, generator=generator) < 0.3).float()
    theirs = torchvision.ops.sigmoid_focal_loss(logits, targets, alpha=0.25, gamma=2, reduction="sum")
    assert torch.allclose(focal_loss(logits, targets), theirs, rtol=1e-5)
    corners = torch.rand(2, 50, 2, generator=generator) * 20
    a, b = (torch.cat([c, c + 1 + torch.rand(50, 2, generator=generator) * 9], 1) for c in corners)
    theirs = torchvision.ops.generalized_box_iou_loss(a, b, reduction="sum")
    assert torch.allclose(giou_loss(a, b), theirs, rtol=1e-4)


def test_focal_loss_without_focus_is_half_of_cross_entropy():
    logits, targets = torch.tensor([2.0, -1.0]), torch.tensor([1.0, 0.0])
    usual = torch.nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="sum")
    assert torch.allclose(focal_loss(logits, targets, alpha=0.5, gamma=0), usual / 2)


def test_boxes_that_do_not_touch_are_still_pulled_together():
    box = torch.tensor([[0.0, 0, 4, 4]], requires_grad=True)
    giou_loss(box, torch.tensor([[20.0, 0, 24, 4]])).backward()
    assert box.grad[0, 2] < 0, "moving the right edge to the right makes the loss smaller"


# --- detectors


def kinds(body, maps):
    yield PointDetector(maps, size=128, width=16)
    yield PyramidDetector(body, STAGES, size=128, width=32, convolutions=1)
    yield PyramidDetector(body, STAGES, size=128, width=32, kind="retinanet")


def test_each_detector_learns_and_leaves_the_body_alone(body, maps, scenes):
    train, before = scenes.train[:24], snapshot(body)
    for detector in kinds(body, maps):
        history = fit_detector(detector, maps, train.boxes, epochs=2, batch=8, lr=5e-4, progress=False)
        first, last = history.rows[0], history.rows[-1]
        parts = [value for name, value in last.items() if name.endswith("_loss")]
        assert last["loss"] < first["loss"] and last["loss"] == pytest.approx(sum(parts), rel=1e-4)
        assert not detector.training and history.seconds > 0
    assert not changed(body, since=before)[["parameters moved", "buffers moved"]].to_numpy().any()


def test_the_same_seed_is_the_same_detector_and_another_one_is_not(maps, scenes):
    def trained(seed):
        detector = PointDetector(maps, size=128, width=8, seed=seed)
        fit_detector(detector, maps, scenes.train[:24].boxes, epochs=1, seed=seed, progress=False)
        return detector.score.weight.detach().clone()

    torch.manual_seed(5)
    one = trained(0)
    torch.manual_seed(6)
    assert torch.equal(one, trained(0)) and not torch.equal(one, trained(1))


def test_a_detector_that_is_trained_on_few_scenes_finds_their_faces(maps, scenes):
    train = scenes.train[:24]
    detector = PointDetector(maps, size=128, width=32)
    fit_detector(detector, maps, train.boxes, epochs=25, batch=8, lr=6e-3, progress=False)
    score = average_precision(detect(detector, maps), train.boxes, size=128)
    assert score["ap50"] > 0.8 and score["ap50"] >= score["ap75"] >= score["ap"] > 0.4 and score["recall"] > 0.9


def test_what_is_found_lies_in_the_image_is_sorted_and_does_not_overlap(maps):
    detector = PointDetector(maps, size=128, width=8)
    torch.nn.init.constant_(detector.score.bias, 0.0)
    torch.nn.init.normal_(detector.edges.weight, std=0.3)
    for found in detect(detector.eval(), maps):
        assert found.boxes.min() >= 0 and found.boxes.max() <= 128 and 0 < len(found) <= 50
        assert found.scores.tolist() == sorted(found.scores.tolist(), reverse=True)
        overlaps = torchvision.ops.box_iou(found.boxes, found.boxes).fill_diagonal_(0)
        assert overlaps.max() <= 0.5 + 1e-6


@pytest.mark.parametrize("kind", ["fcos", "retinanet"])
def test_from_kept_maps_the_pyramid_finds_what_torchvision_finds_from_pixels(body, scenes, maps, kind):
    detector = PyramidDetector(body, STAGES, size=128, width=32, convolutions=1, kind=kind)
    fit_detector(detector, maps, scenes.train[:24].boxes, epochs=6, batch=8, lr=1e-3, progress=False)
    detector.model.score_thresh = 0.01
    images = [x.expand(3, -1, -1).float() / 255 for x in scenes.train[:3].x]
    with torch.no_grad():
        whole = detector.model(images)
    kept = detect(detector, {stage: f.x[:3] for stage, f in maps.items()})
    assert sum(map(len, kept)) > 0
    for theirs, ours in zip(whole, kept, strict=True):
        assert torch.allclose(theirs["boxes"], ours.boxes, atol=1e-2)
        assert torch.allclose(theirs["scores"], ours.scores, atol=1e-4)


def test_maps_lie_side_by_side_at_the_finest_size():
    coarse = torch.arange(4.0).reshape(1, 1, 2, 2)
    x = side_by_side([torch.zeros(1, 2, 4, 4), coarse])
    assert x.shape == (1, 3, 4, 4) and x[0, 2, :2, :2].tolist() == [[0, 0], [0, 0]] and x[0, 2, 3, 3] == 3


# --- scores


def found(rows, scores):
    return Found(torch.tensor(rows).reshape(-1, 4).float(), torch.tensor(scores))


TRUE = [torch.tensor([[0.0, 0, 10, 10], [20, 20, 30, 30]]), torch.zeros(0, 4)]


@pytest.mark.parametrize(
    ("answers", "ap50"),
    [
        ([found([[0, 0, 10, 10], [20, 20, 30, 30]], [0.9, 0.8]), found([], [])], 1.0),
        ([found([], []), found([], [])], 0.0),
        ([found([[0, 0, 10, 10]], [0.9]), found([], [])], 0.5),
        # found twice: the second is a false alarm, and comes after both
        ([found([[0, 0, 10, 10], [20, 20, 30, 30], [0, 0, 10, 9]], [0.9, 0.8, 0.7]), found([], [])], 1.0),
        # a surer box in the empty image
        ([found([[0, 0, 10, 10], [20, 20, 30, 30]], [0.9, 0.8]), found([[5, 5, 9, 9]], [0.95])], 2 / 3),
        # an IoU of .4 is not found
        ([found([[0, 0, 4, 10], [20, 20, 30, 30]], [0.9, 0.8]), found([], [])], 0.25),
    ],
)
def test_average_precision_of_cases_counted_by_hand(answers, ap50):
    score = average_precision(answers, TRUE, size=32)
    assert score["ap50"] == pytest.approx(ap50, abs=0.01)


def test_recall_does_not_count_a_face_twice():
    twice = [found([[0, 0, 10, 10], [0, 0, 10, 9]], [0.9, 0.8]), found([], [])]
    assert average_precision(twice, TRUE, size=32)["recall"] == 0.5
    assert matched(twice[0].boxes, TRUE[0]) == [0, -1]
    assert matched(torch.zeros(0, 4), TRUE[0]) == [] and matched(twice[0].boxes, torch.zeros(0, 4)) == [-1, -1]


def test_padded_boxes_and_lists_give_the_same_score():
    padded = torch.tensor([[[0.0, 0, 10, 10], [20, 20, 30, 30]], [[NAN] * 4] * 2])
    answers = [found([[0, 0, 10, 10]], [0.9]), found([], [])]
    assert average_precision(answers, padded, size=32) == average_precision(answers, TRUE, size=32)


# --- input that is none


def small_maps(n=2):
    return {"stage3": torch.randn(n, 6, 4, 4, generator=torch.Generator().manual_seed(0))}


@pytest.mark.parametrize(
    ("boxes", "words"),
    [
        ([[[0, 0, 40, 8]], []], "no box in an image of 32x32"),
        ([[[-2, 0, 8, 8]], []], "no box in an image"),
        ([[], [[8, 0, 4, 8]]], "The box of image 1 .*Left must be smaller"),
        ([[], [[4, 4, 4, 9]]], "The box of image 1"),
        ([[[0, 0, 8, NAN]], []], "The box of image 0"),
        ([[], []], "No image has a box"),
        (torch.full((2, 3, 4), NAN), "No image has a box"),
        ([[[0, 0, 0.5, 1]], []], "within a single pixel"),
        ([[[0, 0, 8]], []], "each needs four numbers"),
        ([[[0, 0, 8, 8]]], "There are 2 images, and boxes of 1"),
        (None, "not none"),
        ("boxes", "not a str"),
    ],
)
def test_boxes_that_cannot_be_learned_from_are_told(boxes, words):
    detector = PointDetector(small_maps(), size=32, width=4)
    with pytest.raises(CourseError, match=f"(?s){words}"):
        fit_detector(detector, small_maps(), boxes, epochs=1, progress=False)


@pytest.mark.parametrize(
    ("maps", "words"),
    [
        (torch.zeros(2, 6, 4, 4), "not a Tensor"),
        ({}, "not a dict"),
        ({"pool": torch.zeros(2, 6)}, "is no map"),
        ({"stage3": torch.zeros(2, 6, 4, 4), "stage4": torch.zeros(3, 6, 4, 4)}, "different numbers of images"),
    ],
)
def test_what_is_no_map_is_told(maps, words):
    with pytest.raises(CourseError, match=words):
        PointDetector(maps, size=32)


def test_a_detector_says_which_map_it_misses():
    detector = PointDetector(small_maps(), size=32, width=4)
    with pytest.raises(CourseError, match="stage3 is not among them"):
        detect(detector, {"stage4": torch.zeros(2, 6, 4, 4)})
    with pytest.raises(CourseError, match="no images"):
        detect(detector, {"stage3": torch.zeros(0, 6, 4, 4)})
    with pytest.raises(CourseError, match="is no detector"):
        detect(torch.nn.Linear(1, 1), small_maps())


def test_an_interrupt_leaves_what_was_learned(monkeypatch):
    detector = PointDetector(small_maps(), size=32, width=4)
    before, losses, calls = detector.score.weight.clone(), detector.losses, []

    def interrupted(*given):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return losses(*given)

    monkeypatch.setattr(detector, "losses", interrupted)
    boxes = [[[0, 0, 16, 16]], []]
    history = fit_detector(detector, small_maps(), boxes, epochs=9, batch=2, lr=0.1, progress=False)
    assert history.interrupted and len(history) == 3 and "Interrupted in epoch 4" in history.note
    assert not torch.equal(before, detector.score.weight) and not detector.training


def test_a_batch_without_objects_teaches_what_is_background():
    detector = PointDetector(small_maps(), size=32, width=4)
    losses = detector.losses(small_maps(), [torch.zeros(0, 4)] * 2)
    assert losses["box"] == 0 and losses["score"] > 0 and torch.isfinite(losses["score"])
    sum(losses.values()).backward()
    assert detector.score.bias.grad.item() > 0, "fewer objects, please"


def test_maps_that_are_not_finite_stop_training_with_the_cause():
    maps = {"stage3": torch.full((2, 6, 4, 4), NAN)}
    detector = PointDetector(small_maps(), size=32, width=4)
    with pytest.raises(CourseError, match="holds NaN"):
        fit_detector(detector, maps, [[[0, 0, 16, 16]], []], epochs=1, progress=False)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda body: PyramidDetector(body, ["stage3", "stag4"], size=64), "Did you mean 'stage4'"),
        (lambda body: PyramidDetector(body, STAGES, size=64, kind="yolo"), "kind of detector"),
        (lambda body: PyramidDetector(body, ["stage3", "pool"], size=64), "'pool' gives no map"),
        (lambda body: PyramidDetector(body, STAGES, size=64, width=48), "32 groups"),
    ],
)
def test_a_pyramid_that_cannot_be_built_is_told(body, make, words):
    with pytest.raises(CourseError, match=words):
        make(body)


@pytest.mark.parametrize(
    ("answers", "boxes", "words"),
    [
        ([found([], [])], [[]], "nothing to be found"),
        ([found([], [])], [[[0, 0, 4, 4]], []], "1 images, and boxes of 2"),
        ([torch.zeros(1, 4)], [[[0, 0, 4, 4]]], "what was found in each image"),
    ],
)
def test_scores_that_mean_nothing_are_told(answers, boxes, words):
    with pytest.raises(CourseError, match=words):
        average_precision(answers, boxes, size=32)
