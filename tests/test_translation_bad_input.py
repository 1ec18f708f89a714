"""Bad input to translation, its baseline and its scores is told in words."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tlcourse import CourseError, Subwords, Translator, load, nearest_copies, translate, translation_scores
from tlcourse.models import Tokens
from tlcourse.translation import fit_translator, read_texts

NAN, KNOWN, SAID = float("nan"), ["Open file", "Close tab"], ["Ouvrir le fichier", "Fermer l'onglet"]
X, MASK = torch.rand(2, 5, 8), torch.ones(2, 5)


@pytest.fixture(scope="module")
def words():
    return Subwords(SAID, size=300)


@pytest.mark.parametrize(
    ("states", "told"),
    [
        (Tokens(X * NAN, MASK), "text 0 are not numbers"),
        (Tokens(X, MASK[:, :4]), "do not belong together"),
        (Tokens(X, MASK * torch.tensor([[1], [0]])), "Text 1 has no word"),
        (Tokens(X[:, :0], MASK[:, :0]), "Text 0 has no word"),
    ],
)
def test_states_that_nothing_can_be_read_from_are_told(words, states, told):
    model = Translator(len(words), 16, 8)
    for work in (
        lambda: translate(model, states, words, most=3),
        lambda: translate(model, states, words, most=3, beam=2),
        lambda: fit_translator(model, states, words.encode(SAID), epochs=1, progress=False),
    ):
        with pytest.raises(CourseError, match=told):
            work()


def test_what_padding_holds_does_not_matter(words):
    model, x, mask = Translator(len(words), 16, 8), X.clone(), MASK.clone()
    mask[:, 4], x[:, 4] = 0, NAN
    made = translate(model, Tokens(x, mask), words, most=3)
    assert made.texts == translate(model, Tokens(X[:, :4], MASK[:, :4]), words, most=3).texts


@pytest.mark.parametrize("text", ["🦊", "x" * 5000, "\u200b", "\x00", "𓀀 🧿"])
def test_a_text_of_unknown_signs_alone_is_told(text):
    with pytest.raises(CourseError, match="Text 1 holds nothing that the encoder knows"):
        read_texts(load("minilm", pretrained=False), ["Open {name} %s <b>", text], "embeddings")


@pytest.mark.parametrize(
    ("known", "new", "targets", "told"),
    [
        (KNOWN, "Close tab", SAID, "not one text"),
        ("ab", ["a"], SAID, "not one text"),
        (KNOWN, ["a"], "xy", "not one text"),
        (None, ["a"], SAID, "NoneType"),
        (KNOWN, [None], SAID, "NoneType"),
        (KNOWN, ["a"], [1, None], "int"),
        (KNOWN, ["a"], None, "NoneType"),
        (["", " "], ["a"], SAID, "All known texts are empty"),
        (KNOWN, [], SAID, "0 new texts"),
        (KNOWN, ["a"], SAID[:1], "1 translations"),
        (X[0, :2], ["a"], SAID, "cannot be compared"),
        (KNOWN, X[0], SAID, "cannot be compared"),
        (X[0, :2], X[0, :, :3], SAID, "cannot be compared"),
        (X, X, SAID, "cannot be compared"),
        (X[0, :2] * NAN, X[0], SAID, "hold NaN"),
        (X[0, :2], X[0] * NAN, SAID, "hold NaN"),
    ],
)
def test_what_has_no_nearest_is_told(known, new, targets, told):
    with pytest.raises(CourseError, match=told):
        nearest_copies(known, new, targets)


def test_arrays_are_vectors_too_and_odd_texts_are_compared():
    vectors = X[0, :2]
    assert nearest_copies(vectors.numpy(), vectors.numpy(), SAID) == SAID
    assert nearest_copies(np.array(KNOWN), ["", "<b>Close</b> %s 🦊 tab", "打开"], SAID)[1] == SAID[1]


def test_chinese_is_chinese_under_any_of_its_names(words):
    same = [
        translation_scores(["打开文件夹"], ["打开文件夹"], name)["BLEU"] for name in ("zh", "ZH", "zh-CN", "zh_Hans")
    ]
    assert min(same) > 99
    with pytest.raises(CourseError, match="language=None"):
        translation_scores(["a"], ["a"], None)


def test_what_translate_found_can_be_scored_as_it_is(words):
    made = translate(Translator(len(words), 16, 8), Tokens(X, MASK), words, most=3)
    assert translation_scores(made, SAID) == translation_scores(made.texts, SAID)
