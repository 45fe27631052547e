"""The words of a WADL job description: namespaces, ids, types, and how its text is cleaned.

WADL is the W3C Member Submission of 31 August 2009. What it has no word for stands in a namespace
of OPUS's own, `urn:opus:jdl:1` (prefix `opus` in what is written, any prefix in what is read):

    on resource[@id='joblist']   opus:name (where `path` cannot say it), opus:doculink,
                                 opus:contact_name, opus:contact_email, opus:type, opus:subtype,
                                 opus:version; children opus:setting and opus:extension, each with
                                 a `name` and its value as text
    on param                     opus:kind ("parameter" or "used"), opus:default (for a default
                                 that is empty), opus:min, opus:max, opus:unit, opus:ucd,
                                 opus:utype, opus:content_type, opus:role, opus:multiplicity,
                                 opus:url
    on option of `result-id`     opus:default (the file name), opus:required, opus:role,
                                 opus:multiplicity
    on representation 'quote'    opus:default [s]

A `param` with `opus:kind` means what it says, to the letter. One without it was written by hand
or by the original OPUS, and is read with the indulgence described in `opus_jdl_wadl.reader`.
"""

from __future__ import annotations

from typing import Final

from opus_core.definition import ParameterType

WADL: Final = "http://wadl.dev.java.net/2009/02"
OPUS: Final = "urn:opus:jdl:1"
XML: Final = "http://www.w3.org/XML/1998/namespace"

FORMAT: Final = "WADL"
SPACE: Final = f"{{{XML}}}space"

JOB_LIST: Final = "joblist"
CREATE_JOB: Final = "create_job"
# The original puts an id on `request`, which WADL's schema does not allow.
CREATE_JOB_PARAMETERS: Final = "create_job_parameters"
SET_JOB_PARAMETERS: Final = "set_job_parameters"
QUOTE: Final = "quote"
DESCRIPTION: Final = "description"  # the title of the `doc` that holds it
RESULT_ID: Final = "result-id"
PARAMETER_NAME: Final = "parameter-name"
EXECUTION_DURATION: Final = "EXECUTIONDURATION"

PARAMETER: Final = "parameter"
USED: Final = "used"

# Told apart by case: the original knew only PHASE, so `phase` may be somebody's orbital phase,
# and dropping it silently would be worse than refusing it aloud when it is published.
CONTROL_NAMES: Final = frozenset(
    {
        "PHASE",
        "ACTION",
        "RUNID",
        "runId",
        "DESTRUCTION",
        "destruction",
        "EXECUTIONDURATION",
        "executionDuration",
        "WAIT",
        "UPLOAD",
    }
)

TYPES: Final = {one.value.casefold(): one for one in ParameterType}
FILE_TYPES: Final = frozenset({"file", "anyuri"})
# XML Schema types that OPUS has no word for, and the next wider one that it has.
WIDER_TYPES: Final = {
    "byte": ParameterType.SHORT,
    "unsignedshort": ParameterType.INT,
    "unsignedint": ParameterType.LONG,
    "integer": ParameterType.LONG,
    "nonnegativeinteger": ParameterType.LONG,
    "positiveinteger": ParameterType.LONG,
    "decimal": ParameterType.DOUBLE,
}

_WHITE_SPACE: Final = " \t\r\n"


def opus(name: str) -> str:
    """An attribute or element of our own namespace, as lxml spells it."""
    return f"{{{OPUS}}}{name}"


def wadl(name: str) -> str:
    """An element of WADL, as lxml spells it."""
    return f"{{{WADL}}}{name}"


def clean_text(text: str) -> str:
    """What is meant by text that was indented by hand, or came from a web form with CRLF."""
    return text.replace("\r\n", "\n").strip(_WHITE_SPACE)


def clean_path(path: str) -> str:
    """The name in the `path` of a resource."""
    return path.strip(_WHITE_SPACE + "/")
