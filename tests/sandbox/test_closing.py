"""A sandbox leaves nothing behind, however its task ends."""

from __future__ import annotations

import asyncio
from pathlib import Path

import anyio
import pytest

from ksef_async.sandbox import Sandbox


async def is_listening(sandbox: Sandbox) -> bool:
    port = int(sandbox.environment.base_url.rpartition(":")[2].partition("/")[0])
    try:
        stream = await anyio.connect_tcp("127.0.0.1", port)
    except OSError:
        return False
    await stream.aclose()
    return True


@pytest.mark.parametrize("apart", [1, 2, 3, 10])
async def test_sandbox_whose_task_is_cancelled_again_and_again_is_closed(apart: int) -> None:
    opened = asyncio.Event()
    sandbox = Sandbox()
    spool = Path()

    async def serve() -> None:
        nonlocal spool
        async with sandbox:
            spool = sandbox.world.spool
            opened.set()
            await asyncio.sleep(3600)

    task = asyncio.ensure_future(serve())
    await opened.wait()
    while not task.done():
        task.cancel()
        for _ in range(apart):
            await asyncio.sleep(0)

    assert task.cancelled()
    assert not await is_listening(sandbox)
    assert not await anyio.Path(spool).exists()
