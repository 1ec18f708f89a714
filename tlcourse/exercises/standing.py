"""`Progress`: where the learner stands, as a bar and a table, to look at and to take along."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path

from tlcourse import __version__
from tlcourse.errors import CourseError, UnknownName
from tlcourse.exercises import store

COLUMNS = ("question", "chapter", "state", "tries", "hints", "title")
FORMATS = (".csv", ".json")
_MARKS = {"right": "✓", "not yet": "✗", "error": "!", "not attempted": "…"}
_BLOCKS, _TITLE = 30, 60  # letters
# of the bars only; what they say stands beside them in words
_DONE, _TRIED, _ROOM = "#009e73", "#e69f00", "#8884"


@dataclass(frozen=True, repr=False)
class Progress:
    """Where the learner stands: a row a question, and a bar that says how much is right.

    Arguments:
        rows: dicts with `question`, `chapter`, `state` ("not attempted", "not yet", "right", or "error" when the code
            stopped), `tries`, `hints` and `title`.

    In a notebook it is a table with a bar, elsewhere the same as text. `to_frame()` gives a table to compute with,
    `save(path)` writes a file to keep or to hand in.

    >>> row = {"question": "03.1", "chapter": "03", "state": "right", "tries": 2, "hints": 0, "title": "A"}
    >>> Progress((row,))
    ██████████████████████████████  1 of 1 right
    <BLANKLINE>
    03  ██████████████████████████████  1 of 1
        ✓ 03.1  right          2 tries, 0 hints  A
    """

    rows: tuple[Mapping, ...]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def right(self) -> int:
        """How many questions are answered rightly."""
        return sum(row["state"] == "right" for row in self.rows)

    @property
    def tried(self) -> int:
        """How many were answered at all, rightly or not."""
        return sum(row["state"] != "not attempted" for row in self.rows)

    def chapters(self) -> dict[str, Progress]:
        """The same, chapter by chapter."""
        names = dict.fromkeys(row["chapter"] for row in self.rows)
        return {name: Progress(tuple(row for row in self.rows if row["chapter"] == name)) for name in names}

    def to_frame(self):
        """A pandas table with the question's name as its index, and the columns of `rows`."""
        import pandas as pd

        return pd.DataFrame([dict(row) for row in self.rows], columns=COLUMNS).set_index("question")

    def save(self, path: str | os.PathLike) -> Path:
        """Write it to a `.csv` or `.json` file, e.g. to hand it in, and return its path; it is sent nowhere.

        Raises `UnknownName` for another ending, and `CourseError` where the file cannot be written.
        """
        path = Path(path).expanduser()
        if path.suffix.lower() not in FORMATS:
            raise UnknownName("ending of a file", path.suffix, FORMATS, do='Write e.g. save("my-progress.csv").')
        if path.resolve() == store.place().resolve():
            raise CourseError(
                "This is the file in which the course keeps your progress.", do="Save under another name."
            )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self._csv() if path.suffix.lower() == ".csv" else self._json(), encoding="utf-8")
        except OSError as error:
            raise CourseError(
                f"{path.name} cannot be written.", why=f"{error.strerror or error}.", do="Choose another folder."
            ) from None
        return path

    def _csv(self) -> str:
        out = io.StringIO()
        table = csv.DictWriter(out, COLUMNS, lineterminator="\n")
        table.writeheader(), table.writerows(self.rows)
        return out.getvalue()

    def _json(self) -> str:
        head = {"course": "tlcourse", "version": __version__, "right": self.right, "questions": len(self)}
        return json.dumps({**head, "rows": [dict(row) for row in self.rows]}, indent=1, ensure_ascii=False) + "\n"

    def __repr__(self) -> str:
        lines = [f"{_blocks(self)}  {_counted(self)} right"]
        for name, part in self.chapters().items():
            lines += ["", f"{name}  {_blocks(part)}  {_counted(part)}"]
            lines += [f"    {_MARKS[row['state']]} {row['question']}  {row['state']:13}  {_cost(row)}  {_title(row)}"
                      for row in part.rows]  # fmt: skip
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        head = "".join(
            f'<th scope="col" style="text-align:left">{word}</th>' for word in ("", *COLUMNS[:1], *COLUMNS[2:])
        )
        body = ""
        for name, part in self.chapters().items():
            body += (
                f'<tr><th scope="rowgroup" colspan="6" style="text-align:left">Chapter {escape(name)} '
                f"{_bar(part, f'Chapter {name}')}</th></tr>"
            )
            for row in part.rows:
                cells = (_MARKS[row["state"]], row["question"], row["state"], row["tries"], row["hints"], _title(row))
                body += "<tr>" + "".join(f'<td style="text-align:left">{escape(str(c))}</td>' for c in cells) + "</tr>"
        words = f"<strong>{_counted(self)} right</strong>"
        return f"<div>{words} {_bar(self, 'All questions')}<table><tr>{head}</tr>{body}</table></div>"


def _counted(part: Progress) -> str:
    return f"{part.right} of {len(part)}"


def _cost(row: Mapping) -> str:
    tries, hints = row["tries"], row["hints"]
    return f"{tries} {'try' if tries == 1 else 'tries'}, {hints} hint{'s' * (hints != 1)}".ljust(16)


def _title(row: Mapping) -> str:
    title = " ".join(str(row["title"]).split())
    return title if len(title) <= _TITLE else title[: _TITLE - 1].rstrip() + "…"


def _blocks(part: Progress) -> str:
    """Full for what is right, grey for what was tried, dots for the rest."""
    right, tried = (round(_BLOCKS * n / max(1, len(part))) for n in (part.right, part.tried))
    return "█" * right + "▒" * (tried - right) + "·" * (_BLOCKS - tried)


def _bar(part: Progress, name: str) -> str:
    """A bar that a screen reader reads as words, and that needs neither script nor style sheet."""
    right, tried = (100 * n / max(1, len(part)) for n in (part.right, part.tried))
    piece = "display:inline-block;height:100%;vertical-align:top"
    words = f"{name}: {part.right} of {len(part)} right, {part.tried - part.right} tried and not yet right"
    return (
        f'<span role="img" aria-label="{escape(words)}" title="{escape(words)}" style="display:inline-block;width:16em;'
        f'height:0.8em;background:{_ROOM};border-radius:0.2em;overflow:hidden;white-space:nowrap;font-size:1em">'
        f'<span style="{piece};width:{right:.1f}%;background:{_DONE}"></span>'
        f'<span style="{piece};width:{tried - right:.1f}%;background:repeating-linear-gradient(45deg,{_TRIED} 0 0.2em,'
        f'transparent 0.2em 0.4em)"></span></span> {_counted(part)}'
    )
