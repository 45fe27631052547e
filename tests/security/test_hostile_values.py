"""A hundred thousand values that would be commands: none is one, and each arrives byte for byte.

With OPUS_SOAK=1 each of OPUS_VALUES values has a job of its own.
"""

from __future__ import annotations

import os
import re
import secrets
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from attacked import attacked_site
from opus_core.backends import NoOptions
from opus_jdl_wadl.plugin import WadlJdl
from security.hostile import NAMES, NUMBER, RUNS_ALL, TAKES_ALL, Canary, forms, listing
from servers import OVER, Answer, Site, eventually
from services.slurm_fixture import slurm_cluster
from slurm.sites import FAR, NEAR, describe, reachable, stage

SOAK = bool(os.environ.get("OPUS_SOAK"))
VALUES = int(os.environ.get("OPUS_VALUES", "100000"))
SEED = os.environ.get("OPUS_SEED", "")
AT_ONCE = 12  # jobs that are not over
KINDS = ("application/x-www-form-urlencoded", "multipart/form-data")


def published(site: Site) -> None:
    for definition in (TAKES_ALL, RUNS_ALL):
        document = WadlJdl(NoOptions()).dumps(definition).data.decode()
        site.describe(definition.name, definition.script, document)


@pytest.fixture(scope="module")
def site():
    with attacked_site() as found:
        found.configure(jobs="min_free = 0", manager='use = "local"\nmax_jobs = 8')
        published(found)
        found.serve()
        yield found


@pytest.fixture
def canary(site):
    return Canary(site.folder.parent / f"canary-{secrets.token_hex(4)}", SEED)


def multipart(fields: dict[str, str]) -> tuple[bytes, dict[str, str]]:
    boundary = secrets.token_hex(16)
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    body = "".join((*parts, f"--{boundary}--\r\n")).encode()
    return body, {"Content-Type": f"multipart/form-data; boundary={boundary}"}


def create(site: Site, fields: dict[str, str], kind: str, name: str = TAKES_ALL.name) -> str:
    fields = {**fields, "PHASE": "RUN"}

    def send() -> Answer | None:
        if kind == KINDS[1]:
            body, headers = multipart(fields)
            answer = site.request("POST", f"/rest/{name}", body=body, headers=headers)
        else:
            answer = site.post(f"/rest/{name}", fields)
        return None if answer.status == 503 else answer  # forms of many values take turns

    answer = eventually(send, 120, 0.1)
    assert answer.status == 303, answer.text
    return answer.location


def fault(site: Site, job: str, fields: dict[str, str], number: int) -> str:
    """What is wrong with a job that got these values; nothing if all is well."""
    phase = site.wait(job, OVER, 300)
    if phase != "COMPLETED":
        return f"{job} is {phase}: {site.get(f'{job}/stderr').text[-500:]}"
    values = [fields.get(name, "") for name in NAMES]
    if site.get(f"{job}/results/output").text != listing(values):
        return f"{job}: a value has not arrived as it was"
    name = NAMES[number % len(fields)]
    if site.get(f"{job}/parameters/{name}").body != fields[name].encode():
        return f"{job} shows {name} as another value"
    return ""


def run_all(site: Site, every: Iterator[dict[str, str]]) -> list[str]:
    """One job for each form; answers what was wrong."""

    def one(numbered: tuple[int, dict[str, str]]) -> str:
        number, fields = numbered
        job = create(site, fields, KINDS[number % 2])
        found = fault(site, job, fields, number)
        if SOAK:
            site.request("DELETE", job)
        return found

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return [found for found in pool.map(one, enumerate(every)) if found]


@pytest.mark.upstream("S1", "A4.1")
@pytest.mark.timeout(0 if SOAK else 400)
def test_no_value_is_run_and_each_arrives(site, canary):
    values = canary.values(VALUES)
    faults = run_all(site, forms(values, 1 if SOAK else NUMBER))
    assert not faults, f"seed {canary.seed}: {faults[:5]}"
    assert canary.fired == [], f"seed {canary.seed}"


def test_the_canary_fires_where_a_script_runs_what_it_gets(site, canary):
    """Or the other tests could not fail."""
    job = create(site, {"p000": f"touch {canary.folder}/0"}, KINDS[0], RUNS_ALL.name)
    assert site.wait(job, OVER) == "COMPLETED"
    assert canary.fired == ["0"]


@pytest.mark.upstream("S2", "S5")
def test_a_name_is_one_of_the_description(site, canary):
    before = site.jobs("hostile")
    for value in canary.values(300):
        answer = site.post("/rest/hostile", {value or "x": "y", "PHASE": "RUN"})
        assert answer.status == 400, (canary.seed, value)
    for name in ("PATH", "LD_PRELOAD", "BASH_ENV", "OPUS_TOKEN", "IFS", "HOME", "x=$(id)"):
        assert site.post("/rest/hostile", {name: "y", "PHASE": "RUN"}).status == 400, name
    assert site.jobs("hostile") == before
    assert canary.fired == []


@pytest.mark.upstream("S4")
def test_a_result_has_a_bare_name(site, canary):
    """The name of a result may be a parameter's value; it is no path and no command."""
    before = site.jobs("hostile")
    plain = re.compile(r"[A-Za-z0-9_+][A-Za-z0-9._+-]*")
    for value in canary.values(300):
        answer = site.post("/rest/hostile", {"output": value})
        legal = value == "" or (bool(plain.fullmatch(value)) and len(value) <= 128)
        assert answer.status == (303 if legal else 400), (canary.seed, value)
        if answer.status == 303:
            site.request("DELETE", answer.location)
    assert site.jobs("hostile") == before
    assert canary.fired == []


@pytest.mark.upstream("S17")
def test_a_run_name_is_a_text(site, canary):
    for value in canary.values(200):
        answer = site.post("/rest/hostile", {"RUNID": value})
        assert answer.status in (303, 400), (canary.seed, value)
        if answer.status == 303:
            page = site.get(answer.location, headers={"Accept": "text/html"}).text
            assert "<script" not in page.replace('<script type="module" src="/static/', "")
            assert site.document(answer.location)["runId"] == (value or None)
            site.request("DELETE", answer.location)
    assert canary.fired == []


def test_a_file_may_have_any_name(site, canary):
    fields = {"PHASE": "RUN"}
    for number, value in enumerate(canary.values(200)):
        name = re.sub(r'[\x00-\x1f\x7f"\\]', "_", value) or "x"
        boundary = secrets.token_hex(8)
        body = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="p000"; filename="{name}"\r\n'
            f"\r\n{number}\r\n--{boundary}--\r\n"
        ).encode()
        headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        answer = site.request("POST", "/rest/hostile", fields, body=body, headers=headers)
        assert answer.status in (303, 400), (canary.seed, value, answer.text)
    assert canary.fired == []


# -- the same on a cluster


@pytest.mark.timeout(300)
@pytest.mark.parametrize("way", [NEAR, FAR])
def test_no_value_is_run_on_slurm(way):
    with slurm_cluster(ssh=way == FAR, accounting=False, cpus=8) as cluster:
        folder = reachable(cluster.folder / "canaries")
        canary = Canary(folder / "one", SEED)
        with stage(cluster, way) as one:
            describe(one.site, TAKES_ALL)
            faults: list[str] = []

            def run(number: int, fields: dict[str, str]) -> None:
                job = create(one.site, fields, KINDS[number % 2])
                faults.extend(filter(None, [fault(one.site, job, fields, number)]))

            threads = [
                threading.Thread(target=run, args=numbered)
                for numbered in enumerate(forms(canary.values(10 * NUMBER)))
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert len(threads) == 10
        assert not faults, f"seed {canary.seed}: {faults[:3]}"
        assert canary.fired == [], f"seed {canary.seed}"


def test_everything_here_is_over(site):
    """No job of these tests goes on."""
    eventually(lambda: not re.findall(r"EXECUTING|QUEUED", site.get("/rest/hostile").text), 60)
