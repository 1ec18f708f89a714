"""`from_csv`: a learner's own texts, also from tables that are wrong."""

from __future__ import annotations

import csv
import os

import numpy as np
import pytest
import torch

from tlcourse import CourseError, from_csv

ROWS = [(f"Text number {i} about {kind}.", kind) for i in range(10) for kind in ("cats", "dogs")]


def write(path, rows, header=("text", "label"), encoding="utf-8", **options):
    with open(path, "w", encoding=encoding, newline="") as file:
        csv.writer(file, **options).writerows([header, *rows])
    return path


def read(path, **options):
    return from_csv(path, **{"text": "text", "label": "label", **options})


def message(path, **options):
    with pytest.raises(CourseError) as error:
        read(path, **options)
    return str(error.value)


@pytest.fixture
def table(tmp_path):
    return write(tmp_path / "pets.csv", ROWS)


def items(data):
    return {(t, split.classes[y]) for split in data.splits for t, y in zip(split.x, split.y.tolist(), strict=True)}


# --- a good table


def test_a_table_becomes_three_splits(table):
    data = read(table)
    assert data.kind == "text" and data.classes == ("cats", "dogs") and data.name == "pets"
    assert [s.counts() for s in data.splits] == [{"cats": 6, "dogs": 6}, {"cats": 2, "dogs": 2}, {"cats": 2, "dogs": 2}]
    assert items(data) == set(ROWS)
    assert data.train.y.dtype == torch.int64 and data.train.shots(2).counts() == {"cats": 2, "dogs": 2}
    assert not data.notes


def test_the_same_seed_gives_the_same_splits_and_another_seed_others(table):
    first, again, other = (read(table, seed=s) for s in (0, 0, 1))
    assert [s.fingerprint for s in first.splits] == [s.fingerprint for s in again.splits]
    assert set(first.test.ids) != set(other.test.ids)


def test_ids_name_the_row_as_a_spreadsheet_counts(tmp_path):
    rows = [*ROWS[:3], ("two\nlines", "cats"), *ROWS[3:]]
    data = read(write(tmp_path / "a.csv", rows))
    row = {t: int(i.split("#")[0].removeprefix("row ")) for s in data.splits for t, i in zip(s.x, s.ids, strict=True)}
    assert [row[t] for t, _ in rows] == list(range(2, 23))


def test_blank_lines_are_no_rows_but_are_counted(tmp_path):
    lines = ["text,label", *[",".join(r) for r in ROWS[:4]], "", *[",".join(r) for r in ROWS[4:]], "", ""]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    data = read(tmp_path / "a.csv")
    assert items(data) == set(ROWS)
    assert any(i.startswith("row 22#") for s in data.splits for i in s.ids)


@pytest.mark.parametrize("delimiter", [";", "\t", "|", ","])
def test_the_delimiter_is_found(tmp_path, delimiter):
    rows = [(t.replace(" about", ", about"), name) for t, name in ROWS]
    file = write(tmp_path / "a.csv", rows, delimiter=delimiter)
    assert items(read(file)) == set(rows)
    assert items(read(file, delimiter=delimiter)) == set(rows)
    wrong = ";" if delimiter != ";" else ","
    assert "no column 'text' and no column 'label'" in message(file, delimiter=wrong)


def test_quotes_line_breaks_and_delimiters_inside_a_text(tmp_path):
    texts = [
        'He said "no", twice.',
        "first\nsecond\r\nthird",
        ";;\t,,",
        "'single'",
        "a\\b",
        " spaces ",
        '""',
        "NULL",
        "NA",
    ]
    rows = [(f"{t}{i}", kind) for t in texts for i, kind in enumerate(("x", "y"))]
    assert items(read(write(tmp_path / "a.csv", rows))) == set(rows)
    assert items(read(write(tmp_path / "b.csv", rows, quoting=csv.QUOTE_ALL, delimiter=";"))) == set(rows)


def test_huge_fields_are_kept(tmp_path):
    long = "word " * 10_000
    rows = [*ROWS, (long, "cats"), ("x" * 2_000_000, "dogs")]
    data = read(write(tmp_path / "a.csv", rows))
    assert items(data) == set(rows)
    assert any("1 texts have more than 300 words (row 22)" in note for note in data.notes)


def test_other_columns_and_their_order_do_not_matter(tmp_path):
    rows = [(i, name, "", t, "é") for i, (t, name) in enumerate(ROWS)]
    file = write(tmp_path / "a.csv", rows, header=("id", " label ", "empty", "text", "more"))
    assert items(read(file)) == set(ROWS)


def test_labels_may_be_numbers(tmp_path):
    rows = [(t, i % 12) for i, (t, _) in enumerate(ROWS * 3)]
    rows = [(f"{t} {i}", n) for i, (t, n) in enumerate(rows)]
    assert read(write(tmp_path / "a.csv", rows)).classes == tuple(map(str, range(12)))
    decimals = [(t, f"{n}.0") for t, n in rows]
    assert read(write(tmp_path / "b.csv", decimals)).classes == tuple(map(str, range(12)))
    halves = [(t, f"{n % 4}.5") for t, n in rows]
    assert read(write(tmp_path / "c.csv", halves)).classes == ("0.5", "1.5", "2.5", "3.5")


def test_labels_that_look_like_missing_values_are_labels(tmp_path):
    rows = [(f"{t}", "NA" if name == "cats" else "None") for t, name in ROWS]
    assert read(write(tmp_path / "a.csv", rows)).classes == ("NA", "None")


# --- no table


def test_a_missing_file_gets_the_nearest_name(table):
    said = message(table.parent / "pet.csv")
    assert "There is no file" in said and "Did you mean" in said and "pets.csv" in said


def test_a_folder_an_empty_file_and_a_header_alone(tmp_path):
    assert "is a folder" in message(tmp_path) and "from_folder" in message(tmp_path)
    (tmp_path / "a.csv").write_bytes(b"")
    assert "is empty" in message(tmp_path / "a.csv")
    (tmp_path / "b.csv").write_bytes(b" \n\n")
    assert "is empty" in message(tmp_path / "b.csv")
    assert "has a header but no rows" in message(write(tmp_path / "c.csv", []))


def test_other_kinds_of_files_are_named(tmp_path):
    for start, word in ((b"PK\x03\x04..", "Excel"), (b"\x1f\x8b..", "compressed"), (b"PAR1..", "Parquet")):
        (tmp_path / "a.csv").write_bytes(start)
        assert word in message(tmp_path / "a.csv")


@pytest.mark.skipif(os.name == "nt" or not os.getuid(), reason="everything is permitted here")
def test_a_file_that_may_not_be_read(table):
    table.chmod(0)
    assert "may not read" in message(table)


def test_missing_columns_show_the_nearest(table, tmp_path):
    said = message(table, text="Text", label="labels")
    assert "no column 'Text' and no column 'labels'" in said and "'text' for 'Text' and 'label' for 'labels'" in said
    said = message(table, label="zzz")
    assert "Its columns are: 'text', 'label'" in said
    (tmp_path / "a.csv").write_text("\n".join(t for t, _ in ROWS))
    assert "header line" in message(tmp_path / "a.csv")
    assert "the same column" in message(table, label="text")


def test_two_columns_of_one_name(tmp_path):
    file = write(tmp_path / "a.csv", [(*r, "x") for r in ROWS], header=("text", "label", "text"))
    assert "two columns called 'text'" in message(file)


def test_rows_with_too_many_or_too_few_values(tmp_path):
    lines = ["text,label", *[",".join(r) for r in ROWS]]
    (tmp_path / "a.csv").write_text("\n".join([*lines, "a comma, here,cats"]))
    assert "does not have as many values as the header" in message(tmp_path / "a.csv")
    (tmp_path / "b.csv").write_text("\n".join([lines[0], *[f"a comma, here {i},x" for i in range(9)]]))
    assert "does not have as many values as the header" in message(tmp_path / "b.csv")
    (tmp_path / "c.csv").write_text("\n".join([*lines, "no label"]))
    assert "no 'label' in row 22" in message(tmp_path / "c.csv")
    (tmp_path / "d.csv").write_text("\n".join([*lines, '"never closed,cats']))
    assert "double quotes" in message(tmp_path / "d.csv")


# --- missing values


def test_missing_values_stop_with_their_rows_or_are_dropped(tmp_path):
    rows = list(ROWS)
    rows[0] = ("", "cats")
    rows[3] = ("   \n", "dogs")
    rows[5] = (rows[5][0], "")
    rows[6] = ("", " ")
    file = write(tmp_path / "a.csv", rows)
    said = message(file)
    assert "4 of 20 rows are incomplete" in said
    assert "no 'text' in rows 2, 5, 8" in said and "no 'label' in rows 7, 8" in said and "drop_missing=True" in said
    data = read(file, drop_missing=True)
    assert sum(map(len, data.splits)) == 16
    assert any("4 incomplete rows were left out: rows 2, 5, 7, 8" in note for note in data.notes)


def test_a_column_that_is_empty_throughout(tmp_path):
    file = write(tmp_path / "a.csv", [(t, "") for t, _ in ROWS])
    assert "No row has both" in message(file) and "No row has both" in message(file, drop_missing=True)


# --- encodings

FRENCH = [(f"Une crème brûlée à {i} €", kind) for i in range(6) for kind in ("été", "hiver")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-le", "utf-16-be"])
def test_unicode_is_recognised(tmp_path, encoding):
    data = read(write(tmp_path / "a.csv", FRENCH, encoding=encoding))
    assert items(data) == set(FRENCH) and data.classes == ("hiver", "été")


def test_a_wrong_encoding_names_the_right_one_and_shows_a_line(tmp_path):
    file = write(tmp_path / "a.csv", FRENCH, encoding="cp1252")
    said = message(file)
    assert "not written in utf-8" in said and 'encoding="cp1252"' in said and "crème brûlée à 0 €" in said
    assert items(read(file, encoding="cp1252")) == set(FRENCH)


def test_an_odd_byte_late_in_a_large_file_is_found(tmp_path):
    rows = [(f"{'plain words ' * 20}{i}", "ab"[i % 2]) for i in range(2000)]
    file = write(tmp_path / "a.csv", rows)
    file.write_bytes(file.read_bytes() + b"caf\xe9,a\n")
    assert 'encoding="cp1252"' in message(file) and "café" in message(file)


def test_a_language_that_is_not_western_gets_its_own_guess(tmp_path):
    rows = [(f"这部电影很好看，我很喜欢{i}", "ab"[i % 2]) for i in range(10)]
    file = write(tmp_path / "a.csv", rows, encoding="gb18030")
    assert "gb18030" in message(file)
    assert items(read(file, encoding="gb18030")) == set(rows)


def test_utf8_read_as_a_western_encoding_is_noted(tmp_path):
    file = write(tmp_path / "a.csv", FRENCH)
    assert any("also valid UTF-8" in note for note in read(file, encoding="cp1252").notes)
    assert "no encoding called 'utf-9'" in message(file, encoding="utf-9")
    file = write(tmp_path / "b.csv", FRENCH, encoding="utf-16")
    assert any("byte order mark says utf-16" in note for note in read(file, encoding="cp1252").notes)


# --- labels that cannot be learned


def test_one_class_only(tmp_path):
    assert "only one class: every 'label' is 'x'" in message(write(tmp_path / "a.csv", [(t, "x") for t, _ in ROWS]))


def test_one_row_in_a_class(tmp_path):
    said = message(write(tmp_path / "a.csv", [*ROWS, ("A bird.", "birds")]))
    assert "at least two different texts" in said and "'birds'" in said
    said = message(write(tmp_path / "b.csv", [*ROWS, ("A bird.", "birds"), ("a  BIRD.", "birds")]))
    assert "'birds'" in said, "a copy is no second text"


def test_texts_or_measurements_for_labels(tmp_path):
    file = write(tmp_path / "a.csv", ROWS * 3)
    said = message(write(file, [(f"{t} {i}", n) for i, (t, n) in enumerate(ROWS * 3)]), text="label", label="text")
    assert "60 different values in 60 rows" in said and "wrong way round" in said
    rng = np.random.default_rng(0)
    file = write(tmp_path / "b.csv", [(f"t{i}", f"{rng.normal():.6f}") for i in range(60)])
    assert "measurements, not classes" in message(file)


# --- what is noted


def test_equal_texts_are_never_on_two_sides_and_double_labels_are_reported(tmp_path):
    rows = [*ROWS, *[(t.upper(), n) for t, n in ROWS], (ROWS[0][0], "dogs")]
    data = read(write(tmp_path / "a.csv", rows))
    where = {}
    for split in data.splits:
        for t in split.x:
            where.setdefault(t.lower(), set()).add(split.name)
    assert all(len(sides) == 1 for sides in where.values()) and sum(map(len, data.splits)) == 41
    assert any("21 rows repeat a text" in note for note in data.notes)
    assert any("1 texts have two labels" in n and "row 2 cats, row 42 dogs" in n for n in data.notes)


def test_uneven_classes_and_capitals_are_noted(tmp_path):
    rows = [*[(f"t{i}", "yes") for i in range(60)], ("a", "Yes"), ("b", "Yes"), ("c", "no"), ("d", "no")]
    notes = read(write(tmp_path / "a.csv", rows)).notes
    assert any("upper and lower case only: Yes, yes" in n or "upper and lower case only: yes, Yes" in n for n in notes)
    assert any("94% of the texts are 'yes'" in n for n in notes)


def test_cards_escape_what_a_table_brings(tmp_path):
    rows = [(f"{i}", "<b>x</b>" if i % 2 else "&y") for i in range(10)]
    html = read(write(tmp_path / "a.csv", rows))._repr_html_()
    assert "<b>x</b>" not in html and "&lt;b&gt;x" in html and "&amp;y" in html


def test_null_bytes_do_no_harm(tmp_path):
    file = write(tmp_path / "a.csv", ROWS)
    file.write_bytes(file.read_bytes() + b"A text with \x00 inside,cats\n")
    assert sum(map(len, read(file).splits)) == 21


def test_a_quote_that_is_not_closed_swallows_no_rows(tmp_path):
    lines = ["text,label", *(f"{t},{name}" for t, name in ROWS)]
    lines[4] = '"unbalanced start,dogs'
    lines[12] = 'the end" he said,cats'
    file = tmp_path / "quotes.csv"
    file.write_text("\n".join(lines), encoding="utf-8")
    said = message(file)
    assert "row 5" in said and "look like rows of their own" in said and "quotation mark" in said


def test_a_text_of_several_lines_is_kept(tmp_path):
    rows = [*ROWS, ("A poem,\nin two lines, of cats", "cats"), ("One more\nline", "dogs")]
    assert items(read(write(tmp_path / "poems.csv", rows))) == set(rows)
