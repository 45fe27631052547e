"""A line of the log: its facts, what nobody can make of it, and what is struck out."""

from __future__ import annotations

import json
import logging
import re
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opus_core.facts import about, add, during
from opus_core.lines import Json, Text, escaped, strike

HEAD = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (\w+) (\S+?)((?: [a-z_]+=.*)?): (.*)")
PAIR = re.compile(r' ([a-z_]+)=("(?:[^"\\]|\\.)*"|[^\s"]+)')
FORGED = "2026-03-01T09:30:12.345Z ERROR opus_core.service job=1: deleted"
HOSTILE = [
    f"a\n{FORGED}",
    f"a\r\n{FORGED}",
    f"a\x85{FORGED}",
    f"a\u2028{FORGED}",
    f"a\x0b{FORGED}",
    "\x1b[2J\x1b[31mred",
    "\x9b31mred",
    "a\x08\x08\x08b",
    "\u202egnp.exe",
    "\u2066\u200f\u061c",
    "\ufeff",
    "\x00",
    "\udcff",
    'x" job=1 user="root',
    "x job=1",
    "job=1",
    "x: y",
    "x:",
    ": y",
    "\\",
    '\\"',
    "",
    " ",
    "'",
    "é ü",
    "🙂",
    "x" * 100_000,
]


def record(message="said", *args, facts=None, error=None, level=logging.INFO):
    made = logging.LogRecord("opus_core.it", level, "it.py", 1, message, args, error)
    made.__dict__.update(about(**(facts or {})))
    return made


def caught(error):
    try:
        raise error
    except type(error):
        return sys.exc_info()


def parsed(line):
    """What a reader finds in a line of text: its facts and its sentence."""
    match = HEAD.fullmatch(line)
    assert match, line
    facts, rest = {}, line.split(" ", 2)[2].removeprefix("opus_core.it")
    while found := PAIR.match(rest):
        value = found[2]
        facts[found[1]] = json.loads(value) if value.startswith('"') else value
        rest = rest[found.end() :]
        if value.endswith(":") and not value.startswith('"'):
            facts[found[1]] = value[:-1]
            rest = f":{rest}"
    assert rest.startswith(": "), line
    return facts, rest[2:]


def test_a_line_of_text_has_facts_and_a_sentence():
    line = Text().format(record("created", facts={"job": "1f", "ms": 1.5, "user": "Ann B"}))
    assert re.fullmatch(r'\S+Z INFO opus_core.it job=1f ms=1.5 user="Ann B": created', line)


def test_a_line_of_json_has_each_fact_under_its_name():
    line = Json().format(record("took %d", 2, facts={"job": "1f", "ms": 1.5, "cut": True}))
    entry = json.loads(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", entry.pop("time"))
    assert entry == {
        "level": "INFO",
        "logger": "opus_core.it",
        "message": "took 2",
        "job": "1f",
        "ms": 1.5,
        "cut": True,
    }


def test_no_fact_takes_the_place_of_what_an_entry_has_itself():
    entry = json.loads(Json().format(record(facts={"level": "DEBUG", "message": "no", "time": 1})))
    assert (entry["level"], entry["message"]) == ("INFO", "said")
    assert entry["time"] != 1


def test_what_is_none_is_left_out_and_what_is_no_number_is_a_word():
    entry = json.loads(Json().format(record(facts={"job": None, "ms": float("nan")})))
    assert "job" not in entry
    assert entry["ms"] == "nan"


@pytest.mark.parametrize("form", [Text(), Json()])
def test_a_trace_is_on_the_line(form):
    error = caught(RuntimeError(f"no\n{FORGED}"))
    line = form.format(record("failed", error=error, level=logging.ERROR))
    assert len(line.splitlines()) == 1
    assert "Traceback" in line
    assert "RuntimeError" in line
    if isinstance(form, Json):
        assert json.loads(line)["trace"].splitlines()[-1] == FORGED


@pytest.mark.parametrize("hostile", HOSTILE)
def test_nothing_that_somebody_wrote_begins_a_line_or_hides_one(hostile):
    fact, said = record(facts={"run_id": hostile, "job": "9"}), record("%s", hostile)
    traced = record("failed", error=caught(RuntimeError(hostile)))
    for one in (fact, said, traced):
        for form in (Text(), Json()):
            line = form.format(one)
            assert line.isprintable()
            assert len(line.splitlines()) == 1
            line.encode()
    entry = json.loads(Json().format(fact))
    assert entry["job"] == "9"
    assert entry["run_id"][:500] == hostile[:500]
    facts, sentence = parsed(Text().format(fact))
    assert (facts["job"], sentence) == ("9", "said")
    assert facts["run_id"][:500] == hostile[:500]
    assert parsed(Text().format(said))[0] == {}


@given(st.dictionaries(st.sampled_from(["run_id", "user", "path"]), st.text()), st.text())
def test_what_is_read_from_a_line_is_what_was_written(facts, sentence):
    line = Text().format(record("%s", sentence, facts=facts))
    found, said = parsed(line)
    assert found == {name: strike(value)[:500] for name, value in facts.items()}
    assert said == escaped(strike(sentence))


@given(st.text(alphabet='job=12" :\\\n\u202e', max_size=20))
def test_whoever_looks_for_a_job_finds_only_what_is_about_it(text):
    line = Text().format(record(facts={"run_id": text, "user": text, "path": text}))
    assert "job=" not in line


PIECES = st.sampled_from(
    [
        "token=",
        '"',
        "'",
        "\\",
        " ",
        "https://x/?",
        "@",
        "/signin/",
        "password': ",
        "Bearer A",
        "\n",
        "x",
    ]
)


@given(st.lists(PIECES).map("".join))
def test_what_is_struck_leaves_a_line_as_sound_as_before(text):
    one = record("%s", text, facts={"path": text, "token": text, "job": "9"})
    entry = json.loads(Json().format(one))
    assert (entry["message"], entry["path"]) == (strike(text), strike(text))
    assert (entry["token"], entry["job"]) == ("***", "9")
    facts, sentence = parsed(Text().format(one))
    assert facts == {"path": strike(text), "token": "***", "job": "9"}
    assert sentence == escaped(strike(text))


def test_values_that_do_not_fit_cost_no_line():
    assert "do not fit" in Text().format(record("%d of %d", "x"))


def test_facts_that_stand_are_in_every_line_until_they_do_not():
    plain = logging.LogRecord("plugin", logging.INFO, "p.py", 1, "hello", (), None)
    with during(request="r1", address="192.0.2.1"):
        add(user="ann", address=None)
        with during(job="1"):
            assert Text().format(plain).endswith(" plugin request=r1 user=ann job=1: hello")
            assert " job=2 request=r1 user=ann: said" in Text().format(record(facts={"job": "2"}))
        assert Text().format(plain).endswith(" plugin request=r1 user=ann: hello")
        elsewhere = []
        thread = threading.Thread(target=lambda: elsewhere.append(Text().format(plain)))
        thread.start()
        thread.join()
        assert elsewhere[0].endswith(" plugin: hello")
    add(user="eve")
    assert Text().format(plain).endswith(" plugin: hello")


TOKEN = "opus_0123456789ab_" + "Aa-_" * 10 + "xyz"
TICKET = "1767225600." + "0af9" * 16
SECRETS = {
    f"no such token {TOKEN}": TOKEN[18:],
    f"GET /signin/{TOKEN}": TOKEN[18:],
    "GET /signin/hunter2-short": "hunter2",
    f"GET /rest/x/1/results/a?TICKET={TICKET}&x=1": TICKET[11:],
    f"the ticket {TICKET} is old": TICKET[11:],
    "Authorization: Bearer hunter2Hunter2": "hunter2Hunter2",
    "{'authorization': 'Basic aHVudGVyMjpodW50ZXIy'}": "aHVudGVyMjpodW50ZXIy",
    f"Cookie: opus={'h' * 43}": "h" * 43,
    f"Cookie: __Host-opus={'h' * 43}; a=b": "h" * 43,
    "cannot connect to postgresql+psycopg://opus:hunter2@db/opus": "hunter2",
    "https://hunter2@hooks.example.org/x": "hunter2",
    "'https://data.example.org/a.fits?X-Amz-Signature=hunter2' is not there": "hunter2",
    "password=hunter2": "hunter2",
    'PASSWORD="hunter 2"': "hunter 2",
    "{'password': 'hunter 2'}": "hunter 2",
    '{"token": "hunter2"}': "hunter2",
    "token=hunter2&jobid=1": "hunter2",
    "postgresql+psycopg2://opus:hunter2@db/opus": "hunter2",
    "HTTP://ann:hunter2@h/": "hunter2",
    "HTTPS://h/x?sig=hunter2": "hunter2",
    "postgresql://opus:hun/ter2@db": "ter2",
    "smtp://ann:hunter@2@h": "2@h",
    "s3://ann:hunter2@h": "hunter2",
    "access_token=hunter2": "hunter2",
    "client_secret=hunter2": "hunter2",
    "{'access_token': 'hunter2'}": "hunter2",
    "PGPASSWORD=hunter2": "hunter2",
    "password = hunter2": "hunter2",
    "password: hunter2": "hunter2",
}


@pytest.mark.parametrize("name", ["token", "access_token", "smtp_password", "secret"])
def test_a_fact_that_is_called_a_secret_is_one(name):
    assert "hunter2" not in Text().format(record(facts={name: "hunter2"}))


def test_what_is_too_long_is_cut_after_secrets_are_struck():
    for before in range(3900, 4010, 7):
        text = "x" * before + f" {TICKET} " + "y" * 9000
        line = Text().format(record("%s", text))
        assert TICKET[11:19] not in line
        assert len(line) < 4200
    trace = Text().format(record("failed", error=caught(RuntimeError(f"{TICKET} " + "y" * 15_970))))
    assert "0af9" not in trace


@pytest.mark.parametrize(("text", "secret"), SECRETS.items())
def test_what_looks_like_a_secret_is_struck_out(text, secret):
    traced = record("failed", error=caught(RuntimeError(text)))
    for form in (Text(), Json()):
        for one in (record("%s", text), record(facts={"path": text}), traced):
            line = form.format(one)
            assert secret not in line
            assert "***" in line


@pytest.mark.parametrize(
    "text",
    [
        "the Basic credentials are malformed; send `user:token` in base64",
        "job=0123456789abcdef0123456789abcdef path=/rest/x/0/phase",
        "sha256 " + "0af9" * 16,
        "opus_core.auth.tokens act=token made",
        "https://opus.example.org/rest/x",
        "the token that is shown is no word",
    ],
)
def test_what_is_none_stays(text):
    assert strike(text) == text


def test_the_public_part_of_a_token_stays():
    assert strike(f"token {TOKEN} is old") == "token opus_0123456789ab_*** is old"
