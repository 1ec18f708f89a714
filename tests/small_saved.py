"""Models in small that `save` takes: what `load` gives, and a tokenizer that needs no files."""

from __future__ import annotations

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from tlcourse import load
from tlcourse.models import Card, TextClassifier, TextTransform

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "good", "bad", "film", "dull", "##er", "great"]
TEXTS = ["A good film", "duller", "Bad, bad film! a great deal more than it is", ""]
PICTURES = torch.randint(0, 256, (5, 3, 40, 50), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def word_pieces():
    """A tokenizer like MiniLM's, with its words cut into pieces and special tokens around them."""
    made = Tokenizer(models.WordPiece({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    made.normalizer, made.pre_tokenizer = normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return PreTrainedTokenizerFast(
        tokenizer_object=made, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]",
        model_max_length=32,
    )  # fmt: skip


def text_model(seed=0, max_length=9):
    """What `load("minilm", ...)` gives, in small."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
        encoder = BertModel(BertConfig(vocab_size=len(WORDS), max_position_embeddings=32, **shape))
        model = TextClassifier(encoder, 2).eval()
    model.tokenizer, model.classes = word_pieces(), ("no", "yes, ä")
    model.transform = TextTransform(model.tokenizer, max_length)
    model.card = Card("minilm", "A small one", False, "nothing", "MIT", "here", 5)
    return model


def image_model(name="efficientnet-lite0", **more):
    return load(name, **{"classes": ["Katze", "chien"], "pretrained": False, "size": 32, **more})


def outputs(model, raw):
    with torch.no_grad():
        return model.eval()(model.transform(raw))
