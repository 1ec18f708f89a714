"""`CrossAttention`: each word of the translation looks at the words of the source."""

from __future__ import annotations

from math import sqrt

import torch
from torch import nn


class CrossAttention(nn.Module):
    """Scaled dot-product attention from one sequence to another, with one head, so that it can be drawn.

    Arguments:
        width: of what looks, and of what comes back.
        states: width of what is looked at.

    `forward(x, states, mask)` takes `[n, t, width]`, `[n, s, states]` and `[n, s]` (1 where there is a word), and
    returns what was seen, `[n, t, width]`, and the weights `[n, t, s]`, which sum to one over the source.

    >>> seen, weights = CrossAttention(8, 6)(torch.rand(2, 3, 8), torch.rand(2, 5, 6), torch.ones(2, 5))
    >>> seen.shape, weights.sum(2).allclose(torch.ones(2, 3))
    (torch.Size([2, 3, 8]), True)

    Bahdanau, Cho and Bengio 2015; Vaswani et al. 2017; chapter 07-2.
    """

    def __init__(self, width: int, states: int):
        super().__init__()
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(states, width)
        self.value = nn.Linear(states, width)

    def forward(self, x: torch.Tensor, states: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.look(x, *self.memory(states), mask)

    def memory(self, states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values of the source: the same for every word of the translation."""
        return self.key(states), self.value(states)

    def look(self, x, keys, values, mask) -> tuple[torch.Tensor, torch.Tensor]:
        """What `x` sees in keys and values, and the weights."""
        scores = self.query(x) @ keys.transpose(1, 2) / sqrt(keys.shape[2])
        weights = scores.masked_fill(mask[:, None] == 0, float("-inf")).softmax(2)
        return weights @ values, weights
