"""`load`: a pretrained model by name."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial

import torch
from torch import nn

from tlcourse import assets, hardware
from tlcourse.assets.hubs import check_profile
from tlcourse.errors import CourseError, UnknownName
from tlcourse.models import hubs, huggingface, saved
from tlcourse.models.making import image_transform, make_card, text_model, usual_momentum

MODELS = ("efficientnet-lite0", "minilm")
"""The models of the small profile: their weights arrive with pip."""

TIMM_NAMES = {"efficientnet-lite0": "tf_efficientnet_lite0"}


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
    if name.startswith(hubs.HUBS) and pretrained:
        check_profile(name, f'take the from-scratch twin: load("{name}", ..., pretrained=False)')
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
    for prefix, make in zip(
        hubs.HUBS, (hubs.torchvision_model, hubs.timm_model, huggingface.text_encoder), strict=True
    ):
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
    model.card = make_card("efficientnet-lite0", asset.title, pretrained, data, model, asset)
    model.transform = image_transform(resolve_model_data_config(model), size)
    return model.to(memory_format=torch.channels_last)  # convolutions on a CPU are faster so


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
    return text_model(
        "minilm", encoder, AutoTokenizer.from_pretrained(folder, local_files_only=True), count, pretrained,
        "1.17 billion pairs of English sentences (forums, papers, captions, questions)", assets.registry()["minilm"],
    )  # fmt: skip
