"""Bad input to translation, its baseline and its scores is told in words."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from tlcourse import CourseError, Subwords, Translator, load, nearest_copies, translate, translation_scores
from tlcourse.models import Tokens
from tlcourse.translation import fit_translator, read_texts
from tlcourse.translation.subwords import END, PAD, START

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


@pytest.mark.parametrize("rows", [[0, 1], [1]], ids=["all texts", "the shorter text"])
def test_what_padding_holds_does_not_matter(words, rows):
    x, mask = X.clone(), MASK.clone()
    mask[rows, 4:], other = 0, Tokens(X.clone(), mask)
    x[rows, 4:] = NAN
    model = Translator(len(words), 16, 8)
    made, again = (translate(model, states, words, most=3) for states in (Tokens(x, mask), other))
    assert made.texts == again.texts and made.scores == again.scores
    one, two = (
        fit_translator(Translator(len(words), 16, 8), states, words.encode(SAID), epochs=2, progress=False).rows[-1]
        for states in (Tokens(x, mask), other)
    )
    assert one["loss"] == pytest.approx(two["loss"]) and x[1, 4].isnan().all(), "the caller's tensor is as it was"


# --- pieces


@pytest.mark.parametrize("text", ["</s>", "a</s>b", "<s>", "<pad> x", "x<pad>", "</s> x </s>", "<s><pad></s>"])
def test_what_looks_like_a_special_piece_is_text(words, text):
    for pieces in (words, pickle.loads(pickle.dumps(words)), Subwords([text, *SAID] * 9, size=300)):
        ids = pieces.encode([text, "fichier"])
        assert pieces.decode(ids) == [text, "fichier"]
        assert (ids == START).sum(1).tolist() == (ids == END).sum(1).tolist() == [1, 1]
        assert (ids[0] == PAD).sum() == 0 or ids[0, -1] == PAD
        assert "".join(pieces.pieces(text)).replace("␣", "") == text.replace(" ", "")
    assert words.pieces(ids[0])[0] == "<s>" and words.pieces(ids[0])[-1] == "⏹"


@pytest.mark.parametrize("text", ["\ud800", "a\ud83e b", "\udd8a\ud83e"])
def test_half_a_character_is_told_and_the_way_out_works(words, text):
    for take in (Subwords, words.encode, lambda texts: translation_scores(texts, texts), lambda t: words.pieces(t[1])):
        with pytest.raises(CourseError, match="half a character") as caught:
            take(["fine", text])
    way = str(caught.value).split("halves: ")[1].removesuffix(".")
    whole = eval(way, {"text": text})
    assert words.decode(words.encode([whole])) == [whole] and "\N{REPLACEMENT CHARACTER}" in whole
    assert eval(way, {"text": "\ud83e\udd8a"}) == "🦊", "two halves become one"


def test_half_a_character_is_no_text_for_an_encoder():
    with pytest.raises(CourseError, match="Text 1 holds half a character"):
        read_texts(load("minilm", pretrained=False), ["Open", "\ud83e"], "embeddings")


@pytest.mark.parametrize(
    ("ids", "told"),
    [
        (torch.rand(2, 3), r"not torch.float32 \[2, 3\](.|\n)*ids.long\(\)(.|\n)*argmax"),
        (torch.ones(2, 3, dtype=torch.bool), "not torch.bool"),
        (torch.ones(2, 3, 4, dtype=torch.long), r"\[2, 3, 4\](.|\n)*one row a text"),
        (torch.tensor([[1, 5000]]), "no piece 5000(.|\n)*other Subwords"),
        (torch.tensor([[-100, 5]]), "no piece -100"),
        (None, "not a NoneType"),
        ("fichier", "not a str"),
        ((torch.tensor([1, 2]), torch.tensor([1])), "not a tuple"),
    ],
)
def test_what_are_no_numbers_of_pieces_is_told(words, ids, told):
    with pytest.raises(CourseError, match=told):
        words.decode(ids)
    if not isinstance(ids, str):
        with pytest.raises(CourseError, match=told):
            words.pieces(ids)


def test_numbers_may_be_a_list_or_an_array_and_none_at_all(words):
    ids = words.encode(SAID)
    assert words.decode(ids.tolist()) == words.decode(ids.numpy()) == SAID
    assert words.decode(torch.zeros(0, 4)) == [] and words.pieces([]) == ()
    with pytest.raises(CourseError, match="Pass one row"):
        words.pieces(ids)


# --- training


def changed(change):
    """Targets of which something was changed."""

    def of(words):
        ids = words.encode(SAID)
        change(ids)
        return ids

    return of


@pytest.mark.parametrize(
    ("targets", "told"),
    [
        (changed(lambda ids: ids.zero_()), "Translation 0 holds nothing to learn from: it is padding"),
        (changed(lambda ids: ids[1].zero_()), "Translation 1 holds nothing"),
        (changed(lambda ids: ids[1, 1:].zero_()), "Translation 1 holds nothing"),
        (changed(lambda ids: ids[1].copy_(ids[1].roll(1) * (torch.arange(ids.shape[1]) > 0))), "Translation 1 holds"),
        (changed(lambda ids: ids[0, 2].zero_()), "Translation 0 has padding before its end"),
        (changed(lambda ids: ids.neg_()), "hold piece -"),
        (lambda words: words.encode(SAID).float(), r"int64 \[n, t\], not torch.float32 \[2, "),
        (lambda words: words.encode(SAID).tolist(), "not a list"),
    ],
)
def test_targets_that_nothing_can_be_learned_from_are_told(words, targets, told):
    model = Translator(len(words), 16, 8)
    before, states = model.table.weight.clone(), Tokens(X, MASK)
    with pytest.raises(CourseError, match=told):
        fit_translator(model, states, targets(words), epochs=1, progress=False)
    with pytest.raises(CourseError, match=told):
        fit_translator(model, states, words.encode(SAID), (states, targets(words)), epochs=1, progress=False)
    assert torch.equal(before, model.table.weight)


def test_an_empty_translation_can_be_learned(words):
    assert len(fit_translator(Translator(len(words), 16, 8), Tokens(X, MASK), words.encode(["", ""]), epochs=1)) == 1


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"progress": "x"}, "progress='x' will not do(.|\n)*TrainingMonitor"),
        ({"progress": 1}, "progress=1 will not do"),
        ({"valid": [X]}, "valid= is no pair"),
        ({"valid": 3}, "valid= is no pair"),
        ({"epochs": 0}, "epochs=0"),
        ({"smoothing": 1.0}, "smoothing=1.0"),
        ({"schedule": "cos"}, "'cos'"),
        ({"lr": NAN}, "lr=nan"),
    ],
)
def test_settings_that_will_not_do_are_told(words, more, told):
    with pytest.raises(CourseError, match=told):
        fit_translator(Translator(len(words), 16, 8), Tokens(X, MASK), words.encode(SAID), **{"epochs": 1} | more)


def test_a_frozen_translator_is_told_what_to_do(words):
    model = Translator(len(words), 16, 8).requires_grad_(False)
    with pytest.raises(CourseError, match=r"all of it is frozen(.|\n)*model\.requires_grad_\(True\)"):
        fit_translator(model, Tokens(X, MASK), words.encode(SAID), epochs=1)
    model.requires_grad_(True)
    assert len(fit_translator(model, Tokens(X, MASK), words.encode(SAID), epochs=1, progress=False)) == 1


# --- texts


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
