"""Lightning: its Trainer, the frozen part by `BackboneFinetuning` or by hand as on its transfer learning page."""

from __future__ import annotations

import logging
import warnings

import lightning
import torch
from lightning.pytorch.callbacks import BackboneFinetuning, Callback
from loaders import torch_loader
from tasks import Run
from torch import nn
from torch.nn import functional as F

PACKAGES = ("lightning",)
VARIANTS = ("BackboneFinetuning", "eval by hand")
BY_HAND = VARIANTS[1]


class Net(lightning.LightningModule):
    """The whole model; `backbone` is what the callback freezes, `rest` what trains."""

    def __init__(self, run: Run):
        super().__init__()
        self.model, self.lr = run.model, run.task.lr
        self.backbone, self.rest = nn.ModuleList(run.frozen_stages()), nn.ModuleList(run.training_stages())

    def training_step(self, batch, number):
        inputs, labels = batch
        return F.cross_entropy(self.model(inputs), labels)

    def configure_optimizers(self):
        return torch.optim.AdamW(self.rest.parameters(), lr=self.lr, weight_decay=0.0)


class AfterEpoch(Callback):
    """Lightning's own hook at the end of an epoch."""

    def __init__(self, run: Run):
        self.run = run

    def on_train_epoch_end(self, trainer, net):
        self.run.epoch_end()


def train(run: Run, variant: str = "") -> None:
    """Train with Lightning's Trainer, without logger, bar, summary and checkpoints."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    lightning.seed_everything(run.seed, verbose=False)
    run.model.train()  # since 2.2 the Trainer leaves the mode of each module as it finds it
    net, callbacks = Net(run), [AfterEpoch(run)]
    if run.task.until is not None and variant == BY_HAND:
        net.backbone.requires_grad_(False)
        net.backbone.eval()
    elif run.task.until is not None:
        callbacks.append(BackboneFinetuning(unfreeze_backbone_at_epoch=10**6, train_bn=False))
    trainer = lightning.Trainer(
        max_epochs=run.task.epochs,
        accelerator="cpu",
        devices=1,
        callbacks=callbacks,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(net, torch_loader(run))
