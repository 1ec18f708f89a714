"""Hide one part of an item after the other, and see what that does to the answer. It asks nothing of the model.

Gradients tell how a score would change for an endlessly small change of the input, which no reader can try out.
Hiding a part can be tried out: cover that corner or strike that word, ask again, and the number is the same.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace

import torch
from torch import nn

from tlcourse.errors import CourseError, whole_number
from tlcourse.explain.outputs import as_list, class_number, one_image, shares
from tlcourse.features.modes import at_once

PARTS = 48
"""At most so many parts of a text are struck in turn: longer texts are struck several words at a time."""


def cover_up(model: nn.Module, x: torch.Tensor, target: Sequence[int | str], *, grid: int = 7) -> torch.Tensor:
    """How far the share of a class falls when one square of an image is covered.

    Arguments:
        model: any image classifier, also one without maps, such as a vision transformer.
        x: one image as the model takes it, float `[1, 3, h, w]`.
        target: classes by number or name.
        grid: squares across; each is covered in turn with the mean colour of the image.

    Returns float32 `[classes, grid, grid]`: the share with the whole image less the share with that square covered;
    above 0 where the square speaks for the class, below where it speaks against it.

    >>> from tlcourse import load, photograph
    >>> net = load("efficientnet-lite0", classes=["cat", "dog"], pretrained=False, size=32)
    >>> cover_up(net, net.transform(photograph("cat")), ["cat"], grid=3).shape
    torch.Size([1, 3, 3])

    Zeiler and Fergus 2014.
    """
    whole_number("grid", grid)
    x, wanted = one_image(x), as_list(target)[0]
    height, width = x.shape[-2:]
    if min(height, width) < grid:
        raise CourseError(f"An image of {width} by {height} has no {grid} by {grid} squares.", do="Take fewer.")
    rows, columns = ([round(i * side / grid) for i in range(grid + 1)] for side in (height, width))
    mean = x.mean((2, 3), keepdim=True)
    whole = shares(model, x)
    numbers = [class_number(model, one, whole.shape[1]) for one in wanted]
    places = [(i, j) for i in range(grid) for j in range(grid)]
    batch, left = at_once(SimpleNamespace(size=max(height, width))), []
    for start in range(0, len(places), batch):
        part = places[start : start + batch]
        covered = x.expand(len(part), -1, -1, -1).clone()
        for one, (i, j) in zip(covered, part, strict=True):
            one[:, rows[i] : rows[i + 1], columns[j] : columns[j + 1]] = mean[0]
        left.append(shares(model, covered)[:, numbers])
    return (whole[:, numbers] - torch.cat(left)).T.reshape(len(numbers), grid, grid)


@dataclass(frozen=True)
class Struck:
    """The parts of a text, and what the shares fall by when a part is struck.

    Arguments:
        text: as far as the model reads it.
        spans: first and last place (behind it) of each part in the text.
        falls: `[classes, parts]`: above 0 where the part speaks for the class.
        read, words: how many words the model reads, and how many there are.
    """

    text: str
    spans: tuple[tuple[int, int], ...]
    falls: torch.Tensor
    read: int
    words: int


def strike_words(model: nn.Module, text: str, target: Sequence[int | str], *, transform=None) -> Struck:
    """How far the share of a class falls when one word of a text is left out.

    The model gets the text without the word, as you could type it yourself. In a long text several words in a row are
    left out at once, so that there are at most 48 parts.

    Arguments:
        model: a text classifier.
        text: one text.
        target: classes by number or name.
        transform: texts -> model input, if not `model.transform`.

    Returns a `Struck`. A text of one word has nothing to compare with, and its fall is 0.

    >>> import torch
    >>> from tlcourse import load
    >>> torch.manual_seed(0).initial_seed(), strike_words(load("minilm", classes=2), "Well done .", [1]).spans
    (0, ((0, 4), (5, 9), (10, 11)))

    Li, Monroe and Jurafsky 2016, "Understanding neural networks through representation erasure".
    """
    transform = transform or model.transform
    known = words(text)
    read = readable(text, transform)
    spans = words(read)
    step = -(-len(spans) // PARTS) or 1
    spans = [(part[0][0], part[-1][1]) for part in (spans[i : i + step] for i in range(0, len(spans), step))]
    whole = shares(model, transform([read]))
    numbers = [class_number(model, one, whole.shape[1]) for one in as_list(target)[0]]
    falls = torch.zeros(len(numbers), len(spans))
    if len(spans) > 1:
        without = [" ".join((read[:start] + " " + read[end:]).split()) for start, end in spans]
        left = [shares(model, transform(without[i : i + 16])) for i in range(0, len(without), 16)]
        falls = (whole - torch.cat(left))[:, numbers].T
    return Struck(read, tuple(spans), falls, len(words(read)), len(known))


def words(text: str) -> list[tuple[int, int]]:
    """Where the words of a text stand; in scripts without spaces each letter is a word of its own.

    >>> words("So good 真好")
    [(0, 2), (3, 7), (8, 9), (9, 10)]
    """
    found = []
    for run in re.finditer(r"\S+", text):
        start = run.start()
        for at in range(run.start(), run.end()):
            if _is_word(text[at]):
                found += [(start, at)] if at > start else []
                found.append((at, at + 1))
                start = at + 1
        found += [(start, run.end())] if run.end() > start else []
    return found


def _is_word(letter: str) -> bool:
    """Whether a letter is of a script without spaces: Chinese or Japanese; Korean has them."""
    return letter.isalpha() and unicodedata.name(letter, "").startswith(("CJK", "HIRAGANA", "KATAKANA"))


def readable(text: str, transform) -> str:
    """The text as far as a transform with a tokenizer reads it; of any other transform, the whole."""
    tokenizer, most = getattr(transform, "tokenizer", None), getattr(transform, "max_length", None)
    if not getattr(tokenizer, "is_fast", False) or most is None:
        return text
    if getattr(tokenizer, "truncation_side", "right") != "right":
        return text
    made = tokenizer(text, truncation=True, max_length=most, return_offsets_mapping=True)
    if len(made["input_ids"]) < most:
        return text
    end = max((end for _, end in made["offset_mapping"]), default=0)
    return text[:end] if text[end:].strip() else text


def unknown(text: str, transform) -> int:
    """How many words of a text a tokenizer has no pieces for, such as one of a thousand letters; it reads a blank."""
    tokenizer = getattr(transform, "tokenizer", None)
    blank = getattr(tokenizer, "unk_token_id", None)
    if blank is None or not getattr(tokenizer, "is_fast", False):
        return 0
    return tokenizer(text)["input_ids"].count(blank)
