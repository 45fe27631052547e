"""A server whose jobs say something, take some time and end as they are told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from servers import Site, site

WADL = """\
<application xmlns="http://wadl.dev.java.net/2009/02" xmlns:xs="http://www.w3.org/2001/XMLSchema">
 <resources base="http://localhost/rest/"><resource id="joblist" path="say">
  <method id="create_job" name="POST"><request>
   <param style="query" name="text" type="xs:string" default="hello"/>
   <param style="query" name="seconds" type="xs:double" default="0"/>
   <param style="query" name="lines" type="xs:int" default="0"/>
   <param style="query" name="code" type="xs:int" default="0"/>
  </request></method>
  <resource id="job" path="{job-id}"><resource id="job_result_name" path="results/{result-id}">
   <param style="template" name="result-id" type="xs:string">
    <option value="output" mediaType="text/plain"/>
   </param>
  </resource></resource>
 </resource></resources>
</application>
"""
SCRIPT = """\
for ((line = 1; line <= lines; line++)); do
  echo "line $line é"
  ((line % 10)) || sleep 0.2
done
sleep "$seconds"
((lines == 0)) || echo end
printf %s "$text" >"$output"
exit "$code"
"""


@contextmanager
def say_site(
    folder: Path, origin_port: int, auth: str = "anonymous = true\nanonymous_list = true"
) -> Iterator[Site]:
    """It has yet to be started. Pages that come from that port may ask it (CORS).

    A client that goes away while it waits keeps its place for a second or two: there are many, so
    that the tests do not take them from each other.
    """
    origin = f'cors_origins = ["http://127.0.0.1:{origin_port}"]'
    waits = "threads = 80\nwait_slots = 60\nwait_per_user = 60"
    with site(folder) as one:
        one.configure(server=f"port = {one.port}\n{waits}\n{origin}", auth=auth)
        one.describe("say", SCRIPT, WADL)
        yield one
