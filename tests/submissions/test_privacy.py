"""The journal's file, and what lies beside it, are their owner's alone from the first byte, whatever the umask."""

from __future__ import annotations

import logging
import os
import stat
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import attrs
import pytest
from clients import QUICK, connected

from ksef_async import KsefClient
from ksef_async.protocol.pacing import Pacer
from ksef_async.sandbox import Fault, Sandbox, sample_invoice
from ksef_async.sandbox.faults import UPLOAD_PART
from ksef_async.submissions import Submissions

from .conftest import QUICK_SETTINGS
from .test_batches import submit_backlog

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="modes are POSIX's")


@pytest.fixture(params=[0o000, 0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


@contextmanager
def watching(folder: Path) -> Iterator[dict[str, set[int]]]:
    """The modes that each file has been seen with, by a thread that looks all the time."""
    seen: dict[str, set[int]] = {}
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            for entry in folder.iterdir():
                try:
                    mode = stat.S_IMODE(entry.lstat().st_mode)
                except FileNotFoundError:
                    continue
                seen.setdefault(entry.name, set()).add(mode)
            stop.wait(0.0001)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


async def test_journal_and_what_lies_beside_it_are_their_owners_alone(
    umask: None, sqlite_url: str, tmp_path: Path, client: KsefClient, sandbox: Sandbox
) -> None:
    with watching(tmp_path) as seen:
        async with Submissions(sqlite_url, client=client, settings=QUICK_SETTINGS) as submissions:
            await submissions.submit(sample_invoice(sandbox.nip))
            async with submissions.running():
                await submissions.wait_until_settled()
            now = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}

    assert now == dict.fromkeys(["journal.db", "journal.db-wal", "journal.db-shm", "journal.db.lock"], 0o600)
    assert {*seen} >= {*now}
    assert {mode for modes in seen.values() for mode in modes} == {0o600}


async def test_packages_of_batches_are_their_owners_alone(
    umask: None, sqlite_url: str, tmp_path: Path, sandbox: Sandbox
) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    settings = attrs.evolve(QUICK_SETTINGS, spool=spool, part_size=10_000)
    sandbox.faults.add(UPLOAD_PART, Fault.wait(0.05), times=10_000)
    with watching(spool) as seen:
        async with (
            connected(sandbox, pacer=Pacer(), retry=QUICK) as client,
            Submissions(sqlite_url, client=client, settings=settings) as submissions,
        ):
            await submit_backlog(submissions, sandbox)
            async with submissions.running():
                with anyio.fail_after(20):
                    while not seen:
                        await anyio.sleep(0.001)

    assert {mode for modes in seen.values() for mode in modes} == {0o700}


@pytest.mark.parametrize(("mode", "is_told"), [(0o600, False), (0o640, True), (0o644, True)])
async def test_file_that_others_can_read_keeps_its_mode_and_is_told(
    sqlite_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: int, is_told: bool
) -> None:
    file = tmp_path / "journal.db"
    file.touch()
    file.chmod(mode)
    with caplog.at_level(logging.WARNING, "ksef_async"):
        async with Submissions(sqlite_url) as submissions:
            await submissions.submit(sample_invoice("5265877635"))

    assert stat.S_IMODE(file.stat().st_mode) == mode
    assert ("chmod 600" in caplog.text) is is_told


@pytest.mark.parametrize("address", ["file:{}?uri=true", "{}", "file:{}?mode=rwc&uri=true"])
async def test_every_way_of_naming_a_file_makes_it_private(tmp_path: Path, address: str) -> None:
    before = os.umask(0)
    try:
        async with Submissions(f"sqlite+aiosqlite:///{address.format(tmp_path / 'j.db')}") as submissions:
            await submissions.submit(sample_invoice("5265877635"))
    finally:
        os.umask(before)

    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {"j.db": 0o600}


async def test_folder_that_is_not_there_is_told_by_the_database(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="unable to open database file"):
        async with Submissions(f"sqlite+aiosqlite:///{tmp_path / 'nowhere' / 'j.db'}"):
            pass
