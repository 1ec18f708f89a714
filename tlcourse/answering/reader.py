"""`SpanReader`: frozen stages kept as features, perhaps a few trained ones, and a head that points at the answer."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isnan
from numbers import Real
from types import SimpleNamespace

import torch
from torch import nn
from torch.nn import functional as F

from tlcourse.answering.spans import LONGEST, PairTransform, Places, best_spans, checked_asked, places
from tlcourse.answering.words import checked_question
from tlcourse.chain import stages
from tlcourse.datasets.countries import TextQuestion, as_split
from tlcourse.errors import CourseError, UnknownName, real_number, whole_number
from tlcourse.features import Features, extract
from tlcourse.features.modes import model_device
from tlcourse.models import Tokens
from tlcourse.training import History
from tlcourse.training.recorded import recorded
from tlcourse.training.schedules import batches, steps_of
from tlcourse.training.watch import Watcher, stops_between_batches

FAR = -1e4  # the score of a token that cannot be chosen


class SpanHead(nn.Module):
    """Scores of each token for being the first and the last of the answer.

    The question's tokens are weighed and added to one vector; each token of the text is compared with it.

    Arguments:
        dim: numbers a token.
        width: numbers in which they are compared.
        dropout: share of these that is dropped while training.

    >>> head = SpanHead(384)
    >>> x, mask = torch.zeros(2, 9, 384), torch.ones(2, 9, dtype=torch.long)
    >>> inside = torch.arange(9).expand(2, 9) > 3
    >>> head(Tokens(x, mask), inside).shape
    torch.Size([2, 9, 2])
    """

    def __init__(self, dim: int, width: int = 96, dropout: float = 0.1):
        super().__init__()
        self.weigh, self.ask, self.tell = nn.Linear(dim, 1), nn.Linear(dim, width), nn.Linear(dim, width)
        self.drop, self.point = nn.Dropout(dropout), nn.Linear(2 * width, 2)

    def forward(self, tokens: Tokens, inside: torch.Tensor) -> torch.Tensor:
        asking = (tokens.mask > 0) & ~inside
        share = self.weigh(tokens.x)[..., 0].masked_fill(~asking, FAR).softmax(1)
        question = self.ask((share[..., None] * tokens.x).sum(1))[:, None]
        told = self.tell(tokens.x)
        scores = self.point(self.drop(torch.cat([told * question, (told + question).tanh()], -1)))
        return scores.masked_fill(~inside[..., None], FAR)


@dataclass(frozen=True, eq=False)
class Readings:
    """What a reader found for some questions.

    Arguments:
        answers: a piece of each text; empty where the text does not tell.
        spans: first and last token of the best piece `[n, 2]`, told or not.
        surplus: how much higher the best piece scores than "not in the text" `[n]`.
    """

    answers: tuple[str, ...]
    spans: torch.Tensor = field(repr=False)
    surplus: torch.Tensor = field(repr=False)


class SpanReader(nn.Module):
    """Reads a short text and points at the answer to a question, or says that the text does not tell.

    Arguments:
        model: a text model; it is not changed.
        at: the stage whose kept output is read.
        train: names of stages behind `at` that are copied and trained, in the chain's order; none by default.
        seed: of the head.
        head: one that is trained already, called as a `SpanHead` is; by default a new one.

    `reader.head` and `reader.rest` are trained by `fit_reader`; the stages up to `at` are frozen.

    >>> from tlcourse import load
    >>> reader = SpanReader(load("minilm"), at="layer3")
    >>> sum(p.numel() for p in reader.parameters())
    74691

    Introduced in chapter 07-3. Devlin et al. 2019 (a span head on BERT); Rajpurkar et al. 2018 ("no answer").
    """

    def __init__(self, model: nn.Module, at: str = "layer3", train: Sequence[str] = (), seed: int = 0, head=None):
        super().__init__()
        seed, train = whole_number("seed", seed, 0), (train,) if isinstance(train, str) else tuple(train or ())
        chain = dict(stages(model).named_children())
        names = [name for name in chain if name == "embeddings" or name.startswith("layer")]
        for name in (at, *train):
            if name not in names:
                raise UnknownName("stage of tokens", name, names)
        behind = names[names.index(at) + 1 :]
        if list(train) != behind[: len(train)]:
            raise CourseError(
                f"train={list(train)} does not follow {at!r}.",
                do=f"Name the stages in their order, from {behind[0]!r} on." if behind else "Leave out train=.",
            )
        self.at, self.transform, self.longest = at, PairTransform(model.tokenizer), LONGEST
        self._body = [model]  # not a child: its weights are neither trained nor counted here
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.head = SpanHead(model.encoder.config.hidden_size) if head is None else head
        self.rest = _copied(model, train)
        self.to(model_device(model))

    def features(self, asked: Sequence[TextQuestion]) -> Features:
        """The kept tokens of the frozen stages for these questions: `[n, t, d]` with their mask."""
        asked = checked_asked(asked)
        keep = len(asked) > 1
        return extract(self._body[0], as_split(asked), self.at, transform=self.transform, cache=keep, progress=False)

    def scores(self, tokens: Tokens, inside: torch.Tensor) -> torch.Tensor:
        """`[n, t, 2]`: of being the first and the last token of the answer."""
        for stage in self.rest:
            tokens = stage(tokens)
        return self.head(tokens, inside)

    def read(self, asked: Sequence[TextQuestion], least: float = 0.0) -> Readings:
        """The answers to questions, without looking at the true ones.

        Arguments:
            asked: `TextQuestion`s.
            least: by how much an answer has to score above "not in the text".
        """
        if not isinstance(least, Real) or isinstance(least, bool) or isnan(least):
            raise CourseError(f"least={least!r} is no number.", do="Pass a difference of scores, e.g. least=0.0.")
        asked = [TextQuestion(one.question, one.text, "", -1, one.kind, one.country) for one in checked_asked(asked)]
        kept, where = self.features(asked), places(self.transform, asked)
        device = next(self.parameters()).device
        self.eval()
        spans, surplus = [], []
        with torch.no_grad():
            for index in torch.arange(len(asked)).split(64):
                tokens = kept.batch(index).to(device)
                inside = where.inside[index, : tokens.x.shape[1]].to(device)
                scores = self.scores(tokens, inside)
                if not scores.isfinite().all():
                    raise _no_number("scores are not numbers", kept.batch(index), "a smaller rate in fit_reader")
                found, score, silent = best_spans(scores, inside, self.longest)
                spans.append(found.cpu()), surplus.append((score - silent).cpu())
        spans, surplus = torch.cat(spans), torch.cat(surplus)
        told = torch.where((surplus > least)[:, None], spans, torch.zeros_like(spans))
        return Readings(tuple(where.words(told)), spans, surplus)

    def ask(self, question: str, text: str, least: float = 0.0) -> str:
        """The answer to one question: a piece of the text, or an empty string where the reader finds none.

        Arguments:
            question, text: as a person writes them.
            least: by how much an answer has to score above "not in the text".

        Raises `CourseError` for a question that cannot be read, no text, or one that is too long.
        """
        if not isinstance(text, str) or not text.strip():
            raise CourseError("There is no text to read.", do="Pass the text that may hold the answer.")
        asked = TextQuestion(checked_question(question), text, "", -1, "", "")
        return self.read([asked], least).answers[0]


def fit_reader(
    reader: SpanReader,
    asked: Sequence[TextQuestion],
    *,
    epochs: int = 20,
    lr: float = 3e-3,
    batch: int = 24,
    seed: int = 0,
) -> list[float]:
    """Train a reader's head, and its trained stages, from the kept tokens of the frozen ones.

    The loss is the sum of two cross-entropies over the tokens: where the answer begins, and where it ends; both are
    the first token of all where the text does not tell. AdamW; the rate rises for a tenth of the steps, then falls.

    Arguments:
        reader: it is changed in place.
        asked: `TextQuestion`s with their answers.
        epochs, lr, batch: passes, highest rate, questions a step.
        seed: of the order and the dropout.

    Returns the mean loss of each epoch; after a keyboard interrupt, those of the epochs before it, and the reader keeps
    what it has learned by then. It comes back in evaluation mode. Raises `CourseError` for answers that do not stand in
    their texts, and where the loss is no number any more.

    >>> from tlcourse import load
    >>> from tlcourse.datasets import country_questions
    >>> losses = fit_reader(SpanReader(load("minilm")), country_questions().train[:24], epochs=3)
    >>> losses[2] < losses[0]
    True

    Introduced in chapter 07-3.
    """
    epochs, batch, lr = whole_number("epochs", epochs), whole_number("batch", batch), real_number("lr", lr)
    seed = whole_number("seed", seed, 0)
    if not isinstance(reader, SpanReader):
        raise CourseError(f"A SpanReader is trained here, not a {type(reader).__name__}.", do="Pass SpanReader(model).")
    trained = [p for p in reader.parameters() if p.requires_grad]
    if not trained:
        raise CourseError("Nothing of the reader trains: all of it is frozen.", do="Make a new SpanReader.")
    asked = checked_asked(asked)
    if not asked:
        raise CourseError("There are no questions to learn from.", do="Pass some TextQuestions.")
    where, device = places(reader.transform, asked), model_device(reader)
    steps = steps_of(len(asked), batch, at_least=1)
    whole = epochs * steps + 1
    rise = 0.1 if whole != 10 else 0.11  # a rise of exactly one step: OneCycleLR would divide by zero
    optimizer = torch.optim.AdamW(trained, lr=lr, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=whole, pct_start=rise)
    order, history, looks_on = torch.Generator().manual_seed(seed), History(), Watcher()
    try:
        with recorded(history, epochs, device, seed) as recorder, stops_between_batches(looks_on):
            kept = reader.features(asked)
            recorder.run = at = SimpleNamespace(done=0, steps=steps)
            for epoch in range(1, epochs + 1):
                reader.train()
                total, at.done = 0.0, 0
                for index in batches(len(asked), steps, order, kept.lengths):
                    loss = _loss(reader, kept, where, index, device)
                    if not torch.isfinite(loss):
                        raise _no_number(
                            f"loss became {loss.item()}", kept.batch(index), f"a smaller rate than {lr=:g}"
                        )
                    optimizer.zero_grad(), loss.backward(), optimizer.step(), schedule.step()
                    total, at.done = total + loss.item() * len(index), at.done + 1
                    if looks_on.stopped and at.done < steps:
                        raise KeyboardInterrupt
                history.rows.append({"epoch": epoch, "loss": total / len(asked)})
                if looks_on.stopped and epoch < epochs:
                    at.done = 0
                    raise KeyboardInterrupt
    finally:
        reader.eval()
        optimizer.zero_grad(set_to_none=True)
    return [row["loss"] for row in history.rows]


def _loss(reader, kept: Features, where: Places, index, device) -> torch.Tensor:
    tokens = kept.batch(index).to(device)
    scores = reader.scores(tokens, where.inside[index, : tokens.x.shape[1]].to(device))
    gold = where.gold[index].to(device)
    return F.cross_entropy(scores[..., 0], gold[:, 0]) + F.cross_entropy(scores[..., 1], gold[:, 1])


def _no_number(what: str, tokens: Tokens, rate: str) -> CourseError:
    if tokens.x.isfinite().all():
        return CourseError(
            f"The {what}.",
            why="The weights have grown beyond all numbers: the learning rate was too large.",
            do=f"Make the reader anew, and take {rate}.",
        )
    return CourseError(
        f"The {what}.", why="The encoder gives NaN or infinite values: its weights are spoilt.", do="Load it anew."
    )


def _copied(model: nn.Module, names: Sequence[str]) -> nn.ModuleList:
    chain = dict(stages(model).named_children())
    return copy.deepcopy(nn.ModuleList([chain[name] for name in names])).requires_grad_(True)
