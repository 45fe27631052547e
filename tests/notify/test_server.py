"""A real server tells of real jobs, and goes on telling after it was killed."""

from __future__ import annotations

from notify.helpers.making import PASSWORD, SECRET, secret_file
from notify.helpers.postbox import postbox
from notify.helpers.receiver import receiver
from servers import describe_ledger, eventually, free_port, kill, site


def job_id(url: str) -> str:
    return url.rpartition("/")[2]


def test_what_a_killed_server_had_to_tell_is_told_by_the_next(tmp_path, certificate, context):
    port = free_port()
    secret_file(tmp_path, SECRET, "webhook.secret")
    secret_file(tmp_path, PASSWORD, "mail.password")
    with site(tmp_path / "site") as one, postbox(context) as box:
        box.users = {"opus": PASSWORD}
        one.prefix = ("env", f"SSL_CERT_FILE={certificate[0]}")
        one.configure(
            'base_url = "https://opus.example.org"',
            **{
                "plugins.notify": f"""
                webhooks = ["http://127.0.0.1:{port}/hunter2"]
                webhook_secret_file = "../webhook.secret"
                smtp = "localhost:{box.port}"
                smtp_user = "opus"
                smtp_password_file = "../mail.password"
                sender = "OPUS <opus@example.org>"
                mail_to = ["owner", "admin@example.org"]
                """
            },
        )
        describe_ledger(one)
        assert "notify" in one.opus("plugins").stdout
        assert "ok       plugin notify: tells people" in one.opus("check", check=False).stdout
        server = one.serve()
        jobs = [
            one.create("ledger", {"ledger": str(tmp_path / "ledger"), "code": code})
            for code in ("0", "3")
        ]
        ends = [one.wait(job) for job in jobs]
        log = one.folder / "data" / "opus.log"
        eventually(lambda: "is told again in" in log.read_text())
        kill(server)

        with receiver(port) as hook:
            server = one.serve()
            last = one.create("ledger", {"ledger": str(tmp_path / "ledger")})
            ends.append(one.wait(last))
            jobs.append(last)
            eventually(lambda: job_id(last) in [job for job, _ in hook.told()])
            eventually(lambda: any(job_id(last) in mail.text for mail in box.mails))

            # At least once, and each for the first time in the order of the journal.
            told = list(dict.fromkeys(hook.told()))
            assert sorted(told) == sorted(
                (job_id(job), end) for job, end in zip(jobs, ends, strict=True)
            )
            assert told[-1] == (job_id(last), "COMPLETED")
            assert (
                hook.posts[-1].data["url"] == f"https://opus.example.org/rest/ledger/{job_id(last)}"
            )
        assert all(mail.secure and mail.user == "opus" for mail in box.mails)
        assert {mail.to for mail in box.mails} == {("admin@example.org",)}
        mailed = {mail.message["Message-ID"].split("-")[0].strip("<") for mail in box.mails}
        assert mailed == {job_id(job) for job in jobs}

        written = "".join(file.read_text() for file in (log, *one.folder.glob("std*.log")))
        for secret in ("hunter2", PASSWORD, SECRET.removeprefix("whsec_")):
            assert secret not in written


def test_check_says_what_keeps_it_from_being_of_full_use(tmp_path):
    secret_file(tmp_path, SECRET, "webhook.secret")
    webhook = 'webhooks = ["https://hooks.example.org/"]\nwebhook_secret_file = "../webhook.secret"'
    with site(tmp_path / "site") as one:
        one.configure(**{"plugins.notify": webhook})
        one.opus("init", str(one.folder / "data"))
        said = one.opus("check", check=False).stdout
    assert "warning  plugin notify: without base_url, what is told of a job has no link" in said
