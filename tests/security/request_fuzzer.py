"""Give nearly right requests to an application in this process: `request_fuzzer.py FOLDER`.

To be run by somebody without rights. Prints how many there were, and which answers they had.
"""

from __future__ import annotations

import io
import json
import re
import sys
from collections import Counter
from pathlib import Path
from urllib.parse import quote

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lxml import etree

from opus_core.app import examples, open_opus
from opus_core.config import load
from security.fuzzing import Fuzzer

SHARE = 0.2


def request(data: bytes) -> dict[str, object]:
    """The environ of what a client has sent: method and address, headers, a body."""
    head, _, body = data.partition(b"\n\n")
    first, *lines = head.split(b"\n")
    method, _, target = first.partition(b" ")
    path, _, query = target.partition(b"?")
    environ: dict[str, object] = {
        "REQUEST_METHOD": re.sub(r"[^A-Z]", "", method.decode("latin-1"))[:20] or "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": path.decode("latin-1") or "/",
        "QUERY_STRING": quote(query, safe="%&=?/:+;,-_.~!*'()@$"),
        "CONTENT_LENGTH": str(len(body)),
        "REMOTE_ADDR": "192.0.2.7",
        "HTTP_HOST": "opus.test",
        "SERVER_NAME": "opus.test",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.url_scheme": "http",
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.version": (1, 0),
    }
    for line in lines[:40]:
        name, _, value = line.partition(b":")
        key = re.sub(r"[^A-Z_]", "", name.decode("latin-1").upper().replace("-", "_"))
        text = re.sub(r"[\r\n\x00]", "", value.decode("latin-1")).strip()
        environ["CONTENT_TYPE" if key == "CONTENT_TYPE" else f"HTTP_{key}"] = text
    return environ


def check(environ: dict[str, object], status: int, headers: dict[str, str], body: bytes) -> None:
    """An answer is one of ours, whatever was asked."""
    assert status < 500 or (status == 503 and "Retry-After" in headers), (status, body[:300])
    kind = headers.get("Content-Type", "")
    if environ["REQUEST_METHOD"] != "HEAD" and body and status != 304:
        if kind.startswith("application/xml"):
            etree.fromstring(body)
        elif kind.startswith("application/json"):
            json.loads(body)
    for name, value in headers.items():
        assert not re.search(r"[\r\n\x00]", name + value), name
    if (location := headers.get("Location")) is not None:
        host = re.escape(
            str(environ["HTTP_HOST"] or environ["SERVER_NAME"])
        )  # PEP 3333: in its place
        assert re.match(rf"https?://{host}/", location), location
    assert b"Traceback" not in body
    assert headers["X-Content-Type-Options"] == "nosniff"


def main(folder: Path) -> None:
    config = folder / "app.toml"
    config.write_text(
        'data_dir = "data"\n[auth]\nanonymous = true\n[jobs]\nmin_free = 0\nmax_wait = 0\n'
    )
    opus = open_opus(load(config), supervises=False)
    there = examples()
    assert there is not None
    opus.catalogue.install_examples(there)
    opus.catalogue.publish(opus.catalogue.published("periodogram").definition, "tests")
    app = opus.wsgi()
    answers: Counter[str] = Counter()

    def give(data: bytes) -> None:
        environ = request(data)
        said: dict[str, object] = {}

        def start_response(status, headers, exc_info=None):
            said.update(status=int(status[:3]), headers=dict(headers))
            return lambda data: None

        result = app(dict(environ), start_response)
        try:
            body = b"".join(result)
        finally:
            if hasattr(result, "close"):
                result.close()
        check(environ, said["status"], said["headers"], body)
        answers[str(said["status"])] += 1

    tried = Fuzzer("uws").run(SHARE, give, folder)
    opus.close()
    print(json.dumps([tried, answers]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
