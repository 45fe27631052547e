"""The contract of `opus_authenticate`: nobody is let in by a mistake, and no secret gets out."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opus_core.auth.tokens import SCOPES
from opus_core.backends import RequestView, User
from opus_core.errors import NotAuthenticated, Unavailable
from opus_core.extensions import Extension
from opus_core.facts import KEY
from opus_core.testing.backend import Instances, MakeContext
from opus_core.testing.extension_kit import (
    ExtensionKit,
    hooked,
)
from opus_core.testing.storage_kit import thorough
from opus_core.testing.timing import together

Headers = Mapping[str, str]

# What other plugins, the server itself or nobody at all may know.
FOREIGN = (
    "Basic YWRhOm5vdC10aGUtcGFzc3dvcmQ=",
    "Basic no base64",
    "Bearer opus_abcdefghijkl_notatokenofours",
    "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEifQ.",
    "Digest username=ada",
    "Negotiate YII=",
    "Bearer",
    " ",
    "\x00\xff",
)


class AuthenticateContract(ExtensionKit):
    """Inherit it, say how an instance is made, and whom it knows by which headers.

        class TestMyDoor(AuthenticateContract):
            @pytest.fixture
            def make(self, tmp_path):
                return lambda: MyDoor(MyDoor.Options(...))

            @pytest.fixture
            def known(self):
                return {"authorization": "..."}, "ada"

            @pytest.fixture
            def wrong(self):
                return {"authorization": "..."}

    Names of headers are in lower case. What the kit cannot bring about by itself is said by
    fixtures, and skipped without them:

    - `wrong`: headers of the kind of `known` that are wrong.
    - `unavailable`: a callable that makes a context in which whoever it asks does not answer.
    - `unfit`: a callable that makes an instance which cannot work here.
    """

    @pytest.fixture
    def known(self) -> tuple[Headers, str]:
        """Override with headers by which it knows somebody, and the name of that user."""
        pytest.fail(
            f"{type(self).__name__} needs a fixture: `@pytest.fixture def known(self): return"
            ' {"authorization": "..."}, "the name of the user"`'
        )

    @pytest.fixture
    def wrong(self) -> Headers | None:
        """Override with headers of the same kind that are wrong; None if there are none such."""
        return None

    def test_it_knows_who_it_knows(self, extension: Extension, known: tuple[Headers, str]) -> None:
        user = asked(extension, known[0])
        assert isinstance(user, User), f"nobody is known by these headers: {sorted(known[0])}"
        assert user.name == known[1], "it is somebody else"

    def test_what_it_says_of_a_user_is_of_the_right_kind(
        self, extension: Extension, known: tuple[Headers, str]
    ) -> None:
        user = asked(extension, known[0])
        assert user, "nobody is known"
        assert user.name, "a user without a name would count as anonymous"
        assert user.name.isprintable(), "the name has control characters in it"
        assert isinstance(user.roles, frozenset), "roles is no frozenset"
        if user.scopes is not None:
            assert isinstance(user.scopes, frozenset), "scopes is no frozenset"
            assert user.scopes <= SCOPES.keys(), f"scopes are of {', '.join(SCOPES)}"

    def test_another_instance_knows_the_same(
        self,
        extension: Extension,
        instances: Instances[Extension],
        known: tuple[Headers, str],
    ) -> None:
        first = asked(extension, known[0])
        assert asked(instances.open(), known[0]) == first
        assert asked(instances.restart(extension), known[0]) == first

    def test_a_request_without_credentials_is_not_for_it_to_answer(
        self, extension: Extension
    ) -> None:
        assert asked(extension, {}) is None, "somebody is known without having said anything"

    def test_it_remembers_nobody_from_one_request_to_the_next(
        self, extension: Extension, known: tuple[Headers, str]
    ) -> None:
        asked(extension, known[0])
        assert asked(extension, {}) is None, "the next request is taken for the same user's"

    @pytest.mark.parametrize("credentials", FOREIGN)
    def test_credentials_of_another_kind_let_nobody_in(
        self, extension: Extension, credentials: str
    ) -> None:
        nobody(extension, {"authorization": credentials})

    def test_wrong_credentials_are_refused_and_not_passed_over(
        self, extension: Extension, wrong: Headers | None
    ) -> None:
        if wrong is None:
            pytest.skip("no headers of its kind are wrong: supply the fixture `wrong`")
        with pytest.raises(NotAuthenticated) as refusal:
            asked(extension, wrong)
        assert refusal.value.sentence.strip(), "the error says nothing"

    def test_credentials_that_are_cut_short_let_nobody_in(
        self, extension: Extension, known: tuple[Headers, str]
    ) -> None:
        headers, name = known
        if "authorization" not in headers:
            pytest.skip(
                f"no Authorization is among the headers of `known`, by which it knows {name}"
            )
        whole = headers["authorization"]
        for length in range(len(whole.rstrip("= "))):
            nobody(extension, {**headers, "authorization": whole[:length]})

    @thorough
    @given(data=st.data())
    def test_whatever_is_sent_it_answers_or_refuses(
        self, extension: Extension, known: tuple[Headers, str], data: st.DataObject
    ) -> None:
        words = st.text(st.characters(max_codepoint=255), max_size=60)
        names = st.sampled_from(["authorization", "cookie", "x-user", *known[0]])
        headers = data.draw(st.dictionaries(names, words, max_size=3))
        nobody(extension, headers)

    def test_it_answers_several_threads_at_once(
        self, extension: Extension, known: tuple[Headers, str]
    ) -> None:
        calls = [partial(asked, extension, headers) for headers in (known[0], {}) * 4]
        names = [user.name if user else None for user in together(*calls)]
        assert names == [known[1], None] * 4

    def test_credentials_are_neither_logged_nor_told(
        self,
        extension: Extension,
        known: tuple[Headers, str],
        wrong: Headers | None,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        said = []
        with caplog.at_level(logging.DEBUG):
            asked(extension, known[0])
            try:
                asked(extension, wrong or {})
            except NotAuthenticated as refusal:
                said.append(refusal.sentence)
        # As it was handed to the log, which would strike out some of it.
        said += [f"{one.getMessage()} {getattr(one, KEY, '')}" for one in caplog.records]
        secrets = {
            part
            for headers in (known[0], wrong or {})
            for value in headers.values()
            for part in (value, value.partition(" ")[2])
            if len(part) > 3
        }
        told = [secret for secret in secrets if any(secret in sentence for sentence in said)]
        assert not told, f"credentials stand in the log or in an error: {said}"

    def test_who_cannot_be_asked_is_unavailable(
        self, extension: Extension, known: tuple[Headers, str], unavailable: MakeContext | None
    ) -> None:
        if unavailable is None:
            pytest.skip("it asks nobody: supply the fixture `unavailable`")
        with unavailable(), pytest.raises(Unavailable) as refusal:
            asked(extension, known[0])
        assert refusal.value.sentence.strip(), "the error says nothing"


def asked(extension: Extension, headers: Headers) -> User | None:
    """What it answers to a request with these headers."""
    request = RequestView(
        method="GET",
        path="/rest",
        headers={"host": "opus.example.org", **headers},
        remote_addr="192.0.2.7",
        remote_user=None,
    )
    return hooked(extension).authenticate(request)


def nobody(extension: Extension, headers: Headers) -> None:
    """Fail if the headers let somebody in."""
    try:
        user = asked(extension, headers)
    except NotAuthenticated:
        return
    assert user is None, f"{headers!r} let {user!r} in"
