from __future__ import annotations

import gzip
import hashlib
import ssl
import subprocess
import threading
import time
import zlib

import pytest

from core.helpers.origin import origin
from opus_core import connecting, fetching
from opus_core.errors import BadRequest, NotAllowed, NotFound, OpusError, TooLarge, Unavailable
from opus_core.fetching import Fetch, fetch
from opus_core.hosts import parse

HERE = ("127.0.0.1", "a.test", "b.test")
DATA = bytes(range(256)) * 1000


@pytest.fixture
def server():
    with origin() as server:
        yield server


def loopback(host, port):
    """A name service that knows every name, and has all of them lead here."""
    return ["127.0.0.1"]


def get(url, *hosts, look_up=loopback, **limits):
    limits = Fetch(
        **{"hosts": parse(hosts or HERE), "max_bytes": 1_000_000, "seconds": 10, **limits}
    )
    with fetch(url, limits, look_up=look_up) as found:
        return found.name, found.media_type, b"".join(found.chunks)


def test_a_file_comes_with_its_name_and_type(server):
    server.put("/data/table.csv", DATA, content_type="Text/CSV; charset=utf-8")
    assert get(server.at("/data/table.csv?x=1")) == ("table.csv", "text/csv", DATA)
    path, headers = server.seen[0]
    assert path == "/data/table.csv?x=1"
    assert headers["Host"] == f"127.0.0.1:{server.port}"
    assert headers["Accept-Encoding"] == "identity"
    assert not {"Authorization", "Cookie", "Referer"} & set(headers)


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('attachment; filename="m 31.fits.gz"', "m 31.fits.gz"),
        ("attachment; filename*=UTF-8''%C3%A9.fits", "é.fits"),
        ('attachment; filename="../../etc/passwd"', "passwd"),
        ('attachment; filename="C:\\\\a\\\\b.csv"', "b.csv"),
        ("inline", "x y"),
        ("", "x y"),
    ],
)
def test_the_server_may_name_it_but_not_a_folder(server, disposition, name):
    server.put("/dl/x%20y", b"1", content_disposition=disposition)
    assert get(server.at("/dl/x%20y"))[:2] == (name, "application/octet-stream")


def test_what_stands_in_a_url_in_clear_is_sent_as_bytes(server):
    server.put("/%C3%BC", b"1")
    assert get(server.at("/ü"))[2] == b"1"


# -- where it is connected to


def test_the_connection_goes_to_the_address_that_was_checked(server):
    """A name that leads elsewhere the second time gains nothing: it is looked up once."""
    server.put("/a", b"1")
    asked = []

    def rebinding(host, port):
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["192.0.2.1"]

    assert get(server.at("/a", "a.test"), look_up=rebinding)[2] == b"1"
    assert asked == ["a.test"]
    assert server.seen[0][1]["Host"] == f"a.test:{server.port}"


@pytest.mark.parametrize("hosts", [["public"], ["*.test"], ["10.0.0.0/8"]])
def test_a_name_that_leads_here_is_refused_unless_it_is_allowed(server, hosts):
    with pytest.raises(NotAllowed, match="at no address that this server may connect to"):
        get(server.at("/a", "x.test"), *hosts)
    assert server.seen == []


def test_only_permitted_ones_of_several_addresses_are_tried(server):
    server.put("/a", b"1")
    addresses = ["::1", "10.9.9.9", "127.0.0.1"]
    with pytest.raises(NotAllowed):
        get(server.at("/a", "x.test"), "public", look_up=lambda host, port: addresses)
    url = server.at("/a", "x.test")
    assert get(url, "127.0.0.0/8", look_up=lambda host, port: addresses)[2] == b"1"


def test_the_next_address_is_tried_if_one_does_not_answer(server):
    server.put("/a", b"1")
    addresses = ["127.9.9.9", "127.0.0.1"]  # nobody listens at the first
    assert get(server.at("/a", "a.test"), look_up=lambda host, port: addresses)[2] == b"1"


def test_a_proxy_of_the_environment_is_not_used(server, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    server.put("/a", b"1")
    assert get(server.at("/a"))[2] == b"1"


def test_the_real_name_service_is_asked(server):
    server.put("/a", b"1")
    assert get(server.at("/a", "localhost"), "localhost", look_up=fetching.look_up)[2] == b"1"
    with pytest.raises(Unavailable, match="has no address"):
        get("http://nowhere.invalid/", "public", look_up=fetching.look_up)


# -- redirections


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirection_is_followed(server, status):
    server.lead("/a", "/b/../c", status)
    server.put("/c", b"1")
    assert get(server.at("/a"))[2] == b"1"


def test_every_hop_is_checked(server):
    with origin() as inner:
        inner.put("/secret", b"1")
        server.lead("/a", inner.at("/secret", "b.test"))
        with pytest.raises(NotAllowed, match=r"nothing from 'b\.test'"):
            get(server.at("/a", "a.test"), "a.test")
        # Public by name, and here by address.
        with pytest.raises(NotAllowed, match="at no address"):
            get(server.at("/a", "a.test"), "a.test", "public")
        assert inner.seen == []
        assert get(server.at("/a", "a.test"), "a.test", "b.test")[2] == b"1"


@pytest.mark.parametrize(
    "location",
    ["ftp://a.test/x", "file:///x", "http://u:p@a.test/", "http://a.test/ x", "http://["],
)
def test_a_redirection_to_what_cannot_be_fetched_is_refused(server, location):
    server.lead("/a", location)
    with pytest.raises(BadRequest, match=r"cannot be fetched|is no URL"):
        get(server.at("/a", "a.test"))


def test_redirections_have_an_end(server):
    server.lead("/a", "/a")
    with pytest.raises(BadRequest, match="leads on more than 5 times"):
        get(server.at("/a"))
    assert len(server.seen) == fetching.REDIRECTS + 1
    server.put("/b", b"", 302)
    with pytest.raises(BadRequest, match="does not say where"):
        get(server.at("/b"))


# -- limits


@pytest.mark.parametrize("told", [True, False])
def test_a_file_that_is_too_large_is_given_up(server, told):
    server.put("/a", DATA, **({} if told else {"content_length": ""}))
    assert get(server.at("/a"), max_bytes=len(DATA))[2] == DATA
    with pytest.raises(TooLarge, match="more than the 255999 bytes"):
        get(server.at("/a"), max_bytes=len(DATA) - 1)


def test_a_server_that_drips_has_an_end(server):
    stop = threading.Event()

    def drip(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not stop.wait(0.05):
            handler.wfile.write(b"x")

    server.answers["/a"] = drip
    began = time.monotonic()
    with pytest.raises(BadRequest, match=r"did not come within 0\.4 s"):
        get(server.at("/a"), seconds=0.4)
    assert time.monotonic() - began < 5
    stop.set()


def test_a_head_that_drips_has_an_end(server):
    stop = threading.Event()

    def drip(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
        while not stop.wait(0.05):
            handler.wfile.write(b"x")

    server.answers["/a"] = drip
    with pytest.raises(BadRequest, match=r"did not come within 0\.4 s"):
        get(server.at("/a"), seconds=0.4)
    stop.set()


def test_silence_may_pass(server, monkeypatch):
    monkeypatch.setattr(connecting, "SILENCE", 0.2)
    stop = threading.Event()
    server.say("/a", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1", then=lambda: stop.wait(20))
    with pytest.raises(Unavailable, match=r"was silent for 0\.2 s"):
        get(server.at("/a"))
    stop.set()


@pytest.fixture
def hanging():
    """A name service that does not answer before the end of the test."""
    end = threading.Event()

    def look_up(host, port):
        end.wait(20)
        return ["127.0.0.1"]

    yield look_up
    end.set()


def test_a_name_service_that_hangs_counts_as_well(server, hanging, monkeypatch):
    begin = time.monotonic()
    with pytest.raises(BadRequest, match=r"did not come within 0\.3 s"):
        get(server.at("/a", "a.test"), look_up=hanging, seconds=0.3)
    monkeypatch.setattr(connecting, "SILENCE", 0.2)
    with pytest.raises(Unavailable, match=r"was silent for 0\.2 s"):
        get(server.at("/a", "a.test"), look_up=hanging)
    assert time.monotonic() - begin < 5
    assert server.seen == []


def test_a_name_service_that_hangs_does_not_use_up_all_threads(server, hanging, monkeypatch):
    monkeypatch.setattr(connecting, "_LOOK_UPS", threading.BoundedSemaphore(2))
    for _ in range(2):
        with pytest.raises(BadRequest):
            get(server.at("/a", "a.test"), look_up=hanging, seconds=0.1)
    with pytest.raises(Unavailable, match="the name service does not answer"):
        get(server.at("/a", "a.test"), look_up=hanging)


class Unwanted(Exception):
    pass


@pytest.mark.parametrize("where", ["name", "head", "body"])
def test_who_waits_for_something_hears_that_nobody_wants_it(server, hanging, monkeypatch, where):
    monkeypatch.setattr(connecting, "_LOOK", 0.05)
    stop, begin = threading.Event(), time.monotonic()
    head = {"head": b"HTTP/1.1 200", "body": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1"}
    server.say("/a", head.get(where, b""), then=lambda: stop.wait(20))

    def wanted():
        if time.monotonic() - begin > 0.5:
            raise Unwanted

    limits = Fetch(hosts=parse(HERE))
    look_up = hanging if where == "name" else loopback
    with pytest.raises(Unwanted):
        with fetch(server.at("/a", "a.test"), limits, look_up=look_up, wanted=wanted) as found:
            b"".join(found.chunks)
    assert 0.4 < time.monotonic() - begin < 5
    stop.set()


# -- answers


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (204, BadRequest),
        (206, BadRequest),
        (304, BadRequest),
        (400, BadRequest),
        (401, BadRequest),
        (403, BadRequest),
        (404, NotFound),
        (408, Unavailable),
        (410, NotFound),
        (429, Unavailable),
        (500, Unavailable),
        (503, Unavailable),
    ],
)
def test_whether_another_try_may_help_is_told_by_the_status(server, status, error):
    server.put("/a", b"", status)
    with pytest.raises(error, match=f"its server answers {status}") as caught:
        get(server.at("/a"))
    assert caught.value.transient is (error is Unavailable)


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1234"], "ended 5 bytes too early"),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n123"], "could not be read"),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"], "could not be read"),
        ([b"SSH-2.0-OpenSSH_9.2\r\n"], "could not be read"),
        ([b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200], "could not be read"),
        ([b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000], "could not be read"),
        ([], "could not be read"),
    ],
)
def test_half_an_answer_is_none(server, said, sentence):
    server.say("/a", *said)
    with pytest.raises(Unavailable, match=sentence):
        get(server.at("/a"))


def test_nobody_listening_may_pass():
    with pytest.raises(Unavailable, match="Connection refused"):
        get("http://127.0.0.1:1/a")


def test_chunks_are_put_together(server):
    server.say(
        "/a",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"".join(b"100\r\n" + DATA[:256] + b"\r\n" for _ in range(500)) + b"0\r\n\r\n",
    )
    assert get(server.at("/a"))[2] == DATA[:256] * 500


# -- packed for the way


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "GZIP", "deflate"])
def test_what_was_packed_for_the_way_is_unpacked(server, coding):
    packed = zlib.compress(DATA) if coding == "deflate" else gzip.compress(DATA)
    server.put("/a.fits.gz", packed, content_encoding=coding, content_type="application/fits")
    assert get(server.at("/a.fits.gz")) == ("a.fits", "application/fits", DATA)


def test_a_packed_file_stays_as_it_is(server):
    packed = gzip.compress(DATA)
    server.put("/a.fits.gz", packed, content_type="application/gzip")
    assert get(server.at("/a.fits.gz")) == ("a.fits.gz", "application/gzip", packed)


def test_members_one_after_the_other_are_one_file(server):
    body = gzip.compress(DATA) + gzip.compress(b"end")
    server.put("/a", body, content_encoding="gzip")
    assert get(server.at("/a"))[2] == DATA + b"end"


def test_a_bomb_does_not_go_off(server):
    server.put("/a", gzip.compress(bytes(50_000_000)), content_encoding="gzip")
    with pytest.raises(TooLarge):
        get(server.at("/a"))


@pytest.mark.parametrize(
    ("body", "coding", "error"),
    [
        (b"plain", "gzip", BadRequest),
        (gzip.compress(DATA)[:-9], "gzip", Unavailable),
        (b"", "gzip", Unavailable),
        (b"x", "br", BadRequest),
        (b"x", "gzip, gzip", BadRequest),
    ],
)
def test_what_cannot_be_unpacked_is_refused(server, body, coding, error):
    server.put("/a", body, content_encoding=coding)
    with pytest.raises(error):
        get(server.at("/a"))


# -- TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for a.test that signs itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
    command += f" -subj /CN=a.test -addext subjectAltName=DNS:a.test -out {cert} -keyout {key}"
    subprocess.run(command.split(), check=True, capture_output=True)
    return cert, key


@pytest.fixture
def secure(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    with origin(context) as server:
        yield server


def test_tls_goes_to_the_checked_address_under_the_name_that_was_asked(
    secure, certificate, monkeypatch
):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    secure.put("/a", DATA)
    body = get(secure.at("/a", "a.test", "https"))[2]
    assert hashlib.sha256(body).digest() == hashlib.sha256(DATA).digest()
    assert secure.names == ["a.test"]
    assert secure.seen[0][1]["Host"] == f"a.test:{secure.port}"


def test_a_certificate_for_another_name_is_not_trusted(secure, certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    with pytest.raises(BadRequest, match=r"cannot be trusted: .*b\.test"):
        get(secure.at("/a", "b.test", "https"))
    assert secure.seen == []


def test_a_certificate_of_nobody_is_not_trusted(secure):
    with pytest.raises(BadRequest, match="cannot be trusted"):
        get(secure.at("/a", "a.test", "https"))


def test_https_is_not_spoken_with_a_server_that_does_not(server):
    with pytest.raises(Unavailable, match="could not be read"):
        get(server.at("/a", "a.test", "https"))


def test_tls_that_drips_has_an_end(secure, certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    stop = threading.Event()

    def drip(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not stop.wait(0.05):
            handler.wfile.write(b"x")

    secure.answers["/a"] = drip
    with pytest.raises(BadRequest, match="did not come within"):
        get(secure.at("/a", "a.test", "https"), seconds=0.6)
    stop.set()


def test_what_goes_wrong_while_it_is_stored_is_not_the_servers_fault(server):
    server.put("/a", DATA)

    def store() -> None:
        with fetch(server.at("/a"), Fetch(hosts=parse(HERE))) as found:
            next(found.chunks)
            raise OSError("the disk")

    with pytest.raises(OSError, match="disk"):
        store()
    assert not issubclass(OSError, OpusError)
