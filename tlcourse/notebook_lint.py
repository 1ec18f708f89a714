"""The rules that every notebook of the course keeps, checked by reading it. (`CONTRIBUTING.md` gives their reasons.)"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

CODE_CELLS = range(15, 26)
LINES, MOST_LINES = 12, 15
TAGS = {
    "setup": "the setup cell",
    "exercise": "a learner writes here",
    "solution": "an exercise's solution",
    "hide-input": "the code is beside the point",
    "raises-exception": "the error is the lesson",
}
ADVICE = "Advice: "


@dataclass(frozen=True)
class Cell:
    """One cell, with what the rules ask about it."""

    number: int
    kind: str
    source: str
    metadata: dict
    raw: dict

    @property
    def name(self) -> str:
        first = next((line.strip() for line in self.source.splitlines() if line.strip()), "empty")
        return f"Cell {self.number} ({first[:40]})"

    @property
    def lines(self) -> int:
        return sum(bool(line.strip()) for line in self.source.splitlines())

    @cached_property
    def tree(self) -> ast.Module | None:
        """The code, parsed; None when it is not plain Python."""
        try:
            return ast.parse(self.source)
        except SyntaxError:
            return None

    @cached_property
    def tokens(self) -> list:
        """The Markdown, parsed: block tokens and the inline tokens inside them, one flat list."""
        from markdown_it import MarkdownIt

        blocks = MarkdownIt("commonmark").enable("table").parse(self.source)
        return [token for block in blocks for token in (block, *(block.children or ()))]

    def headings(self) -> list[str]:
        after = pairwise(self.tokens)
        return [following.content for token, following in after if token.type == "heading_open"]

    def calls(self, function: str) -> int:
        """How often the code calls `function(...)` or `something.function(...)`."""
        names = [ast.unparse(node.func) for node in ast.walk(self.tree or ast.Module()) if isinstance(node, ast.Call)]
        return sum(name.split(".")[-1] == function for name in names)


def lint(path: Path | str) -> list[str]:
    """What in a notebook, or in the chapter that it is made from, breaks the course's rules.

    Arguments:
        path: an `.ipynb`, or a chapter's `.md`.

    Returns:
        One sentence a problem, naming the cell and what to change; those that begin with "Advice: " may stay.

    >>> import tempfile
    >>> chapter = Path(tempfile.mkdtemp()) / "07.md"
    >>> _ = chapter.write_text("Hello", encoding="utf-8")
    >>> lint(chapter)[0]
    'Cell 1 (Hello): begin the title card with the title as a "# " heading.'
    """
    path = Path(path)
    if path.suffix == ".md":
        from tlcourse.notebooks import compose

        notebook = compose(path)
    else:
        notebook = json.loads(path.read_text(encoding="utf-8"))
    cells = [
        Cell(n, raw["cell_type"], "".join(raw["source"]), raw["metadata"], raw)
        for n, raw in enumerate(notebook["cells"], start=1)
    ]
    if not cells:
        return [f"{path.name} has no cells: begin it with a title card."]
    text = [cell for cell in cells if cell.kind == "markdown"]
    code = [cell for cell in cells if cell.kind == "code"]
    rules = (
        *(_title_card(cells[0]), _setup(code), _rhythm(cells, code), _exercise(text, code), _ending(text, code)),
        *(_says(text, code), _links(text, path)),
        *(rule(cell) for cell in text for rule in (_commonmark, _images)),
        *(rule(cell) for cell in code for rule in (_length, _plain_python, _no_results)),
        *(_tags(cell) for cell in cells),
    )
    return [problem for rule in rules for problem in rule]


def _title_card(cell: Cell) -> Iterator[str]:
    if cell.kind != "markdown" or not cell.source.startswith("# "):
        yield f'{cell.name}: begin the title card with the title as a "# " heading.'
    if not re.search(r"^(>|\*\*).*\?", cell.source, re.MULTILINE):
        yield f"{cell.name}: put the chapter's question on the title card, in a line of its own that is bold or quoted."
    for word, what in (
        (r"\d.*\b(min|minutes?|s|sec|seconds?)\b", "how many minutes it takes"),
        (r"memory.*\d|\d.*memory", "how much memory it takes"),
        (r"download", "what it downloads"),
        (r"GPU", "whether it needs a GPU"),
    ):
        if not re.search(word, cell.source, re.IGNORECASE):
            yield f"{cell.name}: say on the title card {what}."


def _setup(code: list[Cell]) -> Iterator[str]:
    if code and not re.search(r"^(import|from) tlcourse\b", code[0].source, re.MULTILINE):
        yield f"{code[0].name}: make the first code cell the setup cell, which imports tlcourse."


def _rhythm(cells: list[Cell], code: list[Cell]) -> Iterator[str]:
    if len(code) not in CODE_CELLS:
        yield (
            f"The notebook has {len(code)} code cells: make it {CODE_CELLS.start} to {CODE_CELLS.stop - 1}, "
            "by splitting or leaving out steps."
        )
    for cell, following in pairwise(cells):
        if cell.kind == following.kind == "code":
            yield f"{following.name}: say something before this cell; it follows another code cell."
        elif following.kind == "code" and not re.sub(r"^#.*", "", cell.source, flags=re.MULTILINE).strip():
            yield f"{cell.name}: say something below this heading, before the code."


def _exercise(text: list[Cell], code: list[Cell]) -> Iterator[str]:
    if not any(heading.startswith("Exercise") for cell in text for heading in cell.headings()):
        yield 'There is no section "Exercise": add one.'
    if not sum(cell.calls("exercise") for cell in code):
        yield 'No cell calls exercise("..."): add an exercise that checks itself.'


def _ending(text: list[Cell], code: list[Cell]) -> Iterator[str]:
    summary = [cell for cell in text if any("summary" in heading.lower() for heading in cell.headings())]
    if not summary:
        yield 'There is no section "Summary": end with one of five lines.'
    else:
        items = sum(token.type == "list_item_open" for token in summary[-1].tokens)
        if items != 5:
            yield f"{summary[-1].name}: make the summary a list of five lines; it has {items}."
    if (quizzes := sum(cell.calls("quiz") for cell in code)) != 2:
        yield f'The notebook asks {quizzes} questions with quiz("..."): ask two.'
    if not any("next" in cell.source.lower() and _hrefs(cell) for cell in text[-2:]):
        yield "The end does not say what comes next: add a line with the word next and a link."


def _says(text: list[Cell], code: list[Cell]) -> Iterator[str]:
    asserts = sum(isinstance(node, ast.Assert) for cell in code for node in ast.walk(cell.tree or ast.Module()))
    if asserts < 4:
        yield f"The notebook asserts {asserts} results: assert at least four, as ranges a learner can read."
    observed = sum(len(re.findall(r"\bWe observe\b", cell.source, re.IGNORECASE)) for cell in text)
    if observed < 4:
        yield f'{ADVICE}"We observe" appears {observed} times: say after an output what it showed and what it did not.'


def _links(text: list[Cell], path: Path) -> Iterator[str]:
    for cell in text:
        for href in _hrefs(cell):
            target = href.partition("#")[0]
            if "://" in target or target.startswith("mailto:") or not target:
                continue
            here = path.parent / target
            if not here.exists() and not (path.suffix == ".md" and here.with_suffix(".md").exists()):
                yield f"{cell.name}: the link to {href} leads nowhere; correct it or leave it out."


def _hrefs(cell: Cell) -> list[str]:
    return [token.attrGet("href") for token in cell.tokens if token.type == "link_open"]


def _commonmark(cell: Cell) -> Iterator[str]:
    plain = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", _without_fences(cell.source))
    for pattern, what in (
        (r"^(`{3,}|~{3,}|:{3,})\{[\w:-]+\}|^:{3,}\s*\w+", "a MyST directive"),
        (r"\{[a-zA-Z][\w:-]*\}`", "a MyST role"),
        (r"^\([\w:-]+\)=\s*$", "a MyST label"),
        (r"<\s*(script|style|iframe|object|embed|link)\b", "an HTML element that a page will not show"),
    ):
        subject = cell.source if what == "a MyST role" else plain
        if found := re.search(pattern, subject, re.MULTILINE | re.IGNORECASE):
            yield f"{cell.name}: {found.group().strip()} is {what}; use CommonMark, $math$ and block quotes only."


def _without_fences(source: str) -> str:
    """The Markdown without its code blocks; a fence that opens a directive stays, since it is what we look for."""
    return re.sub(r"^(`{3,}|~{3,})(?!\{).*?^\1`*~*\s*$", "", source, flags=re.MULTILINE | re.DOTALL)


def _images(cell: Cell) -> Iterator[str]:
    for token in cell.tokens:
        found = []
        if token.type == "image":
            found = [(token.attrGet("src"), token.content)]
        elif token.type in ("html_block", "html_inline"):
            tags = re.findall(r"<img\b[^>]*>", token.content, re.IGNORECASE)
            found = [(_attribute(tag, "src"), _attribute(tag, "alt")) for tag in tags]
        for src, alt in found:
            if not alt.strip():
                yield f"{cell.name}: the image {src} has no alternative text; say in it what the image shows."
            if re.match(r"[a-z]+:|//", src, re.IGNORECASE) and not src.startswith("attachment:"):
                yield f"{cell.name}: the image {src} is remote; put it into the repository."


def _attribute(tag: str, name: str) -> str:
    found = re.search(rf"""\b{name}\s*=\s*("([^"]*)"|'([^']*)')""", tag, re.IGNORECASE)
    return (found.group(2) or found.group(3) or "") if found else ""


def _length(cell: Cell) -> Iterator[str]:
    if cell.lines > MOST_LINES:
        yield f"{cell.name}: has {cell.lines} lines; split it, {LINES} are enough."
    elif cell.lines > LINES:
        yield f"{ADVICE}{cell.name}: has {cell.lines} lines; {LINES} are enough."
    elif not cell.lines:
        yield f"{cell.name}: the code cell is empty; leave it out."


def _plain_python(cell: Cell) -> Iterator[str]:
    if found := re.search(r"^\s*[!%].*", cell.source, re.MULTILINE):
        yield f"{cell.name}: {found.group().strip()!r} is not Python; the environment installs what a chapter needs."
    elif cell.tree is None:
        yield f"{cell.name}: this is not valid Python."
    if "sys.path" in cell.source:
        yield f"{cell.name}: do not change sys.path; tlcourse is installed."
    for node in ast.walk(cell.tree or ast.Module()):
        if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
            yield f"{cell.name}: name what you import from {node.module}, not *."


def _no_results(cell: Cell) -> Iterator[str]:
    if cell.raw.get("outputs") or cell.raw.get("execution_count") is not None:
        yield f"{cell.name}: holds the results of a run; run `tlcourse build`."


def _tags(cell: Cell) -> Iterator[str]:
    for tag in cell.metadata.get("tags", ()):
        if tag not in TAGS:
            yield f"{cell.name}: no tool knows the tag {tag!r}; the tags are {', '.join(sorted(TAGS))}."
    for key in sorted(set(cell.metadata) - {"tags", "jupyter"}):
        yield f"{cell.name}: leave out the cell option {key!r}."
