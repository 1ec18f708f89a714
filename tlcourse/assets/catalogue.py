"""The registry of every weight and data set: one typed entry each, read from `registry.toml`."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path, PurePosixPath
from types import MappingProxyType

from tlcourse import settings
from tlcourse.errors import CourseError, UnknownName

PATH = Path(__file__).with_name("registry.toml")

KINDS = ("wheel", "sdist", "installed", "hub")


@dataclass(frozen=True)
class File:
    """One file of an asset: its member path in the archive or package, its SHA-256 and its size in bytes."""

    member: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Asset:
    """A weight or a data set: where its bytes come from, what they must hash to, and whose they are.

    `size` is what has to be downloaded, in bytes; `files` maps a name in the asset's folder to a `File`.
    """

    name: str
    title: str
    kind: str
    package: str
    version: str
    sha256: str
    size: int
    licence: str
    home: str
    used_by: tuple[str, ...]
    profile: str
    files: MappingProxyType[str, File]

    @property
    def verified(self) -> bool:
        """Whether the course checks the bytes itself; those of a hub are left to the library that fetches them."""
        return self.kind != "hub"

    @property
    def unpacked(self) -> int:
        """Bytes of all its files."""
        return sum(file.size for file in self.files.values())

    def used_in(self, chapter: str) -> bool:
        """Whether a chapter uses it; `"3"`, `"03"` and `"03-feature-extraction"` mean the same, `"06"` all parts."""
        wanted = chapter_number(chapter)
        return any(used == wanted or used.startswith(wanted + "-") for used in self.used_by)

    def __repr__(self):
        return f"Asset({self.name!r}, {self.kind} {self.package} {self.version}, {megabytes(self.size)})"

    def _repr_html_(self):
        rows = {
            "what": self.title,
            "from": f"{self.kind} {self.package} {self.version}",
            "download": megabytes(self.size) if self.size else "nothing",
            "licence": self.licence,
            "home": self.home,
            "chapters": ", ".join(self.used_by),
        }
        cells = "".join(f"<tr><th scope='row'>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in rows.items())
        return f"<table><caption>{escape(self.name)}</caption>{cells}</table>"


def registry() -> dict[str, Asset]:
    """Every weight and data set of the course, by name.

    >>> registry()["sentiment"].package
    'vaderSentiment'
    """
    return dict(_read(PATH))


def choose(names: str | Iterable[str] | None = None, chapter: str | None = None) -> list[Asset]:
    """The assets of these names, or of a chapter, or all of them.

    Arguments:
        names: names of assets; None means all.
        chapter: `"03"`; keeps those that the chapter uses.

    Raises `UnknownName` for a name or chapter that no asset has.

    >>> [asset.name for asset in choose("minilm")]
    ['minilm']
    """
    known = registry()
    names = [names] if isinstance(names, str) else list(known if names is None else names)
    for name in names:
        if name not in known:
            raise _unknown(name, known)
    chosen = [known[name] for name in dict.fromkeys(names)]
    if chapter is None:
        return chosen
    used = sorted({used for asset in known.values() for used in asset.used_by})
    if not any(asset.used_in(chapter) for asset in known.values()):
        raise UnknownName("chapter", chapter, used, do="Chapters that are not named need nothing.")
    return [asset for asset in chosen if asset.used_in(chapter)]


def get(name: str) -> Asset:
    """One asset by name; raises `UnknownName`."""
    known = registry()
    if name not in known:
        raise _unknown(name, known)
    return known[name]


def _unknown(name: object, known: dict[str, Asset]) -> UnknownName:
    """In the full profile the names of hubs come first; who gives a part of a name reads which have it."""
    full = settings.profile() == "full"
    part = str(name).casefold()
    having = [other for other in known if len(part) > 2 and part in other.casefold()]
    return UnknownName(
        "asset",
        name,
        sorted(known, key=lambda other: full and known[other].verified),
        do=f"Names with {str(name)!r} in them: {', '.join(having)}." if having else "",
    )


def chapter_number(chapter: str) -> str:
    """`"3"`, `"03"`, `"03-feature-extraction"` -> `"03"`; `"06-1"`, `"06-1-image-classification"` -> `"06-1"`.

    >>> chapter_number("3"), chapter_number("06-1-image-classification")
    ('03', '06-1')
    """
    first, *rest = str(chapter).split("-")
    part = "-" + rest[0] if rest and rest[0].isdigit() else ""
    return first.zfill(2) + part


def megabytes(size: float) -> str:
    """Bytes as a learner reads them.

    >>> megabytes(83_506_384), megabytes(57_523)
    ('84 MB', '58 kB')
    """
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}" if size < 9.95 * unit else f"{size / unit:.0f} {name}"
    return f"{size:.0f} bytes"


def say(line: str) -> None:
    """Tell a learner what is going on: beside the results in a terminal, and not in alarming red in a notebook."""
    print(line, file=sys.stdout if "ipykernel.zmqshell" in sys.modules else sys.stderr, flush=True)


@cache
def _read(path: Path) -> dict[str, Asset]:
    return {name: _asset(name, entry) for name, entry in tomllib.loads(path.read_text("utf-8")).items()}


def _asset(name: str, entry: dict) -> Asset:
    files = {path: File(member, sha256, size) for path, member, sha256, size in entry.pop("files")}
    for path in (name, *files):
        if not _inside(path):
            raise CourseError(
                f"The registry names {path!r}, which would lie outside the asset's folder.",
                do="Correct registry.toml.",
            )
    used_by = tuple(entry.pop("used_by"))
    asset = Asset(name=name, used_by=used_by, files=MappingProxyType(files), **entry)
    if asset.kind not in KINDS:
        raise UnknownName("kind of asset", asset.kind, KINDS, do="Correct registry.toml.")
    return asset


def _inside(path: str) -> bool:
    """Whether a name stays below the folder it is joined to, on every system."""
    parts = PurePosixPath(path)
    return bool(parts.parts) and not parts.is_absolute() and ".." not in parts.parts and "\\" not in path
