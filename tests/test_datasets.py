"""The packaged data sets: what is in them, that nothing leaks between splits, and that they stay the same."""

from __future__ import annotations

import copy
import os
import pickle
import re
import subprocess
import sys
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
import torch

from tlcourse import CourseError, UnknownName, load_dataset
from tlcourse.datasets import DATASETS, PHOTOGRAPHS, Split, photograph, shot_indices, tissue_mask
from tlcourse.datasets.sentiment import DOMAINS, clean, related
from tlcourse.datasets.surfaces import REGIONS, SIDE
from tlcourse.datasets.tissue import COLUMNS, HIGH, LOW
from tlcourse.datasets.tissue import SIDE as TISSUE_SIDE

ALL = [(name, {}) for name in DATASETS if name != "sentiment"] + [("sentiment", {"domain": d}) for d in DOMAINS]
NAMES = [options.get("domain", name) for name, options in ALL]
SIZES = {
    "faces": (80, 20, 100),
    "surfaces": (960, 160, 480),
    "digits": (3000, 500, 1500),
    "digits-small": (1078, 180, 539),
    "tissue-masks": (120, 8, 16),
    "coin-heaps": (125, 40, 80),
    "movie": (6026, 1004, 3013),
    "product": (1765, 295, 882),
    "tweet": (2017, 336, 1009),
    "news": (1673, 279, 836),
}


@pytest.fixture(params=ALL, ids=NAMES)
def data(request):
    name, options = request.param
    return load_dataset(name, **options)


# --- what is in them


def test_sizes_are_what_the_chapters_say():
    for (name, options), label in zip(ALL, NAMES, strict=True):
        if label in SIZES:
            data = load_dataset(name, **options)
            assert tuple(map(len, data.splits)) == SIZES[label], label


def test_every_split_has_the_promised_types(data):
    assert data.licence and data.source and data.notes and data.title
    for split in data.splits:
        assert split.classes == data.classes and split.kind == data.kind
        assert len(split) == len(split.x) == len(split.y) == len(split.ids) == sum(split.counts().values())
        assert split.y.dtype == torch.int64
        if data.kind == "image":
            assert split.x.dtype == torch.uint8 and split.x.ndim == 4
            assert split.x.float().std() > 20, "the images are nearly of one tone"
        else:
            assert all(isinstance(t, str) and t == t.strip() and re.search(r"\w", t) for t in split.x)
        assert all(split.counts().values()), "a class is empty"


def test_balanced_sets_are_balanced():
    for name in ("faces", "surfaces", "digits"):
        for split in load_dataset(name).splits:
            assert len(set(split.counts().values())) == 1, (name, split)
    for split in load_dataset("digits-small").splits:
        assert max(split.counts().values()) < 1.5 * min(split.counts().values())


def test_a_text_set_has_its_classes_in_the_same_share_in_each_split():
    for domain in DOMAINS:
        shares = [split.y.float().mean().item() for split in load_dataset("sentiment", domain=domain).splits]
        assert max(shares) - min(shares) < 0.01, (domain, shares)


def test_labels_mean_what_they_say():
    faces = load_dataset("faces")
    flat = [split.x.flatten(1).float() for split in (faces.train, faces.test)]
    flat = [x - x.mean(1, keepdim=True) for x in flat]
    mean_face = flat[0][faces.train.y == 1].mean(0)
    alike = torch.nn.functional.cosine_similarity(flat[1], mean_face[None])
    assert alike[faces.test.y == 1].mean() > 0.4 > alike[faces.test.y == 0].mean() + 0.2
    movie = load_dataset("sentiment").train
    word = {w: [int(y) for t, y in zip(movie.x, movie.y, strict=True) if w in t.lower()] for w in ("dull", "wonderful")}
    assert np.mean(word["dull"]) < 0.25 and np.mean(word["wonderful"]) > 0.8


# --- nothing leaks


def test_no_item_is_in_two_splits(data):
    seen = [set(split.ids) for split in data.splits]
    assert [len(ids) for ids in seen] == [len(split) for split in data.splits], "an id stands for two items"
    assert not (seen[0] & seen[1] or seen[0] & seen[2] or seen[1] & seen[2])
    if data.kind == "image":
        content = [{x.numpy().tobytes() for x in split.x} for split in data.splits]
    else:
        # signs and capitals do not make a new text, except where there is nothing else
        content = [{re.sub(r"@anonymous|\W+", "", t.lower()) or t for t in split.x} for split in data.splits]
    assert not (content[0] & content[1] or content[0] & content[2] or content[1] & content[2])


def boxes(split):
    for name in split.ids:
        kind, side, place = name.split("/")
        left, top = map(int, place.split(","))
        yield kind, side, (left, top, left + SIDE, top + SIDE)


def test_patches_of_two_splits_of_surfaces_never_touch():
    data = load_dataset("surfaces")
    photos = {name: (photo, reduce) for name, (photo, reduce, _) in REGIONS.items()}
    by_photo = {}
    for split in data.splits:
        for kind, side, box in boxes(split):
            assert side == split.name
            by_photo.setdefault(photos[kind], {}).setdefault(side, []).append(box)
    for photo, sides in by_photo.items():
        for a, b in (("train", "valid"), ("train", "test"), ("valid", "test")):
            one, two = (np.array(sides[s])[:, None] if s == a else np.array(sides[s])[None] for s in (a, b))
            apart = np.maximum(np.maximum(two[..., :2] - one[..., 2:], one[..., :2] - two[..., 2:]).max(-1), 0)
            assert apart.min() >= 4, (photo, a, b)


def test_the_ids_of_surfaces_say_where_the_pixels_come_from():
    from PIL import Image

    split = load_dataset("surfaces").test
    for i in (0, 100, 250, 479):
        kind, _, (left, top, right, bottom) = next(iter(boxes(split[i])))
        photo, reduce, _ = REGIONS[kind]
        whole = Image.fromarray(photograph(photo).permute(1, 2, 0).numpy()).convert("L").reduce(reduce)
        assert np.array_equal(np.asarray(whole)[top:bottom, left:right], split.x[i, 0].numpy())


def test_test_patches_lie_right_of_train_patches():
    data = load_dataset("surfaces")
    rightmost, leftmost = {}, {}
    for kind, _, box in boxes(data.train):
        rightmost[kind] = max(rightmost.get(kind, 0), box[2])
    for kind, _, box in boxes(data.test):
        leftmost[kind] = min(leftmost.get(kind, 10_000), box[0])
    assert all(rightmost[kind] < leftmost[kind] for kind in data.classes)
    assert len({(kind, box) for split in data.splits for kind, _, box in boxes(split)}) == sum(map(len, data.splits))


def test_parts_of_the_tissue_do_not_touch_and_patches_follow_the_mask():
    (_, a), (b, c), (d, _) = COLUMNS.values()
    assert a < b < c < d
    image, mask = tissue_mask()
    for split in load_dataset("tissue").splits:
        for i in range(0, len(split), 17):
            left, top = map(int, split.ids[i].split("/")[1].split(","))
            window = (slice(top, top + TISSUE_SIDE), slice(left, left + TISSUE_SIDE))
            assert COLUMNS[split.name][0] <= left and left + TISSUE_SIDE <= COLUMNS[split.name][1]
            assert torch.equal(image[(slice(None), *window)], split.x[i])
            share = mask[window].float().mean()
            assert share >= HIGH if split.y[i] else share < LOW


def test_the_tissue_mask_covers_brown_and_not_blue():
    image, mask = tissue_mask()
    red_minus_blue = image[0].float() - image[2].float()
    assert red_minus_blue[mask].mean() > 50 > red_minus_blue[~mask].mean() + 30
    image.zero_()
    assert tissue_mask()[0].float().mean() > 100, "a learner's change must not stay"


def test_sentences_of_one_source_are_on_one_side():
    for domain in ("product", "news"):
        data = load_dataset("sentiment", domain=domain)
        sources = [{name.split("/")[1].split("_")[0] for name in split.ids} for split in data.splits]
        assert not (sources[0] & sources[1] or sources[0] & sources[2] or sources[1] & sources[2]), domain


def test_reworded_tweets_are_on_one_side():
    data = load_dataset("sentiment", domain="tweet")
    for beginning in ("running late sucks", "clemson tigers", "best lucky charm ever"):
        where = {s.name for s in data.splits for t in s.x if beginning in t.lower()}
        assert len(where) == 1, (beginning, where)


def test_related_joins_what_shares_a_source_or_six_words():
    texts = [
        "one two three four five six seven",
        "zero one two three four five six",
        "one two three",
        "One, two, three!",
    ]
    assert related(texts) == [0, 0, 2, 2]
    assert related(["a b", "c d", "e f", "c d"], sources="xxyz") == [0, 0, 2, 0]
    assert related([":)", ":)", ":("]) == [0, 0, 2]


def test_texts_are_clean():
    assert clean("don''t  `quote'  &amp;amp; &lt;3") == "don\"t 'quote' & <3"
    for domain in DOMAINS:
        texts = [t for split in load_dataset("sentiment", domain=domain).splits for t in split.x]
        assert not any(re.search(r"&\w+;|\t|\r|\n|''|  |\ufffd|Ã", t) for t in texts)
    assert any("é" in t for split in load_dataset("sentiment").splits for t in split.x)


# --- they stay the same


def test_two_fresh_processes_make_the_same_data():
    code = (
        "from tlcourse import load_dataset\n"
        f"for name, options in {ALL!r}:\n"
        "    print(name, *(s.fingerprint for s in load_dataset(name, **options).splits))\n"
    )
    runs = []
    for seed in ("1", "2"):
        env = {**os.environ, "TQDM_DISABLE": "1", "PYTHONHASHSEED": seed}
        done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
        runs.append(done.stdout)
    assert runs[0] == runs[1]
    here = [f"{n} " + " ".join(s.fingerprint for s in load_dataset(n, **o).splits) for n, o in ALL]
    assert runs[0].split("\n")[: len(here)] == here


def test_loading_again_gives_the_same_object_but_never_changed_pixels():
    first = load_dataset("faces")
    assert load_dataset("faces") is first
    assert load_dataset("sentiment") is load_dataset("sentiment", domain="movie")
    before = first.train.fingerprint
    first.train.x[0] = 0
    assert first.train.fingerprint != before, "kept features of the painted image must not be reused"
    again = load_dataset("faces")
    assert again is not first and again.train.fingerprint == before


def test_a_split_cannot_be_reassigned():
    with pytest.raises(FrozenInstanceError):
        load_dataset("faces").train.y = None


# --- splits as a learner uses them


def small(n=6, name="train"):
    x = torch.arange(n * 4, dtype=torch.uint8).reshape(n, 1, 2, 2)
    return Split(name, "image", x, torch.arange(n) % 2, ("a", "b"), tuple(f"i{k}" for k in range(n)))


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (2, ["i2"]),
        (-1, ["i5"]),
        (slice(1, 3), ["i1", "i2"]),
        (slice(None, None, -2), ["i5", "i3", "i1"]),
        ([3, 0], ["i3", "i0"]),
        ((3, 0), ["i3", "i0"]),
        (np.array([True, False] * 3), ["i0", "i2", "i4"]),
        (torch.tensor([5, 5]), ["i5", "i5"]),
        (torch.tensor([False] * 5 + [True]), ["i5"]),
        ([], []),
        (range(0), []),
    ],
)
def test_indexing_gives_a_split_with_matching_parts(index, expected):
    chosen = small()[index]
    assert list(chosen.ids) == expected and len(chosen) == len(expected)
    assert chosen.y.tolist() == [int(i[1:]) % 2 for i in expected]
    assert chosen.x[:, 0, 0, 0].tolist() == [4 * int(i[1:]) for i in expected]


@pytest.mark.parametrize("index", [6, [0, 99], [True, False], 1.5, "i1"])
def test_an_impossible_index_is_explained(index):
    with pytest.raises(CourseError, match="does not choose among 6 items"):
        small()[index]


def test_shots_are_nested_balanced_and_chosen_by_the_seed():
    train = load_dataset("surfaces").train
    one, five, other = train.shots(1), train.shots(5), train.shots(5, seed=1)
    assert set(five.counts().values()) == {5} and len(set(five.ids)) == 80
    assert set(one.ids) < set(five.ids)
    assert five.ids == train.shots(5, seed=0).ids != other.ids
    assert train.shots(60).counts() == train.counts()


def test_shots_of_a_class_do_not_depend_on_the_other_classes():
    y = torch.tensor([0] * 10 + [1] * 10)
    whole = shot_indices(y, ("a", "b"), 3)
    assert torch.equal(whole[:3], shot_indices(y[:10], ("a",), 3))


@pytest.mark.parametrize("k", [0, -1, 1.5, "3", True])
def test_an_impossible_number_of_shots_is_explained(k):
    with pytest.raises(CourseError, match="not a number of shots"):
        small().shots(k)


def test_too_many_shots_names_the_class_and_the_most_that_can_be_had():
    with pytest.raises(CourseError, match=r"'b' has 2") as error:
        small(5).shots(3)
    assert "at most 2 shots" in str(error.value)
    with pytest.raises(CourseError, match="'b' has 0"):
        small()[[0, 2]].shots(1)


def test_a_fingerprint_depends_on_all_that_matters_and_on_nothing_else():
    split = small()
    same = copy.deepcopy(split)
    assert split.fingerprint == same.fingerprint == pickle.loads(pickle.dumps(split)).fingerprint
    assert split[:].fingerprint == split.fingerprint == small(name="test").fingerprint
    changed = [
        replace(split, ids=("x", *split.ids[1:])),
        replace(split, classes=("a", "c")),
        replace(split, y=1 - split.y),
        replace(split, x=split.x + 1),
        replace(split, x=split.x.reshape(6, 1, 1, 4)),
        split[[1, 0, 2, 3, 4, 5]],
    ]
    assert len({split.fingerprint, *(c.fingerprint for c in changed)}) == 7
    text = Split("t", "text", ("ab", "c"), torch.tensor([0, 1]), ("a", "b"), ("1", "2"))
    assert text.fingerprint != replace(text, x=("a", "bc")).fingerprint
    with torch.inference_mode():
        frozen = replace(split, x=split.x.clone())
    assert frozen.fingerprint == split.fingerprint


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "sound"},
        {"x": torch.zeros(6, 1, 2, 2)},
        {"x": torch.zeros(6, 4, 2, 2, dtype=torch.uint8)},
        {"x": torch.zeros(5, 1, 2, 2, dtype=torch.uint8)},
        {"y": torch.zeros(6)},
        {"y": torch.full((6,), 2)},
        {"ids": ("a",)},
        {"kind": "text", "x": ["a"] * 6},
    ],
)
def test_a_split_of_the_wrong_make_is_refused(change):
    with pytest.raises(CourseError):
        replace(small(), **change)


def test_cards_escape_what_they_show():
    evil = "<script>alert(1)</script>"
    data = load_dataset("faces")
    parts = {s.name: replace(s, classes=(evil, "b")) for s in data.splits}
    card = replace(data, title=evil, classes=(evil, "b"), licence=evil, source=evil, notes=(evil,), **parts)
    for html in (card._repr_html_(), parts["train"]._repr_html_()):
        assert "<script>" not in html and "&lt;script&gt;" in html
    assert "<th scope='row'>face</th><td>40</td><td>10</td><td>50</td>" in data._repr_html_()
    assert "Labeled Faces" in repr(data) and "80 images of 25x25 pixels, grey" in repr(data.train)


# --- names


def test_an_unknown_data_set_domain_or_option_gets_the_nearest_name():
    with pytest.raises(UnknownName, match=r"Did you mean 'surfaces'.*from_folder"):
        load_dataset("surface")
    with pytest.raises(UnknownName, match="Did you mean 'movie'"):
        load_dataset("sentiment", domain="movies")
    with pytest.raises(UnknownName, match="Did you mean 'domain'"):
        load_dataset("sentiment", domian="movie")
    with pytest.raises(UnknownName, match="option of the data set 'faces'"):
        load_dataset("faces", domain="movie")
    with pytest.raises(UnknownName, match="Did you mean 'coffee'"):
        photograph("cofee")


def test_every_photograph_opens_in_colour_and_is_a_learners_own():
    for name in PHOTOGRAPHS:
        image = photograph(name)
        assert image.dtype == torch.uint8 and image.shape[0] == 3 and min(image.shape) > 0 and image.is_contiguous()
        assert image.float().std() > 5
    assert photograph("horse")[:, 0, 0].tolist() == [255, 255, 255], "what is transparent is white"
    photograph("cat").zero_()
    assert photograph("cat").float().mean() > 50
