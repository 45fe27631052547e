"""The configuration: `opus.toml` read into frozen values, every mistake told in one sentence.

`load` finds and reads the file; `Config` is what the rest of the core is given. A key that may be
None says in its `help` what absence means; the properties of `Config` answer with that worked out.
The keys of each table stand in `opus_core.sections`.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from opus_core.errors import ConfigError
from opus_core.sections import (
    Auth,
    Client,
    Jobs,
    Plugins,
    Selection,
    Server,
    Supervisor,
    check_url,
    option,
)
from opus_core.settings import choice, fill, read, shown
from opus_core.values import is_loopback

__all__ = [
    "Auth",
    "Client",
    "Config",
    "Jobs",
    "Plugins",
    "Selection",
    "Server",
    "Supervisor",
    "fill",
    "load",
    "load_what_is_right",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All of `opus.toml`. `Config()` is what an empty folder gives."""

    base_url: str | None = option(
        None, "How users reach this server, in every URL it writes; absent: as the request says."
    )
    data_dir: Path = field(
        default=Path("opus-data"),
        metadata={
            "help": "Where OPUS keeps what it has; absent: `opus-data` beside this file, or the "
            "folder of this file if that is called so."
        },
    )
    debug: bool = option(False, "Error pages show where in the program it went wrong.")
    log_file: Path | None = field(
        default=None,
        metadata={"help": "The log, from data_dir on; absent: it goes to standard error."},
    )
    log_format: Literal["text", "json"] = option(
        "text", "How a line of the log is written: for people, or as an object for programs."
    )
    log_level: Literal["debug", "info", "warning", "error"] | None = option(
        None,
        "What the log has: this, and what is worse; absent: info, and under WSGI without log_file "
        "warning, since the log is the web server's then.",
    )
    log_requests: bool = option(
        False,
        "Whether the log has a line for each request; without, for those alone that the server has "
        "failed to answer.",
    )

    server: Server = field(default_factory=Server)
    supervisor: Supervisor = field(default_factory=Supervisor)
    client: Client = field(default_factory=Client)
    storage: Selection = field(default_factory=lambda: Selection(use="sqlite"))
    manager: Selection = field(default_factory=lambda: Selection(use="local"))
    jdl: Selection = field(default_factory=lambda: Selection(use="wadl"))
    jobs: Jobs = field(default_factory=Jobs)
    auth: Auth = field(default_factory=Auth)
    plugins: Plugins = field(default_factory=Plugins)

    path: Path | None = None  # the file; None: there is none, and all this is by default
    base: Path = field(default_factory=Path.cwd)  # relative paths in the file begin here

    def __post_init__(self) -> None:
        check_url("base_url", self.base_url)
        if self.auth.user_header and not self.server.trusted_proxies:
            raise ValueError(
                "[auth] user_header counts of trusted proxies alone, and there are none; set"
                " trusted_proxies in [server]"
            )

    @property
    def level(self) -> str:
        """What the log has, as `log_level` names it."""
        return self.log_level or "info"

    @property
    def jobs_folder(self) -> Path:
        """Where the folders of jobs lie."""
        return self.jobs.folder or self.data_dir / "jobs"

    @property
    def wait_slots(self) -> int:
        """How many requests may wait at once."""
        slots = self.server.wait_slots
        return self.server.threads // 2 if slots is None else slots

    @property
    def wait_per_user(self) -> int:
        """How many requests of one user may wait at once."""
        slots = self.server.wait_per_user
        return max(1, self.wait_slots // 4) if slots is None else slots

    @property
    def embedded(self) -> bool:
        """Whether the process that serves also supervises."""
        return self.supervisor.embedded is not False

    @property
    def anonymous(self) -> bool:
        """Whether anybody may run jobs."""
        allowed = self.auth.anonymous
        return self.private if allowed is None else allowed

    @property
    def anonymous_list(self) -> bool:
        """Whether anybody may list the jobs of anonymous users."""
        listed = self.auth.anonymous_list
        return self.anonymous and (self.private if listed is None else listed)

    @property
    def private(self) -> bool:
        """Only this machine can ask `opus serve`: a base_url elsewhere tells of a proxy."""
        public = self.base_url is not None and not is_loopback(
            urlsplit(self.base_url).hostname or ""
        )
        return is_loopback(self.server.host) and not public

    def under_wsgi(self) -> Config:
        """The same where another program serves: it supervises nothing, knows no loopback, and
        says little in that program's own log."""
        auth, supervisor = self.auth, self.supervisor
        return replace(
            self,
            auth=replace(
                auth,
                anonymous=bool(auth.anonymous),
                anonymous_list=bool(auth.anonymous_list),
            ),
            supervisor=replace(supervisor, embedded=bool(supervisor.embedded)),
            log_level=self.log_level or ("info" if self.log_file else "warning"),
        )

    def where(self, table: str) -> str:
        """How a sentence about a table begins: `opus.toml: [manager]`."""
        return f"{_shown_path(self.path)}: [{table}]" if self.path else f"[{table}] by default:"


_TOP: Final = (
    *("base_url", "data_dir", "debug"),
    *("log_file", "log_format", "log_level", "log_requests"),
)
_SECTIONS: Final[Mapping[str, type[Any]]] = MappingProxyType(
    {
        "server": Server,
        "supervisor": Supervisor,
        "client": Client,
        "jobs": Jobs,
        "auth": Auth,
    }
)
_SELECTIONS: Final[Mapping[str, str]] = MappingProxyType(
    {"storage": "sqlite", "manager": "local", "jdl": "wadl"}
)
_TABLES: Final = (*_SECTIONS, *_SELECTIONS, "plugins")


def load(
    path: Path | None = None,
    environ: Mapping[str, str] = os.environ,
    cwd: Path | None = None,
) -> Config:
    """The configuration from `path`, or the file OPUS_CONFIG names, or `opus.toml` or
    `opus-data/opus.toml` in `cwd`; without any of them all is by default, in `cwd`.

    Raises `ConfigError` if a file that was named is not there, cannot be read, or has a mistake.
    """
    cwd = cwd or _here()
    found = _find(path, environ, cwd)
    if found is None:
        return Config(data_dir=cwd / "opus-data", base=cwd)
    return _config(_document(found), found)


def load_what_is_right(
    path: Path | None = None,
    environ: Mapping[str, str] = os.environ,
    cwd: Path | None = None,
) -> tuple[Config, dict[str, str]]:
    """The configuration as if each table, or key above all tables, that has a mistake were absent;
    and a sentence for each of these, by its name.

    For whoever looks for mistakes; nothing may be run by it. Raises `ConfigError` as `load` does if
    the file as a whole cannot be read.
    """
    cwd = cwd or _here()
    found = _find(path, environ, cwd)
    if found is None:
        return load(path, environ, cwd), {}
    document = _document(found)
    mistakes: dict[str, str] = {}
    while True:
        try:
            return _config(document, found), mistakes
        except ConfigError as error:
            wrong = next((key for key in document if _stands_in(key, document, found, error)), None)
            if wrong is None:
                raise
            mistakes[wrong] = error.sentence
            document = _without(wrong, document)


def _stands_in(key: str, document: Mapping[str, Any], path: Path, error: ConfigError) -> bool:
    """Whether the rest has no mistake, or another one."""
    try:
        _config(_without(key, document), path)
    except ConfigError as other:
        return other.sentence != error.sentence
    return True


def _without(key: str, document: Mapping[str, Any]) -> dict[str, Any]:
    return {other: value for other, value in document.items() if other != key}


def _find(path: Path | None, environ: Mapping[str, str], cwd: Path) -> Path | None:
    named, by = path, "--config"
    if named is None and environ.get("OPUS_CONFIG"):
        named, by = Path(environ["OPUS_CONFIG"]), "OPUS_CONFIG"
    if named is not None:
        if not _is_there(cwd / named):
            raise ConfigError(f"{by} names {named}, and there is no such file")
        return cwd / named
    usual = (cwd / "opus.toml", cwd / "opus-data" / "opus.toml")
    return next((file for file in usual if _is_there(file)), None)


def _is_there(path: Path) -> bool:
    """Whether there is something of that name. A link to nowhere is: who made it did not want all
    to be by default."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise ConfigError(f"{_shown_path(path)} cannot be looked for: {error.strerror}") from error
    return True


def _here() -> Path:
    try:
        return Path.cwd()
    except OSError as error:
        raise ConfigError(
            f"the current folder cannot be told: {error.strerror}; change to another one"
        ) from error


def _document(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        link = f", a link to {path.readlink()}," if path.is_symlink() else ""
        raise ConfigError(f"{_shown_path(path)}{link} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{_shown_path(path)} is not text in UTF-8: {error.reason}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{_shown_path(path)} is not valid TOML: {error}") from error


def _config(document: Mapping[str, Any], path: Path) -> Config:
    where, base = f"{_shown_path(path)}:", path.absolute().parent
    tables = _tables(document, where)
    top = {key: value for key, value in document.items() if key not in tables}
    beside = base if base.name == "opus-data" else base / "opus-data"
    values = read(Config, top, where=where, base=base, data_dir=base, keys=_TOP)
    data_dir: Path = values["data_dir"] if "data_dir" in top else beside
    values["data_dir"] = data_dir
    values["base_url"] = values["base_url"] and values["base_url"].rstrip("/")
    if values["log_file"]:
        values["log_file"] = data_dir / Path(top["log_file"]).expanduser()
    for name, section in _SECTIONS.items():
        at = f"{where} [{name}]"
        values[name] = fill(section, tables.get(name, {}), where=at, base=base, data_dir=data_dir)
    for name, default in _SELECTIONS.items():
        values[name] = _selection(tables.get(name, {}), f"{where} [{name}]", default)
    values["plugins"] = _plugins(tables.get("plugins", {}), f"{where} [plugins]", base)
    if "auth" in tables:
        # Who writes the table means it: what it does not allow is off, on loopback too.
        auth: Auth = values["auth"]
        values["auth"] = replace(
            auth, anonymous=bool(auth.anonymous), anonymous_list=bool(auth.anonymous_list)
        )
    try:
        return Config(**values, path=path, base=base)
    except ValueError as error:
        raise ConfigError(f"{where} {error}") from error


def _tables(document: Mapping[str, Any], where: str) -> dict[str, dict[str, Any]]:
    """The tables of the document; what else there is must be a key of the top."""
    tables = {}
    for name, value in document.items():
        if name in _TABLES:
            if not isinstance(value, dict):
                raise ConfigError(f"{where} {name} must be a table, [{name}], not {shown(value)}")
            tables[name] = value
        elif isinstance(value, dict) and name not in _TOP:
            raise ConfigError(f"{where} there is no table [{name}]{choice(name, _TABLES)}")
    return tables


def _selection(table: Mapping[str, Any], where: str, default: str) -> Selection:
    options = {key: value for key, value in table.items() if key != "use"}
    use = table.get("use", default)
    if not isinstance(use, str) or not use:
        raise ConfigError(f"{where} use must be a name, such as {default!r}, not {shown(use)}")
    return Selection(use=use, options=MappingProxyType(options))


def _plugins(table: Mapping[str, Any], where: str, base: Path) -> Plugins:
    tables = {key: value for key, value in table.items() if isinstance(value, dict)}
    keys = {key: value for key, value in table.items() if key not in tables}
    values = read(Plugins, keys, where=where, base=base, data_dir=base, keys=("disabled",))
    return Plugins(**values, tables=MappingProxyType(tables))


def _shown_path(path: Path) -> str:
    """A path as short as the admin would write it."""
    here = Path.cwd()
    under = path.is_relative_to(here) and here != here.parent  # programs run in / have no "here"
    return str(path.relative_to(here)) if under else str(path)
