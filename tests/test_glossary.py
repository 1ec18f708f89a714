"""The glossary holds each term that a chapter links to, and says truly where it is met."""

from __future__ import annotations

import re

import pytest

from tlcourse.notebooks import build

LINK = re.compile(r"\[([^\]\[]*)\]\((?:\.\./)?GLOSSARY\.md(?:#([^)\s]*))?\)")
ENTRY = re.compile(r"^### ([^\n]+)\n\n(.+?)\n(?=\n### |\Z)", re.MULTILINE | re.DOTALL)


def anchor(heading: str) -> str:
    """As GitHub makes it of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.fixture
def entries(repository):
    return dict(ENTRY.findall((repository / "GLOSSARY.md").read_text(encoding="utf-8")))


def chapters(repository):
    """The text of each chapter by its number; of 06 and 07 that of all their notebooks."""
    texts = {}
    for path in sorted((repository / "chapters").glob("*.md")):
        texts[path.name[:2]] = texts.get(path.name[:2], "") + path.read_text(encoding="utf-8")
    return texts


def test_each_entry_is_one_or_two_sentences_and_says_where_it_is_met(entries):
    assert len(entries) > 25 and list(entries) == sorted(entries, key=str.lower)
    for term, text in entries.items():
        definition, met, where = text.partition("Met in ")
        assert met and re.match(r"\[chapter \d\d\]\(notebooks/[\w-]+\.ipynb\)", where), term
        assert 1 <= len(re.findall(r"[.?](?:\s|$)", definition)) <= 2, f"{term}: {definition}"


def test_the_chapter_that_an_entry_names_has_the_term(repository, entries):
    texts = chapters(repository)
    for term, text in entries.items():
        number, path = re.search(r"Met in \[chapter (\d\d)\]\(([^)]+)\)", text).groups()
        assert (repository / path).is_file() and path.startswith(f"notebooks/{number}"), term
        words = term.lower().removesuffix(" transfer").split()
        assert all(word.rstrip("s") in texts[number].lower() for word in words), f"chapter {number} has no {term!r}"


def test_links_of_chapters_lead_to_an_entry_of_that_name(repository, entries):
    known = {anchor(term): term for term in entries}
    found = 0
    for number, text in chapters(repository).items():
        for words, target in LINK.findall(text):
            found += 1
            if not target:
                continue
            assert target in known, f"chapter {number}: GLOSSARY.md has no entry {target!r}"
            shown = words.strip("*").lower().split()[0].rstrip("s")
            assert shown in known[target].lower(), f"chapter {number}: {words!r} leads to {known[target]!r}"
    assert found > 20


def test_what_chapter_01_defines_is_in_the_glossary(repository):
    text = chapters(repository)["01"]
    defined = set(re.findall(r"\[\*([^*]+)\*\]\(GLOSSARY\.md#", text))
    assert {"domain", "task", "source", "target", "inductive", "transductive", "unsupervised", "gain"} <= defined
    linked = {target for _, target in LINK.findall(text)}
    assert {"negative-transfer", "from-scratch-twin", "alignment", "domain-gap"} <= linked


def test_links_inside_the_glossary_work_from_both_places(repository):
    for place in (repository, repository / "notebooks"):
        for href in re.findall(r"\]\(([^)#]+)", (place / "GLOSSARY.md").read_text(encoding="utf-8")):
            assert (place / href).is_file(), f"{place.name}/GLOSSARY.md: {href}"


def test_the_builder_lays_the_glossary_among_the_notebooks(tmp_path):
    (tmp_path / "chapters").mkdir()
    (tmp_path / "chapters" / "07.md").write_text("# Hello", encoding="utf-8")
    out = tmp_path / "notebooks"
    assert build(tmp_path / "chapters", out) == [out / "07.ipynb"]
    (tmp_path / "GLOSSARY.md").write_text("# Words\n\n[there](notebooks/07.ipynb) ünd\n", encoding="utf-8")
    assert build(tmp_path / "chapters", out, check=True) == [out / "GLOSSARY.md"]
    build(tmp_path / "chapters", out)
    assert (out / "GLOSSARY.md").read_bytes() == "# Words\n\n[there](07.ipynb) ünd\n".encode()
    assert build(tmp_path / "chapters", out) == []
