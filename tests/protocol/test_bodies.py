"""Bodies of answers: decompressed as they were compressed, and never beyond their bound."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksef_async.protocol.messages import AnswerBody, BodyTooLargeError, UnreadableBodyError


def bare_deflate(plain: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(plain) + compressor.flush()


COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "identity": bytes,
    "gzip": gzip.compress,
    "X-GZIP ": gzip.compress,
    "deflate": zlib.compress,
    "Deflate": bare_deflate,
}


def collected(body: AnswerBody, data: bytes, size: int = 1000) -> bytes:
    for start in range(0, len(data), size):
        body.feed(data[start : start + size])
    body.end()
    return body.content


@given(
    plain=st.binary(max_size=5000),
    encoding=st.sampled_from(sorted(COMPRESSORS)),
    size=st.integers(1, 700),
    spare=st.integers(-1, 3),
)
def test_a_body_comes_back_if_it_is_no_larger_than_its_bound(
    plain: bytes, encoding: str, size: int, spare: int
) -> None:
    body = AnswerBody(largest=max(len(plain) + spare, 0), encoding=encoding)

    if spare < 0 and plain:
        with pytest.raises(BodyTooLargeError):
            collected(body, COMPRESSORS[encoding](plain), size)
        assert body.content == plain[:-1]
    else:
        assert collected(body, COMPRESSORS[encoding](plain), size) == plain


def test_a_gzip_stream_of_several_members_is_read_whole() -> None:
    body = AnswerBody(largest=100, encoding="gzip")

    assert collected(body, gzip.compress(b"one, ") + gzip.compress(b"") + gzip.compress(b"two"), 7) == b"one, two"


@pytest.mark.parametrize(
    ("encoding", "data"),
    [
        pytest.param("gzip", b"plain text", id="not compressed"),
        pytest.param("gzip", gzip.compress(b"x" * 100)[:-9], id="cut"),
        pytest.param("gzip", gzip.compress(b"x") * 101, id="members without end"),
        pytest.param("gzip", gzip.compress(b"x") + b"rest", id="rest that is not compressed"),
        pytest.param("gzip", gzip.compress(b"x")[:-8] + bytes(8), id="wrong checksum"),
        pytest.param("deflate", zlib.compress(b"x") + b"rest", id="deflate with a rest"),
        pytest.param("br", b"", id="an encoding that was not asked for"),
        pytest.param("gzip, gzip", gzip.compress(gzip.compress(b"x")), id="compressed twice"),
    ],
)
def test_a_body_that_is_not_in_its_encoding_is_refused(encoding: str, data: bytes) -> None:
    with pytest.raises(UnreadableBodyError):
        collected(AnswerBody(largest=1000, encoding=encoding), data)


def test_compressed_data_that_says_nothing_ends_at_the_bound() -> None:
    # A gzip header whose file name never ends.
    body = AnswerBody(largest=1000, encoding="gzip")
    body.feed(b"\x1f\x8b\x08\x08" + bytes(6))

    with pytest.raises(BodyTooLargeError):
        for _ in range(1000):
            body.feed(b"x" * 1000)


def test_a_bomb_takes_no_more_memory_than_the_bound() -> None:
    bomb = gzip.compress(bytes(200_000_000), 9)
    body = AnswerBody(largest=1_000_000, encoding="gzip")

    tracemalloc.start()
    with pytest.raises(BodyTooLargeError):
        body.feed(bomb)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 5_000_000
