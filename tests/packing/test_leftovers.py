"""What a process that was killed while packing leaves behind is removed by the next, and nothing else is."""

from __future__ import annotations

import asyncio
import errno
import shutil
import sys
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from ksef_async.packing import Package, pack

GOOD = b"<Faktura/>"

#: Packs without end, or keeps what it has packed; then waits to be killed.
CHILD = """
import asyncio, os, sys
from pathlib import Path
from ksef_async.packing import pack

async def main(folder, what, key):
    if what == "packing":
        async def invoices():
            for number in range(4):
                yield f"{number}.xml", b"<Zalacznik>" + os.urandom(450_000).hex().encode()
            print("packing", flush=True)
            await asyncio.sleep(600)
        await pack(invoices(), folder=folder).__aenter__()
    async with pack([("a.xml", b"<Faktura/>")], folder=folder, keep=True) as package:
        if what == "kept":
            await package.write_manifest(key)
    print(what, flush=True)
    await asyncio.sleep(600)

asyncio.run(main(Path(sys.argv[1]), *sys.argv[2:]))
"""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="folders cannot be locked")


async def start(folder: Path, what: str, key: bytes = b"") -> tuple[asyncio.subprocess.Process, Path]:
    """A process that packs, and its spool."""
    before = {*folder.iterdir()}
    arguments = ["-c", CHILD, str(folder), what, key.decode()]
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    assert (await process.stdout.readline()).decode().strip() == what
    (spool,) = {*folder.iterdir()} - before
    return process, spool


async def kill(process: asyncio.subprocess.Process) -> None:
    process.kill()
    await process.communicate()


def open_descriptors() -> int:
    """How many this process has open; 0 where the system does not tell."""
    folder = Path("/proc/self/fd")
    return len([*folder.iterdir()]) if folder.exists() else 0


async def pack_once(folder: Path) -> None:
    async with pack([("a.xml", GOOD)], folder=folder):
        pass


@pytest.mark.parametrize("what", ["packing", "without manifest"])
async def test_spool_of_a_killed_process_is_removed_by_the_next_that_packs(tmp_path: Path, what: str) -> None:
    process, spool = await start(tmp_path, what)
    while not [*spool.iterdir()]:  # another process writes it
        await asyncio.sleep(0.001)
    await pack_once(tmp_path)
    assert [*tmp_path.iterdir()] == [spool]  # it lives

    await kill(process)
    await pack_once(tmp_path)

    assert not [*tmp_path.iterdir()]


async def test_package_kept_on_purpose_is_never_removed(tmp_path: Path) -> None:
    key = Fernet.generate_key()
    process, spool = await start(tmp_path, "kept", key)
    await kill(process)

    await pack_once(tmp_path)

    assert (await Package.reopen(spool, key)).invoices[0].file_name == "a.xml"


async def test_kept_package_of_this_process_stays_until_it_is_removed(tmp_path: Path) -> None:
    async with pack([("a.xml", GOOD)], folder=tmp_path, keep=True) as package:
        pass
    held = open_descriptors()

    await pack_once(tmp_path)
    assert package.folder.exists()
    await package.remove()

    assert not [*tmp_path.iterdir()]
    assert open_descriptors() == max(0, held - 1)  # the lock's


async def test_what_is_not_a_spool_is_left_alone(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    mine = tmp_path / "ksef-package-backup01"
    mine.mkdir()
    (mine / "faktura.xml").write_bytes(GOOD)
    (tmp_path / "ksef-package-notes").mkdir()
    (tmp_path / "ksef-package-abcdefgh").symlink_to(elsewhere)
    (tmp_path / "ksef-package-ijklmnop").write_bytes(b"a file")
    before = {*tmp_path.iterdir()}

    await pack_once(tmp_path)

    assert {*tmp_path.iterdir()} == before
    assert (mine / "faktura.xml").read_bytes() == GOOD


async def test_many_that_begin_at_once_do_not_remove_each_other(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"ksef-package-{number:08}").mkdir()
    script = (
        "import asyncio, sys; from pathlib import Path; from ksef_async.packing import pack\n"
        "async def once(folder):\n"
        "    async with pack([('a.xml', b'<Faktura/>')], folder=folder) as package:\n"
        "        assert package.parts[0].path.stat().st_size\n"
        "async def main(folder):\n"
        "    async with asyncio.TaskGroup() as tasks:\n"
        "        for _ in range(60): tasks.create_task(once(folder))\n"
        "asyncio.run(main(Path(sys.argv[1])))"
    )

    running = [await asyncio.create_subprocess_exec(sys.executable, "-c", script, str(tmp_path)) for _ in range(2)]

    assert [await process.wait() for process in running] == [0, 0]
    assert not [*tmp_path.iterdir()]


async def test_disk_without_room_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    sparse, size = tmp_path / "sparse.xml", 2**40
    with sparse.open("wb") as file:
        file.truncate(size)
    # Deflate may make one byte of twenty; more than that is certainly too much.
    count = 20 * shutil.disk_usage(tmp_path).free // size + 2
    folder = tmp_path / "spool"
    folder.mkdir()

    with pytest.raises(OSError, match=r"takes at least [\d,]+ bytes, but only [\d,]+ are free") as caught:
        async with pack([(f"{number}.xml", sparse) for number in range(count)], folder=folder):
            pytest.fail("entered")

    assert caught.value.errno == errno.ENOSPC
    assert not [*folder.iterdir()]
