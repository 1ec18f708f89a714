"""`translate`: greedy and beam search, with what the decoder looked at."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from tlcourse.errors import CourseError, real_number, whole_number
from tlcourse.features.modes import evaluating, model_device
from tlcourse.translation.decoder import Memory, Translator
from tlcourse.translation.reading import as_tokens
from tlcourse.translation.subwords import END, PAD, START, Subwords

AT_ONCE = 128


@dataclass(frozen=True, eq=False)
class Translations:
    """What `translate` found.

    Arguments:
        texts: a translation for each source.
        ids: pieces of each, int64 `[t]`, with the end if it came to one.
        attention: weights of each, `[t, s]`: how much each piece looked at each word of the source.
        scores: natural logarithm of the probability that the decoder gives each translation.
        unfinished: how many did not come to an end within the allowed pieces.

    `made[i]` is the text of number `i`, and `len(made)` the number of texts.
    """

    texts: tuple[str, ...]
    ids: tuple[torch.Tensor, ...] = field(repr=False)
    attention: tuple[torch.Tensor, ...] = field(repr=False)
    scores: tuple[float, ...] = field(repr=False)
    unfinished: int = 0

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, index: int) -> str:
        return self.texts[index]

    def __repr__(self) -> str:
        late = f"; {self.unfinished} were cut off" if self.unfinished else ""
        return f"{len(self)} translations, the first: {self.texts[0]!r}{late}"


def translate(
    model: Translator, states, words: Subwords, *, beam: int = 1, most: int = 48, shorter: float = 1.0
) -> Translations:
    """Translate what an encoder has read.

    Arguments:
        model: a `Translator`.
        states: `Features` of a stage before the pool, or `Tokens` of `read_texts`.
        words: the pieces that the model was trained with.
        beam: how many beginnings are kept; 1 is greedy: always the most probable next piece.
        most: pieces that a translation may have; longer ones are cut off, and counted as unfinished.
        shorter: of complete beginnings the one is taken with the best score / pieces ** shorter; 0 favours short ones.

    Returns `Translations`. Raises `CourseError` for other states, or other pieces than the model has.

    >>> words = Subwords(["Ouvrir le fichier"], size=300)
    >>> from tlcourse.models import Tokens
    >>> made = translate(Translator(len(words), 16, 8), Tokens(torch.rand(2, 5, 8), torch.ones(2, 5)), words, most=6)
    >>> len(made), made.attention[0].shape[1]
    (2, 5)

    Sutskever, Vinyals and Le 2014 (beam); Wu et al. 2016 (length); chapter 07-2.
    """
    whole_number("beam", beam), whole_number("most", most), real_number("shorter", shorter)
    if not isinstance(model, Translator) or not isinstance(words, Subwords) or len(words) != len(model.table.weight):
        raise CourseError(
            "The model and the pieces do not belong together.",
            why="Every row of the model's table stands for one piece.",
            do="Pass the Translator and the Subwords that it was made with: Translator(len(words)).",
        )
    tokens = as_tokens(states)
    if not len(tokens.x):
        raise CourseError("There is nothing to translate.", do="Pass at least one text.")
    device, found = model_device(model), []
    with evaluating(model), torch.no_grad():
        for part in torch.arange(len(tokens.x)).split(max(1, AT_ONCE // beam)):
            mask = tokens.mask[part]
            longest = max(1, int(mask.sum(1).max()))
            memory = model.read(type(tokens)(tokens.x[part, :longest], mask[:, :longest]).to(device))
            found += _greedy(model, memory, most) if beam == 1 else _beam(model, memory, most, beam, shorter)
    ids, attention, scores = zip(*found, strict=True)
    lengths = tokens.mask.sum(1).int().tolist()
    attention = tuple(w[:, :s].cpu() for w, s in zip(attention, lengths, strict=True))
    return Translations(
        tuple(words.decode(one)[0] for one in ids),
        tuple(one.cpu() for one in ids),
        attention,
        tuple(scores),
        sum(int(END not in one) for one in ids),
    )


def _greedy(model: Translator, memory: Memory, most: int) -> list[tuple]:
    n = len(memory.mask)
    last, state = torch.full((n, 1), START, device=memory.mask.device), None
    open_, total, ids, seen = torch.ones_like(last[:, 0], dtype=torch.bool), torch.zeros(n), [], []
    total = total.to(memory.keys)
    for _ in range(most):
        scores, weights, state = model.step(memory, last, state)
        value, best = _speakable(scores[:, -1]).max(1)
        total = total + value * open_
        last = torch.where(open_, best, PAD)[:, None]
        ids.append(last[:, 0]), seen.append(weights[:, -1])
        open_ = open_ & (best != END)
        if not open_.any():
            break
    ids, seen = torch.stack(ids, 1), torch.stack(seen, 1)
    sizes = (ids != PAD).sum(1).tolist()
    return [(ids[i, :t], seen[i, :t], float(total[i])) for i, t in enumerate(sizes)]


def _beam(model: Translator, memory: Memory, most: int, beam: int, shorter: float) -> list[tuple]:
    n, device = len(memory.mask), memory.mask.device
    memory = memory.chosen(torch.arange(n, device=device).repeat_interleave(beam))
    first = torch.arange(n, device=device)[:, None] * beam  # where each item's beginnings stand
    last, state = torch.full((n * beam, 1), START, device=device), None
    total = torch.full((n, beam), float("-inf"), device=device)
    total[:, 0] = 0.0  # all begin the same: one of them counts
    ids = torch.zeros(n * beam, 0, dtype=torch.long, device=device)
    seen = memory.keys.new_zeros(n * beam, 0, memory.keys.shape[1])
    best: list[tuple | None] = [None] * n
    done = [float("-inf")] * n
    for t in range(1, most + 1):
        scores, weights, state = model.step(memory, last, state)
        step = _speakable(scores[:, -1]).view(n, beam, -1)
        value, place = (total[:, :, None] + step).flatten(1).topk(2 * beam)  # half of them may be ends
        from_, piece = first + place // step.shape[2], place % step.shape[2]
        ends = piece == END
        for i, j in ends.nonzero().tolist():
            score = float(value[i, j]) / t**shorter
            if j < beam and score > done[i]:
                b, done[i] = int(from_[i, j]), score
                told = torch.cat([ids[b], piece[i, j : j + 1]]), torch.cat([seen[b], weights[b, -1:]])
                best[i] = (*told, float(value[i, j]))
        total, kept = value.masked_fill(ends, float("-inf")).topk(beam)
        come, last = from_.gather(1, kept).flatten(), piece.gather(1, kept).view(-1, 1)
        ids, seen = torch.cat([ids[come], last], 1), torch.cat([seen[come], weights[come, -1:]], 1)
        state = state[:, come]
        # totals only fall, and a length raises them by what it may still become
        if all(float(total[i, 0]) / most**shorter <= done[i] for i in range(n)):
            break
    for i in range(n):
        if best[i] is None:
            best[i] = ids[i * beam], seen[i * beam], float(total[i, 0])
    return best


def _speakable(scores: torch.Tensor) -> torch.Tensor:
    """Log-probabilities, without padding and the start, which no translation holds."""
    scores = scores.clone()
    scores[:, [PAD, START]] = float("-inf")
    return scores.log_softmax(1)
