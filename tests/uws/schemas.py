"""The IVOA's XML schemas, from Debian's python3-gavo: nothing is fetched."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from lxml import etree

from services_missing import lacking

FOLDER = Path("/usr/lib/python3/dist-packages/gavo/resources/schemata")
MISSING = (
    "the XML schemas of the IVOA are not here: install Debian's python3-gavo"
    " (tests/services/install does)"
)


class _Local(etree.Resolver):
    """Imports name web addresses; the file of the same name lies beside the importing one."""

    def resolve(self, url, public_id, context):
        return self.resolve_filename(str(FOLDER / url.rpartition("/")[2]), context)


@cache
def _schema(*files: str) -> etree.XMLSchema:
    parser = etree.XMLParser(no_network=True)
    parser.resolvers.add(_Local())
    # One schema that takes them all in, since an xsi:type may be of another namespace.
    targets = {
        file: etree.parse(FOLDER / file, parser).getroot().get("targetNamespace") for file in files
    }
    imports = "".join(
        f'<import namespace="{space}" schemaLocation="{FOLDER / file}"/>'
        for file, space in targets.items()
    )
    text = f'<schema xmlns="http://www.w3.org/2001/XMLSchema">{imports}</schema>'
    return etree.XMLSchema(etree.fromstring(text, parser))


def validate(root: etree._Element, *files: str) -> None:
    """An AssertionError with what the schema says; skips where there are no schemas."""
    if not FOLDER.is_dir():
        lacking(MISSING)
    schema = _schema(*files)
    assert schema.validate(root), str(schema.error_log)
