"""The help desk's FAQ: what is in it, that nothing leaks between choosing and testing, and what the bot says."""

from __future__ import annotations

import re

import pytest
import torch

from tlcourse import AnswerBot, CourseError, choose_threshold, load, recall_at, support_faq
from tlcourse.answering import answered, broken_words, checked_question, sentence_vectors, word_vectors
from tlcourse.answering.bot import UNKNOWN
from tlcourse.datasets import Entry, SupportFaq


@pytest.fixture(scope="module")
def faq():
    return support_faq()


@pytest.fixture(scope="module")
def bot(faq):
    return AnswerBot(faq, load("minilm"), threshold=0.5)


def plain(text):
    return " ".join(re.findall(r"\w+", text.lower()))


# --- the data


def test_each_entry_is_there_once_with_answers_and_where_it_stands(faq):
    asked = [plain(entry.question) for entry in faq.entries]
    assert len(set(asked)) == len(asked) == 407
    for entry in faq.entries:
        assert entry.question and entry.answers and all(entry.answers) and len(set(entry.answers)) == len(entry.answers)
        assert re.fullmatch(rf"{entry.topic}\.yml, conversation \d+", entry.source)
    support = [entry for entry in faq.entries if entry.topic == "tech_support"]
    assert len(support) == 10, "1,050 conversations of the source are ten questions"
    assert any(entry.answers[0] == "1963" for entry in faq.entries), "a year is text, not a number"


def test_a_source_leads_to_the_question(faq):
    import yaml

    from tlcourse import assets

    for entry in faq.entries[::50]:
        name, number = re.fullmatch(r"(\w+\.yml), conversation (\d+)", entry.source).groups()
        said = yaml.safe_load(assets.file("support-faq", name).read_text("utf-8"))["conversations"][int(number) - 1]
        assert said[0].strip() == entry.question and str(said[1]).strip() == entry.answers[0]


def test_no_question_for_testing_is_one_for_choosing_or_of_the_faq(faq):
    known = {plain(entry.question) for entry in faq.entries}
    valid, test = ([plain(a.asked) for a in side] for side in (faq.valid, faq.test))
    assert len(set(valid + test)) == len(valid + test)
    assert not set(valid + test) & known
    assert not {a.entry for a in faq.valid if a.entry >= 0} & {a.entry for a in faq.test if a.entry >= 0} - {
        i for i, e in enumerate(faq.entries) if e.topic == "tech_support"
    }, "entries of valid and test differ"


def test_there_are_questions_of_both_sorts_in_both_parts(faq):
    for side, inside, outside in ((faq.valid, 24, 24), (faq.test, 48, 36)):
        assert sum(a.entry >= 0 for a in side) == inside and sum(a.entry < 0 for a in side) == outside
    assert {faq.entries[a.entry].topic for a in faq.test if a.entry >= 0} == {e.topic for e in faq.entries}


def test_fetching_the_chapter_brings_the_faq_and_the_encoder():
    from tlcourse.assets.catalogue import choose

    assert {"support-faq", "minilm"} <= {asset.name for asset in choose(chapter="07-3-question-answering")}


# --- the scores


def test_recall_counts_only_questions_with_an_entry():
    similarity = torch.tensor([[0.9, 0.1, 0.2], [0.1, 0.3, 0.2], [0.5, 0.4, 0.3]])
    assert recall_at(similarity, [0, 2, -1]) == 0.5
    assert recall_at(similarity, [0, 2, -1], k=2) == 1.0
    assert recall_at(similarity, [0, 2, -1], k=50) == 1.0
    with pytest.raises(CourseError, match="None of the questions"):
        recall_at(similarity, [-1, -1, -1])
    with pytest.raises(CourseError, match="do not belong together"):
        recall_at(similarity, [0, 1])
    with pytest.raises(CourseError, match="no entry 7"):
        recall_at(similarity, [0, 1, 7])


def test_the_threshold_weighs_both_sorts_of_mistakes():
    similarity = [[0.9], [0.8], [0.7], [0.6], [0.5]]
    assert choose_threshold(similarity, [0, 0, -1, 0, -1]) == pytest.approx(0.75)
    one = torch.tensor([0.9, 0.8, 0.7, 0.6, 0.5]), torch.zeros(5, dtype=torch.long), torch.tensor([0, 0, -1, 0, -1])
    assert answered(*one, 0.75) == (pytest.approx(2 / 3), 1.0)
    with pytest.raises(CourseError, match="and on some that it does not"):
        choose_threshold(similarity, [0, 0, 0, 0, 0])


def test_an_answer_to_the_wrong_entry_does_not_count_as_right():
    best, nearest = torch.tensor([0.9, 0.2]), torch.tensor([1, 0])
    assert answered(best, nearest, torch.tensor([0, -1]), 0.5) == (0.0, 1.0)


# --- the bot


def test_a_question_of_the_faq_finds_itself_with_its_source(bot, faq):
    for entry in faq.entries[::40]:
        reply = bot.ask(entry.question)
        assert reply.similarity > 0.99 and reply.answer == entry.answers[0], entry
        assert entry.question in reply.source and entry.source in reply.source


def test_the_pretrained_encoder_beats_words_and_random_weights(bot, faq):
    asked, true = [a.asked for a in faq.valid], [a.entry for a in faq.valid]
    questions = [entry.question for entry in faq.entries]
    words = word_vectors(questions)
    twin = load("minilm", pretrained=False)
    pretrained = recall_at(bot.similarity(asked), true)
    assert pretrained > 0.6
    assert pretrained > recall_at(words(asked) @ words(questions).T, true) + 0.2
    assert pretrained > recall_at(sentence_vectors(twin, asked) @ sentence_vectors(twin, questions).T, true) + 0.3


def test_what_the_faq_does_not_answer_is_told(bot):
    reply = bot.ask("How often should I water a cactus?")
    assert not reply.known and reply.answer == UNKNOWN and reply.source == ""
    assert "nearest" in str(reply) and len(reply.nearest) == 3


def test_what_is_shown_is_escaped():
    entries = (Entry("Is <script>1</script> & safe?", ("<b>No</b>",), "coding", "x.yml, conversation 1"),)
    shown = AnswerBot(SupportFaq(entries, (), (), "", ""), load("minilm"), 0.0).ask("Is it safe?")._repr_html_()
    assert "<script>" not in shown and "&lt;script&gt;" in shown and "<b>No</b>" not in shown


def test_vectors_have_length_one_and_one_text_is_embedded_as_in_a_list():
    model = load("minilm")
    many = sentence_vectors(model, ["My screen is black.", "A much longer question, about printers and their paper?"])
    assert torch.allclose(many.norm(dim=1), torch.ones(2), atol=1e-5)
    assert torch.allclose(sentence_vectors(model, ["My screen is black."])[0], many[0], atol=1e-5)


# --- bad input


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("", "no question"),
        ("  \n\t ", "no question"),
        ("<p> </p>", "no question"),
        ("\u200b\x00", "no question"),
        ("😀😀", "no words"),
        ("?!...", "no words"),
        ("2 + 2 = 4", "no words"),
        ("why " * 1250, "5,000 characters"),
        ("打印机不工作了怎么办", "not in English"),
        ("Мой принтер не печатает", "not in English"),
        (None, "string, not a NoneType"),
        (["My screen is black."], "string, not a list"),
    ],
)
def test_what_cannot_be_asked_is_told(bot, question, words):
    with pytest.raises(CourseError, match=re.escape(words)):
        bot.ask(question)


def test_markup_emoji_and_line_breaks_do_not_change_the_answer(bot):
    wanted = bot.ask("My printer is not printing.").answer
    for question in (
        "<b>My printer</b>\nis not printing.",
        "My printer is not printing. 😡",
        "MY PRINTER IS NOT PRINTING",
    ):
        assert bot.ask(question).answer == wanted
    assert checked_question("is 3 < 4 and 5 > 2 true") == "is 3 < 4 and 5 > 2 true", "signs are no markup"


def test_a_question_in_another_language_is_not_answered_by_chance(bot):
    for question in ("Mein Drucker druckt nicht mehr.", "Esqueci minha senha.", "Yazıcım çalışmıyor."):
        reply = bot.ask(question)
        assert not reply.known and "reads English" in reply.note
    asked = [entry.question for entry in bot.faq.entries]
    strange = [question for question in asked if broken_words(bot.model.tokenizer, question) > 0.5]
    assert strange == [], "English is not taken for another language"


@pytest.mark.parametrize("threshold", [2.0, "0.5", float("nan"), None])
def test_a_threshold_is_a_cosine(faq, threshold):
    with pytest.raises(CourseError, match="threshold"):
        AnswerBot(faq, load("minilm"), threshold)


def test_an_empty_faq_is_refused():
    with pytest.raises(CourseError, match="FAQ is empty"):
        AnswerBot(SupportFaq((), (), (), "", ""), load("minilm"), 0.5)
