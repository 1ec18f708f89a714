"""The stages of image models: timm's and torchvision's families."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from tlcourse.chain.steps import Part, Step


def parts(model: nn.Module) -> dict[str, list[Part]] | None:
    """Stage name -> the modules applied there, or None for a family that is not known."""
    library = type(model).__module__.split(".")[0]
    adapter = _ADAPTERS.get((library, type(model).__name__))
    try:
        return adapter(model) if adapter else None
    except (AttributeError, TypeError, ValueError):
        return None  # parts were taken away or replaced by others: it is no member of the family any more


class _Dropout:
    """The dropout before the head that timm writes as a function: active when the *model* trains.

    So it is not enough to hold the head's modules when the head is frozen: the rate is put by meanwhile.
    """

    def __init__(self, model: nn.Module, classifier: nn.Module):
        self.model, self.classifier = model, classifier

    def __call__(self, x):
        return F.dropout(x, p=float(self.model.drop_rate), training=self.classifier.training)

    def hold(self, held: bool) -> None:
        if held and self.model.drop_rate:
            self.model.drop_rate_unfrozen, self.model.drop_rate = self.model.drop_rate, 0.0
        elif not held and hasattr(self.model, "drop_rate_unfrozen"):
            self.model.drop_rate = self.model.drop_rate_unfrozen
            del self.model.drop_rate_unfrozen


def _numbered(blocks, name: str = "stage", start: int = 1) -> dict[str, list[Part]]:
    return {f"{name}{i}": [block] for i, block in enumerate(blocks, start)}


def _head(model: nn.Module, classifier: nn.Module) -> list[Part]:
    dropped = model.drop_rate or hasattr(model, "drop_rate_unfrozen")
    return [Step(_Dropout(model, classifier)), classifier] if dropped else [classifier]


# timm ---------------------------------------------------------------------------------------------


def _timm_efficientnet(m):
    return {
        "stem": [m.conv_stem, m.bn1],
        **_numbered(m.blocks),
        "neck": [m.conv_head, m.bn2],
        "pool": [m.global_pool],
        "head": _head(m, m.classifier),
    }


def _timm_mobilenetv3(m):
    return {
        "stem": [m.conv_stem, m.bn1],
        **_numbered(m.blocks),
        "pool": [m.global_pool],
        "neck": [m.conv_head, m.norm_head, m.act2, m.flatten],
        "head": _head(m, m.classifier),
    }


def _timm_resnet(m):
    return {
        "stem": [m.conv1, m.bn1, m.act1, m.maxpool],
        **_numbered([m.layer1, m.layer2, m.layer3, m.layer4]),
        "pool": [m.global_pool],
        "head": _head(m, m.fc),
    }


def _timm_regnet(m):
    return {
        "stem": [m.stem],
        **_numbered([m.s1, m.s2, m.s3, m.s4]),
        "neck": [m.final_conv],
        "pool": [m.head.global_pool],
        "head": [m.head.drop, m.head.fc, m.head.flatten],
    }


def _timm_convnext(m):
    h = m.head
    pooled = [h.global_pool, h.norm, h.flatten] if hasattr(h, "norm") else [h.global_pool]
    last = [h.pre_logits, h.drop, h.fc] if hasattr(h, "norm") else [h.drop, h.fc, h.flatten]
    return {
        "stem": [m.stem],
        **_numbered(m.stages),
        "neck": [m.norm_pre],
        "pool": pooled,
        "head": last,
    }


def _timm_vit(m):
    held = {"cls_token": m.cls_token, "reg_token": getattr(m, "reg_token", None), "pos_embed": m.pos_embed}
    inside = [m.attn_pool] if getattr(m, "attn_pool", None) is not None else []
    return {
        "embeddings": [m.patch_embed, Step(m._pos_embed, [m.pos_drop], held), m.patch_drop, m.norm_pre],
        **_numbered(m.blocks, "layer", 0),
        "neck": [m.norm],
        "pool": [Step(m.pool, inside), m.fc_norm],
        "head": [m.head_drop, m.head],
    }


# torchvision --------------------------------------------------------------------------------------


def _tv_resnet(m):
    return {
        "stem": [m.conv1, m.bn1, m.relu, m.maxpool],
        **_numbered([m.layer1, m.layer2, m.layer3, m.layer4]),
        "pool": [m.avgpool, nn.Flatten()],
        "head": [m.fc],
    }


def _tv_regnet(m):
    return {
        "stem": [m.stem],
        **_numbered(m.trunk_output),
        "pool": [m.avgpool, nn.Flatten()],
        "head": [m.fc],
    }


def _tv_plain(m):
    """VGG and AlexNet: a stage ends where the map is halved."""
    halved: list[list[Part]] = [[]]
    for module in m.features:
        halved[-1].append(module)
        if isinstance(module, nn.MaxPool2d):
            halved.append([])
    return {
        **{f"stage{i}": block for i, block in enumerate((b for b in halved if b), 1)},
        "pool": [m.avgpool, nn.Flatten()],
        "head": [m.classifier],
    }


def _tv_features(m):
    """EfficientNet, MobileNetV2 and V3: `features`, a pool, `classifier` on flat features."""
    first, *rest = m.features
    pool = [m.avgpool] if hasattr(m, "avgpool") else [nn.AdaptiveAvgPool2d(1)]
    return {
        "stem": [first],
        **_numbered(rest),
        "pool": [*pool, nn.Flatten()],
        "head": [m.classifier],
    }


def _tv_convnext(m):
    first, *rest = m.features
    norm, flatten, *linear = m.classifier
    return {
        "stem": [first],
        **_numbered(rest),
        "pool": [m.avgpool, norm, flatten],
        "head": linear,
    }


class _TokensOfImage:
    """torchvision's ViT before its encoder blocks: patches, class token, positions."""

    def __init__(self, model: nn.Module):
        self.model = model

    def __call__(self, x):
        m = self.model
        x = m._process_input(x)
        x = torch.cat([m.class_token.expand(x.shape[0], -1, -1), x], dim=1)
        return m.encoder.dropout(x + m.encoder.pos_embedding)


def _first_token(x):
    return x[:, 0]


def _tv_vit(m):
    held = {"class_token": m.class_token, "pos_embedding": m.encoder.pos_embedding}
    return {
        "embeddings": [Step(_TokensOfImage(m), [m.conv_proj, m.encoder.dropout], held)],
        **_numbered(m.encoder.layers, "layer", 0),
        "neck": [m.encoder.ln],
        "pool": [Step(_first_token)],
        "head": [m.heads],
    }


_ADAPTERS = {
    ("timm", "EfficientNet"): _timm_efficientnet,
    ("timm", "MobileNetV3"): _timm_mobilenetv3,
    ("timm", "ResNet"): _timm_resnet,
    ("timm", "RegNet"): _timm_regnet,
    ("timm", "ConvNeXt"): _timm_convnext,
    ("timm", "VisionTransformer"): _timm_vit,
    ("torchvision", "ResNet"): _tv_resnet,
    ("torchvision", "RegNet"): _tv_regnet,
    ("torchvision", "EfficientNet"): _tv_features,
    ("torchvision", "MobileNetV2"): _tv_features,
    ("torchvision", "MobileNetV3"): _tv_features,
    ("torchvision", "VGG"): _tv_plain,
    ("torchvision", "AlexNet"): _tv_plain,
    ("torchvision", "ConvNeXt"): _tv_convnext,
    ("torchvision", "VisionTransformer"): _tv_vit,
}
