"""The stages of a Marian translation model: what has read the source, then what writes the target.

The chain maps `Pair(source ids, mask, target ids)` to the logits of the next piece at every place of the target.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from tlcourse.chain.steps import Part, Step


class Pair(NamedTuple):
    """What flows along the chain of a translation model.

    `x` holds the source: piece numbers `[n, s]` before the embeddings and vectors `[n, s, d]` after them; `mask`
    `[n, s]` is 0 where there is padding; `y` holds the beginning of the target, `[n, t]` and `[n, t, d]`.

    >>> ids = torch.ones(2, 5, dtype=torch.long)
    >>> Pair(ids, ids, ids).to("cpu").y.shape
    torch.Size([2, 5])
    """

    x: torch.Tensor
    mask: torch.Tensor
    y: torch.Tensor

    def to(self, device) -> Pair:
        """The same on a device."""
        return Pair(*(part.to(device) for part in self))


def parts(model: nn.Module) -> dict[str, list[Part]] | None:
    """Stage name -> the modules applied there, or None for another family.

    The table of pieces is read by both sides and writes as well; so it stands in `embeddings`, and freezing that stage
    freezes the scores of the pieces too. All that `head` has of its own is a bias that is never trained.
    """
    if type(model).__name__ != "MarianMTModel":
        return None
    body = model.model
    tables = [body.encoder.embed_tokens, body.encoder.embed_positions, body.decoder.embed_tokens]
    tables += [body.decoder.embed_positions, model.lm_head, *([body.shared] if hasattr(body, "shared") else [])]
    chain: dict[str, list[Part]] = {"embeddings": [Step(_Embed(body), tables)]}
    for i, layer in enumerate(body.encoder.layers):
        chain[f"layer{i}"] = [Step(_Read(layer, body.encoder.config), [layer])]
    for i, layer in enumerate(body.decoder.layers):
        chain[f"decoder{i}"] = [Step(_Write(layer, body.decoder.config), [layer])]
    chain["head"] = [Step(_Scores(model), parameters={"bias": model.final_logits_bias})]
    return chain


class _Embed:
    def __init__(self, body: nn.Module):
        self.body = body

    def hold(self, held: bool) -> None:
        """The dropout behind the embeddings belongs to no module, so it is put by while they are frozen."""
        for side in (self.body.encoder, self.body.decoder):
            side.dropout = 0.0 if held else side.config.dropout

    def __call__(self, pair: Pair) -> Pair:
        x, y = (self._side(side, ids) for side, ids in ((self.body.encoder, pair.x), (self.body.decoder, pair.y)))
        return Pair(x, pair.mask, y)

    def _side(self, side: nn.Module, ids: torch.Tensor) -> torch.Tensor:
        x = side.embed_tokens(ids) * side.embed_scale
        return F.dropout(x + side.embed_positions(ids.shape), side.dropout, self.body.training)


class _Read:
    def __init__(self, layer: nn.Module, config):
        self.layer, self.config = layer, config

    def __call__(self, pair: Pair) -> Pair:
        from transformers.masking_utils import create_bidirectional_mask

        mask = create_bidirectional_mask(config=self.config, inputs_embeds=pair.x, attention_mask=pair.mask)
        return pair._replace(x=self.layer(pair.x, mask))


class _Write:
    def __init__(self, layer: nn.Module, config):
        self.layer, self.config = layer, config

    def __call__(self, pair: Pair) -> Pair:
        from transformers.masking_utils import create_bidirectional_mask

        t = pair.y.shape[1]  # a place sees itself and what comes before it
        before = pair.y.new_full((t, t), torch.finfo(pair.y.dtype).min).triu(1)[None, None]
        source = create_bidirectional_mask(
            config=self.config, inputs_embeds=pair.y, attention_mask=pair.mask, encoder_hidden_states=pair.x
        )
        y = self.layer(pair.y, before, pair.x, encoder_attention_mask=source, use_cache=False)
        return pair._replace(y=y[0] if isinstance(y, tuple) else y)


class _Scores:
    def __init__(self, model: nn.Module):
        self.model = model

    def __call__(self, pair: Pair) -> torch.Tensor:
        return self.model.lm_head(pair.y) + self.model.final_logits_bias
