"""Texts of the full profile: short messages, some of them spam."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from tlcourse import assets
from tlcourse.assets.hubs import check_profile, from_hub
from tlcourse.datasets.partition import partition
from tlcourse.datasets.split import Dataset, Split

REPOSITORY = "ucirvine/sms_spam"
CLASSES = ("ham", "spam")
SHARES = (0.6, 0.2, 0.2)


def sms_table():
    """The table of messages; the package datasets fetches and keeps it."""
    check_profile("sms-spam")

    def read():
        from datasets import load_dataset
        from datasets.utils import logging

        before = logging.get_verbosity()
        logging.set_verbosity_error()  # that the copy on this machine is used is no warning
        try:
            return load_dataset(REPOSITORY, split="train")
        finally:
            logging.set_verbosity(before)

    return from_hub("sms-spam", read, copy=kept_copy)


def kept_copy() -> Path | None:
    """The folder in which the package datasets keeps the table, or None where it is not on this machine."""
    from huggingface_hub import constants

    cache = os.environ.get("HF_DATASETS_CACHE") or Path(constants.HF_HOME, "datasets")
    folder = Path(cache, REPOSITORY.replace("/", "___"))
    whole = (file for file in folder.rglob("dataset_info.json") if not file.parent.name.endswith(".incomplete"))
    return folder if next(whole, None) else None


def sms_spam() -> Dataset:
    """Short messages in English: ham, which people sent each other, and spam."""
    table = sms_table()
    texts, y = [" ".join(text.split()) for text in table["sms"]], list(table["label"])
    places = partition(y, [text.casefold() for text in texts], SHARES)  # the same message is on one side only
    splits = [
        Split(
            name, "text", tuple(texts[i] for i in where), torch.tensor([y[i] for i in where]), CLASSES,
            tuple(f"sms{i}" for i in where),
        )
        for name, where in zip(("train", "valid", "test"), places, strict=True)
    ]  # fmt: skip
    asset = assets.registry()["sms-spam"]
    return Dataset(
        "sms-spam", "short messages in English, ham and spam", "text", *splits, CLASSES, asset.licence, asset.home,
        (
            "The collection has one part only; it is divided here, each class in its share.",
            "The same message occurs several times; all its copies are on one side.",
        ),
    )  # fmt: skip
