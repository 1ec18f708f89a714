"""Tiny wheels and source archives, a registry of them, an index to fetch them from, and ways to disturb a fetch.

Run as a program it is a process that fetches: `python _faults.py REGISTRY ARCHIVES LOG SECONDS NAME`.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import sys
import tarfile
import threading
import time
import zipfile
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

FILES = {"weights.bin": bytes(range(256)) * 2000, "names/labels.txt": b"cat\ndog\n"}
MEMBERS = {"tiny_weights/weights.bin": "weights.bin", "tiny_weights/names/labels.txt": "names/labels.txt"}

BACKEND = """
from pathlib import Path
def _metadata(folder):
    info = Path(folder, "{module}-1.0.dist-info")
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\\nName: {name}\\nVersion: 1.0\\n")
    return info.name
def prepare_metadata_for_build_wheel(folder, config_settings=None):
    return _metadata(folder)
def build_wheel(*arguments, **options):
    raise RuntimeError("nobody should build this")
"""
PYPROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def wheel(folder: Path, name: str = "tiny-weights", members: dict[str, bytes] | None = None) -> Path:
    """A wheel that pip accepts; `members` are added as they are called."""
    module = name.replace("-", "_")
    content = {member: FILES[file] for member, file in MEMBERS.items()} if members is None else members
    info = f"{module}-1.0.dist-info"
    content = content | {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    for member, data in content.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        record += f"{member},sha256={digest},{len(data)}\n"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{module}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, data in content.items():
            archive.writestr(zipfile.ZipInfo(member, (2020, 1, 1, 0, 0, 0)), data)
        archive.writestr(f"{info}/RECORD", record + f"{info}/RECORD,,\n")
    return path


def tar(members: dict[str, bytes | str]) -> bytes:
    """A gzipped tar; a member whose value is a string is a symbolic link to it."""
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w:gz") as archive:
        for member, data in members.items():
            info = tarfile.TarInfo(member)
            if isinstance(data, str):
                info.type, info.linkname = tarfile.SYMTYPE, data
                archive.addfile(info)
            else:
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    return held.getvalue()


def sdist(folder: Path, name: str = "tinytexts", members: dict[str, bytes | str] | None = None) -> Path:
    """A source archive with another archive inside it; its metadata are made without any build tool."""
    root = f"{name}-1.0"
    if members is None:
        members = {f"{root}/extra/inner.tar.gz": tar({"inner/movie.txt": b"1\t2.5\tgood\n"})}
    own = {
        f"{root}/PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode(),
        f"{root}/pyproject.toml": PYPROJECT.encode(),
        f"{root}/backend.py": BACKEND.format(name=name, module=name).encode(),
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{root}.tar.gz"
    path.write_bytes(tar(own | members))
    return path


def entry(
    archive: Path | None,
    files: dict[str, tuple[str, bytes]],
    kind: str = "wheel",
    package: str = "tiny-weights",
    **also,
) -> dict:
    """One entry of a registry: `files` maps a name to the member it comes from and its right content."""
    return {
        "title": "Tiny <weights>",
        "kind": kind,
        "package": package,
        "version": "1.0",
        "sha256": sha256(archive.read_bytes()) if archive else "",
        "size": archive.stat().st_size if archive else 0,
        "licence": "CC0-1.0",
        "home": "https://example.org/",
        "used_by": ["03", "06-1"],
        "profile": "full" if kind == "hub" else "small",
        "files": [[name, member, sha256(data), len(data)] for name, (member, data) in files.items()],
    } | also


def write_registry(path: Path, entries: dict[str, dict]) -> Path:
    lines = []
    for name, values in entries.items():
        lines.append(f"[{json.dumps(name)}]")
        lines += [
            f"{key} = {json.dumps(value)}" for key, value in values.items()
        ]  # JSON lists and strings are TOML too
    path.write_text("\n".join(lines), "utf-8")
    return path


def copier(archives: Path, log: Path, seconds: float):
    """Something to put in place of `pip_download`: copies the archive slowly and writes down that it did."""

    def pip_download(asset, into, progress=True):
        with open(log, "a", encoding="utf-8") as out:
            out.write(f"{asset.name} {os.getpid()}\n")
        source = next(archives.glob(asset.package.replace("-", "_") + "-*"))
        content = source.read_bytes()
        with open(into / source.name, "wb") as out:
            for part in range(10):
                out.write(content[part * len(content) // 10 : (part + 1) * len(content) // 10])
                out.flush()
                time.sleep(seconds / 10)
        return into / source.name

    return pip_download


@contextmanager
def index(folder: Path, cut: int | None = None):
    """A package index on loopback that serves a folder of archives; `cut` ends each after that many bytes."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            name = self.path.strip("/").split("/")[-1]
            file = folder / name
            if file.is_file():
                body, kind = file.read_bytes(), "application/octet-stream"
            else:
                listed = [path.name for path in folder.iterdir() if path.name.replace("_", "-").startswith(name)]
                body, kind = "".join(f'<a href="/files/{one}">{one}</a>' for one in listed).encode(), "text/html"
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[:cut] if file.is_file() and cut is not None else body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/simple"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def ordinary_user():
    """Without the superuser's right to write everywhere, so that a read-only folder is read-only for us too."""
    if not hasattr(os, "getuid") or os.getuid() != 0:
        yield
        return
    os.setresuid(65534, 65534, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


def fetch_as_a_process(registry: str, archives: str, log: str, seconds: str, name: str) -> None:
    from tlcourse import assets
    from tlcourse.assets import catalogue, download

    catalogue.PATH = Path(registry)
    download.pip_download = copier(Path(archives), Path(log), float(seconds))
    print("ready", flush=True)
    print(assets.folder(name), flush=True)


if __name__ == "__main__":
    fetch_as_a_process(*sys.argv[1:])
