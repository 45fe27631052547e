"""What a script has done to its folder, and that all of it goes when it should."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from core.helpers.folders import DEFINITION, ID, job, note, write
from isolated import humble
from opus_core import disk
from opus_core.errors import Conflict, NotFound
from opus_core.folder import Folders
from opus_core.job import new_id


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(tmp_path / "jobs")


def test_a_folder_is_removed_and_links_in_it_are_not_followed(
    folders: Folders, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("1")
    folder = write(folders, job())
    os.symlink(outside, folder / "work" / "link")
    os.link(outside / "precious", folder / "work" / "hard")
    folders.remove(ID)
    folders.remove(ID)
    assert list((folders.root / "01").iterdir()) == []
    assert (outside / "precious").read_text() == "1"


def test_folders_deeper_than_a_stack_and_a_path_can_be_are_removed(folders: Folders) -> None:
    folder = write(folders, job())
    deep = os.open(folder / "work", os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=deep)
        below = os.open("d", os.O_RDONLY, dir_fd=deep)
        os.close(deep)
        deep = below
    os.close(deep)
    folders.remove(ID)
    assert list((folders.root / "01").iterdir()) == []


def test_folders_that_a_script_has_closed_to_everybody_are_removed(folders: Folders) -> None:
    folder = write(folders, job())
    locked = folder / "work" / "locked"
    (locked / "inner").mkdir(parents=True)
    (locked / "inner" / "file").write_text("1")
    (locked / "inner").chmod(0)
    locked.chmod(0o500)
    remove = (
        "import pathlib, sys; from opus_core.folder import Folders\n"
        "Folders(pathlib.Path(sys.argv[1])).remove(sys.argv[2])"
    )
    subprocess.run(
        [*humble(), sys.executable, "-c", remove, folders.root, ID],
        check=True,
    )
    assert list((folders.root / "01").iterdir()) == []


CLOSED = """
import pathlib, sys
from opus_core.definition import JobDefinition
from opus_core.errors import NotFound
from opus_core.folder import Folders
from opus_core.job import DefinitionRef, Job, now
folders, job = Folders(pathlib.Path(sys.argv[1])), sys.argv[2]
assert folders.progress(job) is None
for parts in (["stdout"], ["results", "a"]):
    try:
        folders.open_file(job, *parts)
    except NotFound:
        continue
    raise AssertionError(parts)
one = Job(id=job, definition=DefinitionRef("stack", 3), created=now())
try:
    folders.note_results(one, JobDefinition(name="stack"), (), host="", backends={})
except NotFound:
    sys.exit(0)
"""


def test_what_a_script_has_closed_to_everybody_is_as_good_as_gone(folders: Folders) -> None:
    folder = write(folders, job())
    for name in ("stdout", "progress", "results/a"):
        (folder / name).write_text("1")
        (folder / name).chmod(0)
    (folder / "results").chmod(0)
    folder.chmod(0o500)
    command = [*humble(), sys.executable, "-c", CLOSED]
    done = subprocess.run([*command, folders.root, ID], check=False)
    folder.chmod(0o700)
    (folder / "results").chmod(0o700)
    assert done.returncode == 0


@pytest.mark.parametrize("damage", ["nothing", "text", "huge", "link", "gone"])
def test_nothing_is_read_of_a_job_json_that_a_script_has_changed(
    folders: Folders, tmp_path: Path, damage: str
) -> None:
    one = job()
    file = write(folders, one) / "job.json"
    before = json.loads(file.read_bytes())
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("precious")
    match damage:
        case "text":
            file.write_text("[" * 200_000)
        case "huge":
            os.truncate(file, 2**40)
        case "link":
            file.unlink()
            file.symlink_to(elsewhere)
        case "gone":
            file.unlink()
    note(folders, one)
    assert json.loads(file.read_bytes()) == {**before, "results": []}
    assert elsewhere.read_text() == "precious"


def test_what_somebody_killed_has_left_half_written_goes_when_results_are_noted(
    folders: Folders,
) -> None:
    one = job()
    write(folders, one)
    folder = folders.path(one.id)
    file = disk.NewFile(folder)
    file.__enter__()  # and it is killed here
    (folder / ".new.of-the-script").mkdir()
    folders.note_results(one, DEFINITION, (), host="", backends={})
    assert [path.name for path in folder.glob(".new.*")] == [".new.of-the-script"]
    # It was only asleep, and finds out.
    with pytest.raises(FileNotFoundError):
        file.keep("job.json")
    file.__exit__(None, None, None)


def test_a_folder_in_place_of_job_json_stays_and_is_told(folders: Folders) -> None:
    file = write(folders, job()) / "job.json"
    file.unlink()
    file.mkdir()
    with pytest.raises(NotFound, match=r"nobody write its job\.json"):
        note(folders, job())
    assert list(file.parent.glob(".new.*")) == []


def test_a_file_that_comes_while_the_job_is_started_or_deleted_is_refused(
    folders: Folders,
) -> None:
    def chunks(end: Callable[[], object]) -> Iterator[bytes]:
        yield b"1"
        end()
        yield b"2"

    with pytest.raises(Conflict, match="started or deleted"):
        folders.store(ID, chunks(lambda: write(folders, job())), name="a")
    with pytest.raises(Conflict, match="started or deleted"):
        folders.store(ID, chunks(lambda: folders.remove(ID)), name="a")


def test_a_removal_that_is_cut_off_leaves_nothing_that_looks_alive(
    folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folders, job())
    with monkeypatch.context() as patch:
        patch.setattr(disk, "remove_tree", lambda path: None)
        folders.remove(ID)
    assert not folders.path(ID).exists()
    assert len(list((folders.root / "01").iterdir())) == 1
    folders.sweep(lambda job_id: True, older_than=-1)
    assert list((folders.root / "01").iterdir()) == []


def test_several_may_remove_one_folder_at_once(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    with ThreadPoolExecutor(4) as pool:
        for _ in range(25):
            for number in range(8):
                below = tree / str(number) / "a" / "b"
                below.mkdir(parents=True)
                for file in (below / "1", below.parent / "2", tree / f"file {number}"):
                    file.write_text("")
            gate = threading.Barrier(4)

            def remove(_: int, gate: threading.Barrier = gate) -> None:
                gate.wait(20)
                disk.remove_tree(tree)

            list(pool.map(remove, range(4)))
            assert not tree.exists()


def test_a_sweep_leaves_what_is_just_being_removed_alone(
    folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write(folders, job())
    long_ago = time.time() - 2 * 86400
    os.utime(folder, (long_ago, long_ago))
    with monkeypatch.context() as patch:
        patch.setattr(disk, "remove_tree", lambda path: None)
        folders.remove(ID)
    folders.sweep(lambda job_id: True, older_than=86400)
    assert len(list(folder.parent.iterdir())) == 1


def test_the_results_of_an_archived_job_go_and_the_rest_stays(folders: Folders) -> None:
    folder = write(folders, job())
    (folder / "results" / "plot.svg").write_text("1")
    folders.remove_results(ID)
    folders.remove_results(ID)
    assert not (folder / "results").exists()
    assert (folder / "job.json").exists()
    assert os.listdir(folder.parent) == [ID]


def test_a_sweep_removes_old_folders_without_a_job_and_no_others(folders: Folders) -> None:
    ids = {what: new_id() for what in ("known", "old", "uploading", "young")}
    for job_id in ids.values():
        folders.store(job_id, [b"1"])
    long_ago = time.time() - 2 * 86400
    for what in ("known", "old", "uploading"):
        os.utime(folders.path(ids[what]), (long_ago, long_ago))
    for what in ("known", "old"):
        os.utime(folders.path(ids[what]) / "input", (long_ago, long_ago))
    (folders.root / "lost+found").mkdir()
    asked: list[str] = []

    def known(job_id: str) -> bool:
        asked.append(job_id)
        return job_id == ids["known"]

    assert folders.sweep(known, older_than=86400) == [ids["old"]]
    assert sorted(asked) == sorted([ids["known"], ids["old"]])
    assert not folders.path(ids["old"]).exists()
    for what in ("known", "uploading", "young"):
        assert folders.path(ids[what]).exists()
    assert (folders.root / "lost+found").exists()


def test_a_sweep_before_the_first_job_finds_nothing(folders: Folders) -> None:
    assert folders.sweep(lambda job_id: False, older_than=0) == []
