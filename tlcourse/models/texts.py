"""Texts to tokens, and a classifier over a BERT-family encoder."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn

from tlcourse.errors import CourseError


class Tokens(NamedTuple):
    """What flows along a text chain.

    `x` holds token ids `[n, t]` before the embeddings and vectors `[n, t, d]` after them; `mask` `[n, t]` is 1
    where there is a token and 0 where there is padding.

    >>> import torch
    >>> Tokens(torch.ones(2, 5, dtype=torch.long), torch.ones(2, 5, dtype=torch.long)).x.shape
    torch.Size([2, 5])
    """

    x: torch.Tensor
    mask: torch.Tensor

    def to(self, device) -> Tokens:
        """The same tokens on a device."""
        return Tokens(self.x.to(device), self.mask.to(device))


class MeanPool(nn.Module):
    """The mean of the token vectors, padding left out: `Tokens` `[n, t, d]` -> `[n, d]`.

    >>> import torch
    >>> MeanPool()(Tokens(torch.tensor([[[2.0], [4.0], [99.0]]]), torch.tensor([[1, 1, 0]])))
    tensor([[3.]])
    """

    def forward(self, tokens: Tokens) -> torch.Tensor:
        weight = tokens.mask.to(tokens.x.dtype)[..., None]
        return (tokens.x * weight).sum(1) / weight.sum(1).clamp(min=1)


class TextClassifier(nn.Module):
    """Encoder, mean over the tokens, dropout, linear head: `Tokens` of ids `[n, t]` -> logits `[n, classes]`.

    Arguments:
        encoder: a BERT-family model; its pooler, if it has one, is taken away, since the mean takes its place.
        classes: number of classes; 0 for no head: the output is then the text's vector `[n, d]`.
        dropout: share of the text's vector that is dropped while training.

    Introduced in chapter 04.
    """

    def __init__(self, encoder: nn.Module, classes: int = 0, dropout: float = 0.1):
        super().__init__()
        if getattr(encoder, "pooler", None) is not None:
            encoder.pooler = None
        self.encoder = encoder
        self.pool = MeanPool()
        self.dropout = nn.Dropout(dropout if classes else 0.0)
        self.head = nn.Linear(encoder.config.hidden_size, classes) if classes else nn.Identity()

    def forward(self, tokens: Tokens) -> torch.Tensor:
        x = self.encoder(input_ids=tokens.x, attention_mask=tokens.mask).last_hidden_state
        return self.head(self.dropout(self.pool(Tokens(x, tokens.mask))))


class TextTransform:
    """Texts to `Tokens`, with the checkpoint's own tokenizer; a batch is padded to its longest text.

    Arguments:
        tokenizer: a Hugging Face tokenizer.
        max_length: longer texts are cut off after this many tokens.
    """

    def __init__(self, tokenizer, max_length: int = 128):
        self.tokenizer, self.max_length = tokenizer, max_length

    def __call__(self, texts: str | Sequence[str]) -> Tokens:
        texts = [texts] if isinstance(texts, str) else list(texts)
        if not texts:
            raise CourseError("There are no texts to transform.", do="Pass at least one.")
        wrong = [type(t).__name__ for t in texts if not isinstance(t, str)]
        if wrong:
            raise CourseError(
                f"Something of type {wrong[0]} stands where a text belongs.", do="Pass a list of strings."
            )
        made = self.tokenizer(
            texts, padding=True, truncation=True, max_length=self.max_length, padding_side="right", return_tensors="pt"
        )
        return Tokens(made["input_ids"], made["attention_mask"])

    def __repr__(self) -> str:
        cut = getattr(self.tokenizer, "truncation_side", "right")
        side = "" if cut == "right" else f", truncation_side={cut!r}"
        return f"TextTransform(tokenizer={self._hash()}, max_length={self.max_length}{side})"

    def _hash(self) -> str:
        backend = getattr(self.tokenizer, "backend_tokenizer", None)
        if backend is None:
            return type(self.tokenizer).__name__ + repr(sorted(self.tokenizer.get_vocab().items()))
        # padding and truncation are set by each call and are no part of what the tokenizer is; they stand first
        _, name, rest = backend.to_str().partition('"added_tokens"')
        return hashlib.sha256((name + rest).encode()).hexdigest()[:16]
