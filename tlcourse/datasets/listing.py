"""Which image files a folder holds, and of what class each is."""

from __future__ import annotations

import os
import re
import unicodedata
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from tlcourse.datasets.reading import SUFFIXES
from tlcourse.errors import CourseError

SIDES = ("train", "valid", "test")
SIDE_NAMES = {
    "train": 0, "training": 0, "valid": 1, "val": 1, "validation": 1, "dev": 1, "test": 2, "testing": 2,
}  # fmt: skip
HOW = "Make one folder for each class inside it, e.g. cats/ and dogs/, and put the images there."


@dataclass(frozen=True)
class Listing:
    """Files with their class numbers and, where the folder says so, their side (0 train, 1 valid, 2 test)."""

    files: tuple[Path, ...]
    labels: tuple[int, ...]
    sides: tuple[int, ...] | None
    classes: tuple[str, ...]
    notes: tuple[str, ...]


def list_images(root: Path) -> Listing:
    """All images of a folder with one folder for each class; raises `CourseError` if it is not made so."""
    tops, loose, odd = _inside(_checked(root))
    notes = []
    by_side: list[tuple[int | None, Path]] = [(None, top) for top in tops]
    sides = [SIDE_NAMES.get(top.name.lower()) for top in tops]
    if tops and None not in sides and 0 in sides and len(set(sides)) > 1 and all(_inside(top)[0] for top in tops):
        by_side = []
        for side, top in zip(sides, tops, strict=True):
            below, more, other = _inside(top)
            by_side += [(side, folder) for folder in below]
            loose, odd = loose + more, odd + other
    found, empty = [], []
    for side, folder in by_side:
        files, other = _walk(folder)
        odd += other
        found += [(file, class_name(folder), side) for file in files]
        if not files:
            empty.append(printable(folder.relative_to(root).as_posix()))
    classes = tuple(sorted({name for _, name, _ in found}, key=natural))
    _check_classes(root, tops, classes, loose, odd)
    if loose:
        notes.append(
            f"{len(loose)} images that lie beside the class folders were left out, e.g. {printable(loose[0].name)}."
        )
    if odd:
        kinds = sorted({printable(file.suffix.lower() or file.name) for file in odd})
        notes.append(f"{len(odd)} other files were left out ({', '.join(kinds[:6])}).")
    if empty:
        notes.append(f"Folders without images were left out: {', '.join(empty[:6])}.")
    return Listing(
        tuple(file for file, _, _ in found),
        tuple(classes.index(name) for _, name, _ in found),
        None if by_side[0][0] is None else tuple(side for _, _, side in found),
        classes,
        tuple(notes),
    )


def _checked(root: Path) -> Path:
    shown = repr(printable(str(root)))
    try:
        if root.is_dir():
            os.listdir(root)
            return root
        is_file = root.is_file()
        parent = root.parent
        near = get_close_matches(root.name, [p.name for p in parent.iterdir()], n=1) if parent.is_dir() else []
    except PermissionError:
        raise CourseError(f"You may not read the folder {shown}.", do="Change its permissions, or copy it.") from None
    if not is_file:
        guess = f"Did you mean {printable(str(parent / near[0]))!r}?" if near else "Check the spelling."
        raise CourseError(
            f"There is no folder {shown}.", why=f"It was looked for in {printable(str(Path.cwd()))!r}.", do=guess
        )
    do = {
        ".zip": "Unpack it, and pass the folder.", ".gz": "Unpack it, and pass the folder.",
        ".csv": "A table is read by from_csv(path, text=..., label=...).",
    }.get(root.suffix.lower(), "Pass the folder that holds one folder for each class.")  # fmt: skip
    raise CourseError(f"{shown} is a file, not a folder.", do=do)


def _check_classes(root, tops, classes, loose, odd) -> None:
    if len(classes) >= 2:
        return
    shown = repr(printable(str(root)))
    if not classes and loose:
        raise CourseError(
            f"The {len(loose)} images of {shown} lie directly in the folder.",
            why="The name of the folder an image lies in is its class.",
            do=HOW,
        )
    if not classes:
        heic = any(file.suffix.lower() in (".heic", ".heif") for file in odd)
        raise CourseError(
            f"There are no images in {shown}.",
            why=f"Images end with {', '.join(SUFFIXES)}."
            + (f" There are {len(odd)} other files, e.g. {printable(odd[0].name)!r}." if odd else ""),
            do="Save the telephone's HEIC images as JPEG." if heic else HOW,
        )
    below = [folder.name for folder in _inside(tops[0])[0]] if len(tops) == 1 else []
    raise CourseError(
        f"There is only one class, {classes[0]!r}.",
        why="A classifier learns to tell at least two classes apart.",
        do=f"Its folders look like the classes: pass {printable(str(root / tops[0].name))!r}."
        if len(below) > 1
        else "Add a folder with images of something else.",
    )


def _inside(folder: Path) -> tuple[list[Path], list[Path], list[Path]]:
    """Folders, images and other files directly in a folder, in natural order; hidden ones are left out."""
    folders, images, odd = [], [], []
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda e: natural(e.name)):
            path = folder / entry.name
            if entry.name.startswith((".", "__MACOSX")) or entry.name.lower() in ("thumbs.db", "desktop.ini"):
                continue
            try:
                is_folder = entry.is_dir()
            except OSError:  # a link that leads to itself
                continue
            if is_folder:
                folders.append(path)
            elif path.suffix.lower() in SUFFIXES:
                images.append(path)
            else:
                odd.append(path)
    return folders, images, odd


def _walk(top: Path) -> tuple[list[Path], list[Path]]:
    """Images and other files in a folder and all below it, each folder once even if links lead in a circle."""
    images, odd, seen, waiting = [], [], set(), [top]
    while waiting:
        folder = waiting.pop(0)
        try:
            facts = folder.stat()
            if (facts.st_dev, facts.st_ino) in seen:
                continue
            seen.add((facts.st_dev, facts.st_ino))
            folders, files, other = _inside(folder)
        except OSError as error:
            raise CourseError(
                f"The folder {printable(str(folder))!r} cannot be read.",
                why=f"{error.strerror}.",
                do="Change its permissions, or move it elsewhere.",
            ) from None
        waiting += folders
        images += files
        odd += other
    return images, odd


def natural(name: str) -> list:
    """A key that sorts `img2` before `img10`, and upper beside lower case."""
    parts = re.split(r"(\d+)", unicodedata.normalize("NFC", name).casefold())
    # a number by its length, then its digits: no limit to how long it is
    return [[(1, len(p.lstrip("0")), p.lstrip("0")) if p.isdecimal() else (0, 0, p) for p in parts], name]


def printable(name: str) -> str:
    """A file name as text that can be shown and hashed, also where its bytes are no UTF-8."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def class_name(folder: Path) -> str:
    return printable(unicodedata.normalize("NFC", folder.name))
