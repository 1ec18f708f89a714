"""How the package is built: imports go one way, files stay small, names resolve, importing stays light."""

from __future__ import annotations

import ast
import gc
import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import tlcourse

PACKAGE = Path(tlcourse.__file__).resolve().parent
REPOSITORY = PACKAGE.parent
FILES = sorted(PACKAGE.rglob("*.py"))
# Each line may import from its own and from those below it.
ORDER = (
    ("__main__",),
    ("cli", "doctor", "execute", "fetching", "lab", "notebooks", "notebook_lint"),
    ("exercises",),
    ("widgets",),
    ("plots",),
    (
        "optimization",
        "multitask",
        "adaptation",
        "selection",
        "explain",
        "detection",
        "segmentation",
        "translation",
        "answering",
    ),
    ("training",),
    ("features",),
    ("freezing",),
    ("chain",),
    ("models", "datasets"),
    ("assets",),
    ("digest", "errors", "settings", "hardware"),
)
RANK = {unit: rank for rank, units in enumerate(ORDER) for unit in units}
HEAVY = ("torch", "torchvision", "numpy", "pandas", "matplotlib", "transformers", "timm", "sklearn", "skimage", "keras")
IMPORT_NAMES = {
    "scikit-learn": "sklearn",
    "scikit-image": "skimage",
    "pillow": "PIL",
    "markdown-it-py": "markdown_it",
    "pyyaml": "yaml",
}
# Parts of what a declared dependency offers to its users, or needs itself (transformers and timm read YAML): nbclient,
# jupyterlab, anywidget, transformers, scikit-learn.
BROUGHT_ALONG = {
    "IPython",
    "nbformat",
    "jupyter_client",
    "jupyter_core",
    "packaging",
    "scipy",
    "tokenizers",
    "traitlets",
}
HOST_ENDS = ("pi.org", "hosted.org", "js.org", "conda.org", "torch.org")


def unit(path: Path) -> str:
    """The part of the package that a file belongs to: `features` for tlcourse/features/store.py."""
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imported_units(source: str) -> set[str]:
    """The parts of the package that a source imports, also inside functions and by `from tlcourse import load`."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            if node.module == "tlcourse":
                names = [f"tlcourse.{tlcourse._WHERE.get(alias.name) or alias.name}" for alias in node.names]
            else:
                names = [node.module]
        found |= {name.split(".")[1] for name in names if name.startswith("tlcourse.")}
    return found - {"__version__"}


def test_the_reader_of_imports_sees_each_way_of_importing():
    source = "import tlcourse.cli\nfrom tlcourse import load, plots\ndef f():\n    from tlcourse.assets import store\n"
    assert imported_units(source) == {"cli", "models", "plots", "assets"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down_the_list(path):
    source = path.read_text(encoding="utf-8")
    assert not re.search(r"^\s*from \.", source, re.MULTILINE), "write `from tlcourse.x import`"
    if unit(path) == "__init__":
        assert not imported_units(source), "tlcourse/__init__.py imports lazily"
        return
    assert unit(path) in RANK, f"add {unit(path)} to the order of imports above, and to CONTRIBUTING.md"
    up = {name for name in imported_units(source) if RANK[name] < RANK[unit(path)]}
    assert not up, f"{unit(path)} must not import {up}"


def test_no_file_is_too_long_to_read_in_one_sitting():
    lengths = {str(path.relative_to(PACKAGE)): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert {name: length for name, length in lengths.items() if length > 300} == {}


@pytest.mark.parametrize(
    "code",
    ["import tlcourse", "from tlcourse.cli import main; main(['--help'])", "import tlcourse.notebooks"],
)
def test_starting_loads_nothing_heavy(code):
    command = [sys.executable, "-X", "importtime", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines() if "|" in line}
    assert "tlcourse" in loaded
    assert loaded.isdisjoint(HEAVY), f"loads {loaded.intersection(HEAVY)}"


@pytest.mark.parametrize("name", sorted(set(tlcourse.__all__) - {"__version__"}))
def test_a_public_name_resolves_and_shows_how_it_is_used(name):
    thing = getattr(tlcourse, name)
    assert thing.__doc__ and thing.__doc__.strip(), "has no docstring"
    if not isinstance(thing, type(ast)):
        assert ">>>" in thing.__doc__, "its docstring has no example"


def test_every_import_is_a_declared_dependency():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    optional = [line for name in ("keras", "lora", "fast", "full") for line in extras[name]]
    names = [re.match(r"[\w-]+", line)[0] for line in project["dependencies"] + optional]
    declared = {IMPORT_NAMES.get(name, name.replace("-", "_")) for name in names}
    imported = set()
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported.add(node.module.split(".")[0])
    assert imported - declared - set(sys.stdlib_module_names) - {"tlcourse"} - BROUGHT_ALONG == set()


def test_an_unknown_name_gets_the_nearest_one():
    with pytest.raises(AttributeError, match="Did you mean 'freeze'"):
        tlcourse.frezze  # noqa: B018


def test_listed_names_are_those_that_resolve():
    assert set(tlcourse.__all__) <= set(dir(tlcourse))
    for where in {where for where in tlcourse._WHERE.values() if where}:
        importlib.import_module(f"tlcourse.{where}")


def committed_files() -> list[Path]:
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a clone of the repository")
    paths = [REPOSITORY / name for name in listed.stdout.split("\0") if name]
    return [path for path in paths if path.is_file() and path.stat().st_size < 2_000_000]


def test_no_file_names_a_package_host_or_a_place_on_one_machine():
    hosts = (
        "py" + r"pi\.org",
        "python" + r"hosted\.org",
        "npm" + r"js\.org",
        "ana" + r"conda\.org",
        r"download\.py" + "torch",
    )
    places = (r"(?<![\w.~])/(?:work|root|opt|home/\w+)/", r"(?<![\w.~])/tmp/(?:tl|whl|spec)", r"[A-Z]:\\Users\\")
    pattern = re.compile("|".join([*map(re.escape, hosts), *places]))
    found = []
    for path in committed_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{path.relative_to(REPOSITORY)}: {hit.group()}" for hit in pattern.finditer(text)]
    assert found == []


def test_the_style_of_one_widget_cannot_reach_another():
    """The widgets of a notebook share one page: what two style sheets begin a rule with would be styled twice."""
    begins = {}
    for path in (PACKAGE / "widgets").glob("*.css"):
        for name in set(re.findall(r"^ *(\.tlc[\w-]*)", path.read_text(encoding="utf-8"), re.MULTILINE)) - {".tlc"}:
            begins.setdefault(name, []).append(path.name)
    assert {name: files for name, files in begins.items() if len(files) > 1} == {}


def test_the_garbage_collector_is_left_as_it_was(monkeypatch):
    assert gc.isenabled() and tlcourse.settings and gc.isenabled()
    monkeypatch.setattr(tlcourse, "import_module", lambda name: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        tlcourse.fit  # noqa: B018
    assert gc.isenabled()
    gc.disable()
    try:
        with pytest.raises(ZeroDivisionError):
            tlcourse.fit  # noqa: B018
        assert not gc.isenabled()
    finally:
        gc.enable()
