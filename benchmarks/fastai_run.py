"""fastai: its Learner at a constant rate (`fit`), frozen by groups; texts in its loader that sorts by length.

`fine_tune` and `fit_one_cycle` change the learning rate as they go, which no other peer here does.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from fastai.callback.core import Callback, CancelValidException
from fastai.callback.training import BnFreeze
from fastai.data.core import DataLoaders
from fastai.data.load import DataLoader
from fastai.learner import Learner
from fastai.optimizer import OptimWrapper
from fastai.text.data import SortedDL
from loaders import Images, Texts, padded
from tasks import BATCH, Run
from torch import nn

from tlcourse.models import Tokens

PACKAGES = ("fastai",)
VARIANTS = ("train_bn (default)", "BnFreeze")
HELD = VARIANTS[1]


class OfTokens(nn.Module):
    """A text model that takes ids and mask one by one, as fastai hands them over."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, ids, mask):
        return self.model(Tokens(ids, mask))


class Scoring(Callback):
    """Scores in the place of fastai's own validation."""

    def __init__(self, ours: Run):
        self.ours = ours  # a callback's `run` is fastai's own

    def before_validate(self):
        self.ours.epoch_end()
        raise CancelValidException()


def train(run: Run, variant: str = "") -> None:
    """Train with a Learner; by default (`train_bn=True`) BatchNorm trains even in frozen groups."""
    np.random.seed(run.seed)  # SortedDL draws from it
    torch.manual_seed(run.seed)
    if run.text:
        texts = Texts(run)
        loader = SortedDL(
            texts, res=texts.lengths, bs=BATCH, shuffle=True, create_batch=padded, num_workers=run.workers
        )
    else:
        loader = DataLoader(Images(run), bs=BATCH, shuffle=True, num_workers=run.workers)
    groups = [g for g in (run.frozen_stages(), run.training_stages()) if g]
    held = variant == HELD
    learner = Learner(
        DataLoaders(loader, loader, device=torch.device("cpu")),
        OfTokens(run.model) if run.text else run.model,
        loss_func=nn.CrossEntropyLoss(),
        opt_func=partial(OptimWrapper, opt=torch.optim.AdamW),
        lr=run.task.lr,
        wd=0.0,
        splitter=lambda _: [[p for stage in group for p in stage.parameters()] for group in groups],
        train_bn=not held,
        cbs=[Scoring(run), *([BnFreeze()] if held else [])],
    )
    if run.task.until is not None:
        learner.freeze()
    with learner.no_bar(), learner.no_logging():
        learner.fit(run.task.epochs)
