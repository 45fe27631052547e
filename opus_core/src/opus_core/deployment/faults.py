"""What is wrong with the files by which OPUS is run for good, or with `opus.toml` for them.

Looked at are those in use: what of /etc names this installation, and what is included from there.
While none is in use, it is those that `opus init` wrote.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from opus_core import disk
from opus_core.config import Config
from opus_core.deployment import rules
from opus_core.deployment.files import BESIDE, DEPLOY, backend

_ETC: Final = (
    "apache2/sites-enabled/*",
    "apache2/conf-enabled/*",
    "apache2/conf-available/opus*",
    "httpd/conf.d/*.conf",
    "nginx/sites-enabled/*",
    "nginx/conf.d/*.conf",
    "nginx/snippets/*.conf",
    "systemd/system/*.service",
)
_LARGEST: Final = 2**20  # [byte] of a file that is looked at
_PROGRAM: Final = "wsgi.py"
_OURS: Final = tuple(name for name in (*BESIDE, *DEPLOY) if name != _PROGRAM)


def faults(config: Config, etc: Path = Path("/etc")) -> Iterator[str]:
    """A sentence for each thing that is wrong, naming the file and the way out.

    None where there is no `opus.toml`. What may not be read is passed over.
    """
    if config.path is None:
        return
    folders = list(dict.fromkeys((config.path.absolute().parent, config.data_dir)))
    programs = _read((folder / _PROGRAM for folder in folders), follow=False)
    used = dict(_in_use(config, folders, etc))
    for file, text in {**programs, **used}.items():
        yield from (f"{file}: {said}" for said in rules.rule(file.name, text)(config, text))
    for file, text in used.items():
        yield from (f"{file} is in use, and {said}" for said in _settings(config, file, text))
    if not used:
        ours = _read((folder / name for folder in folders for name in _OURS), follow=False)
        for file, text in ours.items():
            for said in rules.rule(file.name, text)(config, text):
                yield f"{file}: {said}; or remove the file, if nothing is to use it"


def _in_use(config: Config, folders: list[Path], etc: Path) -> Iterator[tuple[Path, str]]:
    """What of /etc names this installation, and its own files that are included from there."""
    own = [folder / name for folder in folders for name in _OURS]
    names = [re.escape(str(folder / _PROGRAM)) for folder in folders]
    names += [re.escape(str(config.path)), rf"{re.escape(backend(config))}(?!\d)"]
    found = (file for pattern in _ETC for file in sorted(etc.glob(pattern)))
    there = _read(found, follow=True)  # what is enabled often is a link, and root's
    for file, text in there.items():
        said = "\n".join(line for line in text.splitlines() if line.strip()[:1] != "#")
        included = _read((one for one in own if str(one) in said), follow=False)
        yield from included.items()
        if not included and re.search("|".join(names), said):
            yield file, text


def _read(files: Iterable[Path], *, follow: bool) -> dict[Path, str]:
    """Those that are there and may be read. Whoever owns a folder could make of a file there a link
    to one that only root may read, or a pipe that nobody writes to."""
    found = {}
    for file in files:
        with suppress(OSError, UnicodeDecodeError):
            found[file] = disk.read_whole(file, _LARGEST, follow=follow).decode()
    return found


def _settings(config: Config, file: Path, text: str) -> Iterator[str]:
    """What opus.toml has to say beside a file that is in use."""
    kind = rules.rule(file.name, text)
    if kind is rules.mod_wsgi and config.supervisor.embedded:
        yield (
            "[supervisor] embedded is true: Apache starts the supervisor with its first request"
            ' only, and kills jobs of the manager "local" when it stops; take embedded away, and'
            " run `opus supervise`"
        )
    if kind is rules.mod_wsgi:
        yield from rules.passage(text)
    if kind not in (rules.apache_proxy, rules.nginx):
        return
    if not config.server.trusted_proxies:
        lost = "" if config.base_url else ", and links lead to it, since base_url is absent, too"
        yield (
            f"[server] trusted_proxies is empty: all users have the proxy's address{lost}; set"
            ' trusted_proxies = ["127.0.0.1"]'
        )
    elif not config.base_url:
        yield (
            "base_url is absent, so OPUS takes the server for one that only this machine can reach;"
            " set it to the address that users call"
        )
