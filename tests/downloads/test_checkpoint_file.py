"""The file of a checkpoint: seldom written, never half, and not behind once the block is left."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from virtual_time import VirtualTimeLoop

from ksef_async import Checkpoint, CheckpointFile, LocalProtocolError
from ksef_async.api.invoices import InvoiceSubject
from ksef_async.calling.whole_files import part_of
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
    async with CheckpointFile(path) as file:
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
        async with CheckpointFile(path) as file:
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
    async with CheckpointFile(path) as file:
        assert file.checkpoint == after(saved * 1_000)


async def test_folder_without_the_file_begins_anew(tmp_path: Path) -> None:
    async with CheckpointFile(tmp_path / "checkpoint.json") as file:
        assert file.checkpoint == Checkpoint()

    assert not list(tmp_path.iterdir())


async def test_file_that_holds_no_checkpoint_is_named_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.json"
    path.write_text("{}")

    with pytest.raises(LocalProtocolError, match=r"checkpoint\.json: This is no snapshot"):
        async with CheckpointFile(path):
            pass

    assert path.read_text() == "{}"


async def test_what_a_killed_process_left_of_a_file_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.json"
    part_of(path).write_text("{half")

    async with CheckpointFile(str(path)) as file:
        await file.move_to(after(1))

    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    assert Checkpoint.from_json(path.read_bytes()) == after(1)
