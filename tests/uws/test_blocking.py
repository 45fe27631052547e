"""WAIT: section 10 of docs/uws.md."""

from __future__ import annotations

import json
import select
import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPResponse

import pytest

from opus_core.config import load
from opus_core.job import Phase
from servers import eventually, site
from uws import documents
from uws.documents import text
from uws.jobs import WORK, describe
from uws.slots import taken
from uws.storage import change

AT_ONCE = 1.0  # [s] under whatever load these tests run


def took(one, address: str) -> tuple[str | None, float]:
    """The phase that the answer shows, and how long it took [s]."""
    begin = time.monotonic()
    answer = one.get(address)
    return text(documents.job(answer), "phase"), time.monotonic() - begin


@pytest.mark.uws("10.1")
def test_it_returns_when_its_time_is_up(still):
    job = still.create("work", run=False)
    phase, seconds = took(still, f"{job}?WAIT=1")
    assert phase == "PENDING"
    assert 0.9 < seconds < 1 + AT_ONCE
    assert took(still, f"{job}?WAIT=0")[1] < AT_ONCE
    assert took(still, f"{job}?wait=0")[1] < AT_ONCE


@pytest.mark.uws("10.2", "10.4")
@pytest.mark.parametrize("wait", ["WAIT=30", "WAIT=-1", "WAIT=30&PHASE=PENDING"])
def test_it_returns_with_the_new_phase_when_that_changes(one, wait):
    job = one.create("work", run=False)
    timer = threading.Timer(0.5, one.post, (f"{job}/phase", {"PHASE": "ABORT"}))
    timer.start()
    phase, seconds = took(one, f"{job}?{wait}")
    timer.join()
    assert phase == "ABORTED"
    assert 0.4 < seconds < 0.5 + 2 * AT_ONCE


@pytest.mark.uws("10.2")
def test_a_change_that_another_process_made_wakes_as_well(still):
    job = still.create("work", run=False)
    timer = threading.Timer(0.3, change, (still, job), {"phase": Phase.QUEUED})
    timer.start()
    phase, seconds = took(still, f"{job}?WAIT=2")
    timer.join()
    assert phase == "QUEUED"
    assert seconds < 2


@pytest.mark.uws("10.3", "14.4")
@pytest.mark.parametrize(
    "phase", sorted(set(Phase) - {Phase.PENDING, Phase.QUEUED, Phase.EXECUTING})
)
def test_it_does_not_block_in_other_phases(still, phase):
    job = still.create("work", run=False)
    change(still, job, phase=phase)
    for wait in ("WAIT=30", "WAIT=-1", f"WAIT=30&PHASE={phase}"):
        assert took(still, f"{job}?{wait}") == (phase, pytest.approx(0, abs=AT_ONCE))


@pytest.mark.uws("10.5")
def test_it_does_not_block_if_the_job_is_in_another_phase_than_believed(still):
    job = still.create("work")
    phase, seconds = took(still, f"{job}?WAIT=30&PHASE=PENDING")
    assert (phase, seconds < AT_ONCE) == ("QUEUED", True)
    phase, seconds = took(still, f"{job}?WAIT=1&PHASE=QUEUED")
    assert (phase, seconds > 0.9) == ("QUEUED", True)


@pytest.mark.uws("10.4", "10.6")
@pytest.mark.parametrize("wait", ["-1", "3600", "9" * 30])
def test_the_site_cuts_it(still, wait):
    job = still.create("work", run=False)
    phase, seconds = took(still, f"{job}?WAIT={wait}")
    assert phase == "PENDING"
    assert 1.9 < seconds < 2 + AT_ONCE  # max_wait


@pytest.mark.uws("10.6")
def test_uncut_it_is_what_clients_expect(one):
    """Sixty seconds, within the time-outs of TCP and proxies, and long enough for pyvo."""
    assert load(one.config).jobs.max_wait == 60


@pytest.mark.uws("10.7")
def test_only_the_job_itself_blocks(still):
    job = still.create("work", run=False)
    for address in (f"{job}/phase", f"{job}/parameters", "/rest/work"):
        begin = time.monotonic()
        assert still.get(f"{address}?WAIT=2&LAST=1").status == 200
        assert time.monotonic() - begin < AT_ONCE


@pytest.mark.uws("10.8", "14.2")
@pytest.mark.parametrize("wait", ["", "-2", "1.5", "soon", "1&WAIT=2", "1&PHASE=RUNNING"])
def test_a_wait_that_makes_no_sense_is_400(still, wait):
    job = still.create("work", run=False)
    begin = time.monotonic()
    assert still.get(f"{job}?WAIT={wait}").status == 400
    assert time.monotonic() - begin < AT_ONCE


@pytest.mark.uws("10.9")
def test_more_waiters_than_threads_stop_nobody(tmp_path):
    with site(tmp_path / "small") as small:
        small.configure(
            server=f"port = {small.port}\nthreads = 4\nwait_slots = 2\nwait_per_user = 2",
            supervisor="embedded = false",
            jobs="max_wait = 3",
        )
        describe(small, WORK)
        small.serve()
        job = small.create("work", run=False)
        with ThreadPoolExecutor(20) as pool:
            waiting = [pool.submit(took, small, f"{job}?WAIT=3") for _ in range(20)]
            time.sleep(0.5)  # they are all there, most of them answered by now
            begin = time.monotonic()
            assert small.phase(job) == "PENDING"
            assert time.monotonic() - begin < AT_ONCE
            answers = [one.result() for one in waiting]
        assert {phase for phase, _ in answers} == {"PENDING"}
        held = [seconds for _, seconds in answers if seconds > 2.5]
        assert len(held) == 2, "as many as there are slots; the others were answered at once"


@pytest.mark.parametrize("address", ["{job}?WAIT=30", "/changes?after={seq}&WAIT=30"])
@pytest.mark.parametrize("leave", ["close", "half", "reset"])
def test_a_client_that_leaves_gives_back_its_place(tmp_path, address, leave):
    with site(tmp_path) as small:
        small.configure(
            server=f"port = {small.port}\nthreads = 4\nwait_slots = 1\nwait_per_user = 1",
            supervisor="embedded = false",
        )
        describe(small, WORK)
        small.serve()
        job = small.create("work", run=False)
        seq = json.loads(small.get("/changes").body)["seq"]
        path = address.format(job=job.removeprefix(small.url), seq=seq)
        client = socket.create_connection(("127.0.0.1", small.port))
        request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{small.port}\r\n\r\n".encode()
        client.sendall(request)

        def again():
            # It came second, after whoever looks whether the place is taken.
            if select.select([client], [], [], 0)[0]:
                answer = HTTPResponse(client)
                answer.begin()
                answer.read()
                client.sendall(request)

        taken(small, job, again)
        if leave == "half":
            client.shutdown(socket.SHUT_WR)
        else:
            if leave == "reset":
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()

        def waits():
            begin = time.monotonic()
            small.get(f"{job}?WAIT=1")
            return time.monotonic() - begin > 0.9

        eventually(waits, 10)
        client.close()
