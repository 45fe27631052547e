"""Accounts as their users meet them: the command, the server, curl, browsers and pyvo."""

from __future__ import annotations

import base64
import io
import json
import re
import sqlite3
import time

import pytest
import requests
from pyvo.auth import AuthSession
from pyvo.io.vosi import parse_capabilities

from attacked import attacked_site
from security.accounts import ANN, BOB, EVE, site_with_users
from servers import eventually

SECRET = "four lame horses sing"
TRUSTED = 5.0  # [s] that another process may believe what was changed meanwhile


@pytest.fixture(scope="module")
def users():
    with site_with_users(auth="passwords = true") as found:
        yield found


def basic(name, secret):
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode()}


def link_of(text):
    (found,) = re.findall(r"http://\S+(/signin/opus_\S+)", text)
    return found


def enter(site, link):
    """Sign in by a link; answers what a browser sends from then on."""
    answer = site.post(link, {}, headers={"Origin": site.url})
    assert answer.status == 303, answer.text
    cookie = answer.headers["Set-Cookie"].partition(";")[0]
    return {"Cookie": cookie, "Origin": site.url, "Sec-Fetch-Site": "same-origin"}


# -- the first admin


def test_the_first_admin_signs_in_by_the_link_that_init_prints():
    with attacked_site() as site:
        folder = site.folder / "made"
        said = site.opus("init", str(folder)).stdout
        link = link_of(said)
        config = folder / "opus.toml"
        text = config.read_text()
        config.write_text(text.replace("[server]", f"[server]\nport = {site.port}", 1))
        site.config.unlink()
        site.config.symlink_to(config)
        site.serve()
        assert site.post("/rest/periodogram", {}).status == 401  # nobody is let in unknown
        browser = enter(site, link)
        assert "admin" in site.get("/admin/users", headers=browser).text
        assert site.post(link, {}, headers={"Origin": site.url}).status == 401
        made = site.post("/account/tokens", {"SCOPE": "run"}, headers=browser).text
        (token,) = re.findall(r"opus_[0-9a-z]{12}_[\w-]{43}", made)
        bearer = {"Authorization": f"Bearer {token}"}
        job = site.post("/rest/periodogram", {"PHASE": "RUN"}, headers=bearer).location
        eventually(lambda: site.get(f"{job}/phase", headers=bearer).text.strip() == "COMPLETED")


# -- what programs show


def test_a_token_counts_as_bearer_and_as_a_password(users):
    token, site = users.tokens[ANN], users.site
    for headers in ({"Authorization": f"bearer {token}"}, basic(ANN, token)):
        answer = site.post("/rest/ledger", {}, headers=headers)
        assert answer.status == 303
        assert site.get(f"{answer.location}/owner", headers=headers).text.strip() == ANN


@pytest.mark.upstream("S12", "S13", "S14", "A4.2")
@pytest.mark.parametrize(
    "headers",
    [
        basic("test_", "test_"),
        basic("opus-admin", "TBD!"),
        basic("admin", "admin"),
        basic(ANN, "anything"),
        basic(ANN, ""),
        basic("", ""),
        {"Authorization": "Basic !!!"},
        {"Authorization": "Basic"},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer " + "A" * 60},
        {"Authorization": "Bearer opus_000000000000_" + "A" * 43},
        {"Authorization": f"Bearer {ANN}"},
        {"Authorization": "Negotiate YII="},
        {"Cookie": "opus=" + "A" * 43},
        {"Cookie": f"opus={ANN}"},
        {"Remote-User": ANN},
        {"X-Remote-User": ANN},
        {"X-Forwarded-User": ANN, "X-Forwarded-For": "127.0.0.1"},
    ],
)
def test_what_is_not_known_is_nobody(users, headers):
    answer = users.site.get("/rest/ledger", headers=headers)
    assert answer.status == 401
    challenge = 'Basic realm="OPUS", charset="UTF-8", Bearer realm="OPUS", ivoa_bearer'
    assert answer.headers["WWW-Authenticate"] == challenge


def test_another_users_name_beside_a_token_is_refused(users):
    assert users.site.get("/rest/ledger", headers=basic(EVE, users.tokens[ANN])).status == 401


def test_a_token_that_is_revoked_is_soon_refused_by_a_server_that_runs(users):
    users.tokens["lost"] = users.token(ANN)
    assert users.ask("lost", "GET", "/rest/ledger").status == 200
    users.site.opus("token", "revoke", users.tokens["lost"])
    begin = time.monotonic()
    eventually(lambda: users.ask("lost", "GET", "/rest/ledger").status == 401, 20)
    assert time.monotonic() - begin < TRUSTED + 2
    assert users.ask(ANN, "GET", "/rest/ledger").status == 200


def test_an_account_that_is_switched_off_is_soon_out(users):
    users.add("gil")
    browser = enter(users.site, link_of(users.site.opus("user", "link", "gil").stdout))
    assert users.site.get("/account", headers=browser).status == 200
    users.site.opus("user", "set", "gil", "--off")
    eventually(lambda: users.ask("gil", "GET", "/rest/ledger").status == 403, TRUSTED + 2)
    assert "switched off" in users.ask("gil", "GET", "/rest/ledger").text
    assert users.site.get("/account", headers=browser).status == 401
    users.site.opus("user", "set", "gil", "--on")
    eventually(lambda: users.ask("gil", "GET", "/rest/ledger").status == 200, TRUSTED + 2)


def test_passwords_are_taken_and_guessed_at_seldom(users):
    site = users.site
    users.add("fay")
    site.opus("user", "password", "fay", input=f"{SECRET}\n")
    eventually(
        lambda: site.get("/rest/ledger", headers=basic("fay", SECRET)).status == 200, TRUSTED + 2
    )
    for number in range(10):
        assert site.get("/rest/ledger", headers=basic("fay", f"guess {number}")).status == 401
    refused = site.get("/rest/ledger", headers=basic("fay", "guess"))
    assert refused.status == 429
    assert 0 < int(refused.headers["Retry-After"]) <= 600
    assert users.ask("fay", "GET", "/rest/ledger").status == 200  # by token


# -- nothing secret is left lying


@pytest.mark.upstream("S15", "S16", "S19")
def test_nothing_that_lets_somebody_in_is_kept_or_logged(users):
    site = users.site
    users.add("hal")
    site.opus("user", "password", "hal", input=f"{SECRET}\n")
    code = link_of(site.opus("user", "link", "hal").stdout)
    browser = enter(site, code)
    users.ask("hal", "POST", "/rest/ledger", {})
    site.get(f"/rest/ledger?token={users.tokens['hal']}")
    cookie = browser["Cookie"].partition("=")[2]
    said = [users.tokens["hal"], users.tokens["hal"].split("_", 2)[2], SECRET, cookie]
    said += [code.split("_", 2)[2]]  # it may have a _ of its own
    with sqlite3.connect(site.folder / "data/opus.sqlite") as base:
        base.execute("PRAGMA wal_checkpoint(FULL)")
    files = [one for one in site.folder.rglob("*") if one.is_file()]
    assert {"opus.log", "opus.sqlite", "secret"} <= {one.name for one in files}
    for file in files:
        content = file.read_bytes()
        for secret in said:
            assert secret.encode() not in content, file
    for words in (("user", "list", "--json"), ("token", "list", "hal", "--json"), ("audit",)):
        assert not any(secret in site.opus(*words).stdout for secret in said)
    assert "hal" in site.opus("user", "list").stdout
    (row,) = json.loads(site.opus("token", "list", "hal", "--json").stdout)
    assert row["prefix"] == users.tokens["hal"].split("_")[1]
    assert row["last_used"] is not None


def test_secrets_are_for_their_owner_alone(users):
    for name in ("secret", "opus.sqlite", "opus.log"):
        assert (users.site.folder / "data" / name).stat().st_mode & 0o007 == 0, name


# -- behind a proxy that signs in


@pytest.mark.upstream("S7", "A4.3")
def test_a_proxy_that_is_trusted_names_the_user_and_nobody_else_does():
    """Here the proxy is this test; a client that calls the server itself has another address."""
    proxied = {"X-Remote-User": ANN, "X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https"}
    with site_with_users(auth='user_header = "X-Remote-User"', proxies="127.0.0.1") as users:
        site = users.site
        job = site.post("/rest/ledger", {}, headers=proxied).location.replace("https", "http", 1)
        assert users.document(ANN, job)["ownerId"] == ANN
        assert users.ask(EVE, "GET", job).status == 403
        both = {**proxied, "X-Remote-User": f"{BOB}, {ANN}"}
        assert site.get(job, headers=both).status == 403
        assert site.get(job, headers={"X-Remote-User": ""}).status == 401
        own_token = {**proxied, "Authorization": f"Bearer {users.tokens[EVE]}"}
        assert site.get(f"{job}/owner", headers=own_token).text.strip() == ANN  # the proxy decides
        cross = {**proxied, "Origin": "https://evil.test", "Sec-Fetch-Site": "cross-site"}
        assert site.post("/rest/ledger", {}, headers=cross).status == 403
    with site_with_users(auth='user_header = "X-Remote-User"', proxies="192.0.2.1") as users:
        assert users.site.get("/rest/ledger", headers=proxied).status == 401


# -- clients of the Virtual Observatory


def test_pyvo_signs_in_by_what_the_capabilities_say(users):
    url = f"{users.site.url}/capabilities"
    with requests.get(url, timeout=10) as answer:
        capabilities = parse_capabilities(io.BytesIO(answer.content).read)
    session = AuthSession()
    session.credentials.set_password(ANN, users.tokens[ANN])
    session.update_from_capabilities(capabilities)
    jobs = f"{users.site.url}/rest/ledger"
    with session.post(jobs, data={"text": "by pyvo"}) as made:
        assert made.status_code == 200, made.text
    with session.get(f"{made.url}/owner") as owner:
        assert owner.text.strip() == ANN
    job = users.create(ANN, PHASE="RUN")
    job_url = f"{users.site.url}{job}"
    with session.get(job_url, params={"WAIT": 20, "PHASE": "QUEUED"}) as answer:
        assert answer.status_code == 200
    stranger = AuthSession()
    stranger.credentials.set_password(EVE, users.tokens[EVE])
    stranger.update_from_capabilities(capabilities)
    with stranger.get(job_url) as refused:
        assert refused.status_code == 403
