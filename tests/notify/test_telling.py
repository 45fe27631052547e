"""Targets as a supervisor has them: in order, at least once, none held up by another."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from datetime import timedelta

import pytest

from core.helpers.site import Site, a_site
from notify.helpers.making import PASSWORD, SECRET, a_change, opened, secret_file
from notify.helpers.postbox import postbox
from notify.helpers.receiver import receiver
from opus_core.config import Config, Plugins
from opus_core.errors import Unavailable
from opus_core.extensions import Site as ExtensionSite
from opus_core.job import Phase, now
from opus_core.plugins import Registry
from opus_core.testing.memory import MemoryStorage
from opus_core.testing.samples import an_account
from opus_core.testing.timing import eventually
from opus_notify import plugin
from servers import free_port


@pytest.fixture
def site(tmp_path):
    with a_site(tmp_path) as site:
        site.tables = tmp_path
        yield site


def supervise(site: Site, **table):
    """A supervisor with the extension, which knows where each target begins."""
    extension = opened(site.tables, site.storage, **table)
    observers = extension.opus_observers()
    supervisor = site.supervisor(observers=observers)
    eventually(
        lambda: {one.key for one in site.storage.records("observed")} >= set(observers),
        "they know where they begin",
    )
    return supervisor


def pending(site: Site, count: int) -> list[tuple[str, str]]:
    """What is told of so many new jobs."""
    return [(site.job(run=False).id, "PENDING") for _ in range(count)]


def test_the_chosen_phases_are_told_and_no_other(site, hook):
    supervise(site, webhooks=[hook.at()])
    jobs = [site.job(), site.job("exit 3"), site.job(run=False)]
    for job, phase in zip(jobs, (Phase.COMPLETED, Phase.ERROR), strict=False):
        site.until_released(job, phase)
    site.abort(jobs[2])
    site.delete(jobs[0])
    expected = {(jobs[0].id, "COMPLETED"), (jobs[1].id, "ERROR"), (jobs[2].id, "ABORTED")}
    eventually(lambda: len(hook.posts) >= 3, "all was told")
    site.until_removed(jobs[0])
    assert sorted(hook.told()) == sorted(expected)


def test_other_phases_may_be_chosen(site, hook):
    supervise(site, webhooks=[hook.at()], phases=["PENDING", "EXECUTING"])
    expected = pending(site, 1)
    job = site.job()
    site.until_released(job, Phase.COMPLETED)
    eventually(lambda: hook.told() == [*expected, (job.id, "EXECUTING")], "both were told")


@pytest.mark.parametrize(("definitions", "told"), [([], 1), (["periodogram"], 1), (["other"], 0)])
def test_only_jobs_of_the_chosen_descriptions_count(tmp_path, storage, hook, definitions, told):
    found = opened(tmp_path, storage, webhooks=[hook.at()], definitions=definitions)
    [observe] = found.opus_observers().values()
    observe(a_change())
    assert len(hook.posts) == told


def test_a_deletion_is_no_phase(tmp_path, storage, hook):
    found = opened(tmp_path, storage, webhooks=[hook.at()], phases=list(Phase.__members__))
    [observe] = found.opus_observers().values()
    observe(a_change(None))
    assert hook.posts == []


def test_what_is_too_old_is_given_up_and_so_is_not_told_for_ever(tmp_path, storage, caplog):
    url = f"http://127.0.0.1:{free_port()}/hunter2"
    found = opened(tmp_path, storage, webhooks=[url], give_up="1 h")
    [(name, observe)] = found.opus_observers().items()
    with pytest.raises(Unavailable):
        observe(a_change(time=now() - timedelta(minutes=59)))
    old = a_change(time=now() - timedelta(minutes=61))
    observe(old)
    [warning] = caplog.records
    assert warning.getMessage() == "given up: it is older than 3600 s"
    assert warning.facts == {"target": name, "job": old.job_id, "phase": "COMPLETED"}


def test_a_receiver_that_comes_up_late_hears_of_all_in_order(site):
    port = free_port()
    supervise(site, webhooks=[f"http://127.0.0.1:{port}/"], phases=["PENDING"])
    expected = pending(site, 5)
    [name] = [one.key for one in site.storage.records("observed")]
    eventually(lambda: f"plugin {name}" in site.storage.health(), "it waits")
    with receiver(port) as late:
        eventually(lambda: late.told() == expected, "all was told, in order")


def test_a_receiver_with_trouble_in_between_loses_nothing(site, hook):
    supervise(site, webhooks=[hook.at()], phases=["PENDING"])
    hook.will(503, times=1, retry_after="1")
    hook.will(404)
    expected = pending(site, 3)
    first = expected[0]
    eventually(lambda: hook.told() == [first, first, *expected], "all was told, in order")
    ids = [post.headers["webhook-id"] for post in hook.posts]
    assert len(set(ids)) == 3
    assert ids[0] == ids[1] == ids[2]


def test_one_target_that_is_down_holds_up_no_other(site, hook, box):
    site.storage.accounts().add_user(an_account("ann", email="ann@example.org"))
    supervise(
        site,
        webhooks=[f"http://127.0.0.1:{free_port()}/", hook.at()],
        phases=["PENDING"],
        smtp=f"localhost:{box.port}",
        smtp_security="none",
        sender="opus@example.org",
    )
    expected = [(site.job(run=False, owner="ann").id, "PENDING") for _ in range(3)]
    eventually(lambda: hook.told() == expected, "the other webhook was told")
    eventually(lambda: len(box.mails) == 3, "and so were owners")
    told = [one.message["Message-ID"].split("-")[0].strip("<") for one in box.mails]
    assert told == [job for job, _ in expected]


def test_a_mail_server_that_is_down_holds_up_no_webhook(site, hook):
    supervise(
        site,
        webhooks=[hook.at()],
        phases=["PENDING"],
        smtp=f"localhost:{free_port()}",
        smtp_security="none",
        sender="opus@example.org",
        mail_to=["admin@example.org"],
    )
    expected = pending(site, 3)
    eventually(lambda: hook.told() == expected, "the webhook was told")


def test_what_happens_between_two_supervisors_is_told_by_the_second(site, hook):
    first = supervise(site, webhooks=[hook.at()], phases=["PENDING"])
    expected = pending(site, 1)
    eventually(lambda: hook.told() == expected, "the first was told")
    first.stop()
    expected += pending(site, 2)
    supervise(site, webhooks=[hook.at()], phases=["PENDING"])
    eventually(lambda: hook.told() == expected, "so were the others")


def test_the_error_of_a_real_job_reaches_its_owner(site, box):
    site.storage.accounts().add_user(an_account("ann", email="ann@example.org"))
    table = {"smtp": f"localhost:{box.port}", "smtp_security": "none"}
    supervise(site, sender="opus@example.org", **table)
    job = site.job("exit 3", owner="ann")
    stored = site.until_released(job, Phase.ERROR)
    eventually(lambda: box.mails, "it was sent")
    assert f"Error:   {stored.error.message}" in box.mails[0].text.replace("\r\n", "\n")


def test_a_job_that_is_gone_meanwhile_is_told_of_all_the_same(site):
    hook_port, box_port = free_port(), free_port()
    table = {"smtp": f"localhost:{box_port}", "smtp_security": "none"}
    supervise(
        site,
        webhooks=[f"http://127.0.0.1:{hook_port}/"],
        sender="opus@example.org",
        mail_to=["admin@example.org"],
        **table,
    )
    job = site.job("exit 3")
    site.until_released(job, Phase.ERROR)
    site.delete(job)
    site.until_removed(job)
    with receiver(hook_port) as late, postbox(port=box_port) as box:
        eventually(lambda: late.told() == [(job.id, "ERROR")] and box.mails, "both were told")


def test_a_server_names_targets_by_the_extension_alone(tmp_path, hook):
    """So that an upgrade goes on where the last version stopped."""
    found = Registry()
    found.register(plugin, "notify")
    table = {"webhooks": [hook.at()], "webhook_secret_file": secret_file(tmp_path)}
    config = Config(plugins=Plugins(tables={"notify": table}), base=tmp_path, data_dir=tmp_path)
    for extension in found.extensions(config):
        extension.check()
        extension.open(ExtensionSite(storage=MemoryStorage(), data_dir=tmp_path))
    [name] = found.hooks.observers()
    assert name.startswith("notify/webhook-127.0.0.1-")


def test_no_secret_is_ever_logged(site, hook, context, certificate, monkeypatch, caplog):
    """Whatever goes wrong: each target meets every trouble there is, and the log has it all."""
    caplog.set_level(logging.DEBUG)
    site.storage.accounts().add_user(an_account("ann", email="ann@example.org"))
    hidden = ("hunter2", "t0ken", PASSWORD, SECRET.removeprefix("whsec_"))
    with ExitStack() as opening:
        secure = opening.enter_context(postbox(context))
        untrusted = opening.enter_context(receiver(context=context))
        urls = [
            hook.at("/hunter2?t=t0ken"),
            f"http://127.0.0.1:{free_port()}/hunter2?t=t0ken",
            "https://nowhere.invalid/hunter2?t=t0ken",
            untrusted.at("/hunter2?t=t0ken", "localhost", "https"),
        ]
        hook.will(500)
        hook.will(302, location="/hunter2?t=t0ken")
        hook.will_say(b"hunter2 t0ken\r\n")
        hook.will(410)
        secure.users = {"opus": "another"}
        table = {
            "webhooks": urls,
            "smtp": f"localhost:{secure.port}",
            "sender": "opus@example.org",
            "smtp_user": "opus",
            "smtp_password_file": secret_file(site.tables, PASSWORD, "password"),
        }
        observers = opened(site.tables, site.storage, **table).opus_observers()
        for _ in range(2):  # first a mail server that is not trusted, then a password that is not
            for name, observe in observers.items():
                for _ in range(5):
                    try:
                        observe(a_change())
                    except Unavailable as error:
                        logging.getLogger("test").warning("%s: %s", name, error.sentence)
            monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
        assert secure.heard("AUTH"), "the password was never sent"
    assert "answers 500" in caplog.text
    assert "does not let smtp_user sign in" in caplog.text
    said = caplog.text + str([getattr(record, "facts", "") for record in caplog.records])
    for one in hidden:
        assert one not in said
