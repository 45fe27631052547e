"""uwsLib.js in Node and in Chromium: the same tests, against an OPUS and two services of others."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import subprocess
from pathlib import Path

import pytest

import opus_core
from browser.elsewhere import client_alone
from browser.foreign import foreign
from browser.served import served
from browser.sites import WADL, say_site
from servers import free_port
from services_missing import lacking

pytestmark = pytest.mark.takes(60)

HERE = Path(__file__).parent
EXAMPLE = HERE.parents[1] / "examples" / "periodogram"
LIBRARY = Path(opus_core.__file__).parent / "client" / "uwslib"

COPY = WADL.replace('path="say"', 'path="copy"').replace(
    '<param style="query" name="text" type="xs:string" default="hello"/>',
    '<param style="query" name="table" type="file" required="true"/>'
    '<param style="query" name="note" type="xs:string" default=""/>',
)


@pytest.fixture(scope="module")
def origin_port():
    return free_port()


@pytest.fixture(scope="module")
def servers(tmp_path_factory, origin_port):
    """The job lists that the tests are about, by the names that they have there."""
    folder = tmp_path_factory.mktemp("sites")
    with (
        say_site(folder / "open", origin_port) as opened,
        say_site(folder / "locked", origin_port, auth="anonymous = false") as locked,
        foreign(recent=False) as old,
        foreign(recent=True) as recent,
    ):
        document = (EXAMPLE / "definition.wadl").read_text()
        opened.describe("periodogram", (EXAMPLE / "script").read_text(), document)
        opened.describe("copy", 'cat "$table" >"$output"', COPY)
        locked.opus("user", "add", "ann")
        token = locked.opus("token", "add", "ann").stdout.strip()
        opened.serve()
        locked.serve()
        yield {
            "opus": f"{opened.url}/rest/say",
            "example": f"{opened.url}/rest/periodogram",
            "locked": f"{locked.url}/rest/say",
            "token": token,
            "old": old,
            "recent": recent,
        }


def test_in_node(servers, tmp_path):
    node = shutil.which("node")
    if node is None:
        lacking("node is not installed")
    known = {"library": str(LIBRARY / "uwsLib.js"), **servers}
    lists = (servers[name] for name in ("opus", "old", "recent", "locked"))
    with client_alone(tmp_path, free_port(), *lists) as client:
        known["proxy"] = f"{client.url}/services/proxy"
        done = run_in_node(node, known)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def run_in_node(node, known):
    environment = {**os.environ, "SERVERS": json.dumps(known)}
    return subprocess.run(
        [node, "--test", "--test-reporter=spec", str(HERE / "uwslib" / "node.test.mjs")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
    )


RUN = """
async ({ servers }) => {
  const library = await import("/uwslib/uwsLib.js");
  const { tests } = await import("/tests/suite.mjs");
  const found = [];
  for (const [name, run] of tests({ library, ...servers })) {
    try {
      await run();
      found.push([name, null]);
    } catch (error) {
      found.push([name, `${error.stack ?? error}`]);
    }
  }
  return found;
}
"""


def test_in_chromium(servers, page, origin_port):
    with served({"uwslib": LIBRARY, "tests": HERE / "uwslib"}, origin_port) as origin:
        page.goto(origin)
        found = page.evaluate(RUN, {"servers": servers})
    failed = [f"{name}: {error}" for name, error in found if error]
    assert len(found) > 30
    assert failed == [], "\n\n".join(failed)


COMPARE = """
async ({ seed, number }) => {
  const { readXml } = await import("/uwslib/uwsLib.js");
  const { equal } = await import("/tests/check.mjs");
  const { damaged, dice, document, native } = await import("/tests/trees.mjs");
  const roll = dice(seed);
  const count = { read: 0, refused: 0, lenient: 0, strict: 0 };
  for (let tried = 0; tried < number; tried += 1) {
    const whole = document(roll);
    const text = tried % 3 ? damaged(whole, roll) : whole;
    const wanted = native(text);
    let found = null;
    let fault = "";
    try {
      found = readXml(text);
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      fault = error.message;
    }
    if (wanted === null) {
      count[found ? "lenient" : "refused"] += 1;
      continue;
    }
    // Chromium takes what XML 1.0 does not allow (section 3.1): a < in the value of an attribute,
    // and the declaration of a namespace that is there twice.
    const twice = /^xmlns\\S* is there twice/.test(fault);
    const less = /=\\s*("[^"]*<|'[^']*<)/.test(text) && fault.includes("not well-formed");
    if (found === null && (twice || less)) {
      count.strict += 1;
      continue;
    }
    equal(found, wanted, text);
    count.read += 1;
  }
  return count;
}
"""


def test_documents_are_read_as_the_browser_reads_them(page, origin_port):
    """What the browser's reader takes, ours takes and understands in the same way."""
    seed = int(os.environ.get("OPUS_SEED") or secrets.randbelow(2**32))
    number = int(os.environ.get("OPUS_TREES") or 20000)
    with served({"uwslib": LIBRARY, "tests": HERE / "uwslib"}, origin_port) as origin:
        page.goto(origin)
        count = page.evaluate(COMPARE, {"seed": seed, "number": number})
    assert sum(count.values()) == number, f"seed {seed}"
    assert count["read"] > number / 3
    assert count["refused"] > number / 5
    assert count["lenient"] < count["refused"] / 5, count
    assert count["strict"] < number / 100, count


BLOCKS = re.findall(r"```js\n(.*?)```", (LIBRARY / "README.md").read_text(), re.DOTALL)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_the_examples_of_its_page_run(servers, tmp_path, number):
    """Against a server of ours, in place of the one that they name."""
    node = shutil.which("node")
    if node is None:
        lacking("node is not installed")
    text = BLOCKS[number].replace("./uwsLib.js", str(LIBRARY / "uwsLib.js"))
    assert text.count("https://opus.example.org/rest/periodogram") == 1
    file = tmp_path / "example.mjs"
    file.write_text(text.replace("https://opus.example.org/rest/periodogram", servers["example"]))
    done = subprocess.run([node, str(file)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
