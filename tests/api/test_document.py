"""The OpenAPI document is sound, complete, and what the server shows of itself."""

from __future__ import annotations

import re

import pytest
import yaml
from lxml import html
from openapi_spec_validator import OpenAPIV31SpecValidator

from api.convert import STATIC, converted, read
from opus_core import __version__
from opus_core.job import Phase
from opus_core.render.negotiate import Format
from opus_core.routes import ROUTES
from servers import site

DOCUMENT = read()
OPERATIONS = {
    (method.upper(), path): item[method]
    for path, item in DOCUMENT["paths"].items()
    for method in item.keys() - {"parameters"}
}

MAKING = {"createJob", "getSync", "postSync"}


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    with site(tmp_path_factory.mktemp("document")) as opened:
        opened.serve()
        yield opened


def test_it_is_openapi():
    OpenAPIV31SpecValidator(DOCUMENT).validate()


def test_no_word_stands_twice_in_one_place():
    class Strict(yaml.SafeLoader):
        """PyYAML itself takes the last of several and says nothing."""

    def mapping(loader, node):
        keys = [key.value for key, _ in node.value]
        assert len(keys) == len(set(keys)), f"{node.start_mark}: {keys}"
        return loader.construct_mapping(node, deep=True)

    Strict.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)
    yaml.load((STATIC / "openapi.yaml").read_text(), Strict)  # noqa: S506  a SafeLoader


def test_the_json_is_made_from_the_yaml():
    written = (STATIC / "openapi.json").read_text()
    assert written == converted(), "run tests/api/convert.py"


def test_every_route_is_in_it_and_no_other():
    there = {(method, re.sub(r"<(\w+)>", r"{\1}", rule)) for method, rule, _ in ROUTES}
    assert set(OPERATIONS) == there


def test_every_name_in_an_address_is_explained():
    for (method, path), operation in OPERATIONS.items():
        every = [*DOCUMENT["paths"][path].get("parameters", ()), *operation.get("parameters", ())]
        found = {one["name"] for one in map(_resolved, every) if one["in"] == "path"}
        assert found == set(re.findall(r"{(\w+)}", path)), (method, path)


def test_a_header_that_an_answer_depends_on_is_among_the_parameters():
    needed = {"206": "Range", "416": "Range", "304": "If-None-Match"}
    for (method, path), operation in OPERATIONS.items():
        sent = {_resolved(one)["name"] for one in operation.get("parameters", ())}
        for status in needed.keys() & operation["responses"].keys():
            assert needed[status] in sent, (method, path, status)
        assert ("Idempotency-Key" in sent) == (operation["operationId"] in MAKING), (method, path)


def test_every_operation_has_a_name_of_its_own_and_a_summary():
    names = [operation["operationId"] for operation in OPERATIONS.values()]
    assert len(names) == len(set(names))
    assert all(operation["summary"] for operation in OPERATIONS.values())


def test_what_is_described_apart_is_used():
    text = (STATIC / "openapi.json").read_text()
    for kind in ("parameters", "requestBodies", "responses", "schemas"):
        for name in DOCUMENT["components"][kind]:
            assert f'"#/components/{kind}/{name}"' in text, name


def test_it_names_what_the_program_names():
    schemas = DOCUMENT["components"]["schemas"]
    assert schemas["Phase"]["enum"] == list(Phase)
    formats = DOCUMENT["components"]["parameters"]["ResponseFormat"]["schema"]["enum"]
    assert set(formats) == set(Format) - {Format.TEXT}
    assert DOCUMENT["info"]["version"] == __version__


@pytest.mark.parametrize(
    ("suffix", "content_type"), [("yaml", "application/yaml"), ("json", "application/json")]
)
def test_the_server_shows_it(one, suffix, content_type):
    answer = one.get(f"/openapi.{suffix}")
    assert (answer.status, answer.headers["Content-Type"]) == (200, content_type)
    assert answer.body == (STATIC / f"openapi.{suffix}").read_bytes()
    assert yaml.safe_load(answer.body) == DOCUMENT


def test_the_page_has_every_operation_and_no_script(one):
    answer = one.get("/api", headers={"Accept": "text/html"})
    assert answer.headers["Content-Type"].startswith("text/html")
    page = html.fromstring(answer.text)
    shown = {tuple(code.text_content().split()) for code in page.iterfind(".//summary/code")}
    assert shown == set(OPERATIONS)
    assert not page.findall(".//script")
    assert "required" in page.get_element_by_id("changePhase").text_content()
    links = {link.get("href") for link in page.iterfind(".//a")}
    assert {"/openapi.yaml", "/openapi.json"} <= links


def test_every_page_leads_to_it(one):
    page = html.fromstring(one.get("/", headers={"Accept": "text/html"}).text)
    assert "/api" in {link.get("href") for link in page.iterfind(".//a")}


def test_the_page_shows_names_as_names(one):
    text = one.get("/api", headers={"Accept": "text/html"}).text
    assert "`" not in text
    assert "<code>RESPONSEFORMAT</code>" in text


def _resolved(content):
    if "$ref" not in content:
        return content
    _, _, kind, name = content["$ref"].split("/")
    return DOCUMENT["components"][kind][name]
