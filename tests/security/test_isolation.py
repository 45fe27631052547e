"""A site whose supervisor is root, whose web server is nobody and whose jobs are a third user's."""

from __future__ import annotations

import pytest

from attacked import attacked_site
from isolated import needs_bubblewrap, needs_root
from servers import Site, eventually

JOBS = "daemon"  # on every Linux; owns nothing

WADL = """\
<application xmlns="http://wadl.dev.java.net/2009/02" xmlns:xs="http://www.w3.org/2001/XMLSchema">
 <resources base="http://localhost/rest/"><resource id="joblist" path="hostile">
  <method id="create_job" name="POST"><request>
   <param style="query" name="target" type="xs:string" default="/nowhere"/>
  </request></method>
  <resource id="job" path="{job-id}"><resource id="job_result_name" path="results/{result-id}">
   <param style="template" name="result-id" type="xs:string"><option value="out"/></param>
  </resource></resource>
 </resource></resources>
</application>
"""

# Prints what it got hold of, and makes links of results out of what it could not read.
SCRIPT = """\
attempt() { "$@" >/dev/null 2>&1 && echo "GOT IN: $*"; }
for file in secret opus.sqlite instance local/lock local/records; do
  attempt ls "DATA/$file"; attempt cat "DATA/$file"
done
for path in DATA/* DATA/jobs/*/*; do case $PWD/ in "$path"/*) ;; *) echo "SEEN: $path" ;; esac; done
attempt cat DATA/../opus.toml
attempt cat "$target/script"; attempt touch "$target/work/x"
attempt cat /etc/shadow
attempt kill -0 SUPERVISOR; attempt kill -0 WEB
attempt ls /proc/SUPERVISOR
attempt bash -c 'exec 3<>/dev/tcp/127.0.0.1/PORT'
ln -sf DATA/secret out; attempt ln DATA/secret out
rm -rf ../results; ln -s DATA ../results
echo checked
id -un
"""


@pytest.fixture(scope="module")
def web():
    needs_root()
    needs_bubblewrap()
    with attacked_site() as site:
        manager = (
            f'use = "local"\nmax_jobs = 4\ngrace = 1\nrun_as = "{JOBS}"\nsandbox = "bubblewrap"'
        )
        tables = {"manager": manager, "supervisor": "embedded = false\nlease_seconds = 3"}
        site.configure(**tables)
        # What root does stands where nobody but root may write.
        root = Site(site.folder.parent / "root", port=site.port)
        root.configure(**tables)
        text = root.config.read_text()
        root.config.write_text(text.replace('"data"', f'"{site.folder / "data"}"'))
        site.opus("jdl", "list")  # makes the data folder
        (site.folder / "data").chmod(0o2771)
        serving = site.serve()
        supervising = root.start("supervise")
        try:
            script = SCRIPT.replace("DATA", str(site.folder / "data")).replace(
                "PORT", str(site.port)
            )
            for word, process in (("SUPERVISOR", supervising), ("WEB", serving)):
                script = script.replace(word, str(process.pid))
            site.describe("hostile", script, WADL)
            yield site
        finally:
            root.stop()


def test_a_hostile_script_finds_nothing_but_its_own_folder(web):
    other = web.create("hostile")
    assert web.wait(other) in ("COMPLETED", "ERROR")
    folder = web.job_folder(other.rpartition("/")[2])
    job = web.create("hostile", {"target": str(folder)})
    assert web.wait(job) in ("COMPLETED", "ERROR")
    assert web.get(f"{job}/stdout").text.splitlines() == ["checked", JOBS]
    assert not (folder / "work" / "x").exists()
    results = web.get(f"{job}/results")
    assert "secret" not in results.text
    assert (web.folder / "data" / "secret").stat().st_nlink == 1


def test_results_of_another_user_come_through_the_web_server(web):
    web.describe("fine", 'echo "$target" >out', WADL.replace("hostile", "fine"))
    job = web.create("fine", {"target": "a value"})
    assert web.wait(job) == "COMPLETED", web.document(job)
    (result,) = web.document(job)["results"]
    assert web.get(result["href"]).text == "a value\n"


def test_a_job_of_another_user_is_aborted_and_deleted(web):
    web.describe("long", "trap '' TERM; sleep 1000", WADL.replace("hostile", "long"))
    job = web.create("long")
    web.wait(job, {"EXECUTING"})
    folder = web.job_folder(job.rpartition("/")[2])
    assert web.post(f"{job}/phase", {"PHASE": "ABORT"}).status == 303
    assert web.wait(job) == "ABORTED"
    assert web.request("DELETE", job).status == 303
    eventually(lambda: not folder.exists())


def test_the_web_server_cannot_start_jobs_by_itself(web):
    """Whoever has broken into it is no supervisor yet."""
    answer = web.opus("check", check=False)
    assert answer.returncode == 1
    assert "needs a supervisor that is root" in answer.stdout
