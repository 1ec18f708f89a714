"""Who is compared, and in which variants; nothing is imported here."""

from __future__ import annotations

MODULES = {
    "ours": "ours",
    "pytorch": "pytorch_loop",
    "transformers": "hf_trainer",
    "lightning": "lightning_run",
    "fastai": "fastai_run",
    "keras": "keras_run",
}
TITLES = {
    "ours": "this package",
    "pytorch": "PyTorch tutorial",
    "transformers": "Hugging Face Trainer",
    "lightning": "Lightning",
    "fastai": "fastai",
    "keras": "Keras 3 on torch",
}

# Variants where something is frozen, each chain in one folder for weights, data and kept features: "warm" finds what
# "cold" has kept. Where everything trains there is nothing to vary.
CHAINS = {
    "ours": (("cold", "warm"), ("cold without ORT",)),
    "lightning": (("BackboneFinetuning",), ("eval by hand",)),
    "fastai": (("train_bn (default)",), ("BnFreeze",)),
}
# Processes that prepare images in each peer's loader: what workers.py found fastest. Texts are tokenised beforehand.
WORKERS = {"pytorch": 0, "transformers": 0, "lightning": 0, "fastai": 0, "keras": 0}
ENGINES = {"cold": "auto", "warm": "auto", "cold without ORT": "torch"}  # TLCOURSE_ENGINE


def chains(who: str, model: str, task: str) -> tuple[tuple[str, ...], ...]:
    """The variants of a peer that run one after the other in one home, chain by chain."""
    if task == "all":
        return (("",),)
    found = CHAINS.get(who, (("",),))
    # For texts this package takes torch in any case: ONNX Runtime is not faster there.
    return found[:1] if who == "ours" and model == "minilm" else found


def workers(who: str, model: str) -> int:
    """How many processes prepare the batches of a peer."""
    return 0 if model == "minilm" else WORKERS.get(who, 0)
