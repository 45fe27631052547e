from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from wsgi import apache


@pytest.fixture(scope="session")
def venv() -> Iterator[Path]:
    """Where Apache finds OPUS; skips where there is no Apache."""
    with apache.installed() as found:
        yield found


@pytest.fixture(scope="session")
def certificate(tmp_path_factory) -> Path:
    """Of `apache.HOST`, with its key, in one file."""
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
    command += (
        f" -subj /CN={apache.HOST} -addext subjectAltName=DNS:{apache.HOST} -out {file} -keyout -"
    )
    done = subprocess.run(command.split(), check=True, capture_output=True)
    file.write_bytes(file.read_bytes() + done.stdout)
    return file
