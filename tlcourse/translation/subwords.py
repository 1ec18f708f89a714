"""`Subwords`: the pieces that translations are written with, learned from texts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch

from tlcourse.errors import CourseError, whole_number

PAD, START, END = 0, 1, 2
SPECIAL = ("<pad>", "<s>", "</s>")
LETTERS = 256  # byte-level: every string is made of bytes, so none is unknown


class Subwords:
    """Byte-pair encoding: begin with bytes, and join the pair that is most frequent, again and again.

    Arguments:
        texts: what to learn from, strings; of several languages, if they are to share pieces.
        size: how many pieces, at least 300: 256 bytes, three special ones, and what was joined.

    `len(words)` is the number of pieces; 0 is padding, 1 the start and 2 the end. Any string can be written, also one
    with emoji or in another script: what was never seen falls apart into bytes. A text in which somebody has typed
    `</s>` or `<pad>` is written like any other, with the pieces of its letters.

    Raises `CourseError` for what is not a list of strings, and for half a character (a lone surrogate).

    >>> words = Subwords(["Ouvrir le fichier", "Fermer le fichier"] * 5, size=300)
    >>> words.pieces("le fichier")
    ('le', 'fichier')
    >>> words.decode(words.encode(["Le 🦊!"]))
    ['Le 🦊!']

    Sennrich, Haddow and Birch 2016; chapter 07-2.
    """

    def __init__(self, texts: Iterable[str], size: int = 800):
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

        texts = checked_texts(texts)
        whole_number("size", size, 300)
        self._made = Tokenizer(models.BPE())
        self._made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
        self._made.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=size,
            special_tokens=list(SPECIAL),
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
        self._made.train_from_iterator(texts, trainer)

    def __len__(self) -> int:
        return self._made.get_vocab_size()

    def encode(self, texts: Sequence[str], most: int = 64) -> torch.Tensor:
        """Numbers of pieces, int64 `[n, t]`: start, at most so many pieces, end, then padding.

        Raises `CourseError` for a text of more pieces: a translation that was cut off would teach to stop too early.
        """
        texts = checked_texts(texts)
        whole_number("most", most)
        self._made.encode_special_tokens = True  # what looks like one is text; set here, since a copy forgets it
        made = [one.ids for one in self._made.encode_batch(texts, add_special_tokens=False)]
        longest = max(range(len(made)), key=lambda i: len(made[i]))
        if len(made[longest]) > most:
            raise CourseError(
                f"Text {longest} has {len(made[longest])} pieces; at most {most} are taken.",
                why=f"It begins {texts[longest][:40]!r}, and has {len(texts[longest]):,} characters.",
                do="Leave it out, cut it into sentences, or pass a larger most=.",
            )
        ids = torch.full((len(made), len(made[longest]) + 2), PAD)
        for row, one in zip(ids, made, strict=True):
            row[: len(one) + 2] = torch.tensor([START, *one, END])
        return ids

    def decode(self, ids: torch.Tensor) -> list[str]:
        """The texts of numbers `[n, t]` or `[t]`, each up to its end and without space around it.

        Raises `CourseError` for what are no numbers of pieces.
        """
        found = []
        for row in torch.atleast_2d(self._numbers(ids)).tolist():
            row = row[: row.index(END)] if END in row else row
            found.append(self._made.decode([i for i in row if i > END]).strip())
        return found

    def pieces(self, text: str | Sequence[int] | torch.Tensor) -> tuple[str, ...]:
        """The pieces of a text, or of numbers, as a person reads them; the end is shown as `⏹`."""
        ids = self.encode([text], most=10**6)[0, 1:-1] if isinstance(text, str) else self._numbers(text)
        if ids.ndim != 1:
            raise CourseError(
                f"One text's pieces are shown at once, and these are numbers {list(ids.shape)}.",
                do="Pass one row: words.pieces(ids[0]).",
            )
        shown = []
        for i in ids.tolist():
            piece = "⏹" if i == END else SPECIAL[i] if i < END else self._made.decode([i]).strip()
            shown.append(piece or "␣")
        return tuple(shown)

    def _numbers(self, ids) -> torch.Tensor:
        """The numbers as a tensor, if they are those of pieces."""
        try:
            found = torch.as_tensor(ids)
        except (TypeError, ValueError, RuntimeError):
            raise CourseError(
                f"Numbers of pieces are needed, not a {type(ids).__name__}.",
                do="Pass what encode gave, or one row of numbers. What translate found has its texts in .texts.",
            ) from None
        if not found.numel():
            return found.long()
        real = found.is_floating_point() or found.is_complex() or found.dtype == torch.bool
        if real or found.ndim > 2:
            whole = (
                "Turn them into whole numbers, ids.long(); or, if they are scores, take the best: scores.argmax(-1)."
            )
            raise CourseError(
                f"Numbers of pieces are whole numbers [n, t] or [t], not {found.dtype} {list(found.shape)}.",
                do=whole if real else "Pass one row a text, e.g. ids.flatten(0, -2).",
            )
        odd = [i for i in (int(found.min()), int(found.max())) if not 0 <= i < len(self)]
        if odd:
            raise CourseError(
                f"There is no piece {odd[0]}: they have the numbers 0 to {len(self) - 1}.",
                why="The numbers were made by other Subwords, or by a Translator for more pieces.",
                do="Use the Subwords that the numbers were made with.",
            )
        return found

    def __repr__(self) -> str:
        return f"Subwords: {len(self)} pieces, {len(self) - LETTERS - len(SPECIAL)} of them joined from others"


def checked_texts(texts, blank: bool = True) -> list[str]:
    """The texts as a list; raises `CourseError` where one is no string, is broken or, if asked, is blank."""
    if isinstance(texts, str):
        raise CourseError("A list of texts is needed, not one text.", do="Write [text].")
    texts = list(texts) if isinstance(texts, Iterable) else [texts]
    if not texts:
        raise CourseError("There are no texts.", do="Pass at least one.")
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise CourseError(f"Text {i} is a {type(text).__name__}, not a string.", do="Pass a list of strings.")
        half = (
            None if text.isascii() else next((j for j, sign in enumerate(text) if "\ud800" <= sign <= "\udfff"), None)
        )
        if half is not None:
            raise CourseError(
                f"Text {i} holds half a character (a lone surrogate) at place {half}: {text[half : half + 20]!r}.",
                why="It stands for no sign and cannot be written to a file: a text was cut inside a character.",
                do='Join or replace the halves: text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").',
            )
        if not blank and not text.strip():
            raise CourseError(f"Text {i} is empty.", why="There is nothing to translate in it.", do="Leave it out.")
    return texts
