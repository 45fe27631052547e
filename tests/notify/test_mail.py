"""E-mail: who gets what, and what the answers of the mail server mean."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from notify.helpers.making import PASSWORD, a_change, opened, secret_file
from notify.helpers.postbox import postbox
from opus_core.errors import Unavailable
from opus_core.job import ErrorSummary, Phase
from opus_core.testing.samples import a_job, an_account
from opus_notify.message import one_line
from servers import free_port

SENDER = "OPUS at Home <opus@example.org>"


@pytest.fixture
def target(tmp_path, storage):
    """A callable that makes the target for a postbox, or for any port."""
    storage.accounts().add_user(an_account("ann", email="ann@example.org"))

    def make(box, **table: object):
        port = box if isinstance(box, int) else box.port
        table = {
            "smtp": f"localhost:{port}",
            "smtp_security": "none",
            "sender": SENDER,
            **table,
        }
        [found] = opened(tmp_path, storage, **table)._targets()
        return found

    return make


def put_off(target, change) -> str:
    with pytest.raises(Unavailable) as caught:
        target.tell(change)
    return caught.value.sentence


def recipients(box) -> list[str]:
    return [address for one in box.mails for address in one.to]


# --- what is sent


def test_the_owner_hears_of_it(target, box):
    change = a_change(time=datetime(2031, 12, 24, 18, 30, 0, 5000, UTC))
    target(box).tell(change)

    [one] = box.mails
    assert (one.sender, one.to) == ("opus@example.org", ("ann@example.org",))
    message = one.message
    assert message["From"] == SENDER
    assert message["To"] == "ann@example.org"
    assert message["Subject"] == "[OPUS] COMPLETED: periodogram, first try"
    assert message["Date"].datetime == change.time.replace(microsecond=0)
    assert message["Auto-Submitted"] == "auto-generated"
    assert message.get_content_type() == "text/plain"
    assert one.text.replace("\r\n", "\n") == (
        "A job of periodogram has completed.\n"
        "\n"
        f"Job:     {change.job_id}\n"
        "Run:     first try\n"
        "Owner:   ann\n"
        "Phase:   COMPLETED since 2031-12-24T18:30:00.005Z\n"
        f"Link:    https://opus.example.org/rest/periodogram/{change.job_id}\n"
    )


def test_the_message_is_the_same_each_time_and_its_id_of_this_change_alone(target, box):
    change = a_change()
    mails = target(box)
    for one in (change, change, a_change(job_id=change.job_id, seq=8), a_change(Phase.ERROR)):
        mails.tell(one)
        mails._seq = -1  # as after a restart
    ids = [one.message["Message-ID"] for one in box.mails]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3
    assert ids[0] == f"<{change.job_id}-7-COMPLETED@example.org>"
    assert box.mails[0].data == box.mails[1].data


def test_each_who_is_named_gets_one_of_their_own(target, box):
    named = ["admin@example.org", "owner", "ann@example.org"]
    target(box, mail_to=named).tell(a_change())

    assert recipients(box) == ["admin@example.org", "ann@example.org"]
    assert [one.message["To"] for one in box.mails] == recipients(box)
    assert box.sessions == 1


def test_why_it_failed_is_told(target, box, storage):
    job = storage.add(
        a_job(phase=Phase.ERROR, error=ErrorSummary(message="the script ended with code 3"))
    )
    target(box).tell(a_change(Phase.ERROR, job_id=job.id))
    assert "has failed." in box.mails[0].text
    assert "Error:   the script ended with code 3" in box.mails[0].text


def test_an_error_of_another_phase_is_not(target, box, storage):
    job = storage.add(a_job(phase=Phase.ARCHIVED, error=ErrorSummary(message="late news")))
    target(box).tell(a_change(Phase.ERROR, job_id=job.id))
    assert "late news" not in box.mails[0].text


def test_an_error_is_bounded_and_has_no_control_characters(target, box, storage):
    evil = "line one\r\n.\r\nRCPT TO:<x@example.org>\x1b[31m\x00\u202e\udc80 " + "é" * 5000
    job = storage.add(a_job(phase=Phase.ERROR, error=ErrorSummary(message=evil)))
    target(box).tell(a_change(Phase.ERROR, job_id=job.id))

    [line] = [one for one in box.mails[0].text.splitlines() if one.startswith("Error:")]
    assert line.startswith("Error:   line one . RCPT TO:<x@example.org> [31m éé")
    assert line.endswith("é...")
    assert len(line) == len("Error:   ") + 1000
    assert recipients(box) == ["ann@example.org"]


@pytest.mark.parametrize(
    "evil",
    [
        "x\r\nBcc: victim@example.org\r\n\r\nBuy this",
        "x\nBcc: victim@example.org",
        "x\rBcc: victim@example.org",
        "x\x00\x0b\x0c\x1c\x85\u2028Bcc: victim@example.org",
        "=?utf-8?q?x=0ABcc:_victim=40example.org?=",
        "<ann@example.org>, victim@example.org",
        "\udcff" * 500,
        "ü" * 500,
        "",
    ],
)
def test_no_text_of_a_user_becomes_a_header_or_a_recipient(target, box, storage, evil):
    storage.accounts().add_user(an_account(evil or "-", email="evil@example.org"))
    target(box).tell(a_change(run_id=evil, owner=evil or "-"))

    [one] = box.mails
    assert one.to == ("evil@example.org",)
    assert [name for name, _ in one.message.items()] == [
        *("From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted"),
        *("Content-Type", "Content-Transfer-Encoding", "MIME-Version"),
    ]
    assert len(one.message["Subject"]) < 150
    assert max(map(len, one.data.splitlines())) <= 998  # RFC 5322 section 2.1.1


def test_one_line_is_one_line():
    everything = "".join(map(chr, range(0x3000)))
    assert one_line(everything, 100_000).isprintable()
    assert len(one_line("x" * 50, 10)) == 10
    assert one_line("\n \t", 10) == ""


@pytest.mark.parametrize(
    "account",
    [
        {"email": ""},
        {"email": "ann"},
        {"email": "ann@example.org, bob@example.org"},
        {"email": "ann@example.org\r\nBcc: x@example.org"},
        {"email": "Ann <ann@example.org>"},
        {"email": "jürgen@example.org"},
        {"email": "ann@example.org", "active": False},
        {"email": "@example.org"},
        {"email": "=?utf-8?q?x=0ABcc?=@example.org"},
        {"email": f"{'a' * 65}@example.org"},
        {"email": f"a@{'b.' * 130}org"},
    ],
)
def test_an_owner_without_an_address_is_skipped(target, box, storage, account):
    storage.accounts().add_user(an_account("bob", **account))
    target(box).tell(a_change(owner="bob"))
    assert box.sessions == 0


@pytest.mark.parametrize("owner", [None, "stranger"])
def test_nobody_known_is_skipped_and_others_hear_of_it(target, box, owner):
    target(box, mail_to=["owner", "admin@example.org"]).tell(a_change(owner=owner))
    assert recipients(box) == ["admin@example.org"]


def test_accounts_that_cannot_be_asked_are_asked_again(target, box, storage, monkeypatch):
    def read_user(name):
        raise Unavailable("the database is locked")

    accounts = storage.accounts()
    monkeypatch.setattr(accounts, "read_user", read_user)
    monkeypatch.setattr(storage, "accounts", lambda: accounts)
    assert put_off(target(box), a_change()) == "the database is locked"


# --- what answers mean


def test_a_mailbox_that_is_refused_is_over_and_others_are_not(target, box, caplog):
    box.will("RCPT TO:<gone@example.org>", "550 5.1.1 no such\x1b[31m user")
    change = a_change()
    mails = target(box, mail_to=["gone@example.org", "owner"])
    mails.tell(change)

    assert recipients(box) == ["ann@example.org"]
    warning = caplog.records[0]
    assert warning.getMessage() == "given up: the answer is 550 5.1.1 no such [31m user"
    assert warning.facts == {
        "target": "mail",
        "job": change.job_id,
        "phase": "COMPLETED",
        "to": "gone@example.org",
    }


def test_a_message_that_is_refused_is_over(target, box, caplog):
    box.will(".", "554 5.7.1 looks like advertising")
    mails = target(box, mail_to=["strict@example.org", "owner"])
    mails.tell(a_change())
    assert recipients(box) == ["ann@example.org"]
    assert caplog.records[0].facts["to"] == "strict@example.org"
    assert "given up: the answer is 554" in caplog.text


def test_a_mailbox_that_is_put_off_is_tried_again_and_nobody_hears_twice(target, box):
    box.will("RCPT TO:<grey@example.org>", "450 4.7.1 greylisted", times=2)
    change = a_change()
    mails = target(box, mail_to=["owner", "grey@example.org", "admin@example.org"])

    assert put_off(mails, change) == "no e-mail is taken now for 1 of 3 addresses"
    assert recipients(box) == ["ann@example.org", "admin@example.org"]
    assert put_off(mails, change) == "no e-mail is taken now for 1 of 1 addresses"
    mails.tell(change)
    assert recipients(box) == ["ann@example.org", "admin@example.org", "grey@example.org"]


def test_a_full_mailbox_does_not_hold_up_the_others_for_ever(target, box, caplog):
    box.will("RCPT TO:<full@example.org>", "452 4.2.2 full", times=3)
    mails = target(box, mail_to=["full@example.org", "owner"])
    put_off(mails, a_change())
    mails._deferring["full@example.org"] -= 3600
    for seq in (8, 9):  # from now on it is tried once for each change
        mails.tell(a_change(seq=seq))
    assert recipients(box) == ["ann@example.org"] * 3
    assert caplog.text.count("given up: the answer is 452") == 2
    mails.tell(a_change(seq=10))  # it takes one
    box.will("RCPT TO:<full@example.org>", "452 4.2.2 full")
    put_off(mails, a_change(seq=11))  # and is waited for again


@pytest.mark.parametrize(
    ("line", "answer", "said"),
    [
        ("greeting", "554 go away", "the mail server localhost answers 554"),
        ("greeting", "421 busy", "the mail server localhost answers 421"),
        ("greeting", "hang up", "the mail server localhost hung up"),
        ("MAIL", "452 disk full", "the mail server localhost answers 452"),
        ("MAIL", "550 not you", "the mail server localhost answers 550"),
        ("RCPT", "421 shutting down", "the mail server localhost answers 421"),
        ("RCPT", "530 sign in first", "the mail server localhost answers 530"),
        ("RCPT", "hang up", "the mail server localhost hung up"),
        ("RCPT", "nonsense", "the mail server localhost answers -1"),
        ("DATA", "451 filter is down", "the mail server localhost answers 451"),
        (".", "451 filter is down", "the mail server localhost answers 451"),
        (".", "hang up", "the mail server localhost hung up"),
    ],
)
def test_trouble_of_the_server_is_waited_for(target, box, line, answer, said):
    box.will(line, answer)
    change = a_change()
    mails = target(box)
    assert put_off(mails, change) == said
    assert box.mails == []
    mails.tell(change)
    assert recipients(box) == ["ann@example.org"]


def test_who_was_told_before_the_trouble_is_not_told_again(target, box):
    box.will("RCPT TO:<second@example.org>", "hang up")
    change = a_change()
    mails = target(box, mail_to=["owner", "second@example.org"])
    put_off(mails, change)
    mails.tell(change)
    assert recipients(box) == ["ann@example.org", "second@example.org"]


@pytest.mark.parametrize("answer", ["500 what", "421 in a hurry", "hang up"])
def test_what_was_taken_is_taken_however_the_server_says_goodbye(target, box, answer):
    box.will("QUIT", answer)
    target(box).tell(a_change())
    assert recipients(box) == ["ann@example.org"]


def test_nobody_there(target):
    assert put_off(target(free_port()), a_change()) == (
        "the mail server localhost could not be reached: Connection refused"
    )


def test_one_that_is_never_done_talking_does_not_hang(target, box):
    """Each line comes soon, but the last one never does."""
    box.will("greeting", "drip 220-wait")
    begin = time.monotonic()
    assert put_off(target(box, timeout=1), a_change()) == (
        "the mail server localhost did not answer in time"
    )
    assert time.monotonic() - begin < 10


# --- the way there


@pytest.fixture
def signed_in(tmp_path):
    return {
        "smtp_security": "starttls",
        "smtp_user": "opus",
        "smtp_password_file": secret_file(tmp_path, PASSWORD, "password"),
    }


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_signed_in_and_protected(target, context, signed_in, security):
    with postbox(context, at_once=security == "tls") as box:
        box.users = {"opus": PASSWORD}
        target(box, **signed_in | {"smtp_security": security}).tell(a_change())

        [one] = box.mails
        assert (one.secure, one.user) == (True, "opus")
        assert [line for secure, line in box.lines if not secure] == (
            [box.heard("EHLO")[0], "STARTTLS"] if security == "starttls" else []
        )


def test_a_server_that_cannot_prove_itself_gets_no_password(target, context, signed_in):
    with postbox(context) as box:
        box.users = {"opus": PASSWORD}
        said = put_off(target(box, **signed_in), a_change())
        assert said.startswith("the mail server localhost cannot be trusted: ")
        assert box.heard("AUTH") == []


@pytest.mark.usefixtures("trusted")
def test_without_starttls_nothing_is_said(target, box, signed_in):
    box.extensions = ("AUTH PLAIN",)
    assert put_off(target(box, **signed_in), a_change()) == (
        "the mail server does not offer STARTTLS"
    )
    assert {line.split(" ")[0].upper() for _, line in box.lines} == {"EHLO"}


@pytest.mark.usefixtures("trusted")
def test_a_wrong_password_is_waited_for_and_not_shown(target, context, signed_in):
    with postbox(context) as box:
        box.users = {"opus": "another"}
        with pytest.raises(Unavailable) as caught:
            target(box, **signed_in).tell(a_change())
    assert caught.value.sentence == (
        "the mail server does not let smtp_user sign in: it answers 535"
    )
    assert caught.value.__suppress_context__  # what the server said has the password in it


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("offered", [(), ("AUTH KERBEROS",)])
def test_a_server_with_no_way_to_sign_in_is_waited_for(target, context, signed_in, offered):
    with postbox(context) as box:
        box.extensions = ("STARTTLS", *offered)
        assert put_off(target(box, **signed_in), a_change()) == (
            "the mail server has no way to sign in that is known here"
        )
