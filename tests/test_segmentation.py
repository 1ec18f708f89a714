"""Decoders, their losses and scores, and the ways from depth to objects: what they give, and what they refuse."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from tlcourse import (
    CourseError,
    MaskDecoder,
    extract,
    fit_masks,
    instance_scores,
    instances,
    load,
    load_dataset,
    mask_loss,
    mask_scores,
    segment,
)
from tlcourse.segmentation import classical_instances, dice_loss, instance_loss, instance_targets, pixel_baseline
from tlcourse.segmentation.scores import overlaps
from tlcourse.training import Diverged

STAGES = ["stage1", "stage3"]


@pytest.fixture(scope="module")
def body():
    return load("efficientnet-lite0", size=64, pretrained=False)


@pytest.fixture(scope="module")
def data():
    return load_dataset("tissue-masks")


@pytest.fixture(scope="module")
def maps(body, data):
    return extract(body, data.train[:8], STAGES, progress=False)


def made(maps, **more):
    return MaskDecoder(maps, outputs=2, width=8, **more)


# --- the decoder


def test_the_output_is_as_large_as_the_finest_map_times_upsample():
    maps = {"fine": torch.zeros(2, 3, 12, 10), "coarse": torch.zeros(2, 5, 3, 3)}
    for upsample in (1, 2, 3):
        decoder = MaskDecoder({"fine": 3, "coarse": 5}, outputs=4, width=8, upsample=upsample)
        assert decoder(maps).shape == (2, 4, 12 * upsample, 10 * upsample)


def test_the_order_in_which_stages_are_named_does_not_matter(maps):
    x = {stage: one.x[:2].float() for stage, one in maps.items()}
    a, b = made(maps).eval(), made(dict(reversed(maps.items()))).eval()
    b.load_state_dict(a.state_dict())
    assert torch.equal(a(x), b(dict(reversed(x.items()))))


def test_a_seed_makes_the_same_weights_and_leaves_the_learners_random_numbers_alone(maps):
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    a, b, c = made(maps, seed=1), made(maps, seed=1), made(maps, seed=2)
    assert torch.equal(torch.rand(2), expected)
    assert torch.equal(a.head.weight, b.head.weight) and not torch.equal(a.head.weight, c.head.weight)


@pytest.mark.parametrize(
    ("stages", "more", "words"),
    [
        ({}, {}, "needs the stages"),
        (["stage1"], {}, "needs the stages"),
        ({"stage1": 0}, {}, "channels of 'stage1'"),
        ({"stage1": 8}, {"outputs": 0}, "outputs=0"),
        ({"stage1": 8}, {"width": 2.5}, "width=2.5"),
        ({"stage1": 8}, {"upsample": 0}, "upsample=0"),
    ],
)
def test_a_decoder_that_cannot_be_made_is_told(stages, more, words):
    with pytest.raises(CourseError, match=words):
        MaskDecoder(stages, **{"outputs": 2} | more)


def test_vectors_are_no_maps(body, data):
    pool = extract(body, data.train[:2], ["pool"], cache=False, progress=False)
    with pytest.raises(CourseError, match="no map"):
        MaskDecoder(pool, outputs=2)


# --- training


def test_training_moves_the_decoder_alone_and_learns(body, data, maps):
    before = {name: tensor.clone() for name, tensor in body.state_dict().items()}
    decoder = made(maps)
    history = fit_masks(decoder, maps, data.train.masks[:8], epochs=8, batch=4, lr=1e-2, progress=False)
    assert len(history) == 8 and history.rows[-1]["loss"] < 0.8 * history.rows[0]["loss"]
    assert all(torch.equal(tensor, before[name]) for name, tensor in body.state_dict().items())
    again = made(maps)
    fit_masks(again, maps, data.train.masks[:8], epochs=8, batch=4, lr=1e-2, progress=False)
    assert torch.equal(segment(decoder, maps), segment(again, maps)), "the same seeds give the same decoder"


def test_validation_is_scored_and_never_learned_from(data, maps):
    masks = data.train.masks[:8]
    one, other = made(maps), made(maps)
    part = {stage: kept[[0, 1]] for stage, kept in maps.items()}
    told = fit_masks(one, maps, masks, valid=(part, masks[:2]), epochs=2, progress=False)
    fit_masks(other, maps, masks, epochs=2, progress=False)
    assert [set(row) for row in told.rows] == [{"epoch", "loss", "valid_loss", "seconds"}] * 2
    assert torch.equal(segment(one, maps), segment(other, maps))
    stopped = fit_masks(made(maps), maps, masks, valid=(part, masks[:2]), epochs=50, lr=1.0, patience=1, progress=False)
    assert len(stopped) < 50 and "lowest" in stopped.note


def test_segment_gives_the_same_in_any_batches_and_leaves_the_mode(maps):
    decoder = made(maps).train()
    assert torch.allclose(segment(decoder, maps, batch=3), segment(decoder, maps, batch=8), atol=1e-5)
    assert decoder.training


def test_a_loss_that_is_no_number_ends_the_run_with_its_history(data, maps):
    with pytest.raises(Diverged, match="not a number") as error:
        fit_masks(made(maps), maps, data.train.masks[:8], epochs=3, loss=lambda y, t: y.sum() * torch.nan)
    assert len(error.value.history) == 0


def test_an_interrupt_leaves_what_was_learned(data, maps):
    calls = []

    def loss(outputs, masks):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return mask_loss(outputs, masks)

    history = fit_masks(made(maps), maps, data.train.masks[:8], loss=loss, epochs=9, batch=4, progress=False)
    assert history.interrupted and len(history) == 1 and "Interrupted in epoch 2" in history.note


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda d, m, t: fit_masks(d, m, t[:7], epochs=1), "8 images, and 7 targets"),
        (lambda d, m, t: fit_masks(d, m, t.tolist(), epochs=1), "a list"),
        (lambda d, m, t: fit_masks(d, m, t[:, :32], epochs=1), "differ in size.*upsample="),
        (lambda d, m, t: fit_masks(d, m, t * 0 + 2, epochs=1), "from 2 to 2, and there are 2 classes"),
        (lambda d, m, t: fit_masks(d, m, t * 0 + 255, epochs=1), "255 stands for a border"),
        (lambda d, m, t: fit_masks(d, m, t.float(), epochs=1), "torch.float32"),
        (lambda d, m, t: fit_masks(d, {"stage1": m["stage1"]}, t, epochs=1), "'stage3', and there are no maps"),
        (lambda d, m, t: fit_masks(d, m["stage1"], t, epochs=1), "several stages, and this is a Features"),
        (lambda d, m, t: fit_masks(d, {**m, "stage3": m["stage1"]}, t, epochs=1), "made for 40 channels"),
        (lambda d, m, t: fit_masks(d, {**m, "stage3": m["stage3"][1:]}, t, epochs=1), "not of the same images"),
        (lambda d, m, t: fit_masks(torch.nn.Identity(), m, t, epochs=1), "MaskDecoder is needed"),
        (lambda d, m, t: fit_masks(d, m, t, epochs=0), "epochs=0"),
        (lambda d, m, t: fit_masks(d, m, t, epochs=1, lr=-1), "lr=-1"),
        (lambda d, m, t: fit_masks(d, m, t, epochs=1, patience=2), "needs validation data"),
        (lambda d, m, t: fit_masks(d, m, t, epochs=1, schedule="up"), "no schedule"),
        (lambda d, m, t: fit_masks(d.requires_grad_(False), m, t, epochs=1), "Nothing of the decoder trains"),
        (lambda d, m, t: fit_masks(d, m, t, epochs=1, loss=lambda y, t: y), "not one number"),
        (lambda d, m, t: fit_masks(d, {s: one[:1] for s, one in m.items()}, t[:1] * 0 + 9, epochs=1), "9 to 9"),
        (lambda d, m, t: segment(d, m, batch=0), "batch=0"),
    ],
)
def test_what_does_not_go_together_is_told(data, maps, call, words):
    with pytest.raises(CourseError, match=f"(?s){words}"):
        call(made(maps, upsample=2), maps, data.train.masks[:8])


# --- losses


def test_dice_loss_is_nought_for_the_true_mask_and_near_one_for_its_opposite(data):
    masks = data.train.masks[:4]
    sure = 40.0 * F.one_hot(masks.long(), 2).movedim(-1, 1).float()
    assert dice_loss(sure, masks) < 1e-3 and dice_loss(-sure, masks) > 0.99
    assert mask_loss(sure, masks) < 1e-3


def test_a_batch_without_a_class_has_a_loss_and_a_gradient():
    outputs = torch.zeros(2, 3, 4, 4, requires_grad=True)
    mask_loss(outputs, torch.zeros(2, 4, 4, dtype=torch.uint8)).backward()
    assert outputs.grad.isfinite().all() and outputs.grad.abs().sum() > 0


def test_depth_is_one_in_the_middle_of_each_object_and_low_where_two_touch():
    masks = torch.zeros(1, 20, 40, dtype=torch.uint8)
    masks[0, 2:17, 2:17], masks[0, 7:12, 17:22] = 1, 2  # a large and a small square, side by side
    foreground, depth = instance_targets(masks)[0]
    assert torch.equal(foreground, (masks[0] > 0).float()) and not depth[masks[0] == 0].any()
    for number in (1, 2):
        assert depth[masks[0] == number].max() == 1
    assert max(depth[9, 16], depth[9, 17]) < 0.5


def test_instance_loss_has_a_value_where_a_batch_has_no_object():
    outputs, targets = torch.zeros(2, 2, 4, 4, requires_grad=True), torch.zeros(2, 2, 4, 4)
    instance_loss(outputs, targets).backward()
    assert outputs.grad[:, 0].abs().sum() > 0 and not outputs.grad[:, 1].any()
    with pytest.raises(CourseError, match="differ in size"):
        instance_loss(outputs, targets[:, :, :2])


@pytest.mark.parametrize(
    ("masks", "words"),
    [
        (torch.zeros(2, 4, 4, dtype=torch.uint8), "nothing to learn"),
        (torch.ones(2, 4, 4, dtype=torch.bool), "cannot tell two objects apart.*label"),
        (torch.ones(4, 4, dtype=torch.uint8), r"masks\[None\]"),
        (torch.ones(1, 4, 4), "float32"),
        (torch.full((1, 4, 4), -1), "down to -1"),
    ],
)
def test_masks_without_objects_to_learn_from_are_told(masks, words):
    with pytest.raises(CourseError, match=f"(?s){words}"):
        instance_targets(masks)


# --- scores


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31 - 1), st.integers(2, 4))
def test_scores_of_masks_are_what_counting_gives(seed, classes):
    generator = torch.Generator().manual_seed(seed)
    one, other = torch.randint(classes, (2, 3, 5, 4), generator=generator)
    table = mask_scores(one, other, [str(i) for i in range(classes)])
    for i in range(classes):
        both, either = ((one == i) & (other == i)).sum().item(), ((one == i) | (other == i)).sum().item()
        row = table.loc[str(i)]
        assert row["pixels"] == (other == i).sum()
        if either:
            assert row["iou"] == pytest.approx(both / either, abs=1e-6)
            assert row["dice"] == pytest.approx(2 * both / (both + either), abs=1e-6)
        else:
            assert np.isnan(row["iou"]) and np.isnan(row["dice"])


def test_a_class_that_nobody_sees_has_no_score():
    table = mask_scores(torch.zeros(1, 2, 2, dtype=torch.int64), torch.zeros(1, 2, 2, dtype=torch.uint8), ["a", "b"])
    assert table.loc["a", "iou"] == 1 and table.loc["b"].isna().sum() == 2


@pytest.mark.parametrize(
    ("predicted", "masks", "classes", "words"),
    [
        (torch.zeros(1, 4, 4), torch.zeros(1, 4, 3), "ab", "differ in size"),
        (torch.zeros(1, 2, 4, 4), torch.zeros(2, 4, 4), "ab", "differ in size"),
        (torch.zeros(1, 4, 4), torch.full((1, 4, 4), 2), "ab", "2 to 2, and there are 2 classes"),
        (torch.full((1, 4, 4), -1), torch.zeros(1, 4, 4), "ab", "-1"),
        (torch.zeros(0, 4, 4), torch.zeros(0, 4, 4), "ab", "There are no masks"),
        (torch.zeros(1, 4, 4), torch.zeros(1, 4, 4), "a", "two classes or more"),
    ],
)
def test_masks_that_cannot_be_scored_are_told(predicted, masks, classes, words):
    with pytest.raises(CourseError, match=words):
        mask_scores(predicted.long(), masks.long(), classes)


def test_objects_are_paired_one_to_one_and_numbers_do_not_matter(heaps=None):
    masks = load_dataset("coin-heaps").valid.masks[:5].long()
    other = torch.where(masks > 0, 50 - 7 * masks, 0)
    table = instance_scores(other, masks)
    assert (table["iou"] == 1).all() and (table["error"] == 0).all() and (table["matched"] == table["objects"]).all()
    one = (masks > 0).long()  # everything one object: its partner is one of the coins, the others have none
    assert (instance_scores(one, masks)["found"] == 1).all() and instance_scores(one, masks)["iou"].max() < 0.34


def test_images_without_objects_are_scored():
    none, some = torch.zeros(1, 4, 4, dtype=torch.int64), torch.ones(1, 4, 4, dtype=torch.int64)
    empty, missed, made_up = (instance_scores(*pair).iloc[0] for pair in ((none, none), (none, some), (some, none)))
    assert empty["error"] == 0 and np.isnan(empty["iou"])
    assert missed["iou"] == 0 and missed["error"] == 1
    assert made_up["error"] == 1 and np.isnan(made_up["iou"])
    assert overlaps(none[0].numpy(), some[0].numpy()).shape == (1, 0)
    with pytest.raises(CourseError, match="differ in size"):
        instance_scores(none, torch.zeros(1, 4, 3, dtype=torch.int64))


# --- from depth to objects


def test_true_depth_gives_back_the_true_objects():
    masks = load_dataset("coin-heaps").valid.masks[:10]
    outputs = torch.logit(instance_targets(masks).clamp(1e-4, 1 - 1e-4))
    table = instance_scores(instances(outputs), masks)
    assert (table["error"] == 0).all() and table["iou"].min() > 0.95


def test_pictures_without_objects_give_none():
    assert not instances(torch.full((2, 2, 8, 8), -5.0)).any()
    for tone in (0, 90, 255):
        assert not classical_instances(torch.full((1, 1, 16, 16), tone, dtype=torch.uint8)).any()
    outputs = torch.full((1, 2, 16, 16), -5.0)
    outputs[:, :, 4:7, 4:7] = 5.0
    assert not instances(outputs, smallest=30).any() and instances(outputs, smallest=0).max() == 1


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: instances(torch.zeros(1, 3, 4, 4)), "outputs=2"),
        (lambda: instances(torch.full((1, 2, 4, 4), torch.nan)), "NaN"),
        (lambda: instances(torch.zeros(1, 2, 4, 4), seed_depth=1.5), "seed_depth=1.5"),
        (lambda: classical_instances(torch.zeros(1, 3, 8, 8, dtype=torch.uint8)), "grey"),
        (lambda: classical_instances(torch.zeros(1, 1, 8, 8)), "uint8"),
    ],
)
def test_what_holds_no_depth_is_told(call, words):
    with pytest.raises(CourseError, match=words):
        call()


def test_the_colour_of_a_pixel_is_all_that_the_tissue_asks_for(data):
    found = pixel_baseline(data.train, data.valid)
    assert mask_scores(found, data.valid.masks, data.classes).loc["stained", "dice"] > 0.97


def test_pixels_that_teach_nothing_are_told(data):
    with pytest.raises(CourseError, match="no masks"):
        pixel_baseline(load_dataset("tissue").train, data.test)
    with pytest.raises(CourseError, match="one class"):
        pixel_baseline(replace(data.train, masks=data.train.masks * 0), data.test)
    with pytest.raises(CourseError, match="0 to 3, and there are 2 classes"):
        pixel_baseline(replace(data.train, masks=data.train.masks * 3), data.test)
    with pytest.raises(CourseError, match="3 colours, the others 1"):
        pixel_baseline(data.train, replace(data.test, x=data.test.x[:, :1]))
