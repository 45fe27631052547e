"""A job's folder: what is written into it, and what is read from it."""

from __future__ import annotations

import errno
import gzip
import hashlib
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from core.helpers.folders import DEFINITION, ID, files, job, note, task, value, write
from opus_core import disk
from opus_core.backends import Event
from opus_core.definition import ParameterDescription
from opus_core.errors import (
    BackendUnavailable,
    BadRequest,
    NotFound,
    StorageFull,
    TooLarge,
    UnknownJob,
)
from opus_core.folder import Collected, Folders, media_type
from opus_core.job import LONG_TEXT, Parameter, Upload
from opus_core.wrapper import WRAPPER
from services_missing import lacking


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(tmp_path / "jobs")


def test_nothing_is_said_to_be_missing_where_the_mark_is(tmp_path: Path) -> None:
    """An empty folder may be one whose file system is not mounted."""
    root, away = tmp_path / "jobs", tmp_path / "away"
    root.mkdir()
    folders = Folders(root, marked=True)
    folders.mark()
    folders.mark()
    upload = folders.store(ID, [b"text"])
    root.rename(away)
    root.mkdir()
    for ask in (
        folders.check,
        lambda: folders.store(ID, [b"text"]),
        lambda: folders.write(job(), DEFINITION, event=None, host="", backends={}),
        lambda: folders.open_file(ID, "input", upload.sha256),
        lambda: folders.remove(ID),
        lambda: folders.remove_results(ID),
        lambda: folders.sweep(lambda _: False, older_than=-1),
    ):
        with pytest.raises(BackendUnavailable, match=r"there is no file \.opus-jobs"):
            ask()
    assert list(root.iterdir()) == []
    root.rmdir()
    away.rename(root)
    file, _ = folders.open_file(ID, "input", upload.sha256)
    with file:
        assert file.read() == b"text"


# --- uploads ---


def test_an_upload_is_stored_under_its_hash(folders: Folders) -> None:
    data = b"SIMPLE  =                    T" * 1000
    upload = folders.store(
        ID, (data[i : i + 999] for i in range(0, len(data), 999)), name="a.fits", media_type="x/y"
    )
    assert upload == Upload(
        sha256=hashlib.sha256(data).hexdigest(), size=len(data), name="a.fits", media_type="x/y"
    )
    assert folders.path(ID) == folders.root / "01" / ID
    assert files(folders.root) == [f"01/{ID}/input/{upload.sha256}"]
    assert (folders.path(ID) / "input" / upload.sha256).read_bytes() == data


def test_an_upload_may_be_as_large_as_the_limit_and_no_larger(folders: Folders) -> None:
    assert folders.store(ID, [b"12", b"34"], limit=4).size == 4
    with pytest.raises(TooLarge, match=r"'big\.fits' has more than the 3 bytes"):
        folders.store(ID.replace("0", "1"), [b"12", b"34"], limit=3, name="big.fits")
    assert len(files(folders.root)) == 1


def test_an_upload_that_breaks_off_leaves_nothing(folders: Folders) -> None:
    def broken() -> Iterator[bytes]:
        yield b"half"
        raise ConnectionResetError("the client went away")

    with pytest.raises(ConnectionResetError):
        folders.store(ID, broken())
    assert not folders.path(ID).exists()
    kept = folders.store(ID, [b"whole"])
    with pytest.raises(ConnectionResetError):
        folders.store(ID, broken())
    assert files(folders.root) == [f"01/{ID}/input/{kept.sha256}"]


@pytest.mark.parametrize("wrong", ["", "..", "x", "../" + ID, ID.upper(), ID + "\n", ID + "/.."])
def test_what_is_no_job_id_never_becomes_a_path(folders: Folders, wrong: str) -> None:
    with pytest.raises(UnknownJob):
        folders.path(wrong)
    with pytest.raises(UnknownJob):
        folders.store(wrong, [b"1"])


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_and_leaves_nothing(
    folders: Folders, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageFull) as refused:
        folders.store(ID, [b"1"])
    assert refused.value.status == 503
    assert refused.value.retry_after
    with pytest.raises(StorageFull):
        write(folders, job())
    assert files(folders.root) == []


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    for path in (Path("/proc/none/none"), tmp_path / "link" / "none"):
        with pytest.raises(FileNotFoundError):
            disk.make_folder(path)


def test_a_disk_that_is_really_full_is_told(tmp_path: Path) -> None:
    script = (
        "import sys, itertools, pathlib\n"
        "from opus_core.folder import Folders\n"
        "from opus_core.errors import StorageFull\n"
        "root = pathlib.Path(sys.argv[1])\n"
        "try:\n"
        f"    Folders(root).store({ID!r}, itertools.repeat(bytes(65536)))\n"
        "except StorageFull as error:\n"
        "    print(error.sentence, [str(p) for p in root.rglob('*') if p.is_file()])\n"
    )
    done = subprocess.run(
        [
            *("unshare", "-rm", "sh", "-c"),
            'mount -t tmpfs -o size=1m small "$1" || exit 77; "$2" -c "$3" "$1"',
            *("sh", tmp_path, sys.executable, script),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if done.returncode == 77 or "unshare failed" in done.stderr:
        lacking("this machine lets nobody but root mount a small disk")
    assert done.stdout.startswith(f"no space is left below {tmp_path}")
    assert done.stdout.endswith(" []\n")


# --- writing ---


def test_a_new_folder_has_all_that_a_wrapper_needs(folders: Folders) -> None:
    folder = write(folders, job(value("text", "hello")))
    assert files(folder) == ["job.json", "parameters.json", "run", "script", "task"]
    assert (folder / "run").read_bytes() == WRAPPER
    assert (folder / "script").read_text() == DEFINITION.script
    assert (folder / "work").is_dir()
    assert (folder / "results").is_dir()
    assert os.listdir(folder.parent) == [ID], "nothing was left beside it"
    assert task(folder) == [
        "duration=60",
        "output=plot.svg",
        "output=s.fits",
        "variable=text=hello",
        "variable=scale=1.5",
        "variable=plot=plot.svg",
        "variable=spectrum=s.fits",
    ]


def test_several_values_are_joined_by_newlines_and_odd_names_are_only_in_the_json(
    folders: Folders,
) -> None:
    folder = write(
        folders, job(value("many", "b"), value("not-a-variable", "1"), value("many", "a"))
    )
    assert "variable=many=b\na" in task(folder)
    assert not any("not-a-variable" in entry for entry in task(folder))
    assert json.loads((folder / "parameters.json").read_bytes()) == {
        "parameters": [
            {"name": "many", "value": "b"},
            {"name": "not-a-variable", "value": "1"},
            {"name": "many", "value": "a"},
        ]
    }


def test_run_options_and_undescribed_parameters_are_no_variables(folders: Folders) -> None:
    one = replace(job(value("MAXREC", "1")), options={"memory": "1G"})
    folder = write(folders, one)
    assert not any("MAXREC" in entry or "memory" in entry for entry in task(folder))
    assert json.loads((folder / "job.json").read_bytes())["options"] == {"memory": "1G"}


def test_a_parameter_of_a_results_name_is_its_file_name(folders: Folders) -> None:
    folder = write(folders, job(value("spectrum", "mine.fits")))
    assert "output=mine.fits" in task(folder)
    assert "variable=spectrum=mine.fits" in task(folder)


@pytest.mark.parametrize("name", ["../escaped", "/etc/passwd", "-rf", ".hidden", "a\nb", "a b"])
def test_a_result_cannot_be_given_a_file_name_that_leads_elsewhere(
    folders: Folders, name: str
) -> None:
    with pytest.raises(BadRequest):
        write(folders, job(value("spectrum", name)))
    assert not folders.path(ID).exists()


def test_a_value_of_64_kib_is_a_variable_and_a_larger_one_a_file(folders: Folders) -> None:
    exact, larger = "é" * 32768, "é" * 32768 + "x"
    folder = write(folders, job(value("text", exact), value("many", larger)))
    assert f"variable=text={exact}" in task(folder)
    assert "path=many_FILE=values/many" in task(folder)
    assert not any(entry.startswith("variable=many=") for entry in task(folder))
    assert (folder / "values" / "many").read_text() == larger


def test_of_more_than_512_kib_the_largest_become_files(folders: Folders) -> None:
    names = [f"p{number}" for number in range(12)]
    definition = replace(
        DEFINITION, parameters=tuple(ParameterDescription(name=name) for name in names)
    )
    sizes = {name: 40000 + 1000 * number for number, name in enumerate(names)}
    one = job(*(value(name, "x" * size) for name, size in sizes.items()))
    folders.write(one, definition, event=None, host="here", backends={})
    apart = sorted(os.listdir(folders.path(ID) / "values"))
    assert sum(sizes.values()) - sizes["p11"] > 524288 - sizes["p11"]
    assert apart == ["p11"]
    assert sum(sizes[name] for name in names if name not in apart) <= 524288


def kept(folders: Folders, name: str, text: str) -> Parameter:
    """A value that came as a long text does: as a file."""
    data = text.encode()
    pieces = (data[i : i + 999] for i in range(0, len(data), 999))
    upload = folders.store(ID, pieces, media_type=LONG_TEXT)
    return Parameter(name=name, upload=upload)


def test_a_text_that_is_kept_as_a_file_reaches_the_script_as_any_other(folders: Folders) -> None:
    long, short = "é\n" * 1_000_000, "short"
    one = job(kept(folders, "text", long), kept(folders, "many", short), value("scale", "2"))
    folder = write(folders, one)
    assert "path=text_FILE=values/text" in task(folder)
    assert "path=many_FILE=values/many" in task(folder)
    assert "variable=scale=2" in task(folder)
    assert not any(entry.startswith(("path=text=", "variable=text=")) for entry in task(folder))
    assert (folder / "values" / "text").read_text() == long
    assert (folder / "values" / "many").read_text() == short
    (said, *_) = json.loads((folder / "parameters.json").read_text())["parameters"]
    assert (folder / said["file"]).read_text() == long
    assert "value" not in said
    # Its own copy: what the script makes of it, a client does not see.
    assert not (folder / "values" / "text").samefile(folder / said["file"])


def test_of_several_values_some_may_be_files(folders: Folders) -> None:
    texts = ["a", "x" * 100_000, "", "y" * 100, "b"]
    many = [
        kept(folders, "many", text) if len(text) > 50 else value("many", text) for text in texts
    ]
    folder = write(folders, job(*many))
    assert (folder / "values" / "many").read_text() == "\n".join(texts)
    assert "path=many_FILE=values/many" in task(folder)


def test_a_text_that_is_kept_as_a_file_is_no_file_name(folders: Folders) -> None:
    with pytest.raises(BadRequest, match="cannot be the name of a result file"):
        write(folders, job(kept(folders, "spectrum", "s.fits")))


def test_a_value_with_a_nul_is_a_file(folders: Folders) -> None:
    folder = write(folders, job(value("text", "a\0b")))
    assert (folder / "values" / "text").read_bytes() == b"a\0b"
    assert "path=text_FILE=values/text" in task(folder)


def test_the_script_sees_an_upload_by_a_name_that_ends_as_the_clients_did(
    folders: Folders,
) -> None:
    upload = folders.store(ID, [gzip.compress(b"1")], name="../../M 31 $(x).v2.fits.gz")
    folder = write(folders, job(Parameter(name="image", upload=upload)))
    seen = f"input/{upload.sha256}.fits.gz"
    assert f"path=image={seen}" in task(folder)
    assert os.path.samefile(folder / seen, folder / "input" / upload.sha256)
    assert not (folder / seen).is_symlink()


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("a.fits", ".fits"),
        ("a.tar.gz", ".tar.gz"),
        ("a.b.c.csv", ".csv"),
        ("a.gz", ".gz"),
        ("a.csv\n", ""),
        ("a.$(x)", ""),
        ("a./etc", ""),
        ("a", ""),
        ("", ""),
        ("a." + "x" * 100, ""),
    ],
)
def test_only_a_plain_suffix_of_the_clients_name_is_used(
    folders: Folders, name: str, suffix: str
) -> None:
    upload = folders.store(ID, [b"1"], name=name)
    folder = write(folders, job(Parameter(name="image", upload=upload)))
    assert f"path=image=input/{upload.sha256}{suffix}" in task(folder)


def test_what_no_parameter_names_is_removed_from_the_inputs(folders: Folders) -> None:
    named = folders.store(ID, [b"named"], name="a.csv")
    forgotten = folders.store(ID, [b"forgotten"])
    folder = write(folders, job(Parameter(name="image", upload=named)))
    assert sorted(os.listdir(folder / "input")) == [named.sha256, f"{named.sha256}.csv"]
    assert forgotten.sha256 not in os.listdir(folder / "input")


def test_an_upload_that_is_gone_is_told_before_anything_can_run(folders: Folders) -> None:
    upload = Upload(sha256="0" * 64, size=1, name="a.csv")
    with pytest.raises(NotFound, match=r"'a\.csv' is not there any more; send it again"):
        write(folders, job(Parameter(name="image", upload=upload)))
    assert not folders.path(ID).exists()


def test_writing_again_completes_what_was_cut_off(folders: Folders) -> None:
    upload = folders.store(ID, [b"1"])
    one = job(value("text", "1"), Parameter(name="image", upload=upload))
    folder = write(folders, one)
    whole = {name: (folder / name).read_bytes() for name in files(folder)}
    (folder / "run").unlink()
    (folder / "task").write_bytes(b"duration=")
    (folder / ".new.leftover").write_bytes(b"")
    write(folders, one)
    assert {name: (folder / name).read_bytes() for name in whole} == whole


def test_run_is_written_last(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    folders.store(ID, [b"1"])  # the folder is there, and so it is written file by file
    kept: list[str] = []
    keep = disk.NewFile.keep

    def noting(self: disk.NewFile, name: str) -> None:
        kept.append(name)
        keep(self, name)

    monkeypatch.setattr(disk.NewFile, "keep", noting)
    write(folders, job(), Event(url="http://x/", token="t"))
    assert kept[-1] == "run"
    assert kept.count("run") == 1


def test_a_new_folder_appears_whole_or_not_at_all(
    folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(source: Path, target: Path) -> None:
        if Path(target).name == ID:
            assert not Path(target).exists()
            raise KeyboardInterrupt
        rename(source, target)

    rename = os.rename
    monkeypatch.setattr(os, "rename", cut_off)
    with pytest.raises(KeyboardInterrupt):
        write(folders, job())
    assert not folders.path(ID).exists()


def test_those_who_write_the_same_folder_agree(tmp_path: Path) -> None:
    """Also about the folders above it, which are not there at first."""
    one = job(value("text", "1"))
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(8) as pool:
            for number in range(50):
                folders = Folders(tmp_path / str(number))
                list(pool.map(lambda _, at=folders: write(at, one), range(8)))
                folder = folders.path(ID)
                assert files(folder) == ["job.json", "parameters.json", "run", "script", "task"]
                assert os.listdir(folder.parent) == [ID]
    finally:
        sys.setswitchinterval(interval)


def test_modes_do_not_depend_on_the_umask_and_the_token_is_the_owners(folders: Folders) -> None:
    before = os.umask(0o077)
    try:
        upload = folders.store(ID, [b"1"])
        one = job(Parameter(name="image", upload=upload))
        folder = write(folders, one, Event(url="http://x/", token="t"))
    finally:
        os.umask(before)
    for path in [folder.parent, folder, *folder.rglob("*")]:
        mode = stat.S_IMODE(path.stat().st_mode)
        wanted = 0o2770 if path.is_dir() else 0o600 if path.name == "event" else 0o660
        assert mode == wanted, path


def test_job_json_says_where_all_of_it_came_from(folders: Folders) -> None:
    upload = folders.store(ID, [b"1"], name="a.csv", media_type="text/csv")
    one = job(value("text", "שלום"), Parameter(name="image", upload=upload))
    folder = write(folders, one)
    (folder / "results" / "plot.svg").write_bytes(b"<svg/>")
    note(folders, one)
    assert json.loads((folder / "job.json").read_bytes()) == {
        "job": ID,
        "definition": {"name": "stack", "number": 3, "version": ""},
        "script": {"sha256": hashlib.sha256(DEFINITION.script.encode()).hexdigest()},
        "parameters": [
            {"name": "text", "value": "שלום"},
            {
                "name": "image",
                "file": f"input/{upload.sha256}.csv",
                "size": 1,
                "sha256": upload.sha256,
                "media_type": "text/csv",
                "client_name": "a.csv",
            },
        ],
        "options": {},
        "execution_duration": 60,
        "host": "opus.example.org",
        "backends": {"manager": "x"},
        "results": [
            {
                "id": "plot",
                "file": "results/plot.svg",
                "size": 6,
                "media_type": "image/svg+xml",
                "sha256": hashlib.sha256(b"<svg/>").hexdigest(),
            }
        ],
    }


def test_a_task_tells_a_manager_all_it_needs(folders: Folders) -> None:
    one = replace(job(), native_ids=("17", "18"), options={"partition": "short"})
    event = Event(url="http://x/", token="t")
    definition = replace(DEFINITION, options={"partition": "long", "memory": "1G"})
    made = folders.task(one, definition, event)
    assert (made.ref.tag, made.ref.native_id, made.native_ids) == (one.tag, "17", ("17", "18"))
    assert made.folder == folders.path(ID)
    assert made.options == {"partition": "short", "memory": "1G"}
    assert [(o.name, o.file, o.required) for o in made.outputs] == [
        ("plot", "plot.svg", True),
        ("spectrum", "s.fits", False),
    ]
    assert made.event == event


# --- reading ---


def test_results_have_size_hash_and_media_type(folders: Folders) -> None:
    folder = write(folders, job())
    (folder / "results" / "plot.svg").write_bytes(b"<svg/>")
    (folder / "results" / "s.fits").write_bytes(b"SIMPLE")
    (folder / "results" / "not-described").write_bytes(b"1")
    collected = folders.results(job(), DEFINITION)
    assert collected.missing == ()
    assert [(r.id, r.name, r.size, r.media_type) for r in collected.results] == [
        ("plot", "plot.svg", 6, "image/svg+xml"),
        ("spectrum", "s.fits", 6, "image/fits"),
    ]
    assert collected.results[0].sha256 == hashlib.sha256(b"<svg/>").hexdigest()


def test_a_required_result_that_is_missing_or_a_link_is_named(folders: Folders) -> None:
    folder = write(folders, job())
    assert folders.results(job(), DEFINITION) == Collected(missing=("plot",))
    os.symlink("/etc/passwd", folder / "results" / "plot.svg")
    assert folders.results(job(), DEFINITION) == Collected(missing=("plot",))


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("a.fits", "application/fits"),
        ("a.vot", "application/x-votable+xml"),
        ("a.ecsv", "text/csv"),
        ("a.h5", "application/x-hdf5"),
        ("a.fits.gz", "application/gzip"),
        ("a.json", "application/json"),
        ("a", "application/octet-stream"),
    ],
)
def test_files_of_astronomy_have_a_media_type(name: str, wanted: str) -> None:
    assert media_type(name) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("40 fitting", (40, "fitting")),
        ("40.9 fitting\nmore", (40, "fitting")),
        ("100%", (100, "")),
        ("250 overdone", (100, "overdone")),
        ("7 \x1b[31mred\x07", (7, "[31mred")),
        ("", None),
        ("soon", None),
        ("-3 back", None),
        ("\0\0\0", None),
        ("9" * 5000, None),
    ],
)
def test_progress_is_read_as_far_as_it_makes_sense(
    folders: Folders, text: str, wanted: tuple[int, str] | None
) -> None:
    folder = write(folders, job())
    assert folders.progress(ID) is None
    (folder / "progress").write_text(text)
    assert folders.progress(ID) == wanted


def test_of_a_huge_progress_only_the_beginning_is_read(folders: Folders) -> None:
    folder = write(folders, job())
    (folder / "progress").write_text("5 " + "x" * 10_000_000)
    progress = folders.progress(ID)
    assert progress is not None
    assert len(progress[1]) < 1024


def test_a_file_of_the_folder_is_opened(folders: Folders) -> None:
    folder = write(folders, job())
    (folder / "results" / "plot.svg").write_bytes(b"<svg/>")
    file, status = folders.open_file(ID, "results", "plot.svg")
    with file:
        assert file.read() == b"<svg/>"
        assert status.st_size == 6


@pytest.mark.parametrize(
    "parts",
    [
        (),
        ("",),
        ("..",),
        ("results", "..", "..", "secret"),
        ("results/plot.svg",),
        ("/etc/passwd",),
        ("results",),
        ("nothing",),
        ("results", "nothing"),
        ("script", "below"),
        ("a\0b",),
        ("x" * 300,),
        ("fifo",),
        ("socket",),
        ("file-link",),
        ("folder-link", "passwd"),
        ("dangling",),
    ],
)
def test_nothing_else_than_a_regular_file_below_the_folder_is_opened(
    folders: Folders, parts: tuple[str, ...]
) -> None:
    folder = write(folders, job())
    (folder.parent / "secret").write_text("1")
    os.mkfifo(folder / "fifo")
    os.mknod(folder / "socket", stat.S_IFSOCK | 0o600)
    os.symlink("script", folder / "file-link")
    os.symlink("/etc", folder / "folder-link")
    os.symlink("nowhere", folder / "dangling")
    before = os.listdir("/proc/self/fd")
    with pytest.raises(NotFound):
        folders.open_file(ID, *parts)
    assert len(os.listdir("/proc/self/fd")) == len(before), "a descriptor was left open"


def test_a_job_folder_that_is_a_link_is_not_followed(folders: Folders, tmp_path: Path) -> None:
    folder = write(folders, job())
    folder.rename(tmp_path / "moved")
    os.symlink(tmp_path / "moved", folder)
    with pytest.raises(NotFound):
        folders.open_file(ID, "script")
