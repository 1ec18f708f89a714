"""`Translator`: a small decoder that writes a translation, piece by piece, while it looks at an encoder's states."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

from tlcourse.errors import CourseError, real_number, whole_number
from tlcourse.models import Tokens
from tlcourse.translation.attention import CrossAttention


class Memory(NamedTuple):
    """What a decoder keeps of the source: keys and values `[n, s, width]`, mask `[n, s]`, and its first state."""

    keys: torch.Tensor
    values: torch.Tensor
    mask: torch.Tensor
    state: torch.Tensor

    def chosen(self, index: torch.Tensor) -> Memory:
        """The memory of some items, in that order."""
        return Memory(self.keys[index], self.values[index], self.mask[index], self.state[:, index])


class Translator(nn.Module):
    """A recurrent decoder (GRU) with cross-attention over the states of an encoder.

    Arguments:
        pieces: how many pieces the translation is written with: `len(words)` of `Subwords`.
        width: of the decoder.
        states: width of the encoder's states; 384 for MiniLM.
        dropout: share of numbers that are dropped while training.
        seed: of the weights.

    `model(tokens, ids)` takes the encoder's states as `Tokens` `[n, s, states]` and the pieces so far `[n, t]`, and
    returns scores for each next piece `[n, t, pieces]`. `model.attend(tokens, ids)` returns the attention as well.
    Pieces go in and come out through the same table (tied embeddings).

    >>> model = Translator(300, width=16, states=8)
    >>> model(Tokens(torch.rand(2, 5, 8), torch.ones(2, 5)), torch.ones(2, 3, dtype=torch.long)).shape
    torch.Size([2, 3, 300])

    Bahdanau, Cho and Bengio 2015; Luong, Pham and Manning 2015; Press and Wolf 2017 (tied); chapter 07-2.
    """

    def __init__(self, pieces: int, width: int = 128, states: int = 384, dropout: float = 0.1, seed: int = 0):
        super().__init__()
        whole_number("pieces", pieces, 4), whole_number("width", width), whole_number("states", states)
        real_number("dropout", dropout, below=1)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(whole_number("seed", seed, 0))
            self.norm = nn.LayerNorm(states)
            self.first = nn.Linear(states, width)
            self.table = nn.Embedding(pieces, width)
            nn.init.normal_(self.table.weight, std=width**-0.5)
            self.recurrent = nn.GRU(width, width, batch_first=True)
            self.attention = CrossAttention(width, states)
            self.join = nn.Linear(2 * width, width)
            self.last = nn.LayerNorm(width)
            self.bias = nn.Parameter(torch.zeros(pieces))
        self.scale = 0.5 * width**0.5
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tokens, ids: torch.Tensor) -> torch.Tensor:
        return self.attend(tokens, ids)[0]

    def attend(self, tokens: Tokens, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Scores `[n, t, pieces]` and attention `[n, t, s]`."""
        scores, weights, _ = self.step(self.read(tokens), ids)
        return scores, weights

    def read(self, tokens: Tokens) -> Memory:
        """What is kept of the source, once for all pieces of the translation."""
        if not isinstance(tokens, Tokens) or tokens.x.ndim != 3 or tokens.x.shape[2] != self.norm.normalized_shape[0]:
            given = list(tokens.x.shape) if isinstance(tokens, Tokens) else type(tokens).__name__
            raise CourseError(
                f"The decoder reads states [n, s, {self.norm.normalized_shape[0]}], and was given {given}.",
                do='Take them before the pool: extract(encoder, data, "layer3"), or read_texts(encoder, texts).',
            )
        x = self.norm(tokens.x)
        weight = tokens.mask.to(x.dtype)[..., None]
        mean = (x * weight).sum(1) / weight.sum(1).clamp(min=1)
        keys, values = self.attention.memory(self.dropout(x))
        return Memory(keys, values, tokens.mask, self.first(mean).tanh()[None].contiguous())

    def step(self, memory: Memory, ids: torch.Tensor, state=None) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Scores for what comes next, attention, and the state to go on from; `ids` are the pieces since `state`."""
        x = self.dropout(self.table(ids) * self.scale)
        x, state = self.recurrent(x, memory.state if state is None else state)
        x = self.dropout(x)
        seen, weights = self.attention.look(x, memory.keys, memory.values, memory.mask)
        y = self.dropout(self.last(x + self.join(torch.cat([x, seen], 2)).tanh()))
        return y @ self.table.weight.T + self.bias, weights, state
