"""Bad input to mask decoders and their scores is told in words, and spoils nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tlcourse import CourseError, MaskDecoder, fit_masks, instances, mask_scores, segment
from tlcourse.features import Features
from tlcourse.segmentation import classical_instances, instance_loss, instance_targets, mask_loss, pixel_baseline

NAN, NAMES = float("nan"), ("ground", "coin")
MASKS = torch.zeros(4, 16, 16, dtype=torch.uint8)
MASKS[:, 4:9, 4:9] = 1


def kept(channels, side, n=4):
    x = torch.rand(n, channels, side, side, generator=torch.Generator().manual_seed(channels))
    ids = tuple(map(str, range(n)))
    return Features(x, torch.zeros(n, dtype=torch.long), ids, ("a",), "stage")


MAPS = {"stage1": kept(3, 8), "stage3": kept(5, 4)}


def made(**more):
    return MaskDecoder(MAPS, outputs=2, width=8, **more)


def spoilt(image):
    x = MAPS["stage1"].x.clone()
    x[image] = NAN
    return MAPS | {"stage1": replace(MAPS["stage1"], x=x)}


def fitted(decoder=None, maps=MAPS, masks=MASKS, **more):
    return fit_masks(decoder or made(), maps, masks, epochs=1, progress=False, **more)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: fitted(masks=None), "no masks to learn from"),
        (lambda: fitted(masks=MASKS.to(torch.complex64)), "torch.complex64"),
        (lambda: fitted(decoder=MaskDecoder(MAPS, outputs=1), masks=MASKS * 0), "one value a pixel"),
        (lambda: fitted(loss="dice"), "loss='dice'"),
        (lambda: fitted(loss=lambda outputs, masks: torch.tensor(1.0)), "does not depend on"),
        (lambda: fitted(loss=instance_loss, masks=instance_targets(MASKS) * 255), "between 0 and 1"),
        (lambda: fitted(loss=instance_loss, masks=instance_targets(MASKS) * NAN), "between 0 and 1"),
        (lambda: fitted(optimizer="adam"), "optimizer='adam'"),
        (lambda: fitted(valid=MAPS), "no pair of maps and masks"),
        (lambda: fitted(valid=(MAPS, None)), "no pair of maps and masks"),
        (lambda: fitted(valid=(MAPS, MASKS), patience=0), "patience=0"),
        (lambda: fitted(valid=(MAPS, MASKS), patience="a"), "patience='a'"),
        (lambda: fitted(maps={s: one[:0] for s, one in MAPS.items()}, masks=MASKS[:0]), "no images"),
        (lambda: fitted(valid=({s: one[:0] for s, one in MAPS.items()}, MASKS[:0])), "no images"),
        (lambda: segment(made(), {s: one[:0] for s, one in MAPS.items()}), "no images"),
        (lambda: segment(made(), spoilt(3), batch=1), "hold NaN"),
        (lambda: made()(torch.zeros(1, 3, 8, 8)), "by stage, not a Tensor"),
        (lambda: made()(MAPS), "segment"),
        (lambda: made()({"stage1": torch.zeros(1, 4, 8, 8), "stage3": torch.zeros(1, 5, 4, 4)}), r"\[n, 3, h, w\]"),
        (lambda: made()({"stage1": torch.zeros(2, 3, 8, 8), "stage3": torch.zeros(1, 5, 4, 4)}), "different numbers"),
        (lambda: MaskDecoder({"a.b": 3}, 2), "no name of a stage"),
        (lambda: MaskDecoder({1: 3}, 2), "no name of a stage"),
        (lambda: instances(np.zeros((1, 2, 4, 4))), "a ndarray"),
        (lambda: instances(torch.zeros(0, 2, 4, 4)), "Objects are read"),
        (lambda: classical_instances(torch.zeros(0, 1, 4, 4, dtype=torch.uint8)), "grey images"),
        (lambda: classical_instances(torch.zeros(1, 1, 4, 4, dtype=torch.uint8), distance="a"), "distance='a'"),
    ],
)
def test_what_does_not_go_together_is_told(call, words):
    with pytest.raises(CourseError, match=words):
        call()


def test_maps_that_are_no_numbers_do_not_spoil_what_was_learned():
    decoder = made()
    with pytest.raises(CourseError, match="holds NaN"):
        fitted(decoder, spoilt(2), batch=2)
    assert all(x.isfinite().all() for x in decoder.state_dict().values()) and not decoder.training
    assert segment(decoder, MAPS).isfinite().all()


def test_maps_in_half_precision_are_read():
    maps = {stage: one.x.half() for stage, one in MAPS.items()}
    assert made().eval()(maps).dtype == torch.float32


@pytest.mark.parametrize(
    ("predicted", "masks", "classes", "words"),
    [
        (MASKS * 0.7, MASKS, NAMES, "hold fractions"),
        (MASKS, MASKS * 0.5, NAMES, "hold fractions"),
        (MASKS * NAN, MASKS, NAMES, "predicted masks hold NaN"),
        (torch.full((4, 2, 16, 16), NAN), MASKS, NAMES, "predicted masks hold NaN"),
        (torch.rand(4, 1, 16, 16), MASKS, NAMES, "tell 1 classes apart"),
        (torch.rand(4, 3, 16, 16), MASKS, NAMES, "tell 3 classes apart"),
        (MASKS[0], MASKS[0], NAMES, r"mask\[None\]"),
        (MASKS, None, NAMES, "true masks cannot be read"),
        ("masks", MASKS, NAMES, "predicted masks cannot be read"),
        (MASKS, MASKS, None, "names of the classes"),
        (MASKS, MASKS, 2, "names of the classes"),
    ],
)
def test_masks_that_mean_nothing_have_no_score(predicted, masks, classes, words):
    with pytest.raises(CourseError, match=words):
        mask_scores(predicted, masks, classes)


def test_masks_of_true_and_false_or_of_whole_floats_are_scored():
    for masks in (MASKS.bool(), MASKS.float(), MASKS.numpy()):
        assert mask_scores(masks, MASKS, NAMES)["iou"].tolist() == [1, 1]
    assert mask_loss(torch.zeros(4, 2, 16, 16), MASKS.bool()) == mask_loss(torch.zeros(4, 2, 16, 16), MASKS)


def test_objects_may_have_numbers_beyond_all_memory():
    masks = MASKS.long()
    assert torch.equal(instance_targets(masks * 10**12), instance_targets(masks))
    assert torch.equal(instance_targets(masks * 10**12 + 10**11), instance_targets(masks + 1))


def test_the_colour_of_pixels_needs_images():
    from small_nets import images

    split = replace(images(4, size=16), masks=MASKS)
    for other in (None, split.x):
        with pytest.raises(CourseError, match="no split of images"):
            pixel_baseline(split, other)
