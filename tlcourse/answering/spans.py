"""Between places of letters and places of tokens: a question with its text as model input, and spans in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import torch

from tlcourse.datasets.countries import TextQuestion
from tlcourse.errors import CourseError
from tlcourse.models import TextTransform, Tokens

LONGEST = 8  # tokens an answer may have


class PairTransform(TextTransform):
    """`"question\\ntext"` strings to `Tokens`: [CLS] question [SEP] text [SEP], a batch padded to its longest.

    Arguments:
        tokenizer: a Hugging Face tokenizer with offsets (a "fast" one).
        max_length: tokens of a pair; a longer one is refused, not cut off.

    >>> from tlcourse import load
    >>> transform = PairTransform(load("minilm").tokenizer)
    >>> transform(["Where?\\nIt is here."]).x.shape
    torch.Size([1, 9])
    """

    def __call__(self, texts: str | Sequence[str]) -> Tokens:
        made = self.pairs(texts)
        return Tokens(torch.tensor(made["input_ids"]), torch.tensor(made["attention_mask"]))

    def pairs(self, texts: str | Sequence[str]):
        """What the tokenizer says of the pairs, with the places of each token's letters."""
        texts = [texts] if isinstance(texts, str) else list(texts)
        if not texts:
            raise CourseError("There are no questions to transform.", do="Pass at least one.")
        if not all(isinstance(t, str) and "\n" in t for t in texts):
            raise CourseError("A question and its text are one string, with a line break between them.",
                              do="Use as_split(questions).")  # fmt: skip
        questions, bodies = zip(*(t.split("\n", 1) for t in texts), strict=True)
        made = self.tokenizer(
            list(questions), list(bodies), padding=True, padding_side="right", return_offsets_mapping=True,
            split_special_tokens=True, verbose=False,
        )  # fmt: skip
        longest = len(made["input_ids"][0])
        if longest > self.max_length:
            raise CourseError(
                f"A question with its text has {longest} tokens; {self.max_length} are read.",
                why="What is cut off could be the answer.",
                do="Shorten the text, or read it in parts.",
            )
        return made


@dataclass(frozen=True, eq=False)
class Places:
    """Where the tokens of questions with texts stand.

    Arguments:
        inside: `[n, t]`, True for tokens of the text, and for the first of all ([CLS]), which stands for "not told".
        offsets: `[n, t, 2]`: first letter of each token in its own question or text, and the one behind its last.
        gold: `[n, 2]`: first and last token of the answer; both 0 where the text does not tell.
        texts: the texts.
    """

    inside: torch.Tensor = field(repr=False)
    offsets: torch.Tensor = field(repr=False)
    gold: torch.Tensor = field(repr=False)
    texts: tuple[str, ...] = field(repr=False)

    def __len__(self) -> int:
        return len(self.texts)

    def words(self, spans: torch.Tensor) -> list[str]:
        """The letters of spans of tokens `[n, 2]`; an empty string where a span is the first token alone."""
        found = []
        for text, offsets, (first, last) in zip(self.texts, self.offsets, spans.tolist(), strict=True):
            found.append(text[int(offsets[first, 0]) : int(offsets[last, 1])] if first else "")
        return found


def checked_asked(asked) -> list[TextQuestion]:
    """Questions to texts as a list, each question in one line: a line break ends the question and begins the text.

    Raises `CourseError` for what is no list of `TextQuestion`s, and for answers that contradict their place.

    >>> checked_asked([TextQuestion("Where\\nis it?", "It is here.", "", -1, "place", "XX")])[0].question
    'Where is it?'
    """
    how = 'Pass e.g. [TextQuestion("Where?", "It is here.", "here", 6, "place", "XX")].'
    if isinstance(asked, str | TextQuestion) or not isinstance(asked, Iterable):
        raise CourseError(f"A list of TextQuestions is needed, not a {type(asked).__name__}.", do=how)
    found = []
    for i, one in enumerate(asked):
        if not isinstance(one, TextQuestion):
            raise CourseError(f"Question {i} is a {type(one).__name__}, not a TextQuestion.", do=how)
        if not all(isinstance(part, str) for part in (one.question, one.text, one.answer)):
            raise CourseError(f"Question {i}, its text and its answer are not all strings.", do=how)
        if isinstance(one.start, bool) or not isinstance(one.start, int):
            raise CourseError(
                f"Question {i} has start={one.start!r}.", do="Pass the place of the answer's first letter."
            )
        if one.start < 0 and one.answer:
            raise CourseError(
                f"Question {i} has the answer {one.answer[:60]!r}, and start={one.start}: not in the text.",
                do="Pass start=text.index(answer), or an empty answer.",
            )
        found.append(replace(one, question=" ".join(one.question.split())) if "\n" in one.question else one)
    return found


def places(transform: PairTransform, asked) -> Places:
    """The places of the tokens of questions, and of their answers.

    Arguments:
        transform: what the model's input is made with.
        asked: `TextQuestion`s.

    Raises `CourseError` if an answer does not stand where the question says.

    >>> from tlcourse import load
    >>> from tlcourse.datasets import TextQuestion
    >>> asked = [TextQuestion("Where?", "It is here.", "here", 6, "place", "XX")]
    >>> found = places(PairTransform(load("minilm").tokenizer), asked)
    >>> found.gold.tolist(), found.words(found.gold)
    ([[6, 6]], ['here'])
    """
    asked = checked_asked(asked)
    made = transform.pairs([f"{one.question}\n{one.text}" for one in asked])
    offsets = torch.tensor(made["offset_mapping"])
    inside = torch.tensor([[part == 1 for part in made.sequence_ids(i)] for i in range(len(asked))])
    gold = torch.zeros(len(asked), 2, dtype=torch.int64)
    for i, one in enumerate(asked):
        if one.start < 0:
            continue
        end = one.start + len(one.answer)
        if not one.answer.strip() or one.text[one.start : end] != one.answer:
            raise CourseError(
                f"The answer {one.answer[:60]!r} does not stand at place {one.start} of its text.",
                do="Give the place of its first letter, or an empty answer with start=-1: not in the text.",
            )
        hit = inside[i] & (offsets[i, :, 0] < end) & (offsets[i, :, 1] > one.start)
        where = hit.nonzero().flatten()
        if not len(where):
            raise CourseError(
                f"The answer {one.answer[:60]!r} has no token.",
                why="It is made of signs that the encoder does not read.",
                do="Choose an answer of letters, numbers or punctuation.",
            )
        gold[i] = torch.stack([where[0], where[-1]])
    inside[:, 0] = True
    return Places(inside, offsets, gold, tuple(one.text for one in asked))


def best_spans(scores: torch.Tensor, inside: torch.Tensor, longest: int = LONGEST):
    """The span with the largest sum of scores, first token before or at the last, and at most `longest` tokens.

    Arguments:
        scores: `[n, t, 2]`: of being the first and the last token of the answer.
        inside: `[n, t]`: which tokens may be; the first token stands for "not told".
        longest: tokens of an answer.

    Returns spans `[n, 2]` without the first token, their scores `[n]`, and the scores `[n]` of "not told".

    >>> scores = torch.tensor([[[0.0, 0.0], [1.0, 3.0], [2.0, 1.0]]])
    >>> best_spans(scores, torch.ones(1, 3, dtype=torch.bool))
    (tensor([[1, 1]]), tensor([4.]), tensor([0.]))
    """
    t = scores.shape[1]
    usable = inside.clone()
    usable[:, 0] = False
    both = scores[:, :, None, 0] + scores[:, None, :, 1]
    band = torch.ones(t, t, dtype=torch.bool).triu() & torch.ones(t, t, dtype=torch.bool).tril(longest - 1)
    both = both.masked_fill(~(usable[:, :, None] & usable[:, None, :] & band.to(both.device)), -torch.inf)
    value, place = both.flatten(1).max(1)
    return torch.stack([place // t, place % t], 1), value, scores[:, 0].sum(-1)
