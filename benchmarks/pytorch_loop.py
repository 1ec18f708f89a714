"""The loop of PyTorch's transfer learning tutorial: `requires_grad = False`, and `model.train()` in every epoch.

The tutorial's validation phase is left out, and so is its reloading of the best epoch.
"""

from __future__ import annotations

import torch
from loaders import torch_loader
from tasks import Run
from torch import nn

PACKAGES = ("torch",)
VARIANTS = ("",)


def train(run: Run, variant: str = "") -> None:
    """Train as the tutorial does: a fixed feature extractor, or all layers."""
    model, criterion = run.model, nn.CrossEntropyLoss()
    for stage in run.frozen_stages():
        for parameter in stage.parameters():
            parameter.requires_grad = False
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=run.task.lr, weight_decay=0.0)
    batches = torch_loader(run)
    for _ in range(run.task.epochs):
        model.train()
        total, right = 0.0, 0
        for inputs, labels in batches:
            optimizer.zero_grad()
            outputs = model(inputs)
            loss = criterion(outputs, labels)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(labels)
            right += torch.sum(outputs.argmax(1) == labels)
        run.epoch_end()
