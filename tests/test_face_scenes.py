"""Face scenes: what is in them, and that the splits share nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tlcourse import CourseError, load_dataset, plots
from tlcourse.datasets.surfaces import REGIONS

NAN = float("nan")


@pytest.fixture(scope="module")
def scenes():
    return load_dataset("face-scenes")


def parts(split):
    """Of each scene the faces, the decoys and the ground: name, and window on the photograph."""
    for name in split.ids:
        pieces, ground = name.split(": ", 1)[1].rsplit(" on ", 1)
        pieces = [] if pieces == "nothing" else pieces.split(", ")
        yield [p for p in pieces if p.startswith("face/")], [p for p in pieces if not p.startswith("face/")], ground


def test_scenes_have_none_to_three_faces_and_their_boxes(scenes):
    for split, n in zip(scenes.splits, (300, 80, 160), strict=True):
        assert split.x.shape == (n, 1, 128, 128) and split.boxes.shape == (n, 3, 4)
        known = ~split.boxes.isnan().any(2)
        assert torch.equal(known.sum(1), split.y) and all(split.counts().values())
        size = split.boxes[known][:, 2:] - split.boxes[known][:, :2]
        assert torch.equal(size[:, 0], size[:, 1]) and size.min() >= 22 and size.max() <= 64
        assert [len(faces) for faces, _, _ in parts(split)] == split.y.tolist()


def test_faces_of_a_scene_do_not_overlap(scenes):
    from torchvision.ops import box_iou

    for boxes in scenes.train.boxes:
        boxes = boxes[~boxes.isnan().any(1)]
        assert not box_iou(boxes, boxes).fill_diagonal_(0).any()


def test_splits_share_no_face_no_decoy_and_no_part_of_a_photograph(scenes):
    used = []
    for number, split in enumerate(scenes.splits):
        pieces = set()
        for faces, decoys, ground in parts(split):
            pieces |= {*faces, *decoys}
            name, window = ground.split("/")
            x, y, side = map(int, window.split(","))
            left, top, right, bottom = REGIONS[name][2][number]
            assert left <= x and top <= y and x + side <= right and y + side <= bottom, ground
            assert name != "coins"
        assert all(p.split("/")[1] == split.name for p in pieces if p.count("/") == 2), "patches of this split"
        used.append(pieces)
    assert not (used[0] & used[1] or used[0] & used[2] or used[1] & used[2])


def test_a_scene_is_not_told_apart_by_being_drawn_on(scenes):
    """Scenes without a face have decoys as well, and some scenes with faces have none."""
    counts = [(len(faces), len(decoys)) for faces, decoys, _ in parts(scenes.train)]
    assert sum(d > 0 for f, d in counts if not f) > 20 and sum(d == 0 for f, d in counts if f) > 5


def test_another_seed_makes_other_scenes_of_the_same_parts(scenes):
    other = load_dataset("face-scenes", seed=1)
    assert other.train.fingerprint != scenes.train.fingerprint
    faces = [{f for found, _, _ in parts(split) for f in found} for split in (other.train, scenes.test)]
    assert not faces[0] & faces[1]
    with pytest.raises(CourseError, match="seed"):
        load_dataset("face-scenes", seed=-1)


def test_several_boxes_go_with_their_image(scenes):
    split = scenes.train
    assert torch.equal(split[[3, 1]].boxes[1].nan_to_num(), split.boxes[1].nan_to_num())
    moved = replace(split, boxes=split.boxes.clone())
    assert moved.fingerprint == split.fingerprint
    moved.boxes[0, 0] = NAN
    assert moved.fingerprint != split.fingerprint


@pytest.mark.parametrize("box", [[0.0, 0, 129, 4], [-1.0, 0, 4, 4], [4.0, 0, 2, 4], [2.0, 2, 2, 4], [0.0, 0, 4, NAN]])
def test_one_bad_box_among_several_is_told_with_its_image(scenes, box):
    bad = scenes.valid.boxes.clone()
    bad[7, 2] = torch.tensor(box)
    with pytest.raises(CourseError, match=r"(?s)The box of image 7 .*128x128"):
        replace(scenes.valid, boxes=bad)
    with pytest.raises(CourseError, match="Boxes are kept as"):
        replace(scenes.valid, boxes=bad[:, :, :3])


def test_all_boxes_of_a_scene_are_drawn(scenes):
    three = int(torch.nonzero(scenes.test.y == 3)[0])
    plot = plots.boxes(scenes.test[[three]])
    assert len(plot.figure.axes[0].patches) == 6 and "There are 3 true boxes" in plot.alt
