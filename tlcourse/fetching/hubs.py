"""What hubs bring: by which function it is fetched, whether it is here, where it goes, and what room that takes."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from pathlib import Path

from tlcourse import assets, settings
from tlcourse.assets import store
from tlcourse.assets.catalogue import Asset, megabytes
from tlcourse.errors import CourseError

LOADERS = {
    "keras:resnet50": "tlcourse.models.keras_hub:keras_resnet50",
    "hf:Helsinki-NLP/opus-mt-en-fr": "tlcourse.translation.hub:load_translator",
    "hf:Helsinki-NLP/opus-mt-zh-en": "tlcourse.translation.hub:load_translator",
    "hf:distilbert/distilbert-base-cased-distilled-squad": "tlcourse.answering.hub:load_reader",
    "sms-spam": "tlcourse.datasets.hub_texts:sms_table",
    "medmnist": "tlcourse.datasets.hub_medical:medmnist_folder",
    "eurosat": "tlcourse.datasets.hub_images:eurosat_folder",
    "pet-masks": "tlcourse.datasets.hub_images:pets_folder",
}
"""Name of an asset -> module and function that lets its library fetch it; other models are fetched as `load` does."""


def bring(asset: Asset) -> None:
    """Let the library that knows an asset's hub fetch it, by the function that uses it afterwards."""
    if asset.name in LOADERS:
        module, _, function = LOADERS[asset.name].partition(":")
        make = getattr(import_module(module), function)
        make(asset.name) if asset.name.startswith("hf:") else make()
    elif asset.name.startswith("torchvision:"):
        import_module("tlcourse.models.hubs").fetch_torchvision(asset.name)
    else:
        import_module("tlcourse.models").load(asset.name)


def is_here(asset: Asset) -> bool:
    """Whether an asset is on this machine: a file of its name, of an image set each file with its size."""
    if asset.kind != "hub":
        return assets.state(asset.name) in ("installed", "cached")
    kind, _, rest = asset.name.rpartition(":")
    if kind == "torchvision":
        return (goes_to(asset) / asset.version).is_file()
    if kind == "keras":
        from tlcourse.models.keras_hub import kept_file

        return kept_file() is not None
    if kind == "hf":
        from tlcourse.models.huggingface import kept_copy

        return kept_copy(rest) is not None
    if asset.package == "datasets":
        from tlcourse.datasets import hub_texts

        return hub_texts.kept_copy() is not None
    from tlcourse.datasets.hub import faults, place

    return not faults(place(asset.name, "pathmnist-28" if asset.name == "medmnist" else "hub"))


def goes_to(asset: Asset) -> Path:
    """The folder of the library that fetches an asset; it need not exist."""
    if asset.name.startswith("torchvision:"):
        from torch import hub

        return Path(hub.get_dir(), "checkpoints")
    if asset.package == "keras":
        from tlcourse.models.keras_hub import cache

        return cache()
    if asset.package in ("transformers", "datasets"):
        from huggingface_hub import constants

        return Path(constants.HF_HOME)
    return settings.home()


def room(asset: Asset) -> int:
    """Bytes that fetching an asset takes on the disk; an archive and what it holds lie there at the same time."""
    if asset.kind != "hub":
        return 2 * asset.size + asset.unpacked
    return asset.size * (2 if asset.name in ("eurosat", "pet-masks") else 1)


def check_room(missing: Iterable[Asset]) -> None:
    """Raise `CourseError` where the disks to which the libraries fetch have not the room for these assets."""
    needs: dict[int, list] = {}
    for asset in missing:
        where = goes_to(asset)
        while not where.exists() and where != where.parent:
            where = where.parent
        needs.setdefault(where.stat().st_dev, [where, 0])[1] += room(asset)
    for where, needed in needs.values():
        if store.free(where) < needed:
            raise CourseError(
                f"There is not enough room: about {megabytes(needed)} are needed for a moment.",
                why=f"The disk of {where} has {megabytes(store.free(where))} free.",
                do="Choose less with --chapter or names, free some space, or name folders on another disk: HF_HOME, "
                "TORCH_HOME, KERAS_HOME and TLCOURSE_HOME.",
            )
