"""What could be done to the original OPUS by whoever reached it cannot be done to this one.

Each test carries the number of its fault in docs/upstream.md. Servers run without rights.
"""

from __future__ import annotations

import base64
import http.server
from contextlib import contextmanager
from urllib.parse import parse_qs

import pytest

from attacked import attacked_site
from servers import LEDGER_WADL, eventually
from web import answering_by

SECRET_WORD = "only-the-site-knows-this-script"
SHOW = f'# {SECRET_WORD}\nprintf %s "$text" > "$output"\n'
NAMED_WADL = LEDGER_WADL.replace(
    'name="ledger" type="xs:string" required="true"',
    'name="output" type="xs:string" default="out.txt"',
)
FILE_WADL = LEDGER_WADL.replace(
    'name="ledger" type="xs:string" required="true"', 'name="table" type="file" required="true"'
)


def describe(one):
    for name, wadl, script in (
        ("show", LEDGER_WADL, SHOW),
        ("named", NAMED_WADL, SHOW),
        ("copy", FILE_WADL, 'cat "$table" > "$output"\n'),
        ("nap", LEDGER_WADL, 'sleep 3; echo done > "$output"\n'),
    ):
        one.describe(name, script, wadl.replace('path="ledger"', f'path="{name}"'))


@pytest.fixture(scope="module")
def one():
    with attacked_site() as opened:
        describe(opened)
        opened.configure(
            auth="anonymous = true\nanonymous_list = true\n"
            'job_servers = ["127.0.0.11", "27.0.0.1", "10.0.0.0/8"]'
        )
        opened.serve()
        yield opened


@contextmanager
def listening():
    """A web server, and the paths that it was asked for."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"fetched")

        def log_message(self, *said):
            pass

    with answering_by(Handler) as origin:
        yield origin, asked


def nothing_was_executed(one):
    return not list(one.folder.parent.rglob("*PWNED*"))


@pytest.mark.upstream("S18", "S3")
@pytest.mark.parametrize("path", ["/", "/$(touch PWNED)", "/`touch PWNED`;touch PWNED"])
def test_a_url_is_not_fetched_unless_the_site_says_from_where(one, path):
    with listening() as (url, asked):
        answer = one.post("/rest/copy", {"table": url + path, "PHASE": "RUN"})
        assert answer.status in (400, 403)
        assert asked == []
    assert nothing_was_executed(one)


@pytest.mark.upstream("S3", "A4.1")
def test_no_part_of_a_url_is_executed_where_it_is_fetched():
    with attacked_site() as apart, listening() as (url, asked):
        describe(apart)
        apart.configure(jobs='fetch_hosts = ["127.0.0.1"]')
        apart.serve()
        job = apart.create("copy", {"table": url + "/$(touch%20PWNED);touch%20PWNED"})
        assert apart.wait(job) == "COMPLETED"
        assert asked == ["/$(touch%20PWNED);touch%20PWNED"]
        assert apart.get(f"{job}/results/output").text == "fetched"
        assert nothing_was_executed(apart)


@pytest.mark.upstream("S4")
@pytest.mark.parametrize(
    "name",
    ["x; touch PWNED", "../../PWNED", "/tmp/PWNED", "$(touch PWNED)", "-rf", ".hidden", "a/b"],
)
def test_a_result_cannot_be_named_out_of_its_folder(one, name):
    answer = one.post("/rest/named", {"output": name, "text": "x", "PHASE": "RUN"})
    assert answer.status == 400
    assert nothing_was_executed(one)


@pytest.mark.upstream("S4")
def test_a_result_may_be_named_within_its_folder(one):
    job = one.create("named", {"output": "mine.txt", "text": "x"})
    assert one.wait(job) == "COMPLETED"
    assert 'filename="mine.txt"' in one.get(f"{job}/results/output").headers["Content-Disposition"]


@pytest.mark.upstream("S5")
@pytest.mark.parametrize("name", ["PATH", "LD_PRELOAD", "BASH_ENV", "IFS", "OPUS_CLAIMANT"])
def test_no_description_can_have_a_variable_of_the_system(one, name):
    wadl, script = one.folder / "bad.wadl", one.folder / "bad.script"
    wadl.write_text(LEDGER_WADL.replace('name="text"', f'name="{name}"'))
    script.write_text(SHOW)
    told = one.opus(
        "jdl",
        "import",
        str(wadl),
        "--script",
        str(script),
        "--name",
        "bad",
        "--publish",
        check=False,
    )
    assert told.returncode != 0
    assert name in told.stderr
    assert one.post("/rest/bad", {name: "/nonexistent"}).status == 404


@pytest.mark.upstream("S6")
def test_nobody_imports_a_description_over_http(one):
    before = one.get("/jdl/show").body
    body = LEDGER_WADL.encode()
    for path in ("/jdl", "/jdl/import_jdl", "/jdl/show", "/jdl/import", "/handler/import"):
        for method in ("POST", "PUT"):
            answer = one.request(method, path, body=body, headers={"Content-Type": "text/xml"})
            assert answer.status in (404, 405), (method, path)
    assert one.get("/jdl/show").body == before


@pytest.mark.upstream("S6")
@pytest.mark.parametrize("name", ["../show", "../../../../pwn2b", "show/../../x", "/etc/x", "a\nb"])
def test_a_description_is_not_stored_beyond_its_folder(one, name):
    wadl, script = one.folder / "bad.wadl", one.folder / "bad.script"
    wadl.write_text(LEDGER_WADL.replace('path="ledger"', f'path="{name}"'))
    script.write_text("touch PWNED\n")
    before = everything(one)
    for more in (["--name", name], []):
        arguments = ["jdl", "import", str(wadl), "--script", str(script), "--publish", *more]
        told = one.opus(*arguments, check=False)
        if told.returncode == 0:  # it was called like its file instead
            assert not more
            assert one.get("/jdl/bad").status == 200
            one.opus("jdl", "withdraw", "bad")
    added = everything(one) - before
    assert all("definitions/bad/" in path for path in added), added


def everything(one):
    return {str(path) for path in one.folder.parent.rglob("*") if "definitions" in str(path)} | {
        str(path) for path in one.folder.parent.iterdir()
    }


@pytest.mark.upstream("S7", "S8", "A4.3")
@pytest.mark.parametrize("header", ["X-Real-IP", "X-Forwarded-For", "Forwarded", "Client-IP"])
@pytest.mark.parametrize("address", ["10.0.0.1", "127.0.0.11", "9.127.0.0.11", "for=10.0.0.1"])
def test_nobody_is_trusted_for_what_a_header_says(one, header, address):
    job = one.create("show", {"ledger": "-"}, run=False)
    event = {"jobid": job.rpartition("/")[2], "phase": "ERROR"}
    answer = one.post(
        "/handler/job_event",
        body=b"jobid=%s&phase=ERROR" % event["jobid"].encode(),
        headers={header: address, "Content-Type": "application/x-www-form-urlencoded"},
    )
    assert answer.status == 403
    assert one.phase(job) == "PENDING"


@pytest.mark.upstream("S8", "A4.4", "A4.5", "R7")
def test_an_event_changes_no_job_whoever_sends_it():
    """Neither the job that is meant, nor one that has, or had, the number that is given."""
    with attacked_site() as apart:
        describe(apart)
        apart.configure(auth='anonymous = true\nanonymous_list = true\njob_servers = ["127.0.0.1"]')
        apart.serve()
        old = apart.create("show", {"ledger": "-", "text": "old"})
        assert apart.wait(old) == "COMPLETED"
        job = apart.create("nap", {"ledger": "-"})
        apart.wait(job, {"EXECUTING"})
        claims = [
            (apart.job_folder(one.rpartition("/")[2]) / "claim").readlink() for one in (old, job)
        ]
        numbers = {part for claim in claims for part in str(claim).split("/")}
        for subject in {*numbers, job.rpartition("/")[2], old.rpartition("/")[2]}:
            for phase in ("ERROR", "COMPLETED", "CANCELLED by 1000", "OUT_OF_MEMORY", "\u2603"):
                answer = apart.post("/handler/job_event", {"jobid": subject, "phase": phase})
                assert answer.status == 200
        assert apart.phase(job) == "EXECUTING"
        assert apart.wait(job) == "COMPLETED"
        assert apart.phase(old) == "COMPLETED"
        assert apart.get(f"{old}/results/output").text == "old"


@pytest.mark.upstream("S9")
def test_there_is_no_way_through_to_other_addresses(one):
    for path in (
        "/proxy/jdl/import_jdl",
        "/proxy",
        "/proxy?url=http://127.0.0.1/",
        "/client/proxy",
    ):
        assert one.get(path).status == 404
        assert one.post(path, {}).status == 404


@pytest.mark.upstream("S9")
@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}],
)
def test_a_page_of_another_site_makes_no_job(one, headers):
    before = one.jobs("show")
    headers = {**headers, "Content-Type": "application/x-www-form-urlencoded"}
    assert one.post("/rest/show", body=b"ledger=-&PHASE=RUN", headers=headers).status == 403
    assert one.jobs("show") == before


@pytest.mark.upstream("S10", "S19")
def test_no_script_is_shown_to_anybody(one):
    job = one.create("show", {"ledger": "-", "text": "x"})
    assert one.wait(job) == "COMPLETED"
    path = job.removeprefix(one.url)
    children = (
        "script run job.json parameters.json parameters/script results/script work claim exit"
    )
    for address in (
        *(f"{path}/{child}" for child in children.split()),
        *(f"/jdl/{name}" for name in ("show", "show.json", "show.sh", "show/json", "show/script")),
        f"/jdl/../jobs/{path[-32:-30]}/{path[-32:]}/script",
        f"/jdl/..%2fjobs%2f{path[-32:-30]}%2f{path[-32:]}%2fscript",
        "/new/show",
        "/scim/v2/Users",
        path,
    ):
        assert SECRET_WORD.encode() not in one.get(address).body, address


@pytest.mark.upstream("S19", "S14")
@pytest.mark.parametrize("path", ["/scim/v2/Users", "/config", "/db", "/login", "/store"])
def test_nothing_lists_users_or_settings(one, path):
    assert one.get(path, headers=basic("opus-admin", "TBD!")).status == 404


@pytest.mark.upstream("S19", "S14")
@pytest.mark.parametrize("path", ["/admin", "/admin/users", "/admin/audit"])
def test_what_is_for_admins_knows_no_word_that_came_with_it(one, path):
    assert one.get(path, headers=basic("opus-admin", "TBD!")).status == 401
    assert one.get(path).status == 401


def basic(name, password):
    word = base64.b64encode(f"{name}:{password}".encode()).decode()
    return {"Authorization": f"Basic {word}"}


@pytest.mark.upstream("S11", "S12", "S13", "S14", "A4.2")
@pytest.mark.parametrize(
    "headers",
    [
        {},
        basic("test_", "test_"),
        basic("opus-admin", "TBD!"),
        basic("opus-admin", "opus-admin"),
        basic("anybody", "any token"),
        {"Authorization": "Bearer TBD!"},
        {"Authorization": "Bearer "},
        {"Remote-User": "opus-admin", "X-Remote-User": "opus-admin"},
    ],
    ids=str,
)
def test_made_up_and_default_credentials_open_nothing(locked, headers):
    one, job = locked
    children = ("", "/phase", "/parameters", "/results", "/results/output", "/stdout", "/stderr")
    for child in children:
        assert one.get(f"{job}{child}", headers=headers).status == 401, child
    form = {**headers, "Content-Type": "application/x-www-form-urlencoded"}
    assert one.post("/rest/show", body=b"ledger=-", headers=form).status == 401
    assert one.post(f"{job}/phase", body=b"PHASE=ABORT", headers=form).status == 401
    assert one.request("DELETE", job, headers=headers).status == 401
    listed = one.get("/rest/show", headers=headers)
    assert job.rpartition("/")[2] not in listed.text


@pytest.fixture(scope="module")
def locked():
    """A site where somebody known must ask, and a job from when it was open."""
    with attacked_site() as apart:
        describe(apart)
        open_ = apart.serve()
        job = apart.create("show", {"ledger": "-", "text": "mine"})
        apart.wait(job)
        open_.terminate()
        open_.wait()
        apart.configure(auth="anonymous = false")
        apart.serve()
        yield apart, job.removeprefix(apart.url)


@pytest.mark.upstream("S15", "S16")
def test_every_installation_has_a_secret_of_its_own_that_others_cannot_read(one, locked):
    secrets = [(site.folder / "data" / "secret") for site in (one, locked[0])]
    assert len({path.read_text() for path in secrets}) == 2
    for path in secrets:
        assert len(bytes.fromhex(path.read_text())) == 32
        assert path.stat().st_mode & 0o007 == 0


@pytest.mark.upstream("S15", "S8")
def test_the_token_of_a_job_is_of_no_use_for_another(one):
    first, second = (one.create("nap", {"ledger": "-"}) for _ in range(2))
    for job in (first, second):
        one.wait(job, {"EXECUTING"})
    event = one.job_folder(first.rpartition("/")[2]) / "event"
    assert event.stat().st_mode & 0o077 == 0
    [token] = parse_qs(event.read_text().split("\0")[1])["token"]
    right = {"jobid": first.rpartition("/")[2], "token": token}
    assert one.post("/handler/job_event", right).status == 200
    wrong = {"jobid": second.rpartition("/")[2], "token": token}
    assert one.post("/handler/job_event", wrong).status == 403


@pytest.mark.upstream("S17")
def test_what_a_user_wrote_is_text_on_every_page(one):
    evil = '"><img src=x onerror=alert(1)><script>alert(2)</script>{{7*7}}'
    job = one.create("show", {"ledger": "-", "text": evil, "RUNID": evil})
    one.wait(job)
    browser = {"Accept": "text/html"}
    path = job.removeprefix(one.url)
    for address in (path, "/rest/show", f"/rest/show?TEXT={evil[:9]}", f"/new/show/{path[-32:]}"):
        answer = one.get(
            address.replace('"', "%22").replace("<", "%3C").replace(" ", "+"), headers=browser
        )
        assert answer.status == 200
        assert answer.headers.get_content_type() == "text/html"
        assert "<img src=x" not in answer.text
        assert "<script>" not in answer.text
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy


@pytest.mark.upstream("S17")
def test_a_result_is_no_page_of_ours(one):
    job = one.create("show", {"ledger": "-", "text": "<script>alert(1)</script>"})
    assert one.wait(job) == "COMPLETED"
    for child in ("results/output", "parameters/text", "stdout"):
        headers = one.get(f"{job}/{child}").headers
        assert "sandbox" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers.get_content_type() == "text/plain"


@pytest.mark.upstream("S1", "A4.1")
def test_a_value_is_never_read_by_a_shell(one):
    text = '$(touch PWNED) `touch PWNED` "; touch PWNED; x="'
    job = one.create("show", {"ledger": text, "text": text, "RUNID": text})
    assert one.wait(job) == "COMPLETED"
    assert one.get(f"{job}/results/output").text == text
    eventually(lambda: nothing_was_executed(one))
