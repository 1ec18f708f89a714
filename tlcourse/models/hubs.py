"""Models of the hubs: torchvision's, timm's and Hugging Face's, each fetched and kept by its own library."""

from __future__ import annotations

import os

from tlcourse import settings
from tlcourse.assets.hubs import first_line, from_hub
from tlcourse.errors import CourseError, UnknownName
from tlcourse.models.making import image_transform, make_card, replace_last_linear, text_model

HUBS = ("torchvision:", "timm:", "hf:")


def kept_weights(weights):
    """torchvision's `weights`, once their file is in torch's cache and is known to hold tensors and nothing else.

    Its file name holds the beginning of its SHA-256, which is compared when it is downloaded. torchvision itself opens
    the file without asking whether it holds code; so it is opened here first, in a way that refuses code.
    """
    from urllib.parse import urlparse

    from torch import hub

    file = os.path.join(hub.get_dir(), "checkpoints", os.path.basename(urlparse(weights.url).path))
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


def task_model(name: str, kind: str):
    """A Hugging Face model with the head that it was published with, and its tokenizer.

    Arguments:
        name: of a repository, without `"hf:"`.
        kind: a class of transformers, e.g. `"AutoModelForQuestionAnswering"`.

    Weights are read from safetensors if the repository has them, else from a file in which only tensors are accepted.
    """
    import transformers

    safe = _safe()

    def make():
        config = transformers.AutoConfig.from_pretrained(name, **safe)
        tokenizer = transformers.AutoTokenizer.from_pretrained(name, **safe)
        model = getattr(transformers, kind).from_pretrained(
            name, config=config, use_safetensors=_has_safetensors(name), weights_only=True, **safe
        )
        return model, tokenizer

    return from_hub(f"hf:{name}", make)


def _safe() -> dict[str, bool]:
    # else transformers asks the hub to convert what is not in safetensors, in a thread of its own, even while offline
    os.environ.setdefault("DISABLE_SAFETENSORS_CONVERSION", "1")
    return {"trust_remote_code": False, "local_files_only": settings.offline()}


def _has_safetensors(name: str) -> bool:
    from huggingface_hub import constants, file_exists, try_to_load_from_cache

    if isinstance(try_to_load_from_cache(name, "model.safetensors"), str):
        return True
    if settings.offline() or constants.HF_HUB_OFFLINE:
        return False
    return file_exists(name, "model.safetensors")


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
        f"torchvision:{name}", f"torchvision's {name}", pretrained,
        str(weights) if pretrained else "nothing", model, source=weights.meta.get("recipe", "torchvision"),
    )  # fmt: skip
    model.transform = image_transform(config, size)
    return model


def text_encoder(name, count, pretrained, size):
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    safe = _safe()

    def make():
        tokenizer = AutoTokenizer.from_pretrained(name, **safe)
        if pretrained:
            return AutoModel.from_pretrained(name, use_safetensors=True, **safe), tokenizer
        return AutoModel.from_config(AutoConfig.from_pretrained(name, **safe)), tokenizer

    encoder, tokenizer = from_hub(f"hf:{name}", make)
    return text_model(f"hf:{name}", encoder, tokenizer, count, pretrained, "see its page")
