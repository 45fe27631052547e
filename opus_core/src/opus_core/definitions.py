"""The catalogue: which jobs there are, every version of their descriptions, and drafts of new ones.

    NAME/versions/N/    one version, never changed once it is there (see `opus_core.shelf`)
    NAME/published      the number of the version that new jobs are made from; `N withdrawn` if
                        none are made any more
    NAME/drafts/        see `opus_core.drafts`

A job pins (name, number), so that it can be shown and run as it was asked for. Several hosts may
share the folder: see `opus_core.below` for how it is written without locks. Making the folder of
a version is what publishes it; `published` follows, and whoever finds it behind sets it right.
"""

from __future__ import annotations

import difflib
import hashlib
import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from opus_core import disk
from opus_core.access import AccessLists
from opus_core.backends import Bundle, Jdl
from opus_core.below import Below
from opus_core.definition import DEFINITION_NAME, JobDefinition, check_definition
from opus_core.drafts import Draft, Drafts
from opus_core.errors import (
    BadRequest,
    Conflict,
    NotAllowed,
    OpusError,
    Unavailable,
    UnknownDefinition,
)
from opus_core.facts import about
from opus_core.job import DefinitionRef
from opus_core.shelf import Shelf, numbers, read_meta, under, unix
from opus_core.values import check_limits

__all__ = ["Catalogue", "Draft", "Published", "State", "Version"]

_CACHED: Final = 256  # descriptions kept parsed

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Published:
    """The version of a description that new jobs are made from."""

    ref: DefinitionRef
    definition: JobDefinition


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """How a name stands in the catalogue."""

    name: str
    number: int  # of the version last published
    withdrawn: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """Who published what, when, and in which format it is kept."""

    ref: DefinitionRef
    author: str
    time: datetime
    jdl: str


class Catalogue:
    """The descriptions under one folder, `data_dir/definitions`, which need not be there yet.

    `jdl` writes them; it and `readers` read them. Safe from several threads, processes and hosts.
    Writing raises `StorageFull` where no space is left; then nothing has been published.
    """

    def __init__(self, folder: Path, jdl: Jdl, readers: Sequence[Jdl] = ()) -> None:
        self._folder = folder
        self._shelf = Shelf(jdl, readers)
        self._drafts = Drafts(folder, self._shelf)
        self.access = AccessLists(folder)
        self._cache: OrderedDict[DefinitionRef, JobDefinition] = OrderedDict()
        self._lock = threading.Lock()  # of the cache
        # With the file that each was read from.
        self._states: dict[str, tuple[disk.Fingerprint, State]] = {}

    # -- what there is

    def look(self) -> dict[str, State | OpusError]:
        """Every name that was ever published, in order: how it stands, or why nobody can tell.

        Raises `Unavailable` if the folder of all cannot be read.
        """
        try:
            with Below.open(self._folder) as top:
                names = [name for name in top.names() if DEFINITION_NAME.fullmatch(name)]
        except FileNotFoundError:
            return {}
        found: dict[str, State | OpusError] = {}
        for name in names:
            try:
                state = self._state(name)
            except OpusError as error:
                found[name] = error
                continue
            if state is not None:
                found[name] = state
        return found

    def states(self) -> list[State]:
        """Every name that was ever published, withdrawn ones too, by name; those that are damaged
        are left out, and logged."""
        found = []
        for name, state in self.look().items():
            if isinstance(state, OpusError):
                _leave_out(name, state)
            else:
                found.append(state)
        return found

    def names(self) -> list[str]:
        """The names that take new jobs."""
        return [state.name for state in self.states() if not state.withdrawn]

    def offered(self) -> list[Published]:
        """What new jobs can be made from, by name; as `states`."""
        found = []
        for name in self.names():
            try:
                found.append(self.published(name))
            except OpusError as error:
                _leave_out(name, error)
        return found

    def numbers(self, name: str) -> list[int]:
        """The numbers of the versions that lie there, oldest first."""
        with suppress(FileNotFoundError), Below.open(self._folder) as top:
            with top.folder(name, "versions") as folder:
                return numbers(folder)
        return []

    def changed(self) -> datetime | None:
        """When a name was last published or withdrawn; None if none ever was."""
        paths = [self._folder / state.name / "published" for state in self.states()]
        times = [path.stat().st_mtime for path in paths]
        return datetime.fromtimestamp(max(times), UTC) if times else None

    def published(self, name: str) -> Published:
        """What a new job of that name is made from: one small read, if it was parsed before.

        Raises `UnknownDefinition`, naming near names; `NotAllowed` if it was withdrawn.
        """
        state = self._known(name)
        if state.withdrawn:
            raise NotAllowed(f"{name!r} has been withdrawn and takes no new jobs")
        ref = DefinitionRef(name, state.number)
        return Published(ref, self.read(ref))

    def is_withdrawn(self, name: str) -> bool:
        """Whether it was published once and takes no new jobs. Raises `UnknownDefinition`."""
        return self._known(name).withdrawn

    def versions(self, name: str) -> list[Version]:
        """All versions, oldest first. Raises `UnknownDefinition`."""
        self._known(name)
        with Below.open(self._folder) as top, top.folder(name, "versions") as folder:
            metas = [(number, read_meta(folder, number, name)) for number in numbers(folder)]
        return [
            Version(ref=DefinitionRef(name, n), author=meta.author, time=meta.time, jdl=meta.jdl)
            for n, meta in metas
        ]

    # -- reading

    def read(self, ref: DefinitionRef) -> JobDefinition:
        """A version as it was published. Raises `UnknownDefinition`; `PluginError` if the format
        it was written in is no longer installed; `Unavailable` if it is there and the disk, or
        its permissions, do not let it be read."""
        with self._lock:
            if ref in self._cache:
                self._cache.move_to_end(ref)
                return self._cache[ref]
        jdl, bundle = self._unpack(ref)
        definition = under(jdl.loads(bundle.data, bundle.files), ref.name)
        with self._lock:
            self._cache[ref] = definition
            if len(self._cache) > _CACHED:
                self._cache.popitem(last=False)
        return definition

    def script_sha256(self, ref: DefinitionRef) -> str:
        """Of the script in UTF-8, as jobs of that version run it."""
        return hashlib.sha256(self.read(ref).script.encode()).hexdigest()

    def export(self, ref: DefinitionRef, jdl: Jdl | None = None) -> Bundle:
        """A version as it is stored, or in the format of `jdl`.

        Raises `UnknownDefinition`; `CannotCarry` if that format has no words for some of it.
        """
        if jdl is not None:
            return jdl.dumps(self.read(ref))
        return self._unpack(ref)[1]

    def formats(self) -> list[str]:
        """The names of the installed formats, first the one that is written."""
        return [jdl.name for jdl in self._shelf.formats]

    def format(self, name: str) -> Jdl:
        """An installed format by its name. Raises `NotFound`, naming those there are."""
        return self._shelf.format(name)

    def load(
        self, data: bytes, files: Mapping[str, bytes] | None = None, *, name: str | None = None
    ) -> JobDefinition:
        """Read somebody's document in any installed format; nothing is stored.

        `name` stands in for the name that is in it. Line ends of the script become those of
        Unix. Raises `JdlError`, naming the installed formats if none of them knows the document.
        """
        return self._shelf.load(data, files or {}, name=name)

    # -- drafts

    def save_draft(self, definition: JobDefinition, author: str) -> None:
        """Keep what `author` is working on, in place of an earlier draft of the same name.

        It need not be fit to be published. Raises `BadRequest` for a name that cannot be one,
        `CannotCarry` for what the format of the site has no words for.
        """
        self._drafts.save(definition, author)

    def drafts(self) -> list[Draft]:
        """Everybody's drafts, by name and author."""
        return self._drafts.all()

    def read_draft(self, name: str, author: str) -> JobDefinition:
        """What `author` last saved under that name. Raises `NotFound`."""
        return self._drafts.read(name, author)

    def discard_draft(self, name: str, author: str) -> None:
        """Remove it; nothing happens if it is gone."""
        self._drafts.discard(name, author)

    # -- publishing

    def publish(
        self, definition: JobDefinition, author: str, *, expected: int | None = None
    ) -> DefinitionRef:
        """Make it what new jobs of its name are made from, and answer its version.

        The one that is published already comes back as it is; a withdrawn one takes jobs again.
        `expected` is the number that the author has seen as the last one, 0 for none. Raises
        `Conflict` if somebody else was faster; `BadRequest` for what cannot run.
        """
        definition = unix(definition)
        check_limits(check_definition(definition))
        if not definition.script.strip():
            raise BadRequest(f"{definition.name!r} has no script; give it one to publish it")
        files = self._shelf.pack(definition, author)
        name = definition.name
        with (
            Below.make(self._folder) as top,
            top.made(name, "versions") as versions,
            top.folder(name) as folder,
        ):
            last = max(numbers(versions), default=0)
            if expected is not None and expected != last:
                _catch_up(folder, versions, name)
                raise Conflict(
                    f"the last version of {name!r} is {last} and not {expected}; look at it and"
                    " publish yours again"
                )
            if not self._is(DefinitionRef(name, last), definition):
                last += 1
                try:
                    versions.create(str(last), files)
                except Conflict as error:
                    raise Conflict(
                        f"version {last} of {name!r} was published by somebody else just now;"
                        " look at it and publish yours again"
                    ) from error
            if _pointed(folder, name) != (last, False):
                folder.replace("published", b"%d\n" % last)
            _catch_up(folder, versions, name)
        return DefinitionRef(name, last)

    def withdraw(self, name: str) -> None:
        """Take no new jobs of that name; those there are go on. Idempotent.

        Raises `UnknownDefinition`.
        """
        state = self._known(name)
        with Below.open(self._folder) as top, top.folder(name) as folder:
            folder.replace("published", b"%d withdrawn\n" % state.number)

    def install_examples(self, folder: Path) -> list[DefinitionRef]:
        """Publish each `NAME/NAME.SUFFIX` or `NAME/definition.SUFFIX` of a folder, with the
        `script` beside it, if no job of that name is there yet; answers those it published."""
        there = self.look()
        done = []
        for example in sorted(folder.iterdir()):
            document = self._document(example)
            if document is None or example.name in there:
                continue
            script = example / "script"
            files = {"script": script.read_bytes()} if script.is_file() else {}
            definition = self.load(document.read_bytes(), files, name=example.name)
            try:
                done.append(self.publish(definition, "OPUS", expected=0))
            except Conflict:  # another process has just started on the same folder
                continue
        return done

    def _document(self, folder: Path) -> Path | None:
        for jdl in self._shelf.formats:
            for stem in (folder.name, "definition"):
                path = folder / f"{stem}{jdl.suffix}"
                if path.is_file():
                    return path
        return None

    def _is(self, ref: DefinitionRef, definition: JobDefinition) -> bool:
        """Whether that version says the same; one that cannot be read any more does not."""
        try:
            return self.read(ref) == definition
        except Unavailable:
            raise
        except OpusError:
            return False

    # -- files

    def _state(self, name: str) -> State | None:
        """Read again only if `published` is another file than before: each is written once."""
        print_ = _print_of(f"{self._folder}/{name}/published")
        known = self._states.get(name)
        if known is not None and known[0] == print_:
            return known[1]
        try:
            with Below.open(self._folder) as top, top.folder(name) as folder:
                number, withdrawn = _pointed(folder, name)
        except FileNotFoundError:
            return None
        if not number:
            return None
        state = State(name=name, number=number, withdrawn=withdrawn)
        if print_ is not None:
            self._states[name] = print_, state
        return state

    def _known(self, name: str) -> State:
        state = self._state(name) if DEFINITION_NAME.fullmatch(name) else None
        if state is None:
            near = difflib.get_close_matches(name[:200], self.names(), n=3)
            hint = f"did you mean {' or '.join(map(repr, near))}?" if near else "see the list"
            raise UnknownDefinition(f"no job {name[:200]!r} is published here; {hint}")
        return state

    def _unpack(self, ref: DefinitionRef) -> tuple[Jdl, Bundle]:
        try:
            if not DEFINITION_NAME.fullmatch(ref.name):
                raise FileNotFoundError(ref.name)
            with Below.open(self._folder) as top, top.folder(ref.name, "versions") as versions:
                return self._shelf.unpack(versions, ref.number, ref.name)
        except FileNotFoundError as error:
            raise UnknownDefinition(
                f"there is no version {ref.number} of a job {ref.name[:200]!r}"
            ) from error
        except OSError as error:
            raise Unavailable(
                f"version {ref.number} of {ref.name[:200]!r} cannot be read: {error.strerror}"
            ) from error


def _leave_out(name: str, error: OpusError) -> None:
    """One damaged file is no reason to show nobody anything."""
    log.error("left out of the list: %s", error.sentence, extra=about(definition=name))


def _print_of(path: str) -> disk.Fingerprint | None:
    """None if it cannot be looked at."""
    try:
        return disk.fingerprint(os.lstat(path))
    except OSError:
        return None


def _pointed(folder: Below, name: str) -> tuple[int, bool]:
    """What `published` says: the number, 0 for none, and whether it was withdrawn."""
    try:
        number, _, rest = folder.read("published").decode("ascii", "replace").partition(" ")
        return int(number), rest.strip() == "withdrawn"
    except FileNotFoundError:
        return 0, False
    except ValueError as error:
        raise OpusError(
            f"the file definitions/{name}/published is damaged; write the number of the version"
            " into it"
        ) from error


def _catch_up(folder: Below, versions: Below, name: str) -> None:
    """Let `published` name the highest version if it names a lower one: its author was killed
    before that, or a slower one has turned it back."""
    while (highest := max(numbers(versions), default=0)) > _pointed(folder, name)[0]:
        folder.replace("published", b"%d\n" % highest)
