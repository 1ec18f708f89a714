"""The small translator: pieces, attention, teacher forcing, search, scores; and strings that are no plain words."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from tlcourse import CourseError, Subwords, Translator, fit_translator, nearest_copies, translate, translation_scores
from tlcourse.features import Features
from tlcourse.models import Tokens
from tlcourse.training import Diverged
from tlcourse.training.schedules import batches, share
from tlcourse.training.watch import Watcher
from tlcourse.translation import CrossAttention
from tlcourse.translation.subwords import END, PAD, START
from tlcourse.widgets import TrainingMonitor

ENGLISH = ["open file", "close file", "open tab", "close tab", "file", "tab", "save", "save file"]
FRENCH = ["ouvrir fichier", "fermer fichier", "ouvrir onglet", "fermer onglet", "fichier", "onglet", "enregistrer"]
FRENCH += ["enregistrer fichier"]
ODD = ["<b>Ouvrir</b> %1 & {nom}", "100 % 🦊🏳️‍🌈", "关闭 %1", "\u202eabc", "a\u0301 é", "%(name)s\u00a0: l'été", "'; --"]


@pytest.fixture(scope="module")
def words():
    return Subwords(FRENCH * 3, size=320)


@pytest.fixture(scope="module")
def states():
    """Eight short sources of one-hot words, two of them with padding."""
    known = sorted({w for text in ENGLISH for w in text.split()})
    x, mask = torch.zeros(len(ENGLISH), 2, len(known)), torch.zeros(len(ENGLISH), 2)
    for i, text in enumerate(ENGLISH):
        for j, word in enumerate(text.split()):
            x[i, j, known.index(word)], mask[i, j] = 1.0, 1.0
    return Tokens(x, mask)


@pytest.fixture(scope="module")
def learned(words, states):
    model = Translator(len(words), 32, states.x.shape[2], dropout=0.0)
    history = fit_translator(model, states, words.encode(FRENCH), epochs=60, lr=1e-2, batch=8, progress=False)
    return model, history


# --- pieces


@pytest.mark.parametrize("text", ODD)
def test_any_string_can_be_written_and_read_back(words, text):
    assert words.decode(words.encode([text])) == [text]


def test_an_empty_target_is_a_start_and_an_end(words):
    assert words.encode([""]).tolist() == [[START, END]] and words.decode(words.encode([""])) == [""]


def test_ids_begin_and_end_and_are_padded(words):
    ids = words.encode(["fichier", "enregistrer fichier 🦊"])
    assert ids[:, 0].tolist() == [START, START] and (ids == END).sum(1).tolist() == [1, 1]
    assert ids[0, -1] == PAD and int((ids[1] == PAD).sum()) == 0


def test_words_that_are_frequent_are_one_piece_and_pieces_are_shared():
    both = Subwords(["le document", "les documents"] * 9, size=300)
    assert both.pieces("le document") == ("le", "document")
    assert both.pieces("el documento")[-2:] == ("document", "o")


def test_a_text_of_5000_characters_is_told_by_its_number_and_size(words):
    with pytest.raises(CourseError, match=r"Text 1 has [\d,]+ pieces; at most 64.*\n.*5,000 characters"):
        words.encode(["fichier", "x" * 5000])
    assert words.decode(words.encode(["x" * 5000], most=6000)) == ["x" * 5000]


@pytest.mark.parametrize(
    ("texts", "message"),
    [("fichier", "not one text"), ([], "no texts"), (["a", None], "Text 1 is a NoneType"), (3, "Text 0 is a int")],
)
def test_what_is_no_list_of_strings_is_told(words, texts, message):
    for take in (Subwords, words.encode):
        with pytest.raises(CourseError, match=message):
            take(texts)


# --- attention and decoder


def test_attention_is_the_formula_and_sees_no_padding():
    torch.manual_seed(0)
    look, x, states = CrossAttention(8, 6), torch.randn(2, 3, 8), torch.randn(2, 5, 6)
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]])
    seen, weights = look(x, states, mask)
    q, k, v = look.query(x[1]), look.key(states[1, :2]), look.value(states[1, :2])
    by_hand = (q @ k.T / math.sqrt(8)).softmax(1)
    assert torch.allclose(weights[1, :, :2], by_hand, atol=1e-6) and not weights[1, :, 2:].any()
    assert torch.allclose(seen[1], by_hand @ v, atol=1e-6)
    ready = F.scaled_dot_product_attention(look.query(x), look.key(states), look.value(states), mask[:, None].bool())
    assert torch.allclose(seen, ready, atol=1e-6)


def test_a_decoder_never_sees_the_piece_that_it_is_asked_for():
    model = Translator(50, 16, 8).eval()
    tokens, ids = Tokens(torch.randn(1, 4, 8), torch.ones(1, 4)), torch.randint(3, 50, (1, 6))
    other = ids.clone()
    other[0, 4:] = 7
    assert torch.equal(model(tokens, ids)[:, :4], model(tokens, other)[:, :4])
    assert not torch.equal(model(tokens, ids)[:, 4:], model(tokens, other)[:, 4:])


def test_padding_of_the_source_changes_nothing():
    model = Translator(50, 16, 8).eval()
    x, ids = torch.randn(1, 4, 8), torch.randint(3, 50, (1, 5))
    longer = Tokens(torch.cat([x, torch.full((1, 3, 8), 9.0)], 1), torch.tensor([[1, 1, 1, 1, 0, 0, 0]]))
    assert torch.allclose(model(Tokens(x, torch.ones(1, 4)), ids), model(longer, ids), atol=1e-5)


def test_step_by_step_is_the_same_as_all_at_once():
    model = Translator(50, 16, 8).eval()
    tokens, ids = Tokens(torch.randn(2, 4, 8), torch.ones(2, 4)), torch.randint(3, 50, (2, 5))
    memory, state, parts = model.read(tokens), None, []
    for i in range(5):
        scores, _, state = model.step(memory, ids[:, i : i + 1], state)
        parts.append(scores)
    assert torch.allclose(torch.cat(parts, 1), model(tokens, ids), atol=1e-5)


def test_a_seed_makes_the_same_decoder_and_leaves_torch_alone():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    a, b, c = Translator(50, 16, 8, seed=1), Translator(50, 16, 8, seed=1), Translator(50, 16, 8, seed=2)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(a.table.weight, b.table.weight) and not torch.equal(a.table.weight, c.table.weight)


def test_states_of_another_width_are_told():
    with pytest.raises(CourseError, match=r"\[n, s, 8\]"):
        Translator(50, 16, 8)(Tokens(torch.rand(1, 2, 9), torch.ones(1, 2)), torch.ones(1, 1, dtype=torch.long))


# --- training


def test_it_learns_what_it_is_shown_and_writes_a_history(learned, states, words):
    model, history = learned
    assert history.rows[-1]["loss"] < history.rows[0]["loss"] / 2 and history.rows[-1]["accuracy"] > 0.95
    assert translate(model, states, words).texts == tuple(FRENCH) and not model.training


def test_the_loss_is_the_mean_over_pieces_that_are_no_padding(words, states):
    model, targets = Translator(len(words), 16, states.x.shape[2], dropout=0.0), words.encode(FRENCH)
    with torch.no_grad():
        logs = model(states, targets[:, :-1]).log_softmax(2)
        wanted = targets[:, 1:]
        each = -logs.gather(2, wanted[..., None])[..., 0][wanted != PAD]
    history = fit_translator(
        model, states, targets, epochs=1, lr=1e-9, batch=8, smoothing=0.0, schedule="constant", progress=False
    )
    assert history.rows[0]["loss"] == pytest.approx(float(each.mean()), rel=1e-4)


def test_one_seed_one_result_and_validation_is_only_looked_at(words, states):
    def run(valid):
        model = Translator(len(words), 16, states.x.shape[2])
        targets = words.encode(FRENCH)
        valid = (states, targets) if valid else None
        return model, fit_translator(model, states, targets, valid, epochs=2, batch=4, seed=3, progress=False)

    (a, _), (b, history) = run(False), run(True)
    assert all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))
    assert {"valid_loss", "valid_accuracy"} <= set(history.rows[0])


def test_the_loop_is_teacher_forcing_by_hand(words, states):
    """Batches of like length, warm-up and cosine, Adam with these betas, a gradient of length 1 at most."""
    by_hand, by_fit = (Translator(len(words), 16, states.x.shape[2], dropout=0.2, seed=4) for _ in range(2))
    targets, total = words.encode(FRENCH), 6
    lengths, order = (targets != PAD).sum(1), torch.Generator().manual_seed(5)
    descent = torch.optim.AdamW(by_hand.parameters(), lr=0.05, weight_decay=0.02, betas=(0.9, 0.98), fused=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        parts = [index for _ in range(2) for index in batches(len(FRENCH), 3, order, lengths)]
        for done, index in enumerate(parts):
            descent.param_groups[0]["lr"] = 0.05 * share(done, total, "cosine", 0.1)
            ids = targets[index, : int(lengths[index].max())]
            longest = int(states.mask[index].sum(1).max())
            scores = by_hand.train()(Tokens(states.x[index, :longest], states.mask[index, :longest]), ids[:, :-1])
            descent.zero_grad()
            F.cross_entropy(
                scores.flatten(0, 1), ids[:, 1:].flatten(), ignore_index=PAD, label_smoothing=0.1
            ).backward()
            torch.nn.utils.clip_grad_norm_(by_hand.parameters(), 1.0)
            descent.step()
    more = {"epochs": 2, "lr": 0.05, "weight_decay": 0.02, "batch": 3, "seed": 5, "progress": False}
    fit_translator(by_fit, states, targets, **more)
    for one, other in zip(by_hand.parameters(), by_fit.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_loss_and_accuracy_are_means_over_pieces_whatever_the_batches(words, states):
    model, targets = Translator(len(words), 32, states.x.shape[2], dropout=0.0), words.encode(FRENCH)
    with torch.no_grad():
        wanted = targets[:, 1:]
        right = (model(states, targets[:, :-1]).argmax(2) == wanted)[wanted != PAD].double().mean()
    more = {"epochs": 1, "lr": 1e-9, "batch": 3, "smoothing": 0.0, "schedule": "constant", "progress": False}
    row = fit_translator(model, states, targets, (states, targets), **more).rows[0]
    assert list(row) == ["epoch", "loss", "accuracy", "valid_loss", "valid_accuracy", "seconds"]
    assert row["accuracy"] == row["valid_accuracy"] == pytest.approx(float(right))
    assert row["loss"] == pytest.approx(row["valid_loss"], rel=1e-4)


def test_it_can_be_watched_and_stopped_after_a_batch(words, states):
    class Presses(Watcher):
        heard = ()

        def batch(self, loss, accuracy):
            self.heard += ((loss, accuracy),)
            if len(self.heard) == 3:
                self.stop()

    model, watches = Translator(len(words), 16, states.x.shape[2]), Presses()
    history = fit_translator(model, states, words.encode(FRENCH), epochs=9, batch=4, progress=watches)
    assert history.interrupted and len(history) == 1 and not model.training
    assert "in epoch 2 of 9, after 1 of its 2 batches" in history.note
    losses, accuracies = zip(*watches.heard, strict=True)
    assert all(0 <= share <= 1 for share in accuracies) and min(losses) > 0


def test_a_monitor_draws_its_loss_and_accuracy(words, states):
    monitor, model = TrainingMonitor(), Translator(len(words), 16, states.x.shape[2])
    row = fit_translator(model, states, words.encode(FRENCH), epochs=2, batch=4, progress=monitor).rows[-1]
    assert monitor.now["state"] == "done" and len(monitor.now["points"]) == 4
    assert f"loss {row['loss']:.3f}, accuracy {row['accuracy']:.3f}" in monitor.now["words"]


def test_what_is_frozen_stays(words, states):
    model = Translator(len(words), 16, states.x.shape[2])
    model.table.requires_grad_(False)
    table, join = model.table.weight.clone(), model.join.weight.clone()
    fit_translator(model, states, words.encode(FRENCH), epochs=1, progress=False)
    assert torch.equal(table, model.table.weight) and not torch.equal(join, model.join.weight)


def test_a_rate_that_is_too_large_is_told_with_the_epochs_so_far(words, states):
    model = Translator(len(words), 16, states.x.shape[2])
    more = {"epochs": 3, "lr": 1e38, "batch": 8, "schedule": "constant", "progress": False}
    with pytest.raises(Diverged, match=r"learning rate(.|\n)*try lr=1e\+37") as caught:
        fit_translator(model, states, words.encode(FRENCH), **more)
    assert caught.value.history.seconds > 0 and len(caught.value.history) < 3 and not model.training


def test_what_does_not_go_together_is_told(words, states):
    model, targets = Translator(len(words), 16, states.x.shape[2]), words.encode(FRENCH)
    with pytest.raises(CourseError, match="8 sources and 3 translations"):
        fit_translator(model, states, targets[:3], epochs=1)
    with pytest.raises(CourseError, match="the model knows 300 pieces"):
        fit_translator(Translator(300, 16, 5), states, targets.clamp(max=310).fill_(310), epochs=1)
    with pytest.raises(CourseError, match="numbers of pieces"):
        fit_translator(model, states, FRENCH, epochs=1)
    with pytest.raises(CourseError, match="A Translator is trained here"):
        fit_translator(torch.nn.Linear(2, 2), states, targets, epochs=1)
    with pytest.raises(CourseError, match="lr=0 learns nothing"):
        fit_translator(model, states, targets, epochs=1, lr=0)
    pooled = Features(torch.rand(8, 5), torch.zeros(8, dtype=torch.long), tuple("abcdefgh"), ("a",), "pool")
    with pytest.raises(CourseError, match="features of 'pool'"):
        fit_translator(model, pooled, targets, epochs=1)


def test_states_that_are_no_numbers_stop_training_before_a_weight_moves(words, states):
    model = Translator(len(words), 16, states.x.shape[2])
    before = model.table.weight.clone()
    bad = Tokens(states.x.clone().fill_(float("nan")), states.mask)
    with pytest.raises(CourseError, match="are not numbers"):
        fit_translator(model, bad, words.encode(FRENCH), epochs=1, progress=False)
    assert torch.equal(model.table.weight, before)


# --- search


def test_greedy_takes_the_most_probable_piece_each_time(learned, states, words):
    model, _ = learned
    made = translate(model, states, words)
    for i, ids in enumerate(made.ids):
        one = Tokens(states.x[i : i + 1], states.mask[i : i + 1])
        with torch.no_grad():
            logs = model(one, torch.cat([torch.tensor([START]), ids[:-1]])[None])[0]
        assert logs.argmax(1).tolist() == ids.tolist() and ids[-1] == END


def log_probability(model, tokens, ids):
    with torch.no_grad():
        scores = model(tokens, torch.cat([torch.tensor([START]), ids[:-1]])[None])[0].clone()
    scores[:, [PAD, START]] = -torch.inf
    return float(scores.log_softmax(1).gather(1, ids[:, None]).sum())


@pytest.mark.parametrize("beam", [1, 3])
def test_scores_are_log_probabilities_of_what_was_written(words, states, beam):
    model = Translator(len(words), 16, states.x.shape[2]).eval()
    made = translate(model, states, words, beam=beam, most=7)
    for i, ids in enumerate(made.ids):
        one = Tokens(states.x[i : i + 1], states.mask[i : i + 1])
        assert made.scores[i] == pytest.approx(log_probability(model, one, ids), abs=1e-3)
        assert made.attention[i].shape == (len(ids), int(states.mask[i].sum()))
        assert torch.allclose(made.attention[i].sum(1), torch.ones(len(ids)), atol=1e-5)


def test_a_wide_beam_finds_the_best_of_all(words):
    torch.manual_seed(1)
    model = Translator(5, 8, 4).eval()  # two pieces besides padding, start and end
    with torch.no_grad():
        model.bias.copy_(torch.tensor([0.0, 0.0, 0.5, 0.2, 0.1]))
        model.table.weight.mul_(4)
    small = words.__class__.__new__(words.__class__)

    class Five:
        def __len__(self):
            return 5

    small.__class__ = type("FivePieces", (Subwords,), {"__len__": Five.__len__, "decode": lambda s, ids: [str(ids)]})
    tokens = Tokens(torch.randn(1, 3, 4), torch.ones(1, 3))
    best, beginnings = (-math.inf, None), [[]]
    for _ in range(4):
        beginnings = [[*b, p] for b in beginnings for p in (3, 4)] if beginnings != [[]] else [[3], [4]]
        for b in beginnings:
            ids = torch.tensor([*b, END])
            best = max(best, (log_probability(model, tokens, ids), ids.tolist()))
    best = max(best, (log_probability(model, tokens, torch.tensor([END])), [END]))
    made = translate(model, tokens, small, beam=16, most=5, shorter=0.0)
    assert made.ids[0].tolist() == best[1] and made.scores[0] == pytest.approx(best[0], abs=1e-4)


def test_what_does_not_end_is_cut_off_and_counted(words, states):
    model = Translator(len(words), 16, states.x.shape[2])
    with torch.no_grad():
        model.bias[END] = -1e4
    for beam in (1, 2):
        made = translate(model, states, words, beam=beam, most=5)
        assert made.unfinished == len(ENGLISH) and {len(ids) for ids in made.ids} == {5}
        assert "8 were cut off" in repr(made)


def test_the_order_of_the_sources_changes_nothing(learned, states, words):
    model, _ = learned
    back = Tokens(states.x.flip(0), states.mask.flip(0))
    for beam in (1, 3):
        assert translate(model, back, words, beam=beam).texts[::-1] == translate(model, states, words, beam=beam).texts


def test_pieces_of_another_model_and_nothing_to_translate_are_told(learned, states, words):
    model, _ = learned
    with pytest.raises(CourseError, match="do not belong together"):
        translate(model, states, Subwords(ODD, size=300))
    with pytest.raises(CourseError, match="nothing to translate"):
        translate(model, Tokens(states.x[:0], states.mask[:0]), words)
    with pytest.raises(CourseError, match="beam=0"):
        translate(model, states, words, beam=0)
    with pytest.raises(CourseError, match="a list"):
        translate(model, ENGLISH, words)


# --- scores and the nearest copy


def test_scores_know_the_same_from_nothing_alike():
    same = translation_scores(FRENCH * 2, FRENCH * 2)
    assert same["chrF"] == pytest.approx(100)
    none = translation_scores(["zzz"] * 8, FRENCH)
    assert none["chrF"] < 5 and none["BLEU"] < 5
    assert translation_scores([""] * 8, FRENCH)["chrF"] == 0.0
    long = ["ouvrir le fichier dans un nouvel onglet"]
    assert translation_scores(long, long)["BLEU"] == pytest.approx(100)


def test_chinese_is_counted_by_characters():
    made, wanted = ["关闭所有标签页"], ["关闭所有的标签页"]
    assert translation_scores(made, wanted, "zh")["BLEU"] > 20 > translation_scores(made, wanted, "fr")["BLEU"]


def test_unequal_numbers_of_translations_are_told():
    with pytest.raises(CourseError, match="2 translations and 1 references"):
        translation_scores(["a", "b"], ["a"])


def test_the_nearest_copy_is_that_of_the_most_similar_text_or_vector():
    assert nearest_copies(ENGLISH, ["close files", "open"], FRENCH) == ["fermer fichier", "ouvrir fichier"]
    known = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert nearest_copies(known, torch.tensor([[0.1, 9.0]]), ["a", "b"]) == ["b"]
    assert nearest_copies(ENGLISH, ["🦊 %1"], FRENCH)[0] in FRENCH, "nothing alike still copies something"
    with pytest.raises(CourseError, match="8 known texts, 1 translations"):
        nearest_copies(ENGLISH, ["a"], ["b"])
