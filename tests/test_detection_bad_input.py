"""Bad input to detectors is told in words, and spoils nothing."""

from __future__ import annotations

import pytest
import torch

from tlcourse import CourseError, PointDetector, PyramidDetector, average_precision, detect, fit_detector, load
from tlcourse.detection import Found

NAN = float("nan")
TRUE = [[[0, 0, 16, 16]], []]


def small(n=2, seed=0, **changed):
    generator = torch.Generator().manual_seed(seed)
    shapes = {"stage3": (6, 4, 4), "stage4": (8, 2, 2)} | changed
    return {stage: torch.rand(n, *shape, generator=generator) for stage, shape in shapes.items()}


def point():
    return PointDetector(small(), size=32, width=4)


@pytest.fixture(scope="module")
def body():
    return load("efficientnet-lite0", pretrained=False, size=64)


@pytest.fixture(scope="module")
def pyramid(body):
    return PyramidDetector(body, ["stage3", "stage5"], size=64, width=32, convolutions=1)


# --- maps


@pytest.mark.parametrize("work", [lambda d, m: fit_detector(d, m, TRUE, epochs=1), detect, lambda d, m: d(m)])
@pytest.mark.parametrize(
    ("maps", "words"),
    [
        (small(stage3=(5, 4, 4)), "'stage3' have 5 channels.*made for 6"),
        (small(stage3=(8, 2, 2), stage4=(6, 4, 4)), "another stage's"),
        ({"stage3": small()["stage3"]}, "stage4 is not among them"),
        (small(stage3=(6, 0, 0)), "no map"),
        (None, "not a NoneType"),
    ],
)
def test_maps_of_something_else_are_told(work, maps, words):
    with pytest.raises(CourseError, match=f"(?s){words}"):
        work(point(), maps)


def test_a_pyramid_tells_maps_of_something_else_too(pyramid):
    maps = {"stage3": torch.rand(2, 112, 4, 4), "stage5": torch.rand(2, 40, 8, 8)}
    for work in (detect, lambda d, m: fit_detector(d, m, TRUE, epochs=1), lambda d, m: d(m)):
        with pytest.raises(CourseError, match=r"'stage3' have 112 channels.*made for 40"):
            work(pyramid, maps)


def test_maps_that_are_no_numbers_are_not_an_empty_image(pyramid):
    for detector, shapes in ((point(), {}), (pyramid, {"stage3": (40, 8, 8), "stage5": (112, 4, 4)})):
        maps = {stage: x for stage, x in small(**shapes).items() if stage in detector.stages}
        maps["stage3"][1] = NAN
        with pytest.raises(CourseError, match="hold NaN"):
            detect(detector, maps, batch=1)


def test_maps_that_are_no_numbers_do_not_spoil_what_was_learned():
    maps, detector = small(4), point()
    maps["stage3"][2] = NAN
    with pytest.raises(CourseError, match="holds NaN"):
        fit_detector(detector, maps, TRUE * 2, epochs=2, batch=2, progress=False)
    assert all(x.isfinite().all() for x in detector.state_dict().values()) and not detector.training
    assert len(detect(detector, small())) == 2


def test_more_stages_than_are_read_do_no_harm():
    maps = small()
    more = maps | {"stage1": torch.rand(2, 3, 16, 16)}
    detector = point().eval()
    truth = [torch.tensor([[0.0, 0, 16, 16]]), torch.zeros(0, 4)]
    assert all(torch.equal(x, detector.losses(more, truth)[name]) for name, x in detector.losses(maps, truth).items())
    assert [len(f) for f in detector.found(more)] == [len(f) for f in detector.found(maps)]


# --- boxes and settings


@pytest.mark.parametrize(
    ("boxes", "words"),
    [
        (["a", "b"], "image 0 are not numbers"),
        ([[[0, 0, 16, 16]], None], r"image 1 are not numbers.*\[\] for an image"),
        ([[[0, 0, 16, 16], [1, 2]], []], "image 0 are not numbers"),
        (torch.tensor(3.0), "no box"),
        (TRUE[:1], "There are 2 images, and boxes of 1"),
    ],
)
def test_boxes_that_are_none_are_told(boxes, words):
    with pytest.raises(CourseError, match=f"(?s){words}"):
        fit_detector(point(), small(), boxes, epochs=1)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda d: fit_detector(d, small(), TRUE, epochs=1, progress="yes"), "progress='yes'"),
        (lambda d: d.found(small(), least="a"), "least='a'"),
        (lambda d: d.found(small(), overlap=NAN), "overlap=nan"),
        (lambda d: d.found(small(), most=0), "most=0"),
        (lambda d: detect(d, small())[0].above("a"), "score='a'"),
        (lambda d: detect(d, small())[0].above(NAN), "score=nan"),
    ],
)
def test_settings_that_mean_nothing_are_told(call, words):
    with pytest.raises(CourseError, match=words):
        call(point())


@pytest.mark.parametrize(
    ("chosen", "more", "words"),
    [
        (["stage5", "stage3"], {}, r"fine to coarse(?s:.*)\['stage3', 'stage5'\]"),
        (["stage3", "stage3"], {}, "each once"),
        ([], {}, "no stage"),
        (None, {}, "no stage"),
        (3, {}, "names no stages"),
        (["stage3"], {"convolutions": -1}, "convolutions=-1"),
        (["stage3"], {"convolutions": "2"}, "convolutions='2'"),
    ],
)
def test_a_pyramid_on_stages_that_do_not_go_together_is_told(body, chosen, more, words):
    with pytest.raises(CourseError, match=words):
        PyramidDetector(body, chosen, size=64, **more)


def test_what_has_no_maps_is_no_body():
    for wrong in (None, torch.nn.Linear(2, 2), load("minilm", pretrained=False)):
        with pytest.raises(CourseError, match="no body for a detector"):
            PyramidDetector(wrong, ["layer1"], size=64)


def test_a_single_stage_may_be_named_alone(body):
    assert PyramidDetector(body, "stage4", size=64, width=32).stages == ("stage4",)


# --- scores


def found(boxes, scores):
    return Found(torch.as_tensor(boxes), torch.as_tensor(scores))


@pytest.mark.parametrize(
    ("first", "words"),
    [
        (found([[0.0, 0, 16, 16]], [NAN]), "found in image 0 is NaN"),
        (found([[0.0, 0, NAN, 16]], [0.5]), "found in image 0 is NaN"),
        (found([[16.0, 16, 0, 0]], [0.5]), "inverted"),
        (found([[0.0, 0, 16, 16]], [0.5, 0.4]), "as many scores"),
        (Found([[0, 0, 16, 16]], [0.5]), "as many scores"),
    ],
)
def test_what_cannot_have_been_found_is_told(first, words):
    with pytest.raises(CourseError, match=words):
        average_precision([first, found(torch.zeros(0, 4), [])], TRUE, size=32)


@pytest.mark.parametrize("size", [None, "32", (32, 32), 0])
def test_a_size_is_a_number_of_pixels(size):
    with pytest.raises(CourseError, match="size="):
        average_precision([found([[0.0, 0, 16, 16]], [0.5])], TRUE[:1], size=size)
