"""Data as torch's own loader takes them: for the peers that bring none of their own."""

from __future__ import annotations

import torch
from tasks import BATCH, Run
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset

from tlcourse.models import Tokens


class Images(Dataset):
    """Raw uint8 images; each goes through the model's own transform when it is asked for."""

    def __init__(self, run: Run):
        self.split, self.transform = run.train, run.model.transform

    def __len__(self) -> int:
        return len(self.split.y)

    def __getitem__(self, i: int):
        return self.transform(self.split.x[i])[0], self.split.y[i]


class Texts(Dataset):
    """Texts, tokenised once; an item is a tensor of token numbers and a label."""

    def __init__(self, run: Run):
        self.ids = [torch.tensor(ids) for ids in tokenised(run)]
        self.lengths = [len(ids) for ids in self.ids]
        self.y = run.train.y

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, i: int):
        return self.ids[i], self.y[i]


def tokenised(run: Run) -> list[list[int]]:
    """Token numbers of all training texts, not padded."""
    transform = run.model.transform
    made = transform.tokenizer(list(run.train.x), truncation=True, max_length=transform.max_length)
    return made["input_ids"]


def padded(items) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Token numbers padded to the longest text of the batch, their mask, and labels."""
    ids, labels = zip(*items, strict=True)
    x = pad_sequence(list(ids), batch_first=True)  # BERT's padding is token 0
    mask = pad_sequence([torch.ones_like(i) for i in ids], batch_first=True)
    return x, mask, torch.stack(labels)


def _tokens(items):
    x, mask, labels = padded(items)
    return Tokens(x, mask), labels


def _pairs(items):
    x, mask, labels = padded(items)
    return (x, mask), labels


def torch_loader(run: Run, pairs: bool = False) -> DataLoader:
    """A `DataLoader` that gives (model input, labels); with `pairs` texts come as (ids, mask) instead of `Tokens`."""
    collate = (_pairs if pairs else _tokens) if run.text else None
    return DataLoader(
        Texts(run) if run.text else Images(run),
        batch_size=BATCH,
        shuffle=True,
        num_workers=run.workers,
        persistent_workers=run.workers > 0,
        collate_fn=collate,
        generator=torch.Generator().manual_seed(run.seed),
    )
