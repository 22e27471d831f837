"""What is refused before anything is sent, by name."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from opened_packages import spool_is_empty

from ksef_async.errors import CryptoError, LocalProtocolError
from ksef_async.packing import pack
from ksef_async.packing.parts import SpooledParts
from ksef_async.packing.sources import Item

GOOD = b"<Faktura/>"
#: As large as a lot, so that work on several is under way.
LARGE = b"<Zalacznik>" + b"x" * 600_000


@pytest.mark.parametrize(
    ("items", "sentence"),
    [
        ([], "The package is empty"),
        ([("a.xml", GOOD), ("a.xml", GOOD)], "Two invoices are called 'a.xml'"),
        ([("x" * 129, GOOD)], "has 129 characters; KSeF takes file names of 128"),
        ([("../a.xml", GOOD)], "'../a.xml' is no plain file name"),
        ([("C:a.xml", GOOD)], "'C:a.xml' is no plain file name"),
        ([("a\\b.xml", GOOD)], "is no plain file name"),
        ([("..", GOOD)], "is no plain file name"),
        ([("", GOOD)], "is no plain file name"),
        ([("a\0.xml", GOOD)], "cannot stand in an archive"),
        ([("\udcff.xml", GOOD)], "cannot stand in an archive"),
        ([("a.xml", b"")], "a.xml: The invoice is empty"),
        ([("a.xml", b"\xef\xbb\xbf<Faktura/>")], "a.xml: The invoice starts with a byte order mark"),
        ([("a.xml", b"<\xb1/>")], "a.xml: The invoice is not UTF-8"),
        ([("a.xml", b"x" * 1_000_001)], "a.xml: The invoice has 1,000,001 bytes; KSeF takes at most 1,000,000"),
        ([("a.xml", b"<Zalacznik>" + b"x" * 3_000_000)], "a.xml: The invoice has 3,000,011 bytes"),
        ([("a.xml", "text")], "'a.xml': An invoice is bytes"),
        ([17], "An item of a package is a Path, or .name, bytes., or .name, bytes, key., not int"),
        ("a folder", "not of str"),
        (17, "not of int"),
    ],
)
@pytest.mark.parametrize("kind", ["list", "iterator"])
async def test_what_ksef_would_reject_is_refused_by_name(items: Any, kind: str, sentence: str, tmp_path: Path) -> None:
    source = iter(items) if kind == "iterator" and isinstance(items, list) else items

    with pytest.raises(LocalProtocolError, match=sentence):
        async with pack(source, folder=tmp_path):
            pytest.fail("entered")

    assert spool_is_empty(tmp_path)


async def test_one_invoice_too_many_is_refused_by_name() -> None:
    many = [(f"{number:05}.xml", GOOD) for number in range(10_001)]

    for source in (many, iter(many)):
        with pytest.raises(LocalProtocolError, match=r"'10000.xml' would be one more than the 10,000"):
            async with pack(source):
                pytest.fail("entered")


async def test_first_bad_invoice_of_the_source_is_the_one_named() -> None:
    """Although later lots are read, and found wanting, while it is still being compressed."""
    items = [("a.xml", LARGE), ("b.xml", LARGE[:-1] + b"\xff"), ("c.xml", LARGE), ("d.xml", GOOD), ("d.xml", GOOD)]

    for _ in range(5):
        with pytest.raises(LocalProtocolError, match=r"^b.xml: The invoice is not UTF-8"):
            async with pack(iter(items)):
                pytest.fail("entered")


async def test_huge_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "huge.xml"
    await anyio.Path(path).touch()
    await anyio.to_thread.run_sync(os.truncate, path, 10**12)

    with pytest.raises(LocalProtocolError, match=r"huge.xml: The file has 1,000,000,000,000 bytes"):
        async with pack([path]):
            pytest.fail("entered")


async def test_missing_file_and_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"missing.xml"):
        async with pack([tmp_path / "missing.xml"]):
            pytest.fail("entered")
    with pytest.raises(LocalProtocolError, match="is no folder"):
        async with pack(tmp_path / "missing"):
            pytest.fail("entered")


def test_archive_over_the_limit_is_refused(tmp_path: Path) -> None:
    sink = SpooledParts(tmp_path, 1000, bytes(32), bytes(16), max_size=2500)
    sink.write(bytes(2500))

    with pytest.raises(LocalProtocolError, match="more than 2,500 bytes; make two packages"):
        sink.write(b"x")
    sink.close()


async def test_more_than_fifty_parts_are_refused_by_name(tmp_path: Path) -> None:
    noise = [(f"{number}.xml", os.urandom(300_000).hex().encode()) for number in range(3)]

    with pytest.raises(LocalProtocolError, match=r"'0.xml'.*more than 50 parts of 1,000 bytes; allow larger ones"):
        async with pack(noise, part_size=1000, folder=tmp_path):
            pytest.fail("entered")

    assert spool_is_empty(tmp_path)


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"part_size": 10, "parts": 2}, LocalProtocolError, "either part_size or parts"),
        ({"part_size": 100_000_001}, LocalProtocolError, "part_size is 1 to 100,000,000"),
        ({"part_size": 0}, LocalProtocolError, "part_size is 1 to"),
        ({"parts": 51}, LocalProtocolError, "1 to 50 parts, not 51"),
        ({"parts": 2}, LocalProtocolError, "parts= needs archive_size="),
        ({"workers": 0}, LocalProtocolError, "workers is at least 1"),
        ({"compression": "Rar"}, LocalProtocolError, "Zip or TarGz, not as"),
        ({"deflate": "lzma"}, LocalProtocolError, "'lzma' is not here"),
        ({"symmetric_key": bytes(32)}, LocalProtocolError, "given together"),
        ({"symmetric_key": b"short", "initialization_vector": bytes(16)}, CryptoError, "32 bytes, not 5"),
    ],
)
async def test_options_that_do_not_go_together_are_refused(
    options: dict[str, Any], error: type[Exception], sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=sentence):
        async with pack(iter([("a.xml", GOOD)]), folder=tmp_path, **options):
            pytest.fail("entered")

    assert spool_is_empty(tmp_path)


async def test_error_of_the_source_comes_out_as_it_is(tmp_path: Path) -> None:
    def walked() -> Iterator[Item]:
        yield ("a.xml", LARGE)
        raise KeyError("the database")

    async def awaited() -> AsyncIterator[Item]:
        for item in walked():
            yield item

    for source in (walked(), awaited()):
        with pytest.raises(KeyError, match="the database"):
            async with pack(source, folder=tmp_path):
                pytest.fail("entered")

    assert spool_is_empty(tmp_path)
