"""Models of torchvision's hub and timm's, each fetched and kept by its own library."""

from __future__ import annotations

import os

from tlcourse import assets, settings
from tlcourse.assets.hubs import first_line, from_hub
from tlcourse.errors import CourseError, UnknownName
from tlcourse.models.making import image_transform, make_card, replace_last_linear

HUBS = ("torchvision:", "timm:", "hf:")


def kept_file(weights) -> str:
    """Where torch keeps, or will keep, the file of torchvision's `weights`."""
    from urllib.parse import urlparse

    from torch import hub

    return os.path.join(hub.get_dir(), "checkpoints", os.path.basename(urlparse(weights.url).path))


def kept_weights(weights):
    """torchvision's `weights`, once their file is in torch's cache and is known to hold tensors and nothing else.

    Its file name holds the beginning of its SHA-256, which is compared when it is downloaded. torchvision itself opens
    the file without asking whether it holds code; so it is opened here first, in a way that refuses code.
    """
    file = kept_file(weights)
    if settings.offline() and not os.path.exists(file):
        raise OSError(f"{os.path.basename(file)} is not in torch's cache.")
    before = os.path.exists(file)
    try:
        weights.get_state_dict(progress=False, check_hash=True, weights_only=True, map_location="cpu")
    except Exception as error:
        if not before:
            raise
        raise CourseError(
            f"The file {os.path.basename(file)} in torch's cache cannot be read.",
            why=first_line(error),
            do=f"Remove {file!r} and load it again.",
        ) from error
    return weights


def timm_model(name, count, pretrained, size):
    import timm
    from timm.data import resolve_model_data_config

    if not timm.is_model(name):
        raise UnknownName("timm model", name, timm.list_models(), do="timm.list_models() shows them all.")
    model = from_hub(f"timm:{name}", lambda: timm.create_model(name, pretrained=pretrained))
    if count:
        model.reset_classifier(count)
    data = str(model.pretrained_cfg.get("tag") or "see its page") if pretrained else "nothing"
    model.card = make_card(
        f"timm:{name}", f"timm's {name}", pretrained, data, model, source="https://huggingface.co/timm"
    )
    model.transform = image_transform(resolve_model_data_config(model), size)
    return model


def torchvision_model(name, count, pretrained, size):
    import torchvision

    if name not in torchvision.models.list_models(torchvision.models):
        raise UnknownName("torchvision model", name, torchvision.models.list_models(torchvision.models))
    weights = torchvision.models.get_model_weights(name).DEFAULT
    model = from_hub(
        f"torchvision:{name}",
        lambda: torchvision.models.get_model(name, weights=kept_weights(weights) if pretrained else None),
    )
    if count:
        replace_last_linear(model, count)
    else:
        model.classes = tuple(weights.meta["categories"])
    made = weights.transforms()
    config = {
        "input_size": (3, made.crop_size[0], made.crop_size[0]),
        "crop_pct": made.crop_size[0] / made.resize_size[0],
        "interpolation": made.interpolation.value,
        "mean": made.mean,
        "std": made.std,
    }
    model.card = make_card(
        f"torchvision:{name}", f"torchvision's {name}", pretrained, str(weights) if pretrained else "nothing", model,
        assets.registry().get(f"torchvision:{name}"), weights.meta.get("recipe", "torchvision"),
    )  # fmt: skip
    model.transform = image_transform(config, size)
    return model


def fetch_torchvision(name: str) -> None:
    """Let torchvision fetch the weights that `load` and `load_detector` use.

    Arguments:
        name: with `"torchvision:"`.
    """
    import torchvision

    short = name.removeprefix("torchvision:")
    from_hub(name, lambda: kept_weights(torchvision.models.get_model_weights(short).DEFAULT))
