"""Labelled images and texts in train, valid and test: packaged ones by name, and a learner's own."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature

from tlcourse.datasets.boxes import box_iou
from tlcourse.datasets.coins import real_coins
from tlcourse.datasets.countries import CountryQuestions, TextQuestion, as_split, country_facts, country_questions
from tlcourse.datasets.digits import digits, digits_small
from tlcourse.datasets.face_scenes import face_scenes
from tlcourse.datasets.faces import faces
from tlcourse.datasets.folder import from_folder
from tlcourse.datasets.heaps import coin_heaps
from tlcourse.datasets.hub_images import eurosat, pet_masks
from tlcourse.datasets.hub_medical import medmnist
from tlcourse.datasets.hub_texts import sms_spam
from tlcourse.datasets.interface import ParallelSplit, interface_strings
from tlcourse.datasets.photographs import PHOTOGRAPHS, photograph
from tlcourse.datasets.reading import read_image
from tlcourse.datasets.scenes import digit_scenes
from tlcourse.datasets.sentiment import RatedText, rated_texts, sentiment
from tlcourse.datasets.split import Dataset, Split, shot_indices, tensor_versions
from tlcourse.datasets.support import Asked, Entry, SupportFaq, support_faq, support_topics
from tlcourse.datasets.surfaces import surfaces
from tlcourse.datasets.table import from_csv
from tlcourse.datasets.tissue import tissue, tissue_mask, tissue_masks
from tlcourse.errors import UnknownName

__all__ = [
    "DATASETS",
    "HUB_DATASETS",
    "PHOTOGRAPHS",
    "Asked",
    "CountryQuestions",
    "Dataset",
    "ParallelSplit",
    "Entry",
    "RatedText",
    "Split",
    "SupportFaq",
    "TextQuestion",
    "as_split",
    "box_iou",
    "country_facts",
    "country_questions",
    "from_csv",
    "from_folder",
    "load_dataset",
    "photograph",
    "rated_texts",
    "read_image",
    "real_coins",
    "shot_indices",
    "support_faq",
    "support_topics",
    "tissue_mask",
]

DATASETS: dict[str, Callable[..., Dataset]] = {
    "faces": faces,
    "surfaces": surfaces,
    "digits": digits,
    "digits-small": digits_small,
    "digit-scenes": digit_scenes,
    "face-scenes": face_scenes,
    "tissue": tissue,
    "tissue-masks": tissue_masks,
    "coin-heaps": coin_heaps,
    "sentiment": sentiment,
    "interface-strings": interface_strings,
}
HUB_DATASETS: dict[str, Callable[..., Dataset]] = {
    "sms-spam": sms_spam,
    "medmnist": medmnist,
    "eurosat": eurosat,
    "pet-masks": pet_masks,
}
"""Those of the full profile: another library fetches them from their own places."""
_made: dict[tuple, tuple[Dataset, list]] = {}


def load_dataset(name: str, **options) -> Dataset:
    """A packaged data set with its splits `train`, `valid` and `test`; made once in a process.

    Arguments:
        name: `"faces"`, `"surfaces"`, `"digits"`, `"digits-small"`, `"digit-scenes"`, `"face-scenes"`, `"tissue"`,
            `"tissue-masks"`, `"coin-heaps"`, `"sentiment"` or `"interface-strings"`; with `TLCOURSE_PROFILE=full` also
            `"sms-spam"`, `"medmnist"`, `"eurosat"` and `"pet-masks"`.
        options: `domain=` of `"sentiment"`: `"movie"` (the default), `"product"`, `"tweet"` or `"news"`; `seed=` of
            `"digit-scenes"`, `"face-scenes"` and `"coin-heaps"`: another one puts other things elsewhere, always from
            the same splits; `language=` of `"interface-strings"`: `"fr"` (the default), `"es"` or `"zh"`; `which=` of
            `"medmnist"`: `"pathmnist"` (the default) or another set with one label an image; `size=` of `"medmnist"`
            and `"pet-masks"`, in pixels.

    Returns a `Dataset`, always with the same items in the same order. Raises `UnknownName`.

    >>> load_dataset("faces").train.counts()
    {'not a face': 40, 'face': 40}

    Introduced in chapter 03.
    """
    every = DATASETS | HUB_DATASETS
    if name not in every:
        raise UnknownName(
            "data set", name, every, do="Your own data are read by from_folder(path) and from_csv(path, ...)."
        )
    known = signature(every[name]).parameters
    for option in options:
        if option not in known:
            raise UnknownName(f"option of the data set {name!r}", option, known)
    filled = {key: options.get(key, parameter.default) for key, parameter in known.items()}
    key = (name, *(str(value) for value in filled.values()))
    if key not in _made or _made[key][1] != [tensor_versions(split) for split in _made[key][0].splits]:
        # not made yet, or someone has painted on the images since: what is loaded is as it was published
        made = every[name](**options)
        _made[key] = made, [tensor_versions(split) for split in made.splits]
    return _made[key][0]
