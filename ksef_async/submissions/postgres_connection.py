"""PostgreSQL connections that nobody has are closed at once: a task can be cancelled while it connects.

psycopg then leaves the half-made connection to the garbage collector, and the server counts it until then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, Protocol, TypeVar

from ..calling.finishing import finish

__all__ = ["connect_or_close"]

# Seconds that a cancelled connecting may take to end, so that what it has made can be closed.
_GRACE: Final = 5.0


class _Closable(Protocol):
    async def close(self) -> None: ...


Connection = TypeVar("Connection", bound=_Closable)


async def connect_or_close(
    connect: Callable[..., Coroutine[Any, Any, Connection]], *arguments: Any, **options: Any
) -> Connection:
    """Return what ``connect`` does; when cancelled meanwhile, wait up to `_GRACE` for it, and close it."""
    task = asyncio.ensure_future(connect(*arguments, **options))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        try:
            with suppress(TimeoutError):
                await finish(_close(task), _GRACE)
        finally:
            task.cancel()
        raise


async def _close(connecting: asyncio.Future[Connection]) -> None:
    await asyncio.wait([connecting])
    if not connecting.cancelled() and connecting.exception() is None:
        await connecting.result().close()
