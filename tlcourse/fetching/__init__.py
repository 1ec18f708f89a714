"""`tlcourse fetch --profile full`: what it would bring, a question before gigabytes, and each by its own library."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import redirect_stdout
from textwrap import wrap

from tlcourse import assets, settings
from tlcourse.assets.catalogue import Asset, choose, megabytes
from tlcourse.errors import CourseError
from tlcourse.fetching.hubs import bring, check_room, is_here

WIDTH = 100  # characters
ASK_FROM = 1_000_000_000  # bytes


def table(chosen: Sequence[Asset], here: Sequence[bool]) -> str:
    """What a fetch would bring, a line each with the licence below it, and the sum of what is not here yet.

    Arguments:
        chosen: assets.
        here: whether each is on this machine already.

    >>> print(table([assets.registry()["eurosat"]], [False]).splitlines()[0].split())
    ['name', 'size', 'fetched', 'by']
    """
    rows, licences = [("name", "size", "fetched by")], ["licence"]
    for asset, there in zip(chosen, here, strict=True):
        size = "already here" if there else f"{'about ' if asset.kind == 'hub' else ''}{megabytes(asset.size)}"
        rows.append((asset.name, size, asset.package if asset.kind == "hub" else "pip"))
        licences.append(asset.licence)
    widths, lines = [max(len(row[i]) for row in rows) for i in range(3)], []
    for row, licence in zip(rows, licences, strict=True):
        lines.append("  ".join(part.ljust(width) for part, width in zip(row, widths, strict=True)).rstrip())
        lines += wrap(licence, WIDTH, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False)
    missing = missing_bytes(chosen, here)
    lines.append(f"To be fetched: about {megabytes(missing)}." if missing else "All of it is here already.")
    lines.append(
        "Sizes and licences of what a hub brings are those of its own pages; the course does not check its bytes."
    )
    return "\n".join(lines)


def missing_bytes(chosen: Sequence[Asset], here: Sequence[bool]) -> int:
    """Bytes of the assets that are not here."""
    return sum(asset.size for asset, there in zip(chosen, here, strict=True) if not there)


def agreed(size: int, yes: bool) -> bool:
    """Whether a fetch of so many bytes may begin: at once up to a gigabyte, else somebody has to say so.

    Arguments:
        size: bytes to be fetched.
        yes: the answer was given with `--yes`.

    Raises `CourseError` where there is nobody to ask.

    >>> agreed(1000, yes=False)
    True
    """
    if yes or size <= ASK_FROM:
        return True
    if sys.stdin is None or not sys.stdin.isatty():
        raise CourseError(
            f"About {megabytes(size)} would be fetched, and there is no terminal to ask in.",
            why="More than a gigabyte is fetched only when somebody has agreed to it.",
            do="Type `tlcourse fetch --profile full --yes`, or choose less with --chapter or names.",
        )
    print(f"Fetch about {megabytes(size)}? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def fetch_full(
    names: Iterable[str] | None, chapter: str | None, yes: bool, tell: Callable[[str], None]
) -> tuple[list[assets.Fetched], dict[str, CourseError]]:
    """Bring what the full profile needs, one after the other; what fails does not stop the rest.

    Arguments:
        names, chapter: as of `assets.fetch`.
        yes: begin without a question.
        tell: is given each line for a person.

    Returns what was done, and the errors by name. What arrived stays: the same command fetches the rest.
    Raises `CourseError` when the question is answered with no, or cannot be asked, when downloads are forbidden, and
    where there is no room.
    """
    chosen = choose(names, chapter)
    here = [is_here(asset) for asset in chosen]
    tell(table(chosen, here))
    missing = [asset for asset, there in zip(chosen, here, strict=True) if not there]
    if missing and settings.offline():
        raise CourseError(
            f"TLCOURSE_OFFLINE forbids downloads, and {', '.join(asset.name for asset in missing)} is not here.",
            do="Unset TLCOURSE_OFFLINE, and run the same command where there is a network.",
        )
    check_room(missing)
    if not agreed(missing_bytes(chosen, here), yes):
        raise CourseError("Nothing was fetched.", do="Choose less with --chapter or names, or answer with y.")
    done, failed = [], {}
    for asset, there in zip(chosen, here, strict=True):
        start = time.perf_counter()
        try:
            with redirect_stdout(sys.stderr):  # libraries print their progress
                if asset.kind == "hub":
                    bring(asset)
                else:
                    assets.fetch(asset.name)
        except CourseError as error:
            failed[asset.name] = error
            tell(f"{asset.name}: failed\n{error}")
            continue
        seconds, size = round(time.perf_counter() - start, 2), 0 if there else asset.size
        done.append(assets.Fetched(asset.name, "already here" if there else "fetched", size, seconds, ""))
        tell(f"{asset.name}: {done[-1].action}")
    return done, failed
