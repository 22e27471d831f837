"""Work that is finished whatever happens: shielded from cancellation, or handed to a thread off the event loop."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar, TypeVarTuple

import anyio
import anyio.to_thread

__all__ = ["ended", "finish", "in_thread", "offload"]

T = TypeVar("T")


async def finish(coroutine: Coroutine[Any, Any, T] | asyncio.Future[T], seconds: float) -> T:
    """Run ``coroutine`` to its end within ``seconds``; a cancellation that comes meanwhile is raised afterwards.

    anyio's shields hold off the cancellation of scopes, but not ``Task.cancel()``: hence a task of its own. It is
    over when this returns or raises.

    Args:
        coroutine: What is to be finished.
        seconds: How long it may take until it is cancelled; its own cleanup may take longer. `math.inf` for any time.

    Raises:
        TimeoutError: It took longer, and was cancelled.
        CancelledError: The waiting was cancelled, once or several times; ``coroutine`` is over all the same.
    """
    task = asyncio.ensure_future(coroutine)
    timer = None if seconds == math.inf else asyncio.get_running_loop().call_later(seconds, task.cancel)
    try:
        cancelled = await _outlast(task)
    finally:
        if timer is not None:
            timer.cancel()
    if cancelled is not None:
        if not task.cancelled() and (failure := task.exception()) is not None:
            cancelled.add_note(f"What had to be finished first failed: {failure}")
        raise cancelled
    if task.cancelled():
        raise TimeoutError
    return task.result()


async def _outlast(task: asyncio.Future[Any]) -> asyncio.CancelledError | None:
    """Wait until ``task`` is over, whatever happens to the task that waits.

    The requests to cancel are not taken back (`asyncio.Task.uncancel`): what they are raised through, such as
    `asyncio.timeout` and task groups, counts them.

    Returns:
        The cancellation that came last; None where none came.
    """
    cancelled = None
    # The scope has no deadline, and nobody else can cancel it: each cancellation that arrives in it is one of the
    # task. (A deadline of the scope's would be distinguished differently by each version of anyio.) It holds off scopes
    # around it, whose cancellation arrives anew at each turn of the loop.
    with anyio.CancelScope(shield=True):
        while not task.done():
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError as error:
                cancelled = error
    return cancelled


async def ended(task: asyncio.Future[Any]) -> None:
    """Wait for the end of ``task``, whichever it is; with `finish`, although the waiting is cancelled."""
    await asyncio.wait([task])


Arguments = TypeVarTuple("Arguments")

# Bytes from which on a thread does it: they take 0.2 ms to encrypt, 2 ms to be read.
_LARGE: Final = 64_000


async def offload(size: float, function: Callable[[*Arguments], T], *arguments: *Arguments) -> T:
    """Return the result of ``function``, called in a thread if the data has more than 64,000 bytes.

    Args:
        size: Bytes of the data.
        function: Computes; whatever it raises is raised.
        arguments: Its own.
    """
    if size > _LARGE:
        return await anyio.to_thread.run_sync(function, *arguments)
    return function(*arguments)


Args = TypeVarTuple("Args")


async def in_thread(function: Callable[[*Args], T], *args: *Args) -> T:
    """``function(*args)`` in a worker thread; it has ended when this returns or raises, however it was cancelled."""
    return await finish(anyio.to_thread.run_sync(function, *args), math.inf)
