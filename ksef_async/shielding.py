"""Finishing what must be finished, although the task that waits for it is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import anyio

__all__ = ["ended", "finish"]

T = TypeVar("T")


async def finish(coroutine: Coroutine[Any, Any, T] | asyncio.Future[T], seconds: float) -> T:
    """Run ``coroutine`` to its end within ``seconds``; a cancellation that comes meanwhile is raised afterwards.

    anyio's shields hold off the cancellation of scopes, but not ``Task.cancel()``: hence a task of its own. It is
    over when this returns or raises.

    Raises:
        TimeoutError: It took longer, and was cancelled.
    """
    task = asyncio.ensure_future(coroutine)
    cancelled: asyncio.CancelledError | None = None
    with anyio.move_on_after(seconds, shield=True) as scope:
        while not task.done():
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError as error:
                if scope.cancel_called:
                    raise
                cancelled = error
    if not task.done():
        task.cancel()
        # Its own cleanup may take a moment, and a scope around this that is cancelled must not cut that short.
        with anyio.CancelScope(shield=True):
            await asyncio.wait([task])
    if cancelled is not None:
        if not task.cancelled() and (failure := task.exception()) is not None:
            cancelled.add_note(f"What had to be finished first failed: {failure}")
        raise cancelled
    if task.cancelled():
        raise TimeoutError
    return task.result()


async def ended(task: asyncio.Future[Any]) -> None:
    """Wait for the end of ``task``, whichever it is; with `finish`, although the waiting is cancelled."""
    await asyncio.wait([task])
