"""The command `tlcourse`: lab, fetch, doctor, run, build."""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path

from tlcourse import __version__
from tlcourse.errors import CourseError, UnknownName

KEPT = "What arrived is kept; the same command fetches the rest."


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code: 0 if all is well, 1 if not, 130 after Ctrl-C."""
    options = _parser().parse_args(arguments)
    try:
        code = options.run(options)
        sys.stdout.flush()
        return code
    except CourseError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader, `head` for one, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tlcourse", description="Everything Is a Mapping: the course's own commands.")
    parser.add_argument("--version", action="version", version=f"tlcourse {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    lab = commands.add_parser("lab", help="open the course in JupyterLab, on this machine only")
    lab.add_argument("folder", nargs="?", help="a folder to open instead of the course's notebooks")
    lab.add_argument("--port", type=int, help="default: the first free one from 8888")
    lab.add_argument("--no-browser", action="store_true", help="only print the address")
    lab.add_argument("--check", action="store_true", help="start nothing; print what would be started, as JSON")
    lab.set_defaults(run=_lab)

    fetch = commands.add_parser("fetch", help="bring weights and data to this machine, or remove what is kept")
    fetch.add_argument("names", nargs="*", metavar="NAME", help="default: all that the profile needs")
    fetch.add_argument("--chapter", help="only what this chapter uses: 03")
    fetch.add_argument(
        "--profile",
        choices=("small", "full"),
        help="full: also the famous models and sets of hubs, with their sizes and licences (TLCOURSE_PROFILE)",
    )
    fetch.add_argument("--yes", action="store_true", help="fetch more than a gigabyte without a question")
    fetch.add_argument("--all", action="store_true", help="all that the profile needs (the default, said aloud)")
    fetch.add_argument(
        "--clear",
        nargs="?",
        const="features",
        choices=("features", "assets", "all"),
        help="remove kept features (the default), fetched assets, or both",
    )
    fetch.set_defaults(run=_fetch)

    doctor = commands.add_parser("doctor", help="is this machine ready?")
    doctor.set_defaults(run=_doctor)

    run = commands.add_parser("run", help="execute notebooks and show what they cost")
    run.add_argument("what", nargs="*", metavar="NOTEBOOK|CHAPTER", help="files or chapters (03); default: all")
    run.add_argument("--out", type=Path, metavar="FOLDER", help="keep copies with outputs here")
    run.set_defaults(run=_run)

    build = commands.add_parser("build", help="make notebooks/*.ipynb from chapters/*.md")
    build.add_argument("--check", action="store_true", help="change nothing; fail if something would change")
    build.set_defaults(run=_build)

    for command in (fetch, doctor, run):
        command.add_argument("--json", action="store_true", help="print the result as data")
    return parser


def _lab(options) -> int:
    from tlcourse.lab import lab

    return lab(options.folder, options.port, not options.no_browser, options.check)


def _fetch(options) -> int:
    from tlcourse import assets, settings
    from tlcourse.assets.catalogue import megabytes

    if options.clear:
        if options.names or options.chapter or options.all:
            raise CourseError("--clear removes; names are for fetching.", do="Use one or the other.")
        freed = assets.clear() if options.clear in ("assets", "all") else 0
        if options.clear in ("features", "all"):
            from tlcourse.features import store

            freed += store.clear()
        print(json.dumps({"cleared": options.clear, "bytes": freed}) if options.json else f"{megabytes(freed)} freed")
        return 0
    if options.all and (options.names or options.chapter):
        raise CourseError("--all means everything; names and --chapter choose.", do="Use one or the other.")
    if options.profile:
        os.environ["TLCOURSE_PROFILE"] = options.profile
    if settings.profile() == "full":
        return _fetch_full(options)
    done = assets.fetch(options.names or None, chapter=options.chapter)
    if options.json:
        print(json.dumps([asdict(one) for one in done], indent=1))
        return 0
    for one in done:
        cost = f"{megabytes(one.size)} in {one.seconds:.1f} s" if one.action in ("fetched", "repaired") else ""
        print(f"{one.name:24} {one.action:16} {cost}".rstrip())
    total = sum(one.size for one in done if one.action in ("fetched", "repaired"))
    print(f"{megabytes(total)} downloaded; all files are verified." if total else "Nothing to download.")
    return 0


def _fetch_full(options) -> int:
    from tlcourse.fetching import fetch_full

    tell = (lambda line: print(line, file=sys.stderr, flush=True)) if options.json else partial(print, flush=True)
    try:
        done, failed = fetch_full(options.names or None, options.chapter, options.yes, tell)
    except KeyboardInterrupt:
        print(f"\n{KEPT}", file=sys.stderr)
        raise
    if options.json:
        errors = [{"name": name, "action": "failed", "error": str(error)} for name, error in failed.items()]
        print(json.dumps([asdict(one) for one in done] + errors, indent=1))
    elif failed:
        print(f"{len(failed)} of {len(done) + len(failed)} failed: {', '.join(failed)}.", file=sys.stderr)
        print(KEPT, file=sys.stderr)
    return 1 if failed else 0


def _doctor(options) -> int:
    from tlcourse.doctor import doctor

    report = doctor()
    print(json.dumps(report.to_dict(), indent=1) if options.json else report)
    return 0 if report.ok else 1


def _run(options) -> int:
    from tlcourse.execute import execute

    runs, paths = [], _notebooks(options.what)
    if not options.json:
        print(f"{'notebook':36} {'seconds':>8} {'peak MB':>8}")
    for path in paths:
        done = execute(path, options.out)
        runs.append(done)
        if not options.json:
            print(
                f"{done.notebook:36} {done.seconds:8.1f} {done.memory:8.0f}{'' if done.ok else '  FAILED'}", flush=True
            )
        if done.error:
            print(f"{done.notebook}: {done.error}", file=sys.stderr, flush=True)
    if options.json:
        print(json.dumps([{"ok": run.ok, **asdict(run)} for run in runs], indent=1))
    return 0 if all(run.ok for run in runs) else 1


def _notebooks(wanted: list[str]) -> list[Path]:
    """The notebook files behind file names and chapter numbers."""
    from tlcourse.assets.catalogue import chapter_number
    from tlcourse.lab import find

    files = [Path(one) for one in wanted if one.endswith(".ipynb") and Path(one).is_file()]
    if wanted and len(files) == len(wanted):
        return files
    known = sorted(find().glob("*.ipynb"))
    if not wanted:
        if not known:
            raise CourseError(f"There are no notebooks in {find()}.", do="Run `tlcourse build` in the clone.")
        return known
    chosen = []
    for one in wanted:
        if one.endswith(".ipynb") and Path(one).is_file():
            chosen.append(Path(one))
            continue
        stem = one.removesuffix(".ipynb")
        number = chapter_number(stem) if stem.replace("-", "").isdigit() else None  # "3", "06-1"
        found = [path for path in known if path.stem == stem or (number and path.stem.startswith(number + "-"))]
        if not found:
            raise UnknownName("notebook", one, [path.stem for path in known], do="A chapter's number is enough: 03.")
        chosen += found
    return list(dict.fromkeys(chosen))


def _build(options) -> int:
    from tlcourse.lab import course_folder
    from tlcourse.notebooks import build

    notebooks = course_folder()
    if notebooks is None:
        raise CourseError("There are no chapters to build from here.", do="Change to the folder of the clone.")
    changed = build(notebooks.parent / "chapters", notebooks, check=options.check)
    for path in changed:
        print(path)
    if options.check and changed:
        print("These notebooks differ from their chapters: run `tlcourse build`.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
