"""How long the steps of the full profile take on this machine, with random weights in the true shapes.

    python benchmarks/full_profile.py > benchmarks/full_profile.md

Time depends on the shapes, not on what the weights have learned. Exceptions: a detector of random weights may answer
with fewer boxes than a trained one, and a translator that never says "end" writes to the last piece it may. Nothing is
fetched but the small profile's data and word pieces.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator

import torch
from machine import describe, in_words
from transformers import (
    BertConfig,
    BertModel,
    DistilBertConfig,
    DistilBertForQuestionAnswering,
    MarianConfig,
    MarianMTModel,
)

from tlcourse import (
    country_questions,
    device,
    extract,
    fit,
    fit_reader,
    freeze,
    load,
    load_dataset,
    load_detector,
    lora,
)
from tlcourse.answering.hub import as_reader
from tlcourse.datasets import Split
from tlcourse.models import TextClassifier
from tlcourse.translation.hub import HubTranslator

HERE = device()
Row = tuple[str, str, int, Callable[[int], object]]  # chapter, what, how many items, what to do with so many


class Pieces:
    """A tokenizer that is called as Marian's is."""

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer

    def __call__(self, text=None, text_target=None, **more):
        return self.tokenizer(text or text_target, **more)

    def batch_decode(self, ids, **more):
        return self.tokenizer.batch_decode(ids, **more)


def pictures(n: int = 2000, size: int = 64) -> Split:
    """Noise: where a network looks at each pixel, it costs what a photograph costs."""
    x = torch.randint(0, 256, (n, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return Split("train", "image", x, torch.arange(n) % 2, ("0", "1"), tuple(map(str, range(n))))


def images() -> Iterator[Row]:
    """ResNet-50 of chapters 03 and 04, and the maps of chapter 06-3."""
    data, body = pictures(), load("efficientnet-lite0", pretrained=False, size=128)
    for size in (96, 224):
        net = load("torchvision:resnet50", 2, pretrained=False, size=size)
        yield (
            "03",
            f"ResNet-50, {size} pixels: extract",
            2000,
            lambda n, m=net: extract(m, data[:n], "pool", cache=False),
        )
    yield "04", "ResNet-50, 224 pixels: an epoch, all trains", 2000, lambda n, m=net: fit(m, data[:n], epochs=1)
    yield (
        "06-3", "EfficientNet-Lite0, 128 pixels: extract two stages", 500,
        lambda n: extract(body, data[:n], ["stage1", "stage3"], cache=False),
    )  # fmt: skip


def texts(small) -> Iterator[Row]:
    """BERT base of chapter 04, and the reviews of chapter 07-1."""
    reviews = load_dataset("sentiment", domain="movie").train
    ways = {"the last two layers train": lambda m: freeze(m, "layer9"), "all trains": lambda m: m, "LoRA": lora}
    for what, prepare in ways.items():
        model = TextClassifier(BertModel(BertConfig(), add_pooling_layer=False), classes=2).to(HERE)
        model.transform, model.classes = small.transform, ("0", "1")
        model = prepare(model)
        yield (
            "04", f"BERT base, film reviews: an epoch, {what}", 1000,
            lambda n, m=model: fit(m, reviews[:n], epochs=1, batch=16, lr=5e-5, keep=False),
        )  # fmt: skip
    yield "07-1", "MiniLM, film reviews: extract", 1000, lambda n: extract(small, reviews[:n], "pool", cache=False)


def detectors() -> Iterator[Row]:
    """The detectors of chapters 06-2 and 06-3, at the 800 pixels that they were trained at."""
    scenes, photographs = load_dataset("face-scenes").train, pictures(20, size=480).x
    for kind in ("fasterrcnn", "fcos"):
        name = f"torchvision:{kind}_resnet50_fpn"
        coco, own = load_detector(name, pretrained=False), load_detector(name, ["face"], pretrained=False)
        freeze(own.model, until="stage3")
        yield "06-2", f"{kind}, 800 pixels: find", 20, lambda n, d=coco: d.find(photographs[:n])
        yield (
            "06-2", f"{kind}, 800 pixels: an epoch behind stage3", 100,
            lambda n, d=own: d.fit(scenes.x[:n], scenes.boxes[:n], epochs=1),
        )  # fmt: skip
    coco = load_detector("torchvision:maskrcnn_resnet50_fpn", pretrained=False)
    yield "06-3", "Mask R-CNN, 800 pixels: masks", 20, lambda n: coco.masks(photographs[:n])


def sequences(small) -> Iterator[Row]:
    """OPUS-MT of chapter 07-2 and the reader of chapter 07-3."""
    strings, asked = load_dataset("interface-strings", language="fr").train, country_questions().train
    english, french = list(strings.x), list(strings.targets)
    shape = MarianConfig(
        vocab_size=59514, d_model=512, encoder_layers=6, decoder_layers=6, encoder_attention_heads=8,
        decoder_attention_heads=8, encoder_ffn_dim=2048, decoder_ffn_dim=2048, max_position_embeddings=512,
        pad_token_id=59513, eos_token_id=0, decoder_start_token_id=59513, forced_eos_token_id=0,
    )  # fmt: skip
    opus = HubTranslator(MarianMTModel(shape).to(HERE), Pieces(small.tokenizer))
    yield "07-2", "OPUS-MT: translate, four beams, 16 pieces", 160, lambda n: opus.translate(english[:n], most=16)
    freeze(opus.model, until="layer5")
    yield "07-2", "OPUS-MT: an epoch, what writes trains", 640, lambda n: opus.fit(english[:n], french[:n], epochs=1)
    squad = DistilBertForQuestionAnswering(DistilBertConfig()).to(HERE)
    reader = as_reader(squad, small.tokenizer, at="layer3", train=("layer4", "layer5"))
    yield (
        "07-3", "DistilBERT: an epoch behind layer3", len(asked),
        lambda n: fit_reader(reader, asked[:n], epochs=1, lr=1e-4),
    )  # fmt: skip


def seconds(work: Callable) -> float:
    """Wall seconds until the device has done the work."""
    start = time.perf_counter()
    work()
    if HERE.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--share", type=float, default=1.0, help="of the items, for a slow machine: 0.05")
    share, small = parser.parse_args().share, load("minilm", 2)
    card = torch.cuda.get_device_name() if HERE.type == "cuda" else "no GPU"
    print("# The steps of the full profile\n")
    print("Random weights in the true shapes, one run each after a short one: see `full_profile.py`.\n")
    print(f"Measured on: {card}; {in_words(describe())}; torch {torch.__version__}.\n")
    print("| chapter | what | items | seconds |\n| --- | --- | --- | --- |")
    for rows in (images(), texts(small), detectors(), sequences(small)):
        for chapter, what, items, do in rows:
            n = max(1, round(items * share))
            do(min(n, 20))  # the first kernels of a shape are chosen and compiled
            print(f"| {chapter} | {what} | {n:,} | {seconds(lambda do=do, n=n: do(n)):.2g} |", flush=True)


if __name__ == "__main__":
    main()
