"""What an exercise and a quiz are, and what they answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from html import escape

from tlcourse.errors import CourseError
from tlcourse.exercises import store
from tlcourse.exercises.answers import NotAttempted, NotYet, Stopped, brief, open_answer, torch_put_back

_MARKS = {"right": "✓", "not yet": "✗", "not attempted": "…", "error": "!", "hint": "?", "solution": "→"}
_WORDS = {
    "right": "Right.",
    "not yet": "Not yet right.",
    "not attempted": "Not attempted yet.",
    "solution": "Solution.",
}
# of the border only: the text keeps the notebook's own colours, light or dark
_COLOURS = {"right": "#009e73", "not yet": "#d55e00", "error": "#d55e00", "hint": "#0072b2", "solution": "#0072b2"}
_hints_shown: dict[str, int] = {}


@dataclass(frozen=True)
class Reply:
    """What a learner reads after an answer, a call for a hint, or for the solution.

    Arguments:
        state: `"not attempted"`, `"not yet"`, `"right"`, `"error"`, `"hint"` or `"solution"`.
        text: what to read; `code` stands between backticks, emphasis between *stars*.
        title: first words; by default they follow from the state.
        code: a block of code to show.

    >>> Reply("right", "The head has `3` outputs.")
    ✓ Right. The head has `3` outputs.
    """

    state: str
    text: str
    title: str = ""
    code: str = ""

    def __repr__(self) -> str:
        words = f"{_MARKS[self.state]} {self.title or _WORDS[self.state]} {self.text}".rstrip()
        return f"{words}\n\n{self.code.strip()}" if self.code else words

    def _repr_html_(self) -> str:
        colour = _COLOURS.get(self.state, "#777777")
        head = f"<strong>{_MARKS[self.state]} {escape(self.title or _WORDS[self.state])}</strong>"
        return (
            f'<div role="status" style="border-left:4px solid {colour};padding:0.2em 0.9em">{head} '
            f"{as_html(self.text)}{_block(self.code)}</div>"
        )


@dataclass(frozen=True, eq=False, repr=False)
class Exercise:
    """A task whose answer is checked by what it does.

    Arguments:
        name: chapter and number, e.g. `"03.2"`.
        title, task: what to do.
        stub: code to start from.
        answers: names of the variables or functions that `check` takes, in order.
        judge: called with the answers; raises `NotYet` when one is wrong.
        why: said when the answer is right.
        hints: shown one at a time.
        code: the solution.
        wrong: name -> (code of a wrong answer, words its message must have); the tests run them.
        make: makes what the learner works on, if anything.
    """

    name: str
    title: str
    task: str
    stub: str
    answers: tuple[str, ...]
    judge: Callable[..., None]
    why: str
    hints: tuple[str, ...]
    code: str
    wrong: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    make: Callable | None = None

    def check(self, *answers) -> Reply:
        """Say whether the answer is right, and if not, which misconception it shows; never raises.

        (An interrupt of the kernel does stop it.)
        """
        reply = self._judged(answers)
        if reply.state != "not attempted":
            store.remember(self.name, reply.state)
        return reply

    def hint(self) -> Reply:
        """The next hint; after the last one they start again."""
        shown = _hints_shown.get(self.name, 0) % len(self.hints) + 1
        _hints_shown[self.name] = shown
        store.remember(self.name, hints=shown)
        last = (
            ""
            if shown < len(self.hints)
            else " That was the last hint; `.solution()` shows one answer, `.hint()` begins again."
        )
        return Reply("hint", self.hints[shown - 1] + last, f"Hint {shown} of {len(self.hints)}.")

    def solution(self) -> Reply:
        """One right answer as code, and why it is right."""
        return Reply("solution", self.why, code=self.code)

    def material(self, **options):
        """What the exercise works on, made afresh at each call."""
        if self.make is None:
            raise CourseError(f"Exercise {self.name} needs no material.", do="Read its task, and write your answer.")
        return self.make(**options)

    def _judged(self, answers) -> Reply:
        call = f'exercise("{self.name}").check({", ".join(self.answers)})'
        if not answers or all(open_answer(a) for a in answers):
            return Reply("not attempted", f"Write your answer and run `{call}` again; `.hint()` helps.")
        if len(answers) != len(self.answers):
            return Reply("error", f"Call `{call}`.", f"This check takes {len(self.answers)}, not {len(answers)}.")
        still = [f"`{n}`" for n, a in zip(self.answers, answers, strict=True) if open_answer(a)]
        if still:
            return Reply("not attempted", f"Still open: {', '.join(still)}.")
        try:
            with torch_put_back():
                self.judge(*answers)
        except NotYet as wrong:
            return Reply("not yet", str(wrong))
        except NotAttempted:
            return Reply("not attempted", f"Write your answer and run `{call}` again; `.hint()` helps.")
        except Stopped as stopped:
            return Reply("error", str(stopped), "Your code stopped.")
        except Exception as error:  # an answer so odd that the check itself fell over it
            return Reply("error", f"{brief(error)} Compare it with `.hint()`.", "The check could not read your answer.")
        return Reply("right", self.why)

    def __repr__(self) -> str:
        return f"Exercise {self.name}. {self.title}\n{self.task}\n\n{self.stub.strip()}"

    def _repr_html_(self) -> str:
        title = f"<strong>Exercise {self.name}. {escape(self.title)}</strong>"
        return f"<div>{title} {as_html(self.task)}{_block(self.stub)}</div>"


@dataclass(frozen=True)
class Choice:
    """One choice of a quiz, and why it is right or wrong."""

    text: str
    why: str
    right: bool = False


@dataclass(frozen=True, repr=False)
class Quiz:
    """A question with choices, each of which is explained once it is chosen.

    Arguments:
        name: chapter and letter, e.g. `"03.a"`.
        question: what is asked.
        choices: called a, b, c, ... in this order; one is right.
    """

    name: str
    question: str
    choices: tuple[Choice, ...]

    @property
    def letters(self) -> str:
        return "abcdefgh"[: len(self.choices)]

    def answer(self, letter=...) -> Reply:
        """Explain a choice, right or wrong; never raises."""
        if open_answer(letter):
            return Reply("not attempted", f'Choose a letter, e.g. `quiz("{self.name}").answer("a")`.')
        chosen = str(letter).strip().strip("().").lower()
        if len(chosen) != 1 or chosen not in self.letters:
            what = f"Choose one of {', '.join(self.letters)}.\n\n{self._again()}"
            return Reply("error", what, f"There is no choice {brief(chosen)}")
        choice = self.choices[self.letters.index(chosen)]
        store.remember(self.name, "right" if choice.right else "not yet")
        words = f"{chosen}) {choice.text} — {choice.why}"
        if choice.right:
            return Reply("right", words)
        return Reply("not yet", f"{words}\n\n{self._again()}", "Not this one.")

    def _again(self) -> str:
        """The question and its choices, which an answer in the same cell has taken the place of."""
        return "\n\n".join([self.question, *map("{}) {.text}".format, self.letters, self.choices)])

    def __repr__(self) -> str:
        lines = [f"  {letter}) {choice.text}" for letter, choice in zip(self.letters, self.choices, strict=True)]
        return "\n".join([f"Quiz {self.name}. {self.question}", *lines])

    def _repr_html_(self) -> str:
        items = "".join(f"<li>{as_html(choice.text)}</li>" for choice in self.choices)
        return (
            f'<div><strong>Quiz {self.name}.</strong> {as_html(self.question)}<ol type="a" '
            f'style="list-style-type:lower-alpha">{items}</ol></div>'
        )


def as_html(text: str) -> str:
    """Plain text, escaped, with `code` between backticks set as code, and *words* between stars as emphasis.

    >>> as_html("Not `a * b * c`, but *the* product.")
    'Not <code>a * b * c</code>, but <em>the</em> product.'
    """
    return "<br>".join(_MARKED.sub(_marked, part) for part in escape(text).split("\n\n"))


_MARKED = re.compile(r"`(?P<code>[^`]+)`|(?<![\w*)\]])\*(?P<words>[A-Za-z]+(?: [A-Za-z]+)*)\*(?![\w*(\[])")


def _marked(found: re.Match) -> str:
    code, words = found["code"], found["words"]
    return f"<em>{words}</em>" if code is None else f"<code>{code}</code>"


def _block(code: str) -> str:
    return f"<pre><code>{escape(code.strip())}</code></pre>" if code else ""
