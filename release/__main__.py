"""Build, check, install and try all distributions: `python -m release [--dirty] FOLDER`.

FOLDER holds what was made only if all of it is right. `make release` calls this.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from release.archives import wrong_in_sdist, wrong_in_wheel
from release.build import build
from release.commit import Commit, commit
from release.install import demonstrated
from release.parts import Refused, parts, version
from release.version import UNRELEASED, out_of_step, sections

SUMS = "SHA256SUMS"


def main() -> int:
    parser = argparse.ArgumentParser(prog="make release", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--dirty", action="store_true", help="also what no commit has")
    parser.add_argument("--only-build", action="store_true", help="do not check, install and try")
    args = parser.parse_args()
    try:
        made_of = commit(dirty=args.dirty)
        shutil.rmtree(args.folder, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix="opus-release-") as made:
            folder = Path(made)
            make(folder, made_of, tried=not args.only_build)
            shutil.copytree(folder, args.folder)
    except Refused as refused:
        print(f"release: {refused}", file=sys.stderr)
        return 1
    print((args.folder / SUMS).read_text(), end="")
    if reason := "it was only built" if args.only_build else no_release(made_of):
        print(f"Not to be published: {reason}.")
    return 0


def make(folder: Path, made_of: Commit, *, tried: bool) -> None:
    """Fill an empty folder. Raises `Refused` with a line for each thing that is wrong."""
    refuse_if(wrong_in_sources())
    say(f"{len(parts())} distributions of version {version()}, from {made_of.name or 'no commit'}")
    build(folder, made_of.date)
    if tried:
        refuse_if(wrong_in_archives(folder))
        say("metadata and contents are right")
        say(f"installed in an empty environment, the demo says: {demonstrated(folder)}")
    lines = [
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n"
        for file in sorted(folder.iterdir())
    ]
    (folder / SUMS).write_text("".join(lines))


def wrong_in_sources() -> Iterator[str]:
    yield from out_of_step()
    listed = sections()
    if version() in listed and listed.get(UNRELEASED):
        yield (
            f"CHANGELOG.md lists changes after {version()}; raise the version first:"
            " make version VERSION=..."
        )
    if not listed.get(version()) and not listed.get(UNRELEASED):
        yield f"CHANGELOG.md says nothing of {version()}, neither by its name nor as {UNRELEASED}"


def wrong_in_archives(folder: Path) -> Iterator[str]:
    for part in parts():
        yield from wrong_in_wheel(part, folder / f"{part.stem}-py3-none-any.whl")
        yield from wrong_in_sdist(part, folder / f"{part.stem}.tar.gz")
    files = sorted(folder.iterdir())
    wheels = [file for file in files if file.suffix == ".whl"]
    for words, judged in (
        (("twine", "check", "--strict"), files),
        (("check_wheel_contents",), wheels),
    ):
        done = subprocess.run(
            [sys.executable, "-m", *words, *judged], capture_output=True, text=True, check=False
        )
        if done.returncode:
            yield f"{words[0]} finds fault:\n{done.stdout}{done.stderr}"


def no_release(made_of: Commit) -> str | None:
    """Why what was made is only for whoever made it."""
    if made_of.name is None:
        return "it was not made of a commit"
    if not sections().get(version()):
        return (
            f"CHANGELOG.md has no section [{version()}] yet; make version VERSION=... gives it one"
        )
    return None


def refuse_if(wrong: Iterator[str]) -> None:
    if found := list(wrong):
        raise Refused("\n".join(found))


def say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
