"""Work beside a block of the caller's, which may end in another task than the one it began in.

A task group would have to be left by the task that entered it; fixtures, e.g. those of pytest-asyncio, are not.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

from ..calling.finishing import ended, finish

__all__ = ["beside"]


@asynccontextmanager
async def beside(work: Callable[[Callable[[], None]], Coroutine[Any, Any, None]]) -> AsyncGenerator[None]:
    """Run ``work`` while the block lasts; the block begins once it has called what it is given.

    When it fails the block is cancelled, if the task that began it is still at it, and the error is raised in place of
    the cancellation; otherwise at the end of the block.

    Raises:
        Exception: What ``work`` raised; of a group with one error, that error.
    """
    host = cast("asyncio.Task[Any]", asyncio.current_task())
    cancelled_before = host.cancelling()
    ready = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(work(lambda: None if ready.done() else ready.set_result(None)))
    watch = _Watch(task, host)
    try:
        await asyncio.wait([task, ready], return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            watch.is_on = True
            yield
    except asyncio.CancelledError:
        if await watch.is_cause(cancelled_before):
            raise watch.error() from None
        raise
    except Exception:
        await watch.is_cause(cancelled_before)
        raise
    finally:
        watch.is_on = False
        task.cancel()
        await finish(ended(task), math.inf)
    if await watch.is_cause(cancelled_before) or (not task.cancelled() and task.exception() is not None):
        raise watch.error() from None


class _Watch:
    """Cancels the host of a block when the work beside it fails.

    Args:
        task: The work.
        host: The task that began the block.
    """

    def __init__(self, task: asyncio.Task[None], host: asyncio.Task[Any]) -> None:
        self._task = task
        self._host = host
        self.is_on = False
        """Whether the block has begun and not ended."""
        self._has_cancelled = False
        task.add_done_callback(self._ended)

    def _ended(self, _: asyncio.Task[None]) -> None:
        if self.is_on and not self._host.done():
            self._has_cancelled = True
            self._host.cancel()

    async def is_cause(self, cancelled_before: int) -> bool:
        """Return whether only the failed work has cancelled the block, and take that cancellation back."""
        if not self._has_cancelled or asyncio.current_task() is not self._host:
            return False
        self._has_cancelled = False
        if self._host.uncancel() > cancelled_before:
            return False
        with suppress(asyncio.CancelledError):
            # Where the block ended meanwhile, the cancellation has not been raised yet.
            await asyncio.sleep(0)
        return True

    def error(self) -> BaseException:
        """Return the error that the work has failed with."""
        error: BaseException | None = None if self._task.cancelled() else self._task.exception()
        while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        return error or RuntimeError("The delivery has ended.")
