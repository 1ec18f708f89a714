"""`load`: a pretrained model by name."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial

import torch
from torch import nn

from tlcourse import assets, hardware, settings
from tlcourse.errors import CourseError, UnknownName
from tlcourse.models import saved
from tlcourse.models.card import Card
from tlcourse.models.texts import TextClassifier, TextTransform
from tlcourse.models.transforms import ImageTransform

MODELS = ("efficientnet-lite0", "minilm")
"""The models of the small profile: their weights arrive with pip."""

TIMM_NAMES = {"efficientnet-lite0": "tf_efficientnet_lite0"}
HUBS = ("torchvision:", "timm:", "hf:")


def load(
    name: str,
    classes: int | Sequence[str] | None = None,
    *,
    pretrained: bool = True,
    seed: int = 0,
    size: int | None = None,
) -> nn.Module:
    """A model with a new head, its transform, and its card.

    Arguments:
        name: `"efficientnet-lite0"` (images, ImageNet) or `"minilm"` (English texts); with
            `TLCOURSE_PROFILE=full` also `"torchvision:resnet50"`, `"timm:..."` or `"hf:..."` from their hubs.
            Or the path of a file that `save` wrote, which ends with `.safetensors`.
        classes: number of classes or their names; None keeps the head that came with the weights
            (for texts: no head, the output is the text's vector).
        pretrained: False gives the from-scratch twin: the same architecture, random weights.
        seed: of the new head, and of all weights if `pretrained` is False.
        size: side of the images in pixels if not the checkpoint's own; the whole image is then used,
            no border is cut off.

    Returns the model in evaluation mode, on the course's `device()`, with `.transform` (raw images or texts -> model
    input), `.classes`, `.card`, and for texts `.tokenizer`. `model(model.transform(batch))` gives logits
    `[n, classes]`; on a GPU, send the input there first.

    Raises `UnknownName` for a model that does not exist, `CourseError` when weights cannot be had.

    >>> model = load("efficientnet-lite0", classes=["cat", "dog"], pretrained=False, size=64)
    >>> model.classes, model.card.pretrained
    (('cat', 'dog'), False)

    Introduced in chapter 00.
    """
    if isinstance(name, os.PathLike) or (isinstance(name, str) and name.endswith(".safetensors")):
        if classes is not None or not pretrained or size is not None:
            raise CourseError(
                "A saved model has its own classes, size and weights.",
                do=f"Leave out the other arguments: load({str(name)!r}).",
            )
        return saved.read(name).to(hardware.device()).eval()
    names, count = _classes(classes)
    if size is not None and (isinstance(size, bool) or not isinstance(size, int) or not 16 <= size <= 2048):
        raise CourseError(
            f"size={size!r} is not a side of images in pixels.",
            do="Choose a whole number from 16 to 2048, e.g. size=96.",
        )
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63:
        raise CourseError(f"seed={seed!r} is not a seed.", do="Choose a whole number from 0.")
    make = _maker(name)
    if name.startswith(HUBS) and pretrained and settings.profile() != "full":
        raise CourseError(
            f"{name!r} comes from a model hub, and the small profile uses none.",
            why="In the small profile everything arrives with pip, so that the course runs without a network.",
            do=f'Set TLCOURSE_PROFILE=full, or take the from-scratch twin: load("{name}", ..., pretrained=False).',
        )
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)  # before any weight is drawn, and without moving the caller's generator
        model = make(count, pretrained, size)
    model.classes = names or getattr(model, "classes", ()) or tuple(map(str, range(count)))
    return model.to(hardware.device()).eval()


def _classes(classes) -> tuple[tuple[str, ...], int]:
    if classes is None:
        return (), 0
    if isinstance(classes, int) and not isinstance(classes, bool) and classes > 0:
        return (), classes
    if isinstance(classes, Sequence) and not isinstance(classes, str) and classes:
        names = tuple(str(c) for c in classes)
        twice = next((n for n in names if names.count(n) > 1), None)
        if twice is not None:
            raise CourseError(f"The class {twice!r} is named twice.", do="Give each class a name of its own.")
        return names, len(names)
    raise CourseError(
        f"classes={classes!r} is not a set of classes.",
        do='Give a number, e.g. classes=3, or names, e.g. classes=["cat", "dog"] or classes=data.classes.',
    )


def _maker(name: str):
    if name == "efficientnet-lite0":
        return _efficientnet_lite0
    if name == "minilm":
        return _minilm
    for prefix, make in zip(HUBS, (_torchvision, _timm, _hf), strict=True):
        if isinstance(name, str) and name.startswith(prefix):
            return partial(make, name.removeprefix(prefix))
    raise UnknownName(
        "model", name, MODELS, do='Models of a hub are written "timm:...", "torchvision:..." or "hf:...".'
    )


def _efficientnet_lite0(count, pretrained, size):
    import timm
    from timm.data import ImageNetInfo, resolve_model_data_config

    model = timm.create_model(TIMM_NAMES["efficientnet-lite0"], pretrained=False)
    if pretrained:
        file = assets.file("efficientnet-lite0", "efficientnet-lite0.pth")
        weights = torch.load(file, map_location="cpu", weights_only=True)
        # the file's names are another library's; order and shapes are the same
        ours = model.state_dict()
        if [t.shape for t in weights.values()] != [t.shape for t in ours.values()]:
            raise CourseError("The EfficientNet-Lite0 weights do not fit the installed timm.", do="pip install -U timm")
        model.load_state_dict(dict(zip(ours, weights.values(), strict=True)))
    else:
        usual_momentum(model)
    if count:
        model.reset_classifier(count)
    else:  # the twin has the same head, so the same classes
        info = ImageNetInfo()
        model.classes = tuple(info.index_to_description(i).split(",")[0] for i in range(1000))
    asset = assets.registry()["efficientnet-lite0"]
    data = "ImageNet-1k: 1.28 million photographs, 1,000 classes" if pretrained else "nothing"
    model.card = _card("efficientnet-lite0", asset.title, pretrained, data, model, asset)
    model.transform = _image_transform(resolve_model_data_config(model), size)
    return model.to(memory_format=torch.channels_last)  # convolutions on a CPU are faster so


def usual_momentum(model: nn.Module) -> None:
    # This architecture comes from TensorFlow, whose slow averages (0.01) take hundreds of steps to fill. On few data
    # the twin would be scored by statistics that it has hardly seen; torch's own 0.1 gives it a fair chance.
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.1


def _minilm(count, pretrained, size):
    from safetensors.torch import load_file
    from transformers import AutoTokenizer, BertConfig, BertModel
    from transformers.initialization import no_init_weights

    folder = assets.folder("minilm")
    with no_init_weights() if pretrained else nullcontext():  # 22 million random numbers would only be overwritten
        encoder = BertModel(BertConfig.from_json_file(folder / "config.json"), add_pooling_layer=False)
    if pretrained:
        weights = load_file(folder / "model.safetensors")
        missing, extra = encoder.load_state_dict(weights, strict=False)
        left = missing + [k for k in extra if not k.startswith("pooler.") and not k.endswith("position_ids")]
        if left:
            raise CourseError(
                "The MiniLM weights do not fit the installed transformers.", why=f"Missing or left over: {left[:3]}."
            )
    return _text_model(
        "minilm", encoder, AutoTokenizer.from_pretrained(folder, local_files_only=True), count, pretrained,
        "1.17 billion pairs of English sentences (forums, papers, captions, questions)", assets.registry()["minilm"],
    )  # fmt: skip


def _text_model(name, encoder, tokenizer, count, pretrained, data, asset=None):
    model = TextClassifier(encoder, count)
    model.tokenizer, model.transform = tokenizer, TextTransform(tokenizer)
    title = asset.title if asset else f"{encoder.config.model_type} encoder"
    model.card = _card(name, title, pretrained, data if pretrained else "nothing", model, asset)
    return model


def _timm(name, count, pretrained, size):
    import timm
    from timm.data import resolve_model_data_config

    if not timm.is_model(name):
        raise UnknownName("timm model", name, timm.list_models(), do="timm.list_models() shows them all.")
    model = _from_hub(f"timm:{name}", lambda: timm.create_model(name, pretrained=pretrained))
    if count:
        model.reset_classifier(count)
    data = str(model.pretrained_cfg.get("tag") or "see its page") if pretrained else "nothing"
    model.card = _card(f"timm:{name}", f"timm's {name}", pretrained, data, model, source="https://huggingface.co/timm")
    model.transform = _image_transform(resolve_model_data_config(model), size)
    return model


def _torchvision(name, count, pretrained, size):
    import torchvision

    if name not in torchvision.models.list_models(torchvision.models):
        raise UnknownName("torchvision model", name, torchvision.models.list_models(torchvision.models))
    weights = torchvision.models.get_model_weights(name).DEFAULT
    model = _from_hub(
        f"torchvision:{name}", lambda: torchvision.models.get_model(name, weights=weights if pretrained else None)
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
    model.card = _card(
        f"torchvision:{name}", f"torchvision's {name}", pretrained,
        str(weights) if pretrained else "nothing", model, source=weights.meta.get("recipe", "torchvision"),
    )  # fmt: skip
    model.transform = _image_transform(config, size)
    return model


def _hf(name, count, pretrained, size):
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    safe = {"trust_remote_code": False, "local_files_only": settings.offline()}

    def make():
        tokenizer = AutoTokenizer.from_pretrained(name, **safe)
        if pretrained:
            return AutoModel.from_pretrained(name, use_safetensors=True, **safe), tokenizer
        return AutoModel.from_config(AutoConfig.from_pretrained(name, **safe)), tokenizer

    encoder, tokenizer = _from_hub(f"hf:{name}", make)
    return _text_model(f"hf:{name}", encoder, tokenizer, count, pretrained, "see its page")


def _from_hub(name: str, make):
    try:
        return make()
    except (OSError, ValueError, RuntimeError) as error:  # no network; a name the hub refuses; a broken file
        raise CourseError(
            f"{name!r} could not be loaded from its hub.",
            why=next(iter(str(error).splitlines()), type(error).__name__)[:200],
            do="Check the name and the network, or load it once where there is a network: its hub keeps a local copy.",
        ) from error


def replace_last_linear(model: nn.Module, count: int) -> None:
    linear = [(n, m) for n, m in model.named_modules() if isinstance(m, nn.Linear)]
    if not linear:
        raise CourseError(
            f"{type(model).__name__} has no linear layer at its end that could be replaced by a new head.",
            do="Load it with classes=None, or choose another model.",
        )
    path, last = linear[-1]
    parent, _, leaf = path.rpartition(".")
    setattr(model.get_submodule(parent), leaf, nn.Linear(last.in_features, count))


def _image_transform(config: dict, size: int | None) -> ImageTransform:
    height, width = config["input_size"][-2:]
    mode = config.get("crop_mode", "center")
    if height != width or mode not in ("center", "squash"):
        raise CourseError(
            f"This checkpoint expects images of {height} x {width} pixels, prepared by {mode!r}.",
            why="The course prepares square images only, from the centre or squashed.",
            do="Choose another model.",
        )
    return ImageTransform(
        size=size or width,
        crop=1.0 if size else float(config["crop_pct"]),
        interpolation=config["interpolation"],
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        squash=mode == "squash",
    )


def _card(name, title, pretrained, data, model, asset=None, source="") -> Card:
    return Card(
        name=name,
        title=title,
        pretrained=pretrained,
        data=data,
        licence=asset.licence if asset else "see its page",
        source=asset.home if asset else source,
        parameters=sum(p.numel() for p in model.parameters()),
        size=asset.size if asset and pretrained else 0,
    )
