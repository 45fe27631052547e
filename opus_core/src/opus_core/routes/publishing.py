"""Job descriptions as their authors change them: drafts, and what becomes of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Final

import bottle

from opus_core.definition import JobDefinition
from opus_core.errors import BadRequest, TooLarge
from opus_core.forms import read_form
from opus_core.job import Upload
from opus_core.queries import whole
from opus_core.render import json
from opus_core.render.negotiate import Format
from opus_core.render.text import instant
from opus_core.routes.asking import Asked
from opus_core.routes.files import disposition, media_type
from opus_core.routes.reply import TEXT, document, reply
from opus_core.routes.signin import read_fields

_LONGEST: Final = 4 * 2**20  # [byte] of a document, and of a script


def get_draft(asked: Asked, name: str) -> bottle.HTTPResponse:
    """One's own draft, with its script, in JSON; an admin sees that of `AUTHOR`.

    With `FORMAT` the document that it is in that format, 400 if that has no words for some of it;
    `LOSSY=true` leaves that out. A script that lies beside such documents is not in it.
    """
    wanted = asked.value("FORMAT")
    if wanted:
        lossy = asked.value("LOSSY") == "true"
        bundle = asked.parts.publishing.export(asked.user, name, wanted, lossy=lossy)
        jdl = asked.parts.catalogue.format(wanted)
        saved_as = {"Content-Disposition": disposition(f"{name}{jdl.suffix}")}
        return reply(bundle.data, media_type(jdl.media_type), headers=saved_as)
    draft = asked.parts.publishing.draft(asked.user, name, asked.value("AUTHOR") or None)
    return _json(asked, draft)


def put_draft(asked: Asked, name: str) -> bottle.HTTPResponse:
    """A form of `DOCUMENT`, in any format that is installed, and `SCRIPT`; or of `JSON`, as it is
    answered. Texts or files."""
    # Asked before the body is read: nobody shall have something read who may not.
    asked.parts.policy.may_describe(asked.user)
    publishing, fields = asked.parts.publishing, _contents(asked)
    if "JSON" in fields:
        definition = publishing.loads(asked.user, name, fields["JSON"])
    elif "DOCUMENT" in fields:
        files = {"script": fields["SCRIPT"]} if "SCRIPT" in fields else {}
        definition = publishing.load(asked.user, name, fields["DOCUMENT"], files)
    else:
        raise BadRequest("DOCUMENT is missing: send the description as a field of that name")
    publishing.save(asked.user, definition)
    return _json(asked, definition)


def post_wish(asked: Asked, name: str) -> bottle.HTTPResponse:
    """Ask whoever may publish to look at one's draft."""
    asked.parts.publishing.wish(asked.user, name)
    return reply("", TEXT, status=204)


def get_versions(asked: Asked, name: str) -> bottle.HTTPResponse:
    """Who published what when; with `NUMBER` one of them, with its script."""
    publishing = asked.parts.publishing
    if asked.value("NUMBER"):
        number = version_number(asked.value("NUMBER"), "NUMBER")
        return _json(asked, publishing.version(asked.user, name, number))
    versions = [
        {"number": one.ref.number, "author": one.author, "time": instant(one.time)}
        for one in publishing.versions(asked.user, name)
    ]
    return document(asked, Format.JSON, json.dumps({"versions": versions}))


def version_number(text: str, key: str) -> int:
    """The number of a version that somebody gives as `key`."""
    number = whole(text)
    if number is None or number < 1:
        raise BadRequest(f"{key} is the number of a version")
    return number


def delete_draft(asked: Asked, name: str) -> bottle.HTTPResponse:
    """Remove one's own draft; nothing happens if there is none."""
    asked.parts.publishing.discard(asked.user, name)
    return reply("", TEXT, status=204)


def post_publication(asked: Asked, name: str) -> bottle.HTTPResponse:
    """Publish the draft of `AUTHOR`, by default one's own. `EXPECTED`: the number of the version
    that it was made from, 0 for none; 409 if there is another one now."""
    fields = read_fields(asked)
    expected = whole(fields["EXPECTED"]) if "EXPECTED" in fields else None
    if "EXPECTED" in fields and expected is None:
        raise BadRequest("EXPECTED is the number of a version")
    ref = asked.parts.publishing.publish(
        asked.user, name, author=fields.get("AUTHOR") or None, expected=expected
    )
    return document(asked, Format.JSON, json.dumps({"name": ref.name, "number": ref.number}))


def post_withdrawal(asked: Asked, name: str) -> bottle.HTTPResponse:
    """Take no new jobs of that name."""
    asked.parts.publishing.withdraw(asked.user, name)
    return reply("", TEXT, status=204)


def get_script(asked: Asked, name: str) -> bottle.HTTPResponse:
    """What new jobs of that name run."""
    return reply(asked.parts.publishing.script(asked.user, name), TEXT)


def get_access(asked: Asked, name: str) -> bottle.HTTPResponse:
    """Who may run it, one a line."""
    access = asked.parts.publishing.access(asked.user, name)
    return reply("".join(f"{entry}\n" for entry in access.entries), TEXT)


def put_access(asked: Asked, name: str) -> bottle.HTTPResponse:
    """`ALLOW`: `anyone`, `role ROLE` and `user NAME`, one a line; nothing: admins alone."""
    asked.parts.policy.may_administer(asked.user)
    allowed = _contents(asked).get("ALLOW")
    if allowed is None:
        raise BadRequest("ALLOW is missing: `anyone`, `role ROLE` or `user NAME`, one a line")
    lines = [line.strip() for line in allowed.decode("utf-8", "replace").splitlines()]
    asked.parts.publishing.set_access(asked.user, name, filter(None, lines))
    return get_access(asked, name)


def _contents(asked: Asked) -> dict[str, bytes]:
    """Texts and files of a form by their names in upper case, in memory."""
    kept: dict[str, bytes] = {}

    def store(chunks: Iterator[bytes], *, name: str, media_type: str) -> Upload:
        data = bytearray()
        for chunk in chunks:
            data += chunk
            if len(data) > _LONGEST:
                raise TooLarge(f"a file here has up to {_LONGEST} bytes")
        digest = hashlib.sha256(data).hexdigest()
        kept[digest] = bytes(data)
        return Upload(name=name, size=len(data), media_type=media_type, sha256=digest)

    limits = replace(asked.parts.limits, max_text=2 * _LONGEST, max_files=8, max_fields=50)
    form = read_form(asked.environ, store=store, limits=limits)
    found = {name.upper(): kept[upload.sha256] for name, upload in form.uploads}
    for name, value in form.values:
        found[name.upper()] = (
            value.encode() if isinstance(value, str) else kept[value.upload.sha256]
        )
    return found


def _json(asked: Asked, definition: JobDefinition) -> bottle.HTTPResponse:
    return document(asked, Format.JSON, json.dumps(asdict(definition)))
