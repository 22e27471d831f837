"""What packing leaves behind: nothing when it is over, however it ends; with a manifest, all that is needed."""

from __future__ import annotations

import asyncio
import os
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import anyio
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
    is_busy = False

    def invoices() -> Iterator[Item]:
        nonlocal taken, is_busy
        while True:
            taken += 1
            is_busy = True
            time.sleep(0.05)  # in a thread; long enough to be cancelled in
            is_busy = False
            yield (f"{taken}.xml", LARGE)

    async def packing() -> None:
        async with pack(invoices(), folder=tmp_path, max_invoices=10**6):
            pytest.fail("entered")

    async def wait_for_work() -> None:
        while taken <= after or not is_busy:
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
    assert not is_busy
    assert spool_is_empty(tmp_path)
    await asyncio.sleep(0.1)
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
            before = time.thread_time()  # of the loop's thread: what others on the machine do is not counted
            await asyncio.sleep(0.001)
            longest = max(longest, time.thread_time() - before)

    heart = asyncio.create_task(heartbeat())
    async with pack(((f"{number}.xml", noise) for number in range(15)), folder=tmp_path, deflate="zlib"):
        pass
    heart.cancel()

    # On the loop, compressing a single invoice would take as long as this.
    assert longest < 0.025


async def test_memory_does_not_grow_with_the_package(tmp_path: Path) -> None:
    noise = os.urandom(480_000).hex().encode()
    tracemalloc.start()
    try:
        async with pack(((f"{number}.xml", noise[:-1] + b"%d" % (number % 10)) for number in range(80)), workers=2):
            _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    # Of 77 MB, four lots of one invoice each, plain and compressed, are in memory at a time.
    assert peak < 15_000_000


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


@pytest.mark.parametrize(
    ("size", "sizes"),
    [
        pytest.param(999, [999], id="less than one"),
        pytest.param(1000, [1000], id="exactly one"),
        pytest.param(1001, [1000, 1], id="one and a byte"),
        pytest.param(3000, [1000, 1000, 1000], id="exactly three"),
    ],
)
def test_part_that_is_full_is_followed_by_no_empty_one(tmp_path: Path, size: int, sizes: list[int]) -> None:
    parts = SpooledParts(tmp_path, 1000, b"k" * 32, b"i" * 16)
    parts.write(b"x" * size)
    parts.finish()

    # PKCS#7 adds 1 to 16 bytes.
    assert [part.size for part in parts.parts] == [plain // 16 * 16 + 16 for plain in sizes]
    assert len([*tmp_path.iterdir()]) == len(sizes)
