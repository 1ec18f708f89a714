"""The stages of text models: the course's own classifier and Hugging Face's BERT family.

Every stage before the pool maps `Tokens(x, mask)` to `Tokens(x, mask)`.
"""

from __future__ import annotations

from torch import nn

from tlcourse.chain.steps import Part, Step
from tlcourse.models.texts import TextClassifier, Tokens

_FAMILIES = ("bert", "roberta", "xlm-roberta", "camembert", "distilbert")


def parts(model: nn.Module) -> dict[str, list[Part]] | None:
    """Stage name -> the modules applied there, or None for a family that is not known."""
    encoder = model.encoder if isinstance(model, TextClassifier) else getattr(model, "base_model", None)
    config = getattr(encoder, "config", None)
    family = getattr(config, "model_type", None)
    if family not in _FAMILIES or getattr(config, "is_decoder", False):  # a decoder's mask is another
        return None
    if isinstance(model, TextClassifier):
        return {**_encoder(encoder), "pool": [model.pool], "head": [model.dropout, model.head]}
    chain = _encoder(encoder)
    if getattr(encoder, "pooler", None) is not None:
        chain["pool"] = [Step(_Pooled(encoder.pooler), [encoder.pooler])]
    if model is encoder:
        return chain
    if type(model).__name__.endswith("ForQuestionAnswering"):  # two scores for each token
        inside = [model.dropout, model.qa_outputs] if family == "distilbert" else [model.qa_outputs]
        return chain | {"head": [Step(_OfTokens(inside), inside)]}
    if not type(model).__name__.endswith("ForSequenceClassification"):
        return None
    if "pool" not in chain:
        chain["pool"] = [Step(_first_token)]
    if family == "distilbert":
        chain["head"] = [model.pre_classifier, nn.ReLU(), model.dropout, model.classifier]
    elif family == "bert":
        chain["head"] = [model.dropout, model.classifier]
    else:  # RoBERTa's head takes the first token out of the sequence by itself
        chain["head"] = [Step(_OfSequence(model.classifier), [model.classifier])]
    return chain


def _encoder(encoder: nn.Module) -> dict[str, list[Part]]:
    layers = (encoder.transformer if hasattr(encoder, "transformer") else encoder.encoder).layer
    chain: dict[str, list[Part]] = {"embeddings": [Step(_Embed(encoder.embeddings), [encoder.embeddings])]}
    for i, layer in enumerate(layers):
        chain[f"layer{i}"] = [Step(_Layer(layer, encoder.config), [layer])]
    return chain


class _Embed:
    def __init__(self, embeddings: nn.Module):
        self.embeddings = embeddings

    def __call__(self, tokens: Tokens) -> Tokens:
        return Tokens(self.embeddings(tokens.x), tokens.mask)


class _Layer:
    def __init__(self, layer: nn.Module, config):
        self.layer, self.config = layer, config

    def __call__(self, tokens: Tokens) -> Tokens:
        from transformers.masking_utils import create_bidirectional_mask

        mask = create_bidirectional_mask(config=self.config, inputs_embeds=tokens.x, attention_mask=tokens.mask)
        x = self.layer(tokens.x, mask)
        return Tokens(x[0] if isinstance(x, tuple) else x, tokens.mask)


class _Pooled:
    def __init__(self, pooler: nn.Module):
        self.pooler = pooler

    def __call__(self, tokens: Tokens):
        return self.pooler(tokens.x)


class _OfTokens:
    def __init__(self, modules: list[nn.Module]):
        self.modules = modules

    def __call__(self, tokens: Tokens):
        x = tokens.x
        for module in self.modules:
            x = module(x)
        return x


class _OfSequence:
    def __init__(self, head: nn.Module):
        self.head = head

    def __call__(self, x):
        return self.head(x[:, None])


def _first_token(tokens: Tokens):
    return tokens.x[:, 0]
