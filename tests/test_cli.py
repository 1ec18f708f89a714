"""What the commands print, leave behind and return."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import nbformat
import pytest
from test_assets import tiny_course

from tlcourse import assets, cli, execute, lab, settings
from tlcourse.errors import CourseError


@pytest.fixture
def course(tmp_path, monkeypatch):
    return tiny_course(tmp_path, monkeypatch)


def notebook(path: Path, *sources: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources]), path)
    return path


def test_help_loads_no_network_library():
    program = "import sys, tlcourse.cli as c\ntry: c.main(['--help'])\nexcept SystemExit: print(sorted(sys.modules))"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert "fetch" in said and "doctor" in said
    loaded = said.splitlines()[-1]
    for heavy in ("torch", "numpy", "pandas", "transformers", "timm", "sklearn", "nbclient", "jupyter_client"):
        assert f"'{heavy}'" not in loaded


def test_an_error_is_three_lines_and_no_traceback(course, monkeypatch, capsys):
    monkeypatch.setenv("TLCOURSE_OFFLINE", "1")
    assert cli.main(["fetch", "weights"]) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 3
    assert lines[1].startswith("  Why:") and lines[2].startswith("  Next:")


def test_an_interrupt_ends_without_a_traceback(course, monkeypatch, capsys):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(assets, "fetch", interrupt)
    assert cli.main(["fetch"]) == 130
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="pipes")
def test_a_reader_that_goes_away_is_no_crash():
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "tlcourse.cli", "fetch", "photographs", "--json"]
    environment = os.environ | {"PYTHONPATH": str(Path(cli.__file__).parents[1])}
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, env=environment)
    os.close(writer)
    assert done.returncode == 1 and done.stderr == ""


# --- fetch


def test_fetch_tells_what_it_did_and_what_it_cost(course, capsys):
    assert cli.main(["fetch"]) == 0
    said = capsys.readouterr().out
    assert said.count("fetched") == 2 and "downloaded; all files are verified" in said
    assert cli.main(["fetch", "--all"]) == 0
    assert "Nothing to download" in capsys.readouterr().out


def test_fetch_as_data(course, capsys):
    assert cli.main(["fetch", "--chapter", "03", "--json"]) == 0
    (one,) = json.loads(capsys.readouterr().out)
    assert one["name"] == "weights" and one["action"] == "fetched" and Path(one["folder"]).is_dir()
    assert one["size"] == assets.registry()["weights"].size


def test_fetch_names_the_nearest_asset(course, capsys):
    assert cli.main(["fetch", "wieghts"]) == 1
    assert "Did you mean 'weights'" in capsys.readouterr().err


def test_clear_removes_features_unless_told_otherwise(course, capsys):
    cli.main(["fetch", "weights"])
    kept = settings.home() / "features" / f"{'0f' * 20}.safetensors"
    own = kept.with_name("mine.safetensors")
    kept.parent.mkdir()
    kept.write_bytes(b"0" * 3000)
    own.write_bytes(b"mine")
    capsys.readouterr()
    assert cli.main(["fetch", "--clear"]) == 0
    assert "3.0 kB freed" in capsys.readouterr().out and not kept.exists() and own.exists()
    assert assets.state("weights") == "cached"
    assert cli.main(["fetch", "--clear", "all", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["bytes"] > 500_000
    assert assets.state("weights") == "missing"


@pytest.mark.parametrize("line", ["fetch --all weights", "fetch weights --clear", "fetch --clear all --chapter 03"])
def test_fetch_refuses_contradictions(course, capsys, line):
    assert cli.main(line.split()) == 1
    assert "Use one or the other" in capsys.readouterr().err
    assert assets.state("weights") == "missing"


# --- lab


def test_lab_serves_loopback_only_with_a_token_that_no_command_line_shows(tmp_path, capsys):
    notebook(tmp_path / "00-start-here.ipynb", "1")
    assert cli.main(["lab", str(tmp_path), "--check"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["command"][:3] == [sys.executable, "-m", "jupyterlab"]
    assert "--ServerApp.ip=127.0.0.1" in plan["command"] and f"--ServerApp.root_dir={tmp_path}" in plan["command"]
    assert not any("token" in word.lower() for word in plan["command"])
    assert "JUPYTER_TOKEN" in plan["environment"]
    assert "/lab/tree/00-start-here.ipynb?token=" in plan["url"]
    assert ("--allow-root" in plan["command"]) == (hasattr(os, "getuid") and os.getuid() == 0)


def test_lab_takes_the_next_port_unless_one_is_wanted(tmp_path, capsys):
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        assert cli.main(["lab", str(tmp_path), "--check", "--port", str(port)]) == 1
        assert f"Port {port} is not free" in capsys.readouterr().err
    with socket.socket() as busy:
        if sys.platform != "win32":  # a server that has just ended does not keep the port
            busy.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        first = lab.free_port()
        busy.bind(("127.0.0.1", first))
        busy.listen()
        assert lab.free_port() > first


def test_lab_finds_the_clone_from_a_folder_inside_it(tmp_path, monkeypatch, capsys):
    for name in ("chapters", "notebooks", "tlcourse", "notebooks/deep"):
        (tmp_path / name).mkdir()
    (tmp_path / "tlcourse" / "__init__.py").write_text("")
    notebook(tmp_path / "notebooks" / "00-start-here.ipynb", "1")
    monkeypatch.chdir(tmp_path / "notebooks" / "deep")
    assert cli.main(["lab", "--check"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["folder"] == str(tmp_path / "tlcourse-notebooks")
    assert plan["url"].endswith("/lab/tree/00-start-here.ipynb?token=...")
    assert lab.find() == tmp_path / "notebooks", "what is run and tested is not the learner's copy"


def test_a_notebook_that_was_only_run_gets_the_newer_one_and_keeps_its_outputs_until_then(tmp_path):
    source, work = tmp_path / "notebooks", tmp_path / "work"
    notebook(source / "00.ipynb", "1 + 1")
    assert lab.unpack(source, work) == []
    ran = nbformat.read(work / "00.ipynb", as_version=4)
    ran.cells[0].outputs = [nbformat.v4.new_output("stream", text="2")]
    ran.cells[0].execution_count, ran.metadata["language_info"] = 1, {"name": "python", "version": "3.13"}
    nbformat.write(ran, work / "00.ipynb")
    before = (work / "00.ipynb").read_bytes()
    assert lab.unpack(source, work) == [] and (work / "00.ipynb").read_bytes() == before
    notebook(source / "00.ipynb", "1 + 1", "a new cell")
    assert lab.unpack(source, work) == []
    assert (work / "00.ipynb").read_bytes() == (source / "00.ipynb").read_bytes()


def test_lab_says_so_where_no_copy_can_be_made(tmp_path, monkeypatch):
    notebook(tmp_path / "notebooks" / "00.ipynb", "1")
    (tmp_path / "in the way").write_text("a file")
    with pytest.raises(CourseError, match="cannot be copied"):
        lab.unpack(tmp_path / "notebooks", tmp_path / "in the way")


def test_lab_of_an_installed_package_unpacks_notebooks_and_keeps_a_learners_changes(tmp_path, monkeypatch, capsys):
    source = tmp_path / "package"
    for name in ("00-start-here", "03-feature-extraction"):
        notebook(source / f"{name}.ipynb", name)
    monkeypatch.setattr(lab, "course_folder", lambda: None)
    monkeypatch.setattr(lab, "packaged", lambda: source)
    monkeypatch.chdir(tmp_path)
    work = lab.workplace()
    assert work == tmp_path / "tlcourse-notebooks" and len(list(work.glob("*.ipynb"))) == 2
    (work / "00-start-here.ipynb").write_text("my own work")
    for name in ("00-start-here", "03-feature-extraction"):  # a newer course
        notebook(source / f"{name}.ipynb", name, "new")
    (source / "04-fine-tuning.ipynb").write_text("{}")
    capsys.readouterr()
    assert lab.workplace() == work
    assert (work / "00-start-here.ipynb").read_text() == "my own work"
    assert "00-start-here.ipynb" in capsys.readouterr().err
    assert (work / "03-feature-extraction.ipynb").read_bytes() == (source / "03-feature-extraction.ipynb").read_bytes()
    assert (work / "04-fine-tuning.ipynb").exists()
    (work / lab.MANIFEST).write_text("not json")  # then nothing is known to be ours, and nothing is overwritten
    notebook(source / "03-feature-extraction.ipynb", "newer still")
    before = (work / "03-feature-extraction.ipynb").read_bytes()
    lab.workplace()
    assert (work / "03-feature-extraction.ipynb").read_bytes() == before


def test_lab_without_notebooks_says_where_to_go(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(lab, "course_folder", lambda: None)
    monkeypatch.setattr(lab, "packaged", lambda: tmp_path / "absent")
    assert cli.main(["lab", "--check"]) == 1
    assert "tlcourse lab FOLDER" in capsys.readouterr().err
    assert cli.main(["lab", "--check", str(tmp_path / "absent")]) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_lab_really_starts_refuses_strangers_and_stops(tmp_path):
    notebook(tmp_path / "00-start-here.ipynb", "1")
    command = [sys.executable, "-m", "tlcourse.cli", "lab", str(tmp_path), "--no-browser"]
    environment = os.environ | {"PYTHONPATH": str(Path(cli.__file__).parents[1]), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        url = next(line.strip() for line in process.stdout if "token=" in line)
        address, token = url.split("/lab/")[0], url.split("token=")[1]
        assert address.startswith("http://127.0.0.1:")
        assert lab._status(address, token) == 200
        assert lab._status(address) == 403 and lab._status(address, "wrong") == 403
        news = f"{address}/lab/api/settings/@jupyterlab/apputils-extension:notification?token={token}"
        with urllib.request.urlopen(news) as answer:
            chosen = json.load(answer)["schema"]["properties"]
        assert chosen["fetchNews"]["default"] == "false" and not chosen["checkForUpdates"]["default"]
    finally:
        process.terminate()
        process.communicate(timeout=30)
    assert process.returncode == 130
    assert lab._status(address, token) == 0, "the server ended with the command"


def test_a_server_that_lets_strangers_in_is_not_left_running(monkeypatch):
    monkeypatch.setattr(lab, "_status", lambda address, token="": 200)
    with pytest.raises(CourseError, match="without a token"):
        lab._wait(None, "http://127.0.0.1:1", "token")


# --- run


def test_run_measures_a_notebook_and_leaves_the_file_alone(tmp_path, capsys):
    path = notebook(tmp_path / "big.ipynb", "x = bytearray(150_000_000)", "del x", "import sys; print(sys.executable)")
    before = path.read_bytes()
    assert cli.main(["run", str(path), "--json", "--out", str(tmp_path / "out")]) == 0
    (done,) = json.loads(capsys.readouterr().out)
    assert done["ok"] and done["cells"] == 3 and done["seconds"] > 0
    assert 150 < done["memory"] < 600, "the peak, not what is left at the end"
    assert path.read_bytes() == before
    outputs = nbformat.read(tmp_path / "out" / "big.ipynb", as_version=4).cells[2].outputs
    assert outputs[0].text.strip() == sys.executable, "a kernel of this very Python"


def test_a_copy_shows_the_figure_where_a_widget_was(tmp_path, capsys):
    path = notebook(tmp_path / "w.ipynb", "from tlcourse import DescentExplorer; DescentExplorer()")
    assert cli.main(["run", str(path), "--out", str(tmp_path / "out")]) == 0
    made = nbformat.read(tmp_path / "out" / "w.ipynb", as_version=4)
    assert "widgets" not in made.metadata, "a page made of it would fetch the widget's scripts from elsewhere"
    assert "data:image/png" in made.cells[0].outputs[0].data["text/html"]


def test_run_shows_the_failing_cell_and_goes_on(tmp_path, capsys):
    bad = notebook(tmp_path / "a.ipynb", "x = 1", "def f():\n    return x / 0\nf()", "print('never')")
    good = notebook(tmp_path / "b.ipynb", "1")
    assert cli.main(["run", str(bad), str(good)]) == 1
    said = capsys.readouterr()
    assert "FAILED" in said.out and "b.ipynb" in said.out
    assert "ZeroDivisionError" in said.err and "return x / 0" in said.err and "\x1b[" not in said.err
    assert "never" not in said.err


def test_run_tells_of_a_dead_kernel_and_of_a_cell_without_end(tmp_path):
    dead = execute.execute(notebook(tmp_path / "dead.ipynb", "import os; os._exit(9)"))
    assert not dead.ok and "kernel died" in dead.error
    endless = execute.execute(notebook(tmp_path / "endless.ipynb", "while True: pass"), timeout=2)
    assert not endless.ok and "more than 2 seconds" in endless.error and "while True" in endless.error


def test_run_finds_notebooks_by_their_chapter(tmp_path, monkeypatch):
    for name in ("00-start-here", "03-feature-extraction", "06-1-image-classification", "06-2-object-detection"):
        notebook(tmp_path / f"{name}.ipynb", "1")
    monkeypatch.setattr(lab, "find", lambda folder=None: tmp_path)

    def chosen(*words):
        return [path.stem for path in cli._notebooks(list(words))]

    assert len(chosen()) == 4
    assert chosen("3") == chosen("03") == chosen("03-feature-extraction") == ["03-feature-extraction"]
    assert chosen("06") == ["06-1-image-classification", "06-2-object-detection"]
    assert chosen("06-2", "0") == ["06-2-object-detection", "00-start-here"]
    with pytest.raises(CourseError, match="03-feature-extraction"):
        chosen("03-feature-extracton")


def test_run_refuses_what_is_no_notebook(tmp_path, capsys):
    (tmp_path / "x.ipynb").write_text("no notebook")
    assert cli.main(["run", str(tmp_path / "x.ipynb")]) == 1
    assert "is not a notebook" in capsys.readouterr().err


# --- build


def test_build_says_what_changed_and_check_fails_on_it(tmp_path, monkeypatch, capsys):
    from tlcourse import notebooks

    calls = []

    def build(chapters, target, check=False):
        calls.append((chapters, target, check))
        return [target / "00-start-here.ipynb"]

    for name in ("chapters", "tlcourse"):
        (tmp_path / name).mkdir()
    (tmp_path / "tlcourse" / "__init__.py").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(notebooks, "build", build)
    assert cli.main(["build"]) == 0
    assert cli.main(["build", "--check"]) == 1
    assert "run `tlcourse build`" in capsys.readouterr().err
    assert calls == [(tmp_path / "chapters", tmp_path / "notebooks", check) for check in (False, True)]
