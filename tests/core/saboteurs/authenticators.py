"""Extensions that say who is asking, with one promise broken each."""

from __future__ import annotations

import base64
import logging
import threading
import time

import pytest

from core.saboteurs.extensions import FileOptions, Seal, common
from core.saboteurs.registry import breaks
from opus_core import hookimpl
from opus_core.backends import User
from opus_core.errors import NotAuthenticated, Unavailable
from opus_core.testing import AuthenticateContract

KEY = b"a key for tests"


def fixtures(back_end):
    """How a test class makes instances of a saboteur."""

    @pytest.fixture
    def make(self, tmp_path):
        (tmp_path / "key").write_bytes(KEY)
        return lambda: back_end(FileOptions(file=tmp_path / "key"))

    @pytest.fixture
    def known(self):
        return back_end.credentials(KEY, "ada"), "ada"

    @pytest.fixture
    def wrong(self):
        return back_end.credentials(b"another key", "ada")

    @pytest.fixture
    def unavailable(self, tmp_path):
        return lambda: away(tmp_path / "key")

    @pytest.fixture
    def unfit(self, tmp_path):
        return lambda: back_end(FileOptions(file=tmp_path / "lost"))

    return {
        "make": make,
        "known": known,
        "wrong": wrong,
        "unavailable": unavailable,
        "unfit": unfit,
    }


class away:
    """A context in which the key is not there."""

    def __init__(self, key):
        self.key, self.kept = key, key.with_name("kept")

    def __enter__(self):
        self.key.rename(self.kept)

    def __exit__(self, *error):
        self.kept.rename(self.key)


class Saboteur(Seal):
    """A seal, but for one thing."""


globals().update(common(AuthenticateContract, Saboteur))


@breaks(
    AuthenticateContract,
    "test_it_knows_who_it_knows",
    "test_what_it_says_of_a_user_is_of_the_right_kind",
    more="nobody comes in",
)
class KnowsNobody(Saboteur):
    @hookimpl
    def opus_authenticate(self, request):
        return None


@breaks(
    AuthenticateContract,
    "test_it_knows_who_it_knows",
    "test_it_answers_several_threads_at_once",
)
class TakesOneForAnother(Saboteur):
    def user(self, name):
        return User(name="root")


@breaks(AuthenticateContract, "test_what_it_says_of_a_user_is_of_the_right_kind")
class InventsScopes(Saboteur):
    def user(self, name):
        return User(name=name, scopes=frozenset({"everything"}))


@breaks(AuthenticateContract, "test_another_instance_knows_the_same", more="each has a key")
class KnowsInOneProcess(Saboteur):
    first = None

    def key(self):
        cls, path = type(self), self.options.file
        if cls.first is None or cls.first[0] != path:
            cls.first = (path, self)
        return super().key() if cls.first[1] is self else b"mine alone"


@breaks(
    AuthenticateContract,
    "test_a_request_without_credentials_is_not_for_it_to_answer",
    "test_it_remembers_nobody_from_one_request_to_the_next",
    "test_it_answers_several_threads_at_once",
    more="everybody is somebody",
)
class KnowsEverybody(Saboteur):
    @hookimpl
    def opus_authenticate(self, request):
        return super().opus_authenticate(request) or User(name="guest")


@breaks(
    AuthenticateContract,
    "test_it_remembers_nobody_from_one_request_to_the_next",
    more="whoever comes next",
    says="the next request is taken for the same user's",
)
class RemembersTheLast(Saboteur):
    last = None

    @hookimpl
    def opus_authenticate(self, request):
        if request.headers.get("authorization"):
            self.last = super().opus_authenticate(request)
        return self.last


@breaks(AuthenticateContract, "test_credentials_of_another_kind_let_nobody_in")
class TrustsBasic(Saboteur):
    @hookimpl
    def opus_authenticate(self, request):
        scheme, _, rest = request.headers.get("authorization", "").partition(" ")
        if scheme == "Basic":
            try:
                return User(name=base64.b64decode(rest).decode().partition(":")[0])
            except ValueError:
                return None
        return super().opus_authenticate(request)


@breaks(AuthenticateContract, "test_wrong_credentials_are_refused_and_not_passed_over")
class PassesOver(Saboteur):
    @hookimpl
    def opus_authenticate(self, request):
        try:
            return super().opus_authenticate(request)
        except NotAuthenticated:
            return None


@breaks(AuthenticateContract, "test_credentials_that_are_cut_short_let_nobody_in")
class ComparesTheBeginning(Saboteur):
    @hookimpl
    def opus_authenticate(self, request):
        shown = request.headers.get("authorization", "")
        whole = self.credentials(self.key(), "ada")["authorization"]
        if len(shown) > len("Seal ada 012") and whole.startswith(shown):
            return self.user("ada")
        return super().opus_authenticate(request)


@breaks(AuthenticateContract, "test_whatever_is_sent_it_answers_or_refuses")
class StumblesOverJunk(Saboteur):
    @hookimpl
    def opus_authenticate(self, request):
        request.headers.get("cookie", "").encode("ascii")
        return super().opus_authenticate(request)


@breaks(AuthenticateContract, "test_it_answers_several_threads_at_once")
class MixesThreads(Saboteur):
    shown = None
    inside = 0

    @hookimpl
    def opus_authenticate(self, request):
        self.inside += 1
        try:
            if self.inside > 1:
                time.sleep(0.01)
                return None if request.headers.get("authorization") else User(name="ada")
            threading.Event().wait(0.005)
            return super().opus_authenticate(request)
        finally:
            self.inside -= 1


@breaks(
    AuthenticateContract,
    "test_credentials_are_neither_logged_nor_told",
    says="credentials stand in the log",
)
class Talks(Saboteur):
    @hookimpl
    def opus_authenticate(self, request):
        logging.getLogger("seal").debug("asked with %s", dict(request.headers))
        return super().opus_authenticate(request)


@breaks(AuthenticateContract, "test_who_cannot_be_asked_is_unavailable")
class CallsItWrong(Saboteur):
    @hookimpl
    def opus_authenticate(self, request):
        try:
            return super().opus_authenticate(request)
        except Unavailable as error:
            raise NotAuthenticated("this seal is not ours") from error
