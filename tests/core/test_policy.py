from __future__ import annotations

import os

import pytest

from opus_core import job as jobs
from opus_core.access import Access, AccessLists
from opus_core.auth.policy import Policy
from opus_core.backends import JobQuery, User
from opus_core.errors import (
    BadRequest,
    NotAllowed,
    NotAuthenticated,
    Unavailable,
    UnknownDefinition,
)
from opus_core.job import ANYONE, DefinitionRef, Job

NOBODY = User(name=None, address="192.0.2.1")
ANN = User(name="ann", roles=frozenset({"user"}))
EVE = User(name="eve", roles=frozenset({"user", "publisher"}))
BOB = User(name="bob", roles=frozenset({"user", "admin"}))
POLICY = Policy(anonymous=True)
CLOSED = Policy()


def job_of(owner):
    ref = DefinitionRef("fit", 1)
    return Job(id="0" * 32, definition=ref, owner=owner, created=jobs.now(), manager="x")


def may(do, *arguments):
    try:
        do(*arguments)
    except NotAuthenticated:
        return 401
    except NotAllowed:
        return 403
    return 200


def token(user, *scopes):
    return User(name=user.name, roles=user.roles, scopes=frozenset(scopes))


@pytest.mark.parametrize(
    ("user", "owner", "status"),
    [
        (ANN, "ann", 200),
        (ANN, "bob", 403),
        (ANN, None, 200),
        (EVE, "ann", 403),
        (BOB, "ann", 200),
        (NOBODY, None, 200),
        (NOBODY, "ann", 403),
        (token(ANN, "read"), "ann", 200),
        (token(ANN, "run"), "ann", 200),
        (token(ANN, "publish"), "ann", 403),
        (token(BOB, "run"), "ann", 403),  # the user may, the token may not
        (token(BOB, "run", "admin"), "ann", 200),
        (token(BOB, "admin"), "ann", 403),
    ],
)
def test_a_job_is_its_owners_and_an_admins(user, owner, status):
    assert may(POLICY.may_see, user, job_of(owner)) == status


def test_a_token_to_look_changes_nothing():
    assert may(POLICY.may_change, token(ANN, "read"), job_of("ann")) == 403
    assert may(POLICY.may_change, token(ANN, "run"), job_of("ann")) == 200
    assert may(POLICY.may_run, token(ANN, "read"), "fit") == 403


def test_nobody_unknown_is_let_in_where_that_is_off():
    assert may(CLOSED.may_see, NOBODY, job_of(None)) == 401
    assert may(CLOSED.may_run, NOBODY, "fit") == 401
    with pytest.raises(NotAuthenticated):
        CLOSED.visible(NOBODY, JobQuery())


@pytest.mark.parametrize(
    ("user", "asked", "owner"),
    [
        (ANN, ANYONE, "ann"),
        (ANN, "ann", "ann"),
        (ANN, "bob", "nothing"),
        (ANN, None, "nothing"),
        (NOBODY, ANYONE, "nothing"),
        (BOB, ANYONE, ANYONE),
        (BOB, "ann", "ann"),
        (token(BOB, "run"), ANYONE, "bob"),
    ],
)
def test_a_list_has_ones_own_and_an_admins_all(user, asked, owner):
    found = POLICY.visible(user, JobQuery(owner=asked))
    assert (found.owner if found else "nothing") == owner


@pytest.mark.parametrize(
    ("do", "users"),
    [
        ("may_administer", {"bob"}),
        ("may_describe", {"bob", "eve"}),
        ("may_publish", {"bob"}),
    ],
)
def test_roles(do, users):
    ask = getattr(CLOSED, do)
    assert {user.name for user in (ANN, BOB, EVE) if may(ask, user) == 200} == users
    assert may(ask, NOBODY) == 401
    assert may(ask, token(BOB, "read", "run")) == 403


def test_publishers_publish_where_the_site_says_so():
    assert may(Policy(publishers_publish=True).may_publish, EVE) == 200
    assert may(Policy(publishers_publish=True).may_publish, ANN) == 403
    assert may(Policy(publishers_publish=True).may_publish, token(EVE, "run")) == 403


# -- who may run a description


@pytest.mark.parametrize(
    ("entries", "users"),
    [
        (("anyone",), {None, "ann", "bob", "eve"}),
        (("role user",), {"ann", "bob", "eve"}),
        (("role publisher",), {"bob", "eve"}),
        (("user ann",), {"ann", "bob"}),
        (("user ann", "role publisher"), {"ann", "bob", "eve"}),
        ((), {"bob"}),
        (("user None", "role None"), {"bob"}),
    ],
)
def test_a_description_is_for_those_it_names_and_for_admins(entries, users):
    policy = Policy(anonymous=True, access=lambda name: Access(entries))
    found = {user.name for user in (NOBODY, ANN, BOB, EVE) if policy.offers(user, "fit")}
    assert found == users
    for user in (NOBODY, ANN, BOB, EVE):
        refused = 401 if user.anonymous else 403
        assert may(policy.may_run, user, "fit") == (200 if user.name in users else refused)


@pytest.fixture
def lists(tmp_path):
    (tmp_path / "fit").mkdir()
    return AccessLists(tmp_path)


def test_a_list_is_kept_and_may_be_changed(lists, tmp_path):
    assert lists.of("fit") == Access()
    lists.set("fit", ["user ann", "role team", "user ann"])
    assert lists.of("fit") == Access(("user ann", "role team"))
    assert AccessLists(tmp_path).of("fit") == Access(("user ann", "role team"))
    lists.set("fit", [])
    assert lists.of("fit") == Access(())
    (tmp_path / "fit/access").unlink()
    assert lists.of("fit") == Access()


@pytest.mark.parametrize("entry", ["", "everybody", "user", "user ", "role", "user a\nb", "Anyone"])
def test_an_entry_names_somebody(lists, entry):
    with pytest.raises(BadRequest, match="names nobody"):
        lists.set("fit", [entry])


@pytest.mark.parametrize("name", ["", "..", "../fit", "no", "a/b", "fit/../fit"])
def test_a_list_is_of_a_description(lists, name):
    with pytest.raises(UnknownDefinition):
        lists.set(name, ["anyone"])


@pytest.mark.parametrize("content", [b"everybody\n", b"user ann\n\xff\n"])
def test_a_damaged_list_admits_nobody(lists, tmp_path, content):
    (tmp_path / "fit/access").write_bytes(content)
    for _ in range(2):
        with pytest.raises(Unavailable, match="definitions/fit/access"):
            lists.of("fit")


def test_a_list_that_is_a_link_admits_nobody(lists, tmp_path):
    (tmp_path / "other").write_text("anyone\n")
    os.symlink(tmp_path / "other", tmp_path / "fit/access")
    with pytest.raises(Unavailable):
        lists.of("fit")
