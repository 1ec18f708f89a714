"""`token_attribution`: how much each word of a text adds to a class's score."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import torch
from torch import nn

from tlcourse.chain import stages
from tlcourse.errors import CourseError, whole_number
from tlcourse.explain.items import sentence
from tlcourse.explain.occlusion import words
from tlcourse.explain.outputs import check_head, class_names, class_number, scores
from tlcourse.features.inputs import check_positions
from tlcourse.features.modes import evaluating, model_device
from tlcourse.hardware import measured
from tlcourse.models import Tokens

AT_ONCE = 16
"""So many points of the path go through the network together."""
SHOWN = 0.05
"""A gap above this share of what the words add up to is told to the reader."""


@dataclass(frozen=True)
class TokenAttribution:
    """What each word of a text adds to the score of a class.

    Arguments:
        text: as far as the model reads it.
        spans: where each word begins and ends in the text.
        values: what each word adds, in units of the score; below 0 where it speaks against the class.
        target: the name of the class.
        score, baseline: the class's score of the text, and of the same text with every word blanked out.
        gap: how far `sum(values)` is from `score - baseline`, which it would equal with endlessly many steps.
        steps: points of the path at which gradients were taken.
        seconds: what it cost, in wall seconds.
        notes: what a reader should know.

    >>> print(TokenAttribution("So good", ((0, 2), (3, 7)), (0.1, 1.9), "positive", 1.5, -0.5, 0.0, 50))
    positive: score 1.50, 2.00 above that of a blank text. “So” +0.10, “good” +1.90.
    """

    text: str
    spans: tuple[tuple[int, int], ...]
    values: tuple[float, ...]
    target: str
    score: float
    baseline: float
    gap: float
    steps: int
    seconds: float = 0.0
    notes: tuple[str, ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        """The words of the text."""
        return tuple(self.text[start:end] for start, end in self.spans)

    def to_frame(self):
        """A row a word: `word` and `value`."""
        import pandas as pd

        return pd.DataFrame({"word": self.words, "value": self.values})

    def _head(self) -> str:
        rise = self.score - self.baseline
        way = "above" if rise >= 0 else "below"
        return f"{self.target}: score {_number(self.score)}, {abs(rise):.2f} {way} that of a blank text."

    def _remarks(self) -> tuple[str, ...]:
        if self.gap <= max(SHOWN * abs(self.score - self.baseline), 0.005):
            return self.notes
        return (*self.notes, f"The words miss {self.gap:.2f} of that: take more steps than {self.steps}.")

    def __str__(self) -> str:
        told = ", ".join(f"“{w}” {_number(v, '+')}" for w, v in zip(self.words, self.values, strict=True))
        return " ".join((self._head(), f"{told}.", *self._remarks()))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        most = max((abs(v) for v in self.values), default=0.0) or 1.0
        rows = "".join(
            f"<tr><th scope='row'>{escape(word)}</th><td>{_number(v, '+')}</td>"
            f"<td style='text-align:left'>{('+' if v >= 0 else '−') * round(20 * abs(v) / most)}</td></tr>"
            for word, v in zip(self.words, self.values, strict=True)
        )
        notes = "".join(f"<p>{escape(note)}</p>" for note in self._remarks())
        return (
            f"<table><caption>{escape(self._head())}</caption><tr><th scope='col'>word</th>"
            f"<th scope='col'>adds</th><th scope='col'>as a bar</th></tr>{rows}</table>{notes}"
        )


def token_attribution(
    model: nn.Module, text: str, target: int | str, *, steps: int = 50, transform=None
) -> TokenAttribution:
    r"""How much each word of a text adds to a class's score: integrated gradients on the token vectors.

    The chain is cut behind its embeddings. From the vectors $b$ of a blank text, in which every word is the padding
    token, a straight line leads to the vectors $x$ of the text. Along it the gradient of the score $z$ is gathered:

    $$ a_i = (x_i - b_i) \cdot \int_0^1 \frac{\partial z}{\partial x_i}\big(b + t\,(x - b)\big)\, dt, \qquad
       \sum_i a_i = z(x) - z(b) $$

    The second equation is called completeness: the words share out the whole score, and nothing else. It holds for the
    integral; `gap` tells by how much the sum over `steps` points misses it. What a word's pieces add is added up.

    The model stays exactly as it was: no gradient is left on a parameter, no hook is set, every module keeps its mode.
    It may be frozen.

    Arguments:
        model: a text classifier whose `stages` are known.
        text: one text.
        target: a class by number or name.
        steps: points of the path; more of them make `gap` smaller.
        transform: texts -> `Tokens`, with a `tokenizer`, if not `model.transform`.

    Returns a `TokenAttribution`. Raises `CourseError` for a model of images, one without a head, or a text without
    words.

    >>> from tlcourse import load
    >>> made = token_attribution(load("minilm", classes=["bad", "good"]), "A wonderful film.", "good", steps=20)
    >>> made.words, made.gap < 0.01
    (('A', 'wonderful', 'film.'), True)

    Sundararajan, Taly and Yan 2017; captum computes it. Chapter 09.
    """
    from captum.attr import IntegratedGradients  # here, as it takes a second to import

    steps = whole_number("steps", steps, 2)
    text = sentence(text)
    chain = dict(stages(model).named_children())
    transform = transform or getattr(model, "transform", None)
    tokenizer = getattr(transform, "tokenizer", None)
    if not getattr(tokenizer, "is_fast", False):
        raise CourseError(
            "The words cannot be told from the tokens.",
            why="The model's transform has no tokenizer that says which letters a token stands for.",
            do='Take a text model, e.g. load("minilm", classes=2), or pass transform=TextTransform(tokenizer).',
        )
    check_head(chain)
    tokens = transform([text])
    places = tokenizer(text, truncation=True, max_length=getattr(transform, "max_length", None),
                       return_offsets_mapping=True, return_special_tokens_mask=True)  # fmt: skip
    if not isinstance(tokens, Tokens) or tokens.x.shape[1] != len(places["input_ids"]):
        raise CourseError(
            "The transform makes other tokens of the text than its tokenizer does.",
            do="Pass transform=TextTransform(tokenizer), which makes the same.",
        )
    check_positions(model, tokens.x.shape[1])
    tokens = tokens.to(model_device(model))
    special = torch.tensor(places["special_tokens_mask"], dtype=torch.bool, device=tokens.x.device)
    first, *rest = chain.values()

    def through(vectors):
        out = Tokens(vectors, tokens.mask.expand(len(vectors), -1))
        for stage in rest:
            out = stage(out)
        return scores(out)

    # the stages too: a set_stages chain may hold modules that are not the model's own
    with measured() as cost, torch.inference_mode(False), evaluating(nn.ModuleList([model, *chain.values()])):
        blank = torch.where(special, tokens.x, _padding(tokenizer))
        with torch.no_grad():
            x, b = (first(Tokens(ids.clone(), tokens.mask.clone())).x for ids in (tokens.x, blank))
            ends = through(torch.cat([x, b]))
        number = class_number(model, target, ends.shape[1])
        with torch.enable_grad():
            found = IntegratedGradients(through).attribute(
                x.detach(), b.detach(), target=number, n_steps=steps, internal_batch_size=AT_ONCE
            )
    added = found.detach().double().sum(2)[0].cpu()
    score, baseline = ends[:, number].double().tolist()
    spans, values, notes = _by_word(text, places["offset_mapping"], added.tolist())
    return TokenAttribution(
        text, spans, values, class_names(model, ends.shape[1])[0][number], score, baseline,
        abs(float(added.sum()) - (score - baseline)), steps, cost.seconds, notes,
    )  # fmt: skip


def _padding(tokenizer) -> int:
    if tokenizer.pad_token_id is None:
        raise CourseError(
            "The tokenizer has no padding token, so there is no blank text to begin from.",
            do='Give it one, e.g. tokenizer.pad_token = "[PAD]".',
        )
    return tokenizer.pad_token_id


def _by_word(text: str, offsets, added: list[float]):
    """Spans of the words that the model reads, and what the pieces of each add up to."""
    spans = words(text)
    values, read = [0.0] * len(spans), [False] * len(spans)
    for (start, end), value in zip(offsets, added, strict=True):
        if end > start:
            i = next(i for i, (_, last) in enumerate(spans) if start < last)
            values[i] += value
            read[i] = True
    if not any(read):
        raise CourseError("The tokenizer finds no word in the text.", do="Write at least one word.")
    last = max(i for i, there in enumerate(read) if there) + 1
    note = f"The model reads the first {last} of {len(spans)} words; the rest does not count."
    return tuple(spans[:last]), tuple(values[:last]), () if last == len(spans) else (note,)


def _number(value: float, sign: str = "") -> str:
    return f"{round(value, 2) + 0.0:{sign}.2f}".replace("-", "−")  # + 0.0 makes -0 a plain 0
