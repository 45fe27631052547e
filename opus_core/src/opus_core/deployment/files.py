"""The files for Apache, nginx and systemd that `opus init` writes, each with its reasons in it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import jinja2

from opus_core.config import Config

PATIENCE: Final = 60  # [s] that a time-out in front is beyond the longest WAIT

BESIDE: Final = ("wsgi.py", "apache.conf")
DEPLOY: Final = (
    "deploy/apache-proxy.conf",
    "deploy/nginx.conf",
    "deploy/opus-serve.service",
    "deploy/opus-supervise.service",
)
_MOUNT: Final = "/opus"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """What the files depend on."""

    config: Config  # of a file
    file: Path  # that one, absolute
    user: str | None = None  # that the server runs as; None: whoever starts it
    apache_user: str | None = None  # the same, where Apache has to be told

    def files(self) -> Iterator[tuple[str, str]]:
        """Each file as (path below the folder of `opus.toml`, text)."""
        words = self._words()
        for name in (*BESIDE, *DEPLOY):
            template = name.removeprefix("deploy/")
            yield name, _ENVIRONMENT.get_template(f"{template}.j2").render(words)

    def _words(self) -> dict[str, Any]:
        config = self.config
        folder, jobs = self.file.parent, config.jobs_folder
        return {
            "config": str(self.file),
            "folder": str(folder),
            "jobs": None if jobs.is_relative_to(folder) else str(jobs),
            "user": self.user,
            "apache_user": self.apache_user,
            "user_header": config.auth.user_header,
            "prefix": sys.prefix,
            "program": f"{sys.prefix}/bin/opus",
            "mount": mount(config),
            "backend": backend(config),
            "threads": config.server.threads,
            "patience": config.jobs.max_wait + PATIENCE,
            "largest": largest(config),
        }


def mount(config: Config) -> str:
    """The path at which users find the server, without a slash at its end."""
    return _MOUNT if config.base_url is None else urlsplit(config.base_url).path.rstrip("/")


def backend(config: Config) -> str:
    """Where a proxy on the same machine finds `opus serve`."""
    host = config.server.host
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  not listened on
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{config.server.port}"


def largest(config: Config) -> int:
    """The largest body that OPUS takes [byte]; beyond it, OPUS or what is in front says 413."""
    return config.jobs.max_upload + config.server.max_body


def _quoted(text: str) -> str:
    """As Apache reads an argument."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _path(text: str) -> str:
    """As systemd reads one of several paths."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"' if re.search(r"[\s\\'\"]", text) else escaped


def _word(text: str) -> str:
    """As systemd reads a word of a command."""
    return _path(text).replace("$", "$$")


_ENVIRONMENT: Final = jinja2.Environment(
    loader=jinja2.PackageLoader("opus_core.deployment"),
    undefined=jinja2.StrictUndefined,
    keep_trailing_newline=True,
    trim_blocks=True,
    lstrip_blocks=True,
    autoescape=False,  # noqa: S701  these are no pages
)
_ENVIRONMENT.filters |= {"quoted": _quoted, "path": _path, "word": _word, "python": repr}
