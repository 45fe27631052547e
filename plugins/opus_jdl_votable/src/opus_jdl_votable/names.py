"""The words of the format, where a VOTable of the original OPUS has what.

RESOURCE type="meta" utype="voprov:ActivityDescription"      the description; its name
    DESCRIPTION
    PARAM doculink, type, ... executionDuration, quote, script
    GROUP InputParams       a PARAM for each parameter, with VALUES
    GROUP Used              a GROUP for each input file, with PARAMs
    GROUP Generated         the same for each result
    GROUP More              what these have no words for: a field by its place, in JSON
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from opus_core.definition import ParameterType

NAMESPACE: Final = "http://www.ivoa.net/xml/VOTable/v1.3"
ACTIVITY: Final = "voprov:ActivityDescription"

TEXTS: Final[Mapping[str, str]] = {
    "doculink": f"{ACTIVITY}.doculink",
    "type": f"{ACTIVITY}.type",
    "subtype": f"{ACTIVITY}.subtype",
    "version": f"{ACTIVITY}.version",
    "contact_name": "voprov:Agent.name",
    "contact_email": "voprov:Agent.email",
}
"""Fields of the description that are a PARAM of the same name, with its utype."""

SECONDS: Final[Mapping[str, tuple[str, str]]] = {
    "execution_duration": ("executionDuration", "uws:Job.executionDuration"),
    "quote": ("quote", "uws:Job.quote"),
}
"""Fields in seconds, with name and utype of their PARAM."""

INPUTS: Final = "InputParams"
USED: Final = "Used"
GENERATED: Final = "Generated"
MORE: Final = "More"

ENTITY: Final[Mapping[str, str]] = {
    "role": "{}Description.role",
    "multiplicity": "{}Description.multiplicity",
    "default": "voprov:Entity.id",
    "content_type": "voprov:EntityDescription.content_type",
    "url": "voprov:EntityDescription.url",
}
"""Fields of inputs and results that are a PARAM of their GROUP, with its utype."""

FILE: Final = "application/octet-stream"
"""The xtype of a parameter that is a file."""

DATATYPES: Final[Mapping[ParameterType, tuple[str, str]]] = {
    ParameterType.STRING: ("char", ""),
    ParameterType.BOOLEAN: ("boolean", ""),
    ParameterType.BYTE: ("unsignedByte", ""),
    ParameterType.SHORT: ("short", ""),
    ParameterType.INT: ("int", ""),
    ParameterType.LONG: ("long", ""),
    ParameterType.FLOAT: ("float", ""),
    ParameterType.DOUBLE: ("double", ""),
    ParameterType.DATETIME: ("char", "timestamp"),
    ParameterType.ANYURI: ("char", "anyURI"),
}
"""Datatype and xtype of a PARAM (VOTable 1.3 section 2.1; DALI 1.1 section 3.3)."""

OPTIONAL: Final = "no_query"
"""The `type` of a parameter that need not be given."""
