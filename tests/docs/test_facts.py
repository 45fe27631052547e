"""What the pages list is all there is: addresses, errors, names, phases, crash points."""

from __future__ import annotations

import ast
import re

from docs.blocks import CHECKOUT, DOCS
from opus_core import controls, definition, errors, forms, job, queries, validation
from opus_core.routes import ROUTES
from opus_jdl_wadl import names

HTTP = (DOCS / "http.md").read_text()
JOBS = (DOCS / "job-descriptions.md").read_text()
LIFE = (DOCS / "life-of-a-job.md").read_text()

WORDS = {"name": "NAME", "job_id": "ID", "parameter": "PARAMETER", "result_id": "RESULT"}


def section(page: str, title: str) -> str:
    return page.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def rows(text: str) -> list[list[str]]:
    """The cells of tables, the lines under their heads left out."""
    lines = [line for line in text.splitlines() if line.startswith("|") and "---" not in line]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_every_address_is_listed_with_its_methods():
    listed, addresses = set(), []
    for cells in rows(section(HTTP, "Addresses"))[1:]:
        addresses = re.findall(r"`([^`]+)`", cells[0]) or addresses
        method = cells[1].strip("| ")
        listed |= {(method, address) for address in addresses}
    there = {
        (method, re.sub(r"<(\w+)>", lambda found: WORDS.get(found[1], found[1].upper()), rule))
        for method, rule, _ in ROUTES
    }
    assert listed == there


def test_every_status_of_an_error_is_listed():
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    statuses = {kind.status for kind in kinds if issubclass(kind, errors.OpusError)}
    routers = {405, 416, 422}  # by the router, by ranges, and by /sync
    listed = {int(cells[0]) for cells in rows(section(HTTP, "Errors"))[1:]}
    assert listed == statuses | routers


def test_every_filter_of_a_list_is_listed():
    named = set(re.findall(r"^\| (.*?) \|", section(HTTP, "Lists"), re.MULTILINE))
    listed = {word for cell in named for word in re.findall(r"`([A-Z]+)`", cell)}
    assert listed == queries._STANDARD | queries._OURS


def test_every_control_of_a_new_job_is_listed():
    text = section(HTTP, "What a new job takes")
    listed = {word for cells in rows(text) for word in re.findall(r"`([A-Z]+)", cells[0])}
    assert listed == controls.CONTROLS - {"ACTION"} | {"UPLOAD"}
    assert all(f"`{name}`" in text for name in validation._DROPPED - {"WAIT"})


def test_the_limit_of_fields_is_told():
    assert f"{forms.FormLimits().max_fields:,} fields" in HTTP


def test_every_reserved_name_is_listed():
    text = JOBS.partition("<!-- reserved -->\n")[2].partition("\n\n")[0]
    listed = set(re.findall(r"`(\w+)`", text))
    reserved = {
        *definition._RESERVED_NAMES,
        *definition._RESERVED_PREFIXES,
        *definition._CONTROL_NAMES,
    }
    assert listed == reserved


def test_every_attribute_of_our_namespace_is_listed():
    assert f"`{names.OPUS}`" in JOBS
    assert set(re.findall(r"opus:[a-z_]+", names.__doc__)) <= set(re.findall(r"opus:[a-z_]+", JOBS))


def test_every_type_is_listed():
    assert all(f"`xs:{one.value}`" in JOBS for one in definition.ParameterType)


def test_every_phase_and_work_is_listed():
    text = section(LIFE, "Phase and work")
    listed = [word for cells in rows(text) for word in re.findall(r"[A-Z]{4,}", cells[0])]
    assert sorted([*listed, "UNKNOWN"]) == sorted([*job.Phase, *job.Work])
    assert "UNKNOWN is never set" in text


def test_every_crash_point_that_is_tested_is_listed_and_no_other():
    source = CHECKOUT / "tests" / "system" / "crashing.py"
    assigned = [node for node in ast.parse(source.read_text()).body if hasattr(node, "target")]
    [points] = [one.value for one in assigned if one.target.id == "POINTS"]
    tested = [key.value for key in points.keys]
    table = LIFE.partition("<!-- crash points -->\n")[2].partition("\n\n")[0]
    assert [cells[0] for cells in rows(table)[1:]] == tested
