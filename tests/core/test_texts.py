from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opus_core.errors import BadRequest, StorageFull, TooLarge
from opus_core.job import LONG_TEXT, Upload
from opus_core.texts import LONGEST, LongText, Texts, are_many


class Store(dict):
    """Keeps in memory what is to be kept as a file."""

    def __call__(self, chunks, *, name, media_type):
        data = b"".join(chunks)
        digest = hashlib.sha256(data).hexdigest()
        self[digest] = data
        return Upload(sha256=digest, size=len(data), name=name, media_type=media_type)


@pytest.fixture
def store():
    return Store()


def pieces(data, size=1000):
    return (data[i : i + size] for i in range(0, len(data), size))


def test_a_text_up_to_the_limit_is_itself(store):
    texts = Texts(store)
    assert texts.take("a", iter(())) == ""
    assert texts.take("a", pieces("é".encode() * 32768)) == "é" * 32768
    assert texts.kept == LONGEST
    assert not store


def test_a_longer_one_is_a_file_of_which_the_beginning_is_known(store):
    data = "é".encode() * 32768 + b"x"
    value = Texts(store).take("a", pieces(data, 999))
    digest = hashlib.sha256(data).hexdigest()
    upload = Upload(sha256=digest, size=len(data), media_type=LONG_TEXT)
    assert value == LongText(upload=upload, beginning="é" * 100, fits_uri=True)
    assert store[digest] == data


def test_without_a_store_every_text_is_itself():
    texts = Texts()
    assert texts.take("a", pieces(b"x" * 10**6)) == "x" * 10**6
    assert texts.kept == 10**6


def test_half_a_mib_is_taken_as_it_comes_and_then_less_and_less(store):
    texts = Texts(store)
    sizes = (60_000, 30_000, 10_000, 3000, 1000, 300, 128, 5)
    kept = {
        size: sum(
            isinstance(texts.take("a", iter([b"%d" % (number % 10) * size])), str)
            for number in range(40)
        )
        for size in sizes
    }
    assert kept[60_000] * 60_000 >= 2**19
    assert 0 < kept[30_000] < 40
    assert 0 < kept[10_000] < 40
    assert kept[128] == kept[5] == 40, "what is short finds room"
    assert texts.kept < 2**20 + 40 * 133


def test_however_many_there_are_the_memory_for_them_is_bounded(store):
    texts = Texts(store)
    for number in range(10_000):
        texts.take("a", iter([b"%0128d" % number]))
    assert not store
    assert texts.kept == 10_000 * 128
    for number in range(1000):
        texts.take("a", iter([b"%0129d" % number]))
    with pytest.raises(TooLarge, match="send them as a file"):
        texts.take("a", iter([b"x" * 129]))
    assert len(store) == 1000


def test_too_many_files_are_not_even_begun(store):
    texts = Texts(store)
    for number in range(1000):
        texts.take("a", iter([b"%070000d" % number]))
    with pytest.raises(TooLarge):
        texts.take("a", iter([b"x" * 70_000]))
    assert len(store) == 1000


@pytest.mark.parametrize("where", [0, 70_000, 149_999])
@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [(b"\xff", "'a' is not UTF-8"), (b"\0", "a has a character in it that no text can hold")],
)
def test_what_is_no_text_is_refused_wherever_it_is(store, where, wrong, sentence):
    data = b"x" * where + wrong + b"x" * (150_000 - where)
    with pytest.raises(BadRequest, match=sentence):
        Texts(store).take("a", pieces(data))
    assert not store


def test_half_a_character_at_the_end_is_refused(store):
    with pytest.raises(BadRequest, match="UTF-8"):
        Texts(store).take("a", pieces(b"x" * 100_000 + "é".encode()[:1]))
    assert not store


def test_a_character_may_lie_in_two_pieces(store):
    value = Texts(store).take("a", pieces("𝄞".encode() * 50_000, 3))
    assert value.beginning == "𝄞" * 100


def test_whether_it_could_be_a_uri_is_found_out(store):
    for text, fits in (("x:" + "y" * 100_000, True), ("y" * 100_000 + " ", False)):
        assert Texts(store).take("a", pieces(text.encode())).fits_uri is fits


def test_the_stores_own_error_is_passed_on():
    def full(chunks, *, name, media_type):
        next(chunks)
        raise StorageFull("full")

    with pytest.raises(StorageFull):
        Texts(full).take("a", pieces(b"x" * 100_000))


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1),
            st.integers(1, 20_000),
        ),
        max_size=8,
    ),
    st.integers(100, 5000),
)
@settings(deadline=None)
def test_nothing_is_lost_in_whatever_pieces_it_comes(given_texts, size):
    store = Store()
    texts = Texts(store)
    for text, times in given_texts:
        data = (text * times).encode()
        value = texts.take("a", pieces(data, size))
        got = value.encode() if isinstance(value, str) else store[value.upload.sha256]
        assert got == data
        if texts.kept < 2**19:
            assert isinstance(value, str) is (len(data) <= LONGEST)


def test_what_many_texts_are():
    assert not are_many(200, 65536)
    assert are_many(201, 0)
    assert are_many(1, 65537)
