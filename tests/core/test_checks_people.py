"""What is wrong with descriptions, accounts and the supervisor: each made to be so, found, and told
with the way out."""

from __future__ import annotations

from datetime import timedelta

import pytest

from core.helpers.checked import checked
from opus_core import job as jobs
from opus_core.app import open_opus
from opus_core.backends import SUPERVISOR, Health, HealthState
from opus_core.config import load
from opus_core.finding import State

AUTH = "anonymous = false"
FAR = """
from core.saboteurs.process_manager import ProcessManager
from opus_core import hookimpl

class Own(ProcessManager):
    name = "own"
    far = True

@hookimpl
def opus_register_manager():
    return Own
"""


@pytest.fixture
def site(tmp_path, monkeypatch):
    with checked(tmp_path, monkeypatch) as one:
        one.begin()
        yield one


# -- descriptions


def published(site, **of_description):
    """What is wrong with a further description."""
    site.begin(name="other", **of_description)
    return site


def test_nothing_that_could_be_run(tmp_path, monkeypatch):
    with checked(tmp_path, monkeypatch) as site:
        open_opus(load(site.folder / "opus.toml")).close()

        assert site.wrong().keys() == {"descriptions-missing"}


def test_descriptions_that_cannot_be_read(site):
    (site.data / "definitions").rename(site.data / "elsewhere")
    (site.data / "definitions").write_text("")

    assert "cannot be read: Not a directory" in site.one("descriptions-unreadable").sentence


def test_a_version_that_is_damaged(site):
    site.begin(script="echo twice\n")
    versions = site.data / "definitions" / "hello" / "versions"
    for number, code in ((1, "description-version-damaged"), (2, "description-damaged")):
        (versions / str(number) / "meta.json").write_text("{")
        assert site.one(code).subject == f"definitions/hello/versions/{number}"


@pytest.mark.parametrize(
    ("script", "missing"),
    [
        ("#!/usr/bin/env python9\n", "python9"),
        ("#!/usr/bin/env -S FOO=1 python9 -u\n", "python9"),
        ("#! /opt/nowhere/bin/idl -x\n", "/opt/nowhere/bin/idl"),
        ("#!/bin/sh -e\necho\n", None),
        ("#!/usr/bin/env bash\n", None),
        ("echo $text > $output\n", None),
        ("# no first line\n", None),
    ],
)
def test_a_script_whose_interpreter_is_missing(site, script, missing):
    published(site, script=script)

    if missing is None:
        assert site.wrong() == {}
    else:
        found = site.one("script-interpreter-missing")
        assert f"there is no {missing} on this machine" in found.sentence
        assert found.subject == "definitions/other"


def test_scripts_that_run_elsewhere_need_no_interpreter_here(site):
    published(site, script="#!/opt/nowhere/idl\n")
    site.install("own", FAR)
    site.configure(
        server='port = 0\nevent_url = "http://192.0.2.7"',
        manager=f'use = "own"\nfolder = "{site.folder}/cluster"',
        client="merge = false",
    )

    assert "script-interpreter-missing" not in site.wrong()


@pytest.mark.parametrize(("seconds", "is_wrong"), [(7200, True), (0, True), (600, False)])
def test_a_duration_beyond_the_sites(site, seconds, is_wrong):
    published(site, execution_duration=seconds)
    site.configure(jobs="execution_duration = 600\nexecution_duration_max = 3600")

    assert ("description-duration" in site.wrong()) is is_wrong


def test_options_that_the_manager_does_not_offer(site):
    published(site, options={"slurm_mem": "4G"})

    found = site.one("description-options")

    assert "it sets slurm_mem, which the process manager does not offer here" in found.sentence


def test_a_list_of_users_that_cannot_be_read_or_names_nobody(site):
    access = site.data / "definitions" / "hello" / "access"
    access.write_text("everybody!\n")
    assert "nobody may, until" in site.one("access-damaged").sentence
    access.write_text("anyone\nuser ann\n")
    assert site.one("access-unknown-user").sentence.startswith("ann may run it, who has no account")
    with_people(site, lambda people: people.add("a test", "ann"))
    assert "access-unknown-user" not in site.wrong()


# -- accounts


def with_people(site, do):
    opus = open_opus(load(site.folder / "opus.toml"))
    try:
        return do(opus.people)
    finally:
        opus.close()


def test_nobody_has_an_account(site):
    site.configure(auth=AUTH)
    assert site.one("accounts-missing").state is State.ERROR
    site.configure(
        server='port = 0\ntrusted_proxies = ["127.0.0.1"]',
        auth=f'{AUTH}\nuser_header = "X-Remote-User"',
    )
    assert "accounts-missing" not in site.wrong()


def test_nobody_is_an_admin(site):
    site.configure(auth=AUTH)
    with_people(site, lambda people: people.add("a test", "ann"))

    assert site.one("admin-missing").subject == "accounts"


def test_no_admin_can_sign_in(site):
    admin = frozenset({"admin"})
    site.configure(auth=AUTH)
    with_people(site, lambda people: people.add("a test", "ann", roles=admin))
    assert "`opus user link ann` prints a new link" in site.one("admin-locked-out").sentence
    site.configure(auth=f"{AUTH}\npasswords = true")
    with_people(site, lambda people: people.set_password("a test", "ann", "a long password 17"))
    assert site.wrong() == {}
    site.configure(auth=AUTH)  # and passwords count no more
    assert site.one("admin-locked-out")
    with_people(site, lambda people: people.link("a test", "ann"))
    assert site.wrong() == {}


# -- the supervisor


def said(site, state, *, ago=timedelta(0), component=SUPERVISOR):
    when = jobs.now() - ago
    storage = site.storage()
    storage.set_health(
        component, Health(state=state, sentence="so it is; do that", since=when, heartbeat=when)
    )
    storage.close()


def test_no_supervisor(site):
    for ago in (timedelta(0), timedelta(seconds=31)):
        said(site, HealthState.OK, ago=ago)
        found = {one.code for one in site.findings()}
        assert ("supervisor-missing" in found) is bool(ago)


def test_what_the_supervisor_cannot_work_with(site):
    said(site, HealthState.OK)
    said(site, HealthState.DOWN, component="manager")
    said(site, HealthState.DEGRADED, component="jobs")
    assert site.one("component-down").subject == "manager"
    assert site.one("component-degraded").subject == "jobs"
    assert site.one("component-down").sentence.startswith("so it is; do that (since ")
    # Nobody looks at them any more.
    said(site, HealthState.OK, ago=timedelta(minutes=5))
    assert site.wrong() == {}
