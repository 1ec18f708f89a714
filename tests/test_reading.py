"""Reading short texts: facts and questions, places of letters and tokens, scores, and the span head's training."""

from __future__ import annotations

import pytest
import torch

from tlcourse import CourseError, SpanReader, UnknownName, answer_f1, country_questions, exact_match, fit_reader, load
from tlcourse.answering import PairTransform, best_spans, first_name, nearest_sentence, normal_answer, places
from tlcourse.datasets import TextQuestion, as_split, country_facts
from tlcourse.datasets.phrasings import ASKED, ASKED_ANEW, TOLD

PARTS = ("train", "valid", "valid_phrasings", "countries", "phrasings")


@pytest.fixture(scope="module")
def asked():
    return country_questions()


@pytest.fixture(scope="module")
def model():
    return load("minilm")


def one(text="Kenya speaks Swahili.", answer="Swahili", start=13, question="Which language does Kenya speak?"):
    return TextQuestion(question, text, answer, start, "language", "KE")


# --- the data


def test_facts_are_those_of_cldr():
    from babel import Locale

    facts = country_facts()
    assert len(facts) > 200 and facts["KE"]["german"] == "Kenia" and facts["BR"]["before"] == "Brazilian Cruzeiro"
    assert facts["JP"]["clock"] == "Tokyo" and facts["IN"]["german"] == "Indien" and "clock" not in facts["SG"]
    assert facts["PL"]["language"] == Locale("en").languages["pl"]
    assert all(fact for one in facts.values() for fact in one.values())
    assert all(set(one) - {"name"} <= set(TOLD) for one in facts.values())


def test_answers_stand_where_the_question_says(asked):
    for part in PARTS:
        for q in getattr(asked, part):
            if q.start < 0:
                facts = country_facts()[q.country]
                for words in TOLD[q.kind]:
                    for name in (facts["name"], "the country", "The country"):
                        assert words.format(name=name, answer=facts[q.kind]) not in q.text and q.answer == ""
            else:
                assert q.text[q.start : q.start + len(q.answer)] == q.answer == country_facts()[q.country][q.kind]


def test_no_country_and_no_wording_is_learned_and_tested(asked):
    countries = {part: {q.country for q in getattr(asked, part)} for part in PARTS}
    for a, b in (("train", "valid"), ("train", "countries"), ("valid", "countries")):
        assert not countries[a] & countries[b]
    assert countries["countries"] == countries["phrasings"] and countries["valid"] == countries["valid_phrasings"]
    wordings = {part: {q.question.replace(country_facts()[q.country]["name"], "X") for q in getattr(asked, part)}
                for part in PARTS}  # fmt: skip
    assert wordings["countries"] <= wordings["train"]
    assert not wordings["train"] & (wordings["phrasings"] | wordings["valid_phrasings"])
    assert not wordings["valid_phrasings"] & wordings["phrasings"], "what chooses must not be what tests"


def test_only_the_wording_differs_between_the_two_tests(asked):
    for a, b in zip(asked.countries, asked.phrasings, strict=True):
        assert (a.text, a.answer, a.start, a.kind) == (b.text, b.answer, b.start, b.kind) and a.question != b.question


def test_how_long_a_text_is_does_not_tell_whether_it_answers(asked):
    long = [(q.text.count(". ") + 1 > 3, q.start >= 0) for q in asked.train + asked.countries]
    shares = [
        sum(told for more, told in long if more == side) / sum(more == side for more, _ in long) for side in (0, 1)
    ]
    assert abs(shares[0] - shares[1]) < 0.12
    missing = sum(q.start < 0 for q in asked.train) / len(asked.train)
    assert 0.1 < missing < 0.3


def test_every_phrasing_names_the_country_and_another_seed_draws_others(asked):
    assert all("{name}" in words for kind in TOLD for words in (*ASKED[kind], *ASKED_ANEW[kind], *TOLD[kind]))
    assert country_questions(1).train != asked.train and country_questions(0) is asked
    with pytest.raises(CourseError, match="not a seed"):
        country_questions(-1)


# --- scores


@pytest.mark.parametrize(
    ("said", "true", "em", "f1"),
    [
        ("the Kenyan shilling.", "Kenyan Shilling", 1, 1),
        ("Kenyan", "Kenyan Shilling", 0, 2 / 3),
        ("Shilling Shilling", "Kenyan Shilling", 0, 1 / 2),
        ("", "", 1, 1),
        ("", "Euro", 0, 0),
        ("Euro", "", 0, 0),
        ("1,966", "1966", 1, 1),
        ("The", "", 1, 1),
        ("Euro", "US Dollar", 0, 0),
    ],
)
def test_answers_are_scored_as_squad_does(said, true, em, f1):
    assert exact_match(said, true) == em and answer_f1(said, true) == pytest.approx(f1)
    assert answer_f1(true, said) == pytest.approx(f1)


def test_an_article_inside_a_word_stays():
    assert normal_answer("Panama and the Andes, an atlas") == "panama and andes atlas"
    with pytest.raises(CourseError, match="not a NoneType"):
        normal_answer(None)


def test_the_baselines_take_names_and_numbers_that_the_question_has_not():
    text = "The Euro is legal tender in Malta. Clocks in Malta show the time of Rome."
    assert first_name("What money does Malta use?", text) == "Euro"
    assert nearest_sentence("What time do clocks show in Malta?", text) == "Rome"
    assert first_name("Where is it?", "nothing at all.") == "" and nearest_sentence("x", "") == ""


# --- letters and tokens


def test_spans_of_tokens_give_the_answer_back_letter_by_letter(asked, model):
    transform = PairTransform(model.tokenizer)
    for part in PARTS:
        questions = getattr(asked, part)
        where = places(transform, questions)
        assert where.words(where.gold) == [q.answer for q in questions]
        assert bool(where.inside.gather(1, where.gold).all())


def test_letters_of_other_scripts_and_emoji_keep_their_places(model):
    for text, answer in (
        ("São Tomé 😀 uses the Dobra.", "Dobra"),
        ("日本 is Japan.", "日本"),
        ("A <b>Euro</b> &amp; more", "Euro"),
    ):
        where = places(PairTransform(model.tokenizer), [one(text, answer, text.index(answer), "What?")])
        assert where.words(where.gold) == [answer]


def test_marks_of_the_tokenizer_typed_by_a_person_are_words(model):
    transform = PairTransform(model.tokenizer)
    ids = transform(["What is [SEP] in it?\nIt is [CLS] here."]).x[0].tolist()
    tokenizer = model.tokenizer
    assert ids.count(tokenizer.sep_token_id) == 2 and ids.count(tokenizer.cls_token_id) == 1


def test_an_answer_that_is_not_in_the_text_is_an_error(model):
    transform = PairTransform(model.tokenizer)
    for wrong in (one(start=0), one(answer="English"), one(answer="", start=3), one(start=500)):
        with pytest.raises(CourseError, match="does not stand at place"):
            places(transform, [wrong])
    text = "word " * 300 + "Swahili."
    with pytest.raises(CourseError, match="128 are read"):
        places(transform, [one(text=text, start=text.index("Swahili"))])
    with pytest.raises(CourseError, match="line break"):
        transform(["no text"])
    with pytest.raises(CourseError, match="no questions"):
        transform([])


def test_a_span_ends_behind_its_start_inside_the_text_and_is_short():
    scores = torch.zeros(1, 30, 2)
    scores[0, 20, 0], scores[0, 5, 1], scores[0, 2, 0] = 9.0, 9.0, 5.0  # the best start lies behind the best end
    inside = torch.arange(30)[None] > 3
    (first, last), value, silent = (t[0].tolist() for t in best_spans(scores, inside))
    assert 4 <= first <= last < first + 8 and value == 9.0 and silent == 0.0
    scores[0, 29, 1] = 20.0
    assert best_spans(scores, inside)[0][0].tolist()[1] == 29
    assert best_spans(scores, inside, longest=1)[0][0].tolist() == [29, 29]


# --- the reader


def test_training_moves_the_head_and_not_the_encoder(asked, model):
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    reader = SpanReader(model, at="layer1")
    first = {name: tensor.clone() for name, tensor in reader.state_dict().items()}
    losses = fit_reader(reader, asked.train[:48], epochs=4)
    assert losses[-1] < losses[0]
    assert all(not torch.equal(tensor, first[name]) for name, tensor in reader.state_dict().items())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_trained_stages_are_copies_and_give_what_the_model_gives(asked, model):
    questions = asked.train[:4]
    reader = SpanReader(model, at="layer1", train=("layer2",))
    plain = SpanReader(model, at="layer2")
    plain.head.load_state_dict(reader.head.state_dict())
    kept, where = reader.features(questions), places(reader.transform, questions)
    with torch.no_grad():
        a = reader.eval().scores(kept.batch(torch.arange(4)), where.inside)
        b = plain.eval().scores(plain.features(questions).batch(torch.arange(4)), where.inside)
    assert torch.allclose(a, b, atol=1e-4)
    old = model.state_dict()["encoder.encoder.layer.2.output.dense.weight"].clone()
    fit_reader(reader, questions, epochs=1, lr=1e-3)
    assert torch.equal(model.state_dict()["encoder.encoder.layer.2.output.dense.weight"], old)


def test_the_same_seed_gives_the_same_reader_and_leaves_the_callers_generator(asked, model):
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    losses = [fit_reader(SpanReader(model, "layer1", seed=3), asked.train[:24], epochs=2, seed=3) for _ in range(2)]
    assert losses[0] == losses[1] and torch.equal(torch.rand(3), wanted)


def test_reading_does_not_look_at_the_true_answers(asked, model):
    reader = SpanReader(model, at="layer1")
    blind = [TextQuestion(q.question, q.text, "", -1, q.kind, q.country) for q in asked.valid[:20]]
    assert reader.read(asked.valid[:20]).answers == reader.read(blind).answers
    found = reader.read(blind, least=-torch.inf)
    assert all(answer and answer in q.text for answer, q in zip(found.answers, blind, strict=True))
    assert set(reader.read(blind, least=torch.inf).answers) == {""}


def test_the_pretrained_reader_learns_what_the_random_one_does_not(asked, model):
    scores = {}
    for name, body in (("pretrained", model), ("random", load("minilm", pretrained=False))):
        reader = SpanReader(body, at="layer3")
        fit_reader(reader, asked.train[:240], epochs=12)
        found = reader.read(asked.valid).answers
        scores[name] = sum(exact_match(a, q.answer) for a, q in zip(found, asked.valid, strict=True)) / len(found)
    assert scores["pretrained"] > 0.6 and scores["pretrained"] > scores["random"] + 0.25, scores


def test_what_cannot_be_built_or_trained_is_told(asked, model):
    with pytest.raises(UnknownName, match="layer2"):
        SpanReader(model, at="layer22")
    with pytest.raises(CourseError, match="does not follow"):
        SpanReader(model, at="layer2", train=("layer4",))
    with pytest.raises(UnknownName, match="stage of tokens"):
        SpanReader(model, at="pool")
    reader = SpanReader(model, at="embeddings")
    with pytest.raises(CourseError, match="no questions"):
        fit_reader(reader, [])
    with pytest.raises(CourseError, match="smaller rate"):
        fit_reader(reader, asked.train[:8], epochs=3, lr=1e30)
    assert not any(module.training for module in reader.modules())
    with pytest.raises(CourseError, match="epochs"):
        fit_reader(reader, asked.train[:8], epochs=0)


def test_questions_of_people_can_be_read_too(model):
    reader = SpanReader(model, at="layer3")
    ask = reader.ask
    assert ask("What is it?", "It is a cat.") in ("", *("It is a cat."[i:j] for i in range(12) for j in range(i, 13)))
    for question, text, words in (
        ("", "It is a cat.", "no question"),
        ("😀", "It is a cat.", "no words"),
        ("What?", "", "no text"),
        ("What?", " \n ", "no text"),
        ("x" * 5000, "It is a cat.", "5,000 characters"),
        ("What?", "cat " * 1250, "tokens"),
        ("它是什么", "It is a cat.", "not in English"),
    ):
        with pytest.raises(CourseError, match=words):
            ask(question, text)


def test_questions_as_a_split_do_not_hold_their_answers(asked):
    split = as_split(asked.train)
    blind = [TextQuestion(q.question, q.text, "", -1, q.kind, q.country) for q in asked.train]
    assert as_split(blind).fingerprint == split.fingerprint, "kept features are found again when the answers are hidden"
    assert all(x.count("\n") == 1 for x in split.x) and len(set(split.ids)) == len(split)
