"""A check that cannot tell a right answer from a wrong one teaches nothing: every listed answer is tried."""

from __future__ import annotations

import copy
from html.parser import HTMLParser

import numpy as np
import pytest
import torch

from tlcourse.errors import UnknownName
from tlcourse.exercises import exercise, quiz
from tlcourse.exercises.core import Choice, Exercise, Quiz, Reply
from tlcourse.exercises.registry import questions

EXERCISES = [q for q in questions().values() if isinstance(q, Exercise)]
QUIZZES = [q for q in questions().values() if isinstance(q, Quiz)]
WRONG = [(q, name) for q in EXERCISES for name in q.wrong]


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path))
    monkeypatch.setattr("tlcourse.exercises.core._hints_shown", {})
    return tmp_path


def answers(question, code):
    """What a learner hands in who runs this code in a cell."""
    cell = {}
    exec(compile(code, "a cell", "exec"), cell)
    return [cell[name] for name in question.answers]


def check(name, code):
    return exercise(name).check(*answers(exercise(name), code))


@pytest.mark.parametrize("question", EXERCISES, ids=lambda q: q.name)
def test_the_solution_is_right_and_says_why(question):
    reply = question.check(*answers(question, question.code))
    assert reply.state == "right", reply
    assert question.why in repr(reply) and repr(reply).startswith("✓ Right.")
    assert question.code.strip() in repr(question.solution())


@pytest.mark.parametrize(("question", "name"), WRONG, ids=lambda v: getattr(v, "name", v))
def test_every_wrong_answer_is_told_its_misconception(question, name):
    code, words = question.wrong[name]
    reply = question.check(*answers(question, code))
    assert reply.state == "not yet", reply
    assert words in reply.text, reply
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("question", EXERCISES, ids=lambda q: q.name)
def test_the_messages_of_wrong_answers_differ(question):
    said = [question.check(*answers(question, code)).text for code, _ in question.wrong.values()]
    assert len(set(said)) >= len(said) - 1 and len(said) >= 7  # one pair may share its misconception


@pytest.mark.parametrize("question", EXERCISES, ids=lambda q: q.name)
def test_an_untouched_stub_is_not_attempted_and_changes_nothing(question, home):
    assert question.check().state == "not attempted"
    assert question.check(*[...] * len(question.answers)).state == "not attempted"
    reply = question.check(*answers(question, question.stub))
    assert reply.state == "not attempted" and ".hint()" in reply.text
    assert list(home.iterdir()) == []


@pytest.mark.parametrize(
    "code",
    ["def f(model): pass", "def f(model):\n    'soon'", "def f(model):\n    'soon'\n    ...", "f = lambda model: ..."],
)
def test_any_empty_function_is_not_attempted(code):
    cell = {}
    exec(code, cell)
    assert exercise("03.2").check(cell["f"]).state == "not attempted"


def test_not_implemented_is_not_attempted():
    def f(model):
        raise NotImplementedError

    assert exercise("03.2").check(f).state == "not attempted"


def test_a_function_that_returns_something_is_an_attempt():
    assert exercise("03.2").check(lambda model: 0).state == "not yet"


@pytest.mark.parametrize(
    "code",
    [
        "from tlcourse import freeze\ndef freeze_backbone(model): return freeze(model)",
        "from tlcourse import freeze\ndef freeze_backbone(model): freeze(model, 'stem', 'stage1', 'pool')",
        # every module deaf, not only the stages
        "def freeze_backbone(model):\n for m in model[:-1].modules():\n"
        "  m.requires_grad_(False); m.eval(); m.train = lambda mode=True, m=m: m",
        # put back into evaluation mode before each forward pass
        "def freeze_backbone(model):\n body = model[:-1].requires_grad_(False)\n"
        " model.register_forward_pre_hook(lambda m, x: body.eval() and None)",
        # the network's own train is overridden
        "def freeze_backbone(model):\n model[:-1].requires_grad_(False)\n usual = model.train\n"
        " def train(mode=True):\n  usual(mode); model[:-1].eval(); return model\n model.train = train\n return model",
        # on a copy
        "import copy\nfrom tlcourse import freeze\ndef freeze_backbone(model): return freeze(copy.deepcopy(model))",
    ],
)
def test_other_ways_to_freeze_truly_are_right(code):
    reply = check("03.2", code)
    assert reply.state == "right", reply


@pytest.mark.parametrize(
    "code",
    [
        "from torch import nn\ndef replace_head(model, classes):\n model.head = nn.Linear(model.head.in_features, "
        "classes)",
        "from torch import nn\ndef replace_head(model, classes):\n"
        " return nn.Sequential(*list(model.children())[:-1], nn.Linear(model.head.in_features, classes))",
        "from torch import nn\ndef replace_head(model, classes):\n model.head = nn.LazyLinear(classes)\n return model",
        "from torch import nn\nimport copy\ndef replace_head(model, classes):\n new = copy.deepcopy(model)\n"
        " new.head = nn.Sequential(nn.Dropout(), nn.Linear(model.head.in_features, classes))\n return new",
    ],
)
def test_other_ways_to_replace_a_head_are_right(code):
    reply = check("03.1", code)
    assert reply.state == "right", reply


@pytest.mark.parametrize(
    "code",
    [
        "from sklearn.preprocessing import StandardScaler\ndef standardise(train, test):\n"
        " scaler = StandardScaler().fit(train)\n return scaler.transform(train), scaler.transform(test)",
        "def standardise(train, test):\n m, s = train.mean(0), train.std(0, unbiased=False)\n s[s == 0] = 1\n"
        " return [(train - m) / s, (test - m) / s]",
        "import numpy as np\ndef standardise(train, test):\n a, b = train.double().numpy(), test.double().numpy()\n"
        " m, s = a.mean(0), a.std(0) + 1e-6\n return (a - m) / s, (b - m) / s",
    ],
)
def test_other_ways_to_standardise_are_right(code):
    reply = check("03.3", code)
    assert reply.state == "right", reply


@pytest.mark.parametrize("images", [8, 8.0, np.int64(8), torch.tensor(8)])
def test_any_kind_of_whole_number_is_read(images):
    assert exercise("00.1").check(images, 150528).state == "right"


@pytest.mark.parametrize("odd", [True, 8.5, float("nan"), float("inf"), [8], "eight", torch.zeros(3), object()])
def test_what_is_no_whole_number_is_told(odd):
    reply = exercise("00.1").check(odd, 150528)
    assert reply.state == "not yet" and "whole number" in reply.text


def test_half_an_answer_is_told_what_is_open():
    reply = exercise("00.1").check(8, ...)
    assert reply.state == "not attempted" and "`numbers`" in reply.text and "`images`" not in reply.text


def test_an_interrupt_of_the_kernel_goes_through():
    def f(model):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        exercise("03.2").check(f)


def test_a_check_leaves_the_learners_random_numbers_and_gradients_alone():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    with torch.no_grad():
        for question in EXERCISES:
            question.check(*answers(question, question.code))
        assert not torch.is_grad_enabled()
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("name", ["03.1", "03.2"])
def test_material_is_fresh_and_the_same_each_time(name):
    a, b = exercise(name).material(), exercise(name).material()
    assert [n for n, _ in a.named_children()] == ["stem", "stage1", "pool", "head"]
    kinds = {type(m).__name__ for m in a.modules()}
    assert {"BatchNorm2d", "Dropout"} <= kinds
    assert all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))
    torch.nn.init.zeros_(a.head.weight)
    assert copy.deepcopy(b).head.weight.abs().sum() > 0


def test_hints_come_one_at_a_time_and_start_again():
    question = exercise("03.2")
    shown = [question.hint() for _ in range(4)]
    assert [s.title for s in shown] == [f"Hint {i} of 3." for i in (1, 2, 3, 1)]
    assert ".solution()" in shown[2].text and ".solution()" not in shown[0].text
    assert exercise("03.2").hint().title == "Hint 2 of 3."


@pytest.mark.parametrize("question", QUIZZES, ids=lambda q: q.name)
def test_each_choice_of_a_quiz_is_explained_and_one_is_right(question):
    assert len(question.choices) == 4
    replies = [question.answer(letter) for letter in question.letters]
    assert [r.state for r in replies].count("right") == 1
    assert len({r.text for r in replies}) == 4
    for letter, choice, reply in zip(question.letters, question.choices, replies, strict=True):
        assert f"{letter}) {choice.text}" in repr(question) and choice.why in reply.text


def test_the_right_letter_cannot_be_guessed():
    right = {q.name: next(x for x, c in zip(q.letters, q.choices, strict=True) if c.right) for q in QUIZZES}
    shares = [list(right.values()).count(letter) / len(right) for letter in "abcd"]
    assert min(shares) > 0.05 and max(shares) < 0.4, right
    assert not [name for name in right if right[name] == "a" and name.endswith(".a")]  # the chapters' own example


@pytest.mark.parametrize("letter", ["B", " b ", "b)", "b.", "(b)", "(B) "])
def test_a_letter_may_be_written_in_any_way(letter):
    assert quiz("03.a").answer(letter).state == "right"


@pytest.mark.parametrize("odd", ["e", "", "ab", 2, [], torch.zeros(2), "<img>"])
def test_no_such_choice(odd):
    reply = quiz("03.a").answer(odd)
    assert reply.state == "error" and "a, b, c, d" in reply.text and "<img>" not in reply._repr_html_()
    assert quiz("03.a").answer().state == quiz("03.a").answer(...).state == "not attempted"


def test_unknown_names_bring_the_nearest():
    with pytest.raises(UnknownName, match=r"03\.2"):
        exercise("3.2")
    with pytest.raises(UnknownName, match=r"03\.a"):
        quiz("03.aa")
    with pytest.raises(UnknownName):
        exercise("03.a")
    with pytest.raises(UnknownName):
        quiz(None)


class Tags(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.open, self.seen = [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.seen.append(tag)
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_everything_shown_is_escaped_and_well_formed():
    nasty = "<script>alert(1)</script> & `<b>`"
    things = [
        Reply("not yet", nasty, nasty, nasty),
        Quiz("x", nasty, (Choice(nasty, nasty, True),)),
        Exercise("x", nasty, nasty, nasty, ("a",), print, nasty, (nasty,), nasty),
    ]
    for thing in [*things, *questions().values(), exercise("03.2").solution(), exercise("03.2").hint()]:
        page = Tags(thing._repr_html_())
        assert page.open == [] and not {"script", "b", "img"} & set(page.seen)


def test_stars_stand_for_emphasis_on_the_page_but_not_in_code():
    page = Reply(
        "not yet", "Off the *original*, not `a *b* c`; 2 * 3 * 4, a*b*c, f(*args) and *two words*."
    )._repr_html_()
    assert "<em>original</em>" in page and "<code>a *b* c</code>" in page and "<em>two words</em>" in page
    assert "2 * 3 * 4, a*b*c, f(*args)" in page and page.count("<em>") == 2


@pytest.mark.parametrize("question", EXERCISES, ids=lambda q: q.name)
def test_the_task_names_what_is_checked(question):
    assert len(question.hints) == 3
    for name in question.answers:
        assert name in question.stub
    for said in (question.task, question.why, *question.hints):
        assert said.count("`") % 2 == 0
