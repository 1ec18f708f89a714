"""Each rule of the notebooks: a notebook that keeps them all, then one for each way to break one."""

from __future__ import annotations

import pytest

from tlcourse.notebook_lint import ADVICE, lint

STEPS = "".join(
    f"We observe that step {n} did what we said.\n\n```{{code-cell}}\nx{n} = {n}\nassert x{n} >= {n}\n```\n\n"
    for n in range(12)
)
GOOD = f"""\
# A chapter

**How far does it get us?**

Takes 2 minutes and 800 MB of memory, downloads nothing more, needs no GPU.

```{{code-cell}}
:tags: [setup]

import tlcourse
from tlcourse import exercise, quiz
```

## Steps

Text with `a code span`, $x_i^2$, a [link](https://example.org) and ![a grey square](square.png).

> A quotation.

{STEPS}## Exercise

Change `x`.

```{{code-cell}}
exercise("07.1").check(...)
```

## Summary

- One
- two
- three
- four
- five

```{{code-cell}}
quiz("07.a")
```

And:

```{{code-cell}}
quiz("07.b")
```

Next comes [the course's page](../README.md).
"""


@pytest.fixture
def problems(tmp_path):
    """What lint says about a chapter's text."""
    (tmp_path / "chapters").mkdir()
    (tmp_path / "README.md").touch()
    chapter = tmp_path / "chapters" / "07.md"

    def problems(text):
        chapter.write_text(text, encoding="utf-8")
        return lint(chapter)

    return problems


def test_a_good_chapter_has_no_problems(problems):
    assert problems(GOOD) == []


def step(code: str) -> str:
    """A step's code replaced."""
    return GOOD.replace("x3 = 3\nassert x3 >= 3\n", code + "\n")


def said(text: str) -> str:
    """Text put between two cells."""
    return GOOD.replace("We observe that step 5 did what we said.", text)


BROKEN = {
    "no title": (GOOD.replace("# A chapter\n", ""), "title card with the title"),
    "no question": (GOOD.replace("**How far does it get us?**", "How far?"), "question on the title card"),
    "no minutes": (GOOD.replace("2 minutes", "A while"), "how many minutes"),
    "no memory": (GOOD.replace("800 MB of memory", "little"), "how much memory"),
    "no download": (GOOD.replace("downloads nothing more, ", ""), "what it downloads"),
    "no word on GPU": (GOOD.replace("no GPU", "nothing"), "whether it needs a GPU"),
    "no setup": (GOOD.replace("import tlcourse\nfrom tlcourse import", "from somewhere import"), "the setup cell"),
    "few cells": (GOOD.replace("```{code-cell}\nx", "```python\nx"), "has 4 code cells"),
    "many cells": (GOOD.replace("## Exercise", STEPS + "## Exercise"), "has 28 code cells"),
    "two code cells": (said(""), "follows another code cell"),
    "heading alone": (said("## Step 5"), "below this heading"),
    "no exercise": (GOOD.replace("## Exercise", "## Try it"), 'no section "Exercise"'),
    "no check": (GOOD.replace('exercise("07.1").check(...)', "print(1)"), "No cell calls exercise"),
    "no summary": (GOOD.replace("## Summary", "## The end"), 'no section "Summary"'),
    "four lines": (GOOD.replace("- five\n", ""), "it has 4"),
    "one question": (GOOD.replace('quiz("07.b")', "print(1)"), "asks 1 questions"),
    "no next": (GOOD.replace("Next comes [the course's page](../README.md).", "Goodbye."), "what comes next"),
    "few asserts": (GOOD.replace("assert", "print"), "asserts 0 results"),
    "dead link": (said("See [this](98-nothing.ipynb)."), "98-nothing.ipynb leads nowhere"),
    "directive": (said("```{note}\nHear, hear.\n```"), "a MyST directive"),
    "mistyped code cell": (said("```{code-cel}\nx = 1\n```"), "a MyST directive"),
    "colon fence": (said(":::{note}\nHear, hear.\n:::"), "a MyST directive"),
    "role": (said("See {ref}`there`."), "a MyST role"),
    "label": (said("(here)=\nText."), "a MyST label"),
    "script": (said("<script>alert(1)</script>"), "HTML element"),
    "no alt": (said("![](square.png)"), "square.png has no alternative text"),
    "no alt in HTML": (said('A picture: <img src="square.png">'), "square.png has no alternative text"),
    "remote image": (said("![a square](https://example.org/s.png)"), "s.png is remote"),
    "long cell": (step("x = 1\n" * 16), "has 16 lines; split it"),
    "empty cell": (step("\n"), "is empty"),
    "shell": (step("!pip install x"), "'!pip install x' is not Python"),
    "magic": (step("%pip install x"), "'%pip install x' is not Python"),
    "syntax": (step("x = = 1"), "not valid Python"),
    "path": (step("import sys\nsys.path.append('..')"), "do not change sys.path"),
    "star": (step("from torch import *"), "name what you import from torch"),
    "unknown tag": (step(":tags: [nbval-timeout-5]\n\nx = 1"), "the tag 'nbval-timeout-5'"),
    "unknown option": (step(":scrolled: true\n\nx = 1"), "option 'scrolled'"),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_each_broken_rule_is_named(problems, broken):
    text, message = BROKEN[broken]
    assert text != GOOD, "this case does not change the chapter"
    found = [problem for problem in problems(text) if not problem.startswith(ADVICE)]
    assert any(message in problem for problem in found), found


def test_a_problem_names_its_cell(problems):
    assert problems(step("!ls"))[0].startswith("Cell 10 (!ls): ")


def test_code_in_prose_is_not_taken_for_markup(problems):
    assert problems(said("```python\n(here)=\n:::{note}\n```\n\nWe observe `<script>` and `:::`.")) == []


def test_advice_may_stay(problems):
    assert problems(GOOD.replace("We observe", "It seems")) == [
        f'{ADVICE}"We observe" appears 0 times: say after an output what it showed and what it did not.'
    ]
    advice = problems(step("x = 1\n" * 13))
    assert len(advice) == 1 and advice[0].startswith(ADVICE) and "13 lines" in advice[0]


def test_a_notebook_that_was_run_is_told_apart(problems, tmp_path):
    from tlcourse.notebooks import render

    problems(GOOD)
    notebook = tmp_path / "chapters" / "07.ipynb"
    content = render(tmp_path / "chapters" / "07.md").decode()
    notebook.write_text(content.replace('"execution_count": null', '"execution_count": 1', 1), encoding="utf-8")
    assert [problem for problem in lint(notebook) if "holds the results of a run" in problem]


def test_an_empty_notebook_is_said(problems):
    assert problems("") and "title card" in problems("")[0]
