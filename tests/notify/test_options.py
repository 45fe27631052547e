"""What `[plugins.notify]` may say, and what each mistake is answered."""

from __future__ import annotations

import os

import pytest

from notify.helpers.making import PASSWORD, SECRET, opened, options, secret_file
from opus_core.errors import ConfigError
from opus_core.job import Phase
from opus_notify.extension import Notify
from opus_notify.options import NotifyOptions

MAIL = {"smtp": "mail.example.org", "sender": "opus@example.org"}
HIDDEN = "hunter2"

MISTAKES = [
    (
        {"webhooks": ["https://a.example.org/x", f"http://b.example.org/{HIDDEN}"]},
        "webhooks: number 2 goes to another machine by http, in the clear; use https",
    ),
    (
        {"webhooks": [f"https://ann:{HIDDEN}@b.example.org/"]},
        "webhooks: number 1 has a user before its host; leave that out, posts are signed",
    ),
    (
        {"webhooks": [f"ftp://b.example.org/{HIDDEN}"]},
        "webhooks: number 1 is no URL that can be posted to, such as https://example.org/hook",
    ),
    (
        {"webhooks": [f"https://b.example.org/{HIDDEN} x"]},
        "webhooks: number 1 is no URL that can be posted to, such as https://example.org/hook",
    ),
    (
        {"webhooks": ["https://b.example.org/", "https://b.example.org/"]},
        "webhooks: number 2 is there twice",
    ),
    (
        {"phases": ["COMPLETD"]},
        "phases: 'COMPLETD' is no phase; did you mean COMPLETED? Legal: "
        + ", ".join(Phase.__members__),
    ),
    ({"phases": []}, "phases: none is named, so nobody would be told anything"),
    ({"definitions": ["a/b"]}, "definitions: 'a/b' cannot be the name of a description"),
    ({"phase": ["ERROR"]}, "has no key phase; did you mean phases? Legal: "),
    (
        {"smtp_password": HIDDEN},
        "has no key smtp_password: a secret does not stand here; name a file in smtp_password_file",
    ),
    (
        {"webhook_secret": HIDDEN},
        "has no key webhook_secret: a secret does not stand here; name a file in"
        " webhook_secret_file",
    ),
    (
        {**MAIL, "smtp": "mail.example.org:smtp"},
        "smtp: 'mail.example.org:smtp' is no host, such as mail.example.org or"
        " mail.example.org:587",
    ),
    ({**MAIL, "smtp": ""}, "smtp: '' is no host, such as mail.example.org or mail.example.org:587"),
    (
        {**MAIL, "smtp_security": "ssl"},
        "smtp_security must be 'starttls' or 'tls' or 'none', not 'ssl'",
    ),
    (
        {**MAIL, "smtp_security": "none"},
        'smtp_security: "none" would send all in the clear to mail.example.org; use "starttls" or'
        ' "tls"',
    ),
    (
        {**MAIL, "smtp_user": "opus"},
        "smtp_user and smtp_password_file belong together; name both or neither",
    ),
    (
        {**MAIL, "smtp_password_file": "password"},
        "smtp_user and smtp_password_file belong together; name both or neither",
    ),
    (
        {**MAIL, "smtp_user": "öpus", "smtp_password_file": "password"},
        "smtp_user has to be of printable ASCII characters",
    ),
    ({"smtp": "mail.example.org"}, "smtp needs sender, the address that e-mail comes from"),
    (
        {**MAIL, "sender": "OPUS <opus>"},
        "sender: 'OPUS <opus>' is no address, such as opus@example.org or OPUS <opus@example.org>",
    ),
    (
        {**MAIL, "sender": "O\nBcc: x@example.org <opus@example.org>"},
        r"sender: 'O\nBcc: x@example.org <opus@example.org>' is no address, such as"
        " opus@example.org or OPUS <opus@example.org>",
    ),
    (
        {"sender": "opus@example.org"},
        "sender is of no use without smtp, which names the mail server",
    ),
    (
        {**MAIL, "mail_to": []},
        "mail_to: nobody is named, so no e-mail would be sent; leave out smtp",
    ),
    (
        {**MAIL, "mail_to": ["Owner"]},
        "mail_to: 'Owner' is neither \"owner\" nor an address, such as admin@example.org; did you"
        " mean owner?",
    ),
    (
        {**MAIL, "mail_to": ["a@b\r\nBcc: c@d"]},
        r"mail_to: 'a@b\r\nBcc: c@d' is neither " + '"owner" nor an address, such as'
        " admin@example.org",
    ),
    ({"timeout": 0}, "timeout must be at least 1, not 0"),
    ({"timeout": "1 min"}, "timeout must be at most 30, not '1 min'"),
    ({"give_up": "30 d"}, "give_up must be at most 2505600, not '30 d'"),
    ({"give_up_refused": -1}, "give_up_refused must be at least 0, not -1"),
]


@pytest.mark.parametrize(("table", "sentence"), MISTAKES)
def test_a_mistake_is_told_in_one_sentence(tmp_path, table, sentence):
    with pytest.raises(ConfigError) as caught:
        options(tmp_path, **table)

    said = str(caught.value)
    assert said.startswith(f"opus.toml: [plugins.notify] {sentence}")
    assert said.endswith(sentence) or sentence.endswith("Legal: ")
    assert HIDDEN not in said
    assert "\n" not in said


def test_every_key_has_a_sentence_about_it():
    for field in NotifyOptions.__dataclass_fields__.values():
        assert field.metadata["help"], field.name


@pytest.mark.parametrize(
    ("written", "server"),
    [
        ({"smtp": "Mail.example.org"}, ("mail.example.org", 587)),
        ({"smtp": "mail.example.org", "smtp_security": "tls"}, ("mail.example.org", 465)),
        ({"smtp": "localhost", "smtp_security": "none"}, ("localhost", 25)),
        ({"smtp": "[::1]:2525", "smtp_security": "none"}, ("::1", 2525)),
    ],
)
def test_the_port_is_the_usual_one_unless_it_is_named(tmp_path, written, server):
    assert options(tmp_path, sender="opus@example.org", **written).mail_server == server


def test_what_is_installed_and_not_configured_tells_nobody(tmp_path, storage):
    found = opened(tmp_path, storage)

    assert found.opus_observers() == {}
    assert found.warnings() == ()


def test_each_target_has_an_observer_whose_name_stays_and_has_no_secret(tmp_path, storage):
    urls = [
        f"https://chat.example.org/{HIDDEN}",
        f"https://chat.example.org/x?token={HIDDEN}",
        "http://[::1]:8080/",
    ]
    names = [
        [*opened(tmp_path, storage, webhooks=listed, **MAIL).opus_observers()]
        for listed in (urls, urls[::-1])
    ]

    assert sorted(names[0]) == sorted(names[1])
    assert len(set(names[0])) == 4
    assert [name.rpartition("-")[0] for name in names[0]] == [
        "webhook-chat.example.org",
        "webhook-chat.example.org",
        "webhook-::1",
        "",
    ]
    assert names[0][-1] == "mail"
    assert HIDDEN not in str(names)


def test_the_options_can_be_printed_without_giving_away_a_secret(tmp_path):
    found = options(tmp_path, webhooks=[f"https://example.org/?token={HIDDEN}"])

    assert HIDDEN not in repr(found)
    assert HIDDEN not in repr(Notify(found).__dict__)


# --- files with secrets


def checked(folder, **table):
    with pytest.raises(ConfigError) as caught:
        Notify(options(folder, **table)).check()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_webhooks_without_a_secret_are_refused(tmp_path):
    assert checked(tmp_path, webhooks=["https://example.org/"]) == (
        "[plugins.notify] webhooks need webhook_secret_file: without a signature receivers could"
        " not know who posts"
    )


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o644, 0o601])
def test_a_secret_that_is_open_to_others_is_refused(tmp_path, mode):
    path = secret_file(tmp_path, mode=mode)
    said = checked(tmp_path, webhooks=["https://example.org/"], webhook_secret_file=path)

    assert said == (
        f"[plugins.notify] webhook_secret_file: {path} is open to everybody on this machine;"
        f" chmod o= {path}"
    )
    os.system(said.rpartition("; ")[2])  # noqa: S605 - the very words
    Notify(options(tmp_path, webhook_secret_file=path)).check()


def test_a_secret_that_cannot_be_read_is_refused(tmp_path):
    said = checked(tmp_path, webhook_secret_file="nowhere")
    assert said == (
        f"[plugins.notify] webhook_secret_file: {tmp_path / 'nowhere'} cannot be read: No such file"
        " or directory"
    )
    assert checked(tmp_path, webhook_secret_file=".").endswith(" is no file")


@pytest.mark.parametrize(
    "text",
    [
        "",
        HIDDEN,
        f"whsec_{HIDDEN}!",
        "whsec_aHVudGVyMg==",  # too short
        SECRET.removeprefix("whsec_"),
        f"{SECRET}\n{HIDDEN}",
    ],
)
def test_a_key_that_is_none_is_refused_and_not_shown(tmp_path, text):
    path = secret_file(tmp_path, text)
    said = checked(tmp_path, webhook_secret_file=path)

    assert said == (
        f"[plugins.notify] webhook_secret_file: {path} has to hold whsec_ and at least 24 random"
        ' bytes in base64 on each line, as `echo "whsec_$(openssl rand -base64 32)"` prints it'
    )


def test_what_that_sentence_says_to_type_makes_a_key(tmp_path):
    said = checked(tmp_path, webhook_secret_file=secret_file(tmp_path, ""))
    os.system(f"{said.split('`')[1]} > {tmp_path / 'made'}; chmod 600 {tmp_path / 'made'}")  # noqa: S605
    Notify(options(tmp_path, webhook_secret_file="made")).check()


@pytest.mark.parametrize("text", ["", f"{HIDDEN}\x07", f"{HIDDEN}\n{HIDDEN}", f"{HIDDEN}\u00e4"])
def test_a_password_that_smtp_has_no_word_for_is_refused_and_not_shown(tmp_path, text):
    path = secret_file(tmp_path, text, "password")
    said = checked(tmp_path, **MAIL, smtp_user="opus", smtp_password_file=path)

    assert said.startswith(f"[plugins.notify] smtp_password_file: {path} has ")
    assert "ASCII" in said
    assert HIDDEN not in said


def test_no_secret_is_in_what_the_extension_looks_like(tmp_path, storage):
    found = opened(
        tmp_path,
        storage,
        **MAIL,
        smtp_user="opus",
        smtp_password_file=secret_file(tmp_path, PASSWORD, "password"),
        webhooks=["https://example.org/"],
    )
    for thing in (found, *found._targets(), *(vars(one) for one in found._targets())):
        if isinstance(thing, dict):
            thing = {key: value for key, value in thing.items() if key != "_keys"}
        assert PASSWORD not in repr(thing)
        assert SECRET not in repr(thing)


# --- warnings


class WithoutAccounts:
    def accounts(self):
        return None


def test_owners_who_cannot_be_found_are_a_warning(tmp_path):
    found = opened(tmp_path, WithoutAccounts(), **MAIL)
    assert found.warnings() == ["owners get no e-mail: this storage keeps no accounts"]


def test_jobs_without_an_address_are_a_warning(tmp_path, storage):
    found = opened(tmp_path, storage, base_url=None, **MAIL)
    assert found.warnings() == ["without base_url, what is told of a job has no link to it"]
