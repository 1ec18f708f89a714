"""Coin heaps: photographed coins that touch one another, with the number of the coin that each pixel belongs to."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from PIL import Image

from tlcourse import assets
from tlcourse.datasets.coins import MIDDLE, Coins, coins
from tlcourse.datasets.split import Dataset, Split
from tlcourse.errors import whole_number

SIDE = 128
COINS = (3, 4, 5, 6, 7)  # in a heap
COUNTS = {"train": 25, "valid": 8, "test": 16}  # scenes of each number of coins
SCALES = (0.5, 0.7)  # of the photograph's own size
OVERLAP = 12  # pixels that a coin may hide of those below it; then it has come near enough
EDGE = 2  # pixels between a heap and the end of the picture, at least
TRIES = 20  # ways from which a coin is pushed to the heap, before the heap is begun anew
CLASSES = tuple(f"{n} coins" for n in COINS)


def coin_heaps(seed: int = 0) -> Dataset:
    """Grey scenes of 128x128 pixels: 25 of each number of coins to train, 8 to choose, 16 to test."""
    seed, photo = whole_number("seed", seed, 0), coins()
    made = [_split(name, photo, np.random.default_rng([seed, number])) for number, name in enumerate(COUNTS)]
    return Dataset(
        "coin-heaps",
        "three to seven coins that touch, with the coin that each pixel belongs to, grey, 128x128 pixels",
        "image",
        *made,
        CLASSES,
        "no known copyright restrictions (Greek coins from Pompeii, in scikit-image)",
        assets.registry()["photographs"].home,
        (
            "Cut out of one photograph of 24 coins, by centroid: eight coins of its left side in the training scenes, "
            "four others of that side in the validation scenes, the twelve of the right side in the test scenes.",
            "Each coin is turned, perhaps mirrored, made darker or lighter, and pushed to the heap until it touches.",
            "split.masks holds 0 for ground, and 1, 2, ... for the coins of a scene. The ground is the photograph's "
            "own, without its coins; each split has its side's.",
            "The outlines in the photograph were found by classical means, where the coins lie apart, and looked at.",
        ),
    )


def _split(name: str, photo: Coins, rng: np.random.Generator) -> Split:
    y = rng.permutation(np.repeat(np.arange(len(COINS)), COUNTS[name]))
    x, masks = np.empty((len(y), 1, SIDE, SIDE), np.uint8), np.empty((len(y), SIDE, SIDE), np.uint8)
    ids = []
    for i, count in enumerate(y):
        used = rng.choice(photo.sides[name], COINS[count], replace=COINS[count] > len(photo.sides[name]))
        shapes, heap = [_turned(coin, rng) for coin in used], None
        while heap is None:  # a heap that would not fit into the picture is begun anew
            heap = _heap(shapes, rng)
        x[i, 0], masks[i] = _drawn(heap, _ground(photo, name, rng), rng)
        ids.append(f"{name}/{i}: {', '.join(map(str, used))}")
    classes = torch.from_numpy(y)
    return Split(name, "image", torch.from_numpy(x), classes, CLASSES, tuple(ids), masks=torch.from_numpy(masks))


@cache
def _cut(coin: int) -> tuple[Image.Image, Image.Image, int]:
    """A coin's pixels, where it covers the ground, and its mean grey."""
    photo = coins()
    mine = photo.numbers == coin
    rows, columns = np.flatnonzero(mine.any(1)), np.flatnonzero(mine.any(0))
    box = slice(rows[0] - 1, rows[-1] + 2), slice(columns[0] - 1, columns[-1] + 2)
    mean = round(photo.image[mine].mean())
    image = np.where(mine[box], photo.image[box], mean).astype(np.uint8)
    return Image.fromarray(image), Image.fromarray(np.where(mine[box], 255, 0).astype(np.uint8)), mean


def _turned(coin: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A coin's pixels and its cover (0..1), at some angle, size and brightness."""
    image, cover, mean = _cut(coin)
    angle, scale, light = rng.uniform(0, 360), rng.uniform(*SCALES), rng.uniform(0.85, 1.1)
    way, made = -1 if rng.random() < 0.5 else 1, []
    for picture, outside in ((image, mean), (cover, 0)):
        picture = picture.rotate(angle, Image.Resampling.BILINEAR, expand=True, fillcolor=outside)
        size = [max(1, round(scale * side)) for side in picture.size]
        made.append(np.asarray(picture.resize(size, Image.Resampling.BILINEAR)).astype(float)[:, ::way])
    return light * made[0], made[1] / 255


def _heap(shapes: list, rng: np.random.Generator) -> list | None:
    """Each coin with its top left corner, pushed from outside to the middle until it touches; None where no way in
    leaves it inside the picture.
    """
    taken, placed = np.zeros((3 * SIDE, 3 * SIDE), bool), []  # with room around, for coins on their way
    middle = 1.5 * SIDE + rng.uniform(-SIDE / 8, SIDE / 8, 2)
    for image, cover in shapes:
        solid = cover >= 0.5
        for _ in range(TRIES):
            corner = _pushed(taken, solid, middle, rng.uniform(0, 2 * np.pi)) - SIDE
            if corner.min() >= EDGE and (corner + solid.shape).max() <= SIDE - EDGE:
                break
        else:
            return None
        top, left = corner
        taken[SIDE + top : SIDE + top + solid.shape[0], SIDE + left : SIDE + left + solid.shape[1]] |= solid
        placed.append((image, cover, top, left))
    return placed


def _pushed(taken: np.ndarray, solid: np.ndarray, middle: np.ndarray, angle: float) -> np.ndarray:
    """The corner at which a coin comes to lie that is pushed to the middle."""
    way, half = np.array([np.sin(angle), np.cos(angle)]), np.array(solid.shape) / 2
    near, far = -1, SIDE  # too near, and far enough; between them by halves
    while far - near > 1:
        at = (near + far) // 2
        top, left = np.rint(middle + at * way - half).astype(int)
        here = taken[top : top + solid.shape[0], left : left + solid.shape[1]]
        near, far = (at, far) if (here & solid).sum() > OVERLAP else (near, at)
    return np.rint(middle + far * way - half).astype(int)


def _ground(photo: Coins, name: str, rng: np.random.Generator) -> np.ndarray:
    """The ground of a split's side, perhaps mirrored, with grain."""
    half = photo.ground[:, MIDDLE:] if name == "test" else photo.ground[:, :MIDDLE]
    top = rng.integers(0, half.shape[0] - half.shape[1] + 1)
    part = half[top : top + half.shape[1]][:, :: 1 if rng.random() < 0.5 else -1]
    part = np.asarray(Image.fromarray(part.astype(np.float32)).resize((SIDE, SIDE), Image.Resampling.BILINEAR))
    return part + rng.normal(0, photo.grain / 2, part.shape)  # half: the photograph is drawn smaller, which smooths


def _drawn(heap: list, ground: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    image, numbers = ground.copy(), np.zeros((SIDE, SIDE), np.uint8)
    for i, (coin, cover, top, left) in enumerate(heap, start=1):
        at = slice(top, top + cover.shape[0]), slice(left, left + cover.shape[1])
        image[at] += cover * (coin - image[at])
        numbers[at][cover >= 0.5] = i
    return np.rint(np.clip(image, 0, 255)).astype(np.uint8), numbers
