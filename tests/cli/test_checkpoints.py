"""The file of a checkpoint: seldom written, never half, and not behind once the block is left."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import anyio
import pytest
from virtual_time import VirtualTimeLoop

from ksef_async import Checkpoint
from ksef_async.api.invoices import InvoiceSubject
from ksef_async.cli.export import CheckpointFile
from ksef_async.downloads.checkpoint import Position, TakenInvoice


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualTimeLoop}


def after(count: int) -> Checkpoint:
    taken = tuple(TakenInvoice(str(number), "2026-07-01T10:00:00+00:00") for number in range(count))
    return Checkpoint((Position(subject_type=InvoiceSubject.BUYER, cursor="2026-07-01T10:00:00+00:00", taken=taken),))


async def test_file_is_written_once_a_second_and_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.json"
    seen: list[bytes] = []
    async with CheckpointFile(anyio.Path(path)) as file:
        for number in range(1, 51):
            await asyncio.sleep(0.1)
            await file.move_to(after(number))
            if (text := path.read_bytes()) not in seen:
                seen.append(text)

    assert 5 <= len(seen) <= 6
    assert Checkpoint.from_json(path.read_bytes()) == after(50)


@pytest.mark.parametrize("turns", range(8))
async def test_cancelled_block_leaves_all_that_was_saved(tmp_path: Path, turns: int) -> None:
    path = tmp_path / "checkpoint.json"
    saved = 0
    fourth = asyncio.Event()

    async def save() -> None:
        nonlocal saved
        async with CheckpointFile(anyio.Path(path)) as file:
            while True:
                await asyncio.sleep(0.4)
                saved += 1
                if saved == 4:
                    fourth.set()
                await file.move_to(after(saved * 1_000))

    task = asyncio.ensure_future(save())
    await fourth.wait()
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])

    assert task.cancelled()
    assert await CheckpointFile(anyio.Path(path)).read() == after(saved * 1_000)


async def test_folder_without_the_file_begins_anew(tmp_path: Path) -> None:
    async with CheckpointFile(anyio.Path(tmp_path / "checkpoint.json")) as file:
        assert await file.read() == Checkpoint()

    assert not list(tmp_path.iterdir())
