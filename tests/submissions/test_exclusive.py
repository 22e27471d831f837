"""The lock beside an SQLite journal is given back, however its holder ends."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path

import pytest

from ksef_async.submissions.leases import exclusive
from ksef_async.submissions.models import JournalBusyError


@pytest.mark.parametrize("turn", range(8))
async def test_a_holder_that_is_cancelled_twice_gives_the_lock_back(tmp_path: Path, turn: int) -> None:
    journal, held = str(tmp_path / "j.db"), asyncio.Event()

    async def hold() -> None:
        async with exclusive(journal):
            held.set()
            await asyncio.sleep(3600)

    task = asyncio.ensure_future(hold())
    await held.wait()
    task.cancel()
    for _ in range(turn):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])

    async with exclusive(journal):
        with pytest.raises(JournalBusyError):
            async with exclusive(journal):
                pass


async def test_lock_whose_taking_is_cancelled_is_given_back_at_once(tmp_path: Path) -> None:
    journal = str(tmp_path / "j.db")

    async def hold() -> None:
        async with exclusive(journal):
            await asyncio.sleep(3600)

    gc.disable()
    try:
        for turns in range(12):
            task = asyncio.ensure_future(hold())
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])

            async with exclusive(journal):
                pass
    finally:
        gc.enable()
