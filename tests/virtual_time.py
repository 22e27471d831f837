"""An event loop in which waiting takes no time: hours of pacing pass in seconds, over real sockets."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Awaitable, Callable
from typing import Any

import anyio.to_thread
import pytest

from ksef_async.submissions.sqlite_connection import _Connection

__all__ = ["VirtualTimeLoop", "mind_the_database", "mind_threads"]


#: How much slower than real time the loop's own time runs between jumps: a busy machine must not look like a slow
#: network.
_SLOWNESS = 50


class _JumpingSelector(selectors.DefaultSelector):
    """Jumps to the next timer once nothing is on its way any more."""

    def __init__(self) -> None:
        super().__init__()
        self.jump: Callable[[float], None] = lambda _: None
        self.threads_are_busy: Callable[[], bool] = lambda: False

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        # What was written to a socket of this process is there at once; what a thread does, is not.
        pause = min(timeout, 0.02 if self.threads_are_busy() else 0.0005)
        events = super().select(pause)
        if not events and not self.threads_are_busy():
            self.jump(timeout)
        return events


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.skipped = 0.0
        self.jumping = _JumpingSelector()
        self.jumping.jump = self._jump
        super().__init__(self.jumping)

    def time(self) -> float:
        return super().time() / _SLOWNESS + self.skipped

    def _jump(self, seconds: float) -> None:
        self.skipped += seconds


async def mind_threads() -> None:
    """Let time stand still while a worker thread is busy; call it at the start of a test."""
    limiter = anyio.to_thread.current_default_thread_limiter()
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    loop.jumping.threads_are_busy = lambda: limiter.borrowed_tokens > 0


def mind_the_database(loop: VirtualTimeLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let virtual time stand still while SQLite's threads are at work, as it does for anyio's."""
    at_work = 0
    execute: Callable[..., Awaitable[Any]] = _Connection._execute
    others = loop.jumping.threads_are_busy

    async def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal at_work
        at_work += 1
        try:
            return await execute(*args, **kwargs)
        finally:
            at_work -= 1

    monkeypatch.setattr(_Connection, "_execute", counted)
    loop.jumping.threads_are_busy = lambda: at_work > 0 or others()
