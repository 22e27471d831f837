from __future__ import annotations

import asyncio
import random
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from cryptography.fernet import Fernet

from ksef_async.sandbox import Fault, Sandbox, Timings
from ksef_async.sandbox.faults import UPLOAD_PART
from ksef_async.sandbox.sessions import BatchSession

CHILD = Path(__file__).with_name("packing_process.py")
INVOICES = 300
CONCURRENCY = 2
SEED = 20261124


def sessions(sandbox: Sandbox) -> list[BatchSession]:
    return [session for session in sandbox.world.sessions.values() if isinstance(session, BatchSession)]


def taken_in(sandbox: Sandbox) -> dict[tuple[str, int], int]:
    """How often each part was taken in."""
    return {
        (session.reference_number, part.ordinal_number): part.uploads
        for session in sessions(sandbox)
        for part in session.parts.values()
    }


def written_down(folder: Path) -> set[tuple[str, int]]:
    """The parts of which the process knows that they are in."""
    return {
        (file.name.removeprefix("uploaded-"), int(line[1:]))
        for file in folder.glob("spool/*/uploaded-*")
        for line in file.read_text().splitlines()
    }


@pytest.mark.timeout(120)
async def test_process_killed_at_every_stage_sends_each_invoice_once(tmp_path: Path) -> None:
    key = Fernet.generate_key().decode()
    chance = random.Random(SEED)
    timings = Timings(invoice_processing_delay=2)
    first, second = sorted(chance.sample(range(1, 12), 2))

    async with Sandbox(rate_limits=None, timings=timings) as sandbox:
        sandbox.faults.add(UPLOAD_PART, Fault.wait(0.1), times=10_000)
        sandbox.faults.add("close_batch_session", Fault.wait(0.3), times=10_000)

        def packing() -> bool:
            return any(tmp_path.glob("spool/*/*")) and not (tmp_path / "pointer").exists()

        def uploaded(count: int) -> Callable[[], bool]:
            return lambda: sum(taken_in(sandbox).values()) >= count

        def closed() -> bool:
            return any(session.closed_at is not None for session in sessions(sandbox))

        def processing() -> bool:
            return any(session.result is not None for session in sessions(sandbox))

        known: dict[tuple[str, int], int] = {}
        for moment in (packing, uploaded(first), uploaded(second), closed, processing):
            process = await start(sandbox, key, tmp_path)
            while not moment():
                await anyio.sleep(0.001)
                assert process.returncode is None
            await anyio.sleep(chance.random() * 0.05)
            process.kill()
            await process.wait()
            known = {part: taken_in(sandbox)[part] for part in written_down(tmp_path)} | known
        last = await start(sandbox, key, tmp_path)
        assert await last.wait() == 0

        assert len(sessions(sandbox)) == 1
        hashes = Counter(invoice.invoice_hash for invoice in sandbox.world.invoices())
        assert len(hashes) == INVOICES
        assert set(hashes.values()) == {1}
        assert all(invoice.is_accepted for invoice in sandbox.world.invoices())
        # What the killed process knew to be in was not sent again; what was under way, at most once for each kill.
        uploads = taken_in(sandbox)
        assert len(known) == len(uploads)
        assert {part: uploads[part] for part in known} == known
        assert sum(uploads.values()) <= len(uploads) + 2 * CONCURRENCY
    assert not any((tmp_path / "spool").iterdir())


async def start(sandbox: Sandbox, key: str, folder: Path) -> asyncio.subprocess.Process:
    arguments = [sandbox.environment.base_url, sandbox.nip, sandbox.token, key, folder, INVOICES, CONCURRENCY]
    return await asyncio.create_subprocess_exec(sys.executable, CHILD, *map(str, arguments))
