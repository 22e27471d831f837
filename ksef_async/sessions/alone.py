"""Locks by key: tasks that work on the same thing wait for each other, others do not."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable

__all__ = ["Alone"]


class Alone:
    """Locks by key; a lock exists only while a task holds it or waits for it."""

    def __init__(self) -> None:
        self._locks: dict[Hashable, _CountedLock] = {}

    def with_(self, key: Hashable) -> _Turn:
        """Hold the lock of ``key``, as an async context manager; where it is free, other tasks get no turn first."""
        return _Turn(self._locks, key)


class _CountedLock(asyncio.Lock):
    # asyncio's own, not anyio's: that one takes longer to make, and two turns of the event loop to hold.
    def __init__(self) -> None:
        super().__init__()
        self.users = 0
        """How many tasks hold it or wait for it."""


class _Turn:
    __slots__ = ("_key", "_locks")

    def __init__(self, locks: dict[Hashable, _CountedLock], key: Hashable) -> None:
        self._locks = locks
        self._key = key

    async def __aenter__(self) -> None:
        lock = self._locks.get(self._key)
        if lock is None:
            lock = self._locks[self._key] = _CountedLock()
        lock.users += 1
        try:
            await lock.acquire()
        except BaseException:
            self._leave(lock)
            raise

    async def __aexit__(self, *_: object) -> None:
        lock = self._locks[self._key]
        lock.release()
        self._leave(lock)

    def _leave(self, lock: _CountedLock) -> None:
        lock.users -= 1
        if not lock.users:
            del self._locks[self._key]
