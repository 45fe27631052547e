"""The job that is run: it says in a ledger that it ran, and behaves as it is told."""

from __future__ import annotations

JOB = "soak"
WADL = """<?xml version="1.0" encoding="UTF-8"?>
<application xmlns="http://wadl.dev.java.net/2009/02" xmlns:xs="http://www.w3.org/2001/XMLSchema"
    xmlns:opus="urn:opus:jdl:1">
  <resources base="http://localhost/rest/">
    <resource id="joblist" path="soak">
      <doc title="description">Says in a ledger that it ran, and behaves as it is told</doc>
      <method id="create_job" name="POST">
        <request>
          <param style="query" name="ledgers" type="xs:string" required="true"/>
          <param style="query" name="text" type="xs:string" default="hello"/>
          <param style="query" name="manner" type="xs:string" default="plain"/>
          <param style="query" name="seconds" type="xs:double" default="0"/>
          <param style="query" name="code" type="xs:int" default="0"/>
          <param style="query" name="file" type="xs:anyURI" required="false" opus:kind="used"
              opus:content_type="application/octet-stream" opus:multiplicity="0"/>
        </request>
      </method>
      <resource id="job" path="{job-id}">
        <resource id="job_result_name" path="results/{result-id}">
          <param style="template" name="result-id" type="xs:string" required="true">
            <option value="output" mediaType="text/plain"><doc>The text and the file</doc></option>
          </param>
        </resource>
      </resource>
    </resource>
  </resources>
</application>
"""
SCRIPT = """\
id=${OPUS_PARAMETERS%/*}
id=${id##*/}
echo "$id $$" >> "$ledgers/$id"
printf '%s' "$text" > "$output"
[[ -z $file ]] || cat "$file" >> "$output"
case $manner in
  stubborn) trap '' TERM ;;
  littering) sleep 600 & setsid sleep 600 & ;;
esac
echo "50 half way" > "$OPUS_PROGRESS"
echo "sleeping for $seconds s"
sleep "$seconds"
exit "$code"
"""
