"""Hugging Face's Trainer: its loop, its collator with dynamic padding, its grouping of texts by length."""

from __future__ import annotations

import tempfile

from loaders import Images, tokenised
from tasks import BATCH, Run
from torch import nn
from torch.nn import functional as F
from transformers import DataCollatorWithPadding, Trainer, TrainerCallback, TrainingArguments

from tlcourse.models import Tokens

PACKAGES = ("transformers", "accelerate")
VARIANTS = ("",)


class ForTrainer(nn.Module):
    """The same model with the signature that Trainer asks for: named inputs in, loss and logits out."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, pixel_values=None, input_ids=None, attention_mask=None, labels=None):
        x = pixel_values if input_ids is None else Tokens(input_ids, attention_mask)
        logits = self.model(x)
        return {"loss": F.cross_entropy(logits, labels), "logits": logits}


class NamedImages(Images):
    """Items as dicts, which Trainer's usual collator puts together."""

    def __getitem__(self, i: int):
        x, label = super().__getitem__(i)
        return {"pixel_values": x, "labels": label}


class AfterEpoch(TrainerCallback):
    """Trainer's own hook at the end of an epoch."""

    def __init__(self, run: Run):
        self.run = run

    def on_epoch_end(self, args, state, control, **more):
        self.run.epoch_end()


def train(run: Run, variant: str = "") -> None:
    """Train with Trainer; what is frozen has `requires_grad = False`, as its documentation says."""
    for stage in run.frozen_stages():
        for parameter in stage.parameters():
            parameter.requires_grad = False
    if run.text:
        pairs = zip(tokenised(run), run.train.y.tolist(), strict=True)
        items = [{"input_ids": ids, "attention_mask": [1] * len(ids), "labels": label} for ids, label in pairs]
    else:
        items = NamedImages(run)
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            num_train_epochs=run.task.epochs,
            per_device_train_batch_size=BATCH,
            learning_rate=run.task.lr,
            lr_scheduler_type="constant",
            weight_decay=0.0,
            max_grad_norm=0.0,  # by default it clips gradients at 1, which nobody else does
            train_sampling_strategy="group_by_length" if run.text else "random",
            dataloader_num_workers=run.workers,
            remove_unused_columns=False,
            seed=run.seed,
            use_cpu=True,
            report_to="none",
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
        )
        trainer = Trainer(
            model=ForTrainer(run.model),
            args=arguments,
            train_dataset=items,
            data_collator=DataCollatorWithPadding(run.model.tokenizer) if run.text else None,
            callbacks=[AfterEpoch(run)],
        )
        trainer.train()
