"""The job whose lives a release leaves behind, and what is asked of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

FILE = bytes(range(256)) * 8
FILE_NAME = "nähe & <ferne>.dat"
ODD = "näher \u2028 <&> \"'`$(touch never)` %41 \\n\ttab\nline \U0001f52d"

# $output, $file and the others: as scripts of descriptions have always been told.
WADL = """<?xml version="1.0" encoding="UTF-8"?>
<application xmlns="http://wadl.dev.java.net/2009/02" xmlns:xs="http://www.w3.org/2001/XMLSchema">
  <resources base="http://localhost/rest/">
    <resource id="joblist" path="survey">
      <doc title="description">Survey, version {version}: says what it was told</doc>
      <method id="create_job" name="POST">
        <request>
          <param style="query" name="text" type="xs:string" default="hello"/>
          <param style="query" name="seconds" type="xs:double" default="0"/>
          <param style="query" name="code" type="xs:int" default="0"/>
          <param style="query" name="flag" type="xs:boolean" default="false"/>
          <param style="query" name="file" type="xs:anyURI" required="false"/>
          {more}
        </request>
      </method>
      <resource id="job" path="{{job-id}}">
        <resource id="job_result_name" path="results/{{result-id}}">
          <param style="template" name="result-id" type="xs:string" required="true">
            <option value="output" mediaType="text/plain"><doc>What it was told</doc></option>
          </param>
        </resource>
      </resource>
    </resource>
  </resources>
</application>
"""
SCRIPT = """\
printf '%s' "version {version}: $text" > "$output"
[[ -z $file ]] || cat "$file" >> "$output"
echo "surveying for $seconds s, ä"
echo "a word of warning" >&2
sleep "$seconds"
exit "$code"
"""
MORE = '<param style="query" name="more" type="xs:string" default="new in version 2"/>'


def digest(content: bytes | None) -> dict[str, object]:
    assert content is not None
    return {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def form(fields: Mapping[str, str], *, file: bool) -> tuple[bytes, str]:
    """A multipart form, as browsers write one."""
    edge = "edge-of-a-part"
    parts = [
        f'--{edge}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    if file:
        head = f'Content-Disposition: form-data; name="file"; filename="{FILE_NAME}"'
        head = f"--{edge}\r\n{head}\r\nContent-Type: application/octet-stream\r\n\r\n"
        parts.append(head.encode() + FILE + b"\r\n")
    return b"".join(parts) + f"--{edge}--\r\n".encode(), f"multipart/form-data; boundary={edge}"
