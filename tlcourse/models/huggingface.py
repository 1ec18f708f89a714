"""Models of Hugging Face's hub: whether one lies on this machine, and how it is loaded without running its code."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from tlcourse import assets
from tlcourse.assets.hubs import from_hub
from tlcourse.errors import CourseError
from tlcourse.models.making import text_model

WEIGHTS = ("model.safetensors", "pytorch_model.bin")


def kept_copy(name: str) -> Path | None:
    """The folder of Hugging Face's cache that holds a model's weights, or None where they are not on this machine.

    >>> kept_copy("nobody/has-this")
    """
    found = [path for path in map(lambda file: _cached(name, file), WEIGHTS) if path]
    return found[0].parents[2] if found else None


def task_model(name: str, kind: str, check: Callable[[object], None]):
    """A Hugging Face model with the head that it was published with, and its tokenizer.

    Arguments:
        name: of a repository, without `"hf:"`.
        kind: a class of transformers, e.g. `"AutoModelForQuestionAnswering"`.
        check: raises for the configuration of a model of another family, before its weights are fetched.

    Weights are read from safetensors if the repository has them, else from a file in which only tensors are accepted.
    """
    import transformers

    def make():
        safe = _safe()
        config = transformers.AutoConfig.from_pretrained(name, **safe)
        check(config)
        tokenizer = transformers.AutoTokenizer.from_pretrained(name, **safe)
        model = getattr(transformers, kind).from_pretrained(
            name, config=config, use_safetensors=_has_safetensors(name), weights_only=True, **safe
        )
        return model, tokenizer

    return from_hub(f"hf:{name}", make, copy=lambda: kept_copy(name))


def text_encoder(name, count, pretrained, size):
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    def make():
        safe = _safe()
        config = AutoConfig.from_pretrained(name, **safe)
        if config.is_encoder_decoder:
            raise CourseError(
                f"'hf:{name}' reads one text and writes another; it is no encoder for classes.",
                why=f"It is a {config.model_type} model, with a decoder.",
                do='Take an encoder, e.g. load("hf:bert-base-uncased", ...); load_translator(...) translates.',
            )
        tokenizer = AutoTokenizer.from_pretrained(name, **safe)
        if pretrained:
            return AutoModel.from_pretrained(name, use_safetensors=True, **safe), tokenizer
        return AutoModel.from_config(config), tokenizer

    encoder, tokenizer = from_hub(f"hf:{name}", make, copy=lambda: kept_copy(name))
    known = assets.registry().get(f"hf:{name}")
    home = f"https://huggingface.co/{name}"
    return text_model(f"hf:{name}", encoder, tokenizer, count, pretrained, "see its page", known, home)


def _safe() -> dict[str, bool]:
    from huggingface_hub import constants

    # else transformers asks the hub to convert what is not in safetensors, in a thread of its own, even while offline
    os.environ.setdefault("DISABLE_SAFETENSORS_CONVERSION", "1")
    return {"trust_remote_code": False, "local_files_only": constants.HF_HUB_OFFLINE}


def _has_safetensors(name: str) -> bool:
    from huggingface_hub import constants, file_exists

    safetensors, others = WEIGHTS
    if _cached(name, safetensors):
        return True
    if constants.HF_HUB_OFFLINE or _cached(name, others):
        return False
    return file_exists(name, safetensors)


def _cached(name: str, file: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        path = try_to_load_from_cache(name, file)
    except HFValidationError:  # no name that a repository could have
        return None
    return Path(path) if isinstance(path, str) and os.path.exists(path) else None
