"""The runs of chapter 07-2 as functions: parents, their twins, and children with few pairs."""

from __future__ import annotations

from functools import cache
from math import ceil
from typing import NamedTuple

import numpy as np

from tlcourse.datasets import ParallelSplit, load_dataset
from tlcourse.errors import CourseError, UnknownName
from tlcourse.features import Features, extract
from tlcourse.models import load
from tlcourse.translation.decoder import Translator
from tlcourse.translation.search import translate
from tlcourse.translation.subwords import Subwords
from tlcourse.translation.training import fit_translator

WORDS, STAGE, PIECES, WIDTH, DROPOUT = 6, "layer3", 1200, 128, 0.2
PARENT = {"epochs": 10, "lr": 4e-3}
# the same for both starts; on validation strings 150 steps were too few for a start from scratch
STEPS, CHILD = 300, {"lr": 4e-3, "batch": 16}
STARTS = ("scratch", "parent", "parent, new table")


class Trial(NamedTuple):
    """One run: into which language, from how many pairs, from where, over which encoder.

    Arguments:
        language: `"fr"`, or a child's: `"es"` or `"zh"`.
        pairs: how many of the training pairs; 0 for all.
        start: `"scratch"`; `"parent"`: the weights of the English-French decoder; or `"parent, new table"`: the same
            but for the table of pieces, which is drawn anew, so that shared pieces bring nothing. Chinese has pieces of
            its own, so both mean the same there.
        encoder: `"pretrained"` or `"random"`.
        seed: of the decoder, the order, the draw of the pairs, and of a random encoder.
    """

    language: str = "fr"
    pairs: int = 0
    start: str = "scratch"
    encoder: str = "pretrained"
    seed: int = 0


@cache
def strings(language: str, side: str) -> ParallelSplit:
    """The short strings of a language on one side; of Spanish and Chinese those that both have, in the same order.

    >>> strings("es", "test").x == strings("zh", "test").x
    True
    """
    split = getattr(load_dataset("interface-strings", language=language), side).short(WORDS)
    if language == "fr":
        return split
    other = set(getattr(load_dataset("interface-strings", language="zh" if language == "es" else "es"), side).x)
    return split[[i for i, text in enumerate(split.x) if text in other]]


@cache
def pieces(language: str = "fr") -> Subwords:
    """One vocabulary for French and Spanish, which share pieces, and one for Chinese, from all training strings.

    >>> pieces("es") is pieces("fr"), len(pieces("zh"))
    (True, 1200)
    """
    if language == "es":
        return pieces("fr")
    split = [load_dataset("interface-strings", language=code).train for code in ("fr", "es", "zh")]
    texts = [s.short(WORDS).targets for s in split]
    return Subwords([*texts[0], *texts[1]] if language == "fr" else texts[2], PIECES)


def states(language: str, side: str, encoder: str = "pretrained", seed: int = 0) -> Features:
    """What the frozen encoder makes of the English strings, kept on disk."""
    if encoder not in ("pretrained", "random"):
        raise UnknownName("encoder", encoder, ("pretrained", "random"))
    # the English sides of Spanish and Chinese are the same, and so are their states
    return _states("es" if language == "zh" else language, side, encoder, seed if encoder == "random" else 0)


@cache
def _states(language, side, encoder, seed) -> Features:
    model = load("minilm", pretrained=encoder == "pretrained", seed=seed)
    return extract(model, strings(language, side), STAGE, progress=False)


def drawn(language: str, pairs: int, seed: int) -> list[int]:
    """Which training pairs a trial learns from: those of fewer pairs are among those of more."""
    n = len(strings(language, "train"))
    if not 0 <= pairs <= n:
        raise CourseError(f"There are {n} pairs, not {pairs}.", do=f"Choose a number from 1 to {n}, or 0 for all.")
    return np.random.default_rng([7, seed]).permutation(n)[: pairs or n].tolist()


def decoder(trial: Trial) -> Translator:
    """The trained decoder of a trial.

    Raises `UnknownName` for another start. Zoph et al. 2016 (parent and child); chapter 07-2.
    """
    if trial.start not in STARTS:
        raise UnknownName("start", trial.start, STARTS)
    words = pieces(trial.language)
    model = Translator(len(words), WIDTH, dropout=DROPOUT, seed=trial.seed)
    if trial.start != "scratch":
        keep = trial.start == "parent" and words is pieces("fr")
        model = child(parent(trial.encoder, trial.seed), model, table=keep)
    chosen = drawn(trial.language, trial.pairs, trial.seed)
    learn = states(trial.language, "train", trial.encoder, trial.seed)[chosen]
    targets = words.encode(strings(trial.language, "train")[chosen].targets)
    settings = PARENT if trial.language == "fr" else CHILD | {"epochs": epochs(len(chosen))}
    fit_translator(model, learn, targets, seed=trial.seed, progress=False, **settings)
    return model


def epochs(pairs: int) -> int:
    """Passes over so many pairs that come to about 300 steps.

    >>> epochs(50), epochs(300)
    (75, 16)
    """
    return max(1, round(STEPS / ceil(pairs / CHILD["batch"])))


def child(parent: Translator, model: Translator, table: bool = True) -> Translator:
    """A new decoder with its parent's weights; `table=False`: but with the table of pieces that it has."""
    own = ("table.weight", "bias")
    given = {name: weight for name, weight in parent.state_dict().items() if table or name not in own}
    model.load_state_dict(model.state_dict() | given)
    return model


@cache
def parent(encoder: str = "pretrained", seed: int = 0) -> Translator:
    """The English-French decoder that children begin from."""
    return decoder(Trial(encoder=encoder, seed=seed))


def run(trial: Trial, side: str = "test") -> tuple[str, ...]:
    """Train, and translate the strings of one side by greedy search."""
    model = parent(trial.encoder, trial.seed) if trial == Trial("fr", 0, "scratch", *trial[3:]) else decoder(trial)
    return translate(model, states(trial.language, side, trial.encoder, trial.seed), pieces(trial.language)).texts
