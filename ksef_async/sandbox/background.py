"""Work that goes on after a call was answered, and ends with the sandbox at the latest."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import anyio

__all__ = ["Background"]


class Background:
    """Tasks of one sandbox.

    Not a task group: around the sandbox's block, it would wrap the block's own error into a group.
    """

    def __init__(self) -> None:
        self._tasks: dict[asyncio.Task[None], anyio.CancelScope] = {}

    def start(self, work: Callable[[], Awaitable[None]]) -> None:
        """Let ``work`` go on by itself; it must not raise."""
        scope = anyio.CancelScope()

        async def run() -> None:
            # A scope, unlike Task.cancel(), waits for a worker thread and lets it see that it is to stop.
            with scope:
                await work()

        task = asyncio.get_running_loop().create_task(run())
        self._tasks[task] = scope
        task.add_done_callback(lambda done: self._tasks.pop(done, None))

    async def aclose(self) -> None:
        """Stop everything; returns when all is over."""
        tasks = dict(self._tasks)
        for scope in tasks.values():
            scope.cancel()
        if tasks:
            await asyncio.wait(tasks)
