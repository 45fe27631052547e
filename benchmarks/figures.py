"""Each figure that is promised: how it is measured, and the floor (or ceiling) it has to keep."""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CHECKOUT = HERE.parent
MIB = 1024**2


@dataclass(frozen=True)
class Figure:
    """One measured figure."""

    name: str
    value: float
    unit: str
    floor: float | None = None
    ceiling: float | None = None
    note: str = ""

    @property
    def ok(self) -> bool:
        """It keeps what is promised."""
        return not (
            (self.floor is not None and self.value < self.floor)
            or (self.ceiling is not None and self.value > self.ceiling)
        )


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def wait_until_up(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.01)
        else:
            return
    raise RuntimeError("the server did not come up")


@contextmanager
def process(command: list[str], port: int, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A server process that is up, ended afterwards."""
    with subprocess.Popen(command, **options) as running:
        try:
            wait_until_up(running, port)
            yield running
        finally:
            running.terminate()
            try:
                running.wait(timeout=30)
            except subprocess.TimeoutExpired:
                running.kill()


class Site:
    """An OPUS server with a job that does nothing, in a folder of its own."""

    def __init__(self, folder: Path, **tables: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.config = folder / "opus.toml"
        parts = {
            "server": f"port = {self.port}",
            "manager": 'use = "local"\nmax_jobs = 8',
            "auth": "anonymous = true\nanonymous_list = true",
        }
        for name, text in tables.items():
            parts[name] = f"{parts[name]}\n{text}" if name in parts else text
        body = "\n".join(f"[{name}]\n{text}" for name, text in parts.items())
        self.config.write_text(f'data_dir = "data"\nlog_file = "opus.log"\n{body}\n')
        (folder / "script").write_text("true\n")
        (folder / "nothing.wadl").write_text(
            '<application xmlns="http://wadl.dev.java.net/2009/02"><resources base="/rest/">'
            '<resource id="joblist" path="nothing"><method id="create_job" name="POST"><request>'
            '<param style="query" name="text" default="hello"/>'
            '<param style="query" name="file" type="file"/>'
            "</request></method></resource></resources></application>"
        )
        self.opus("jdl", "import", "nothing.wadl", "--script", "script", "--publish")

    def opus(self, *words: str) -> None:
        subprocess.run(self.command(*words), check=True, cwd=self.folder, capture_output=True)

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "opus_core.cli", "--config", str(self.config), *words]

    @contextmanager
    def serve(self) -> Iterator[subprocess.Popen[bytes]]:
        with process(
            self.command("serve"), self.port, cwd=self.folder, stdout=subprocess.DEVNULL
        ) as running:
            yield running

    def post(self, path: str, **fields: str) -> str:
        """POST a form; answers where it led."""
        data = urllib.parse.urlencode(fields).encode()
        with urllib.request.urlopen(f"{self.url}{path}", data, timeout=60) as response:
            return str(response.url)


def load(port: int, requests: list[str], **plan: Any) -> dict[str, Any]:
    """Run the load generator as a process of its own."""
    document = {"host": "127.0.0.1", "port": port, "requests": requests, **plan}
    done = subprocess.run(
        [sys.executable, str(HERE / "load.py"), json.dumps(document)],
        check=True,
        capture_output=True,
        text=True,
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def get(path: str, host: str = "127.0.0.1") -> str:
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\n\r\n"


def post(path: str, body: str, host: str = "127.0.0.1") -> str:
    return (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n"
        f"Content-Type: application/x-www-form-urlencoded\r\n\r\n{body}"
    )


def memory(pid: int, kind: str = "Pss") -> float:
    """Memory of a process [MiB]; Pss shares what is shared."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(f"{kind}:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"no {kind}")


# --- the figures -----------------------------------------------------------------------------


def requests(seconds: float) -> Iterator[Figure]:
    """GET phase, GET job and creation against bare bottle, in turns, since machines drift."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        site = Site(Path(folder))
        stack.enter_context(site.serve())
        hello_port = free_port()
        hello = [sys.executable, str(HERE / "hello.py"), str(hello_port)]
        stack.enter_context(process(hello, hello_port, stderr=subprocess.DEVNULL))
        job = urllib.parse.urlsplit(site.post("/rest/nothing", text="a")).path
        plans = {
            "hello": (hello_port, [get("/")]),
            "phase": (site.port, [get(f"{job}/phase")]),
            "job": (site.port, [get(job)]),
            "create": (site.port, [post("/rest/nothing", "text=hello")]),
        }
        rates: dict[str, list[float]] = {name: [] for name in plans}
        for _ in range(3):
            for name, (port, texts) in plans.items():
                rates[name].append(load(port, texts, seconds=seconds)["per_second"])
        ratio = {
            name: statistics.median(
                mine / theirs for mine, theirs in zip(rates[name], rates["hello"], strict=True)
            )
            for name in plans
        }
        created = statistics.median(rates["create"])
        yield Figure("bare bottle", statistics.median(rates["hello"]), "/s")
        yield Figure("GET phase / hello", ratio["phase"], "x", floor=0.33)
        yield Figure("GET job / hello", ratio["job"], "x", floor=0.22)
        yield Figure("creation / hello", ratio["create"], "x", floor=0.15)
        yield Figure("creation, durable", created, "/s", floor=500)


def fill(site: Site, count: int) -> None:
    """Store that many jobs, 20 of them EXECUTING, through the storage itself."""
    code = f"""
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from opus_core import job as jobs
from opus_core.app import open_opus
from opus_core.config import load
from opus_core.job import DefinitionRef, Job, Phase, Work, new_id
opus = open_opus(load(Path({str(site.config)!r})))
begin = jobs.now() - timedelta(days=1)
for number in range({count}):
    phase = Phase.EXECUTING if number % ({count} // 20) == 7 else Phase.COMPLETED
    opus.storage.add(Job(
        id=new_id(), definition=DefinitionRef("nothing", 1), phase=phase, work=Work.NONE,
        created=begin + timedelta(milliseconds=number), manager="local", run_id=f"run {{number}}"))
opus.close()
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=site.folder)


def lists(large: int) -> Iterator[Figure]:
    """Lists that stay fast with 100,000 jobs, and the whole of them, streamed."""
    times: dict[int, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for count in (1000, large):
            home = Path(folder) / str(count)
            home.mkdir()
            site = Site(home, supervisor="embedded = false")
            fill(site, count)
            with site.serve() as running:
                times[count] = {
                    name: load(
                        site.port, [get(f"/rest/nothing?{query}")], number=200, connections=1
                    )["p50"]
                    for name, query in (("LAST=20", "LAST=20"), ("PHASE", "PHASE=EXECUTING"))
                }
                if count == large:
                    yield from whole_list(site, running, large)
    for name in ("LAST=20", "PHASE"):
        yield Figure(
            f"list {name}, {large} jobs / 1000 jobs",
            times[large][name] / times[1000][name],
            "x",
            ceiling=1.5,
            note=f"{1000 * times[large][name]:.1f} ms",
        )


def whole_list(site: Site, running: subprocess.Popen[bytes], count: int) -> Iterator[Figure]:
    def read() -> tuple[float, float, int]:
        begin = time.perf_counter()
        with urllib.request.urlopen(f"{site.url}/rest/nothing", timeout=120) as response:
            first = response.read(1)
            to_first = time.perf_counter() - begin
            size = len(first)
            while chunk := response.read(1 << 20):
                size += len(chunk)
        return to_first, time.perf_counter() - begin, size

    read()
    before = memory(running.pid, "Rss")
    peak = [before]
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.02):
            peak[0] = max(peak[0], memory(running.pid, "Rss"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    measured = [read() for _ in range(3)]
    stop.set()
    watcher.join()
    yield Figure(f"whole list of {count}", min(m[1] for m in measured), "s", ceiling=1.8)
    yield Figure(
        "its first byte", 1000 * statistics.median(m[0] for m in measured), "ms", ceiling=50
    )
    yield Figure("memory it takes", peak[0] - before, "MiB", ceiling=30)
    with ExitStack() as stack:
        for _ in range(10):  # slow readers: they ask and do not read
            one = stack.enter_context(socket.create_connection(("127.0.0.1", site.port)))
            one.sendall(get("/rest/nothing").encode())
        time.sleep(1)
        answer = load(site.port, [get("/rest/nothing?LAST=20")], number=100, connections=2)
    yield Figure("LAST=20 p99 beside ten slow readers", 1000 * answer["p99"], "ms", ceiling=200)


def trivial_jobs(number: int) -> Iterator[Figure]:
    """Jobs that do nothing, eight in flight, from creation to COMPLETED."""
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder), server="threads = 64\nwait_per_user = 32")
        with site.serve():
            left = list(range(number))
            lock = threading.Lock()
            ended: list[str] = []

            def client() -> None:
                while True:
                    with lock:
                        if not left:
                            return
                        left.pop()
                    job = site.post("/rest/nothing", PHASE="RUN")
                    phase = ""
                    while phase not in ("COMPLETED", "ERROR", "ABORTED"):
                        query = f"?WAIT=10&PHASE={phase}" if phase else "?WAIT=10"
                        request = urllib.request.Request(
                            job + query, headers={"Accept": "application/json"}
                        )
                        with urllib.request.urlopen(request, timeout=60) as response:
                            phase = json.load(response)["phase"]
                    ended.append(phase)

            begin = time.perf_counter()
            clients = [threading.Thread(target=client) for _ in range(8)]
            for one in clients:
                one.start()
            for one in clients:
                one.join()
            took = time.perf_counter() - begin
    yield Figure("trivial jobs, 8 in flight", number / took, "/s", floor=30)
    completed = sum(phase == "COMPLETED" for phase in ended)
    yield Figure("of them completed", completed, "jobs", floor=number)


def waits() -> Iterator[Figure]:
    """Clients that wait: more than there are threads, and a thousand that are really held."""
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder))
        with site.serve():
            job = site.post("/rest/nothing")
            path = urllib.parse.urlsplit(job).path
            with Waiting(site.port, path, 500, "WAIT=20") as waiting:
                answer = load(site.port, [get(f"{path}/phase")], number=300, connections=4)
                held = waiting.held
                site.post(f"{path}/phase", PHASE="ABORT")
                rightly = waiting.answers(timeout=30)
            yield Figure("500 clients wait, answered", rightly, "clients", floor=500)
            yield Figure("of them held", held, "clients")
            yield Figure("GET phase p99 meanwhile", 1000 * answer["p99"], "ms", ceiling=100)
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder), server="threads = 1200\nwait_slots = 1000\nwait_per_user = 1000")
        with site.serve():
            job = site.post("/rest/nothing")
            path = urllib.parse.urlsplit(job).path
            with Waiting(site.port, path, 1000, "WAIT=50") as waiting:
                time.sleep(1)
                yield Figure("1000 slots: held", waiting.held, "clients", floor=1000)
                begin = time.perf_counter()
                site.post(f"{path}/phase", PHASE="ABORT")
                waiting.answers(timeout=30)
                times = sorted(moment - begin for moment in waiting.moments)
            yield Figure("wake-up p99", 1000 * times[int(len(times) * 0.99)], "ms", ceiling=500)


class Waiting:
    """Many clients that WAIT for one job, from one thread of this process."""

    def __init__(self, port: int, path: str, count: int, query: str) -> None:
        self._sockets = []
        for _ in range(count):
            one = socket.create_connection(("127.0.0.1", port))
            one.sendall(get(f"{path}?{query}").encode())
            self._sockets.append(one)
        self.moments: list[float] = []
        self._early = 0

    def __enter__(self) -> Waiting:
        time.sleep(1.5)  # those who get no slot are answered at once
        self._early = self._read(0.0)
        return self

    def __exit__(self, *error: object) -> None:
        for one in self._sockets:
            one.close()

    @property
    def held(self) -> int:
        return len(self._sockets)

    def _read(self, timeout: float) -> int:
        import selectors

        answered = 0
        with selectors.DefaultSelector() as selector:
            for one in self._sockets:
                selector.register(one, selectors.EVENT_READ)
            deadline = time.monotonic() + timeout
            while selector.get_map():
                ready = selector.select(max(0.0, deadline - time.monotonic()))
                if not ready:
                    break
                for key, _ in ready:
                    one = key.fileobj
                    assert isinstance(one, socket.socket)
                    data = one.recv(65536)
                    self.moments.append(time.perf_counter())
                    answered += data.startswith(b"HTTP/1.1 200")
                    selector.unregister(one)
                    one.close()
                    self._sockets.remove(one)
        return answered

    def answers(self, timeout: float) -> int:
        """How many were answered rightly, those at once included."""
        self.moments.clear()
        return self._early + self._read(timeout)


def files() -> Iterator[Figure]:
    """A large result and a large upload."""
    size = 1024 * MIB
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder))
        (site.folder / "big").write_text('head -c 1073741824 /dev/zero > "$out"\n')
        (site.folder / "big.wadl").write_text(
            '<application xmlns="http://wadl.dev.java.net/2009/02"><resources base="/rest/">'
            '<resource id="joblist" path="big"><resource id="job" path="{job-id}"><resource '
            'id="job_result_name" path="results/{result-id}"><param style="template" '
            'name="result-id"><option value="out"/></param></resource></resource></resource>'
            "</resources></application>"
        )
        site.opus("jdl", "import", "big.wadl", "--script", "big", "--publish")
        with site.serve() as running:
            job = site.post("/rest/big", PHASE="RUN")
            while b"COMPLETED" not in urllib.request.urlopen(f"{job}/phase").read():
                time.sleep(0.1)
            best = 0.0
            for _ in range(3):
                begin = time.perf_counter()
                with urllib.request.urlopen(f"{job}/results/out") as response:
                    while response.read(1 << 20):
                        pass
                best = max(best, size / MIB / (time.perf_counter() - begin))
            yield Figure("download of 1 GiB", best, "MB/s", floor=400)
            before = memory(running.pid, "Rss")
            peak = [before]
            stop = threading.Event()

            def watch() -> None:
                while not stop.wait(0.05):
                    peak[0] = max(peak[0], memory(running.pid, "Rss"))

            watcher = threading.Thread(target=watch)
            watcher.start()
            begin = time.perf_counter()
            upload(site, size)
            took = time.perf_counter() - begin
            stop.set()
            watcher.join()
            yield Figure("upload of 1 GiB", size / MIB / took, "MB/s")
            yield Figure("memory it takes", peak[0] - before, "MiB", ceiling=20)


def upload(site: Site, size: int) -> None:
    head = (
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n'
        b"Content-Type: application/octet-stream\r\n\r\n"
    )
    tail = b"\r\n--b--\r\n"
    with socket.create_connection(("127.0.0.1", site.port)) as one:
        one.sendall(
            f"POST /rest/nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: "
            f"{len(head) + size + len(tail)}\r\nContent-Type: multipart/form-data; boundary=b"
            "\r\n\r\n".encode()
        )
        one.sendall(head)
        block = os.urandom(MIB)
        for _ in range(size // MIB):
            one.sendall(block)
        one.sendall(tail)
        answer = one.recv(65536)
        assert answer.startswith(b"HTTP/1.1 303"), answer[:500]


def server() -> Iterator[Figure]:
    """From the start to the first answer, and what an idle server takes."""
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder))
        with site.serve():
            pass
        begin = time.perf_counter()
        with site.serve() as running:
            urllib.request.urlopen(f"{site.url}/rest/nothing").read()
            yield Figure("start to first answer", time.perf_counter() - begin, "s", ceiling=1)
            time.sleep(3)
            yield Figure("idle server (PSS)", memory(running.pid), "MiB", ceiling=80)


GROUPS: dict[str, Callable[[bool], Iterator[Figure]]] = {
    "requests": lambda quick: requests(1.0 if quick else 4.0),
    "lists": lambda quick: lists(10_000 if quick else 100_000),
    "jobs": lambda quick: trivial_jobs(100 if quick else 400),
    "waits": lambda quick: waits(),
    "files": lambda quick: files(),
    "server": lambda quick: server(),
}
