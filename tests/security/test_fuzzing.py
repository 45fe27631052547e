"""Parsers of what strangers send: whatever comes, an answer or an error of ours, and soon."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

from attacked import attacked_site
from opus_core import queries, validation
from opus_core.backends import NoOptions
from opus_core.definition import JobDefinition, ParameterDescription, ParameterType, UsedDescription
from opus_core.errors import OpusError
from opus_core.forms import FormLimits, Meaning, read_form, read_query
from opus_core.job import Upload
from opus_jdl_wadl.plugin import WadlJdl
from security.fuzzing import SOAK, Fuzzer

pytestmark = pytest.mark.timeout(0 if SOAK else 200)

REQUESTS = Path(__file__).with_name("request_fuzzer.py")
LIMITS = FormLimits(max_text=2**16, max_fields=500, max_file=2**16, max_files=20, max_total=2**18)
JOB = JobDefinition(
    name="fit",
    parameters=(
        ParameterDescription(name="text"),
        ParameterDescription(name="number", type=ParameterType.INT, repeated=True),
        ParameterDescription(name="when", type=ParameterType.DATETIME),
        ParameterDescription(name="real", type=ParameterType.DOUBLE),
        ParameterDescription(name="flag", type=ParameterType.BOOLEAN),
        ParameterDescription(name="where", type=ParameterType.ANYURI),
    ),
    used=(UsedDescription(name="table"),),
    script="true\n",
)


def ours(call):
    """What a call answers; None if it refuses, as it may, by an error of ours."""
    try:
        return call()
    except OpusError as error:
        if not 400 <= error.status < 500 or not error.sentence:
            raise AssertionError(f"a stranger is told of a fault: {error!r}") from error
        return None


def store(chunks, *, name, media_type):
    size = sum(len(chunk) for chunk in chunks)
    return Upload(sha256="0" * 64, size=size, name=name, media_type=media_type)


def given(environ):
    """Read and understand a form, as the server does."""
    meaning = validation.meanings(JOB, ())
    form = ours(lambda: read_form(environ, store=store, limits=LIMITS, meaning=meaning))
    if form is not None:
        ours(lambda: validation.split(form, JOB, ()).parameters(JOB))


def test_multipart(tmp_path):
    def give(data):
        boundary, _, body = data.partition(b"\n")
        given(
            {
                "CONTENT_TYPE": f"multipart/form-data; boundary={boundary.decode('latin-1')}",
                "CONTENT_LENGTH": str(len(body)),
                "wsgi.input": io.BytesIO(body),
            }
        )

    assert Fuzzer("multipart").run(0.35, give, tmp_path) > 0


def test_forms_and_queries(tmp_path):
    def give(data):
        given(
            {
                "CONTENT_TYPE": "application/x-www-form-urlencoded",
                "CONTENT_LENGTH": str(len(data)),
                "wsgi.input": io.BytesIO(data),
            }
        )
        pairs = ours(lambda: read_query({"QUERY_STRING": data.decode("latin-1")}, LIMITS))
        if pairs is not None:
            ours(lambda: queries.parse_wait(pairs))
            ours(lambda: queries.parse_query(pairs))

    assert Fuzzer("forms").run(0.3, give, tmp_path) > 0


def test_descriptions(tmp_path):
    jdl = WadlJdl(NoOptions())
    understood = 0

    def give(data):
        nonlocal understood
        jdl.recognises(data[:4096])
        definition = ours(lambda: jdl.loads(data, {"script": b"true\n"}))
        if definition is None:
            return
        understood += 1
        bundle = ours(lambda: jdl.dumps(definition))
        if bundle is not None:
            assert jdl.loads(bundle.data, bundle.files) == definition

    number = Fuzzer("wadl").run(0.15, give, tmp_path)
    assert 0 < understood < number  # it gets beyond the parser, and not always


def test_a_description_that_would_grow_does_not():
    """Entities within entities, and files elsewhere: neither is looked up."""
    jdl = WadlJdl(NoOptions())
    entities = "".join(f'<!ENTITY e{n + 1} "{f"&e{n};" * 10}">' for n in range(9))
    bomb = f'<!DOCTYPE x [<!ENTITY e0 "lol">{entities}]><application>&e9;</application>'
    outside = (
        '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hostname">]><application>&e;</application>'
    )
    tracemalloc.start()
    for text in (bomb, outside):
        with pytest.raises(OpusError):
            jdl.loads(text.encode())
    assert tracemalloc.get_traced_memory()[1] < 50 * 2**20
    tracemalloc.stop()


def test_requests():
    """Whole requests to the whole application, which runs as somebody without rights."""
    with attacked_site() as site:
        command = [*site.prefix, sys.executable, str(REQUESTS), str(site.folder)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=site.folder)
        assert done.returncode == 0, done.stderr[-3000:]
        tried, answers = json.loads(done.stdout)
        assert tried > 0
        assert {"200", "303", "400", "401", "403", "404", "405"} <= answers.keys(), answers


def test_meanings_are_those_of_the_description():
    """What the fuzzing of forms stands on: files, texts and strangers are told apart."""
    meaning = validation.meanings(JOB, ())
    assert meaning("table") is Meaning.INPUT
    assert meaning("text") is Meaning.TEXT
