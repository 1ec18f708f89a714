"""`tlcourse fetch --profile full`: what it would bring, a question before gigabytes, and each by its own library."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path

from tlcourse import assets
from tlcourse.assets.catalogue import Asset, choose, megabytes
from tlcourse.errors import CourseError

ASK_FROM = 1_000_000_000  # bytes


def table(chosen: Sequence[Asset], here: Sequence[bool]) -> str:
    """What a fetch would bring, a line each, and the sum of what is not here yet.

    Arguments:
        chosen: assets.
        here: whether each is on this machine already.

    >>> print(table([assets.registry()["eurosat"]], [False]).splitlines()[0].split())
    ['name', 'size', 'fetched', 'by', 'licence']
    """
    rows = [("name", "size", "fetched by", "licence")]
    for asset, there in zip(chosen, here, strict=True):
        size = "already here" if there else f"{'about ' if asset.kind == 'hub' else ''}{megabytes(asset.size)}"
        rows.append((asset.name, size, asset.package if asset.kind == "hub" else "pip", asset.licence))
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    lines = ["  ".join([*(part.ljust(w) for part, w in zip(row, widths, strict=False)), row[3]]) for row in rows]
    missing = missing_bytes(chosen, here)
    lines.append(f"To be fetched: about {megabytes(missing)}." if missing else "All of it is here already.")
    lines.append(
        "Sizes and licences of what a hub brings are those of its own pages; the course does not check its bytes."
    )
    return "\n".join(lines)


def missing_bytes(chosen: Sequence[Asset], here: Sequence[bool]) -> int:
    """Bytes of the assets that are not here."""
    return sum(asset.size for asset, there in zip(chosen, here, strict=True) if not there)


def agreed(size: int, yes: bool) -> bool:
    """Whether a fetch of so many bytes may begin: at once up to a gigabyte, else somebody has to say so.

    Arguments:
        size: bytes to be fetched.
        yes: the answer was given with `--yes`.

    Raises `CourseError` where there is nobody to ask.

    >>> agreed(1000, yes=False)
    True
    """
    if yes or size <= ASK_FROM:
        return True
    if sys.stdin is None or not sys.stdin.isatty():
        raise CourseError(
            f"About {megabytes(size)} would be fetched, and there is no terminal to ask in.",
            why="More than a gigabyte is fetched only when somebody has agreed to it.",
            do="Type `tlcourse fetch --profile full --yes`, or choose less with --chapter or names.",
        )
    print(f"Fetch about {megabytes(size)}? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def fetch_full(
    names: Iterable[str] | None, chapter: str | None, yes: bool, tell: Callable[[str], None]
) -> tuple[list[assets.Fetched], dict[str, CourseError]]:
    """Bring what the full profile needs, one after the other; what fails does not stop the rest.

    Arguments:
        names, chapter: as of `assets.fetch`.
        yes: begin without a question.
        tell: is given each line for a person.

    Returns what was done, and the errors by name. What arrived stays: the same command goes on where it stopped.
    Raises `CourseError` when the question is answered with no, or cannot be asked.
    """
    chosen = choose(names, chapter)
    here = [is_here(asset) for asset in chosen]
    tell(table(chosen, here))
    if not agreed(missing_bytes(chosen, here), yes):
        raise CourseError("Nothing was fetched.", do="Choose less with --chapter or names, or answer with y.")
    done, failed = [], {}
    for asset, there in zip(chosen, here, strict=True):
        start = time.perf_counter()
        try:
            with redirect_stdout(sys.stderr):  # libraries print their progress
                if asset.kind == "hub":
                    bring(asset)
                else:
                    assets.fetch(asset.name)
        except CourseError as error:
            failed[asset.name] = error
            tell(f"{asset.name}: failed\n{error}")
            continue
        seconds, size = round(time.perf_counter() - start, 2), 0 if there else asset.size
        done.append(assets.Fetched(asset.name, "already here" if there else "fetched", size, seconds, ""))
        tell(f"{asset.name}: {done[-1].action}")
    return done, failed


LOADERS = {
    "keras:resnet50": "tlcourse.fetching:_keras",
    "hf:Helsinki-NLP/opus-mt-en-fr": "tlcourse.translation.hub:load_translator",
    "hf:Helsinki-NLP/opus-mt-zh-en": "tlcourse.translation.hub:load_translator",
    "hf:distilbert/distilbert-base-cased-distilled-squad": "tlcourse.answering.hub:load_reader",
    "sms-spam": "tlcourse.datasets.hub_texts:sms_table",
    "medmnist": "tlcourse.datasets.hub_images:medmnist_folder",
    "eurosat": "tlcourse.datasets.hub_images:eurosat_folder",
    "pet-masks": "tlcourse.datasets.hub_images:pets_folder",
}
"""Name of an asset -> module and function that lets its library fetch it; other models are fetched as `load` does."""


def bring(asset: Asset) -> None:
    """Let the library that knows an asset's hub fetch it, by the function that uses it afterwards."""
    if asset.name in LOADERS:
        module, _, function = LOADERS[asset.name].partition(":")
        make = getattr(import_module(module), function)
        make(asset.name) if ":" in asset.name else make()
    elif asset.name.startswith("torchvision:"):
        _torchvision(asset.name)
    else:
        import_module("tlcourse.models").load(asset.name)


def is_here(asset: Asset) -> bool:
    """Whether an asset seems to be on this machine; of a hub's, the file's name is all that is looked at."""
    if asset.kind != "hub":
        return assets.state(asset.name) in ("installed", "cached")
    kind, _, rest = asset.name.rpartition(":")
    if kind == "torchvision":
        from torch import hub

        return Path(hub.get_dir(), "checkpoints", asset.version).is_file()
    if kind == "keras":
        return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras", "models", asset.version).is_file()
    if asset.package in ("transformers", "datasets"):
        from huggingface_hub import constants, try_to_load_from_cache

        if kind == "hf":
            files = ("model.safetensors", "pytorch_model.bin")
            return any(isinstance(try_to_load_from_cache(rest, file), str) for file in files)
        cache = os.environ.get("HF_DATASETS_CACHE") or Path(constants.HF_HOME, "datasets")
        return Path(cache, asset.version.replace("/", "___")).is_dir()
    from tlcourse.datasets.hub import place

    return place(asset.name, "pathmnist-28" if asset.name == "medmnist" else "hub").is_dir()


def _torchvision(name: str) -> None:
    import torchvision

    from tlcourse.assets.hubs import from_hub
    from tlcourse.models.hubs import kept_weights

    short = name.removeprefix("torchvision:")
    from_hub(name, lambda: kept_weights(torchvision.models.get_model_weights(short).DEFAULT))


def _keras(name: str) -> None:
    from tlcourse import settings
    from tlcourse.assets.hubs import from_hub

    if settings.offline() and not is_here(assets.registry()[name]):
        raise CourseError(f"{name} is not on this machine, and TLCOURSE_OFFLINE forbids downloads.", do="Unset it.")
    os.environ.setdefault("KERAS_BACKEND", "torch")

    def make():
        import keras

        return keras.applications.ResNet50(weights="imagenet", include_top=False, input_shape=(64, 64, 3))

    from_hub(name, make)
