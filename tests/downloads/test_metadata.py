"""What a package tells of its invoices: read row by row, in little memory, however it is written."""

from __future__ import annotations

import io
import json
import time
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksef_async.downloads.archives import UnpackLimits, open_archive
from ksef_async.downloads.metadata import Row, read_metadata
from ksef_async.errors import RemoteProtocolError

LIMITS = UnpackLimits()


def texts(pieces: list[bytes]) -> list[str]:
    return [row.text for row in read_metadata(pieces, LIMITS)]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(JSON, max_size=6), st.integers(1, 40), st.booleans(), st.booleans())
def test_rows_are_the_same_wherever_the_pieces_are_cut(
    rows: list[object], size: int, is_indented: bool, is_ascii: bool
) -> None:
    written = {"version": 1, "invoices": rows, "more": "]}"}
    data = json.dumps(written, indent=3 if is_indented else None, ensure_ascii=is_ascii).encode("utf-8", "replace")

    found = texts([data[start : start + size] for start in range(0, len(data), size)])

    assert [json.loads(text) for text in found] == json.loads(data)["invoices"]


def test_row_that_cannot_be_read_does_not_spoil_the_others() -> None:
    data = b'{"invoices":[1,"a",{},{"ksefNumber":5},[]]}'

    found = list(read_metadata([data], LIMITS))

    assert [row.metadata for row in found] == [None] * 5
    assert [row.unread[0][0].startswith(f"$.invoices[{number}]") for number, row in enumerate(found)] == [True] * 5


@pytest.mark.parametrize("length", [499_999, 500_000])
def test_longest_row_is_read(length: int) -> None:
    row = '{"a":"' + "x" * (length - 8) + '"}'

    assert texts([b'{"invoices":[', row.encode(), b"]}"]) == [row]


def pieces_of(piece: bytes, size: int) -> Iterator[bytes]:
    yield b'{"invoices":['
    for _ in range(size // len(piece)):
        yield piece


ENDLESS: dict[str, bytes] = {
    "one text": b"x" * 2**16,
    "one array": b"[1,[2,3],[4" + b",5" * 1_000 + b"],6],",
    "one number": b"1" * 2**16,
}


@pytest.mark.parametrize("kind", ENDLESS)
def test_row_without_end_is_refused_soon_and_in_little_memory(kind: str) -> None:
    beginning = {"one text": b'"', "one array": b"[", "one number": b""}[kind]
    tracemalloc.start()
    started = time.perf_counter()
    try:
        with pytest.raises(RemoteProtocolError) as caught:
            list(read_metadata(_then(beginning, pieces_of(ENDLESS[kind], 190_000_000)), LIMITS))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 60_000_000
    assert time.perf_counter() - started < 10
    # Nothing of what was read is in the error.
    assert caught.value.__context__ is None
    assert len(str(caught.value)) < 300


def _then(beginning: bytes, pieces: Iterator[bytes]) -> Iterator[bytes]:
    yield next(pieces)
    yield beginning
    yield from pieces


BLANKS = {
    "before the object": lambda blanks: blanks + b'{"invoices":[]}',
    "before the row": lambda blanks: b'{"invoices":[' + blanks + b"{}]}",
    "after the row": lambda blanks: b'{"invoices":[{}' + blanks + b"]}",
    "after the array": lambda blanks: b'{"invoices":[{}]' + blanks + b"}",
    "after the object": lambda blanks: b'{"invoices":[{}]}' + blanks,
}


@pytest.mark.parametrize("where", BLANKS)
def test_blanks_take_no_memory(where: str) -> None:
    make: Callable[[bytes], bytes] = BLANKS[where]
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        packed.writestr("_metadata.json", make(b" " * 60_000_000))
    tracemalloc.start()
    try:
        rows = read_all(file)
    except RemoteProtocolError:
        # They are longer than all before the array may be.
        rows = []
        assert where == "before the object"
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert len(rows) == (0 if where == "before the object" else 1)
    assert peak < 5_000_000


def read_all(file: io.BytesIO) -> list[Row]:
    return [row for pieces in open_archive(file, LIMITS).metadata() for row in read_metadata(pieces, LIMITS)]


def test_all_metadata_of_a_package_have_one_bound_together() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        for number in range(20):
            packed.writestr(f"_metadata-{number}.json", b" " * 4_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(RemoteProtocolError, match="64,000,000"):
            open_archive(file, LIMITS)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 5_000_000
