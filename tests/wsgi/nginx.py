"""A real nginx on a loopback port, with a location that `opus init` has written for it.

Nothing of the system's nginx is used but its program, and all it writes is in a folder of its own.
Where root runs the tests, whatever it serves runs as nobody.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from services_missing import lacking

PROGRAM = "/usr/sbin/nginx"
KEPT = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")  # what nginx would keep on its disk

_NGINX = """\
{user}
daemon off;
pid {run}/nginx.pid;
error_log {run}/error.log;
events {{}}
http {{
    access_log off;
    {kept}
    server {{
        listen 127.0.0.1:{port};
        listen 127.0.0.1:{tls} ssl;
        ssl_certificate {certificate};
        ssl_certificate_key {certificate};
        include {site};
    }}
}}
"""


def check() -> None:
    """Skip where there is no nginx to be had."""
    if not Path(PROGRAM).exists():
        lacking(f"there is no {PROGRAM}; Debian's nginx-light has it (tests/services/install)")


def start(run: Path, port: int, site: Path, tls: int, certificate: Path) -> subprocess.Popen[bytes]:
    """nginx that writes to `run`, on two ports; `site` is what the server block has."""
    run.mkdir(exist_ok=True)
    config = run / "nginx.conf"
    config.write_text(
        _NGINX.format(
            user="user nobody nogroup;" if os.getuid() == 0 else "",
            run=run,
            port=port,
            tls=tls,
            certificate=certificate,
            kept="\n    ".join(f"{name}_temp_path {run}/{name};" for name in KEPT),
            site=site,
        )
    )
    with (run / "out.log").open("ab") as log:
        return subprocess.Popen(
            [PROGRAM, "-c", config, "-e", run / "error.log"], cwd="/", stdout=log, stderr=log
        )
