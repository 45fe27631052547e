"""A UWS service as a script sees it: create a job, run it, follow it, fetch its results.

Speaks UWS 1.0 and 1.1 to any server, on the standard library and lxml alone. Elements are told by
namespace and name, never by prefix.
"""

from __future__ import annotations

import http.client
import mimetypes
import re
import secrets
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from lxml import etree

from opus_core.errors import OpusError
from opus_core.job import Phase

_UWS: Final = "{http://www.ivoa.net/xml/UWS/v1.0}"
_HREF: Final = "{http://www.w3.org/1999/xlink}href"
_LARGEST_DOCUMENT: Final = 16 * 1024**2  # [byte]
_TIMEOUT: Final = 90.0  # [s]; longer than any WAIT that is asked for here


class RemoteError(OpusError):
    """The service refused, or could not be reached; the sentence is its own where it gave one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteJob:
    """What a job document says."""

    url: str
    id: str
    phase: Phase
    error: str = ""
    results: Mapping[str, str] = field(default_factory=dict)  # URL by id
    info: Mapping[str, str] = field(default_factory=dict)


class Service:
    """The job list of one UWS service, by its URL."""

    def __init__(self, url: str, *, token: str | None = None) -> None:
        self.url = url.rstrip("/")
        self._token = token
        self._opener = urllib.request.build_opener(_NoRedirect)

    def create(self, values: Iterable[tuple[str, str]], files: Iterable[tuple[str, Path]]) -> str:
        """Make a job, not yet run; answers its URL."""
        values, files = list(values), list(files)
        if files:
            boundary = secrets.token_hex(16)
            body: object = _multipart(values, files, boundary)
            kind = f"multipart/form-data; boundary={boundary}"
        else:
            body = urllib.parse.urlencode(values).encode()
            kind = "application/x-www-form-urlencoded"
        with self._open(self.url, body=body, content_type=kind) as response:
            return self._location(response, self.url)

    def run(self, job: str) -> None:
        """PHASE=RUN."""
        self._post(f"{job}/phase", {"PHASE": "RUN"})

    def abort(self, job: str) -> None:
        """PHASE=ABORT."""
        self._post(f"{job}/phase", {"PHASE": "ABORT"})

    def read(self, job: str, *, wait: int = 0, phase: Phase | None = None) -> RemoteJob:
        """The job document, after at most `wait` seconds or when it leaves `phase`."""
        url = job
        if wait and phase is not None:
            url += "?" + urllib.parse.urlencode({"WAIT": wait, "PHASE": phase.value})
        with self._open(url) as response:
            return parse_job(response.read(_LARGEST_DOCUMENT), job)

    def follow(self, url: str, start: int) -> bytes:
        """What has been added to a growing file since byte `start`; nothing if it is not there."""
        try:
            with self._open(url, headers={"Range": f"bytes={start}-"}) as response:
                data: bytes = response.read()
                return data if response.status == http.client.PARTIAL_CONTENT else data[start:]
        except RemoteError:
            return b""

    def download(self, url: str, folder: Path, result_id: str) -> Path:
        """Copy a result into `folder`, under the name the server gives it; answers the file.

        A foreign server's ids and names are its own: nothing of them becomes a path unchecked.
        """
        with self._open(url, redirects=5) as response:
            path = folder / safe_name(response.headers.get_filename() or result_id)
            partial = path.with_name(f".{path.name}.part")
            with partial.open("wb") as file:
                while chunk := response.read(1 << 20):
                    file.write(chunk)
            partial.rename(path)
        return path

    # -- HTTP

    def _post(self, url: str, values: Mapping[str, str]) -> None:
        body = urllib.parse.urlencode(values).encode()
        with self._open(url, body=body, content_type="application/x-www-form-urlencoded"):
            return

    def _open(
        self,
        url: str,
        *,
        body: object = None,
        content_type: str = "",
        headers: Mapping[str, str] | None = None,
        redirects: int = 0,
    ) -> http.client.HTTPResponse:
        request = urllib.request.Request(url, data=body, headers=dict(headers or {}))  # type: ignore[arg-type]  # noqa: S310
        request.add_header("Accept", "application/xml, text/xml;q=0.9, */*;q=0.1")
        if content_type:
            request.add_header("Content-Type", content_type)
        # The token goes to the service it was given for, and nowhere a result may lead.
        same = urllib.parse.urlsplit(url)[:2] == urllib.parse.urlsplit(self.url)[:2]
        if self._token and same:
            request.add_header("Authorization", f"Bearer {self._token}")
        if request.type not in ("http", "https"):
            raise RemoteError(f"{url} is no http or https address")
        try:
            response: http.client.HTTPResponse = self._opener.open(request, timeout=_TIMEOUT)
        except urllib.error.HTTPError as error:
            raise RemoteError(_refusal(url, error)) from None
        except (urllib.error.URLError, ssl.SSLError, OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise RemoteError(f"{url} cannot be reached: {reason}") from error
        if body is None and response.status in (301, 302, 303, 307, 308) and redirects:
            target = self._location(response, url)
            response.close()
            return self._open(target, headers=headers, redirects=redirects - 1)
        return response

    def _location(self, response: http.client.HTTPResponse, base: str) -> str:
        location = response.headers.get("Location")
        if not location:
            raise RemoteError(f"{base} answered {response.status} without saying where the job is")
        return urllib.parse.urljoin(base, location)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A 303 is an answer here: the job is where it points."""

    def http_error_303(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
    ) -> IO[bytes]:
        return fp

    http_error_301 = http_error_302 = http_error_307 = http_error_308 = http_error_303


def safe_name(name: str) -> str:
    """The name with nothing in it that leads out of a folder or hides the file."""
    return re.sub(r"[^A-Za-z0-9._+-]", "_", name).lstrip(".") or "result"


def _refusal(url: str, error: urllib.error.HTTPError) -> str:
    text = error.read(2000).decode("utf-8", "replace").strip()
    if not text or "<" in text[:100]:
        text = str(error.reason)
    return f"{url} answered {error.code}: {text}"


def parse_job(document: bytes, url: str) -> RemoteJob:
    """Read a job document. Raises `RemoteError` if it is none."""
    try:
        root = etree.fromstring(
            document, etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
        )
        if root.tag != f"{_UWS}job":
            raise RemoteError(f"{url} is not a UWS job")
        message = root.find(f"{_UWS}errorSummary/{_UWS}message")
        results = {
            result.get("id", ""): urllib.parse.urljoin(url, result.get(_HREF, ""))
            for result in root.iterfind(f"{_UWS}results/{_UWS}result")
        }
        info = root.find(f"{_UWS}jobInfo")
        return RemoteJob(
            url=url,
            id=(root.findtext(f"{_UWS}jobId") or "").strip(),
            phase=Phase((root.findtext(f"{_UWS}phase") or "").strip()),
            error=(message.text or "").strip() if message is not None else "",
            results=results,
            info=dict(_entries(info)) if info is not None else {},
        )
    except (etree.XMLSyntaxError, ValueError) as error:
        raise RemoteError(f"{url} did not answer with a UWS job: {error}") from error


def _entries(info: etree._Element) -> Iterator[tuple[str, str]]:
    """jobInfo may hold any elements; ours are told by their local name or their `key`."""
    for element in info.iter():
        if isinstance(element.tag, str) and element is not info and element.text:
            yield element.get("key") or etree.QName(element).localname, element.text


def _multipart(
    values: Iterable[tuple[str, str]], files: Iterable[tuple[str, Path]], boundary: str
) -> Iterator[bytes]:
    """The body of a form with files, read as it is sent."""
    for name, value in values:
        yield _head(boundary, name, None) + value.encode() + b"\r\n"
    for name, path in files:
        yield _head(boundary, name, path.name)
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                yield chunk
        yield b"\r\n"
    yield f"--{boundary}--\r\n".encode()


def _head(boundary: str, name: str, file: str | None) -> bytes:
    lines = f'--{boundary}\r\nContent-Disposition: form-data; name="{_quoted(name)}"'
    if file is not None:
        kind = mimetypes.guess_type(file)[0] or "application/octet-stream"
        lines += f'; filename="{_quoted(file)}"\r\nContent-Type: {kind}'
    return f"{lines}\r\n\r\n".encode()


def _quoted(text: str) -> str:
    # As browsers do (HTML standard, "multipart form data"): no other escapes are understood.
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
