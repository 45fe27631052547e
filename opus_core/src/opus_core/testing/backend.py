"""What holds for every back end, and how the kit makes and closes its instances."""

from __future__ import annotations

import os
import re
import threading
import types
import typing
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import pytest

from opus_core.backends import Backend
from opus_core.errors import ConfigError
from opus_core.finding import Finding, State
from opus_core.testing.offline import offline
from opus_core.testing.timing import eventually
from opus_core.testing.wording import plain, worded

B = TypeVar("B", bound=Backend)

MakeContext = Callable[[], AbstractContextManager[None]]
"""What a fixture answers that brings something about for a while."""


class Instances(Generic[B]):
    """Makes instances on the same data, and closes what is left open."""

    def __init__(self, make: Callable[[], B], prepare: Callable[[B], None]) -> None:
        self._make = make
        self._prepare = prepare
        self._opened: list[B] = []

    def open(self) -> B:
        """One more instance, as another process would make it."""
        instance = worded(self._make())
        self._opened.append(instance)
        self._prepare(instance)
        return instance

    def shut(self, instance: B) -> None:
        """Close this instance, and only once."""
        self._opened = [one for one in self._opened if one is not instance]
        instance.close()

    def restart(self, instance: B) -> B:
        """Close this instance and answer a new one on the same data."""
        self.shut(instance)
        return self.open()

    def close(self) -> None:
        """Close what is still open."""
        while self._opened:
            self.shut(self._opened[-1])


class BackendContract(Generic[B]):
    """The promises of `Backend`. Subclasses supply the fixtures `make` and `instances`."""

    @pytest.fixture
    def unfit(self) -> Callable[[], B] | None:
        """Override with a callable that makes an instance which cannot work here: a folder that
        is a file, a port where nobody listens."""
        return None

    @pytest.fixture
    def make(self) -> Callable[[], B]:
        """The one fixture an author supplies: a callable that makes an instance.

        Each call makes another instance on the same data, as a restart or a second process does;
        each test gets data of its own.
        """
        pytest.fail(
            f"{type(self).__name__} needs a fixture: `@pytest.fixture def make(self, tmp_path):"
            " return lambda: YourBackend(YourBackend.Options(...))`"
        )

    def test_its_name_is_lower_case_letters_digits_and_underscores(
        self, make: Callable[[], B]
    ) -> None:
        name = make().name
        assert re.fullmatch(r"[a-z0-9_]+", name), f"`use = ...` cannot select by the name {name!r}"

    def test_it_says_what_it_is_about_in_one_sentence(self, make: Callable[[], B]) -> None:
        about = make().about
        assert about.strip() == about, "white space around the sentence"
        assert about, "nothing is said"
        assert "\n" not in about, "more than one line"

    def test_its_options_are_a_frozen_dataclass_of_plain_fields(
        self, make: Callable[[], B]
    ) -> None:
        options = make().Options
        assert is_dataclass(options), f"{options} is not a dataclass"
        assert options.__dataclass_params__.frozen, f"{options} is not frozen"  # type: ignore[attr-defined]
        hints = typing.get_type_hints(options)
        odd = [one.name for one in fields(options) if not _plain(hints[one.name])]
        assert not odd, f"configuration cannot fill the options {odd}"

    def test_making_an_instance_opens_nothing(self, make: Callable[[], B]) -> None:
        threads, files = set(threading.enumerate()), _open_files()
        instance = make()
        assert _open_files() <= files, "__init__ has opened a file descriptor"
        assert set(threading.enumerate()) <= threads, "__init__ has started a thread"
        instance.close()

    def test_making_an_instance_asks_nobody(self, make: Callable[[], B]) -> None:
        with offline("__init__ opens nothing and asks nobody"):
            instance = make()
        instance.close()

    def test_check_is_content_with_what_works(self, instances: Instances[B]) -> None:
        instances.open().check()

    def test_check_says_in_one_sentence_why_it_cannot_work_here(
        self, unfit: Callable[[], B] | None
    ) -> None:
        if unfit is None:
            pytest.skip("nothing is known that cannot work: supply the fixture `unfit`")
        instance = worded(unfit())  # which cannot fail
        with pytest.raises(ConfigError) as refusal:
            instance.check()
        assert plain(refusal.value), "check raises ConfigError with one sentence for the admin"
        instance.close()

    def test_its_warnings_are_sentences(self, instances: Instances[B]) -> None:
        warnings = instances.open().warnings()
        assert not isinstance(warnings, str), "one text in place of several"
        for sentence in warnings:
            assert sentence.strip(), "nothing is said"
            assert "\n" not in sentence, "more than one line"

    def test_its_codes_begin_with_its_name(self, make: Callable[[], B]) -> None:
        back_end = make()
        begins = (f"{back_end.name}-", f"{back_end.name.replace('_', '-')}-")
        odd = [code.name for code in back_end.codes if not code.name.startswith(begins)]
        assert not odd, (
            f"the codes {odd} may be another plugin's: let them begin with {begins[0]!r}"
        )

    def test_what_it_finds_is_of_its_codes_in_one_line_each(self, instances: Instances[B]) -> None:
        back_end = instances.open()
        states = {code.name: code.state for code in back_end.codes} | {"ok": State.OK}
        for found in _found(back_end):
            assert found.code in states, f"`codes` does not list {found.code!r}"
            assert found.state is states[found.code], f"{found.code} is {found.state} here"
            for text in (found.subject, found.sentence):
                assert text.strip(), "nothing is said"
                assert text.isprintable(), f"not one printable line: {text!r}"

    def test_to_ask_what_it_finds_changes_nothing(self, instances: Instances[B]) -> None:
        one = instances.open()
        said = [[(found.code, found.subject) for found in _found(one)] for _ in range(2)]
        assert said[0] == said[1], "asked twice, `findings` finds something else"

    def test_close_is_safe_twice(self, instances: Instances[B]) -> None:
        instance = instances.open()
        instances.restart(instance)
        instance.close()

    def test_close_gives_back_what_was_opened(self, instances: Instances[B]) -> None:
        instances.restart(instances.open()).check()  # whatever is opened once and for all
        threads, files = set(threading.enumerate()), _open_files()
        instance = instances.open()
        instance.check()
        instances.shut(instance)
        eventually(
            lambda: set(threading.enumerate()) <= threads and _open_files() <= files,
            "close has given back the threads and file descriptors that were opened since __init__",
        )


def _found(back_end: Backend) -> list[Finding]:
    """What it finds, asked as `opus check` does."""
    back_end.check()
    back_end.warnings()
    return list(back_end.findings())


def _plain(hint: Any) -> bool:  # noqa: ANN401
    """Whether the configuration knows how to fill a field of this type; None may be allowed."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return all(_plain(one) for one in arguments if one is not type(None))
    if origin is typing.Literal:
        return all(isinstance(one, str) for one in arguments)
    if origin is tuple:
        return arguments == (str, ...)
    if origin in (dict, Mapping):
        return arguments == (str, str)
    return hint in (str, int, float, bool, Path)


def _open_files() -> set[str]:
    """Open descriptors, without the one that listing them took."""
    return {name for name in os.listdir("/dev/fd") if _is_open(int(name))}


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
