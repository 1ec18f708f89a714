"""`save` and reading back: a model ready for use in one file, with classes, transform, tokenizer and card inside."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from tlcourse.digest import digest
from tlcourse.errors import CourseError
from tlcourse.models.card import Card
from tlcourse.models.texts import TextClassifier, TextTransform
from tlcourse.models.transforms import ImageTransform

FORMAT = "tlcourse model 1"


def save(model: nn.Module, path: str | os.PathLike) -> Path:
    """Write a model for later use: weights, class names, transform and card, in one safetensors file.

    `load(path)` makes it again, on any machine, without a network and without what it was made from. A LoRA detour is
    added to the matrices it stands beside, so the file needs no peft.

    Arguments:
        model: a model that `load` made, trained or not.
        path: a file that ends with `.safetensors`; an older one is replaced, whole or not at all.

    Returns the path. Raises `CourseError` for a model that `load` did not make.

    >>> import tempfile
    >>> from tlcourse import load
    >>> model = load("efficientnet-lite0", classes=["cat", "dog"], pretrained=False, size=32)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     again = load(save(model, f"{folder}/pets.safetensors"))
    >>> again.classes, again.transform == model.transform
    (('cat', 'dog'), True)

    Introduced in chapter 04.
    """
    path = Path(path).expanduser()
    if path.suffix != ".safetensors":
        raise CourseError(f"{str(path)!r} is no name for a saved model.", do='End it with ".safetensors".')
    card, transform = getattr(model, "card", None), getattr(model, "transform", None)
    if not isinstance(card, Card) or not isinstance(transform, (ImageTransform, TextTransform)):
        raise CourseError(
            "Only models that load(...) made, with their own transform, can be saved for later use.",
            why="Another program could not make this one again from a file of tensors.",
            do="Keep its weights instead: torch.save(model.state_dict(), path).",
        )
    about = {
        "format": FORMAT,
        "classes": json.dumps(list(model.classes)),
        "card": json.dumps(asdict(card)),
        "transform": json.dumps(_described(transform)),
    }
    if isinstance(model, TextClassifier):
        about["encoder"] = model.encoder.config.to_json_string(use_diff=False)
        about["tokenizer"] = model.tokenizer.backend_tokenizer.to_str()
        about["tokens"] = json.dumps(
            {**model.tokenizer.special_tokens_map, "model_max_length": min(model.tokenizer.model_max_length, 10**9)}
        )
    work = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        state = merged_state(model)
        save_file(state, work, metadata=about | {"sha256": _sum(about, state)})
        with open(work, "r+b") as file:
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        work.chmod(0o666 & ~mask)  # the library makes it its owner's alone
        os.replace(work, path)
    except (OSError, SafetensorError) as error:
        raise CourseError(
            f"The model could not be saved as {str(path)!r}.",
            why=f"{error}",
            do="Choose a folder with room that you may write to; the model in memory is as it was.",
        ) from error
    finally:
        with suppress(OSError):
            work.unlink(missing_ok=True)
    return path


def merged_state(model: nn.Module) -> dict[str, torch.Tensor]:
    """The tensors of a model by name; with LoRA those of the plain model that computes the same."""
    state = {name: tensor.detach().cpu() for name, tensor in model.state_dict().items() if "lora_" not in name}
    for path, module in model.named_modules():
        detour = hasattr(module, "lora_A") and hasattr(module, "get_delta_weight")
        if detour and not module.merged and not module.disable_adapters:
            name = f"{path}.base_layer.weight"
            state[name] = state[name] + sum(module.get_delta_weight(a).detach().cpu() for a in module.active_adapters)
    return {name.replace(".base_layer.", "."): tensor.clone().contiguous() for name, tensor in state.items()}


def read(path: str | os.PathLike) -> nn.Module:
    """The model that `save` wrote, on the CPU and in evaluation mode."""
    path = Path(path).expanduser()
    if not path.is_file():
        raise CourseError(
            f"There is no file {str(path)!r}.", do="Check the name; save(model, path) writes such a file."
        )
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError) as error:
        raise CourseError(
            f"{str(path)!r} cannot be read.", why="It is damaged, or no safetensors file.", do="Save the model again."
        ) from error
    if about.get("format") != FORMAT:
        raise CourseError(
            f"{str(path)!r} holds tensors, but not a model of this course.",
            why="Files written by save(model, path) say so inside; another version of the course may write others.",
            do="Load the model by its name, then model.load_state_dict(...).",
        )
    try:
        model = _rebuilt(about, state)
    except (KeyError, TypeError, ValueError) as error:  # json's own error is a ValueError
        raise CourseError(
            f"What {str(path)!r} says of its model cannot be understood.",
            why=f"It was changed, or written by another version of the course ({type(error).__name__}: {error}).",
            do="Save the model again.",
        ) from error
    except RuntimeError as error:
        raise CourseError(
            f"The weights in {str(path)!r} do not fit the model {json.loads(about['card'])['name']!r}.",
            why="Its head or another part was replaced before saving, or an installed library makes it otherwise now.",
            do="Load the model by its name, put your own head on it, then model.load_state_dict(...).",
        ) from error

    if about.get("sha256") != _sum(about, state):
        raise CourseError(
            f"What {str(path)!r} holds is not what was saved.",
            why="The file was damaged or changed since.",
            do="Save the model again, or copy the file anew.",
        )
    return model


def _sum(about: dict[str, str], state: dict[str, torch.Tensor]) -> str:
    told = sorted((name, text) for name, text in about.items() if name != "sha256")
    return hashlib.sha256(f"{told}{digest(state)}".encode()).hexdigest()


def _rebuilt(about: dict[str, str], state: dict[str, torch.Tensor]) -> nn.Module:
    card, classes = Card(**json.loads(about["card"])), tuple(json.loads(about["classes"]))
    model = _made(card, len(classes), about)
    model.load_state_dict(state)
    model.card, model.classes = card, classes
    described = json.loads(about["transform"])
    if isinstance(model, TextClassifier):
        model.tokenizer = _tokenizer(about)
        model.transform = TextTransform(model.tokenizer, **described)
    else:
        model.transform = ImageTransform(**{k: tuple(v) if isinstance(v, list) else v for k, v in described.items()})
    return model


def _described(transform) -> dict:
    return asdict(transform) if isinstance(transform, ImageTransform) else {"max_length": transform.max_length}


def _made(card: Card, count: int, about: dict) -> nn.Module:
    from tlcourse.models import loading, making

    if "encoder" in about:
        from transformers import AutoConfig, AutoModel

        config = json.loads(about["encoder"])
        encoder = AutoModel.from_config(AutoConfig.for_model(config.pop("model_type"), **config))
        return TextClassifier(encoder, count)
    kind, _, rest = card.name.rpartition(":")
    if kind == "torchvision":
        import torchvision

        model = torchvision.models.get_model(rest, weights=None)
        if count:
            making.replace_last_linear(model, count)
        return model
    import timm

    model = timm.create_model(loading.TIMM_NAMES.get(card.name, rest), pretrained=False)
    if count:
        model.reset_classifier(count)
    if card.name not in loading.TIMM_NAMES:
        return model
    if not card.pretrained:
        making.usual_momentum(model)
    return model.to(memory_format=torch.channels_last)  # as `load` lays it out: another layout rounds otherwise


def _tokenizer(about: dict):
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(about["tokenizer"]), **json.loads(about["tokens"])
    )
