"""Hostile values go through the whole server: nothing is executed, and what is stored comes back
byte for byte, or is refused with 400."""

from __future__ import annotations

import re
import secrets
import urllib.parse

import pytest

from servers import LEDGER_WADL, describe_ledger, site

UPLOAD_WADL = LEDGER_WADL.replace(
    '<param style="query" name="code"',
    '<param style="query" name="file" type="file" required="false"/>\n'
    '          <param style="query" name="code"',
).replace('path="ledger"', 'path="copy"')

HOSTILE = {
    "quotes": "'\"'\"'`\"",
    "substitution": "$(touch PWNED) `touch PWNED` ${IFS} $((1/0))",
    "newlines": "first\nsecond\r\nthird\n\n",
    "semicolons": "; touch PWNED; & touch PWNED | touch PWNED > PWNED #",
    "traversal": "../../../../PWNED",
    "rtl": "\u202egnp.exe\u202c \u05d0\u05d1\u05d2 \U0001f680",
    "option": "--help -rf /",
    "markup": "<script>alert(1)</script> ]]> &amp; <!DOCTYPE x>",
    "200 kB": "a'\"$(touch PWNED)\n" * 12_000,
    "control": "bell\x07 escape\x1b[31m",
    "blanks": "  \t  ",
}


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    with site(tmp_path_factory.mktemp("hostile")) as opened:
        describe_ledger(opened)
        opened.describe("copy", 'cat "$file" > "$output"', UPLOAD_WADL)
        opened.describe(
            "say",
            'if [ -n "$text_FILE" ]; then cat "$text_FILE"; else printf %s "$text"; fi > "$output"',
            LEDGER_WADL,
        )
        opened.serve()
        yield opened


def nothing_was_executed(one):
    return not list(one.folder.parent.rglob("*PWNED*"))


@pytest.mark.upstream("S1", "A4.1", "R11")
@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_parameter_reaches_the_script_byte_for_byte(one, value):
    job = one.create("say", {"ledger": "-", "text": value})
    assert one.wait(job) == "COMPLETED"
    assert one.get(f"{job}/results/output").body == value.encode()
    assert one.get(f"{job}/parameters/text").body == value.encode()
    assert one.get(job).status == 200
    assert nothing_was_executed(one)


def test_a_nul_is_refused(one):
    answer = one.post("/rest/say", {"ledger": "-", "text": "a\0b"})
    assert answer.status == 400
    assert "text" in answer.text


# XML has no way to show a control character, and no list has room for 200 kB a line.
REFUSED_RUN_IDS = ("control", "200 kB")
SHOWN_RUN_IDS = [key for key in HOSTILE if key not in REFUSED_RUN_IDS]


@pytest.mark.upstream("R9", "S17")
@pytest.mark.parametrize("kind", SHOWN_RUN_IDS)
def test_a_hostile_run_id_comes_back(one, kind):
    value = HOSTILE[kind]
    answer = one.post("/rest/say", {"ledger": "-", "RUNID": value})
    assert answer.status == 303, answer.text
    # XML itself makes every line end a \n and what is blank may be seen as nothing.
    shown = one.document(answer.location)["runId"]
    assert shown == value
    assert nothing_was_executed(one)


@pytest.mark.parametrize("kind", [*REFUSED_RUN_IDS, "NUL"])
def test_a_run_id_that_cannot_be_shown_is_refused(one, kind):
    answer = one.post("/rest/say", {"ledger": "-", "RUNID": HOSTILE.get(kind, "a\0b")})
    assert answer.status == 400
    assert answer.text.startswith("RUNID ")


@pytest.mark.upstream("S2", "S5")
@pytest.mark.parametrize(
    "name",
    ["x=$(touch PWNED)\ny", "text;touch PWNED", "PATH", "LD_PRELOAD", "../text", "a" * 5000],
)
def test_a_hostile_parameter_name_is_refused(one, name):
    answer = one.post("/rest/say", {"ledger": "-", name: "1"})
    assert answer.status == 400
    assert nothing_was_executed(one)


DISPOSITION = re.compile(
    r"attachment; filename=\"([^\"\\/]+)\"; filename\*=UTF-8''([\w!#$&+.^`|~%-]+)", re.ASCII
)


def send_file(one, name, content):
    """A job made with a file of that name, as browsers send it."""
    boundary = secrets.token_hex(8)
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="ledger"\r\n\r\n-\r\n'
        f'--{boundary}\r\nContent-Disposition: form-data; name="PHASE"\r\n\r\nRUN\r\n'
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    body = head.encode() + content + f"\r\n--{boundary}--\r\n".encode()
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    return one.post("/rest/copy", body=body, headers=headers)


@pytest.mark.parametrize(
    ("name", "shown", "offered"),
    [
        ("../../PWNED", "../../PWNED", "PWNED"),
        ("..\\..\\PWNED", "..\\..\\PWNED", "PWNED"),
        ("C:\\Users\\PWNED", "PWNED", "PWNED"),
        ("$(touch PWNED).fits", "$(touch PWNED).fits", "$(touch PWNED).fits"),
        ("`touch PWNED`; #", "`touch PWNED`; #", "`touch PWNED`; #"),
        ("a%22; touch PWNED; %22", 'a"; touch PWNED; "', 'a"; touch PWNED; "'),
        ("-rf", "-rf", "-rf"),
        ("\u202egnp.exe", "\u202egnp.exe", "\u202egnp.exe"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>", "script>"),
        ("a%00%2e%2e%2fPWNED", "a%00%2e%2e%2fPWNED", "a%00%2e%2e%2fPWNED"),
        ("/", "/", "file"),
    ],
)
def test_a_hostile_file_name_is_only_shown(one, name, shown, offered):
    content = secrets.token_bytes(1000)
    answer = send_file(one, name, content)
    assert answer.status == 303, answer.text
    [file] = [it for it in one.document(answer.location)["parameters"] if it["id"] == "file"]
    assert file["file"] == shown
    assert one.wait(answer.location) == "COMPLETED"
    assert one.get(f"{answer.location}/results/output").body == content
    again = one.get(f"{answer.location}/parameters/file")
    assert again.body == content
    head = again.headers["Content-Disposition"]
    plain, encoded = re.fullmatch(
        r"attachment; filename=\"([^\"\\/]+)\"; filename\*=UTF-8''([\w!#$&+.^`|~%-]+)",
        head,
        re.ASCII,
    ).groups()
    assert urllib.parse.unquote(encoded) == offered
    assert len(plain) == len(offered)
    assert nothing_was_executed(one)


@pytest.mark.parametrize(
    "name", ["a\0b", "a%0Ab", "a%0D%0ASet-Cookie: x", "a\nb", "a\tb", "a\x1b[2J"]
)
def test_a_file_name_with_control_characters_is_refused(one, name):
    answer = send_file(one, name, b"x")
    assert answer.status == 400
    assert "has control characters in it; rename the file" in answer.text
    assert answer.headers["Set-Cookie"] is None


@pytest.mark.upstream("S10")
@pytest.mark.parametrize(
    "path",
    [
        "/rest/say/../../etc/passwd",
        "/rest/say/%2e%2e%2f%2e%2e/secret",
        "/rest/..%2f..%2fsecret",
        "/rest/say/0/results/../../secret",
        "/jdl/..%2f..%2fsecret",
        "/jdl/../../opus",
        "/rest/say/" + "0" * 5000,
        "/rest/" + "%00",
        "//etc/passwd",
        "/%FF%FE/",
        "/static/../templates/job.html",
        "/static/%2e%2e/html.py",
    ],
)
def test_no_path_leads_out_of_the_tree(one, path):
    answer = one.get(path)
    assert 400 <= answer.status < 500
    assert b"root:" not in answer.body
    assert (one.folder / "data" / "secret").read_bytes().strip() not in answer.body


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"PHASE": "RUNIG"}, "RUN"),
        ({"EXECUTIONDURATION": "-1"}, "EXECUTIONDURATION"),
        ({"EXECUTIONDURATION": "soon"}, "EXECUTIONDURATION"),
        ({"DESTRUCTION": "2026-02-30"}, "DESTRUCTION"),
        ({"code": "three"}, "code"),
        ({"txet": "1"}, "text"),
    ],
)
def test_bad_input_gets_one_sentence_that_names_the_thing(one, fields, word):
    answer = one.post("/rest/say", {"ledger": "-", **fields})
    assert answer.status == 400
    assert word in answer.text
    assert len(answer.text.strip().splitlines()) == 1
