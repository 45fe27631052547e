"""Thousands of documented requests: each is answered as documented, and none with a 5xx."""

from __future__ import annotations

import math
import re

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.asked import NOWHERE, REQUESTS, USERS, as_, asked_site, faults
from api.convert import read

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
ACCEPTS = ("*/*", "application/xml", "application/json", "text/html", "text/plain", "image/png")
WORDS = {  # of what is there; as often as not the address is one of these
    "name": ("say", "fail"),
    "parameter": ("text", "number", "table", "TEXT"),
    "result_id": ("output",),
    "file": ("opus.css", "opus.svg"),
}


def described():
    """The document with the inputs that jobs have here among the fields of a form."""
    document = read()
    fields = document["components"]["schemas"]["Form"]["properties"]
    fields["text"] = {"type": "string"}
    fields["number"] = {"type": "integer"}
    fields["table"] = {"type": "string", "pattern": f"^{re.escape(NOWHERE)}/.{{0,6}}$"}
    return document


SCHEMA = schemathesis.openapi.from_dict(described())
OPERATIONS = {found.ok().label: found.ok() for found in SCHEMA.get_all_operations()}
SHARE = math.ceil(REQUESTS / 2 / len(OPERATIONS))


@pytest.fixture(scope="module")
def asked():
    with asked_site() as found:
        yield found


@pytest.mark.timeout(0 if REQUESTS > 5_000 else 120)
@pytest.mark.parametrize("label", OPERATIONS)
def test_a_documented_request_is_answered_as_documented(asked, label):
    site, jobs = asked
    operation = OPERATIONS[label]
    answered = 0

    @settings(
        max_examples=SHARE,
        derandomize=True,
        phases=[Phase.generate],  # the request as it was says enough
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        case=operation.as_strategy(),
        accept=st.sampled_from(ACCEPTS)
        | st.text(st.characters(min_codepoint=33, max_codepoint=126)),
        kind=st.sampled_from([*jobs.kinds, None]),
        user=st.sampled_from([*3 * [""], *USERS, "x"]),
        there=st.fixed_dictionaries({key: st.sampled_from(words) for key, words in WORDS.items()}),
    )
    def ask(case, accept, kind, user, there):
        nonlocal answered
        path = ""
        if kind is not None:
            case.path_parameters.update(
                {k: v for k, v in there.items() if k in case.path_parameters}
            )
            if "job_id" in case.path_parameters:
                path = jobs.path(kind)
                name, _, job_id = path.partition("/")
                case.path_parameters.update(name=name, job_id=job_id)
        answer = case.call(
            base_url=site.url,
            session=session,
            headers={"Accept": accept, **as_(user)},
            allow_redirects=False,
            timeout=60,
        )
        answered += 1
        if answer.status_code == 303 and case.method != "GET":
            jobs.changed(path)
        case.validate_response(answer, checks=CHECKS)

    with requests.Session() as session:
        ask()
    assert answered >= SHARE
    assert faults(site) == []
