"""Job descriptions for these tests, and how they get into a site."""

from __future__ import annotations

from dataclasses import replace

from opus_core.backends import NoOptions
from opus_core.definition import (
    GeneratedDescription,
    JobDefinition,
    Option,
    ParameterDescription,
    ParameterType,
    UsedDescription,
)
from opus_jdl_wadl.plugin import WadlJdl
from servers import Site

# Everything a UWS can be asked about: results while it runs, none, one or two of them, an end in
# any way and after any time, files, repeated values.
WORK = JobDefinition(
    name="work",
    description="Does as it is told",
    quote=3600,
    execution_duration=600,
    parameters=(
        ParameterDescription(name="text", default="hello"),
        ParameterDescription(name="note"),
        ParameterDescription(name="number", type=ParameterType.INT, minimum="1", maximum="9"),
        ParameterDescription(name="colour", options=(Option(value="red"), Option(value="green"))),
        ParameterDescription(name="many", repeated=True),
        ParameterDescription(name="seconds", type=ParameterType.DOUBLE, default="0"),
        ParameterDescription(name="code", type=ParameterType.INT, default="0"),
        ParameterDescription(name="results", type=ParameterType.INT, default="1"),
    ),
    used=(UsedDescription(name="table"), UsedDescription(name="tables", multiplicity="*")),
    generated=(
        GeneratedDescription(name="output", default="output.txt", content_type="text/plain"),
        GeneratedDescription(name="second", default="second.bin"),
    ),
    script="""\
[ "$results" -lt 1 ] || printf '%s' "$text" > "$output"
[ "$results" -lt 2 ] || printf '\\1\\2' > "$second"
if [ -n "$table" ]; then cat "$table" > "$output"; fi
echo "50 half of it" > "$OPUS_PROGRESS.new" && mv "$OPUS_PROGRESS.new" "$OPUS_PROGRESS"
echo "running for $seconds s"
echo "complaint" >&2
sleep "$seconds"
exit "$code"
""",
)

# What pyvo takes for a TAP service is a job list called `async`.
ASYNC = JobDefinition(
    name="async",
    quote=60,
    parameters=(
        ParameterDescription(name="QUERY"),
        ParameterDescription(name="seconds", type=ParameterType.DOUBLE, default="0"),
        ParameterDescription(name="code", type=ParameterType.INT, default="0"),
    ),
    used=(UsedDescription(name="catalogue"),),
    generated=(
        GeneratedDescription(
            name="result", default="result.vot", content_type="application/x-votable+xml"
        ),
    ),
    script="""\
cat > "$result" <<END
<VOTABLE version="1.3" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE type="results">
<INFO name="QUERY_STATUS" value="OK"/><TABLE><FIELD name="size" datatype="int"/><DATA><TABLEDATA>
<TR><TD>$(if [ -n "$catalogue" ]; then wc -c < "$catalogue"; else echo 7; fi)</TD></TR>
</TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>
END
sleep "$seconds"
exit "$code"
""",
)


def describe(site: Site, definition: JobDefinition, *, name: str = "") -> str:
    """Publish it, under a name of its own if one is given; answers the path of its job list."""
    named = replace(definition, name=name or definition.name)
    document = WadlJdl(NoOptions()).dumps(named).data.decode()
    site.describe(named.name, definition.script, document)
    return f"/rest/{named.name}"
