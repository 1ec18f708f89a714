"""Face scenes: none to three faces somewhere on a photographed surface, among pieces that are none."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from tlcourse.datasets.faces import faces
from tlcourse.datasets.split import Dataset, Split
from tlcourse.datasets.surfaces import REGIONS, grey_photograph, surfaces
from tlcourse.errors import whole_number

SIDE = 128
COUNTS = {"train": 300, "valid": 80, "test": 160}  # scenes
FACES = (0.25, 0.35, 0.25, 0.15)  # shares of the scenes with none, one, two and three faces
UNDER = 0.6  # share of the faces that lie on a larger piece, as faces lie on heads
DECOYS = 4  # below this number of pieces that are no face
LEAST, MOST = 22, 64  # pixels: the side that a piece is drawn at
CLASSES = ("no face", "one face", "two faces", "three faces")
GROUNDS = tuple(name for name in REGIONS if name != "coins")  # there are heads on them
MOST_GROUND = 160  # pixels of a photograph that are shown as the ground: at most


def face_scenes(seed: int = 0) -> Dataset:
    """Grey scenes of 128x128 pixels, 300 to train, 80 to choose, 160 to test, with the boxes of all their faces."""
    seed = whole_number("seed", seed, 0)
    pieces, grounds = faces(), surfaces()
    grey = {name: grey_photograph(photo, reduce) for name, (photo, reduce, _) in REGIONS.items()}
    parts = zip(pieces.splits, grounds.splits, strict=True)
    made = [_split(*part, grey, i, np.random.default_rng([seed, i])) for i, part in enumerate(parts)]
    return Dataset(
        "face-scenes",
        "none to three faces among other pieces on a surface, with their boxes, grey, 128x128 pixels",
        "image",
        *made,
        CLASSES,
        f"{pieces.licence}; {grounds.licence}",
        f"{pieces.source}; {grounds.source}",
        (
            "Made of the sets faces and surfaces; the splits share no face, no other piece, and no part of a surface.",
            f"Faces are drawn {LEAST} to {MOST} pixels wide, mirrored or not, darker or lighter. No two overlap.",
            "Up to three decoys, pieces of background and patches of surfaces, are drawn in the same way, and most of "
            "the faces lie on a larger one. Rims fade as chance will have it: an outline tells little.",
            "Coins are left out of the surfaces, as there are heads on them.",
            "split.boxes is [n, 3, 4]: left, top, right, bottom in pixels, and NaN where a scene has fewer faces.",
        ),
    )


def _split(pieces: Split, patches: Split, grey: dict, number: int, rng: np.random.Generator) -> Split:
    n = COUNTS[pieces.name]
    pool = {what: [i for i, y in enumerate(pieces.y.tolist()) if y == what] for what in (0, 1)}
    pool["patch"] = [i for i, y in enumerate(patches.y.tolist()) if patches.classes[y] in GROUNDS]
    x, boxes = np.empty((n, 1, SIDE, SIDE), np.uint8), np.full((n, len(FACES) - 1, 4), np.nan, np.float32)
    y, ids = rng.choice(len(FACES), size=n, p=FACES), []
    for i in range(n):
        scene, ground = _ground(grey, number, rng)
        places: list = []
        for _ in range(int(y[i])):  # first where the faces will be; what is no face is drawn under and beside them
            place = _free(int(rng.integers(LEAST, MOST + 1)), places, rng)
            places += [place] if place else []  # else there is no room for one of this size
        parts = []
        for place in [*(_around(p, rng) for p in places if rng.random() < UNDER), *_anywhere(rng)]:
            source, kind = (pieces, 0) if rng.random() < 0.5 else (patches, "patch")
            chosen = int(rng.choice(pool[kind]))
            _draw(scene, source.x[chosen, 0].numpy(), place, rng), parts.append(source.ids[chosen])
        for k, place in enumerate(places):
            chosen = int(rng.choice(pool[1]))
            _draw(scene, pieces.x[chosen, 0].numpy(), place, rng), parts.append(pieces.ids[chosen])
            boxes[i, k] = place
        y[i] = len(places)
        x[i, 0] = scene
        ids.append(f"{i:03d}: {', '.join(parts) or 'nothing'} on {ground}")
    return Split(
        pieces.name, "image", torch.from_numpy(x), torch.from_numpy(y), CLASSES, tuple(ids),
        boxes=torch.from_numpy(boxes),
    )  # fmt: skip


def _ground(grey: dict, number: int, rng: np.random.Generator) -> tuple[np.ndarray, str]:
    """A square window of one surface's region of this split, as large as a scene; and its name."""
    name = str(rng.choice(GROUNDS))
    left, top, right, bottom = REGIONS[name][2][number]
    most = min(right - left, bottom - top)
    side = int(rng.integers(min(48, most), min(MOST_GROUND, most) + 1))
    x, y = int(rng.integers(left, right - side + 1)), int(rng.integers(top, bottom - side + 1))
    return _resized(grey[name][y : y + side, x : x + side], SIDE), f"{name}/{x},{y},{side}"


def _free(side: int, drawn: list, rng: np.random.Generator, tries: int = 40) -> tuple[int, int, int, int] | None:
    """A box of this side that overlaps none of those; None where chance finds no such place."""
    for left, top in rng.integers(0, SIDE - side + 1, size=(tries, 2)).tolist():
        if all(left >= b[2] or top >= b[3] or left + side <= b[0] or top + side <= b[1] for b in drawn):
            return left, top, left + side, top + side
    return None


def _around(place: tuple, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """A larger square that holds the middle of this box; it may reach beyond the scene."""
    side = int((place[2] - place[0]) * rng.uniform(1.2, 1.9))
    left, top = (int((place[i] + place[i + 2]) / 2 - side * rng.uniform(0.3, 0.7)) for i in (0, 1))
    return left, top, left + side, top + side


def _anywhere(rng: np.random.Generator) -> list[tuple[int, int, int, int]]:
    """Boxes of up to three decoys."""
    sides = rng.integers(LEAST, MOST + 1, size=int(rng.integers(DECOYS))).tolist()
    corners = [rng.integers(0, SIDE - side + 1, size=2).tolist() for side in sides]
    return [(left, top, left + side, top + side) for (left, top), side in zip(corners, sides, strict=True)]


def _draw(scene: np.ndarray, piece: np.ndarray, place: tuple, rng: np.random.Generator) -> None:
    left, top, right, bottom = place
    piece = _resized(piece[:, ::-1] if rng.random() < 0.5 else piece, right - left).astype(np.float32)
    light, contrast = rng.uniform(-20, 20), rng.uniform(0.7, 1.1)
    piece = np.clip((piece - 128) * contrast + 128 + light, 0, 255)
    x, y = slice(max(left, 0), min(right, SIDE)), slice(max(top, 0), min(bottom, SIDE))
    inside = slice(y.start - top, y.stop - top), slice(x.start - left, x.stop - left)
    under, shown = scene[y, x].astype(np.float32), _shown(right - left, rng)[inside]
    scene[y, x] = np.rint(under + shown * (piece[inside] - under)).astype(np.uint8)


def _shown(side: int, rng: np.random.Generator) -> np.ndarray:
    """How much of a piece is seen at each of its pixels: all in the middle, less towards a rim, which chance shapes."""
    across = np.abs((np.arange(side) + 0.5) / side * 2 - 1)  # 0 in the middle, 1 at the edge
    power, edge, rim = (
        rng.uniform(2, 6),
        rng.uniform(0.85, 1.15),
        rng.uniform(0.05, 0.5),
    )  # a circle, or nearly a square
    away = (across[None] ** power + across[:, None] ** power) ** (1 / power)
    return np.clip((edge - away) / rim, 0, 1).astype(np.float32)


def _resized(image: np.ndarray, side: int) -> np.ndarray:
    image = Image.fromarray(np.ascontiguousarray(image)).resize((side, side), Image.Resampling.BILINEAR)
    return np.array(image)
