"""A job that leaves a result of every kind that pages can show, and of some that they cannot."""

from __future__ import annotations

import base64
import struct

_KINDS = {
    "picture": ("picture.svg", "image/svg+xml"),
    "pixels": ("pixels.png", "image/png"),
    "table": ("table.csv", "text/csv"),
    "stars": ("stars.vot", "application/x-votable+xml"),
    "coded": ("coded.vot", "application/x-votable+xml"),
    "apart": ("apart.vot", "application/x-votable+xml"),
    "sky": ("sky.fits", "application/fits"),
    "notes": ("notes.txt", "text/plain"),
    "page": ("page.html", "text/html"),
    "broken": ("broken.fits", "application/fits"),
    "empty": ("empty.txt", "text/plain"),
    "packed": ("packed.bin", "application/octet-stream"),
    "code": ("code.js", "text/javascript"),
}
HOSTILE = "<img src=x onerror=\"document.title='owned'\">"

SVG = f"""<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20"
 onload="document.title='owned'">
<script>document.title = "owned"; parent.document.title = "owned"</script>
<rect width="40" height="20" fill="teal"/><text>{HOSTILE.replace("<", "&lt;")}</text></svg>
"""
CSV = f"""# a comment
name,flux,"a ""word"", or two"
first,1.5,{HOSTILE}
second,2.5,"two
lines"
"""
VOTABLE = """<?xml version="1.0"?>
<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE><TABLE name="stars">
<DESCRIPTION>Stars that are near</DESCRIPTION>
<FIELD name="name" datatype="char" arraysize="*"/>
<FIELD name="ra" datatype="double" unit="deg" ucd="pos.eq.ra">
<DESCRIPTION>right ascension</DESCRIPTION></FIELD>
<DATA><TABLEDATA>
<TR><TD>Proxima</TD><TD>217.43</TD></TR>
<TR><TD>Barnard &lt;b&gt;</TD><TD>269.45</TD></TR>
</TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>
"""
# What stands for the bytes that `_coded` writes.
CODED_ROWS = [
    ["-7", "1.5", "0.1", "é star", "true", "1 2 3", "9007199254740993", "101"],
    ["", "", "", "", "false", "0 0 0", "0", "000"],
]
FIELDS = """<FIELD name="a" datatype="short"/><FIELD name="b" datatype="double"/>
<FIELD name="c" datatype="float"/><FIELD name="d" datatype="char" arraysize="*"/>
<FIELD name="e" datatype="boolean"/><FIELD name="f" datatype="int" arraysize="3"/>
<FIELD name="g" datatype="long"/><FIELD name="h" datatype="bit" arraysize="3"/>"""


def _coded(*, masked: bool) -> str:
    """Two rows, and the beginning of a third, in BINARY or BINARY2."""
    name = "é star".encode()
    first = struct.pack(">hdf", -7, 1.5, 0.1) + struct.pack(">I", len(name)) + name
    first += b"T" + struct.pack(">3iq", 1, 2, 3, 2**53 + 1) + b"\xa0"
    nothing = float("nan")
    second = struct.pack(">hdfI", 0, nothing, nothing, 0)
    second += b"F" + struct.pack(">3iq", 0, 0, 0, 0) + b"\0"
    data = (b"\0" + first + b"\xf0" + second) if masked else first + second
    kind = "BINARY2" if masked else "BINARY"
    text = base64.encodebytes(data + b"\0\0").decode()
    return (
        f"<VOTABLE><RESOURCE><TABLE>{FIELDS}<DATA><{kind}>"
        f'<STREAM encoding="base64">{text}</STREAM></{kind}></DATA></TABLE></RESOURCE></VOTABLE>'
    )


CODED = _coded(masked=True)
PLAIN = _coded(masked=False)
APART = """<VOTABLE><RESOURCE><TABLE><FIELD name="x" datatype="int"/>
<DATA><BINARY2><STREAM href="http://127.0.0.1/rows"/></BINARY2></DATA>
</TABLE></RESOURCE></VOTABLE>
"""


def _card(keyword: str, value: str = "", comment: str = "") -> str:
    text = f"{keyword:8}= {value:>20}" if value else keyword
    return (f"{text} / {comment}" if comment else text).ljust(80)[:80]


def _header(*cards: str) -> bytes:
    text = "".join(cards) + "END".ljust(80)
    return text.ljust(-(-len(text) // 2880) * 2880).encode()


def fits() -> bytes:
    """An image of 2 x 3 numbers, and an extension after it."""
    primary = _header(
        _card("SIMPLE", "T", "conforms"),
        _card("BITPIX", "-32"),
        _card("NAXIS", "2"),
        _card("NAXIS1", "2"),
        _card("NAXIS2", "3"),
        _card("OBJECT", "'M 31''s core'", HOSTILE),
        "COMMENT Nothing else".ljust(80),
    )
    data = struct.pack(">6f", *range(6)).ljust(2880, b"\0")
    table = _header(
        _card("XTENSION", "'BINTABLE'"),
        _card("BITPIX", "8"),
        _card("NAXIS", "2"),
        _card("NAXIS1", "4"),
        _card("NAXIS2", "0"),
        _card("PCOUNT", "0"),
        _card("GCOUNT", "1"),
        _card("EXTNAME", "'EVENTS'"),
    )
    return primary + data + table


PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
FILES = {
    "picture": SVG.encode(),
    "pixels": PNG,
    "table": CSV.encode(),
    "stars": VOTABLE.encode(),
    "coded": CODED.encode(),
    "apart": APART.encode(),
    "sky": fits(),
    "notes": f"{HOSTILE}\n\N{RIGHT-TO-LEFT OVERRIDE}txet\n".encode(),
    "page": f"<script>document.title = 'owned'</script>{HOSTILE}".encode(),
    "broken": b"SIMPLE  = nothing of the kind",
    "empty": b"",
    "packed": bytes(range(256)),
    "code": b"document.title = 'owned'",
}

_RESULTS = "\n".join(
    f'<option value="{name}" mediaType="{kind}" default="{file}">'
    f"<doc>What {name} shows</doc></option>"
    for name, (file, kind) in _KINDS.items()
)
WADL = f"""\
<application xmlns="http://wadl.dev.java.net/2009/02" xmlns:xs="http://www.w3.org/2001/XMLSchema">
 <resources base="http://localhost/rest/"><resource id="joblist" path="gallery">
  <method id="create_job" name="POST"><request/></method>
  <resource id="job" path="{{job-id}}"><resource id="job_result_name" path="results/{{result-id}}">
   <param style="template" name="result-id" type="xs:string">{_RESULTS}</param>
  </resource></resource>
 </resource></resources>
</application>
"""
SCRIPT = "".join(
    f"base64 -d >${name} <<'end'\n{base64.encodebytes(data).decode()}end\n"
    for name, data in FILES.items()
)


def only(result: str, name: str) -> str:
    """The description of a job that takes nothing and leaves one text."""
    option = f'<option value="{result}" mediaType="text/plain"/>'
    return WADL.replace(_RESULTS, option).replace('path="gallery"', f'path="{name}"')
