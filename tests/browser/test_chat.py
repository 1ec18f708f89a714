"""The chat, driven by mouse and by keys; the kernel is asked what it said."""

from __future__ import annotations

import pytest

ODD = "<img src=x onerror=alert(1)>"
MAKE = f"""
from types import SimpleNamespace
from tlcourse import AnswerBot, Chat, load
from tlcourse.datasets.support import Entry
entries = (Entry("Why is the printer silent?", ("Switch it on. {ODD}",), "support", "own.yml 1"),
           Entry("Who wrote {ODD}?", ("Somebody.",), "history", "own.yml 2"),
           Entry("מה שלומך 🙂", ("w" * 300,), "trivia", "own.yml 3"))
chat = Chat(AnswerBot(SimpleNamespace(entries=entries), load("minilm"), threshold=0.5),
            ["Why is my printer silent?", "What is the capital of Kenya?"])
chat
"""
LAST, COUNT = "print(chat.replies[-1].answer)", "print(len(chat.replies))"


@pytest.fixture(scope="module")
def page(lab):
    lab.open(lab.server.write("chat.ipynb", MAKE))
    lab.run_all()
    lab.page.locator(".tlc-chat").wait_for()
    yield lab
    assert lab.errors() == [] and lab.problems == []
    lab.close()


@pytest.fixture
def chat(page):
    page.ask("chat.act({'do': 'clear'})")
    shown = page.page.locator(".tlc-chat")
    shown.get_by_text("Nothing was asked yet.").wait_for()
    return shown


def test_a_typed_question_is_answered_with_its_source(page, chat):
    field = chat.get_by_label("A question for the bot")
    field.fill("The printer makes no sound")
    field.press("Enter")
    reply = chat.locator(".tlc-reply")
    reply.wait_for()
    assert reply.locator(".tlc-answer-text").inner_text().endswith(f"Switch it on. {ODD}")
    assert "Source: Why is the printer silent? (own.yml 1)" in reply.inner_text()
    assert page.ask(LAST) == f"Switch it on. {ODD}" and field.input_value() == ""
    assert chat.locator("img").count() == 0


def test_an_example_is_one_click_and_leaves_what_is_typed(page, chat):
    field = chat.get_by_label("A question for the bot")
    field.fill("half a thought")
    chat.get_by_role("button", name="What is the capital of Kenya?").click()
    chat.locator(".tlc-unknown").wait_for()
    assert page.ask(LAST) == "I do not know." and field.input_value() == "half a thought"
    assert "below the threshold of 0.50" in chat.locator(".tlc-unknown").inner_text()


def test_what_cannot_be_read_stays_typed_and_is_told(page, chat):
    field = chat.get_by_label("A question for the bot")
    field.fill("😀😀")
    chat.get_by_role("button", name="Ask", exact=True).click()
    chat.locator(".tlc-status", has_text="There are no words").wait_for()
    assert field.input_value() == "😀😀" and page.ask(COUNT) == "0"
    field.fill("Why is my printer silent?")
    field.press("Enter")
    chat.locator(".tlc-reply").wait_for()
    assert chat.locator(".tlc-status").inner_text() == ""


def test_shift_and_enter_makes_a_new_line_and_the_nearest_open_by_keys(page, chat):
    chat.get_by_role("button", name="Why is my printer silent?").press("Enter")
    summary = chat.locator("summary")
    summary.press("Enter")
    entries = chat.locator(".tlc-reply li")
    assert entries.count() == 3 and entries.first.inner_text().startswith("Why is the printer silent? (own.yml 1), ")
    assert ODD in chat.locator(".tlc-reply ol").inner_text()
    before = page.ask(COUNT)
    field = chat.get_by_label("A question for the bot")
    field.fill("one")
    field.press("Shift+Enter")
    assert page.ask(COUNT) == before


def test_clear_empties_the_page_and_the_kernel(page, chat):
    clear = chat.get_by_role("button", name="Clear")
    assert clear.is_disabled()
    page.ask("for _ in range(3): chat.ask('Why is my printer silent?')")
    chat.locator(".tlc-reply").nth(2).wait_for()
    log = chat.locator(".tlc-log")
    page.page.wait_for_function("n => n.scrollTop + n.clientHeight >= n.scrollHeight - 2", arg=log.element_handle())
    clear.click()
    page.until(COUNT, "0")
    chat.get_by_text("Nothing was asked yet.").wait_for()
    assert chat.locator(".tlc-reply").count() == 0
