"""Who may read the numbers, and what is answered to those who may not or ask for something else."""

from __future__ import annotations

import pytest

from core import wsgi
from metrics.numbers import samples
from opus_core.auth.tokens import ADMIN, READ, RUN
from opus_core.backends import User
from opus_core.errors import Unavailable
from opus_core.extensions import Site
from opus_core.testing.memory import MemoryStorage
from opus_metrics.options import MetricsOptions
from opus_metrics.plugin import Metrics

URL = "/plugins/metrics"
PROMETHEUS = "198.51.100.4"
ELSEWHERE = "203.0.113.9"


@pytest.fixture
def site(tmp_path):
    with wsgi.site(tmp_path) as site:
        site.people.add("tests", "ann")
        site.people.add("tests", "bob", roles=frozenset({"admin"}))
        yield site


def opened(site, storage=None, **options):
    metrics = Metrics(MetricsOptions(**options))
    metrics.open(Site(storage=storage or site.storage, data_dir=site.parts.folders.root))
    return {"mounted": {"metrics": metrics.opus_routes()}}


def ask(site, *, allow=(), proxies=(), headers=None, method="GET", url=URL, **environ):
    changes = {**opened(site, allow=allow), "proxies": proxies}
    client = site.client(changes=changes, **{"REMOTE_ADDR": ELSEWHERE, **environ})
    return client(method, url, **(headers or {}))


def token(site, user, *scopes):
    made = site.people.make_token("tests", user, scopes=frozenset(scopes))
    return {"authorization": f"Bearer {made.text}"}


# -- denied by default


@pytest.mark.parametrize("address", [ELSEWHERE, "127.0.0.1", "::1", ""])
def test_nobody_unknown_reads_anything_where_nothing_is_configured(site, address):
    answer = ask(site, REMOTE_ADDR=address)
    assert answer.status == 401
    assert "www-authenticate" in answer.headers
    assert "opus_jobs" not in answer.text


def test_somebody_known_is_told_that_it_is_not_for_them(site):
    assert ask(site, REMOTE_USER="ann").status == 403
    assert ask(site, headers=token(site, "ann", ADMIN)).status == 403


def test_an_admin_reads_them(site):
    answer = ask(site, REMOTE_USER="bob")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert answer.headers["cache-control"] == "no-store"
    assert samples(answer.text)["opus_supervisor_up", ()] == 0


def test_an_admins_token_needs_the_scope(site):
    assert ask(site, headers=token(site, "bob", ADMIN)).status == 200
    assert ask(site, headers=token(site, "bob", READ, RUN)).status == 403


def test_wrong_credentials_are_wrong_also_from_an_address_that_may(site):
    headers = {"authorization": "Bearer opus_nobody"}
    assert ask(site, allow=(PROMETHEUS,), headers=headers, REMOTE_ADDR=PROMETHEUS).status == 401


# -- addresses


@pytest.mark.parametrize(
    ("allow", "address", "status"),
    [
        ((PROMETHEUS,), PROMETHEUS, 200),
        ((PROMETHEUS,), ELSEWHERE, 401),
        (("198.51.100.0/24", "2001:db8::/32"), PROMETHEUS, 200),
        (("198.51.100.0/24", "2001:db8::/32"), "2001:db8::7", 200),
        (("198.51.100.0/24", "2001:db8::/32"), f"::ffff:{PROMETHEUS}", 200),
        (("198.51.100.0/24", "2001:db8::/32"), "::1", 401),
        (("127.0.0.0/8",), "127.0.0.1", 200),
        (("127.0.0.0/8",), "", 401),
        (("0.0.0.0/0",), "", 401),
    ],
)
def test_an_address_that_is_allowed_reads_them_without_signing_in(site, allow, address, status):
    assert ask(site, allow=allow, REMOTE_ADDR=address).status == status


def test_somebody_known_reads_them_from_an_address_that_may(site):
    assert ask(site, allow=(PROMETHEUS,), REMOTE_ADDR=PROMETHEUS, REMOTE_USER="ann").status == 200


def test_what_comes_through_a_proxy_that_is_not_trusted_has_no_address(site):
    """Or whoever asks the proxy of a site would be Prometheus on the same machine."""
    headers = {"x_forwarded_for": ELSEWHERE}
    asked = {"allow": ("127.0.0.1", ELSEWHERE), "REMOTE_ADDR": "127.0.0.1"}
    assert ask(site, headers=headers, **asked).status == 401
    assert ask(site, headers={"x_forwarded_proto": "https"}, **asked).status == 401
    assert ask(site, **asked).status == 200


def test_a_forwarded_address_counts_if_the_proxy_is_trusted(site):
    trusting = {"proxies": ("127.0.0.1",), "REMOTE_ADDR": "127.0.0.1"}
    from_prometheus = {"x_forwarded_for": PROMETHEUS}
    assert ask(site, allow=(PROMETHEUS,), headers=from_prometheus, **trusting).status == 200
    assert ask(site, allow=("127.0.0.1",), headers=from_prometheus, **trusting).status == 401
    assert ask(site, allow=(PROMETHEUS,), headers=from_prometheus).status == 401, "not by a client"


# -- what can be asked


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_they_can_be_read_and_nothing_else(site, method):
    answer = ask(site, method=method, REMOTE_USER="bob")
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
    assert ask(site, method=method).status == 401


def test_head_answers_as_get_without_a_body(site):
    answer = ask(site, method="HEAD", REMOTE_USER="bob")
    assert (answer.status, answer.body) == (200, b"")


def test_there_is_nothing_below(site):
    assert ask(site, url=f"{URL}/", REMOTE_USER="bob").status == 200
    assert ask(site, url=f"{URL}/opus_jobs", REMOTE_USER="bob").status == 404
    assert ask(site, url=f"{URL}/opus_jobs").status == 401


def test_jobs_of_the_site_are_counted(site):
    client = site.client(changes=opened(site), REMOTE_USER="bob")
    assert client.get(URL).status == 200
    job = client.create("/rest/echo", text="hello", PHASE="RUN")
    site.run(job)
    client.create("/rest/fit")
    found = samples(client.get(URL).text)
    assert found["opus_jobs", (("definition", "echo"), ("phase", "EXECUTING"))] == 1
    assert found["opus_jobs_created_total", (("definition", "fit"),)] == 1
    assert found["opus_job_wait_seconds_count", (("definition", "echo"),)] == 1
    assert "bob" not in client.get(URL).text, "nothing is told by user"
    assert job.rpartition("/")[2] not in client.get(URL).text, "or by job"


@pytest.mark.parametrize("broken", ["changes", "records", "health"])
def test_where_the_storage_is_away_nothing_is_answered_instead(site, broken):
    class Away(MemoryStorage):
        away = False

        def __getattribute__(self, name):
            if name == broken and type(self).away:
                raise Unavailable("the database is away")
            return super().__getattribute__(name)

    storage = Away(site.storage.options)
    client = site.client(changes=opened(site, storage=storage), REMOTE_USER="bob")
    assert client.get(URL).status == 200
    Away.away = True
    answer = client.get(URL)
    assert (answer.status, "the database is away" in answer.text) == (503, True)
    assert "retry-after" in answer.headers
    Away.away = False
    assert client.get(URL).status == 200


# -- options


@pytest.mark.parametrize("entry", ["prometheus.example.org", "192.0.2.1/24", "localhost", ""])
def test_what_is_no_network_is_a_mistake(entry):
    with pytest.raises(ValueError, match=r"allow: .* is no address or network"):
        MetricsOptions(allow=(entry,))


def test_a_network_that_everybody_is_in_is_warned_of():
    assert not Metrics(MetricsOptions(allow=("192.0.2.0/24", "::1"))).warnings()
    for everybody in ("0.0.0.0/0", "::/0"):
        [warning] = Metrics(MetricsOptions(allow=("192.0.2.0/24", everybody))).warnings()
        assert everybody in warning


def test_an_admin_of_a_plugin_of_authentication_is_one(site):
    boss = User(name="zoe", roles=frozenset({"admin"}))
    changes = {**opened(site), "authenticate": lambda request: boss, "people": None}
    assert site.client(changes=changes).get(URL).status == 200
