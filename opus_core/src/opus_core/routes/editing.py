"""The pages on which job descriptions are worked on; what they save goes by `publishing`."""

from __future__ import annotations

from typing import Final

import bottle

from opus_core import notation
from opus_core.bodies import Body
from opus_core.definition import JobDefinition, check_name
from opus_core.errors import NotFound
from opus_core.render import editor, json
from opus_core.render.form import fields
from opus_core.render.negotiate import Format
from opus_core.routes.asking import Asked
from opus_core.routes.pages import frame
from opus_core.routes.publishing import version_number
from opus_core.routes.reply import document, page, see_other

_LONGEST: Final = 4 * 2**20  # [byte] of a description


def get_descriptions(asked: Asked) -> bottle.HTTPResponse:
    """All descriptions, one's own drafts, and what waits for whoever may publish; with `NAME` on
    to the editor of that."""
    name = asked.value("NAME").strip()
    publishing, user = asked.parts.publishing, asked.user
    asked.parts.policy.may_describe(user)
    if name:
        return see_other(asked.ways.edit(check_name(name)))
    listing = editor.Listing(
        states=asked.parts.catalogue.states(),
        drafts=publishing.drafts(user),
        wishes=publishing.wishes(user),
    )
    return page(asked, editor.descriptions(frame(asked), listing))


def get_editor(asked: Asked, name: str) -> bottle.HTTPResponse:
    """One's own draft, that of `AUTHOR`, or a version (`NUMBER`); without any, what is published,
    or a new description."""
    policy, user = asked.parts.policy, asked.user
    policy.may_describe(user)
    last = max(asked.parts.catalogue.numbers(check_name(name)), default=0)
    definition, source = _source(asked, name, last)
    edited = editor.Edited(
        definition=definition,
        source=source,
        author=asked.value("AUTHOR") if source == "draft" else "",
        last=last,
        publishes=policy.publishes(user),
        formats=asked.parts.catalogue.formats(),
    )
    return page(asked, editor.editor(frame(asked), edited))


def _source(asked: Asked, name: str, last: int) -> tuple[JobDefinition, str]:
    publishing, user = asked.parts.publishing, asked.user
    if asked.value("NUMBER"):
        number = version_number(asked.value("NUMBER"), "NUMBER")
        return publishing.version(user, name, number), f"version {number}"
    if asked.value("AUTHOR"):
        return publishing.draft(user, name, asked.value("AUTHOR")), "draft"
    try:
        return publishing.draft(user, name), "draft"
    except NotFound:
        pass  # there is nothing of one's own yet
    if not last:
        return JobDefinition(name=name), "new"
    return publishing.version(user, name, last), f"version {last}"


def post_preview(asked: Asked, name: str) -> bottle.HTTPResponse:
    """A description in JSON: what is wrong with it, and the form that it makes. Nothing is kept."""
    asked.parts.policy.may_describe(asked.user)
    data = b"".join(Body(asked.environ, _LONGEST))
    definition = asked.parts.publishing.loads(asked.user, name, data)
    shown = editor.preview(fields(definition, (), asked.parts.service.fetch_hosts, {}))
    content = {"faults": notation.faults(definition), "form": shown}
    return document(asked, Format.JSON, json.dumps(content))


def get_versions(asked: Asked, name: str) -> bottle.HTTPResponse:
    """All versions, and how `FROM` and `TO` differ; `TO` may be `draft`."""
    publishing, user = asked.parts.publishing, asked.user
    versions = publishing.versions(user, name)
    last = versions[-1].ref.number
    before = version_number(asked.value("FROM") or str(max(1, last - 1)), "FROM")
    wanted = asked.value("TO") or str(last)
    after = (
        publishing.draft(user, name)
        if wanted == "draft"
        else publishing.version(user, name, version_number(wanted, "TO"))
    )
    compared = editor.Compared(
        name=name,
        versions=versions,
        before=str(before),
        after=wanted,
        lines=editor.difference(publishing.version(user, name, before), after),
        draft=any(one.name == name for one in publishing.drafts(user)),
    )
    return page(asked, editor.versions(frame(asked), compared))
