from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from core.helpers.people import moved_clock, some_people
from opus_core import job as jobs
from opus_core.auth import passwords, people
from opus_core.auth.attempts import Attempts
from opus_core.auth.remembered import Remembered
from opus_core.auth.sessions import Lifetimes
from opus_core.auth.tokens import is_token, prefix_of
from opus_core.backends import User
from opus_core.errors import (
    AlreadyExists,
    BadRequest,
    Conflict,
    LimitReached,
    NotAllowed,
    NotAuthenticated,
    UnknownToken,
    UnknownUser,
)
from opus_core.job import DefinitionRef, Job, Phase

SECRET = "four lame horses sing"
WRONG = "four lame horses bark"


@pytest.fixture
def site():
    with some_people() as found:
        yield found


@pytest.fixture
def clock():
    with moved_clock() as found:
        yield found


@pytest.fixture
def quick(monkeypatch):
    """Passwords that cost little."""
    monkeypatch.setattr(passwords, "_COST", (2**4, 8, 1))
    monkeypatch.setattr(passwords, "_NONE", passwords._NONE.replace("$32768$8$3$", "$16$8$1$"))


def acts(site):
    return [(one.actor, one.act, one.subject) for one in site.audit.entries()]


# -- tokens


def test_a_token_tells_its_user_and_what_it_may_do(site):
    made = site.make_token("bob", "ann", name="laptop", scopes=frozenset({"read"}))
    assert is_token(made.text)
    user = site.by_token(made.text)
    assert (user.name, user.scopes, user.roles) == ("ann", {"read"}, {"user"})
    assert site.by_token(made.text, "ann") == user


def test_a_token_is_256_bits_of_chance_and_is_not_stored(site):
    texts = {site.make_token("bob", "ann").text for _ in range(50)}
    assert len({text.rpartition("_")[0] for text in texts}) == 50
    assert all(len(text.split("_", 2)[2]) == 43 for text in texts)
    stored = repr(site.tokens.of("ann")) + repr(list(site.audit.entries()))
    assert not any(text.split("_", 2)[2] in stored for text in texts)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text[:-1] + ("A" if text[-1] != "A" else "B"),
        lambda text: text.replace("opus_", "OPUS_"),
        lambda text: f"{text} ",
        lambda text: f"opus_{'0' * 12}_{text.split('_', 2)[2]}",
        lambda text: text.split("_")[1],
        lambda text: "",
    ],
)
def test_another_text_is_no_token(site, spoil):
    made = site.make_token("bob", "ann")
    with pytest.raises(NotAuthenticated, match="token is not right"):
        site.by_token(spoil(made.text))


def test_a_token_is_one_users(site):
    made = site.make_token("bob", "ann")
    with pytest.raises(NotAuthenticated):
        site.by_token(made.text, "bob")


def test_a_token_that_is_revoked_counts_no_more(site):
    made = site.make_token("bob", "ann")
    site.by_token(made.text)
    site.revoke_token("ann", made.token.prefix, user="ann")
    with pytest.raises(NotAuthenticated):
        site.by_token(made.text)


def test_nobody_revokes_the_tokens_of_others(site):
    made = site.make_token("bob", "ann")
    with pytest.raises(UnknownToken):
        site.revoke_token("cid", made.token.prefix, user="cid")
    assert site.by_token(made.text).name == "ann"


def test_a_token_expires(site, clock):
    made = site.make_token("bob", "ann", lifetime=timedelta(days=2))
    clock.forward(days=1.9)
    site.by_token(made.text)
    clock.forward(days=0.2)
    with pytest.raises(NotAuthenticated):
        site.by_token(made.text)


def test_its_last_use_is_known_to_the_minute(site, clock):
    made = site.make_token("bob", "ann")
    assert site.tokens.of("ann")[0].last_used is None
    site.by_token(made.text)
    first = site.tokens.of("ann")[0].last_used
    clock.forward(seconds=30)
    site.by_token(made.text)
    assert site.tokens.of("ann")[0].last_used == first
    clock.forward(seconds=31)
    site.by_token(made.text)
    assert site.tokens.of("ann")[0].last_used > first


@pytest.mark.parametrize("scopes", [{"reed"}, set(), {"run", "everything"}])
def test_a_token_has_scopes_that_there_are(site, scopes):
    with pytest.raises(BadRequest, match="read, run, publish, admin"):
        site.make_token("bob", "ann", scopes=frozenset(scopes))


def test_a_token_is_of_somebody_there_is(site):
    with pytest.raises(UnknownUser):
        site.make_token("bob", "dan")
    with pytest.raises(BadRequest, match="too far"):
        site.make_token("bob", "ann", lifetime=timedelta(days=10**8))


def test_an_account_that_is_off_is_nobodys(site):
    made = site.make_token("bob", "cid")
    for try_ in (lambda: site.by_token(made.text), lambda: site.vouched(User(name="cid"))):
        with pytest.raises(NotAllowed, match="switched off"):
            try_()


# -- passwords


def test_a_password_is_its_users(site, quick):
    site.set_password("ann", "ann", SECRET)
    assert site.by_password("ann", SECRET, address="a").name == "ann"
    for name, password in (("ann", WRONG), ("ann", ""), ("bob", SECRET), ("dan", SECRET)):
        with pytest.raises(NotAuthenticated, match="name or the password"):
            site.by_password(name, password, address="a")


def test_a_password_is_kept_as_a_slow_hash_with_salt():
    one, two = passwords.hashed(SECRET), passwords.hashed(SECRET)
    assert one != two
    assert one.startswith("scrypt$32768$8$3$")
    assert passwords.is_right(SECRET, one)
    assert not passwords.is_right(WRONG, one)
    assert not passwords.is_right(SECRET, None)
    assert not passwords.is_right(SECRET, "plain")


@pytest.mark.parametrize(
    "password", ["short", "", "a" * 12, "abababababab", "ann2026ann2026", "x" * 1025]
)
def test_a_password_is_not_easily_guessed(site, password):
    with pytest.raises(BadRequest, match="words that do not belong together"):
        site.set_password("ann", "ann", password)


def test_wrong_passwords_are_few(site, quick, monkeypatch):
    """For one name, whoever guesses from wherever."""
    site.set_password("ann", "ann", SECRET)
    for number in range(people._WRONG_BY_NAME):
        with pytest.raises(NotAuthenticated):
            site.by_password("ann", f"{WRONG}{number}", address=str(number))
    with pytest.raises(LimitReached) as caught:
        site.by_password("ann", SECRET, address="z")
    assert 0 < caught.value.retry_after <= people._MEANWHILE
    assert site.by_token(site.make_token("ann", "ann").text).name == "ann"


def test_one_address_does_not_guess_for_many_names(site, quick):
    for number in range(people._WRONG_BY_ADDRESS):
        with pytest.raises(NotAuthenticated):
            site.by_password(f"user{number}", WRONG, address="a")
    with pytest.raises(LimitReached):
        site.by_password("ann", WRONG, address="a")
    with pytest.raises(NotAuthenticated):
        site.by_password("ann", WRONG, address="b")


def test_a_network_of_ipv6_is_one_place(site, quick):
    for number in range(people._WRONG_BY_ADDRESS):
        with pytest.raises(NotAuthenticated):
            site.by_password(f"user{number}", WRONG, address=f"2001:db8::{number:x}")
    with pytest.raises(LimitReached):
        site.by_password("ann", WRONG, address="2001:db8::ffff")
    with pytest.raises(NotAuthenticated):
        site.by_password("ann", WRONG, address="2001:db8:0:1::1")


def test_nobody_fills_the_record_with_refused_tokens(site):
    for _ in range(people._WRONG_BY_ADDRESS):
        with pytest.raises(NotAuthenticated):
            site.sign_in("ann", f"opus_{'0' * 12}_{'A' * 43}", address="a")
    before = len(acts(site))
    with pytest.raises(LimitReached):
        site.sign_in("ann", f"opus_{'0' * 12}_{'A' * 43}", address="a")
    assert len(acts(site)) == before
    assert site.sign_in("ann", site.make_token("bob", "ann").text, address="b")


def test_many_at_once_get_no_more_attempts():
    attempts = Attempts(most=5, seconds=60)
    passed = []

    def guess():
        try:
            attempts.begin("ann")
        except LimitReached:
            return
        passed.append(1)

    threads = [threading.Thread(target=guess) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(passed) == 5


def test_right_passwords_do_not_count(site, quick):
    site.set_password("ann", "ann", SECRET)
    for _ in range(3 * people._WRONG_BY_NAME):
        site.by_password("ann", SECRET, address="a")
        site._right.forget()  # so that it is worked out again


def test_a_password_that_was_changed_counts_no_more(site, quick):
    site.set_password("ann", "ann", SECRET)
    site.by_password("ann", SECRET, address="a")
    site.set_password("ann", "ann", "another one that is long")
    with pytest.raises(NotAuthenticated):
        site.by_password("ann", SECRET, address="a")


def test_where_no_passwords_are_wanted_there_are_none():
    with some_people(passwords=False) as site:
        with pytest.raises(BadRequest):
            site.set_password("ann", "ann", SECRET)
        with pytest.raises(NotAuthenticated, match="no passwords are taken here"):
            site.by_password("ann", SECRET, address="a")


# -- sessions


def test_a_session_is_its_users_until_signed_out(site):
    made = site.make_token("bob", "ann", scopes=frozenset({"read"}))
    cookie = site.sign_in("ann", made.text, address="a")
    user, _ = site.by_cookie(cookie)
    assert (user.name, user.scopes) == ("ann", {"read"})  # no more than its token
    site.sign_out(user, cookie)
    assert site.by_cookie(cookie) is None


def test_it_ends_with_the_token_that_opened_it(site):
    made = site.make_token("bob", "ann")
    cookie = site.sign_in("ann", made.text, address="a")
    assert site.by_cookie(cookie)
    site.revoke_token("ann", made.token.prefix)
    assert site.by_cookie(cookie) is None


def test_a_session_ends_when_it_is_idle_and_when_it_is_old(clock):
    lifetimes = Lifetimes(idle=timedelta(hours=2), longest=timedelta(hours=5))
    with some_people(lifetimes=lifetimes) as site:
        idle, used = site.sessions.open("ann"), site.sessions.open("ann")
        clock.forward(hours=1.5)
        assert site.by_cookie(used)
        clock.forward(hours=1)
        assert site.by_cookie(used)
        assert site.by_cookie(idle) is None
        clock.forward(hours=1.5)
        assert site.by_cookie(used)
        clock.forward(hours=1.2)
        assert site.by_cookie(used) is None


def test_its_cookie_is_changed_and_the_old_one_goes_on_for_a_moment(clock):
    lifetimes = Lifetimes(idle=timedelta(hours=4), longest=timedelta(hours=3))
    with some_people(lifetimes=lifetimes) as site:
        old = site.sessions.open("ann")
        assert site.sessions.renewed(old, site.by_cookie(old)[1]) is None
        clock.forward(hours=1.1)
        new = site.sessions.renewed(old, site.by_cookie(old)[1])
        assert site.by_cookie(new)[0].name == "ann"
        # Of two pages that are asked for at once one changes it.
        assert site.sessions.renewed(old, site.by_cookie(old)[1]) is None
        clock.forward(minutes=2)
        assert site.by_cookie(old) is None
        assert site.by_cookie(new)
        clock.forward(hours=2)  # three since the user has signed in
        assert site.by_cookie(new) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda site: site.change("bob", "ann", roles=frozenset({"publisher"})),
        lambda site: site.change("bob", "ann", active=False),
        lambda site: site.set_password("ann", "ann", SECRET),
        lambda site: site.sign_out_everywhere("bob", "ann"),
        lambda site: site.remove("bob", "ann"),
    ],
)
def test_sessions_end_with_what_they_stood_on(site, quick, change):
    one, two, bobs = (site.sessions.open(name) for name in ("ann", "ann", "bob"))
    change(site)
    assert site.by_cookie(one) is None
    assert site.by_cookie(two) is None
    assert site.by_cookie(bobs)


def test_the_word_against_csrf_is_of_one_session_and_one_site(site):
    one, two = site.sessions.open("ann"), site.sessions.open("ann")
    words = {site.sessions.csrf(one), site.sessions.csrf(two)}
    with some_people(secret=b"t" * 32) as other:
        words.add(other.sessions.csrf(one))
    assert len(words) == 3


# -- links


def test_a_link_signs_in_once(site):
    code = site.link("bob", "ann")
    assert site.by_link(code) == "ann"
    cookie = site.use_link(code, address="a")
    user, _ = site.by_cookie(cookie)
    assert (user.name, user.scopes) == ("ann", None)
    for again in (site.by_link, lambda code: site.use_link(code, address="a")):
        with pytest.raises(NotAuthenticated, match="used already"):
            again(code)


def test_of_many_who_use_a_link_at_once_one_gets_in(site):
    code = site.link("bob", "ann")
    barrier, cookies, refused = threading.Barrier(8), [], []

    def use():
        barrier.wait()
        try:
            cookies.append(site.use_link(code, address="a"))
        except NotAuthenticated as error:
            refused.append(error)

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(cookies), len(refused)) == (1, 7)


def test_a_link_is_good_for_a_day_and_for_nothing_else(site, clock):
    code = site.link("bob", "ann")
    with pytest.raises(NotAuthenticated):
        site.by_token(code)
    with pytest.raises(NotAuthenticated):
        site.sign_in("ann", code, address="a")
    assert site.tokens.of("ann") == []
    token = site.make_token("bob", "ann")
    with pytest.raises(NotAuthenticated):
        site.by_link(token.text)
    clock.forward(hours=25)
    with pytest.raises(NotAuthenticated):
        site.use_link(code, address="a")


def test_a_link_lets_nobody_in_who_is_switched_off(site):
    with pytest.raises(NotAllowed):
        site.use_link(site.link("bob", "cid"), address="a")


# -- accounts


@pytest.mark.parametrize("name", ["ann", "Ann", "a.b-c_d+e@x.org", "rené", "7", "山田"])
def test_names_that_can_be(name):
    with some_people() as site:
        if name == "ann":
            with pytest.raises(AlreadyExists):
                site.add("bob", name)
            return
        assert site.add("bob", name).name == name


@pytest.mark.parametrize(
    "name", ["", "a:b", "a b", "a/b", "-a", ".a", "a,b", "a\n", "x" * 65, "a\u202eb", "console:ann"]
)
def test_names_that_cannot_be(site, name):
    with pytest.raises(BadRequest, match="cannot be a user's name"):
        site.add("bob", name)


def test_a_name_in_two_spellings_is_one(site):
    site.add("bob", "ren\u00e9")
    with pytest.raises(AlreadyExists):
        site.add("bob", "rene\u0301")


@pytest.mark.parametrize("role", ["", "Admin", "a b", "x" * 33, "a\nb"])
def test_roles_that_cannot_be(site, role):
    with pytest.raises(BadRequest, match="cannot be a role"):
        site.change("bob", "ann", roles=frozenset({role}))


def test_whoever_is_vouched_for_needs_no_account(site):
    assert site.vouched(User(name="dan")).roles == {"user"}
    assert site.vouched(User(name="bob")).roles == {"admin", "user"}
    assert site.vouched(User(name="dan", roles=frozenset({"team"}))).roles == {"team", "user"}
    assert site.vouched(User(name=None)).roles == frozenset()


def test_a_user_with_jobs_is_not_removed(site):
    fit = DefinitionRef("fit", 1)
    job = Job(id="0" * 32, definition=fit, owner="ann", created=jobs.now(), manager="x")
    site._storage.add(job)
    with pytest.raises(Conflict, match="there are jobs of ann"):
        site.remove("bob", "ann")
    stored = site._storage.read(job.id)
    archived = Job(**{**{f: getattr(stored, f) for f in stored.__slots__}, "phase": Phase.ARCHIVED})
    site._storage.save(archived, expected=stored.version)
    with pytest.raises(Conflict):
        site.remove("bob", "ann")


def test_every_change_is_in_the_record(site):
    before = len(acts(site))
    made = site.make_token("bob", "ann", name="x")
    code = site.link("bob", "ann")
    site.use_link(code, address="192.0.2.1")
    with pytest.raises(NotAuthenticated):
        site.sign_in("ann", "wrong", address="192.0.2.1")
    site.revoke_token("bob", made.token.prefix)
    site.change("bob", "ann", roles=frozenset({"publisher"}))
    site.sign_out_everywhere("bob", "ann")
    site.remove("bob", "ann")
    assert acts(site)[before:] == [
        ("bob", "token made", "ann"),
        ("bob", "link made", "ann"),
        ("ann", "signed in", "ann"),
        ("-", "sign-in refused", "ann"),
        ("bob", "token revoked", "ann"),
        ("bob", "user changed", "ann"),
        ("bob", "signed out everywhere", "ann"),
        ("bob", "user removed", "ann"),
    ]
    assert prefix_of(code) not in {one.more for one in site.audit.entries()}


@pytest.mark.parametrize("number", [0, 1, 2, 7, 30])
def test_the_last_acts_are_found(site, number):
    for one in range(number):
        site.audit.note("ann", "did", str(one))
    every = list(site.audit.entries())
    for most in (1, 3, 5, 100):
        assert site.audit.latest(most) == every[::-1][:most]


@pytest.mark.parametrize("page", [1, 2, 5, 1000])
def test_what_is_older_than_an_instant_is_forgotten_and_nothing_else(site, monkeypatch, page):
    monkeypatch.setattr("opus_core.auth.audit._PAGE", page)
    site.audit.forget(jobs.now())  # of nothing
    for one in range(7):
        site.audit.note("ann", "did", str(one))
    every = list(site.audit.entries())
    site.audit.forget(every[4].time)
    left = list(site.audit.entries())
    assert left == [one for one in every if one.time >= every[4].time]
    assert site.audit.latest(2) == left[::-1][:2]
    site.audit.forget(jobs.now() + timedelta(seconds=1))
    assert list(site.audit.entries()) == []
    site.audit.note("ann", "did", "more")
    assert [one.subject for one in site.audit.latest(9)] == ["more"]


# -- what is remembered


def test_an_answer_is_remembered_for_a_while_and_forgotten_at_once():
    asked = []
    remembered = Remembered(seconds=60, most=2)

    def ask():
        asked.append(1)
        return len(asked)

    assert [remembered.get("a", ask) for _ in range(3)] == [1, 1, 1]
    remembered.forget()
    assert remembered.get("a", ask) == 2
    remembered.forget_one("a")
    assert remembered.get("a", ask) == 3
    remembered.get("b", ask)
    remembered.get("c", ask)
    assert remembered.get("a", ask) == 6  # the oldest made room
    assert Remembered(seconds=0).get("a", ask) == 7


def test_what_changes_while_it_is_asked_for_is_not_remembered():
    remembered = Remembered(seconds=60)

    def ask():
        remembered.forget()
        return "old"

    assert remembered.get("a", ask) == "old"
    assert remembered.get("a", lambda: "new") == "new"
