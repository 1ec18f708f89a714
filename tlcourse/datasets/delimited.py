"""Two columns of a delimited text file, whatever its encoding and delimiter; what is wrong is said in plain words."""

from __future__ import annotations

import codecs
import csv
import io
import warnings
from difflib import get_close_matches
from pathlib import Path

from tlcourse.datasets.listing import printable
from tlcourse.errors import CourseError

MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
DELIMITERS = (",", ";", "\t", "|")
OTHER_KINDS = {
    b"PK\x03\x04": ("an Excel workbook or a zip archive", "Save the sheet as CSV (UTF-8), or unpack the archive."),
    b"\xd0\xcf\x11\xe0": ("an old Excel workbook", "Save the sheet as CSV (UTF-8)."),
    b"\x1f\x8b": ("compressed", "Unpack it first."),
    b"PAR1": ("a Parquet table", "Write it as CSV: pandas.read_parquet(path).to_csv(...)."),
}


def read_columns(
    file: Path, text: str, label: str, encoding: str, delimiter: str | None
) -> tuple[list[int], list[str], list[str], list[str]]:
    """Row numbers (the header is row 1), texts, labels, and notes; empty where there is no value."""
    import pandas

    if text == label:
        raise CourseError(f"The text and the label are the same column, {text!r}.", do="Name two columns.")
    start = _beginning(file)
    encoding, notes = _encoding(start, encoding)
    try:
        names, delimiter = _header(start, file, encoding, delimiter, text, label)
        places = [names.index(text), names.index(label)]
        with warnings.catch_warnings():
            warnings.simplefilter("error", pandas.errors.ParserWarning)  # rows longer than the header
            table = pandas.read_csv(
                file, sep=delimiter, encoding=encoding, header=None, skiprows=0, names=range(len(names)),
                usecols=None, dtype=str, keep_default_na=False, na_filter=False, skip_blank_lines=False,
                index_col=False, engine="c", low_memory=False, on_bad_lines="error",
            )  # fmt: skip
    except (UnicodeDecodeError, UnicodeError) as error:
        raise _wrong_encoding(file, encoding, error) from None
    except (pandas.errors.ParserError, pandas.errors.ParserWarning) as error:
        raise CourseError(
            "The table cannot be read: a row does not have as many values as the header.",
            why=f"{str(error).strip().splitlines()[-1]} (delimiter {delimiter!r}).",
            do="Put texts that hold the delimiter or a line break between double quotes; double a quote within.",
        ) from None
    table = table.iloc[1:].fillna("")
    filled = (table != "").any(axis=1)  # a blank line is no row, but counts for the row numbers
    rows = [int(i) + 1 for i in table.index[filled]]
    if not rows:
        raise CourseError(f"The table {file.name!r} has a header but no rows.", do="Check the file.")
    texts, labels = (table.loc[filled, place].astype(str).tolist() for place in places)
    return rows, texts, labels, notes


def _beginning(file: Path) -> bytes:
    shown = repr(printable(str(file)))
    try:
        if file.is_dir():
            raise CourseError(
                f"{shown} is a folder, not a table.",
                do="Pass a CSV file; a folder of images is read by from_folder(path).",
            )
        with open(file, "rb") as opened:
            start = opened.read(1 << 16)
    except FileNotFoundError:
        near = get_close_matches(
            file.name, [p.name for p in file.parent.glob("*")] if file.parent.is_dir() else [], n=1
        )
        guess = f"Did you mean {printable(str(file.parent / near[0]))!r}?" if near else "Check the spelling."
        raise CourseError(
            f"There is no file {shown}.", why=f"It was looked for in {printable(str(Path.cwd()))!r}.", do=guess
        ) from None
    except PermissionError:
        raise CourseError(f"You may not read {shown}.", do="Change its permissions, or copy it.") from None
    if not start.strip():
        raise CourseError(f"The file {shown} is empty.", do="Check that it was saved.")
    for signature, (what, do) in OTHER_KINDS.items():
        if start.startswith(signature):
            raise CourseError(f"The file {shown} is {what}, not a CSV text.", do=do)
    return start


def _encoding(start: bytes, encoding: str) -> tuple[str, list[str]]:
    """The encoding to use, and a note if the file's own mark overrides the one that was named."""
    try:
        codecs.lookup(encoding)
    except (LookupError, TypeError):
        raise CourseError(
            f"There is no encoding called {encoding!r}.", do='Try "utf-8", "cp1252", "latin-1" or "utf-16".'
        ) from None
    for mark, own in MARKS:
        if start.startswith(mark):
            same = codecs.lookup(own).name.split("-sig")[0] == codecs.lookup(encoding).name
            return own, [] if same else [f"The file's byte order mark says {own}, so it was read as that."]
    if codecs.lookup(encoding).name == "utf-8" and start.count(0) > len(start) // 4:
        little = start[1::2].count(0) > start[::2].count(0)
        own = "utf-16-le" if little else "utf-16-be"
        return own, [f"Every second byte is zero, so the file was read as {own}."]
    notes = []
    if codecs.lookup(encoding).name in ("cp1252", "iso8859-1", "iso8859-15"):
        try:
            start[: start.rfind(b"\n") + 1].decode("utf-8")
            if not start.isascii():
                notes.append(f"The file is also valid UTF-8; if letters look wrong, leave out encoding={encoding!r}.")
        except UnicodeDecodeError:
            pass
    return encoding, notes


def _header(start, file, encoding, delimiter, text, label) -> tuple[list[str], str]:
    """The column names and the delimiter."""
    with open(file, encoding=encoding, newline="") as lines:
        head = "".join(lines.readline(1 << 20) for _ in range(20))
    read = {}
    for sign in (delimiter,) if delimiter else DELIMITERS:
        try:
            names = next(csv.reader(io.StringIO(head, newline=""), delimiter=sign), [])
        except (csv.Error, TypeError) as error:
            raise CourseError(
                f"The header cannot be read: {error}.", do='Name the delimiter, e.g. delimiter=";".'
            ) from None
        read[sign] = [name.strip().removeprefix("\ufeff") for name in names]
        if text in read[sign] and label in read[sign]:
            twice = [name for name in (text, label) if read[sign].count(name) > 1]
            if twice:
                raise CourseError(f"There are two columns called {twice[0]!r}.", do="Rename one of them.")
            return read[sign], sign
    names = max(read.values(), key=len)
    missing = [name for name in (text, label) if name not in names]
    folded = {name.casefold(): name for name in names}
    near = [
        folded.get(str(m).casefold()) or next(iter(get_close_matches(str(m), names, n=1, cutoff=0.5)), None)
        for m in missing
    ]
    guess = " and ".join(f"{n!r} for {m!r}" for m, n in zip(missing, near, strict=True) if n)
    raise CourseError(
        f"The table has no column {' and no column '.join(map(repr, missing))}.",
        why=f"Its columns are: {', '.join(repr(n[:40]) for n in names[:12])}{' and more' if len(names) > 12 else ''}."
        + (" Does the file have a header line?" if len(names) < 2 or any(len(n) > 60 for n in names) else ""),
        do=f"Did you mean {guess}?" if guess else "Write from_csv(path, text=..., label=...) with two of these names.",
    )


def _wrong_encoding(file: Path, encoding: str, error: UnicodeError) -> CourseError:
    """An error that names an encoding which fits, and shows how the first odd line reads in it."""
    data, fits = file.read_bytes(), []
    others = ["utf-8", "cp1252"]
    high = sum(byte > 127 for byte in data)
    if high > len(data) / 4:  # mostly letters beyond ASCII: not a Western language
        others += ["gb18030", "shift_jis", "cp1251"]
    for other in (*others, "latin-1"):
        try:
            read = data.decode(other)
        except UnicodeDecodeError:
            continue
        if codecs.lookup(other).name != codecs.lookup(encoding).name:
            fits.append((other, next((line for line in read.splitlines() if not line.isascii()), "")))
    best, line = fits[0] if fits else ("latin-1", "")
    rest = ", ".join(repr(name) for name, _ in fits[1:] if name != "latin-1")
    return CourseError(
        f"The file {file.name!r} is not written in {encoding}.",
        why=f"{getattr(error, 'reason', error)} at byte {getattr(error, 'start', '?')}."
        + (f" As {best} its first line with special letters reads: {line[:80]!r}." if line else ""),
        do=f'Try from_csv(..., encoding="{best}")' + (f", or else {rest}." if rest else "."),
    )
