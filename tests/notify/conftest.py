"""Receivers, postboxes and certificates; nothing of them outlives its test."""

from __future__ import annotations

import ssl
import subprocess

import pytest

from notify.helpers.postbox import postbox
from notify.helpers.receiver import receiver
from opus_core.testing.memory import MemoryOptions, MemoryStorage


@pytest.fixture
def hook():
    with receiver() as found:
        yield found


@pytest.fixture
def box():
    with postbox() as found:
        yield found


@pytest.fixture
def storage(tmp_path):
    yield MemoryStorage(MemoryOptions(universe=str(tmp_path)))
    MemoryStorage.forget(str(tmp_path))


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A certificate for localhost that signs itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
    command += (
        f" -subj /CN=localhost -addext subjectAltName=DNS:localhost -out {cert} -keyout {key}"
    )
    subprocess.run(command.split(), check=True, capture_output=True)
    return cert, key


@pytest.fixture
def context(certificate):
    found = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    found.load_cert_chain(*certificate)
    return found


@pytest.fixture
def trusted(certificate, monkeypatch):
    """The certificate is one that the system trusts."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
