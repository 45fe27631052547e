"""Two running servers side by side: `--against URL URL`.

They are measured in turns, pair by pair, since machines drift; each ratio is the middle one of
those of the pairs. The jobs that are made for it are deleted.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

from benchmarks.asking import Request, ask, get, load
from benchmarks.figure import Failed, shown
from benchmarks.files import MB, download
from benchmarks.jobs import IN_FLIGHT
from benchmarks.lists import JOBREF, SHOWN
from benchmarks.service import Lacking, Service, beside, find_list


@dataclass(frozen=True)
class Reading:
    """What was measured on one server in one turn; more of it is better."""

    value: float
    note: str = ""


@dataclass(frozen=True)
class Pair:
    """A figure of both."""

    name: str
    unit: str
    first: float | None
    second: float | None
    ratio: float | None  # of the first to the second
    note: str
    ok: bool  # all that they have could be measured

    def line(self) -> str:
        """A row of the table."""
        figures = f"{shown(self.first):>10} {shown(self.second):>10} {self.unit:5}"
        return f"{self.name:20} {figures} {shown(self.ratio):>8} {self.note}".rstrip()


HEAD = f"{'':20} {'the first':>10} {'the second':>10} {'':5} {'ratio':>8}"


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    group = parser.add_argument_group("two running servers, OPUS or any other UWS")
    group.add_argument(
        "--against",
        nargs=2,
        metavar="URL",
        help="measure these in turns; the ratio is first/second",
    )
    group.add_argument(
        "--job",
        metavar="NAME",
        help="the job list is URL/rest/NAME or URL/NAME; default: 'nothing' if there, or else the"
        " URL itself",
    )
    group.add_argument(
        "--big",
        metavar="NAME",
        default="big",
        help="the job whose result is downloaded; default: %(default)s if there, or else that of"
        " --job",
    )
    group.add_argument(
        "--form", action="append", default=[], metavar="NAME=VALUE", help="a parameter of new jobs"
    )
    group.add_argument(
        "--header", action="append", default=[], metavar="NAME:VALUE", help="sent with all requests"
    )


def run(args: argparse.Namespace) -> int:
    """Exit code 1 if something that both should have could not be measured, 2 if there is no
    server to measure."""
    headers = _named(args.header, ":")
    fields = _named(args.form, "=")
    services: list[Service] = []
    for url in args.against:
        found = find_list(url, [args.job] if args.job else ["nothing", ""], headers)
        if found is None:
            print(
                f"{url} has no list of UWS jobs; name a job by --job, or give the URL of a list",
                file=sys.stderr,
            )
            return 2
        label = "the second" if services else "the first"
        services.append(Service(label, found, beside(found, args.big, headers), fields, headers))
        if not args.json:
            print(f"{label}: {found}")
    if not args.json:
        print(HEAD)
    pairs = []
    for pair in compared(*services, quick=args.quick):
        pairs.append(pair)
        if not args.json:
            print(pair.line(), flush=True)
    if args.json:
        lists = [service.url for service in services]
        print(json.dumps({"lists": lists, "pairs": [asdict(one) for one in pairs]}, indent=2))
    return 0 if all(pair.ok for pair in pairs) else 1


def compared(first: Service, second: Service, *, quick: bool) -> Iterator[Pair]:
    """All that is measured, one after the other."""
    for name, (unit, measure) in _MEASURES.items():
        yield _pair(name, unit, measure, (first, second), quick=quick)
    for service in (first, second):
        try:
            service.tidy()
        except Failed as failure:
            note = f"{service.label} keeps jobs that were made for this: {failure}"
            yield Pair("tidying up", "", None, None, None, note, ok=False)


def _pair(
    name: str,
    unit: str,
    measure: Callable[[Service, bool], Reading],
    services: tuple[Service, Service],
    *,
    quick: bool,
) -> Pair:
    readings: tuple[list[Reading], list[Reading]] = ([], [])
    notes: list[str] = []
    able = [True, True]
    ok = True
    for turn in range(2 if quick else 5):
        for which in (0, 1) if turn % 2 == 0 else (1, 0):
            if not able[which]:
                continue
            service = services[which]
            try:
                reading = measure(service, quick)
            except (Lacking, Failed) as failure:
                # The other one is measured all the same.
                able[which], ok = False, ok and isinstance(failure, Lacking)
                notes.append(f"{service.label} cannot be measured: {failure}")
                readings[which].clear()
            else:
                readings[which].append(reading)
                if reading.note and reading.note not in notes:
                    notes.append(reading.note)
    first, second = ([one.value for one in found] for found in readings)
    ratios = [mine / theirs for mine, theirs in zip(first, second, strict=False) if theirs]
    return Pair(
        name,
        unit,
        statistics.median(first) if first else None,
        statistics.median(second) if second else None,
        statistics.median(ratios) if ratios else None,
        "; ".join(notes),
        ok,
    )


def _phase(service: Service, quick: bool) -> Reading:
    return _rate(get(f"{service.job}/phase", headers=service.headers), quick)


def _job(service: Service, quick: bool) -> Reading:
    return _rate(get(service.job, headers=service.headers), quick)


def _last(service: Service, quick: bool) -> Reading:
    if not service.has_last:
        raise Lacking("its list is of UWS 1.0, which has no LAST")
    service.make(SHOWN)
    request = get(f"{service.url}?LAST={SHOWN}", headers=service.headers)
    found = len(JOBREF.findall(ask(request).body))
    note = "" if found == SHOWN else f"a list of {found} jobs, not {SHOWN}"
    return Reading(_rate(request, quick).value, note)


def _rate(request: Request, quick: bool) -> Reading:
    return Reading(load(request, seconds=0.5 if quick else 3)["per_second"])


def _creation(service: Service, quick: bool) -> Reading:
    number = 50 if quick else 500
    answer = load(service.creation(), seconds=0.5 if quick else 3, number=number, locations=True)
    service.delete(answer["locations"])
    return Reading(answer["per_second"])


def _trivial(service: Service, quick: bool) -> Reading:
    number = 16 if quick else 80
    jobs: list[str] = []

    def one(_: int) -> str:
        job = service.create()
        jobs.append(job)
        return service.run(job)

    begin = time.perf_counter()
    with ThreadPoolExecutor(IN_FLIGHT) as clients:
        phases = list(clients.map(one, range(number)))
    took = time.perf_counter() - begin
    completed = phases.count("COMPLETED")
    if not completed:
        raise Failed(f"no job was COMPLETED; the first is {phases[0]}")
    others = number - completed
    note = f"{others} of {number} jobs at {service.label} were not COMPLETED" if others else ""
    return Reading(completed / took, note)


def _result(service: Service, quick: bool) -> Reading:
    size, took = download(service.result, dict(service.headers))
    return Reading(size / MB / took, f"{service.label} sends {size / MB:.1f} MB")


_MEASURES: Mapping[str, tuple[str, Callable[[Service, bool], Reading]]] = {
    "GET phase": ("/s", _phase),
    "GET job": ("/s", _job),
    "creation": ("/s", _creation),
    "list LAST=20": ("/s", _last),
    "trivial jobs": ("/s", _trivial),
    "result": ("MB/s", _result),
}


def _named(texts: list[str], mark: str) -> dict[str, str]:
    found = {}
    for text in texts:
        name, there, value = text.partition(mark)
        if not there:
            raise SystemExit(f"make bench: {text!r} has no {mark!r} between name and value")
        found[name.strip()] = value.strip()
    return found
