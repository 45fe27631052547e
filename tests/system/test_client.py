"""The pages by themselves: `opus client`, in front of a server that has none."""

from __future__ import annotations

import json
import socket
from urllib.parse import quote

import pytest

from servers import Site, describe_ledger, site

PAGE = {"Accept": "text/html"}


@pytest.fixture
def bare(tmp_path):
    """A server without pages."""
    with site(tmp_path / "server") as one:
        one.configure(client="merge = false")
        describe_ledger(one)
        one.serve()
        yield one


def test_a_server_without_pages_and_pages_without_a_server(bare, tmp_path):
    job = bare.create("ledger", {"ledger": str(tmp_path / "ledger"), "text": "é"})
    assert bare.wait(job) == "COMPLETED"
    assert bare.get("/", headers=PAGE).headers["Content-Type"] == "application/json"
    assert bare.get("/account", headers=PAGE).status == 404
    with site(tmp_path / "client") as client:
        client.configure(client=f'servers = ["{bare.url}"]\nport = {client.port}')
        process = client.start("client")
        client.wait_until_up(process)
        assert bare.url[7:] in client.get("/", headers=PAGE).text
        listed = quote(f"{bare.url}/rest/ledger", safe="")
        assert client.get(f"/services/jobs?SERVICE={listed}", headers=PAGE).status == 200
        assert json.loads(client.get(f"/services/way?SERVICE={listed}").text) == {"proxy": True}
        asked = client.get(f"/services/proxy?URL={listed}", headers={"Accept": "application/json"})
        assert [one["phase"] for one in json.loads(asked.text)["jobs"]] == ["COMPLETED"]
        assert [one.name for one in (client.folder / "data").iterdir()] == ["opus.log"]
        process.terminate()
        assert process.wait(20) == 0
        said = (client.folder / "stdout.log").read_text()
        assert f"The OPUS client is at {client.url}/ for {bare.url}" in said


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "say which services the client is for"),
        (("--server", "opus.example.org"), "opus client: servers: 'opus.example.org' is not a URL"),
        (("--server", "http://127.0.0.1:9", "--host", "192.0.2.7"), "choose another [client] host"),
    ],
)
def test_what_is_wrong_with_it_is_one_sentence(tmp_path, words, sentence):
    done = Site(tmp_path).opus("client", "--port", "0", *words, check=False)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_port_that_is_taken(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        words = ("--server", "http://127.0.0.1:9", "--port", str(taken.getsockname()[1]))
        done = Site(tmp_path).opus("client", *words, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "choose another [client] port" in done.stderr
