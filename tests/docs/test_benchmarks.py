"""`make bench` measures what docs/figures.md promises, and does not let a bad server pass."""

from __future__ import annotations

import json
import os
import platform
import re
import socket
import subprocess
import sys
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from types import SimpleNamespace

import pytest

from docs.blocks import CHECKOUT, DOCS
from docs.figures import measured, part
from web import answering_by

Figure, Failed = part("figure").Figure, part("figure").Failed
Lacking = part("service").Lacking
GROUPS = part("groups").GROUPS
asking, against, bench = part("asking"), part("against"), part("__main__")


@contextmanager
def answering(answer, protocol="HTTP/1.0"):
    """A server that answers each request with what `answer(method, path)` gives: a status, headers
    and a body."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = protocol

        def do_GET(self):
            status, headers, body = answer(self.command, self.path)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_DELETE = do_GET

        def log_message(self, *_):
            """Nothing."""

    with answering_by(Handler) as origin:
        yield origin


@pytest.fixture
def groups(monkeypatch):
    """Groups of the test's own: figures by name, or what goes wrong."""

    def use(**outcomes):
        for name, outcome in outcomes.items():

            def figures(quick, outcome=outcome):
                if isinstance(outcome, Exception):
                    raise outcome
                yield from outcome

            module = SimpleNamespace(figures=figures)
            monkeypatch.setitem(sys.modules, f"benchmarks.{name}", module)
        monkeypatch.setattr(bench, "GROUPS", tuple(outcomes))

    return use


# -- figures


@pytest.mark.parametrize(
    ("figure", "state"),
    [
        (Figure("a", 1.0), ""),
        (Figure("a", 1.0, floor=1), "ok"),
        (Figure("a", 0.9, floor=1), "SHORT"),
        (Figure("a", 1.0, ceiling=1), "ok"),
        (Figure("a", 1.1, ceiling=1), "SHORT"),
        (Figure("a", None, floor=1), "FAILED"),
        (Figure("a", None), "FAILED"),
    ],
)
def test_a_figure_keeps_its_bound_or_is_short(figure, state):
    assert figure.state == state
    assert figure.ok == (state in ("", "ok"))
    assert state in figure.line()


def test_a_row_has_the_figure_its_bound_and_a_note():
    row = Figure("GET phase", 1234.5, "/s", floor=500, note="of one job").line()
    assert row.split() == ["GET", "phase", "1,234", "/s", ">=", "500", "ok", "of", "one", "job"]


# -- the command


def test_what_is_counted_has_no_decimals():
    shown = part("figure").shown
    assert [shown(32), shown(32.0), shown(1234), shown(1234.5)] == ["32", "32.00", "1,234", "1,234"]


def test_it_prints_all_figures_and_ends_well(groups, capsys):
    groups(one=[Figure("a", 2.0, floor=1), Figure("b", 3.0)], two=[Figure("c", 1.0, ceiling=2)])
    assert bench.main([]) == 0
    assert [row.split()[0] for row in capsys.readouterr().out.splitlines()] == ["a", "b", "c"]


def test_it_ends_with_1_if_a_figure_is_short(groups, capsys):
    groups(one=[Figure("a", 0.5, floor=1)], two=[Figure("b", 1.0)])
    assert bench.main([]) == 1
    assert "SHORT" in capsys.readouterr().out
    assert bench.main(["two"]) == 0


@pytest.mark.parametrize("error", [Failed("GET / answered 503"), ZeroDivisionError("oh")])
def test_what_fails_is_told_and_the_next_group_has_its_turn(groups, capsys, error):
    groups(bad=error, good=[Figure("b", 1.0)])
    assert bench.main([]) == 1
    bad, good = capsys.readouterr().out.splitlines()
    assert "FAILED" in bad
    assert str(error) in bad
    assert good.startswith("b ")


def test_json_has_each_figure_with_its_group(groups, capsys):
    groups(one=[Figure("a", 0.5, "x", floor=1, note="n")], bad=Failed("no"))
    assert bench.main(["--json"]) == 1
    first, second = json.loads(capsys.readouterr().out)
    assert first == {
        "group": "one",
        "name": "a",
        "value": 0.5,
        "unit": "x",
        "floor": 1,
        "ceiling": None,
        "note": "n",
        "ok": False,
    }
    assert (second["value"], second["note"], second["ok"]) == (None, "no", False)


def test_the_page_is_written_with_what_was_measured(groups, monkeypatch, tmp_path):
    monkeypatch.setattr(bench, "PAGE", tmp_path / "page.md")
    groups(one=[Figure("a", 0.5, "x", floor=1, note="n")], bad=Failed("no"))
    assert bench.main(["--page"]) == 1
    told = (tmp_path / "page.md").read_text()
    assert "| a | 0.50 x | >= 1 x | SHORT | n |" in told
    assert "| bad | - | | FAILED | no |" in told


@pytest.mark.parametrize("words", [["nix"], ["--against", "http://a"], ["--nix"]])
def test_what_it_does_not_know_it_refuses(words, capsys):
    with pytest.raises(SystemExit) as ended:
        bench.main(words)
    assert ended.value.code == 2


def test_a_comparison_takes_no_groups(capsys):
    with pytest.raises(SystemExit):
        bench.main(["--against", "http://a", "http://b", "requests"])
    assert "no groups, and no page" in capsys.readouterr().err


@pytest.mark.parametrize("group", GROUPS)
def test_each_group_is_a_module(group):
    assert callable(part(group).figures)


@pytest.mark.timeout(60)
def test_a_group_measures_a_real_server():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick", "--json", "server"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    figures = json.loads(done.stdout)
    assert [one["name"] for one in figures] == ["start to first answer", "idle server (PSS)"]
    assert all(one["value"] > 0 for one in figures)
    assert done.returncode == (0 if all(one["ok"] for one in figures) else 1)


# -- answers


def test_a_load_of_refusals_is_no_figure():
    with answering(lambda method, path: (503, {"Content-Length": "4"}, b"busy")) as url:
        with pytest.raises(Failed, match="GET /x answered 503: busy"):
            asking.load(asking.get(f"{url}/x"), number=10)
        with pytest.raises(Failed, match="answered 503"):
            asking.ask(asking.get(url))


def test_a_server_that_is_gone_is_no_figure():
    with answering(lambda method, path: (200, {}, b"")) as url:
        pass
    with pytest.raises(Failed, match="GET /x"):
        asking.load(asking.get(f"{url}/x"), number=10)
    with pytest.raises(Failed):
        asking.ask(asking.get(url))


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"Content-Length": "5"}, b"hello"),
        ({}, b"hello"),
        ({"Transfer-Encoding": "chunked"}, b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"),
    ],
)
def test_a_load_understands_every_server(headers, body):
    with answering(lambda method, path: (200, headers, body)) as url:
        answer = asking.load(asking.get(url), number=20, connections=2)
    assert answer["count"] == 20
    assert 0 < answer["p50"] <= answer["p99"]


def test_a_load_tells_where_the_new_jobs_are():
    where = {"Location": "/jobs/1", "Content-Length": "0"}
    with answering(lambda method, path: (303, where, b"")) as url:
        answer = asking.load(asking.post(url, {"a": "b"}), number=3, locations=True)
    assert answer["locations"] == ["/jobs/1"] * 3


def crowd_of(count, *answers):
    """Clients that are answered so one after the other, and that again from the beginning."""
    told = iter(answers * count)

    def answer(method, path):
        body = next(told)
        return 200, {"Content-Length": str(len(body))}, body

    with answering(answer, "HTTP/1.1") as url, part("crowd").Crowd(url, count, wait=1) as crowd:
        moments = crowd.told(10)
    return crowd, moments


def test_who_waits_asks_until_it_is_told_the_end(monkeypatch):
    monkeypatch.setattr(part("crowd"), "PAUSE", 0.0)
    crowd, moments = crowd_of(1, b"<phase>PENDING</phase>", b"<phase>ABORTED</phase>")
    assert (len(moments), crowd.asked_again, crowd.wrong()) == (1, 1, "")


@pytest.mark.parametrize("answer", [b"<phase>COMPLETED</phase>", b"<phase/>", b"busy"])
def test_who_is_told_anything_else_is_not_told_rightly(answer):
    crowd, moments = crowd_of(3, answer)
    assert moments == []
    assert crowd.wrong()


# -- two servers


def compared(first, second):
    """Of two services that are measured at what they are made of."""

    def measure(service, quick):
        outcome = service.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return against.Reading(outcome)

    services = tuple(
        SimpleNamespace(label=label, outcomes=list(outcomes))
        for label, outcomes in (("the first", first), ("the second", second))
    )
    return against._pair("a", "/s", measure, services, quick=False)


def test_a_ratio_is_the_middle_one_of_the_pairs():
    pair = compared([2, 40, 6, 8, 10], [1, 4, 2, 4, 5])
    assert (pair.first, pair.second, pair.ratio, pair.ok) == (8, 4, 2, True)


def test_what_one_has_not_got_is_said_and_the_other_is_measured():
    pair = compared([Lacking("its jobs have no result")], [1, 2, 3, 4, 5])
    assert (pair.first, pair.second, pair.ratio, pair.ok) == (None, 3, None, True)
    assert pair.note == "the first cannot be measured: its jobs have no result"


def test_what_goes_wrong_is_said_and_is_not_well():
    pair = compared([5, 5, 5, 5, 5], [1, Failed("GET / answered 503")])
    assert (pair.first, pair.second, pair.ok) == (5, None, False)
    assert "503" in pair.line()


def test_a_server_that_refuses_everything_is_not_compared(capsys):
    with answering(lambda method, path: (503, {}, b"busy")) as url:
        assert bench.main(["--against", url, url]) == 2
    assert "has no list of UWS jobs" in capsys.readouterr().err


JOBS = b'<uws:jobs xmlns:uws="http://www.ivoa.net/xml/UWS/v1.0"/>'
JOB = b"""<uws:job xmlns:uws="http://www.ivoa.net/xml/UWS/v1.0"
 xmlns:xlink="http://www.w3.org/1999/xlink"><uws:results><uws:result id="a" xlink:href="a.txt"/>
</uws:results></uws:job>"""


def old_uws(method, path):
    """As little as a UWS 1.0 server can be. Its jobs are over at once."""
    if method != "GET":
        return 303, {"Location": "/list/1", "Content-Length": "0"}, b""
    path = path.partition("?")[0]
    known = {"/list": JOBS, "/list/1": JOB, "/list/1/phase": b"COMPLETED", "/list/a.txt": b"word"}
    body = known.get(path)
    return (404, {}, b"no") if body is None else (200, {"Content-Length": str(len(body))}, body)


def test_a_list_is_found_by_its_own_address_and_by_its_name():
    service = part("service")
    with answering(old_uws) as url:
        assert service.find_list(url, ["list"], {}) == f"{url}/list"
        assert service.find_list(f"{url}/list/", ["nothing", ""], {}) == f"{url}/list"
        assert service.find_list(url, ["nothing", ""], {}) is None
        assert service.beside(f"{url}/other", "list", {}) == f"{url}/list"


def test_any_uws_server_can_be_compared(capsys):
    with answering(old_uws) as url:
        assert bench.main(["--against", url, url, "--job", "list", "--quick", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["lists"] == [f"{url}/list"] * 2
    found = {one["name"]: one for one in told["pairs"]}
    last = found.pop("list LAST=20")
    assert last["note"].count("UWS 1.0, which has no LAST") == 2
    assert last["ratio"] is None
    assert all(one["ratio"] > 0 for one in found.values())


# -- the page


def promised() -> set[tuple[str, str]]:
    """Each row of the tables of figures."""
    found = set()
    for table in (DOCS / "figures.md").read_text().split("\n\n"):
        head, *rows = table.splitlines()
        if head.startswith("| figure | promised |"):
            cells = [[cell.strip() for cell in row.split("|")] for row in rows[1:]]
            found |= {(name, bound) for _, name, bound, *_ in cells}
    return found


def test_the_page_promises_what_is_measured():
    number = {("trivial jobs, completed", ">= number jobs"): ">= 400 jobs"}
    assert promised() == {(one[0], number.get(one, one[1])) for one in measured()}


# -- the page of what was measured


def measured_page(*figures, quick=False):
    machine = part("machine")
    moments = (machine.Moment.now(), machine.Moment.now())
    return part("page").page(figures, machine.this_machine(), moments, quick=quick)


def test_the_machine_is_told_and_its_name_is_not():
    machine = part("machine").this_machine()
    assert machine.cores == len(os.sched_getaffinity(0))
    assert 0.1 < machine.memory < 100_000
    assert re.fullmatch(r"Linux \d+(\.\d+)+", machine.system)
    assert machine.python.endswith(platform.python_version())
    told = measured_page()
    assert f"| processor | {machine.processor} |" in told
    words = {word for value in vars(machine).values() for word in str(value).split()}
    assert socket.gethostname() not in words


def test_the_processor_is_told_without_marks_of_trade():
    processor = part("machine")._processor
    assert processor("flags\t: a\nmodel name\t: Some(R)  Core(TM) i9\n") == "Some Core i9"
    assert processor("CPU part\t: 0xd0c\n") == platform.machine()


def test_what_was_not_measured_is_named_and_no_figure_is_made_up():
    told = measured_page(("waits", Figure("wake-up p99", 12.0, "ms", ceiling=500)))
    assert "| wake-up p99 | 12.00 ms | <= 500 ms | ok |\n" in told
    assert "Not measured this time: Requests, Lists, Pages, Jobs, Files, Server, SLURM." in told
    beside = told.partition("## Beside the original")[2]
    assert re.findall(r"^\| (.*?) \|", beside, re.MULTILINE)[1:] == ["from the change to who waits"]


def test_a_rough_page_says_so_and_leaves_out_what_needs_a_whole_run():
    figure = ("lists", Figure("whole list", 0.1, "s"))
    rough, whole = measured_page(figure, quick=True), measured_page(figure)
    assert "These are rough figures" in rough
    assert "These are rough figures" not in whole
    assert "list of 100,000 jobs" not in rough
    assert "| list of 100,000 jobs | 3.5 s | 0.10 s |" in whole


def test_all_that_stands_beside_the_original_is_measured():
    names = {name for name, _ in measured()}
    assert {one.figure for one in part("original").ORIGINAL} <= names


def test_the_page_has_only_figures_that_are_measured():
    text = (DOCS / "measured.md").read_text()
    rows = set()
    for table in text.split("\n\n"):
        head, *lines = table.splitlines()
        if head.startswith("| figure | measured |"):
            rows |= {line.split(" | ")[0].removeprefix("| ") for line in lines[1:]}
    assert rows
    assert rows <= {name for name, _ in measured()}
