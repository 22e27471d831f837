"""One at a time for each thing: tasks that work on the same one wait for each other, others do not."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Hashable
from contextlib import asynccontextmanager

import anyio

__all__ = ["Alone"]


class Alone:
    """Locks by key, which take no room while nobody holds them."""

    def __init__(self) -> None:
        self._locks: dict[Hashable, anyio.Lock] = {}

    @asynccontextmanager
    async def with_(self, key: Hashable) -> AsyncGenerator[None]:
        """Hold the lock of ``key``."""
        lock = self._locks.setdefault(key, anyio.Lock())
        async with lock:
            try:
                yield
            finally:
                if not lock.statistics().tasks_waiting:
                    self._locks.pop(key, None)
