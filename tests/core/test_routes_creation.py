from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core import wsgi
from core.wsgi import CHROME, UWS
from opus_core.auth.policy import Policy
from opus_core.backends import Limits
from opus_core.definition import ParameterDescription, ParameterType
from opus_core.forms import FormLimits

MEMORY = ParameterDescription(name="memory", type=ParameterType.INT, maximum="100", unit="MB")
HOSTILE = [
    "\"quotes\" and 'more'",
    "<script>alert(1)</script> &amp; ]]>",
    "$(id) `id` ; rm -rf /",
    "line\r\nfeed\rand\ttab",
    "bell \x07 escape \x1b[31m",
    "\u202eright to left\u202c \u05e9\u05dc\u05d5\u05dd",
    "../../etc/passwd",
    "100%+5 %zz %00",
    "🔭" * 10,
    "x" * 200_000,
    "  blanks  ",
]


@pytest.fixture
def site(tmp_path):
    with wsgi.site(tmp_path, run_options=(MEMORY,)) as site:
        yield site


@pytest.fixture
def client(site):
    return site.client()


def multipart(*parts):
    """A body of (name, value) and (name, file name, content)."""
    body = b""
    for name, *rest in parts:
        head = f'--frontier\r\nContent-Disposition: form-data; name="{name}"'
        if len(rest) == 2:
            head += f'; filename="{rest[0]}"\r\nContent-Type: text/csv'
        content = rest[-1] if isinstance(rest[-1], bytes) else rest[-1].encode()
        body += f"{head}\r\n\r\n".encode() + content + b"\r\n"
    return {
        "body": body + b"--frontier--\r\n",
        "content_type": "multipart/form-data; boundary=frontier",
    }


def folders(site):
    root = site.parts.folders.root
    return [one for shard in root.iterdir() for one in shard.iterdir()] if root.exists() else []


def values(client, job):
    said = client.get(job, accept="application/json").json["parameters"]
    return [(one["id"], one.get("value")) for one in said]


def test_a_new_job_is_pending_and_the_answer_leads_to_it(client):
    answer = client.post("/rest/fit", form={"order": "5"})
    assert answer.status == 303
    assert answer.location.startswith("http://opus.test/rest/fit/")
    job = client.get(answer.location.removeprefix("http://opus.test"))
    assert job.xml.findtext(UWS + "phase") == "PENDING"
    assert job.xml.findtext(UWS + "executionDuration") == "600"


def test_controls_may_stand_in_the_body_or_in_the_query(client):
    by_query = client.create("/rest/fit?PHASE=RUN&RUNID=a", order="5")
    by_body = client.create(PHASE="RUN", runid="a", order="5")
    for job in (by_query, by_body):
        said = client.get(job, accept="application/json").json
        assert (said["phase"], said["runId"]) == ("QUEUED", "a")


def test_a_file_is_streamed_into_the_folder_and_comes_back(site, client):
    answer = client.post("/rest/fit", **multipart(("order", "2"), ("table", "my ä.csv", b"1,2\n")))
    job = answer.location.removeprefix("http://opus.test")
    entry = client.get(f"{job}/parameters", accept="application/json").json["parameters"][-1]
    assert entry["file"] == "my ä.csv"
    assert entry["sha256"] == hashlib.sha256(b"1,2\n").hexdigest()
    got = client.get(entry["href"].removeprefix("http://opus.test"))
    assert got.body == b"1,2\n"
    assert got.headers["content-disposition"] == (
        "attachment; filename=\"my _.csv\"; filename*=UTF-8''my%20%C3%A4.csv"
    )
    reference = client.get(f"{job}/parameters").xml[-1]
    assert (reference.get("byReference"), reference.text) == ("true", entry["href"])


def test_an_upload_under_another_name_is_found(client):
    body = multipart(("UPLOAD", "table,param:f"), ("f", "a.csv", b"x"))
    job = client.post("/rest/fit", **body).location.removeprefix("http://opus.test")
    assert client.get(f"{job}/parameters/table").body == b"x"


@pytest.mark.parametrize(
    "parts",
    [
        [("order", "99"), ("table", "a.csv", b"1")],  # a bad value
        [("nope", "1"), ("table", "a.csv", b"1")],  # an unknown one
        [("other", "a.csv", b"1")],  # a file that nothing takes
        [("PHASE", "ABORT"), ("table", "a.csv", b"1")],
    ],
)
def test_what_is_refused_leaves_no_file_behind(site, client, parts):
    assert client.post("/rest/fit", **multipart(*parts)).status == 400
    assert folders(site) == []


def test_a_file_beyond_the_limit_is_413_and_leaves_nothing_behind(site):
    client = site.client(changes={"limits": FormLimits(max_file=10)})
    answer = client.post("/rest/fit", **multipart(("table", "a.csv", b"x" * 11)))
    assert answer.status == 413
    assert "10 bytes" in answer.text
    assert folders(site) == []


def test_a_body_that_ends_too_early_is_400(site, client):
    body = multipart(("table", "a.csv", b"x" * 1000))
    body["body"] = body["body"][:500]
    assert client.post("/rest/fit", **body).status == 400
    assert folders(site) == []


def test_a_body_of_another_type_is_refused(client):
    answer = client.post("/rest/fit", body=b"{}", content_type="application/json")
    assert answer.status == 400
    assert "multipart/form-data" in answer.text


def test_nobody_unknown_can_fill_the_disk(site):
    policy = Policy(anonymous=False)
    site.parts.service._policy = policy
    client = site.client(changes={"policy": policy})
    answer = client.post("/rest/fit", **multipart(("table", "a.csv", b"1")))
    assert answer.status == 401
    assert "www-authenticate" in answer.headers
    assert folders(site) == []


def test_unknown_and_withdrawn_descriptions_take_no_jobs(site, client):
    assert client.post("/rest/fat", form={}).status == 404
    job = client.create()
    site.parts.catalogue.withdraw("fit")
    assert client.post("/rest/fit", form={}).status == 403
    assert client.get("/rest/fit").status == 200
    assert client.get(job).status == 200
    assert client.get(job, accept=CHROME).status == 200


def test_a_quota_that_is_used_up_is_429(tmp_path):
    with wsgi.site(tmp_path, limits=Limits(per_hour=1)) as site:
        client = site.client()
        client.create()
        answer = client.post("/rest/fit", form={})
        assert answer.status == 429
        assert int(answer.headers["retry-after"]) > 0


def test_files_that_a_pending_job_does_not_name_are_not_kept(site, client):
    job = client.create()
    inputs = site.parts.folders.path(job.rpartition("/")[2]) / "input"

    def kept():
        return [file.read_bytes() for file in inputs.iterdir()]

    assert client("PUT", f"{job}/parameters/table", b"1").status == 303
    assert client("PUT", f"{job}/parameters/table", b"2").status == 303
    assert kept() == [b"2"], "the first one was replaced"
    for wrong in (("nope", "a.csv", b"4"), ("order", "none")):
        body = multipart(("table", "a.csv", b"3"), wrong)
        assert client.post(f"{job}/parameters", **body).status == 400
        assert client.post(job, **multipart(("table", "a.csv", b"2"), wrong)).status == 400
    assert kept() == [b"2"], "nothing of what was refused"
    assert client.get(f"{job}/parameters/table").body == b"2"


# -- Idempotency-Key


def test_the_same_request_under_one_key_makes_one_job(site, client):
    body = multipart(("order", "2"), ("table", "a.csv", b"1"))
    first = client.post("/rest/fit", **body, idempotency_key="k1")
    again = client.post("/rest/fit", **body, idempotency_key="k1")
    assert first.location == again.location
    assert len(client.get("/rest/fit").xml) == 1
    assert len(folders(site)) == 1


def test_another_request_under_the_same_key_is_409(client):
    client.post("/rest/fit", form={"order": "1"}, idempotency_key="k1")
    assert client.post("/rest/fit", form={"order": "2"}, idempotency_key="k1").status == 409
    assert len(client.get("/rest/fit").xml) == 1


def test_a_key_of_one_user_is_not_anothers(site):
    ann, bob = site.client(REMOTE_USER="ann"), site.client(REMOTE_USER="bob")
    first = ann.post("/rest/fit", form={}, idempotency_key="k")
    assert bob.post("/rest/fit", form={}, idempotency_key="k").location != first.location


def test_a_key_with_blanks_is_400(client):
    assert client.post("/rest/fit", form={}, idempotency_key="a b").status == 400


# -- hostile values


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("encoding", ["urlencoded", "multipart"])
def test_a_value_comes_back_byte_for_byte_everywhere(client, value, encoding):
    if encoding == "urlencoded":
        answer = client.post("/rest/echo", form={"text": value})
    else:
        answer = client.post("/rest/echo", **multipart(("text", value)))
    job = answer.location.removeprefix("http://opus.test")
    assert values(client, job) == [("text", value if len(value) <= 65536 else None)]
    assert client.get(f"{job}/parameters/text").body == value.encode()
    (entry,) = client.get(f"{job}/parameters").xml
    if entry.get("byReference"):
        referred = client.get(entry.text.removeprefix("http://opus.test"))
        assert referred.body == value.encode()
    else:
        assert entry.text == value
    page = client.get(job, accept=CHROME)
    assert page.status == 200
    assert "<script>" not in page.text
    assert "\x07" not in page.text
    assert len(page.body) < 20_000
    assert "<script>" not in client.get(f"/new/echo/{job.rpartition('/')[2]}").text


@given(
    value=st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1)
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_survives(client, value):
    job = client.create("/rest/echo", text=value)
    assert values(client, job) == [("text", value)]
    assert client.get(f"{job}/parameters/text").body == value.encode()
    assert client.get(job).status == 200
    assert client.get(job, accept=CHROME).status == 200


@pytest.mark.parametrize("run_id", ["a\x01b", "x" * 1000])
def test_a_run_id_that_no_document_can_show_is_400(client, run_id):
    assert client.post("/rest/fit", form={"RUNID": run_id}).status == 400
    assert len(client.get("/rest/fit").xml) == 0


@pytest.mark.parametrize("run_id", HOSTILE[:4] + HOSTILE[5:9])
def test_a_run_id_comes_back_exactly_and_the_list_stays_whole(client, run_id):
    job = client.create(RUNID=run_id)
    assert client.get(job).xml.findtext(UWS + "runId") == run_id
    (row,) = client.get("/rest/fit").xml
    assert row.findtext(UWS + "runId") == run_id
    listed = client.get("/rest/fit", accept="application/json").json["jobs"]
    assert listed[0]["runId"] == run_id
    for page in (client.get("/rest/fit", accept=CHROME), client.get(job, accept=CHROME)):
        assert "<script>" not in page.text
        assert "\u202e" not in page.text


def test_a_nul_is_refused(client):
    assert client.post("/rest/echo", form={"text": "a\0b"}).status == 400


@pytest.mark.parametrize("name", ["../../x.csv", "a/b\\c.csv", "x\u202ecsv.exe", "'; rm.csv"])
def test_a_hostile_file_name_is_only_shown(site, client, name):
    answer = client.post("/rest/fit", **multipart(("table", name, b"1")))
    job = answer.location.removeprefix("http://opus.test")
    got = client.get(f"{job}/parameters/table")
    assert got.body == b"1"
    said = got.headers["content-disposition"]
    assert said.isascii()
    assert "/" not in said
    assert client.get(job, accept=CHROME).status == 200
    (folder,) = folders(site)
    assert [one.name for one in (folder / "input").iterdir()] == [hashlib.sha256(b"1").hexdigest()]


def test_a_field_that_nobody_knows_is_no_file_and_leaves_nothing_behind(site, client):
    answer = client.post("/rest/fit", **multipart(("ordr", "3"), ("table", "t.csv", b"1")))
    assert answer.status == 400
    assert "did you mean order?" in answer.text
    assert folders(site) == []


# -- from a page


def test_a_script_of_our_own_page_is_led_to_the_name_that_it_called_us_by(client):
    """It may not follow to another host, be it only another name of this one."""
    job = client.post("/rest/fit", form={}, sec_fetch_site="same-origin").location
    assert job.startswith("/rest/fit/")
    answer = client.post(f"{job}/phase", form={"PHASE": "RUN"}, sec_fetch_site="same-origin")
    assert answer.location == job
    assert client.post("/rest/fit", form={}).location.startswith("http://opus.test/rest/fit/")


def test_the_run_button_and_the_create_button_differ_by_a_phase(client):
    form = {"order": "4", "title": "A fit", "note": "", "EXECUTIONDURATION": "", "memory": ""}
    for more, reached in (({}, "PENDING"), ({"PHASE": "RUN"}, "QUEUED")):
        answer = client.post("/rest/fit", form=form | more, accept=CHROME)
        assert answer.status == 303
        job = answer.location.removeprefix("http://opus.test")
        assert client.get(f"{job}/phase").text == reached


def test_fields_left_blank_are_not_sent(client):
    body = multipart(("note", ""), ("skip", "1"), ("skip", ""), ("title", ""), ("table", "", b""))
    answer = client.post("/rest/fit", **body, accept=CHROME)
    said = dict(values(client, answer.location.removeprefix("http://opus.test")))
    assert "note" not in said
    assert said["skip"] == "1"
    assert said["title"] == ""  # it has a default and was emptied
    assert "table" not in said


def test_a_mistake_brings_the_form_back_as_it_was_filled_in(site, client):
    body = multipart(("order", "99"), ("note", '<b>"hi"</b>'), ("table", "t.csv", b"1"))
    answer = client.post("/rest/fit", **body, accept=CHROME)
    assert answer.status == 400
    assert 'value="99"' in answer.text
    assert 'value="&lt;b&gt;&#34;hi&#34;&lt;/b&gt;"' in answer.text
    assert "9 is the most" in answer.text
    assert "t.csv" in answer.text
    assert folders(site) == []


def test_run_options_are_kept_with_the_job(site, client):
    job = client.create(memory="50", order="1")
    assert dict(site.storage.read(job.rpartition("/")[2]).options) == {"memory": "50"}
    assert client.post("/rest/fit", form={"memory": "500"}).status == 400


def test_a_job_is_run_with_the_version_it_was_made_from(site, client):
    job = client.create(order="9")
    newer = replace(wsgi.FIT, parameters=wsgi.FIT.parameters[1:])
    site.parts.catalogue.publish(newer, "test")
    assert ("order", "9") in values(client, job)
    assert client.post(f"{job}/parameters", form={"order": "8"}).status == 303
    assert client.post("/rest/fit", form={"order": "8"}).status == 400
    assert json.loads(client.get("/jdl/fit", accept="application/json").body)["number"] == 2
