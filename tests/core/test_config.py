from __future__ import annotations

import contextlib
import dataclasses
import os
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from opus_core import sections, settings
from opus_core.config import Config, Jobs, Server, fill, load
from opus_core.errors import ConfigError


def written(folder: Path, text: str, name: str = "opus.toml") -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, "utf-8")
    return file


def read(folder: Path, text: str) -> Config:
    return load(written(folder, text), environ={}, cwd=folder)


def refusal(folder: Path, text: str) -> str:
    with contextlib.chdir(folder), pytest.raises(ConfigError) as caught:
        read(folder, text)
    return str(caught.value)


def filled(options_class, table: Mapping[str, object] = {}):
    return fill(
        options_class, table, where="x.toml: [t]", base=Path("/etc/opus"), data_dir=Path("/data")
    )


# --- which file


def test_an_empty_folder_gives_a_server_on_loopback_with_everything_by_default(tmp_path):
    config = load(environ={}, cwd=tmp_path)

    assert config.path is None
    assert config.data_dir == tmp_path / "opus-data"
    assert config.jobs_folder == tmp_path / "opus-data" / "jobs"
    assert (config.server.host, config.server.port) == ("127.0.0.1", 8080)
    assert (config.storage.use, config.manager.use, config.jdl.use) == ("sqlite", "local", "wadl")
    assert config.anonymous
    assert config.anonymous_list
    assert config.embedded


def test_a_named_file_goes_before_the_environment_and_that_before_the_folder(tmp_path):
    named = written(tmp_path, "debug = true", "named.toml")
    other = written(tmp_path, "", "other.toml")
    here = written(tmp_path, "")
    environ = {"OPUS_CONFIG": str(other)}

    assert load(named, environ, tmp_path).path == named
    assert load(None, environ, tmp_path).path == other
    assert load(None, {}, tmp_path).path == here


def test_the_file_in_opus_data_is_found_last_and_its_folder_is_the_data_dir(tmp_path):
    file = written(tmp_path / "opus-data", "")

    config = load(environ={}, cwd=tmp_path)

    assert config.path == file
    assert config.data_dir == tmp_path / "opus-data"


def test_the_data_dir_lies_beside_a_file_anywhere_else(tmp_path):
    file = written(tmp_path / "etc", "")

    assert load(file, {}, Path("/")).data_dir == tmp_path / "etc" / "opus-data"
    assert load(Path("etc/opus.toml"), {}, tmp_path) == load(file, {}, Path("/"))


@pytest.mark.parametrize("by", ["--config", "OPUS_CONFIG"])
def test_a_file_that_was_named_and_is_not_there_is_a_mistake(tmp_path, by):
    path, environ = (Path("no.toml"), {}) if by == "--config" else (None, {by: "no.toml"})

    with pytest.raises(ConfigError, match=f"^{by} names no.toml, and there is no such file$"):
        load(path, environ, tmp_path)


def test_a_folder_in_place_of_the_file_is_a_sentence(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load(tmp_path, {}, tmp_path)


@pytest.mark.parametrize("target", ["opus.toml", "nowhere"])
def test_a_link_that_leads_to_no_file_is_a_sentence(tmp_path, target):
    (tmp_path / "opus.toml").symlink_to(target)
    with pytest.raises(ConfigError, match=f"a link to {target}, cannot be read: "):
        load(environ={}, cwd=tmp_path)


def test_a_folder_that_is_gone_is_a_sentence(tmp_path):
    (tmp_path / "gone").mkdir()
    with contextlib.chdir(tmp_path):
        os.chdir("gone")
        (tmp_path / "gone").rmdir()
        with pytest.raises(ConfigError, match="the current folder cannot be told"):
            load(environ={})


def test_bad_toml_is_told_with_its_line_and_column(tmp_path):
    assert refusal(tmp_path, "debug = true\nport = = 3\n") == (
        "opus.toml is not valid TOML: Invalid value (at line 2, column 8)"
    )


@pytest.mark.parametrize(
    ("here", "name"),
    [("etc", "opus.toml"), (".", "etc/opus.toml"), ("/", "{folder}/etc/opus.toml")],
)
def test_the_file_is_named_as_from_the_folder_one_is_in(tmp_path, here, name):
    file = written(tmp_path / "etc", "debug = 1")

    with contextlib.chdir(tmp_path / here), pytest.raises(ConfigError) as caught:
        load(file, {}, tmp_path)

    assert str(caught.value).startswith(f"{name.format(folder=tmp_path)}: debug must be")


def test_text_in_another_encoding_is_a_sentence(tmp_path):
    (tmp_path / "opus.toml").write_bytes(b'base_url = "\xe9"')

    with pytest.raises(ConfigError, match=r"opus\.toml is not text in UTF-8"):
        load(environ={}, cwd=tmp_path)


def test_a_byte_order_mark_is_no_mistake(tmp_path):
    assert read(tmp_path, "\ufeffdebug = true").debug


# --- what is in it


def test_every_key_of_every_table_is_read(tmp_path):
    config = read(
        tmp_path,
        """
        base_url = "https://opus.example.org/uws/"
        data_dir = "/var/lib/opus"
        debug = true
        log_file = "opus.log"
        [server]
        host = "0.0.0.0"
        port = 0
        threads = 8
        wait_slots = 6
        wait_per_user = 3
        event_url = "http://head:8080"
        trusted_proxies = ["127.0.0.1", "10.0.0.0/8"]
        cors_origins = ["*"]
        max_body = "1 MiB"
        [supervisor]
        embedded = false
        poll_interval = 30
        event_interval = 0.5
        lease_seconds = "1 min"
        grace = 30
        [client]
        merge = false
        servers = ["https://uws.example.org/rest"]
        samp = false
        host = "::"
        port = 8443
        [storage]
        use = "postgresql"
        url = "postgresql://db/opus"
        [manager]
        use = "slurm"
        commands = { sbatch = "/opt/sbatch" }
        [jdl]
        use = "votable"
        [jobs]
        folder = "jobs"
        execution_duration = "2 h"
        execution_duration_max = "1 d"
        destruction_days = 3
        destruction_days_max = 0
        max_wait = 10
        max_active_per_user = 5
        max_per_hour_per_user = 100
        max_bytes_per_user = "10 GB"
        max_upload = 1000
        max_files = 2
        archive = true
        min_free = 0
        overuse_is_error = true
        [auth]
        anonymous = true
        anonymous_list = true
        job_servers = ["::1"]
        [plugins]
        disabled = ["mail"]
        [plugins.notify]
        to = "admin"
        """,
    )

    assert config.base_url == "https://opus.example.org/uws"
    assert config.data_dir == Path("/var/lib/opus")
    assert config.log_file == Path("/var/lib/opus/opus.log")
    assert config.server == Server(
        host="0.0.0.0",
        port=0,
        threads=8,
        wait_slots=6,
        wait_per_user=3,
        event_url="http://head:8080",
        trusted_proxies=("127.0.0.1", "10.0.0.0/8"),
        cors_origins=("*",),
        max_body=1048576,
    )
    assert (config.wait_slots, config.wait_per_user) == (6, 3)
    assert dataclasses.astuple(config.supervisor) == (False, 30.0, 0.5, 60.0, 30.0)
    assert not config.embedded
    servers = ("https://uws.example.org/rest",)
    assert dataclasses.astuple(config.client) == (False, servers, False, "::", 8443)
    assert (config.storage.use, dict(config.storage.options)) == (
        "postgresql",
        {"url": "postgresql://db/opus"},
    )
    assert dict(config.manager.options) == {"commands": {"sbatch": "/opt/sbatch"}}
    assert config.jdl.use == "votable"
    assert config.jobs == Jobs(
        folder=tmp_path / "jobs",
        execution_duration=7200,
        execution_duration_max=86400,
        destruction_days=3,
        destruction_days_max=0,
        max_wait=10,
        max_active_per_user=5,
        max_per_hour_per_user=100,
        max_bytes_per_user=10**10,
        max_upload=1000,
        max_files=2,
        archive=True,
        min_free=0,
        overuse_is_error=True,
    )
    assert config.jobs_folder == tmp_path / "jobs"
    assert config.anonymous
    assert config.anonymous_list
    assert config.auth.job_servers == ("::1",)
    assert config.plugins.disabled == ("mail",)
    assert dict(config.plugins.tables) == {"notify": {"to": "admin"}}
    assert (config.debug, config.path, config.base) == (True, tmp_path / "opus.toml", tmp_path)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[server]\nport = 'x'", "opus.toml: [server] port must be an integer, not 'x'"),
        ("[server]\nport = true", "opus.toml: [server] port must be an integer, not true"),
        ("[server]\nport = 80.5", "opus.toml: [server] port must be an integer, not 80.5"),
        ("[server]\nport = 65536", "opus.toml: [server] port must be at most 65535, not 65536"),
        ("[server]\nport = -1", "opus.toml: [server] port must be at least 0, not -1"),
        ("[server]\nhost = 1", "opus.toml: [server] host must be a string, not 1"),
        ("debug = 'yes'", "opus.toml: debug must be true or false, not 'yes'"),
        ("debug = 1", "opus.toml: debug must be true or false, not 1"),
        ("data_dir = ''", "opus.toml: data_dir must be a path, as a string, not ''"),
        ("[data_dir]", "opus.toml: data_dir must be a path, as a string, not a table"),
        ("server = 3", "opus.toml: server must be a table, [server], not 3"),
        (
            "[server]\ntrusted_proxies = '10.0.0.1'",
            'opus.toml: [server] trusted_proxies must be a list of strings, such as ["a", "b"]',
        ),
        (
            "[jobs]\nmin_free = '1 GiBi'",
            'opus.toml: [jobs] min_free must be an integer or a string such as "2 GiB", '
            "not '1 GiBi'",
        ),
        (
            "[supervisor]\npoll_interval = nan",
            'opus.toml: [supervisor] poll_interval must be a number or a string such as "2 h", '
            "not nan",
        ),
        (
            "[manager]\nuse = 3",
            "opus.toml: [manager] use must be a name, such as 'local', not 3",
        ),
        (
            "[client]\nmerg = true",
            "opus.toml: [client] has no key merg; did you mean merge?"
            " Legal: merge, servers, samp, host, port",
        ),
        (
            "[plugins]\nxyz = 1",
            "opus.toml: [plugins] has no key xyz; legal: disabled",
        ),
        (
            "base_ulr = 'x'",
            "opus.toml: has no key base_ulr; did you mean base_url? "
            "Legal: base_url, data_dir, debug, log_file, log_format, log_level, log_requests",
        ),
        (
            "[sever]",
            "opus.toml: there is no table [sever]; did you mean server? Legal: server, "
            "supervisor, client, jobs, auth, storage, manager, jdl, plugins",
        ),
        (
            "base_url = 'opus.example.org'",
            "opus.toml: base_url: 'opus.example.org' is not a URL of http or https without a query",
        ),
        (
            "[server]\nthreads = 8\nwait_slots = 8",
            "opus.toml: [server] wait_slots (8) must be less than threads (8), or waiting clients "
            "would leave no thread to answer the others",
        ),
        (
            "[server]\ncors_origins = ['https://example.org/']",
            "opus.toml: [server] cors_origins: 'https://example.org/' is not an origin, such as "
            '"https://example.org"',
        ),
        (
            "[auth]\njob_servers = ['head']",
            "opus.toml: [auth] job_servers: 'head' is no address or network, such as 192.0.2.7 or "
            "192.0.2.0/24",
        ),
        (
            "[jobs]\nexecution_duration_max = 600",
            "opus.toml: [jobs] execution_duration (3600) is beyond execution_duration_max (600); "
            "set both",
        ),
        (
            "[jobs]\ndestruction_days = 0",
            "opus.toml: [jobs] destruction_days (0, no limit) is beyond destruction_days_max "
            "(365); set both",
        ),
    ],
)
def test_a_mistake_is_one_sentence_with_file_table_key_and_way_out(tmp_path, text, sentence):
    assert refusal(tmp_path, text) == sentence


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "0.0.0.0", "*", "::", "[::1]", "fe80::1%eth0"),
        *("localhost", "opus_web", "a-1.b2.", "1.example.org", "bücher.example"),
    ],
)
def test_an_address_or_a_name_can_be_listened_on(host):
    assert Server(host=host).host == host


@pytest.mark.parametrize(
    "host", ["", " ", "999.1.1.1", "1.2.3", "7", "not a host", "a..b", "a:80", "http://a", "a\0b"]
)
def test_anything_else_cannot(host):
    with pytest.raises(ValueError, match=r"^host"):
        Server(host=host)


TABLES = (
    sections.Server,
    sections.Supervisor,
    sections.Client,
    sections.Selection,
    sections.Jobs,
    sections.Auth,
    sections.Plugins,
)
NO_KEYS = ("options", "tables", "path", "base")


@pytest.mark.parametrize("table", [Config, *TABLES])
def test_every_key_says_what_it_is_for(table):
    hints = typing.get_type_hints(table)
    for key in dataclasses.fields(table):
        if key.name not in NO_KEYS and hints[key.name] not in TABLES:
            assert key.metadata["help"].endswith("."), key.name


# --- what follows from it


def test_anybody_may_run_jobs_only_while_no_other_machine_can_ask(tmp_path):
    assert read(tmp_path, "[server]\nhost = '::1'").anonymous
    assert read(tmp_path, "[server]\nhost = 'localhost'").anonymous_list
    assert not read(tmp_path, "[server]\nhost = '0.0.0.0'").anonymous
    assert not read(tmp_path, "[server]\nhost = 'opus.example.org'").anonymous


def test_an_auth_table_allows_what_it_says_and_no_more(tmp_path):
    assert not read(tmp_path, "[auth]").anonymous
    config = read(tmp_path, "[auth]\nanonymous = true")
    assert config.anonymous
    assert not config.anonymous_list


def test_the_list_of_anonymous_jobs_is_empty_where_nobody_may_be_anonymous(tmp_path):
    assert not read(tmp_path, "[auth]\nanonymous_list = true").anonymous_list


def test_under_another_program_loopback_means_nothing_and_nobody_supervises(tmp_path):
    config = load(environ={}, cwd=tmp_path).under_wsgi()

    assert not config.anonymous
    assert not config.anonymous_list
    assert not config.embedded
    asked = read(tmp_path, "[supervisor]\nembedded = true\n[auth]\nanonymous = true").under_wsgi()
    assert asked.anonymous
    assert asked.embedded


def test_half_of_the_threads_may_wait_and_a_quarter_of_those_for_one_user():
    config = Config(server=Server(threads=40))
    assert (config.wait_slots, config.wait_per_user) == (20, 5)
    smallest = Config(server=Server(threads=2))
    assert (smallest.wait_slots, smallest.wait_per_user) == (1, 1)


def test_a_home_folder_may_be_written_with_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/opus")
    config = read(tmp_path, "data_dir = '~/data'\nlog_file = '~/opus.log'")
    assert config.data_dir == Path("/home/opus/data")
    assert config.log_file == Path("/home/opus/opus.log")


# --- options of a back end


@dataclass(frozen=True, kw_only=True)
class Options:
    url: str = field(metadata={"help": "Where the database is."})
    retries: int = 3
    pause: float = 0.5
    safe: bool = True
    file: Path = Path("opus.db")
    password_file: Path | None = None
    mode: Literal["fast", "slow"] = "fast"
    arguments: tuple[str, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)


def test_options_are_filled_by_type_with_paths_made_absolute():
    options = filled(
        Options,
        {
            "url": "u",
            "pause": 2,
            "password_file": "secret/db",
            "mode": "slow",
            "arguments": ["-x"],
            "names": {"a": "b"},
        },
    )

    assert options == Options(
        url="u",
        pause=2.0,
        file=Path("/data/opus.db"),
        password_file=Path("/etc/opus/secret/db"),
        mode="slow",
        arguments=("-x",),
        names={"a": "b"},
    )
    assert isinstance(options.pause, float)


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({}, "x.toml: [t] needs the key url: Where the database is."),
        ({"url": "u", "mode": "fas"}, "x.toml: [t] mode must be 'fast' or 'slow', not 'fas'"),
        ({"url": "u", "names": {"a": 1}}, "x.toml: [t] names must be a table of strings"),
        (
            {"url": "u", "password": "123"},
            "x.toml: [t] has no key password: a secret does not stand here; "
            "name a file in password_file",
        ),
        ({"url": "u", "pause": "1"}, "x.toml: [t] pause must be a number, not '1'"),
    ],
)
def test_options_that_cannot_be_filled_are_one_sentence(table, sentence):
    with pytest.raises(ConfigError) as caught:
        filled(Options, table)
    assert str(caught.value) == sentence


def test_what_a_class_refuses_by_itself_is_told_with_the_table():
    @dataclass(frozen=True)
    class Even:
        number: int = 1

        def __post_init__(self) -> None:
            if self.number % 2:
                raise ValueError(f"number must be even, not {self.number}")

    assert filled(Even, {"number": 2}) == Even(2)
    with pytest.raises(ConfigError, match=r"^x\.toml: \[t\] number must be even, not 3$"):
        filled(Even, {"number": 3})


def test_options_of_a_back_end_that_has_none_take_no_key():
    @dataclass(frozen=True)
    class Nothing:
        pass

    with pytest.raises(ConfigError, match=r"\[t\] has no key a; it has none at all"):
        filled(Nothing, {"a": 1})


def test_a_class_that_no_table_can_fill_is_known_beforehand():
    @dataclass
    class Thawed:
        pass

    @dataclass(frozen=True)
    class Odd:
        when: list[int]

    @dataclass(frozen=True)
    class Nowhere:
        file: "Missing"  # noqa: F821, UP037

    assert settings.fault(Options) is None
    assert settings.fault(dict) == "Options is not a dataclass"
    assert "is not frozen" in settings.fault(Thawed)
    assert "Options.when is of a type that no table can fill" in settings.fault(Odd)
    assert "cannot be read: NameError" in settings.fault(Nowhere)


def test_behind_a_proxy_nobody_is_let_in_unknown_by_default(tmp_path):
    file = tmp_path / "opus.toml"
    file.write_text('base_url = "https://opus.example.org"\n')
    assert not load(file).anonymous
    assert not load(file).anonymous_list
    file.write_text('base_url = "http://localhost:8080"\n')
    assert load(file).anonymous


@pytest.mark.parametrize("word", ["ERORR", "erorr", "Errro"])
def test_what_is_near_is_found_in_whatever_case_both_are_written(word):
    assert settings.nearest(word, ("COMPLETED", "ERROR")) == "; did you mean ERROR?"
