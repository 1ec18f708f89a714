"""Keras 3 on torch: the same torch modules in `TorchModuleWrapper`s, frozen first, called with `training=False`."""

from __future__ import annotations

import os

os.environ["KERAS_BACKEND"] = "torch"

import keras
from loaders import torch_loader
from tasks import Run
from torch import nn

from tlcourse.models import Tokens

PACKAGES = ("keras",)
VARIANTS = ("",)


class Net(keras.Model):
    """Two layers: the frozen stages, always in inference mode, and the stages that train."""

    def __init__(self, run: Run):
        super().__init__()
        front, back = nn.Sequential(*run.frozen_stages()), nn.Sequential(*run.training_stages())
        front.requires_grad_(False)  # before wrapping: the wrapper reads it once
        self.base = keras.layers.TorchModuleWrapper(front) if len(front) else None
        self.rest = keras.layers.TorchModuleWrapper(back)
        self.text = run.text

    def call(self, x, training=None):
        x = Tokens(*x) if self.text else x
        if self.base is not None:
            x = self.base(x, training=False)
        return self.rest(x, training=training)


class AfterEpoch(keras.callbacks.Callback):
    """Keras's own hook at the end of an epoch."""

    def __init__(self, run: Run):
        super().__init__()
        self.run = run

    def on_epoch_end(self, epoch, logs=None):
        self.run.epoch_end()


def train(run: Run, variant: str = "") -> None:
    """Compile and fit, with torch's loader as the data."""
    keras.utils.set_random_seed(run.seed)
    net = Net(run)
    net.compile(
        optimizer=keras.optimizers.AdamW(learning_rate=run.task.lr, weight_decay=0.0, epsilon=1e-8),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    net.fit(torch_loader(run, pairs=True), epochs=run.task.epochs, verbose=0, callbacks=[AfterEpoch(run)])
