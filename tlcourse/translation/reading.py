"""`read_texts`: texts of one's own, as an encoder's states; and the states that a decoder can take."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from tlcourse.chain import stages
from tlcourse.errors import CourseError, UnknownName
from tlcourse.features import Features
from tlcourse.features.modes import evaluating, model_device
from tlcourse.models import Tokens
from tlcourse.translation.subwords import checked_texts


def read_texts(encoder: nn.Module, texts: Sequence[str], stage: str = "layer3") -> Tokens:
    """The states of texts at a stage of an encoder, for `translate`.

    Arguments:
        encoder: what `load("minilm")` returned.
        texts: strings, with any signs; none is empty.
        stage: before the pool.

    Returns `Tokens` `[n, s, d]` on the CPU. Raises `CourseError` for an empty text, for one that is longer than the
    encoder reads, and for what is no text.

    >>> from tlcourse import load
    >>> read_texts(load("minilm", pretrained=False), ["Open the <b>file</b> %1 🦊"], "embeddings").x.shape[2]
    384

    Chapter 07-2.
    """
    texts = checked_texts(texts, blank=False)
    chain = dict(stages(encoder).named_children())
    before = [name for name in chain if name not in ("pool", "head")]
    if stage not in before:
        raise UnknownName("stage of words", stage, before)
    most = getattr(encoder.transform, "max_length", 128)
    lengths = [len(ids) for ids in encoder.tokenizer(texts, truncation=False, verbose=False)["input_ids"]]
    longest = max(range(len(texts)), key=lengths.__getitem__)
    if lengths[longest] > most:
        raise CourseError(
            f"Text {longest} has {lengths[longest]:,} tokens; the encoder reads {most}.",
            why="What comes after would be cut off, and its translation would be missing without a word.",
            do="Cut the text into sentences, and translate each.",
        )
    ids = encoder.tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
    for i, found in enumerate(ids):
        if all(piece == encoder.tokenizer.unk_token_id for piece in found):
            raise CourseError(
                f"Text {i} holds nothing that the encoder knows: {texts[i][:40]!r}.",
                why="Its signs, or words of more than a hundred letters, are all one and the same unknown token.",
                do="Leave it out, or write it in letters and shorter words.",
            )
    x = encoder.transform(texts).to(model_device(encoder))
    with evaluating(encoder), torch.no_grad():
        for name in before[: before.index(stage) + 1]:
            x = chain[name](x)
    return x.to("cpu")


def as_tokens(states) -> Tokens:
    """States as `Tokens` in float32, from `Features` or `Tokens`; raises `CourseError` for anything else."""
    if isinstance(states, Features) and states.mask is not None and states.x.ndim == 3:
        return _sound(states.batch(torch.arange(len(states))))
    if isinstance(states, Tokens) and states.x.ndim == 3:
        return _sound(Tokens(states.x.float(), states.mask))
    given = f"features of {states.stage!r}" if isinstance(states, Features) else f"a {type(states).__name__}"
    raise CourseError(
        f"The states of every word are needed, not {given}.",
        do='Take them before the pool: extract(encoder, data, "layer3"), or read_texts(encoder, texts).',
    )


def _sound(tokens: Tokens) -> Tokens:
    """The tokens, if each text has a word and all of them are numbers."""
    if tokens.mask.shape != tokens.x.shape[:2]:
        raise CourseError(
            f"The states {list(tokens.x.shape)} and their mask {list(tokens.mask.shape)} do not belong together.",
            do="Take both from one read_texts or extract.",
        )
    silent = (tokens.mask > 0).sum(1) == 0
    if silent.any():
        raise CourseError(
            f"Text {int(silent.nonzero()[0])} has no word in its mask.",
            why="There is nothing that the decoder could look at.",
            do="Leave it out.",
        )
    sound = tokens.x.isfinite().all(2)
    odd = ~sound & (tokens.mask > 0)
    if odd.any():
        raise CourseError(
            f"The states of text {int(odd.any(1).nonzero()[0])} are not numbers: they hold NaN or infinite values.",
            why="The encoder's weights are spoilt, or the states were changed.",
            do="Load the encoder anew, and read the texts again.",
        )
    if not sound.all():  # in the padding: nothing looks at it, and still NaN times nothing is NaN
        return Tokens(tokens.x.masked_fill(tokens.mask[..., None] == 0, 0.0), tokens.mask)
    return tokens
