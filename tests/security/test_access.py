"""Every route and method of one user's jobs, asked by another and by nobody known.

The routes are those of the application itself: a new one is tried as soon as it is there, and one
that is not about a job has to be put into a line below by whoever makes it.
"""

from __future__ import annotations

import re
import secrets

import pytest

from opus_core.routes import PAGES, ROUTES, SERVICES
from security.accounts import ANN, BOB, EVE, site_with_users
from servers import eventually

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")
WORD = f"only-ann-knows-{secrets.token_hex(8)}"

# What is for everybody, and shows nothing of anybody's jobs.
PUBLIC = {
    "GET /",
    "GET /rest",
    "GET /rest/capabilities",
    "GET /rest/availability",
    "GET /capabilities",
    "GET /availability",
    "GET /healthz",
    "GET /api",
    "GET /openapi.yaml",
    "GET /openapi.json",
    "GET /static/<file>",
    "GET /static/<stamp>/<file>",
    "GET /jdl/<name>",
    "GET /signin",
    "POST /signin",
    "GET /signin/<code>",
    "POST /signin/<code>",
    "POST /signout",
    "POST /handler/job_event",  # which knows its own by a token of each job
}
# What is for whoever may have jobs, and shows one's own.
ONES_OWN = {
    "GET /new/<name>",
    "GET /jobs",
    "GET /rest/<name>",
    "POST /rest/<name>",
    "GET /rest/<name>/sync",
    "POST /rest/<name>/sync",
    "GET /changes",
}
# The same, and it asks servers elsewhere that the site lists.
ELSEWHERE = {
    "GET /services",
    "GET /services/jobs",
    "GET /services/job",
    "GET /services/new",
    "GET /services/way",
    "POST /services/form",
    "GET /services/proxy",
    "POST /services/proxy",
    "PUT /services/proxy",
    "DELETE /services/proxy",
}
# What is for somebody who has signed in, and never for a token.
SIGNED_IN = {
    "GET /account",
    "POST /account/tokens",
    "POST /account/tokens/<prefix>/revoke",
    "POST /account/password",
}
# What is for who works on descriptions: admins, and publishers with what is their own.
AUTHORS = {
    "GET /jdl/<name>/script",
    "GET /jdl/<name>/draft",
    "PUT /jdl/<name>/draft",
    "DELETE /jdl/<name>/draft",
    "POST /jdl/<name>/draft/request",
    "GET /jdl/<name>/versions",
    "GET /edit",
    "GET /edit/<name>",
    "POST /edit/<name>/preview",
    "GET /edit/<name>/versions",
    "POST /jdl/<name>/publish",
    "POST /jdl/<name>/withdraw",
    "GET /jdl/<name>/access",
    "PUT /jdl/<name>/access",
}
ADMINS = {
    "GET /admin",
    "POST /admin/announcement",
    "GET /admin/users",
    "POST /admin/users",
    "GET /admin/users/<user>",
    "POST /admin/users/<user>",
    "GET /admin/audit",
}
TABLE = {f"{method} {rule}": (method, rule) for method, rule, _ in (*ROUTES, *PAGES, *SERVICES)}
OF_A_JOB = {key for key in TABLE if "<job_id>" in key}
RULES = sorted({rule for _, rule in TABLE.values()})

FORMS = (
    {"PHASE": "RUN"},
    {"PHASE": "ABORT"},
    {"ACTION": "DELETE"},
    {"DESTRUCTION": "2099-01-01T00:00:00Z"},
    {"EXECUTIONDURATION": "7"},
    {"text": "changed"},
    {},
)


def test_every_route_is_somebodys():
    every = OF_A_JOB | PUBLIC | ONES_OWN | ELSEWHERE | SIGNED_IN | AUTHORS | ADMINS
    assert every == set(TABLE)


OPEN, CLOSED = "anonymous = true\nanonymous_list = true", "passwords = true"


@pytest.fixture(scope="module", params=[OPEN, CLOSED])
def users(request):
    with site_with_users(auth=request.param) as found:
        found.open = request.param == OPEN
        yield found


@pytest.fixture(scope="module")
def jobs(users):
    """Ann's: one that waits, one that runs, one that is over, with a word in all that it has."""
    fields = {"text": WORD, "RUNID": WORD}
    found = [
        users.create(ANN, **fields),
        users.create(ANN, **fields, seconds="600", PHASE="RUN"),
        users.create(ANN, **fields, PHASE="RUN"),
    ]
    states = ("PENDING", "EXECUTING", "COMPLETED")

    def there():
        return tuple(users.document(ANN, job)["phase"] for job in found) == states

    eventually(there)
    assert WORD in users.ask(ANN, "GET", f"{found[2]}/results/output").text
    yield found
    users.ask(ANN, "DELETE", found[1])


def filled(rule, job):
    """The address with that job in it."""
    values = {"name": "ledger", "job_id": job.rpartition("/")[2], "parameter": "text"}
    values |= {"result_id": "output", "file": "opus.css", "user": ANN, "prefix": "0" * 12}
    values |= {"stamp": "0" * 12, "code": "opus_000000000000_" + "A" * 43}
    return re.sub(r"<(\w+)>", lambda match: values[match[1]], rule)


def requests(rule, job):
    """Every method, and of those with a body every form."""
    path = filled(rule, job)
    for method in METHODS:
        if method in ("POST", "PUT", "PATCH"):
            yield from ((method, path, form) for form in FORMS)
        else:
            yield method, path, None
            yield method, f"{path}?PHASE=QUEUED&OWNER={ANN}&TEXT=only-ann&WAIT=0", None


@pytest.mark.upstream("S11")
@pytest.mark.parametrize("rule", [rule for rule in RULES if "<job_id>" in rule])
def test_a_job_is_nobody_elses(users, jobs, rule):
    before = [users.document(ANN, job) for job in jobs]
    for job in jobs:
        for who in (EVE, None):
            for method, path, form in requests(rule, job):
                answer = users.ask(who, method, path, form)
                expected = {401} if who is None and not users.open else {403}
                if f"{'GET' if method == 'HEAD' else method} {rule}" not in TABLE:
                    expected = {405}
                assert answer.status in expected, (who, method, path, answer.status, answer.text)
                assert WORD.encode() not in answer.body
                assert WORD not in str(answer.headers)
    assert [users.document(ANN, job) for job in jobs] == before


@pytest.mark.parametrize("rule", [rule for rule in RULES if "<job_id>" not in rule])
def test_nothing_else_shows_or_changes_it(users, jobs, rule):
    before = [users.document(ANN, job) for job in jobs]
    for who in (EVE, None):
        for method, path, form in requests(rule, jobs[0]):
            answer = users.ask(who, method, path, form)
            assert answer.status < 500, (who, method, path, answer.text)
            if f"{'GET' if method == 'HEAD' else method} {rule}" in AUTHORS | ADMINS:
                assert answer.status == (401 if who is None else 403), (who, method, path)
            shown = answer.text if "charset=utf-8" in str(answer.headers) else ""
            assert WORD.encode() not in answer.body, (who, method, path)
            assert ANN not in re.findall(r"<uws:ownerId>(\w+)<", shown)
    assert [users.document(ANN, job) for job in jobs] == before


def test_who_is_not_known_has_nothing_where_that_is_off(users, jobs):
    for key in sorted(ONES_OWN | ELSEWHERE):
        method, rule = TABLE[key]
        answer = users.ask(None, method, filled(rule, jobs[0]), {} if method == "POST" else None)
        assert (answer.status == 401) is not users.open, (key, answer.status)


@pytest.mark.parametrize("key", sorted(SIGNED_IN))
def test_accounts_are_closed_to_tokens_and_to_nobody_known(users, jobs, key):
    method, rule = TABLE[key]
    form = {"SCOPE": "run"} if method == "POST" else None
    assert users.ask(None, method, filled(rule, jobs[0]), form).status == 401
    for who in (ANN, BOB, EVE):
        assert users.ask(who, method, filled(rule, jobs[0]), form).status == 403


def test_lists_show_ones_own(users, jobs):
    own = users.create(EVE)
    mine = users.ask(EVE, "GET", "/rest/ledger").text
    assert own.rpartition("/")[2] in mine
    every = users.ask(BOB, "GET", "/rest/ledger").text
    for job in jobs:
        assert job.rpartition("/")[2] not in mine
        assert job.rpartition("/")[2] in every
    newest = users.ask(EVE, "GET", "/changes").text
    assert WORD not in newest


def test_an_admin_sees_and_acts_and_that_is_known(users, jobs):
    job = users.create(ANN)
    assert users.document(BOB, job)["ownerId"] == ANN
    assert users.ask(BOB, "POST", f"{job}/phase", {"PHASE": "ABORT"}).status == 303
    audit = users.site.opus("audit").stdout
    job_id = job.rpartition("/")[2]
    assert f"bob job seen {job_id} (of ann)" in audit
    assert f"bob job aborted {job_id} (of ann)" in audit


def test_a_token_does_no_more_than_it_was_made_for(users, jobs):
    users.tokens["reader"] = users.token(ANN, "--scope", "read")
    users.tokens["bobs"] = users.token(BOB)  # run, without admin
    assert users.document("reader", jobs[0])["phase"] == "PENDING"
    for method, path, form in (
        ("POST", "/rest/ledger", {}),
        ("POST", f"{jobs[0]}/phase", {"PHASE": "RUN"}),
        ("POST", f"{jobs[0]}/parameters", {"text": "x"}),
        ("PUT", f"{jobs[0]}/parameters/text", None),
        ("DELETE", jobs[0], None),
    ):
        assert users.ask("reader", method, path, form).status == 403, (method, path)
    assert users.ask("bobs", "GET", jobs[0]).status == 403
    assert users.document(ANN, jobs[0])["phase"] == "PENDING"
