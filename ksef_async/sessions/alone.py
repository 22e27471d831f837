"""Locks by key: tasks that work on the same thing wait for each other, others do not."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Hashable
from contextlib import asynccontextmanager

import anyio

__all__ = ["Alone"]


class Alone:
    """Locks by key; a lock exists only while a task holds it or waits for it."""

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
