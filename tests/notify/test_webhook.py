"""One webhook: what is posted, and what each answer means."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from notify.helpers.making import SECRET, a_change, opened, secret_file
from notify.helpers.receiver import receiver
from opus_core.errors import Unavailable
from opus_core.job import Phase, now
from opus_notify import signature
from servers import free_port

KEY = base64.b64decode(SECRET.removeprefix("whsec_"))


@pytest.fixture
def target(tmp_path, storage):
    """A callable that makes the webhook for a URL."""

    def make(url: str, **table: object):
        [found] = opened(tmp_path, storage, webhooks=[url], **table)._targets()
        return found

    return make


def put_off(target, change) -> Unavailable:
    with pytest.raises(Unavailable) as caught:
        target.tell(change)
    return caught.value


# --- what is posted


def test_the_signature_is_that_of_the_standard():
    # The example of Standard Webhooks, which its libraries are tested with.
    found = signature.headers(
        [KEY], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
    )
    assert found == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_a_change_is_posted_with_all_that_matters(target, hook):
    change = a_change(Phase.ERROR, time=datetime(2031, 12, 24, 18, 30, 0, 5000, UTC))
    target(hook.at("/hooks/opus?room=a%20b")).tell(change)

    [post] = hook.posts
    assert post.path == "/hooks/opus?room=a%20b"
    assert post.headers["content-type"] == "application/json"
    assert json.loads(post.body) == {
        "type": "job.phase",
        "timestamp": "2031-12-24T18:30:00.005Z",
        "data": {
            "job": change.job_id,
            "definition": "periodogram",
            "version": 3,
            "owner": "ann",
            "run_id": "first try",
            "old": "EXECUTING",
            "new": "ERROR",
            "url": f"https://opus.example.org/rest/periodogram/{change.job_id}",
        },
    }
    assert len(post.body) < 1000


def test_whoever_has_the_key_can_compute_the_signature(target, hook):
    target(hook.at()).tell(a_change())

    [post] = hook.posts
    identity, seconds = post.headers["webhook-id"], post.headers["webhook-timestamp"]
    signed = f"{identity}.{seconds}.".encode() + post.body
    expected = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    assert post.headers["webhook-signature"] == f"v1,{expected}"
    assert abs(int(seconds) - time.time()) < 60
    assert "." not in identity  # the sign between what is signed


def test_each_key_signs_while_a_receiver_changes_its_own(target, hook, tmp_path):
    other = base64.b64encode(b"another key, 24 bytes long").decode()
    path = secret_file(tmp_path, f"{SECRET}\nwhsec_{other}", "two")
    target(hook.at(), webhook_secret_file=path).tell(a_change())

    signatures = hook.posts[0].headers["webhook-signature"].split(" ")
    assert len(set(signatures)) == 2
    assert all(one.startswith("v1,") for one in signatures)


def test_the_id_is_the_same_each_time_and_of_this_change_alone(target, hook):
    change = a_change()
    webhook = target(hook.at())
    others = [a_change(job_id=change.job_id, seq=8), a_change(), a_change(Phase.ABORTED)]
    for one in (change, change, *others):
        webhook.tell(one)

    ids = [post.headers["webhook-id"] for post in hook.posts]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 4
    assert hook.posts[0].body == hook.posts[1].body


def test_a_job_without_owner_and_run_id_on_a_server_without_address(target, hook):
    target(hook.at(), base_url=None).tell(a_change(owner=None, run_id=None, old=None))

    data = hook.posts[0].data
    assert (data["owner"], data["run_id"], data["old"], data["url"]) == (None, None, None, None)


def test_no_text_of_a_user_gets_into_a_header(target, hook):
    evil = "x\r\nX-Evil: 1\r\n\r\n\udc80\u2028"
    target(hook.at()).tell(a_change(owner=evil, run_id=evil))

    [post] = hook.posts
    assert "x-evil" not in post.headers
    assert post.data["run_id"] == evil


# --- what answers mean


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_told(target, hook, status):
    hook.will(status)
    target(hook.at()).tell(a_change())
    assert len(hook.posts) == 1


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
def test_told_again_since_it_has_trouble(target, hook, status):
    hook.will(status)
    webhook = target(hook.at(), give_up_refused=0)
    assert put_off(webhook, a_change()).sentence == f"{webhook.name} answers {status}"


@pytest.mark.parametrize("status", [300, 304, 400, 401, 403, 404, 405, 413, 422, 451])
def test_told_again_for_a_while_since_it_refuses(target, hook, status):
    hook.will(status)
    webhook = target(hook.at())
    assert put_off(webhook, a_change()).sentence == (
        f"{webhook.name} answers {status}, as if it were not meant"
    )


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirection_is_followed(target, hook, status):
    with receiver() as elsewhere:
        hook.will(status, location=elsewhere.at("/stolen"))
        put_off(target(hook.at()), a_change())
        assert elsewhere.posts == []
    assert len(hook.posts) == 1


@pytest.mark.parametrize(
    ("written", "least", "most"),
    [
        ("17", 17, 17),
        ("0", 0, 0),
        (format_datetime(datetime.now(UTC) + timedelta(seconds=3600), usegmt=True), 3000, 3600),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 0),
    ],
    ids=["seconds", "none", "an instant", "long ago"],  # not the instant: workers have to agree
)
def test_the_receiver_may_say_when(target, hook, written, least, most):
    hook.will(429, retry_after=written)
    assert least <= put_off(target(hook.at()), a_change()).retry_after <= most


@pytest.mark.parametrize(
    "written", ["soon", "-5", "1e9", "nan", "9" * 40, "", "Fri, 31 Dec 9999 23:59:59 -1200"]
)
def test_when_that_is_no_time_is_left_out(target, hook, written):
    hook.will(503, retry_after=written)
    assert put_off(target(hook.at()), a_change()).retry_after is None


def test_gone_for_good_is_over_at_once(target, hook, caplog):
    hook.will(410)
    change = a_change()
    webhook = target(hook.at())
    webhook.tell(change)

    [warning] = caplog.records
    assert warning.getMessage() == (
        "not told: the answer is 410, gone for good; take it out of webhooks"
    )
    facts = {"target": webhook.name, "job": change.job_id, "phase": "COMPLETED"}
    assert warning.facts == facts


@pytest.mark.parametrize("between", [503, None])
def test_refusals_count_in_a_row_alone(target, hook, between):
    webhook = target(hook.at(), give_up_refused="6 h")
    old = a_change(time=now() - timedelta(hours=7))
    hook.will(404)
    put_off(webhook, old)
    webhook._refusing -= 7 * 3600
    if between:
        hook.will(between)
        put_off(webhook, old)
    else:  # nobody is there
        parts, webhook._parts = webhook._parts, webhook._parts._replace(netloc="127.0.0.1:9")
        put_off(webhook, old)
        webhook._parts = parts
    hook.will(404)
    put_off(webhook, old)  # it has only begun to refuse


def test_one_that_refuses_for_long_is_given_up_once_the_change_is_old(target, hook, caplog):
    webhook = target(hook.at(), give_up_refused="6 h")
    old = a_change(time=now() - timedelta(hours=7))
    hook.will(404, times=4)

    put_off(webhook, old)  # it has only begun to refuse: what waited is not lost to that
    webhook._refusing -= 7 * 3600
    put_off(webhook, a_change())  # this one is young
    assert caplog.records == []
    webhook.tell(old)

    [warning] = caplog.records
    assert warning.getMessage() == "given up: refused with 404"
    assert warning.facts == {"target": webhook.name, "job": old.job_id, "phase": "COMPLETED"}
    hook.answers.clear()
    webhook.tell(old)  # it is what it should be again, and so is its patience
    hook.will(404)
    put_off(webhook, old)


# --- trouble on the way


def test_nobody_there(target):
    webhook = target(f"http://127.0.0.1:{free_port()}/")
    assert put_off(webhook, a_change()).sentence == (
        f"{webhook.name} could not be reached: Connection refused"
    )


def test_a_host_that_does_not_exist(target):
    said = put_off(target("https://nowhere.invalid/hunter2"), a_change()).sentence
    assert said.startswith("'nowhere.invalid' has no address: ")
    assert "hunter2" not in said


@pytest.mark.parametrize(
    "said", [b"", b"hello\r\n", b"HTTP/1.1 two hundred\r\n\r\n", b"HTTP/1.1 200 OK\r\n" * 200]
)
def test_what_is_no_answer_is_none(target, hook, said):
    hook.will_say(said)
    assert " could not be reached: " in put_off(target(hook.at()), a_change()).sentence


def test_one_that_is_never_done_answering_does_not_hang(target, hook):
    over = threading.Event()
    pieces = (b"HTTP/1.1 200 OK\r\nX: ", *[b"x"] * 2000)
    hook.will_say(*pieces, between=lambda: over.wait(0.05))
    begin = time.monotonic()
    try:
        webhook = target(hook.at(), timeout=1)
        said = put_off(webhook, a_change()).sentence
    finally:
        over.set()

    assert said == f"{webhook.name} did not answer in time"
    assert time.monotonic() - begin < 10


def test_an_endless_body_is_not_read(target, hook):
    over = threading.Event()
    hook.will_say(b"HTTP/1.1 200 OK\r\n\r\n", *[b"x" * 65536] * 20, between=lambda: over.wait(1))
    begin = time.monotonic()
    try:
        target(hook.at(), timeout=30).tell(a_change())
        assert time.monotonic() - begin < 15
    finally:
        over.set()


def test_a_receiver_that_cannot_prove_itself_gets_nothing(target, context):
    with receiver(context=context) as secure:
        webhook = target(secure.at(host="localhost", scheme="https"))
        assert put_off(webhook, a_change()).sentence.startswith(
            f"{webhook.name} cannot be trusted: "
        )
        assert secure.posts == []


@pytest.mark.usefixtures("trusted")
def test_one_that_can_gets_it(target, context):
    with receiver(context=context) as secure:
        target(secure.at(host="localhost", scheme="https")).tell(a_change())
        assert len(secure.posts) == 1
        assert secure.posts[0].headers["host"] == f"localhost:{secure.port}"


@pytest.mark.usefixtures("trusted")
def test_a_certificate_for_another_name_is_no_proof(target, context):
    with receiver(context=context) as secure:
        put_off(target(secure.at(host="127.0.0.1", scheme="https")), a_change())
        assert secure.posts == []
