"""Promises of a `Jdl` whose format is XML: no DOCTYPE, no entity, nothing fetched."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Final

import pytest

from opus_core.backends import Jdl
from opus_core.definition import JobDefinition
from opus_core.errors import JdlError
from opus_core.testing.jdl_kit import JdlKit, Refuge

CANARY: Final = "canary-5e1f"
WITH_CANARY: Final = JobDefinition(name="periodogram", description=CANARY)
DEEP: Final = 50_000

_LAUGHS: Final = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))


class XmlPromises(JdlKit):
    """Tried on what the format itself wrote, with something dangerous put in."""

    xml: ClassVar[bool] = False
    """Whether the format is XML."""

    @pytest.fixture
    def xml_jdl(self, jdl: Jdl) -> Jdl:
        """The format, if it is XML."""
        if not self.xml:
            pytest.skip(f"{jdl.name} is not XML: set `xml = True` if it is")
        return jdl

    def test_a_doctype_is_refused_with_its_line(self, xml_jdl: Jdl) -> None:
        error = _refusal(xml_jdl, "\n\n<!DOCTYPE {root}>\n")
        assert error.line > 0, "it does not say in which line"

    def test_an_entity_is_refused(self, xml_jdl: Jdl) -> None:
        _refusal(xml_jdl, '<!DOCTYPE {root} [<!ENTITY boom "boom">]>', body="&boom;")

    def test_an_entity_of_entities_is_refused(self, xml_jdl: Jdl) -> None:
        _refusal(xml_jdl, f'<!DOCTYPE {{root}} [<!ENTITY l0 "ha">{_LAUGHS}]>', body="&l9;")

    def test_an_entity_that_nobody_declared_is_refused(self, xml_jdl: Jdl) -> None:
        _refusal(xml_jdl, "", body="&boom;")

    def test_a_file_named_by_an_entity_is_not_read(self, xml_jdl: Jdl, tmp_path: Path) -> None:
        secret = tmp_path / "secret"
        secret.write_text("not for you")
        prolog = f'<!DOCTYPE {{root}} [<!ENTITY boom SYSTEM "{secret.as_uri()}">]>'
        assert "not for you" not in _refusal(xml_jdl, prolog, body="&boom;").sentence

    @pytest.mark.parametrize(
        "prolog",
        [
            '<!DOCTYPE {root} SYSTEM "{url}">',
            '<!DOCTYPE {root} PUBLIC "-//X//Y" "{url}">',
            '<!DOCTYPE {root} [<!ENTITY % boom SYSTEM "{url}"> %boom;]>',
            '<!DOCTYPE {root} [<!ENTITY boom SYSTEM "{url}">]>',
        ],
        ids=["system", "public", "parameter entity", "entity"],
    )
    def test_an_external_reference_is_refused_and_not_fetched(
        self, xml_jdl: Jdl, refuge: Refuge, prolog: str
    ) -> None:
        _refusal(xml_jdl, prolog.replace("{url}", refuge.url), body="&boom;")
        assert not refuge.called(), "it has fetched what the document names"

    def test_nothing_is_included_or_fetched(
        self, xml_jdl: Jdl, refuge: Refuge, tmp_path: Path
    ) -> None:
        secret = tmp_path / "secret"
        secret.write_text("not for you")
        include = '<i:include xmlns:i="http://www.w3.org/2001/XInclude" parse="text" href="{}"/>'
        prolog = f'<?xml-stylesheet type="text/xsl" href="{refuge.url}"?>'
        for href in (secret.as_uri(), refuge.url):
            data, files = _written(xml_jdl, prolog, _after_root(include.format(href)))
            try:
                read = xml_jdl.loads(data, files)
            except JdlError:
                continue
            assert "not for you" not in repr(read), "it has included a file"
        assert not refuge.called(), "it has fetched what the document names"

    def test_an_error_in_the_xml_has_its_line(self, xml_jdl: Jdl) -> None:
        whole = xml_jdl.dumps(WITH_CANARY)
        with pytest.raises(JdlError) as refusal:
            xml_jdl.loads(whole.data.rstrip()[:-1] + b"\n\n<", whole.files)
        assert refusal.value.line > 0, "it does not say in which line"

    def test_elements_nested_deeply_are_refused(self, xml_jdl: Jdl) -> None:
        data, files = _written(xml_jdl, "", _after_root("<a>" * DEEP + "</a>" * DEEP))
        with pytest.raises(JdlError):
            xml_jdl.loads(data, files)


def _after_root(element: str) -> Callable[[str], str]:
    """Put something behind the start tag of the root, which is closed if it was empty."""

    def change(text: str) -> str:
        tag = re.search(r"<([A-Za-z_][\w.:-]*)((?:[^<>\"']|\"[^\"]*\"|'[^']*')*?)(/?)>", text)
        assert tag, "no root element"
        end = f"</{tag[1]}>" if tag[3] else ""
        return f"{text[: tag.start()]}<{tag[1]}{tag[2]}>{element}{end}{text[tag.end() :]}"

    return change


def _refusal(jdl: Jdl, prolog: str, body: str = CANARY) -> JdlError:
    data, files = _written(jdl, prolog, lambda text: text.replace(CANARY, body))
    with pytest.raises(JdlError) as refusal:
        jdl.loads(data, files)
    assert refusal.value.sentence.strip(), "the error says nothing"
    return refusal.value


def _written(jdl: Jdl, prolog: str, change: Callable[[str], str]) -> tuple[bytes, dict[str, bytes]]:
    """What the format writes, with a prolog (in which `{root}` is the root's name) and a change."""
    whole = jdl.dumps(WITH_CANARY)
    text = whole.data.decode()
    assert CANARY in text, "the description has not been written where it could be changed"
    declaration = re.match(r"\ufeff?(<\?xml[^>]*\?>)?", text)
    root = re.search(r"<([A-Za-z_][\w.:-]*)", text)
    assert declaration, "no beginning"
    assert root, f"it says `xml = True`, and its documents have no root element: {text[:40]!r}"
    head, rest = text[: declaration.end()], text[declaration.end() :]
    written = head + prolog.replace("{root}", root[1]) + change(rest)
    return written.encode(), dict(whole.files)
