"""`load_reader`: a model of a hub that has read SQuAD, as a `SpanReader`."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import nn

from tlcourse import hardware
from tlcourse.answering.reader import FAR, SpanReader
from tlcourse.answering.spans import PairTransform
from tlcourse.assets.hubs import check_profile
from tlcourse.chain import stages
from tlcourse.errors import CourseError
from tlcourse.models import Tokens
from tlcourse.models.huggingface import task_model

LONGEST_ANSWER = 30  # tokens; SQuAD's answers are longer than those of chapter 07-3
FAMILIES = ("distilbert", "roberta")


class GivenHead(nn.Module):
    """The head that a question answering model came with, called as a `SpanHead` is.

    Arguments:
        head: tokens `[n, t, d]` in `Tokens` -> `[n, t, 2]`.

    >>> from torch import nn
    >>> head = GivenHead(lambda tokens: tokens.x[..., :2])
    >>> x, mask = torch.ones(1, 3, 8), torch.ones(1, 3, dtype=torch.long)
    >>> head(Tokens(x, mask), torch.tensor([[True, False, True]]))[0, :, 0].tolist()
    [1.0, -10000.0, 1.0]
    """

    def __init__(self, head):
        super().__init__()
        self.scores = head

    def forward(self, tokens: Tokens, inside: torch.Tensor) -> torch.Tensor:
        return self.scores(tokens).masked_fill(~inside[..., None], FAR)


def load_reader(
    name: str = "hf:distilbert/distilbert-base-cased-distilled-squad", at: str | None = None, train: Sequence[str] = ()
) -> SpanReader:
    """A question answering model of Hugging Face's hub as a `SpanReader`; only in the full profile.

    Arguments:
        name: of a DistilBERT or RoBERTa model with a head for spans. (In BERT's own, a number tells each token whether
            it is of the question or the text; the chain has no place for it.)
        at, train: as of `SpanReader`, together up to the last layer, which the head reads; by default the whole body
            is frozen, and only the head trains.

    Returns a reader whose head is trained already: `reader.ask(question, text)`, `reader.read(asked)`, and
    `fit_reader(reader, asked)` to fine-tune. A model that has read SQuAD 1.1, as the default one has, was never shown a
    question whose answer is not in the text: what it says then is of no worth until it has been fine-tuned on some.

    >>> answer = load_reader().ask("Where is it?", "It is on the table.")  # doctest: +SKIP

    Rajpurkar et al. 2016 (SQuAD); Sanh et al. 2019 (DistilBERT); chapter 07-3.
    """
    name = str(name).removeprefix("hf:")
    check_profile(f"hf:{name}")
    model, tokenizer = task_model(name, "AutoModelForQuestionAnswering", _checked)
    return as_reader(model.to(hardware.device()).eval(), tokenizer, at, train)


def as_reader(model: nn.Module, tokenizer, at: str | None = None, train: Sequence[str] = ()) -> SpanReader:
    """A question answering model with its tokenizer as a `SpanReader`; see `load_reader`."""
    family = _checked(model.config)
    chain = dict(stages(model).named_children())
    model.tokenizer = tokenizer
    layers = [name for name in chain if name.startswith("layer")]
    at, train = at or layers[-1], (train,) if isinstance(train, str) else tuple(train or ())
    reader = SpanReader(model, at, train, head=GivenHead(copy.deepcopy(chain["head"]))).to(hardware.device())
    _check_whole(at, train, layers)
    most = model.config.max_position_embeddings - (2 if family == "roberta" else 0)
    reader.transform, reader.longest = PairTransform(tokenizer, max_length=min(most, 512)), LONGEST_ANSWER
    return reader.eval()


def _check_whole(at: str, train: Sequence[str], layers: Sequence[str]) -> None:
    """The head was trained on what the last layer gives; without the layers before it its answers mean nothing."""
    behind = layers[layers.index(at) + 1 :] if at in layers else list(layers)
    left = behind[len(train) :]
    if left:
        raise CourseError(
            f"{', '.join(left)} would be left out: the reader is {' -> '.join([at, *train])} -> head.",
            why=f"The head that came with this model reads what {layers[-1]} gives.",
            do=f"Pass at={at!r}, train={behind}, or at={layers[-1]!r} alone, which trains the head.",
        )


def _checked(config) -> str:
    family = config.model_type
    if family not in FAMILIES:
        raise CourseError(
            f"A {family} model reads pairs in another way than the course's chain.",
            do='Take a DistilBERT or RoBERTa model, e.g. "hf:distilbert/distilbert-base-cased-distilled-squad".',
        )
    return family
