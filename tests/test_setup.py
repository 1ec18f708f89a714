"""What a newcomer runs first: the files that say what to install agree with each other, and the wheel is whole."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

CONDA_NAMES = {"pytorch-cpu": "torch", "matplotlib-base": "matplotlib"}
ENVIRONMENTS = ("environment.yml", "binder/environment.yml")


@pytest.fixture(scope="module")
def project(repository):
    return tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def ranges(lines) -> dict[str, Requirement]:
    parsed = [Requirement(line) for line in lines]
    return {canonicalize_name(requirement.name): requirement for requirement in parsed}


def lab(project) -> list[str]:
    """All that the notebooks use besides the package's own dependencies."""
    extras = project["optional-dependencies"]
    assert extras["lab"] == ["tlcourse[keras,lora,fast]"]
    return extras["keras"] + extras["lora"] + extras["fast"]


def conda_ranges(path) -> tuple[dict[str, str], list[str]]:
    """Name (as pip knows it) -> range, and the lines for pip."""
    listed = yaml.safe_load(path.read_text(encoding="utf-8"))["dependencies"]
    packages = {}
    for line in listed:
        if isinstance(line, str):
            name, specifier = re.fullmatch(r"([a-z0-9-]+)(.*)", line).groups()
            packages[CONDA_NAMES.get(name, name)] = specifier
    return packages, [line for entry in listed if isinstance(entry, dict) for line in entry["pip"]]


def test_each_dependency_is_a_range_with_a_reason(repository, project):
    text = (repository / "pyproject.toml").read_text(encoding="utf-8")
    extras = [line for extra in project["optional-dependencies"].values() for line in extra]
    for line in project["dependencies"] + extras:
        if line.startswith("tlcourse["):
            continue
        specifier = Requirement(line).specifier
        assert any(part.operator == ">=" for part in specifier), f"{line} has no lower bound"
        assert all(part.operator in (">=", "<", "!=") for part in specifier), f"{line} is not a range"
        own_line = next(row for row in text.splitlines() if f'"{line}"' in row)
        before = text[: text.index(own_line)].rstrip().splitlines()[-1]
        assert "# " in own_line or before.strip().startswith("#"), f"{line} gives no reason"


def test_the_extras_are_those_that_the_readme_and_the_makefile_name(repository, project):
    assert set(project["optional-dependencies"]) == {"keras", "lora", "fast", "lab", "full", "test", "bench", "dev"}
    text = (repository / "README.md").read_text("utf-8") + (repository / "Makefile").read_text("utf-8")
    assert set(re.findall(r"\.\[(\w+)\]", text)) <= set(project["optional-dependencies"])


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_conda_environments_agree_with_pyproject(repository, project, name):
    packages, pip = conda_ranges(repository / name)
    wanted = ranges(project["dependencies"] + lab(project))
    for package, requirement in wanted.items():
        assert package in packages, f"{name} lacks {package}"
        ours = Requirement(package + packages[package]).specifier
        assert ours == requirement.specifier, f"{name}: {package}{ours}, but pyproject has {requirement.specifier}"
    assert set(packages) - set(wanted) <= {"python", "pip", "hatchling"}
    python = packages["python"].replace("=3.11", "==3.11.*") if packages["python"] == "=3.11" else packages["python"]
    accepted = [minor for minor in range(8, 20) if Requirement("python" + python).specifier.contains(f"3.{minor}.5")]
    assert accepted and min(accepted) == 11
    assert pip == ([] if name.startswith("binder") else ["--editable .[lab]"])


def test_the_lock_lies_in_the_ranges_and_holds_every_dependency(repository, project):
    lines = (repository / "requirements/tested-py311-linux.txt").read_text(encoding="utf-8").splitlines()
    locked = ranges(line for line in lines if line and not line.startswith("#"))
    for requirement in locked.values():
        assert re.fullmatch(r"==[^*@]+", str(requirement.specifier)), f"{requirement} is not one version"
    test = [line for line in project["optional-dependencies"]["test"] if "[" not in line]
    wanted = ranges(project["dependencies"] + lab(project) + test)
    for name, requirement in wanted.items():
        version = next(iter(locked[name].specifier)).version
        assert requirement.specifier.contains(version), f"{name} {version} is not in {requirement.specifier}"


@pytest.mark.parametrize("name", ["binder/postBuild", "binder/start", ".ci/run"])
def test_scripts_can_be_run(repository, name):
    script = repository / name
    assert script.read_text(encoding="utf-8").startswith("#!/usr/bin/env bash\n")
    if os.name == "posix":
        assert os.access(script, os.X_OK), f"chmod +x {name}"
    if bash := shutil.which("bash"):
        subprocess.run([bash, "-n", str(script)], check=True)


@pytest.mark.skipif(os.name != "posix", reason="a shell script")
def test_binder_caps_threads_and_starts_what_it_is_given(repository):
    environment = {key: value for key, value in os.environ.items() if not key.endswith("_NUM_THREADS")}
    command = [sys.executable, "-c", "import os; print(os.environ['OMP_NUM_THREADS'], os.environ['KERAS_BACKEND'])"]
    done = subprocess.run(
        [str(repository / "binder/start"), *command], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["2", "torch"]


@pytest.mark.skipif(sys.platform == "win32", reason="repo2docker does not run on Windows")
def test_binder_understands_the_repository(repository, tmp_path):
    # A copy without .venv and .git: repo2docker looks through all that it is given.
    copy = tmp_path / "course"
    copy.mkdir()
    shutil.copytree(repository / "binder", copy / "binder")
    for name in ("environment.yml", "pyproject.toml"):
        shutil.copy(repository / name, copy)
    command = [sys.executable, "-m", "repo2docker", "--no-build", "--debug", str(copy)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    made = done.stdout + done.stderr
    assert re.search(r"env update .*binder/environment.yml", made), "the Binder environment is not used"
    assert "RUN ./binder/postBuild" in made
    assert 'R2D_ENTRYPOINT="${REPO_DIR}/binder/start"' in made
    assert "conda environment for python=3.11" in made, "Python 3.11 is not what Binder would install"


def test_the_wheel_holds_the_notebooks_and_what_the_package_reads(repository, tmp_path):
    build = "import sys, hatchling.build; print(hatchling.build.build_wheel(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", build, str(tmp_path)], cwd=repository, capture_output=True, text=True, check=True
    )
    with zipfile.ZipFile(tmp_path / done.stdout.split()[-1]) as wheel:
        names = set(wheel.namelist())
        metadata = next(wheel.read(name).decode() for name in names if name.endswith("METADATA"))
    notebooks = {path.name for path in (repository / "notebooks").glob("*.ipynb")}
    assert {name.split("/")[-1] for name in names if name.startswith("tlcourse/_notebooks/")} >= notebooks
    package = repository / "tlcourse"
    data = {str(p.relative_to(repository).as_posix()) for p in package.rglob("*") if p.suffix in (".py", ".toml")}
    assert data <= names
    assert not {name for name in names if name.startswith(("tests/", "chapters/")) or ".ipynb_checkpoints" in name}
    assert "License-Expression: BSD-3-Clause AND CC-BY-4.0" in metadata


def test_the_citation_names_the_version(repository):
    import tlcourse

    citation = yaml.safe_load((repository / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == tlcourse.__version__
    assert citation["license"] == ["BSD-3-Clause", "CC-BY-4.0"]


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_links_inside_the_repository_lead_somewhere(repository, name):
    links = re.findall(r"\]\(([^)#]+)", (repository / name).read_text(encoding="utf-8"))
    assert [link for link in links if "://" not in link and not (repository / link).exists()] == []


def test_the_readme_lists_every_notebook_and_every_setting(repository):
    readme = (repository / "README.md").read_text(encoding="utf-8")
    for notebook in (repository / "notebooks").glob("*.ipynb"):
        assert f"(notebooks/{notebook.name})" in readme, f"link {notebook.name} in the README's table"
    sources = "".join(path.read_text(encoding="utf-8") for path in (repository / "tlcourse").rglob("*.py"))
    settings = set(re.findall(r"""environ\S*\(?\[?["'](TLCOURSE_\w+)""", sources))
    assert settings and {name for name in settings if f"`{name}`" not in readme} == set()


def make(repository, *arguments):
    if not shutil.which("make"):
        pytest.skip("make is not installed")
    return subprocess.run(["make", "-C", str(repository), *arguments], capture_output=True, text=True)


def test_make_help_lists_what_can_be_made(repository):
    said = make(repository, "help").stdout
    for target in re.findall(r"^([a-z]+):.*##", (repository / "Makefile").read_text(encoding="utf-8"), re.MULTILINE):
        assert target == "help" or f"make {target}" in said
    assert "make lab" in said and "make test" in said


def test_make_passes_its_options_on(repository, tmp_path):
    # In a copy with a space in its path, and without running anything.
    copy = tmp_path / "my course"
    copy.mkdir()
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(repository / name, copy)
    shutil.copytree(repository / "requirements", copy / "requirements")
    said = make(
        copy, "-n", "lab", "LOCKED=1", "TORCH_INDEX=cpu-index", "PIP_ARGS=--no-cache-dir", "LAB_ARGS=--no-browser"
    )
    assert said.returncode == 0, said.stderr
    assert "--constraint requirements/tested-py311-linux.txt" in said.stdout
    assert '--extra-index-url "cpu-index"' in said.stdout and "--no-cache-dir" in said.stdout
    assert "tlcourse lab --no-browser" in said.stdout
    assert "[test]" in make(copy, "-n", "test").stdout


@pytest.mark.parametrize("target", ["lab", "test", "bench"])
def test_make_asks_for_what_comes_with_pip_alone_in_either_profile(repository, target, monkeypatch):
    monkeypatch.setenv("TLCOURSE_PROFILE", "full")  # as the README says for JupyterLab in the full profile
    said = make(repository, "-n", target).stdout
    fetches = re.findall(r"tlcourse fetch.*", said)
    assert fetches and set(fetches) == {"tlcourse fetch --profile small"}  # gigabytes of hubs wait for a command


def test_make_refuses_an_old_python_and_says_what_to_do(repository, tmp_path):
    shutil.copy(repository / "Makefile", tmp_path)
    (tmp_path / "pyproject.toml").touch()
    done = make(tmp_path, "lab", "PYTHON=no-such-python")
    assert done.returncode and "needs Python 3.11 or newer" in done.stderr and "PYTHON=" in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_make_installs_once(repository, tmp_path):
    # A stand-in for the environment: its python writes down how it was called.
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(repository / name, tmp_path)
    programs = tmp_path / ".venv/bin"
    programs.mkdir(parents=True)
    calls = tmp_path / "calls"
    for name in ("python", "tlcourse"):
        program = programs / name
        program.write_text(f'#!/bin/sh\necho "{name} $*" >> "{calls}"\n')
        program.chmod(0o755)
    for _ in range(2):
        assert make(tmp_path, "lab").returncode == 0
    assert calls.read_text().count("pip install") == 1
    assert calls.read_text().count("tlcourse lab") == 2
    assert make(tmp_path, "test").returncode == 0
    assert calls.read_text().count("pip install") == 2, "the tests need more than the course"
    newer = (tmp_path / ".venv/.installed-test").stat().st_mtime + 10
    os.utime(tmp_path / "pyproject.toml", (newer, newer))
    assert make(tmp_path, "lab").returncode == 0
    assert calls.read_text().count("pip install") == 3, "pyproject.toml changed"
