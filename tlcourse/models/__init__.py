"""Pretrained models by name, each with its transform, its card and a new head."""

from tlcourse.models.card import Card
from tlcourse.models.keras_hub import keras_resnet50
from tlcourse.models.loading import MODELS, load
from tlcourse.models.saved import save
from tlcourse.models.texts import MeanPool, TextClassifier, TextTransform, Tokens
from tlcourse.models.transforms import ImageTransform

__all__ = [
    "MODELS",
    "Card",
    "ImageTransform",
    "MeanPool",
    "TextClassifier",
    "TextTransform",
    "Tokens",
    "keras_resnet50",
    "load",
    "save",
]
