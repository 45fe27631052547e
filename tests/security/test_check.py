"""What `opus check --security` says, and what starts nothing."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import pytest

from attacked import attacked_site
from isolated import needs_root, open_folder

SAFE = """
base_url = "https://opus.example.org"
"""
SAFE_JOBS = "max_active_per_user = 5\nmax_per_hour_per_user = 50\nmax_bytes_per_user = 1000000"


@pytest.fixture(scope="module")
def site():
    with attacked_site() as found:
        yield found


def asked(site, text="", **tables):
    """State and sentence by subject."""
    site.configure(text, **tables)
    answer = site.opus("check", "--security", "--json", check=False)
    assert answer.stdout, answer.stderr
    found = json.loads(answer.stdout)["findings"]
    return {one["subject"]: (one["state"], one["sentence"]) for one in found}


def test_a_server_that_can_stand_on_the_open_net(site):
    site.configure(SAFE, auth="anonymous = false", jobs=SAFE_JOBS)
    site.opus("user", "add", "bob", "--role", "admin")
    found = asked(site, SAFE, auth="anonymous = false", jobs=SAFE_JOBS)
    subjects = ("https", "anonymous", "admins", "limits", "user", "files")
    assert {found[one][0] for one in subjects} == {"ok"}, found
    assert not {"debug", "cors_origins", "trusted_proxies", "anonymous_list"} & found.keys()


def codes(site, text="", **tables):
    """Codes by subject."""
    site.configure(text, **tables)
    answer = site.opus("check", "--security", "--json", check=False)
    return {one["subject"]: one["code"] for one in json.loads(answer.stdout)["findings"]}


@pytest.mark.parametrize(
    ("subject", "code", "text", "tables"),
    [
        ("https", "security-https", 'base_url = "http://opus.example.org"', {}),
        ("debug", "debug-public", SAFE + "debug = true", {}),
        ("anonymous", "security-anonymous", SAFE, {"auth": "anonymous = true"}),
        (
            "anonymous_list",
            "anonymous-list-public",
            SAFE,
            {"auth": "anonymous = true\nanonymous_list = true"},
        ),
        (
            "trusted_proxies",
            "trusted-proxies-wide",
            SAFE,
            {"server": 'trusted_proxies = ["0.0.0.0/0"]'},
        ),
        ("cors_origins", "security-cors", SAFE, {"server": 'cors_origins = ["*"]'}),
        (
            "servers",
            "security-services-plain",
            SAFE,
            {"client": 'servers = ["http://192.0.2.7/async"]'},
        ),
        ("job_servers", "security-job-servers", SAFE, {"auth": 'job_servers = ["10.0.0.0/8"]'}),
        ("fetch_hosts", "security-fetch", SAFE, {"jobs": 'fetch_hosts = ["public"]'}),
        ("limits", "security-limits", SAFE, {"jobs": "max_active_per_user = 5"}),
    ],
)
def test_what_an_auditor_would_ask(site, subject, code, text, tables):
    found = codes(site, text, **{"auth": "anonymous = false", **tables})
    assert found[subject] == code, found


def test_tokens_of_admins_that_never_expire_are_named(site):
    site.configure(SAFE)
    site.opus("user", "add", "eve", "--role", "admin")
    lasting = site.opus("token", "add", "eve", "--scope", "admin").stdout.split("_")[1]
    short = site.opus("token", "add", "eve", "--scope", "admin", "--days", "90").stdout
    plain = site.opus("token", "add", "eve").stdout.split("_")[1]
    found = asked(site, SAFE)
    assert found[f"token {lasting}"][0] == "warning"
    assert codes(site, SAFE)[f"token {lasting}"] == "security-token-lasting"
    assert not {f"token {short.split('_')[1]}", f"token {plain}"} & found.keys()


def test_files_that_everybody_may_read_are_named(site):
    site.configure(SAFE)
    base = site.folder / "data/opus.sqlite"
    site.opus("user", "list")
    base.chmod(0o644)
    assert asked(site, SAFE)["files"][0] == "error"
    base.chmod(0o640)
    assert asked(site, SAFE)["files"][0] == "ok"


def test_a_secret_that_everybody_may_read_starts_no_server(site):
    site.configure(SAFE)
    site.opus("user", "list")
    secret = site.folder / "data/secret"
    secret.chmod(0o644)
    try:
        for words in (("serve",), ("supervise",), ("user", "list")):
            refused = site.opus(*words, check=False)
            assert refused.returncode == 2
            assert f"chmod o= {secret}" in refused.stderr
    finally:
        secret.chmod(0o600)


@pytest.mark.upstream("S14")
def test_no_account_comes_with_the_program(site):
    with attacked_site() as fresh:
        assert json.loads(fresh.opus("user", "list", "--json").stdout) == []


def test_others_may_pass_through_the_data_folder_as_long_as_all_in_it_is_closed(site):
    data = site.folder / "data"
    asked(site, SAFE)
    data.chmod(0o2771)
    try:
        assert asked(site, SAFE)["files"][0] == "ok"
        (data / "opus.sqlite").chmod(0o664)
        assert str(data) in asked(site, SAFE)["files"][1]
    finally:
        (data / "opus.sqlite").chmod(0o660)
        data.chmod(0o2770)


def test_root_is_told_who_decides_what_root_does(site):
    needs_root()
    asked(site, SAFE)
    with open_folder() as folder:
        above = replace(site, folder=folder / "roots", prefix=())
        assert "configuration" in asked(above, SAFE)
        assert asked(above, SAFE)["configuration"][0] == "ok"
        assert codes(above, SAFE)["admins"] == "security-no-admin"
        os.chown(above.config, 65534, 65534)
        state, sentence = asked(above, SAFE)["configuration"]
        assert state == "warning"
        assert "nobody may change" in sentence
        found = codes(above, SAFE)
        assert found["configuration"] == "security-configuration-owner"
        assert found["user"] == "security-root"


def test_a_header_that_names_the_user_needs_a_proxy(site):
    site.configure(SAFE, auth='user_header = "X-Remote-User"')
    refused = site.opus("check", check=False)
    assert "trusted_proxies" in refused.stdout
