"""What is refused before anything is sent, and what a failure leaves behind: nothing."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import attrs
import pytest
from cryptography.fernet import Fernet
from opened_packages import invoices_of, spool_is_empty

from ksef_async.errors import CryptoError, LocalProtocolError
from ksef_async.packing import Package, pack
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


async def test_spool_is_gone_after_the_block_whatever_happened_in_it(tmp_path: Path) -> None:
    async with pack([("a.xml", GOOD)], folder=tmp_path) as package:
        assert package.folder.parent == tmp_path
        assert package.folder.stat().st_mode & 0o777 == 0o700
    assert spool_is_empty(tmp_path)

    with pytest.raises(RuntimeError, match="in the block"):
        async with pack([("a.xml", GOOD)], folder=tmp_path):
            raise RuntimeError("in the block")
    assert spool_is_empty(tmp_path)


@pytest.mark.parametrize("how", ["Task.cancel", "cancel scope"])
@pytest.mark.parametrize("after", [0, 1, 3])
async def test_cancelled_packing_leaves_neither_thread_nor_spool(how: str, after: int, tmp_path: Path) -> None:
    taken = 0

    def invoices() -> Iterator[Item]:
        nonlocal taken
        while True:
            taken += 1
            yield (f"{taken}.xml", LARGE)

    async def packing() -> None:
        async with pack(invoices(), folder=tmp_path, max_invoices=10**6):
            pytest.fail("entered")

    async def wait_for_work() -> None:
        while taken <= after:
            await asyncio.sleep(0.001)

    if how == "Task.cancel":
        task = asyncio.create_task(packing())
        await wait_for_work()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    else:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(packing)
            await wait_for_work()
            tasks.cancel_scope.cancel()

    then = taken
    assert spool_is_empty(tmp_path)
    await asyncio.sleep(0.05)
    assert taken == then
    assert spool_is_empty(tmp_path)


async def test_cancelled_block_still_removes_the_spool(tmp_path: Path) -> None:
    entered = asyncio.Event()

    async def hold() -> None:
        async with pack([("a.xml", GOOD)], folder=tmp_path):
            entered.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(hold())
    await entered.wait()
    task.cancel()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert spool_is_empty(tmp_path)


async def test_event_loop_stays_free_while_packing_and_while_removing(tmp_path: Path) -> None:
    noise = os.urandom(450_000).hex().encode()
    longest = 0.0

    async def heartbeat() -> None:
        nonlocal longest
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.001)
            longest = max(longest, time.perf_counter() - before)

    heart = asyncio.create_task(heartbeat())
    async with pack(((f"{number}.xml", noise) for number in range(40)), folder=tmp_path, part_size=2_000_000):
        pass
    heart.cancel()

    # On the loop, packing alone would hold it for more than a second. A busy machine needs some room.
    assert longest < 0.25


async def test_nothing_plain_is_on_the_disk_and_nothing_secret_in_a_repr(tmp_path: Path) -> None:
    secret = b"<Faktura>Kowalski</Faktura>"

    async with pack([("a.xml", secret)], folder=tmp_path) as package:
        await package.write_manifest(Fernet.generate_key())
        files = [path for path in package.folder.rglob("*") if path.is_file()]
        contents = [await anyio.Path(path).read_bytes() for path in files]

        assert len(files) == 2
        assert not any(b"Kowalski" in content or package.symmetric_key in content for content in contents)
        assert repr(package.symmetric_key) not in repr(package)


async def test_kept_package_is_reopened_by_its_manifest(tmp_path: Path) -> None:
    key = Fernet.generate_key()
    items = [("a.xml", GOOD, 17), ("b.xml", b"<Faktura>2</Faktura>", "order 2")]
    async with pack(items, folder=tmp_path, part_size=100, keep=True) as package:
        await package.write_manifest(key)

    reopened = await Package.reopen(package.folder, key)

    assert reopened == package
    assert invoices_of(reopened) == [item[:2] for item in items]
    await reopened.remove()
    assert spool_is_empty(tmp_path)
    await reopened.remove()


async def test_spool_that_cannot_be_trusted_is_not_reopened(tmp_path: Path) -> None:
    key = Fernet.generate_key()
    with pytest.raises(LocalProtocolError, match="holds no manifest; the package must be packed again"):
        await Package.reopen(tmp_path, key)
    async with pack([("a.xml", GOOD)], folder=tmp_path, keep=True) as package:
        await package.write_manifest(key)

    with pytest.raises(CryptoError, match="the key is another, or it is damaged"):
        await Package.reopen(package.folder, Fernet.generate_key())
    part = anyio.Path(package.parts[0].path)
    await part.write_bytes((await part.read_bytes())[:-16])
    with pytest.raises(LocalProtocolError, match=r"part-01.aes should have \d+ bytes but has \d+"):
        await Package.reopen(package.folder, key)
    await part.unlink()
    with pytest.raises(LocalProtocolError, match=r"part-01.aes should have \d+ bytes but is missing"):
        await Package.reopen(package.folder, key)


async def test_manifest_refuses_keys_it_could_not_give_back() -> None:
    async with pack([("a.xml", GOOD, object())]) as package:
        with pytest.raises(LocalProtocolError, match=r"a.xml: a manifest keeps keys .* not object"):
            await package.write_manifest(Fernet.generate_key())
        with pytest.raises(CryptoError, match=r"Fernet.generate_key"):
            await attrs.evolve(package, invoices=()).write_manifest(b"short")
