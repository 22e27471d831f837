"""Invoices arrive while a process receives them and is killed again and again: none is missing, none comes twice.

How many is read from KSEF_SYNC_INVOICES: 400 by default, 5,000 for the figure in the README.
"""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import anyio
import pytest
from receiving import BUYER, feed_samples, settle

from ksef_async.sandbox import Sandbox

CHILD = Path(__file__).with_name("syncing_process.py")
INVOICES = int(os.environ.get("KSEF_SYNC_INVOICES", "400"))
KILLS = int(os.environ.get("KSEF_SYNC_KILLS", "3"))
SEED = 20261124


def new_database(file: Path) -> None:
    with closing(sqlite3.connect(file)) as kept:
        # Journalled as usual; without waiting for the disk, since no power fails here.
        kept.executescript(
            "PRAGMA journal_mode=WAL; CREATE TABLE invoice (ksef_number TEXT, xml BLOB);"
            "CREATE TABLE checkpoint (json TEXT);"
        )


def kept_numbers(file: Path) -> list[str]:
    with closing(sqlite3.connect(file)) as kept:
        return [number for (number,) in kept.execute("SELECT ksef_number FROM invoice")]


async def reading(read: Callable[[Path], list[str]], file: Path) -> list[str]:
    return await anyio.to_thread.run_sync(read, file)


@pytest.mark.timeout(600)
async def test_process_killed_again_and_again_receives_each_invoice_once(
    sandbox: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, token, since = tmp_path / "kept.db", sandbox.issue_token(BUYER), sandbox.clock.now()
    sandbox.world.exports.limits.max_invoices = INVOICES // 8
    chance = random.Random(SEED)
    await anyio.to_thread.run_sync(new_database, file)
    arguments = [sandbox.environment.base_url, BUYER, token, since.isoformat(), str(file)]
    fed: list[str] = []
    marks: list[int] = []

    async def start() -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(sys.executable, CHILD, *arguments)

    async def arrive(total: int) -> None:
        while len(fed) < total:
            fed.extend(feed_samples(sandbox, min(chance.randint(1, 40), total - len(fed)), start=len(fed)))
            await anyio.sleep(0.005)

    killed = 0
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(arrive, INVOICES)
        while killed < KILLS:
            before = len(await reading(kept_numbers, file))
            process = await start()
            goal = before + chance.randint(1, max(2, INVOICES // KILLS))
            while process.returncode is None and len(await reading(kept_numbers, file)) < goal:
                await anyio.sleep(0.003)
            if process.returncode is None:
                process.kill()
                killed += 1
            marks.append(len(await reading(kept_numbers, file)))
            assert await process.wait() in (0, -9)
    settle(sandbox)
    last = await start()

    assert await last.wait() == 0
    taken = Counter(await reading(kept_numbers, file))
    with capsys.disabled():
        print(f"\n{INVOICES:,} invoices received, killed {killed} times after {marks} of them: ", end="")
        print(f"{len(set(fed) - taken.keys())} missing, {sum(taken.values()) - len(taken)} twice")
    assert set(taken) == set(fed)
    assert set(taken.values()) == {1}
