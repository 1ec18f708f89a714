"""Networks and data small enough that a test of training takes milliseconds."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import nn

from tlcourse.datasets import Split
from tlcourse.models import TextClassifier, Tokens

CLASSES = ("dark", "light")


@dataclass(frozen=True)
class Scale:
    """uint8 images -> float input."""

    mean: float = 0.5

    def __call__(self, x):
        return x.float() / 255 - self.mean


@dataclass(frozen=True)
class Letters:
    """Texts -> `Tokens` of their letters, padded to the longest."""

    longest: int = 20

    def __call__(self, texts):
        numbers = [[1 + ord(c) % 30 for c in text[: self.longest]] for text in texts]
        width = max(map(len, numbers))
        return Tokens(
            torch.tensor([row + [0] * (width - len(row)) for row in numbers]),
            torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in numbers]),
        )


def images(n: int = 24, seed: int = 0, size: int = 8) -> Split:
    """Dark and light images, in turn."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % 2
    x = torch.randint(0, 160, (n, 3, size, size), generator=generator) + 60 * y[:, None, None, None]
    return Split("train", "image", x.to(torch.uint8), y, CLASSES, tuple(f"image{i}" for i in range(n)))


def texts(n: int = 24) -> Split:
    """Texts of 1 to 18 letters, of many lengths, not in the order of their lengths."""
    x = tuple("aeiou"[i % 5] * (1 + 7 * i % 18) + "xz"[i % 2] for i in range(n))
    return Split("train", "text", x, torch.arange(n) % 2, CLASSES, tuple(f"text{i}" for i in range(n)))


def image_net(seed: int = 0, dropout: float = 0.0, classes: int = 2) -> nn.Sequential:
    """stem -> body -> neck -> pool -> head, with BatchNorm, an in-place ReLU and a dropout."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = nn.Sequential(
            OrderedDict(
                stem=nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.BatchNorm2d(4)),
                body=nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(4, 6, 3, padding=1), nn.BatchNorm2d(6)),
                neck=nn.Sequential(nn.ReLU(), nn.Conv2d(6, 8, 1), nn.BatchNorm2d(8), nn.ReLU()),
                pool=nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
                head=nn.Sequential(nn.Dropout(dropout), nn.Linear(8, classes)),
            )
        )
        torch.manual_seed(seed + 1)  # whatever the head has drawn
        for module in net.modules():  # statistics as after a training
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.uniform_(-0.2, 0.2)
                module.running_var.uniform_(0.5, 1.5)
    net.transform = Scale()
    return net.eval()


def text_net(seed: int = 0, dropout: float = 0.1) -> TextClassifier:
    """embeddings -> layer0 -> ... -> layer3 -> pool -> head, with dropout everywhere."""
    from transformers import BertConfig, BertModel

    shape = {"hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 32}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = BertModel(BertConfig(vocab_size=40, max_position_embeddings=32, **shape), add_pooling_layer=False)
        net = TextClassifier(encoder, classes=2, dropout=dropout)
    net.transform = Letters()
    return net.eval()
