"""What a job is given: a file of any size, or a URL."""

from __future__ import annotations

import hashlib
import http.client
import re
from pathlib import Path

import pytest

from core.helpers.origin import origin
from servers import LEDGER_WADL, eventually, site

COPY_WADL = LEDGER_WADL.replace(
    '<param style="query" name="code"',
    '<param style="query" name="file" type="file" required="false"/>\n'
    '          <param style="query" name="code"',
)
MIB = 2**20


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    with site(tmp_path_factory.mktemp("inputs")) as opened:
        opened.configure(jobs='max_upload = "1 GiB"\nfetch_hosts = ["127.0.0.1"]')
        opened.describe("copy", 'cat "$file" > "$output"', COPY_WADL)
        opened.serve()
        yield opened


def memory(pid: int, key: str) -> int:
    """A figure of the process [byte]."""
    return int(re.search(rf"{key}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())[1]) * 1024


def test_a_large_upload_takes_disk_and_no_memory(one):
    """Ten times what the memory may grow by is enough to tell; it is so with a gigabyte, too."""
    [server] = one.processes
    piece, pieces = bytes(range(256)) * 4096, 200  # of a MiB
    head = b'--f\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    tail = b'\r\n--f\r\nContent-Disposition: form-data; name="ledger"\r\n\r\n-\r\n--f--\r\n'
    connection = http.client.HTTPConnection("127.0.0.1", one.port, timeout=60)

    def sent():
        yield head
        for _ in range(pieces):
            yield piece
        yield tail

    one.create("copy", {"ledger": "-"}, run=False)  # whatever is loaded with the first request
    Path(f"/proc/{server.pid}/clear_refs").write_text("5")  # the peak begins anew
    before = memory(server.pid, "VmRSS")
    headers = {
        "Content-Type": "multipart/form-data; boundary=f",
        "Content-Length": str(len(head) + pieces * len(piece) + len(tail)),
    }
    connection.request("POST", "/rest/copy", sent(), headers)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    assert answer.status == 303
    assert memory(server.pid, "VmHWM") - before < 20 * MIB
    digest = hashlib.sha256()
    for _ in range(pieces):
        digest.update(piece)
    folder = one.job_folder(answer.headers["Location"].rpartition("/")[2])
    assert [file.name for file in (folder / "input").iterdir()] == [digest.hexdigest()]
    assert list((one.folder / "data" / "spool").iterdir()) == []
    one.request("DELETE", answer.headers["Location"])


def test_a_job_runs_on_what_its_url_leads_to(one):
    data = b"1 2 3\n" * 100_000
    with origin() as server:
        server.lead("/start", "/data/table.txt")
        server.put("/data/table.txt", data, content_type="text/plain")
        url = server.at("/start")
        job = one.create("copy", {"ledger": "-", "file": url})
        assert one.wait(job) == "COMPLETED"
    assert one.get(f"{job}/results/output").body == data
    assert one.get(f"{job}/parameters/file").body == data
    [shown] = [entry for entry in one.document(job)["parameters"] if entry["id"] == "file"]
    assert shown["byReference"] is True
    assert shown["href"] == url
    assert shown["sha256"] == hashlib.sha256(data).hexdigest()


def test_a_url_that_leads_into_the_site_ends_the_job_with_the_reason(one):
    with origin() as server:
        server.lead("/start", "http://169.254.169.254/latest/meta-data/")
        job = one.create("copy", {"ledger": "-", "file": server.at("/start")})
        assert one.wait(job) == "ERROR"
    error = one.document(job)["errorSummary"]
    assert error["type"] == "fatal"
    assert "fetches nothing from '169.254.169.254'" in error["message"]
    assert one.post("/rest/copy", {"ledger": "-", "file": "http://[::1]:8080/"}).status == 403


def test_a_job_whose_input_is_slow_can_be_aborted_and_deleted(one):
    with origin() as server:
        stop = []

        def drip(handler):
            handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            while not stop:
                handler.wfile.write(b"x")

        server.answers["/slow"] = drip
        job = one.create("copy", {"ledger": "-", "file": server.at("/slow")})
        eventually(lambda: server.seen)
        assert one.post(f"{job}/phase", {"PHASE": "ABORT"}).status == 303
        assert one.phase(job) == "ABORTED"
        assert one.request("DELETE", job).status == 303
        folder = one.job_folder(job.rpartition("/")[2])
        eventually(lambda: not folder.exists())
        stop.append(True)
