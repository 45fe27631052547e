"""A child that has become another user: what it answers, and how it says that it could not."""

from __future__ import annotations

import os
import pwd
import signal

import pytest

from core.helpers.checked import checked
from isolated import needs_root
from opus_core import checks
from opus_core.checks.child import ChildFailed, answers
from opus_core.finding import ok


@pytest.fixture
def nobody():
    needs_root()
    return pwd.getpwnam("nobody")


def test_a_child_answers_as_the_user_with_none_of_roots_groups(nobody):
    def who():
        yield [os.geteuid(), os.getuid(), os.getegid(), 0 in os.getgroups()]
        yield [os.environ["HOME"], os.getsid(0) == os.getpid()]

    assert list(answers(nobody, who)) == [
        [nobody.pw_uid, nobody.pw_uid, nobody.pw_gid, False],
        [nobody.pw_dir, True],
    ]
    assert os.geteuid() == 0


def test_what_a_child_raises_is_told(nobody):
    def odd():
        yield 1
        raise ValueError("odd")

    said = answers(nobody, odd)
    assert next(said) == 1
    with pytest.raises(ChildFailed, match="ValueError: odd"):
        next(said)


def test_a_child_that_is_killed_has_not_answered(nobody):
    def killed():
        os.kill(os.getpid(), signal.SIGKILL)
        yield 1

    with pytest.raises(ChildFailed, match="exit code -9"):
        list(answers(nobody, killed))


def test_a_child_whom_nobody_listens_to_any_more_gives_back_what_it_has_opened(nobody, tmp_path):
    read, write = os.pipe()

    def ask():
        try:
            while True:
                yield 1
        finally:
            os.write(write, b"given back")

    said = answers(nobody, ask)
    assert next(said) == 1
    said.close()
    assert os.read(read, 100) == b"given back"
    os.close(read)
    os.close(write)


@pytest.fixture
def anothers(tmp_path, monkeypatch, nobody):
    with checked(tmp_path, monkeypatch) as site:
        os.chown(site.folder / "opus.toml", nobody.pw_uid, nobody.pw_gid)
        yield site


def test_rights_that_could_not_be_tried_are_told(anothers, nobody, monkeypatch):
    def odd(want):
        if os.geteuid() != 0:
            raise ValueError("odd")
        return ""

    monkeypatch.setattr("opus_core.checks.users.refusal", odd)
    found = anothers.one("rights-untried", as_users=(nobody,))
    assert found.sentence.startswith("cannot try as nobody here (ValueError: odd)")


def test_a_look_in_the_owners_place_that_ends_early_is_told(anothers, monkeypatch):
    def killed(installation):
        yield ok("first", str(os.geteuid()))
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(checks, "_LOOKS", (killed,))
    found = anothers.findings()
    assert "65534" in [one.sentence for one in found if one.subject == "first"]
    [failed] = [one for one in found if one.code == "check-failed"]
    assert failed.sentence.startswith("looking as nobody failed (it ended with exit code -9)")
