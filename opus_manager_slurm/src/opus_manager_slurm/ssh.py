"""Commands of SLURM on a login node, and job folders there that this machine does not see.

A folder goes there and is submitted in one round trip; its links are looked at in bulk; output that
somebody reads comes in bulk; results come as one stream that is resumed where it was cut off.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import ClassVar, Final

from opus_core.backends import Task
from opus_core.errors import BackendUnavailable, ConfigError, ResultsLost, SubmitDeferred
from opus_core.facts import about
from opus_core.links import Links
from opus_manager_slurm.connection import CHANNELS, Connection
from opus_manager_slurm.exchange import LARGEST, Answer
from opus_manager_slurm.far import Call, fields_of, links_of
from opus_manager_slurm.options import SlurmOptions
from opus_manager_slurm.staging import Arrivals, Pieces, packed
from opus_manager_slurm.transport import MakeScript, Transport

log = logging.getLogger(__name__)

_STAGING_FAILED: Final = 75  # far.sh: the folder could not be had there
_CHANNEL: Final = 10.0  # [s] more than the command itself may take
_WRONG: Final = 3  # times that a hash may be wrong
_FILES: Final = ("stdout", "stderr", "exit", "progress")
_LIVE: Final = ("stdout", "stderr", "progress")


@dataclass(frozen=True, slots=True)
class _There:
    """The account on the login node."""

    user: str
    root: PurePosixPath


class SshTransport(Transport):
    """`transport = "ssh"`."""

    parallel: ClassVar[int] = CHANNELS

    def __init__(self, options: SlurmOptions) -> None:
        self._options = options
        self._connection = Connection(options)
        self._lock = threading.Lock()
        self._there: _There | None = None
        self._wrong: dict[str, int] = {}  # tries, by tag, that brought something else

    def user(self) -> str:
        return self._greeted().user

    def run(self, command: Sequence[str]) -> Answer:
        return self._answer("run", self._seconds, tuple(command))

    def submit(self, task: Task, command: Sequence[str], script: MakeScript) -> Answer:
        folder = self._folder(task)
        answer = self._answer(
            "start",
            self._seconds,
            tuple(command),
            str(folder),
            script(folder),
            stream=packed(task.folder),
        )
        if answer.code == _STAGING_FAILED and not answer.stdout:
            raise SubmitDeferred(
                f"the job's files cannot be had on {self._options.host}: {answer.said.strip()}"
            )
        return answer

    def peek(self, tasks: Sequence[Task]) -> dict[str, Links]:
        folders = {str(self._folder(task)): task.ref.tag for task in tasks}
        answer = self._whole("peek", tuple(folders))
        return {folders[one]: found for one, found in links_of(answer.stdout, folders).items()}

    def seal(self, task: Task) -> Links:
        folder = str(self._folder(task))
        answer = self._whole("seal", folder)
        found = links_of(answer.stdout, [folder])[folder]
        if found == Links():  # neither made nor found: there is something wrong with the folder
            raise BackendUnavailable(f"{folder} on {self._options.host} cannot be written to")
        return found

    def get_output(self, tasks: Sequence[Task]) -> None:
        if not tasks:
            return
        there = {str(self._folder(task)): task.folder for task in tasks}
        known: list[str] = []
        for folder, here in there.items():
            for name in _LIVE:
                # A script replaces its progress, so that is brought whole.
                size = here.joinpath(name).stat().st_size if here.joinpath(name).is_file() else 0
                known += [folder, name, "0" if name == "progress" else str(size)]
        pieces = Pieces(there)
        try:
            self._whole("output", str(pieces.most), known, sink=pieces.take)
        finally:
            pieces.close()

    def get_results(self, task: Task) -> None:
        tag = task.ref.tag
        arrivals = Arrivals(task.folder)
        names = [*(f"results/{output.file}" for output in task.outputs), *_FILES]
        wanted = [word for name in names for word in (name, str(arrivals.have(name)))]
        try:
            self._whole("fetch", str(self._folder(task)), wanted, sink=arrivals.take)
        finally:
            arrivals.close()
        if not arrivals.wrong:
            self._wrong.pop(tag, None)
            return
        names_wrong = ", ".join(arrivals.wrong)
        self._wrong[tag] = self._wrong.get(tag, 0) + 1
        if self._wrong[tag] >= _WRONG:
            del self._wrong[tag]
            raise ResultsLost(f"{names_wrong} came otherwise than it was sent, {_WRONG} times")
        raise BackendUnavailable(f"{names_wrong} came otherwise than it was sent")

    def remove(self, task: Task) -> None:
        self._whole("remove", str(self._folder(task)))

    def check(self) -> None:
        self._connection.check()
        config = self._options.ssh_config
        if config is not None and not config.is_file():
            raise ConfigError(f"[manager] ssh_config names {config}, and there is no such file")

    def close(self) -> None:
        self._connection.close()

    # -- calls

    @property
    def _seconds(self) -> str:
        return f"{self._options.timeout:g}"

    def _folder(self, task: Task) -> PurePosixPath:
        return self._greeted().root / task.ref.tag

    def _greeted(self) -> _There:
        with self._lock:
            if self._there is None:
                answer = self._whole("greet", self._options.folder)
                user, root, version = (one.decode() for one in fields_of(answer.stdout)[:3])
                where = about(host=self._options.host, account=user, folder=root, bash=version)
                log.info("jobs go there", extra=where)
                self._there = _There(user=user, root=PurePosixPath(root))
            return self._there

    def _whole(
        self,
        verb: str,
        *fields: str | Sequence[str],
        sink: Callable[[bytes], None] | None = None,
    ) -> Answer:
        """The answer of a verb that has to succeed."""
        answer = self._answer(verb, *fields, sink=sink)
        if answer.code:
            raise BackendUnavailable(f"{self._options.host}: {answer.said.strip()}")
        return answer

    def _answer(
        self,
        verb: str,
        *fields: str | Sequence[str],
        stream: Iterable[bytes] = (),
        sink: Callable[[bytes], None] | None = None,
    ) -> Answer:
        parts: list[bytes] = []
        size = 0

        def keep(data: bytes) -> None:
            nonlocal size
            size += len(data)
            if size > LARGEST:
                raise BackendUnavailable(f"{self._options.host} answers more than {LARGEST} bytes")
            parts.append(data)

        call = Call(verb, *fields, sink=sink or keep)
        code, stderr = self._connection.exchange(
            call.command,
            feed=call.feed(stream),
            take=call.take,
            quiet=self._options.timeout + _CHANNEL,
        )
        try:
            ended, said = call.ended()
        except BackendUnavailable:
            if code == 255:
                text = stderr.decode("utf-8", "replace")
                raise BackendUnavailable(self._connection.explain(text)) from None
            raise
        return Answer(code=ended, stdout=b"".join(parts), stderr=said.encode())
