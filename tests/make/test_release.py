"""`make version` and `make release`: what is published, and what there is no release of."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import shutil
import socket
import subprocess
import sys
import zipfile
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode, urlsplit
from urllib.request import urlopen

import pytest

from docs.blocks import DOCS, blocks
from make.checkout import CHECKOUT, INSTALLING, OURS, committed, fresh, git, make

NEXT = "7.8.9"
VERSIONS = DOCS / "admin" / "versions.md"


def part(name: str):
    """A module of `release`. The checkout is not on the path: in it the folders of our
    distributions would pass for what they contain."""
    if "release" not in sys.modules:
        home = CHECKOUT / "release"
        spec = importlib.util.spec_from_file_location(
            "release", home / "__init__.py", submodule_search_locations=[str(home)]
        )
        sys.modules["release"] = importlib.util.module_from_spec(spec)
    return importlib.import_module(f"release.{name}")


parts, archives = part("parts"), part("archives")
PACKAGES = sorted(one.package for one in parts.parts())


def archive_names(version):
    endings = (f"-{version}-py3-none-any.whl", f"-{version}.tar.gz")
    return sorted(f"{package}{ending}" for package in PACKAGES for ending in endings)


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """A checkout in which `make release` was typed, and what it said."""
    folder = committed(fresh(tmp_path_factory.mktemp("release") / "opus"))
    done = make(folder, "release", seconds=INSTALLING)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, done.stdout


@pytest.fixture
def another(released, tmp_path):
    """Another checkout of that commit, elsewhere."""
    folder = tmp_path / "elsewhere"
    git(tmp_path, "clone", "--quiet", str(released[0]), str(folder))
    return folder


@pytest.fixture
def release(released):
    """Types what make types there, with the tools that make has installed."""
    python = released[0] / ".venv-release" / "bin" / "python"
    kept = {key: value for key, value in os.environ.items() if key not in OURS}

    def typed(folder, *words, umask=-1, **environment):
        return subprocess.run(
            [python, "-m", "release", *words, "dist"],
            cwd=folder,
            env={**kept, **environment},
            umask=umask,
            capture_output=True,
            text=True,
            timeout=INSTALLING,
        )

    return typed


@pytest.mark.slow
@pytest.mark.timeout(INSTALLING + 60)
def test_a_release_is_a_wheel_and_an_sdist_of_every_distribution_and_was_tried(released):
    folder, said = released
    found = {one.name for one in (folder / "dist").iterdir()}
    assert found == {*archive_names(parts.version()), "SHA256SUMS"}
    assert re.search(r"the demo says: strongest period: \d+\.\d\d years\n", said)
    assert (folder / "dist" / "SHA256SUMS").read_text() in said
    check = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    done = subprocess.run(check, cwd=folder / "dist", capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count(": OK\n") == len(found) - 1


@pytest.mark.soak
@pytest.mark.timeout(INSTALLING)
def test_another_checkout_of_the_same_commit_gives_the_same_bytes(released, another, release):
    done = release(another, "--only-build", umask=0o077, TZ="Pacific/Auckland")
    assert done.returncode == 0, done.stderr
    sums = [folder / "dist" / "SHA256SUMS" for folder in (another, released[0])]
    assert sums[0].read_text() == sums[1].read_text()


def test_what_is_in_no_commit_is_no_release_and_dist_stays_as_it_was(another, release):
    (another / "dist").mkdir()
    (another / "README.md").write_text("changed")
    for number in range(4):
        (another / f"new{number}").touch()
    done = release(another)
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.startswith("release: what lies here is no commit, for README.md, new0, new1 and 2")
    assert "make release DIRTY=1" in line
    assert list((another / "dist").iterdir()) == []


def test_nobodys_settings_of_git_hide_what_is_in_no_commit(another, release):
    git(another, "config", "status.showUntrackedFiles", "no")
    (another / "plugins" / "opus_metrics" / "src" / "opus_metrics" / "private.py").touch()
    done = release(another)
    assert done.returncode == 1
    assert "private.py changed or is new" in done.stderr


def test_where_git_cannot_tell_there_is_no_release(another, release):
    (another / ".git" / "index").write_bytes(b"damaged")
    done = release(another)
    assert done.returncode == 1
    assert done.stderr.startswith("release: git cannot tell what has changed here")


def test_a_version_that_brings_nothing_is_none(another):
    changelog = another / "CHANGELOG.md"
    head, _, _ = changelog.read_text().partition("## [Unreleased]\n")
    changelog.write_text(f"{head}## [Unreleased]\n")
    done = make(another, "version", f"VERSION={NEXT}")
    assert done.returncode == 2
    assert "lists nothing under [Unreleased]" in done.stderr
    assert NEXT not in (another / "opus_core" / "pyproject.toml").read_text()


def test_to_try_it_that_is_taken_all_the_same_and_told(another):
    (another / "new").touch()
    told = (
        "from release.__main__ import no_release; from release.commit import commit;"
        "print(no_release(commit(dirty=True)))"
    )
    done = subprocess.run([sys.executable, "-c", told], cwd=another, capture_output=True, text=True)
    assert done.stdout == "it was not made of a commit\n", done.stderr


def test_a_number_that_is_the_tag_of_another_commit_is_not_given_twice(another, release):
    tag = f"v{parts.version()}"
    git(another, "tag", tag)
    (another / "new").touch()
    done = release(committed(another))
    assert (done.returncode, "raise the version first" in done.stderr) == (1, True)
    assert done.stderr.startswith(f"release: {tag} is the tag of another commit")


def test_distributions_of_several_versions_are_no_release(another, release):
    file = another / "plugins/opus_metrics/pyproject.toml"
    file.write_text(file.read_text().replace("opus-core~=", "opus-core~=9."))
    done = release(committed(another))
    assert done.returncode == 1
    now = re.escape(parts.version())
    file = re.escape("plugins/opus_metrics/pyproject.toml")
    assert re.search(rf"^.*{file} has version 9\.\S+, the whole has {now}$", done.stderr, re.M)


def test_changes_after_a_release_need_a_new_number(another, release):
    file = another / "CHANGELOG.md"
    file.write_text(
        file.read_text().replace("\n## [", f"\n## [{parts.version()}] - today\n\n## [", 1)
    )
    text = file.read_text()
    file.write_text(text.replace("\n## [", "\n## [Unreleased]\n\n- a change\n\n## [", 1))
    done = release(committed(another))
    assert done.returncode == 1
    assert f"CHANGELOG.md lists changes after {parts.version()}" in done.stderr


# Each of these shows in the archives.

METRICS = CHECKOUT / "plugins" / "opus_metrics"
INFO = f"opus_metrics-{parts.version()}.dist-info"


def rewritten(source, target, change):
    """A copy of a wheel whose files went through `change`, which takes and changes a dict."""
    with zipfile.ZipFile(source) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    change(files)
    with zipfile.ZipFile(target, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return target


def add(name, text):
    return lambda files: files.update({name: files.get(name, b"") + text.encode()})


def replace(name, old, new):
    return lambda files: files.update({name: files[name].replace(old.encode(), new.encode())})


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (add("tests/test_metrics.py", ""), "has tests/test_metrics.py, too"),
        (add("opus_metrics/__pycache__/a.pyc", ""), "has opus_metrics/__pycache__/a.pyc, too"),
        (lambda files: files.pop("opus_metrics/py.typed"), "lacks opus_metrics/py.typed"),
        (lambda files: files.pop("opus_metrics/tally.py"), "lacks opus_metrics/tally.py"),
        (add(f"{INFO}/licenses/LICENSE", "x"), "does not carry the LICENSE"),
        (add("opus_metrics/tally.py", str(CHECKOUT)), f"has {CHECKOUT} in opus_metrics/tally.py"),
        (add("opus_metrics/tally.py", f"{Path.home()}/x"), f"has {Path.home()}/ in opus_metrics"),
        (add(f"{INFO}/METADATA", "[a](../b.md)"), "has a link to ../b.md in its README"),
        (replace(f"{INFO}/METADATA", ">=3.11", ">=3.9"), "has Requires-Python >=3.9, and not"),
        (replace(f"{INFO}/METADATA", ":: Linux", ":: OS"), "has other classifiers than"),
    ],
)
def test_what_is_wrong_with_a_wheel_is_a_sentence(released, tmp_path, change, sentence):
    metrics = parts.Part(METRICS)
    name = f"{metrics.stem}-py3-none-any.whl"
    wheel = released[0] / "dist" / name
    assert list(archives.wrong_in_wheel(metrics, wheel)) == []
    assert rewritten(wheel, tmp_path / name, lambda files: None)
    found = list(archives.wrong_in_wheel(metrics, rewritten(wheel, tmp_path / name, change)))
    assert len(found) == 1, found
    assert found[0].startswith(f"{name} {sentence}")


def test_an_sdist_has_all_that_its_wheel_is_built_from_and_nothing_else(released, tmp_path):
    metrics = parts.Part(METRICS)
    name = f"{metrics.stem}.tar.gz"
    assert list(archives.wrong_in_sdist(metrics, released[0] / "dist" / name)) == []
    shutil.unpack_archive(released[0] / "dist" / name, tmp_path, filter="data")
    (tmp_path / metrics.stem / "LICENSE").unlink()
    (tmp_path / metrics.stem / "link").symlink_to("LICENSE")
    (tmp_path / metrics.stem / "tests").mkdir()
    (tmp_path / metrics.stem / "tests" / "test_metrics.py").touch()
    subprocess.run(
        ["tar", "--create", "--gzip", "--file", name, metrics.stem], cwd=tmp_path, check=True
    )
    found = "\n".join(archives.wrong_in_sdist(metrics, tmp_path / name))
    for sentence in (
        "lacks {}/LICENSE",
        "has {}/tests/test_metrics.py, too",
        "has {}/link, no file",
    ):
        assert f"{name} {sentence.format(metrics.stem)}" in found


# Versions move together.


@pytest.fixture(scope="module")
def raised(released, tmp_path_factory):
    """That checkout some versions later, built, and what `make version` said."""
    folder = tmp_path_factory.mktemp("raised") / "opus"
    git(folder.parent, "clone", "--quiet", str(released[0]), str(folder))
    said = make(folder, "version", f"VERSION={NEXT}")
    assert said.returncode == 0, said.stderr
    committed(folder)
    python = released[0] / ".venv-release" / "bin" / "python"
    command = [python, "-m", "release", "--only-build", "dist"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=INSTALLING)
    return folder, said.stdout


@pytest.mark.timeout(INSTALLING)
def test_one_command_raises_the_version_of_everything(raised):
    folder, said = raised
    changed = git(folder, "show", "--name-only", "--format=").split()
    assert sorted(changed) == sorted(said.splitlines())
    found = {one.name for one in (folder / "dist").iterdir()}
    assert found == {*archive_names(NEXT), "SHA256SUMS"}
    old = re.escape(parts.version())
    # What is not ours has a version of its own: the plugins that authors begin, in the pages.
    left = [
        line
        for line in git(folder, "grep", "-nE", rf"\b{old}\b", "--", ":!tests").splitlines()
        if not re.search(
            r"opus[-_]manager[-_]cellar|skeleton/templates/|publishing\.md.*\| \d", line
        )
    ]
    assert left == []


@pytest.mark.timeout(INSTALLING)
def test_what_is_ours_asks_for_its_own_version_of_what_is_ours(raised):
    asked = set()
    for wheel in (raised[0] / "dist").glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            [name] = [name for name in archive.namelist() if name.endswith("/METADATA")]
            text = archive.read(name).decode()
        asked |= {*re.findall(r"^Requires-Dist: opus-[a-z-]+(.*)$", text, re.MULTILINE)}
    assert asked == {f"~={NEXT}"}


@pytest.mark.timeout(INSTALLING)
def test_what_was_unreleased_becomes_the_section_of_the_version(released, raised):
    before, after = ((one / "CHANGELOG.md").read_text() for one in (released[0], raised[0]))
    head, _, listed = before.partition("## [Unreleased]\n")
    assert re.fullmatch(
        re.escape(f"{head}## [Unreleased]\n\n## [{NEXT}] - ")
        + r"\d{4}-\d\d-\d\d\n"
        + re.escape(listed),
        after,
    )


@pytest.mark.timeout(INSTALLING)
def test_on_the_way_to_a_version_the_changes_stay_unreleased(another):
    before = (another / "CHANGELOG.md").read_text()
    assert make(another, "version", f"VERSION={NEXT}.dev0").returncode == 0
    assert (another / "CHANGELOG.md").read_text() == before
    assert make(another, "version", f"VERSION={NEXT}").returncode == 0
    for page in (another / "docs" / "plugins").glob("*.md"):
        assert f"{NEXT}.dev0" not in page.read_text()


@pytest.mark.timeout(INSTALLING)
@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        ("", "say which: make version VERSION=X.Y.Z; it is {} now"),
        ("1.0", "'1.0' is no version: it is X.Y.Z, or X.Y.Z.devN on the way there"),
        ("0.0.1", "0.0.1 comes before {}, which it is now; a version only grows"),
        ("{}.dev1", "{}.dev1 comes before {}, which it is now; a version only grows"),
    ],
)
def test_what_is_no_version_to_come_is_a_sentence_and_changes_nothing(another, wanted, sentence):
    now = parts.version()
    done = make(another, "version", f"VERSION={wanted.replace('{}', now)}")
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == f"version: {sentence.replace('{}', now)}"
    assert git(another, "status", "--porcelain") == ""


# What an admin does with them, as docs/admin/versions.md says.


def run(*command, folder):
    kept = {key: value for key, value in os.environ.items() if key not in OURS}
    done = subprocess.run(
        [*map(str, command)], cwd=folder, env=kept, capture_output=True, text=True
    )
    return done.returncode, done.stdout + done.stderr


@contextmanager
def serving(folder):
    """The address of a server in this folder, with what is installed in its `venv`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [folder / "venv/bin/opus", "serve", "--port", str(port)],
        cwd=folder,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        for line in process.stdout:  # it says where, once it listens
            if f"127.0.0.1:{port}" in line:
                break
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.communicate(timeout=60)


@pytest.mark.soak
@pytest.mark.timeout(INSTALLING)
def test_a_site_is_upgraded_and_a_part_is_removed(released, raised, tmp_path):
    (tmp_path / "dist").symlink_to(released[0] / "dist")
    pip = ("venv/bin/python", "-m", "pip")
    install = (*pip, "install", *sorted((released[0] / "dist").glob("*.whl")))
    assert run(sys.executable, "-m", "venv", "venv", folder=tmp_path)[0] == 0
    assert run(*install, folder=tmp_path)[0] == 0
    code, said = run(*install, folder=tmp_path)
    assert (code, said.count("already installed with the same version")) == (0, len(PACKAGES))
    assert "Installing collected packages" not in said

    with serving(tmp_path) as url:
        form = urlencode({"longest": "60"}).encode()
        with urlopen(f"{url}/rest/periodogram", form) as answer:
            job = urlsplit(answer.url).path

    (tmp_path / "dist").unlink()
    (tmp_path / "dist").symlink_to(raised[0] / "dist")
    typed, shown = (
        block.text for block in blocks(VERSIONS) if block.language == "bash" or block.output
    )
    assert run("bash", "-ec", typed, folder=tmp_path) == (0, shown)
    assert run("venv/bin/opus", "--version", folder=tmp_path) == (0, f"opus {NEXT}\n")
    with serving(tmp_path) as url, urlopen(f"{url}{job}/phase") as answer:
        assert answer.read() == b"PENDING"

    # One that nothing is said of goes without a word; one that opus.toml names is missed by name.
    (tmp_path / "opus.toml").write_text("[plugins.metrics]\n")
    gone = ("opus-notify", "opus-metrics")
    assert run(*pip, "uninstall", "--quiet", "--yes", *gone, folder=tmp_path)[0] == 0
    assert run(*pip, "check", folder=tmp_path)[0] == 0
    code, said = run("venv/bin/opus", "serve", folder=tmp_path)
    assert code != 0
    assert "[plugins.metrics] no installed plugin has an extension of that name" in said
    (tmp_path / "opus.toml").unlink()
    with serving(tmp_path) as url, urlopen(f"{url}{job}/phase") as answer:
        assert answer.read() == b"PENDING"
