from __future__ import annotations

import hashlib
import io
import tracemalloc
import uuid
from urllib.parse import quote_plus, unquote_to_bytes, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opus_core.errors import BadRequest, OpusError, StorageFull, TooLarge
from opus_core.folder import Folders
from opus_core.forms import Form, FormLimits, read_form, read_query
from opus_core.job import Upload, new_id

URLENCODED = "application/x-www-form-urlencoded"
BOUNDARY = "x-boundary-x"


class Store(dict):
    """Keeps files in memory by hash, as the folder does on disk."""

    def __call__(self, chunks, *, name, media_type):
        data = b"".join(chunks)
        digest = hashlib.sha256(data).hexdigest()
        self[digest] = data
        return Upload(sha256=digest, size=len(data), name=name, media_type=media_type)


def environ(body=b"", content_type=URLENCODED, query="", **others):
    return {
        "wsgi.input": io.BytesIO(body),
        "CONTENT_LENGTH": str(len(body)),
        "CONTENT_TYPE": content_type,
        "QUERY_STRING": query,
        **others,
    }


def part(name, data, file_name=None, *, headers=""):
    disposition = f'Content-Disposition: form-data; name="{name}"'
    if file_name is not None:
        disposition += f'; filename="{file_name}"'
    return f"--{BOUNDARY}\r\n{disposition}\r\n{headers}\r\n".encode() + data + b"\r\n"


def multipart(*parts, **others):
    body = b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()
    return environ(body, f"multipart/form-data; boundary={BOUNDARY}", **others)


def read(given, store=None, **limits) -> Form:
    return read_form(given, store=Store() if store is None else store, limits=FormLimits(**limits))


# -- text


def test_the_query_string_comes_before_the_body():
    form = read(environ(b"a=2&b=%C3%A9+%26", query="PHASE=RUN&a=1"))
    assert form.values == (("PHASE", "RUN"), ("a", "1"), ("a", "2"), ("b", "é &"))


def test_a_request_without_a_body_is_a_form_whatever_its_content_type():
    for content_type in ("", "application/json", URLENCODED, "multipart/form-data"):
        assert read(environ(b"", content_type, query="a=1")).values == (("a", "1"),)
    assert read({"QUERY_STRING": ""}) == Form()


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a", (("a", ""),)),
        ("a=", (("a", ""),)),
        ("a=b=c", (("a", "b=c"),)),
        ("&&a=1&", (("a", "1"),)),
        ("a=1;b=2", (("a", "1;b=2"),)),
        ("a=%zz%4", (("a", "%zz%4"),)),
        ("a=%00%0D%0A", (("a", "\0\r\n"),)),
    ],
)
def test_odd_pairs_lose_nothing(text, values):
    assert read(environ(text.encode())).values == values
    assert read_query({"QUERY_STRING": text}) == values


@pytest.mark.parametrize("length", [0, 1, 5000, 5461, 5462, 100_000])
def test_a_text_field_of_any_length_arrives_whole(length):
    long = "long ADQL é " * length
    for sent in (environ(urlencode({"q": long}).encode()), multipart(part("q", long.encode()))):
        store = Store()
        [(name, value)] = read(sent, store).values
        assert name == "q"
        if len(long.encode()) <= 65536:
            assert value == long
            assert not store
        else:
            assert store[value.upload.sha256] == long.encode()
            assert value.upload.is_text
            assert value.upload.name == ""


def test_a_part_without_a_file_name_is_text_whatever_its_type_or_length():
    store = Store()
    given = multipart(part("a", b"x" * 300_000, headers="Content-Type: text/csv\r\n"))
    form = read(given, store)
    assert list(store.values()) == [b"x" * 300_000]
    assert form.values[0][1].upload.is_text
    assert not form.uploads


@pytest.mark.parametrize("name", ["text/plain; charset=UTF-8", "text/plain;charset=us-ascii"])
def test_a_text_part_may_say_that_it_is_utf8(name):
    given = multipart(part("a", b"x", headers=f"Content-Type: {name}\r\n"))
    assert read(given).values == (("a", "x"),)


@pytest.mark.parametrize(
    "given",
    [
        environ(b"a=%ff"),
        environ(b"%ff=a"),
        environ(b"a=\xff"),
        environ(query="a=%ff"),
        environ(query="a=\xff"),
        environ(query="a=\u20ac"),
        multipart(part("a", b"\xff")),
        multipart(part("a", b"x" * 100_000 + b"\xff" + b"x" * 100_000)),
        environ(b"a=" + b"x" * 100_000 + b"%c3"),
        multipart(part("a", b"x", headers="Content-Type: text/plain; charset=latin-1\r\n")),
        environ(b"a=1", URLENCODED + "; charset=iso-8859-1"),
    ],
)
def test_what_is_not_utf8_is_refused(given):
    with pytest.raises(BadRequest, match=r"UTF-8|percent-encoded"):
        read(given)


@pytest.mark.parametrize("content_type", ["", "application/json", "text/plain", "garbage"])
def test_a_body_of_another_type_is_refused_with_the_legal_ones(content_type):
    with pytest.raises(BadRequest, match="send application/x-www-form-urlencoded or multipart"):
        read(environ(b"a=1", content_type))


# -- files


def test_a_file_goes_to_the_store_with_its_name_and_type():
    store = Store()
    data = b"SIMPLE  = \r\n--not the boundary\r\n" * 10_000
    form = read(
        multipart(
            part("emin", b"1"),
            part("evfile", data, "é vents.fits", headers="Content-Type: application/fits\r\n"),
            part("emax", b"2"),
        ),
        store,
    )
    digest = hashlib.sha256(data).hexdigest()
    assert form.values == (("emin", "1"), ("emax", "2"))
    assert form.uploads == (
        (
            "evfile",
            Upload(
                sha256=digest, size=len(data), name="é vents.fits", media_type="application/fits"
            ),
        ),
    )
    assert store[digest] == data


def test_a_real_folder_keeps_what_was_sent(tmp_path):
    folders, job_id = Folders(tmp_path), new_id()
    data = b"\0\xff" * 100_000

    def store(chunks, *, name, media_type):
        return folders.store(job_id, chunks, name=name, media_type=media_type)

    form = read(multipart(part("a", data, "a.bin")), store)
    [(_, upload)] = form.uploads
    assert (folders.path(job_id) / "input" / upload.sha256).read_bytes() == data


def test_a_file_is_streamed_in_pieces():
    sizes = []

    def store(chunks, *, name, media_type):
        sizes.extend(len(chunk) for chunk in chunks)
        return Upload(sha256="", size=sum(sizes))

    read(multipart(part("a", b"x" * 3_000_000, "a")), store)
    assert sum(sizes) == 3_000_000
    assert max(sizes) <= 70_000


def test_a_file_field_in_which_nothing_was_chosen_is_no_file():
    form = read(multipart(part("a", b"", "", headers="Content-Type: application/octet-stream\r\n")))
    assert form == Form()


def test_a_chosen_file_may_be_empty_and_a_file_may_have_no_name():
    form = read(multipart(part("a", b"", "a.txt"), part("b", b"data", "")))
    assert [(name, one.size, one.name) for name, one in form.uploads] == [
        ("a", 0, "a.txt"),
        ("b", 4, ""),
    ]


def test_a_file_name_may_come_in_the_extended_notation():
    body = (
        f"--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"a\"; filename*=UTF-8''%C3%A9.txt"
        f"\r\n\r\n\x00\r\n--{BOUNDARY}--\r\n"
    ).encode()
    given = environ(body, f"multipart/form-data; boundary={BOUNDARY}")
    [(name, upload)] = read(given).uploads
    assert (name, upload.name, upload.size) == ("a", "é.txt", 1)


@pytest.mark.parametrize("file_name", ["a%0Ab", "a%0D%0AX: y", "a\x00b", "a\x1b[2J"])
def test_a_file_name_with_control_characters_is_refused(file_name):
    with pytest.raises(BadRequest, match="control characters"):
        read(multipart(part("a", b"x", file_name)))


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "$(touch owned)", "a;b", "\u202egnp.exe", "x" * 2000, "a\\b"]
)
def test_a_hostile_file_name_is_only_a_text(name):
    [(_, upload)] = read(multipart(part("a", b"x", name))).uploads
    assert upload.name == name


@pytest.mark.parametrize("media_type", ["nonsense", "text/html\x01", "a/" + "b" * 200, ""])
def test_a_media_type_that_is_none_becomes_bytes(media_type):
    [(_, upload)] = read(
        multipart(part("a", b"x", "a", headers=f"Content-Type: {media_type}\r\n"))
    ).uploads
    assert upload.media_type == "application/octet-stream"


def test_what_a_store_leaves_unread_is_not_taken_for_fields():
    def store(chunks, *, name, media_type):
        next(chunks)
        return Upload(sha256="", size=0)

    form = read(multipart(part("a", b"x" * 1_000_000, "a"), part("b", b"2")), store)
    assert form.values == (("b", "2"),)


def test_the_stores_own_error_is_passed_on():
    def store(chunks, *, name, media_type):
        next(chunks)
        raise StorageFull("full")

    with pytest.raises(StorageFull):
        read(multipart(part("a", b"x" * 1_000_000, "a")), store)


# -- limits


@pytest.mark.parametrize(
    ("given", "limits", "sentence"),
    [
        (environ(b"a=12345"), {"max_text": 5}, "more than 5 bytes together"),
        (environ(b"a=" + b"x" * 70_000), {"max_text": 5, "max_fields": 1}, "more than 5 bytes"),
        (environ(query="a=12345"), {"max_text": 5}, "more than 5 bytes together"),
        (multipart(part("a", b"12345")), {"max_text": 5}, "more than 5 bytes together"),
        (multipart(part("a", b"1"), part("bcd", b"23")), {"max_text": 5}, "more than 5 bytes"),
        (environ(b"a&b&c"), {"max_fields": 2}, "more than 2 fields"),
        (environ(b"a&b", query="c"), {"max_fields": 2}, "more than 2 fields"),
        (multipart(*[part("a", b"")] * 3), {"max_fields": 2}, "more than 2 fields"),
        (multipart(*[part("a", b"", "a")] * 3), {"max_fields": 2}, "more than 2 fields"),
        (multipart(part("a", b"12345", "a")), {"max_file": 4}, "more than 4 bytes"),
        (multipart(*[part("a", b"1", "a")] * 3), {"max_files": 2}, "more than 2 files"),
        (environ(b"a=12345"), {"max_total": 6}, "7 bytes; 6 is the most"),
        (multipart(part("a", b"")), {"max_total": 6}, "6 is the most"),
        (multipart(part("a", b"1" * 70_000)), {"max_text": 70_000}, "more than 70000 bytes"),
        (environ(b"a" * 2_000_000 + b"=1"), {}, "name of one of the text fields"),
        (environ(b"&".join([b"a" * 60_000] * 20)), {}, "names of the text fields"),
        (multipart(part("a", b"", headers="X: " + "y" * 5000 + "\r\n")), {}, "too much in it"),
        (multipart(part("a", b"", headers="X: y\r\n" * 50)), {}, "too much in it"),
    ],
)
def test_a_limit_is_kept_and_named(given, limits, sentence):
    with pytest.raises(TooLarge, match=sentence):
        read(given, **limits)


def test_what_is_exactly_at_a_limit_is_taken():
    given = multipart(part("a", b"1234"), part("b", b"123456", "b"))
    length = int(given["CONTENT_LENGTH"])
    form = read(given, max_text=5, max_fields=2, max_files=1, max_file=6, max_total=length)
    assert len(form.values) == len(form.uploads) == 1


def test_a_body_declared_too_long_is_refused_before_it_is_read():
    given = environ(b"a=1", CONTENT_LENGTH=str(10**12))
    with pytest.raises(TooLarge):
        read(given)
    assert given["wsgi.input"].tell() == 0


def test_a_chunked_body_stops_at_the_limit():
    class Endless(io.RawIOBase):
        taken = 0

        def read(self, size=-1):
            self.taken += size
            return b"x" * size

    given = environ(CONTENT_LENGTH="", **{"wsgi.input": Endless(), "wsgi.input_terminated": True})
    with pytest.raises(TooLarge, match="text fields"):
        read(given, max_text=100_000, max_fields=10)
    assert given["wsgi.input"].taken < 500_000


def test_a_chunked_body_is_counted_as_a_whole():
    parts = [part("a", b"x" * 50_000, "a")] * 4
    given = multipart(*parts, CONTENT_LENGTH="", **{"wsgi.input_terminated": True})
    with pytest.raises(TooLarge, match="the body has more than 150000 bytes"):
        read(given, max_total=150_000)


ESCAPES = st.text("%=&+046z \r\n_").map(str.encode)


@given(ESCAPES, st.integers(1, 5))
def test_an_urlencoded_text_is_the_same_in_whatever_pieces_it_comes(data, size):
    class InPieces(io.BytesIO):
        def read(self, wanted=-1):
            return super().read(min(size, wanted))

    fields = [piece.replace(b"+", b" ").partition(b"=") for piece in data.split(b"&") if piece]
    expected = [(unquote_to_bytes(name), unquote_to_bytes(value)) for name, _, value in fields]
    found = read({**environ(data), "wsgi.input": InPieces(data)}).values
    assert [(name.encode(), value.encode()) for name, value in found] == expected


def discard(chunks, *, name, media_type):
    """A store that keeps only the size."""
    return Upload(sha256="", size=sum(map(len, chunks)), name=name, media_type=media_type)


@pytest.mark.parametrize(
    ("given", "size"),
    [
        (environ(b"a=" + b"%41" * 4_000_000), 4_000_000),
        (environ(b"&".join([b"a=" + b"%26" * 65_000] * 60)), 60 * 65_000),
        (multipart(part("a", b"&" * 4_000_000)), 4_000_000),
        (multipart(*[part("a", "𝄞".encode() * 16_000)] * 60), 60 * 64_000),
    ],
)
def test_texts_take_little_memory_however_long_and_however_many(given, size):
    tracemalloc.start()
    try:
        values = [value for _, value in read(given, discard).values]
        assert tracemalloc.get_traced_memory()[1] < 7_000_000  # of which 4 are a MiB as str
    finally:
        tracemalloc.stop()
    kept = sum(len(value.encode()) for value in values if isinstance(value, str))
    assert kept + sum(one.upload.size for one in values if not isinstance(one, str)) == size
    assert kept <= 2**20


def test_a_form_of_many_texts_says_so_before_it_is_read_to_its_end():
    for sent in (
        environ(b"&".join([b"a=1"] * 1000)),
        multipart(*[part("a", b"x" * 30_000)] * 20),
        environ(query="a=1&" * 1000),
    ):
        said = []
        form = read_form(
            sent, store=discard, limits=FormLimits(), heavy=lambda said=said: said.append(1)
        )
        assert said == [1]
        assert len(form.values) >= 20
    read_form(
        multipart(part("a", b"x" * 3_000_000), *[part("a", b"1")] * 100, part("b", b"y" * 9999)),
        store=discard,
        limits=FormLimits(),
        heavy=lambda: pytest.fail("what is long is no burden"),
    )


# -- broken bodies


def test_a_truncated_body_is_refused():
    whole = multipart(part("a", b"x" * 100, "a"), part("b", b"y"))
    body, length = whole["wsgi.input"].getvalue(), whole["CONTENT_LENGTH"]
    for cut in range(1, len(body) - 4):  # the last four bytes only close what is complete
        for declared in (length, str(cut)):
            with pytest.raises(BadRequest):
                read({**whole, "wsgi.input": io.BytesIO(body[:cut]), "CONTENT_LENGTH": declared})


def test_a_truncated_urlencoded_body_is_refused():
    with pytest.raises(BadRequest, match="ended after 3 of 10 bytes"):
        read(environ(b"a=1", CONTENT_LENGTH="10"))


def test_a_truncated_upload_leaves_nothing_behind(tmp_path):
    folders, job_id = Folders(tmp_path), new_id()

    def store(chunks, *, name, media_type):
        return folders.store(job_id, chunks, name=name, media_type=media_type)

    given = multipart(part("a", b"x" * 300_000, "a"))
    given["wsgi.input"] = io.BytesIO(given["wsgi.input"].getvalue()[:200_000])
    with pytest.raises(BadRequest):
        read(given, store)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_only_as_much_is_read_as_was_declared():
    given = environ(b"a=1&b=2GET / HTTP/1.1", CONTENT_LENGTH="7")
    assert read(given).values == (("a", "1"), ("b", "2"))
    assert given["wsgi.input"].read() == b"GET / HTTP/1.1"


@pytest.mark.parametrize("length", ["x", "-1", "1.5", "1" * 5000, "٣", "0x10"])
def test_a_length_that_is_none_is_refused(length):
    with pytest.raises((BadRequest, TooLarge)):
        read(environ(b"a=1", CONTENT_LENGTH=length))


def test_a_chunked_body_is_read_to_its_end():
    given = environ(b"a=1", CONTENT_LENGTH="", **{"wsgi.input_terminated": True})
    assert read(given).values == (("a", "1"),)
    given = multipart(part("a", b"1"), CONTENT_LENGTH="", **{"wsgi.input_terminated": True})
    assert read(given).values == (("a", "1"),)


def test_a_chunked_body_without_an_end_is_refused_instead_of_waited_for():
    given = environ(b"a=1", CONTENT_LENGTH="", HTTP_TRANSFER_ENCODING="chunked")
    with pytest.raises(BadRequest, match="send a Content-Length"):
        read(given)


def test_a_client_that_went_away_is_a_bad_request():
    class Broken(io.RawIOBase):
        def read(self, size=-1):
            raise OSError("connection reset")

    with pytest.raises(BadRequest, match="could not be read to its end"):
        read(environ(b"", CONTENT_LENGTH="5", **{"wsgi.input": Broken()}))


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"x", "multipart/form-data"),
        (b"x", "multipart/form-data; boundary="),
        (b"garbage", f"multipart/form-data; boundary={BOUNDARY}"),
        (part("", b"x"), f"multipart/form-data; boundary={BOUNDARY}"),
        (f"--{BOUNDARY}\r\n\r\nx".encode(), f"multipart/form-data; boundary={BOUNDARY}"),
        (f"--{BOUNDARY}\r\nX: y\r\n\r\nx".encode(), f"multipart/form-data; boundary={BOUNDARY}"),
        (b"--x", "multipart/form-data; boundary=\ud800"),
    ],
)
def test_a_malformed_multipart_body_is_refused(body, content_type):
    with pytest.raises(BadRequest):
        read(environ(body, content_type))


# -- digest


def test_equal_requests_have_equal_digests_however_they_were_encoded():
    plain = read(environ(b"a=1&b=%C3%A9"))
    assert plain.digest == read(multipart(part("a", b"1"), part("b", "é".encode()))).digest
    assert plain.digest == read(environ(b"b=%C3%A9", query="a=1")).digest


@pytest.mark.parametrize("body", [b"a=2&b=3", b"b=3&a=1", b"ab=&1=3", b"a=1", b"a=1&b=3&c", b""])
def test_different_requests_have_different_digests(body):
    assert read(environ(body)).digest != read(environ(b"a=1&b=3")).digest


def test_a_digest_covers_long_texts_and_tells_them_from_files_and_from_their_hashes():
    long = b"x" * 100_000
    digest = hashlib.sha256(long).hexdigest().encode()
    as_text = read(environ(b"a=" + long)).digest
    assert as_text == read(multipart(part("a", long))).digest
    others = [part("a", long[1:]), part("a", long, "f"), part("a", digest)]
    assert as_text not in {read(multipart(other)).digest for other in others}


def test_a_digest_covers_what_is_in_the_files():
    assert (
        read(multipart(part("a", b"1", "f"))).digest != read(multipart(part("a", b"2", "f"))).digest
    )
    digest = hashlib.sha256(b"1").hexdigest()
    file = read(multipart(part("a", b"1", "f")))
    assert file.digest != read(multipart(part("a", digest.encode()))).digest


# -- anything at all

TEXT = st.text(st.characters(exclude_categories=("Cs",)))


@given(st.lists(st.tuples(TEXT, TEXT)))
def test_what_a_browser_encodes_comes_back(pairs):
    pairs = [(name, value) for name, value in pairs if name or value]
    body = "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in pairs)
    assert read(environ(body.encode())).values == tuple(pairs)


@given(
    st.lists(
        st.tuples(st.from_regex(r"[a-zA-Z0-9_]{1,9}", fullmatch=True), st.binary(), st.booleans())
    )
)
def test_what_a_browser_sends_in_parts_comes_back(parts):
    store = Store()
    boundary = uuid.uuid4().hex
    body = b""
    for name, data, _ in parts:
        body += f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; '.encode()
        body += b'filename="f"\r\n\r\n' + data + b"\r\n"
    body += f"--{boundary}--\r\n".encode()
    form = read(environ(body, f'multipart/form-data; boundary="{boundary}"'), store)
    assert [(name, store[upload.sha256]) for name, upload in form.uploads] == [
        (name, data) for name, data, _ in parts
    ]


PIECES = st.sampled_from(
    [
        f"--{BOUNDARY}", "--", "\r\n", "\n", "\r", ": ", ";", "=", '"', "name", "filename", "\\",
        "Content-Disposition", "form-data", "Content-Type", "text/plain", "charset",
        "Content-Length", "é", "\0", "%0D", " ", 'Content-Disposition: form-data; name="a"\r\n',
        "filename*=UTF-8''%ff",
        f"\r\n--{BOUNDARY}\r\n", f"\r\n--{BOUNDARY}--", "x" * 5000,
    ]
)  # fmt: skip


@settings(max_examples=300)
@given(
    st.lists(PIECES.map(str.encode) | st.binary(max_size=5), max_size=30).map(b"".join),
    st.sampled_from([URLENCODED, f"multipart/form-data; boundary={BOUNDARY}"])
    | st.text(max_size=40),
    st.text(st.characters(max_codepoint=255)),
)
def test_no_request_raises_anything_but_our_own_errors(body, content_type, query):
    try:
        form = read(environ(body, content_type, query))
    except OpusError as error:
        assert error.sentence  # noqa: PT017 - either way is fine, but an error must speak
        return
    assert len(form.digest) == 64
