"""A real Apache on a loopback port, with mod_wsgi or as a proxy, as `opus init` sets it up.

Nothing of the system's Apache is used but its programs, and all it writes is in a temporary folder.
Where root runs the tests, whatever it serves runs as nobody, and Apache itself as another user.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from wheels import CHECKOUT, sources

MODULES = Path("/usr/lib/apache2/modules")
PAGE = CHECKOUT / "docs" / "admin" / "deployment.md"
PYTHON = Path("/usr/bin/python3")  # mod_wsgi's own: a venv of another one does not fit in
PROGRAM = "/usr/sbin/apache2"
HOST = "opus.example.org"  # a name that is not of this machine alone
NOBODY = (
    ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"] if os.getuid() == 0 else []
)

_HTTPD = """\
ServerRoot {run}
ServerName localhost
Listen 127.0.0.1:{port}
Timeout 2
PidFile {run}/httpd.pid
Mutex file:{run} default
DefaultRuntimeDir {run}
ErrorLog {run}/error.log
{user}
{modules}
<VirtualHost 127.0.0.1:{port}>
{site}
</VirtualHost>
"""
_TLS = """\
Listen 127.0.0.1:{port}
<VirtualHost 127.0.0.1:{port}>
SSLEngine On
SSLCertificateFile {certificate}
{site}
</VirtualHost>
"""

# Who says `Authorization: Bearer NAME` is NAME.
_DOOR = """\
from opus_core import hookimpl
from opus_core.backends import User


@hookimpl
def opus_authenticate(request):
    scheme, _, name = request.headers.get("authorization", "").partition(" ")
    return User(name=name) if scheme == "Bearer" else None
"""


def lacking(sentence: str) -> None:
    """Skip for want of something, saying so; with CI=true that is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(sentence)
    pytest.skip(sentence)


def check() -> None:
    """Skip where there is no Apache to be had."""
    needed = [Path(PROGRAM), PYTHON, MODULES / "mod_wsgi.so"]
    missing = [str(path) for path in needed if not path.exists()]
    if missing:
        lacking(
            f"there is no {' and no '.join(missing)}; Debian's apache2-bin, python3-venv and"
            " libapache2-mod-wsgi-py3 have them (tests/services/install)"
        )


@contextmanager
def installed() -> Iterator[Path]:
    """A venv that mod_wsgi can use, with all that is in this checkout."""
    check()
    folder = Path(tempfile.mkdtemp(prefix="opus-apache-"))
    try:
        folder.chmod(0o755)  # pytest's own folders may be entered by their owner alone
        venv = folder / "venv"
        _run([PYTHON, "-m", "venv", venv])
        pip = [venv / "bin" / "python", "-m", "pip", "install", "--quiet"]
        _run([*pip, "hatchling"])
        built = folder / "sources"  # pip builds in place, and that shall not be the checkout
        for source in sources():
            skipped = shutil.ignore_patterns("__pycache__", "*.egg-info", "dist")
            shutil.copytree(source, built / source.relative_to(CHECKOUT), ignore=skipped)
        shutil.copytree(CHECKOUT / "examples", built / "examples")
        shutil.copy(CHECKOUT / "LICENSE", built)
        distributions = [built / source.relative_to(CHECKOUT) for source in sources()]
        _run([*pip, "--no-build-isolation", *distributions])
        _add_door(next(venv.glob("lib/python3*/site-packages")))
        yield venv
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(command: list[str | Path]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode:
        lacking(f"{' '.join(map(str, command[:5]))} failed: {done.stderr.strip()[-500:]}")


def _add_door(packages: Path) -> None:
    """A plugin that is installed as pip would leave it."""
    (packages / "apache_door.py").write_text(_DOOR)
    info = packages / "apache_door-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: apache-door\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[opus]\ndoor = apache_door\n")


def init(venv: Path, folder: Path) -> None:
    """`opus init` in a folder that nobody may come to, and what the page says beside."""
    user = ["--user", "nobody"] if NOBODY else []
    subprocess.run(
        [venv / "bin" / "opus", "init", folder, *user], check=True, capture_output=True, timeout=60
    )
    [command] = re.findall("^chmod .* /srv/opus$", PAGE.read_text(), re.MULTILINE)
    subprocess.run([*command.split()[:-1], folder], check=True)


def start(
    folder: Path, port: int, site: str, tls: int | None = None, certificate: Path | None = None
) -> subprocess.Popen[bytes]:
    """Apache in this folder; `site` is what its virtual host has, or both with the port `tls`."""
    run = folder / "run"
    run.mkdir(exist_ok=True)
    names = ["mpm_event", "authz_core", "alias"]
    names += ["proxy", "proxy_http", "headers"] if "ProxyPass" in site else ["wsgi"]
    names += ["xsendfile"] if "XSendFile" in site else []
    names += ["ssl"] if tls else []
    # What it sends itself it has to read, as one of OPUS's group.
    group = "nogroup" if "XSendFile" in site else "www-data"
    here = [name for name in names if (MODULES / f"mod_{name}.so").exists()]
    assert here == names
    config = folder / "httpd.conf"
    config.write_text(
        _HTTPD.format(
            run=run,
            port=port,
            user=f"User www-data\nGroup {group}" if NOBODY else "",
            modules="\n".join(f"LoadModule {one}_module {MODULES}/mod_{one}.so" for one in names)
            + (f"\nWSGISocketPrefix {run}/wsgi" if "wsgi" in names else ""),
            site=site,
        )
        + (_TLS.format(port=tls, certificate=certificate, site=site) if tls else "")
    )
    with (run / "out.log").open("ab") as log:
        return subprocess.Popen(
            [PROGRAM, "-f", config, "-D", "FOREGROUND"], cwd="/", stdout=log, stderr=log
        )


def replaced(text: str, pattern: str, by: str) -> str:
    """The text with what an admin would change in one place."""
    found, times = re.subn(pattern, by, text, flags=re.MULTILINE)
    assert times == 1, f"{pattern} is there {times} times"
    return found
