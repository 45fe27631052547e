"""GET phase, GET job and creation, against bare bottle on the same web server."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from benchmarks.asking import ask, get, load, post
from benchmarks.figure import Figure
from benchmarks.site import hello, new_site

_ROUNDS = 3


def figures(quick: bool) -> Iterator[Figure]:
    """In turns, since machines drift, and ratios of what was measured in one turn."""
    with (
        new_site() as site,
        new_site(top="log_requests = true") as talkative,
        site.serve(),
        talkative.serve(),
        hello() as bare,
    ):
        job = site.create(text="a")
        ann = {"Authorization": f"Bearer {site.new_user('ann')}"}
        hers = ask(post(site.job_list(), {"text": "a"}, headers=ann)).headers["Location"]
        plans = {
            "hello": get(bare),
            "phase": get(f"{job}/phase"),
            "phase, logged": get(f"{talkative.create(text='a')}/phase"),
            "job": get(job),
            "create": post(site.job_list(), {"text": "hello"}),
            "phase, token": get(f"{hers}/phase", headers=ann),
            "job, token": get(hers, headers=ann),
            "create, token": post(site.job_list(), {"text": "hello"}, headers=ann),
        }
        rates: dict[str, list[float]] = {name: [] for name in plans}
        slowest: list[float] = []
        for _ in range(_ROUNDS):
            for name, request in plans.items():
                answer = load(request, seconds=1 if quick else 4)
                rates[name].append(answer["per_second"])
                if name == "job":
                    slowest.append(1000 * answer["p99"])
    ratio = {
        name: statistics.median(
            mine / theirs for mine, theirs in zip(rates[name], rates["hello"], strict=True)
        )
        for name in plans
    }
    logged = statistics.median(
        mine / theirs for mine, theirs in zip(rates["phase, logged"], rates["phase"], strict=True)
    )
    yield Figure("bare bottle", statistics.median(rates["hello"]), "/s")
    yield Figure("GET phase / hello", ratio["phase"], "x", floor=0.33)
    yield Figure("GET phase with log_requests / without", logged, "x", floor=0.8)
    yield Figure("GET job / hello", ratio["job"], "x", floor=0.22)
    yield Figure("creation / hello", ratio["create"], "x", floor=0.15)
    yield Figure("GET phase with a token / hello", ratio["phase, token"], "x", floor=0.28)
    yield Figure("GET job with a token / hello", ratio["job, token"], "x", floor=0.18)
    yield Figure("creation with a token / hello", ratio["create, token"], "x")
    yield Figure("GET phase", statistics.median(rates["phase"]), "/s")
    yield Figure("GET job", statistics.median(rates["job"]), "/s")
    yield Figure("GET job p99", statistics.median(slowest), "ms")
    yield Figure("creation, durable", statistics.median(rates["create"]), "/s", floor=500)
